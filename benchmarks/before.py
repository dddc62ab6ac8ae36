"""What the network before this one makes of other frames: `before.json`.

    python benchmarks/before.py DIR [--out pneumonia/bundle/before.json]

It saw whole pictures. DIR is the training folder; the held-out patients are shown to
it in some of the families of stress that frame the lungs in another way. Its graph is
taken from the history of this repository, so this needs a clone that is not shallow.
"""

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from pneumonia.contract import BUNDLE, LABELS
from pneumonia.data import folder, stress
from pneumonia.evaluation.evaluate import find_boxes
from pneumonia.evaluation.stressed import count_flips
from pneumonia.figures.metrics import measure
from pneumonia.serving.classifier import softmax

COMMIT = "33320c9"
"""The last commit that ships it."""
FAMILIES = (
    "cut all around 6 %",
    "cut all around 12 %",
    "cut below 15 %",
    "framed like the other class",
)
SIDE, BATCH = 128, 8


def from_history(name: str) -> bytes:
    """Return a file of the bundle of before."""
    here = Path(__file__).parent
    command = ["git", "show", f"{COMMIT}:pneumonia/bundle/{name}"]
    done = subprocess.run(command, cwd=here, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(
            f"Commit {COMMIT} is not in this clone, so the network of before can't be "
            "measured. Fetch the whole history: git fetch --unshallow"
        )
    return done.stdout


def squashed(images: np.ndarray) -> np.ndarray:
    """Bring images uint8 (n, 224, 224, 1) to what it reads, float32 in [0, 1]."""
    small = [
        Image.fromarray(image[..., 0]).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        for image in images
    ]
    return np.stack(small)[..., None].astype(np.float32) / 255


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, default=BUNDLE / "before.json")
    args = parser.parse_args()
    facts = json.loads(from_history("bundle.json"))
    session = onnxruntime.InferenceSession(from_history("classifier.onnx"))
    at, temperature = facts["threshold"], facts["temperature"]

    def answer(images: np.ndarray) -> np.ndarray:
        inputs = squashed(images)
        parts = [
            session.run(["logits"], {"image": inputs[i : i + BATCH]})[0]
            for i in range(0, len(inputs), BATCH)
        ]
        return softmax(np.concatenate(parts), temperature)[:, 1]

    _, held_out = folder.split(folder.load(args.source))
    labels, normal = held_out.labels, held_out.labels == LABELS.index("Normal")
    boxes = find_boxes(None, held_out.images)
    clean = answer(held_out.images)
    rows = {"as they are": measure(labels, clean, held_out.groups, at)}
    for name in FAMILIES:
        images = stress.changed(held_out.images, labels, name, boxes=boxes)
        p = answer(images)
        flipped = ((p >= at) != (clean >= at))[normal]
        rows[name] = measure(labels, p, held_out.groups, at)
        rows[name] |= count_flips(name, flipped, boxes[normal])
        print(name, json.dumps(rows[name]["specificity"]), flush=True)
    found = {
        "commit": COMMIT,
        "bundle_sha256": facts["weights"]["sha256"],
        "n": len(labels),
        "families": rows,
    }
    args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
