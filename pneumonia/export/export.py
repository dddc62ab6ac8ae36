"""Trained network -> the bundle that is served: classifier.onnx and bundle.json."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ..contract import BUNDLE_FORMAT, IMAGE_SIZE, LABELS
from ..data import folder, stress
from ..evaluation import calibrate
from ..evaluation.metrics import measure
from ..network import heatmaps, vgg19
from ..network.graph import build_graph, run_graph, shift_logits
from ..serving.classifier import Classifier, in_batches, load_classifier, softmax
from ..serving.prediction import predict
from ..serving.selfcheck import phantoms
from .int8 import quantise

CALIBRATION_IMAGES = 128
STRESS_COPIES = 7
SENSITIVITY = 0.955
"""What the operating point keeps of the held-out pneumonias, clean and under stress."""

LEAST_AGREEMENT = 0.99
PRIVATE = {"source", "extra_source", "command"}
"""What a run records about the machine that it ran on; its bundle does not."""

LICENCE = {
    "code and trained weights": "MIT",
    "training images": "Kermany et al. 2018, doi 10.17632/rscbjbr9sj, CC BY 4.0",
    "training images of adults, if any": "ChestX-ray8, Wang et al. 2017, NIH Clinical "
    "Center",
    "starting weights": "VGG19, Simonyan and Zisserman 2014, CC BY 4.0",
}


class ExportError(RuntimeError):
    """The run can't become a bundle; says what differs."""


def export(
    run: str | Path, out: str | Path, source: str | Path | None = None
) -> Classifier:
    """Write a run's best network as a bundle.

    Temperature, threshold and uncertain band are chosen on the validation patients of
    the run's data set, each seen as it is and under `stress.FAMILIES`: on the clean
    images alone nearly every threshold looks equally good. The operating point is the
    highest threshold that finds `SENSITIVITY` of the pneumonias among them.

    Args:
        run: folder that `train.train` wrote.
        out: the bundle's folder.
        source: the run's data set, where it does not lie any more where it lay.

    Returns:
        The bundle, loaded and checked.

    Raises:
        ExportError: `run` holds no trained network, or int8 and Keras disagree on more
            than 1 % of the validation labels. Nothing is written then.
        folder.DataError: the data set is not there.
    """
    run, out = Path(run), Path(out)
    try:
        record = json.loads((run / "run.json").read_text())
        trained = vgg19.load(run)
    except (OSError, ValueError, vgg19.WeightsError) as error:
        raise ExportError(
            f"{run} holds no trained network ({error}). Expected the folder that "
            "`python -m pneumonia train DIR --out RUN` wrote."
        ) from error
    training, validation = folder.split(folder.load(source or record["source"]))

    full = build_graph(trained)
    small = quantise(full, calibration_images(training))

    clean = validation.inputs()
    copies = stress.mixed_copies(
        validation.images, validation.labels, STRESS_COPIES, seed=1
    )
    views = [clean, *(folder.as_input(copy) for copy in copies)]
    logits = np.concatenate([run_graph(small, view)[0] for view in views])
    labels = np.tile(validation.labels, len(views))
    # The operating point moves into the graph: from 50 % on the label is Pneumonia, and
    # no bar ever contradicts it.
    boundary = calibrate.threshold_at_sensitivity(
        labels, logits[:, 1] - logits[:, 0], SENSITIVITY
    )
    shift = np.array([boundary / 2, -boundary / 2], np.float32)
    shift_logits(small, shift)
    trained.classifier.get_layer("logits").bias.assign_add(shift)
    logits, threshold = logits + shift, 0.5
    temperature = calibrate.fit_temperature(logits, labels)
    p = softmax(logits, temperature)[:, 1]
    band = calibrate.choose_uncertain_band(labels, p, threshold)

    fidelity = _compare(trained, small, clean, temperature, threshold)
    if fidelity["label_agreement"] < LEAST_AGREEMENT:
        raise ExportError(
            f"int8 and Keras agree on {fidelity['label_agreement']:.1%} of the "
            f"validation labels; expected at least {LEAST_AGREEMENT:.0%}. "
            "Nothing was written."
        )
    clean_p = p[: len(clean)]
    weights = small.SerializeToString()
    out.mkdir(parents=True, exist_ok=True)
    vgg19.save(trained, out / vgg19.KERAS_WEIGHTS, **record["network"])
    keras_weights = (out / vgg19.KERAS_WEIGHTS).read_bytes()
    facts = {
        "format": BUNDLE_FORMAT,
        "labels": list(LABELS),
        "image_size": IMAGE_SIZE,
        "temperature": temperature,
        "threshold": threshold,
        "sensitivity_aimed_at": SENSITIVITY,
        "logit_shift": shift.tolist(),
        "uncertain_band": list(band),
        "uncertain_band_measured": calibrate.measure_band(labels, p, threshold, band),
        "weights": _file("classifier.onnx", weights),
        "keras_weights": _file(vgg19.KERAS_WEIGHTS, keras_weights),
        "network": record["network"],
        "validation": {
            "images": len(clean),
            "patients": len(set(validation.groups)),
            "clean": measure(validation.labels, clean_p, validation.groups, threshold),
            "clean_and_stressed": measure(
                labels, p, np.tile(validation.groups, len(views)), threshold
            ),
        },
        "int8_against_keras": fidelity,
        "training": {
            k: record[k] for k in sorted(record.keys() - PRIVATE - {"network"})
        },
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "licence": LICENCE,
    }
    (out / "classifier.onnx").write_bytes(weights)
    _write_facts(out, facts)
    facts["selftest"] = _answer_phantoms(load_classifier(out))
    _write_facts(out, facts)
    return load_classifier(out)


