"""How good a bundle is: report, predictions and plots."""

import csv
import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import kept
from ..contract import BUNDLE, LABELS
from ..data import folder
from ..data.patients import VALIDATION_SHARE
from ..figures.metrics import METRICS, confusion_counts, measure
from ..outputs import Outputs, in_batches
from ..serving.classifier import Classifier, load_classifier
from . import calibrate, stressed
from .stressed import Answer

EXCHANGED_BELOW = 0.3
"""AUROC under which the report asks whether the classes are exchanged."""


def run_all(
    classifier: Classifier, images: np.ndarray, progress: bool = True
) -> Outputs:
    """Run the graph over stored images in batches.

    Args:
        classifier: from `load_classifier`.
        images: uint8 (n, 224, 224, 1) as in `folder.Dataset`.
        progress: show a progress bar.

    Returns:
        What `Classifier.run` gives for all of them.
    """
    follow = partial(tqdm, desc="answering", unit="batch", disable=not progress)
    return Outputs(
        *in_batches(
            lambda batch: classifier.run(folder.as_input(batch)), images, follow
        )
    )


def find_boxes(bundle: str | Path | None, images: np.ndarray) -> np.ndarray:
    """Return the boxes of the lungs that a bundle's finder finds.

    Args:
        bundle: as in `load_classifier`.
        images: uint8 (n, 224, 224, 1) as in `folder.Dataset`.

    Returns:
        float32 (n, 4), as from `framing.boxes`.

    Raises:
        finder.FinderError: no finder lies in the bundle's folder.
    """
    from ..network import finder, framing  # the training framework loads slowly

    return framing.boxes(finder.find(finder.load(bundle or BUNDLE), images))


def evaluate(
    source: str | Path,
    out: str | Path,
    bundle: str | Path | None = None,
    *,
    validation_only: bool = False,
    share: float = VALIDATION_SHARE,
    under_stress: bool = False,
    engine: str = "onnx",
) -> dict:
    """Evaluate a bundle on a data set, and write report and plots.

    Threshold and temperature are the bundle's; nothing is tuned on `source`.

    Args:
        source: data-set folder or arrays, as in `folder.load`.
        out: folder for `report.json`, `predictions.csv` and the plots.
        bundle: as in `load_classifier`.
        validation_only: measure only the patients that training holds out; for the
            folder that the bundle was trained on.
        share: of the patients that training holds out: 0.3 for the extra data set that
            `train --extra` was given.
        under_stress: measure the same images changed in each of `stress.FAMILIES`, and
            each of `subgroups.SUBGROUPS`.
        engine: "onnx", what is served, or "keras", the network beside it as it was
            trained, on the training framework.

    Returns:
        What `report.json` holds.

    Raises:
        folder.DataError, BundleError, vgg19.WeightsError, finder.FinderError: source or
            bundle can't be used.
        kept.KeepError: nothing can be written to `out`.
    """
    kept.check(out)
    classifier = load_classifier(bundle)
    answer = _answer(classifier, bundle, engine)
    dataset = folder.load(source)
    unreadable = dataset.unreadable
    if validation_only:
        _, dataset = folder.split(dataset, share)
    p = answer(dataset.images)
    at = classifier.threshold
    report = {
        "n": len(p),
        "n_by_label": {
            name: int((dataset.labels == i).sum()) for i, name in enumerate(LABELS)
        },
        "patients": len(set(dataset.groups)),
        "unreadable": [list(pair) for pair in unreadable],
        **measure(dataset.labels, p, dataset.groups, at),
        "threshold": at,
        "temperature": classifier.temperature,
        "uncertain_band": list(classifier.uncertain_band),
        "band": calibrate.measure_band(
            dataset.labels, p, dataset.groups, at, classifier.uncertain_band
        ),
        "confusion": confusion_counts(dataset.labels, p, at),
        "answers": {
            name: np.sort(p[dataset.labels == i]).round(4).tolist()
            for i, name in enumerate(LABELS)
        },
        "bundle_sha256": classifier.sha256,
        "source": Path(source).name,
        "validation_only": validation_only,
        "held_out_share": share if validation_only else None,
        "engine": engine,
        "evaluated": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if under_stress:
        report["stress"] = stressed.measure_stress(
            dataset, answer, p, classifier, find_boxes(bundle, dataset.images)
        )
    from . import plots  # matplotlib takes a while to load

    with kept.all_of(out) as place:
        (place / "report.json").write_text(json.dumps(report, indent=2) + "\n")
        _write_predictions(place / "predictions.csv", dataset, p, classifier)
        plots.plot_answers(place, dataset.labels, p, at)
        if under_stress:
            plots.plot_stress(place, report)
    return report


def _answer(classifier: Classifier, bundle, engine: str) -> Answer:
    if engine == "onnx":

        def logits(images):
            return run_all(classifier, images).logits
    else:
        from ..network import finder, vgg19

        network, found_by = vgg19.load(bundle), finder.load(bundle or BUNDLE)

        def logits(images):
            seen = finder.Framed.by(found_by, images).shown(network)
            return vgg19.run_logits(network, seen)

    return lambda images: classifier.p_pneumonia(logits(images))


def _write_predictions(path: Path, dataset, p, classifier: Classifier) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "patient", "truth", "p_pneumonia", "label"])
        for name, patient, truth, value in zip(
            dataset.names, dataset.patients, dataset.labels, p, strict=True
        ):
            label, _ = classifier.decide(value)
            writer.writerow(
                [name, patient, LABELS[truth], f"{value:.6f}", LABELS[label]]
            )


def summarise(report: dict) -> str:
    """Return the report's metrics as a table."""
    lines = [f"{report['n']} images of {report['patients']} patients"]
    for name in METRICS:
        value, (low, high) = report[name]["value"], report[name]["ci95"]
        lines.append(f"{name:<12} {value:.4f}   95 % interval {low:.4f} to {high:.4f}")
    counts = ", ".join(
        f"{k.replace('_', ' ')} {v}" for k, v in report["confusion"].items()
    )
    lines.append(f"at threshold {report['threshold']:.4f}: {counts}")
    if report["auroc"]["value"] < EXCHANGED_BELOW:
        lines.append(
            "An AUROC so near to 0 is rare by chance. Are the images of the folders "
            "NORMAL and PNEUMONIA exchanged?"
        )
    if "stress" in report:
        lines += ["", *stressed.lines(report["stress"])]
    return "\n".join(lines)
