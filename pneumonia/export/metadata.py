"""What the served graph says of itself, where other programs look for it.

It stands behind the graph in the file: protocol buffers merge messages that stand one
after the other. So the bytes that compute stay as they were, and so does their
checksum, which reports name, when a word of the description changes.
https://protobuf.dev/programming-guides/encoding/#last-one-wins
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx

from .. import kept
from ..contract import LABELS, NOTICE, PACKAGE, PICTURE_SIZE, VERSION
from ..serving.classifier import load_classifier


def describe(facts: dict[str, Any]) -> dict[str, str]:
    """Return what the metadata of a graph hold, by key.

    Args:
        facts: what `bundle.json` holds.

    Returns:
        Text, and JSON of what is no single word.
    """
    found: dict[str, Any] = {
        "version": VERSION,
        "license": "MIT",
        "licences": facts["licence"],
        "notice": NOTICE,
        "labels": list(LABELS),
        "input": {
            "name": "image",
            "dtype": "float32",
            "shape": ["n", PICTURE_SIZE, PICTURE_SIZE, 1],
            "range": [0, 1],
            "what": "a chest X-ray, upright and grey, air black and bone white, the "
            "whole picture squashed to this size",
        },
        "operating_point": {
            "probabilities": "softmax(logits / temperature)",
            **{name: facts[name] for name in ("temperature", "threshold")},
            "uncertain_band": facts["uncertain_band"],
        },
        "exported": facts["exported"],
    }
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in found.items()
    }


def append(graph: bytes, facts: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Write a description behind a graph.

    Args:
        graph: a serialised model without a description.
        facts: what `bundle.json` holds.

    Returns:
        The whole file, and what `bundle.json` says of it and of the graph in it.
    """
    said = onnx.ModelProto(
        producer_name=PACKAGE,
        producer_version=VERSION,
        doc_string=f"Chest X-ray: {' or '.join(LABELS)}. {NOTICE}",
    )
    onnx.helper.set_model_props(said, describe(facts))
    content = graph + said.SerializeToString()
    return content, {
        "file": "classifier.onnx",
        **_sums(content),
        "graph": _sums(graph),
    }


def _sums(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def renew(bundle: str | Path, out: str | Path) -> None:
    """Write anew what a bundle's graph says of itself; what computes stays.

    Args:
        bundle: its folder.
        out: the folder for `classifier.onnx` and `bundle.json`; it may be the same.

    Raises:
        BundleError: the bundle is damaged.
        kept.KeepError: nothing can be written to `out`.
    """
    found = load_classifier(bundle)
    weights = found.facts["weights"]
    graph = (found.folder / weights["file"]).read_bytes()
    graph = graph[: weights.get("graph", weights)["bytes"]]
    content, said = append(graph, found.facts)
    onnx.checker.check_model(content, full_check=True)
    facts = found.facts | {"weights": said}
    with kept.all_of(out) as place:
        (place / said["file"]).write_bytes(content)
        (place / "bundle.json").write_text(json.dumps(facts, indent=2) + "\n")