def _file(name: str, content: bytes) -> dict:
    digest = hashlib.sha256(content).hexdigest()
    return {"file": name, "bytes": len(content), "sha256": digest}


def calibration_images(training: folder.Dataset) -> np.ndarray:
    """Return what int8 is calibrated on: training images, both classes equally.

    Returns:
        float32 (CALIBRATION_IMAGES, 128, 128, 1) in [0, 1], always the same.
    """
    rng = np.random.default_rng(0)
    each = CALIBRATION_IMAGES // len(LABELS)
    chosen = [
        rng.permutation(np.flatnonzero(training.labels == label))[:each]
        for label in range(len(LABELS))
    ]
    return folder.as_input(training.images[np.concatenate(chosen)])


def _write_facts(out: Path, facts: dict) -> None:
    (out / "bundle.json").write_text(json.dumps(facts, indent=2) + "\n")


def _compare(trained, small, images, temperature, threshold) -> dict:
    """Compare the quantised graph with Keras on images, both as they would answer."""
    logits, maps, evidence = in_batches(
        lambda batch: heatmaps.explain(trained, batch), images
    )
    small_logits, small_maps, _, small_evidence = run_graph(small, images)
    p = softmax(logits, temperature)[:, 1]
    small_p = softmax(small_logits, temperature)[:, 1]
    alike = (p >= threshold) == (small_p >= threshold)
    shown = (p >= threshold).astype(int)
    rows = np.arange(len(images))
    alike_maps = _correlate(maps[rows, shown], small_maps[rows, shown])
    return {
        "label_agreement": float(alike.mean()),
        "largest_probability_change": float(np.abs(p - small_p).max()),
        "mean_map_correlation": float(np.mean(alike_maps)),
        "least_map_correlation": float(np.min(alike_maps)),
        "mean_evidence_correlation": float(
            np.mean(_correlate(evidence, small_evidence))
        ),
    }


def _correlate(maps: np.ndarray, others: np.ndarray) -> list[float]:
    """Correlate pairs of maps (n, h, w) that are not flat."""
    return [
        float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
        for a, b in zip(maps, others, strict=True)
        if a.std() > 0 and b.std() > 0
    ]


def _answer_phantoms(classifier: Classifier) -> dict:
    """Return the probability of pneumonia for each shipped phantom, by file name."""
    return {
        path.name: predict(classifier, path.read_bytes()).p_pneumonia
        for path in phantoms()
    }
