"""The loaded bundle: checked, opened, and run.

Needs NumPy, Pillow and ONNX Runtime alone: a prediction must not wait for a training
framework.
"""

import hashlib
import json
import os
import sys
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..contract import (
    BUNDLE,
    BUNDLE_FORMAT,
    IMAGE_SIZE,
    LABELS,
    METHODS,
    PICTURE_SIZE,
)
from ..outputs import FEATURES, Outputs
from . import gate as gates
from .gate_cells import in_cells

# Read when it is imported, once: without it, ONNX Runtime reports to its maker.
_HAS_BEGUN = "onnxruntime" in sys.modules and "ORT_DISABLE_TELEMETRY" not in os.environ
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime  # noqa: E402

if _HAS_BEGUN and [int(n) for n in onnxruntime.__version__.split(".")[:2]] >= [1, 29]:
    onnxruntime.disable_telemetry_events()  # of answers; that it runs, it reports
    warnings.warn(
        "onnxruntime was imported before pneumonia, and reports to its maker that this "
        "program runs. Import pneumonia first, or set ORT_DISABLE_TELEMETRY=1 before.",
        RuntimeWarning,
        stacklevel=3,
    )

_PNEUMONIA = LABELS.index("Pneumonia")
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class BundleError(RuntimeError):
    """The installation is at fault, not the image; says the command that mends it."""


class DeviceError(RuntimeError):
    """The network can't run on the device that was asked for; says what to do."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """A loaded bundle. Make one with `load_classifier`; threads may share it.

    Attributes:
        temperature: logits are divided by it before the softmax (Guo et al. 2017).
        threshold: probability of pneumonia from which the label is Pneumonia.
        uncertain_band: lowest and highest probability of pneumonia that is reported as
            uncertain.
        sha256: checksum of the weights, in hexadecimal: of the graph in the file, which
            reports name, and not of the description behind it.
        facts: everything that bundle.json holds.
        folder: of the bundle.
        gate: decides which pictures get no answer; None if the bundle has none.
        device: `cpu` or `cuda`, which the network runs on.
    """

    temperature: float
    threshold: float
    uncertain_band: tuple[float, float]
    sha256: str
    facts: dict[str, Any] = field(repr=False)
    folder: Path
    _session: onnxruntime.InferenceSession = field(repr=False)
    gate: gates.Gate | None = field(default=None, repr=False)
    device: str = "cpu"

    def run(self, inputs: np.ndarray) -> Outputs:
        """Run the graph once.

        Args:
            inputs: float32 (n, 224, 224, 1) in [0, 1], from `to_input`.
        """
        return Outputs(*self._session.run(list(Outputs._fields), {"image": inputs}))

    @property
    def can_compare(self) -> bool:
        """Whether it is known what training images show in each cell."""
        return bool(self.gate and self.gate.cells)

    def look(self, inputs: np.ndarray) -> tuple[Outputs, dict[str, np.ndarray]]:
        """Run the graph once, and return features of cells as well.

        Args:
            inputs: as in `run`.

        Returns:
            What `run` returns, and float32 (n, 8, 8, f) for each of `FEATURES`. Their
            means over the cells are the embedding.
        """
        names = [*Outputs._fields, *FEATURES.values()]
        found = self._open_for_looking.run(names, {"image": inputs})
        outputs, values = found[: len(Outputs._fields)], found[len(Outputs._fields) :]
        cells = map(in_cells, values)
        return Outputs(*outputs), dict(zip(FEATURES, cells, strict=True))

    @cached_property
    def _open_for_looking(self) -> onnxruntime.InferenceSession:
        """The same graph with more outputs. Answers keep theirs, which is quicker."""
        weights = (self.folder / self.facts["weights"]["file"]).read_bytes()
        return _open_session(weights + b"".join(map(_as_output, FEATURES.values())), 0)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Turn logits (n, 2) into calibrated float64 (n, 2), rows sum to 1."""
        return softmax(logits, self.temperature)

    def p_pneumonia(self, logits: np.ndarray) -> np.ndarray:
        """Turn logits (n, 2) into calibrated probabilities of pneumonia, (n,)."""
        return self.probabilities(logits)[:, _PNEUMONIA]

    @cached_property
    def passed(self) -> dict[str, tuple[str, ...]] | None:
        """The methods whose maps show the evidence, for each label, in METHODS' order.

        Measured by `audit` on exactly these weights; None where it was not.
        """
        try:
            found = json.loads((self.folder / "audit.json").read_text(encoding="utf-8"))
            if found["bundle_sha256"] != self.sha256:
                raise KeyError("other weights")
            covered = {
                "Grad-CAM": found["hottest_covered"],
                "HiResCAM": found["hirescam"]["hottest_covered"],
            }
            return {
                label: tuple(
                    m for m in METHODS if shows_evidence(covered[m].get(label))
                )
                for label in LABELS
            }
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @cached_property
    def tested(self) -> dict[str, str | None]:
        """The first of METHODS that `passed`, for each label; None: neither did.

        Where none was tested, the first of METHODS.
        """
        if self.passed is None:
            return dict.fromkeys(LABELS, METHODS[0])
        return {
            label: methods[0] if methods else None
            for label, methods in self.passed.items()
        }

    def decide(self, p_pneumonia: float) -> tuple[int, bool]:
        """Return the label's index and whether the answer is certain."""
        low, high = self.uncertain_band
        is_pneumonia = p_pneumonia >= self.threshold
        label = _PNEUMONIA if is_pneumonia else 1 - _PNEUMONIA
        return label, not low <= p_pneumonia <= high


