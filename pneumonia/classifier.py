"""The loaded bundle, and the one predict function that both apps call.

Needs NumPy, Pillow and ONNX Runtime alone: a prediction must not wait for a training
framework.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import gate as gates
from .image import IMAGE_SIZE, Picture, to_input
from .isolated import read_anywhere
from .overlay import draw_overlay, enlarge, split_evidence

# Read when it is imported: without it, ONNX Runtime reports to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime  # noqa: E402

LABELS = ("Normal", "Pneumonia")
"""What the network tells apart, in the order of its outputs."""

METHODS = ("Grad-CAM", "HiResCAM")
"""How a heat map is drawn; bundles of before know the first alone."""

NOTICE = (
    "Research demonstration, not a medical device. It learned from children of one "
    "hospital and knows only two answers; it must not guide the care of anyone."
)
"""What every page and every answer says where people look."""

BUNDLE_FORMAT = 1
BUNDLE = Path(__file__).parent / "bundle"
_PNEUMONIA = LABELS.index("Pneumonia")


class BundleError(RuntimeError):
    """The installation is at fault, not the image; says the command that mends it."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """A loaded bundle. Make one with `load_classifier`; threads may share it.

    Attributes:
        temperature: logits are divided by it before the softmax (Guo et al. 2017).
        threshold: probability of pneumonia from which the label is Pneumonia.
        uncertain_band: lowest and highest probability of pneumonia that is reported as
            uncertain.
        sha256: checksum of the weights, in hexadecimal.
        facts: everything that bundle.json holds.
        folder: of the bundle.
        gate: what decides which pictures get no answer; None in a bundle without one.
    """

    temperature: float
    threshold: float
    uncertain_band: tuple[float, float]
    sha256: str
    facts: dict = field(repr=False)
    folder: Path
    _session: onnxruntime.InferenceSession = field(repr=False)
    gate: gates.Gate | None = field(default=None, repr=False)

    def run(self, inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the graph once.

        Args:
            inputs: float32 (n, 128, 128, 1) in [0, 1], from `to_input`.

        Returns:
            logits float32 (n, 2); Grad-CAM maps float32 (n, 2, 8, 8) in [0, 1], one for
            each label; embedding float32 (n, 512), the mean of the feature map; and
            evidence float32 (n, 8, 8), what each cell adds to the logit of pneumonia
            less that of normal (HiResCAM), (n, 0, 0) from a bundle that lacks it.
        """
        found = self._session.run(None, {"image": inputs})
        if METHODS[1] not in self.methods:
            found.append(np.empty((len(inputs), 0, 0), np.float32))
        return tuple(found)

    @property
    def methods(self) -> tuple[str, ...]:
        """Those of METHODS whose maps `run` gives."""
        names = {output.name for output in self._session.get_outputs()}
        return METHODS if "evidence" in names else METHODS[:1]

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Turn logits (n, 2) into calibrated float64 (n, 2), rows sum to 1."""
        return softmax(logits, self.temperature)

    def decide(self, p_pneumonia: float) -> tuple[int, bool]:
        """Return the label's index and whether the answer is certain."""
        low, high = self.uncertain_band
        is_pneumonia = p_pneumonia >= self.threshold
        label = _PNEUMONIA if is_pneumonia else 1 - _PNEUMONIA
        return label, not low <= p_pneumonia <= high


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer to one image.

    Attributes:
        label: one of LABELS, by the calibrated threshold and not by the larger bar.
        probabilities: calibrated, in LABELS order, each in [0, 1], sum 1.
        certain: False inside the published uncertain band.
        heatmap: float32 (H, W) in [0, 1], evidence for the label (Grad-CAM, unless
            another method was asked for).
        overlay: uint8 (H, W, 3) RGB, the heat map on the X-ray.
        pixels: uint8 (H, W), the X-ray as it was looked at, upright, perhaps inverted.
        maps: float32 (2, 8, 8) in [0, 1], evidence for each of LABELS (Grad-CAM);
            `enlarge` fits one to the picture.
        warnings: codes of what is wrong with the image and does not refuse it;
            `explain` gives the sentence of each.
        evidence: float32 (8, 8), what each cell adds to the calibrated log-odds of
            pneumonia (HiResCAM); (0, 0) from a bundle that lacks it.
    """

    label: str
    probabilities: dict[str, float]
    certain: bool
    heatmap: np.ndarray
    overlay: np.ndarray
    pixels: np.ndarray
    maps: np.ndarray
    warnings: tuple[str, ...] = ()
    evidence: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return float64 (n, 2) for logits (n, 2) divided by the temperature."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def load_classifier(
    bundle: str | Path | None = None, threads: int | None = None
) -> Classifier:
    """Load a bundle and verify it.

    Args:
        bundle: folder that `python -m pneumonia export` wrote; None: what ships.
        threads: how many work on one run; None: one a core, the quickest answer. One is
            best where as many pictures as cores are under way at once.

    Returns:
        The classifier, ready for `predict`.

    Raises:
        BundleError: a file is missing, damaged, of another format or not the one whose
            checksum is recorded.
    """
    folder = BUNDLE if bundle is None else Path(bundle)
    mend = (
        "Restore it with `git checkout -- pneumonia/bundle`, or install it again."
        if bundle is None
        else f"Write it again with `python -m pneumonia export RUN --out {folder}`."
    )
    try:
        facts = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        if facts["format"] != BUNDLE_FORMAT:
            raise BundleError(
                f"The bundle in {folder} has format {facts['format']}, expected "
                f"{BUNDLE_FORMAT}. {mend}"
            )
        if (facts["labels"], facts["image_size"]) != (list(LABELS), IMAGE_SIZE):
            raise BundleError(
                f"The bundle in {folder} answers {facts['labels']} at "
                f"{facts['image_size']} pixels; expected {list(LABELS)} at "
                f"{IMAGE_SIZE}. {mend}"
            )
        weights = (folder / facts["weights"]["file"]).read_bytes()
        sha256 = hashlib.sha256(weights).hexdigest()
        if sha256 != facts["weights"]["sha256"]:
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
            _session=_open_session(weights, threads),
            gate=gates.from_facts(facts.get("gate")),
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


def _open_session(weights: bytes, threads: int | None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # a thread that waits for its part leaves its core to whoever decodes a picture
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(
        weights, options, providers=["CPUExecutionProvider"]
    )


def predict(
    classifier: Classifier,
    image: bytes,
    *,
    anyway: bool = False,
    invert: bool = False,
    draw: bool = True,
    method: str = METHODS[0],
    read: Callable[[bytes], Picture] = read_anywhere,
) -> Prediction:
    """Answer one image.

    Args:
        classifier: from `load_classifier`.
        image: the content of an image file, as in `read_picture`.
        anyway: answer what the gate refuses, with the reason among the warnings.
        invert: exchange black and white first.
        draw: False leaves the overlay empty and the heat map at 8 x 8.
        method: one of METHODS, of the heat map that is drawn.
        read: what decodes it.

    Returns:
        Label, probabilities, heat map and overlay, all from one run of the network.

    Raises:
        ImageError: the bytes are no picture that can be answered; says why, and in
            `offers` with which arguments it would be answered all the same.
        ValueError: the bundle does not know the method.
    """
    if method not in classifier.methods:
        known = " and ".join(classifier.methods)
        raise ValueError(f"This bundle draws {known}; {method} was asked for.")
    picture = read(image)
    pixels = 255 - picture.pixels if invert else picture.pixels
    inputs = to_input(pixels)
    logits, maps, embedding, evidence = classifier.run(inputs)
    found = gates.judge(classifier.gate, picture, inputs, embedding)
    if found and found[0] in gates.REFUSALS and not anyway:
        raise gates.refuse(found[0])
    probabilities = classifier.probabilities(logits)[0]
    label, certain = classifier.decide(probabilities[_PNEUMONIA])
    drawn = maps if method == METHODS[0] else split_evidence(evidence)
    heatmap, overlay = drawn[0, label], np.empty((0, 0, 3), np.uint8)
    if not heatmap.any():
        found = (*found, "empty_heat_map")
    if draw:
        heatmap = enlarge(heatmap, pixels.shape)
        overlay = draw_overlay(pixels, heatmap)
    return Prediction(
        label=LABELS[label],
        probabilities=dict(zip(LABELS, map(float, probabilities), strict=True)),
        certain=certain,
        heatmap=heatmap,
        overlay=overlay,
        pixels=pixels,
        maps=maps[0],
        warnings=found,
        evidence=evidence[0] / np.float32(classifier.temperature),
    )


def explain(warning: str) -> str:
    """Say in a layman's sentence what the code of a warning means."""
    return gates.SENTENCES[warning]


def verdict(classifier: Classifier, prediction: Prediction) -> str:
    """Say a prediction in one plain sentence, with the operating point it rests on."""
    p = percent(prediction.probabilities["Pneumonia"])
    threshold = classifier.threshold
    if prediction.certain:
        return (
            f"{prediction.label}. Probability of pneumonia {p}; "
            f"the network says Pneumonia from {threshold:.0%} on."
        )
    return (
        f"Uncertain, needs a reader. Probability of pneumonia {p} leans to "
        f"{prediction.label}, but lies too close to {threshold:.0%}, from where on the "
        "network says Pneumonia."
    )


def percent(p: float) -> str:
    """Write a probability; what is not certain is never called 0 or 100 %."""
    if p < 0.01:
        return "under 1%"
    return "over 99%" if p > 0.99 else f"{p:.0%}"