def shows_evidence(found: dict[str, Any] | None) -> bool:
    """Tell whether maps show the evidence in their own image.

    Args:
        found: what `audit` measured of the maps of one answer, with their hottest
            places blurred: the answer must lose more than with each control, beyond
            chance. None: too few to measure.
    """
    if not found:
        return False
    return all(more["ci95"][0] > 0 for more in found["more_than"].values())


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return float64 (n, 2) for logits (n, 2) divided by the temperature."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def load_classifier(
    bundle: str | Path | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> Classifier:
    """Load a bundle and verify it.

    Args:
        bundle: folder that `python -m pneumonia export` wrote, or `hf://OWNER/NAME`,
            which is fetched from the Hugging Face Hub once; None: what ships.
        threads: how many work on one run; None: one a core, the quickest answer. One is
            best where as many pictures as cores are under way at once.
        device: `cpu`, or `cuda` for a GPU of NVIDIA's, by ONNX Runtime's own provider.

    Returns:
        The classifier, ready for `predict`.

    Raises:
        BundleError: a file is missing, damaged, of another format or not the one whose
            checksum is recorded; or it can't be fetched.
        DeviceError: the network can't run on that device here.
    """
    folder = BUNDLE if bundle is None else Path(bundle)
    if bundle is None:
        mend = (
            "Restore it with `git checkout -- pneumonia/bundle`, or install it again."
        )
    elif folder.parts[:1] == ("hf:",):
        from . import hub

        folder = hub.fetch("hf://" + "/".join(folder.parts[1:]))
        mend = f"Delete {folder} to fetch it anew, or ask who put it on the Hub."
    else:
        mend = f"Write it again with `python -m pneumonia export RUN --out {folder}`."
    try:
        facts = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        if facts["format"] != BUNDLE_FORMAT:
            raise BundleError(
                f"The bundle in {folder} has format {facts['format']}, expected "
                f"{BUNDLE_FORMAT}. {mend}"
            )
        found = facts["labels"], facts["picture_size"], facts["image_size"]
        if found != (list(LABELS), PICTURE_SIZE, IMAGE_SIZE):
            raise BundleError(
                f"The bundle in {folder} answers {found[0]} at {found[1]} and "
                f"{found[2]} pixels; expected {list(LABELS)} at {PICTURE_SIZE} and "
                f"{IMAGE_SIZE}. {mend}"
            )
        weights = (folder / facts["weights"]["file"]).read_bytes()
        said = facts["weights"]
        # the description behind the graph changes no answer, and no checksum in reports
        graph = memoryview(weights)[: said.get("graph", said)["bytes"]]
        digest = hashlib.sha256(graph)
        sha256 = digest.hexdigest()
        digest.update(memoryview(weights)[len(graph) :])
        if digest.hexdigest() != said["sha256"]:
            raise BundleError(
                f"The weights in {folder} do not match their checksum: they are "
                f"damaged or were changed. {mend}"
            )
        low, high = facts["uncertain_band"]
        return Classifier(
            temperature=float(facts["temperature"]),
            threshold=float(facts["threshold"]),
            uncertain_band=(float(low), float(high)),
            sha256=sha256,
            facts=facts,
            folder=folder,
            _session=_open_session(weights, threads, device),
            gate=gates.from_facts(facts.get("gate")),
            device=device,
        )
    except OSError as error:
        raise BundleError(
            f"The bundle in {folder} can't be read: {error.strerror} "
            f"({error.filename}). {mend}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"The file {folder / 'bundle.json'} is damaged "
            f"({type(error).__name__}: {error}). {mend}"
        ) from error


def _open_session(
    weights: bytes, threads: int | None, device: str = "cpu"
) -> onnxruntime.InferenceSession:
    """Open a graph for a device, and never for another without a word.

    ONNX Runtime has no int8 convolution for CUDA. There it computes what the graph says
    literally: it dequantises, convolves floats, and quantises.
    https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html

    Raises:
        DeviceError: it can't run there.
    """
    there, wanted = onnxruntime.get_available_providers(), _PROVIDERS[device]
    if wanted not in there:
        raise DeviceError(
            f"{device} was asked for, and this onnxruntime {onnxruntime.__version__} "
            f"has only {', '.join(there)}. Install onnxruntime-gpu instead of "
            "onnxruntime: `pip uninstall onnxruntime`, then "
            "`pip install onnxruntime-gpu`."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # a thread that waits for its part leaves its core to whoever decodes a picture
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only
    why = ""
    try:  # what a GPU can't do is left to the CPU, but not all of it
        session = onnxruntime.InferenceSession(
            weights,
            options,
            providers=[*dict.fromkeys([wanted, _PROVIDERS["cpu"]])],
            enable_fallback=0,
        )
        if wanted in session.get_providers():
            return session
    except Exception as error:  # of many kinds, by what the provider lacks
        if device == "cpu":
            raise
        why = f" ({str(error).strip().partition(chr(10))[0][:200]})"
    raise DeviceError(
        f"{device} was asked for, and ONNX Runtime could not start on it here{why}. It "
        "needs a GPU, its driver, and the CUDA and cuDNN that onnxruntime-gpu names."
    )


def _as_output(name: str) -> bytes:
    """Return what makes a value inside of a graph an output of it, appended to a model.

    Protocol buffers merge messages that stand one after the other: to the model's graph
    (field 7) an output (field 12) of that name (field 1) is added. Nothing is computed
    for it until somebody asks for it by name.
    https://protobuf.dev/programming-guides/encoding/#last-one-wins
    """
    message = name.encode()
    for field_number in (1, 12, 7):
        message = bytes([field_number << 3 | 2, len(message)]) + message
    return message
