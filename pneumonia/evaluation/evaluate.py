"""How good a bundle is: report, predictions and plots."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_curve
from tqdm import tqdm

from ..contract import LABELS
from ..data import folder, stress, subgroups
from ..data.patients import VALIDATION_SHARE
from ..serving.classifier import Classifier, in_batches, load_classifier
from . import calibrate
from .metrics import (
    LOWER_IS_BETTER,
    METRICS,
    SHOWN,
    confusion_counts,
    measure,
    reliability,
)

ENGINES = ("onnx", "keras")

EXCHANGED_BELOW = 0.3
"""AUROC under which the report asks whether the classes are exchanged."""

Answer = Callable[[np.ndarray], np.ndarray]
"""uint8 (n, 128, 128, 1), as stored -> calibrated p of pneumonia, float64 (n,)."""


def run_all(classifier: Classifier, images: np.ndarray, progress: bool = True):
    """Run the graph over stored images in batches.

    Args:
        classifier: from `load_classifier`.
        images: uint8 (n, 128, 128, 1) as in `folder.Dataset`.
        progress: show a progress bar.

    Returns:
        logits float32 (n, 2), maps float32 (n, 2, 8, 8), embedding float32 (n, 512) and
        evidence float32 (n, 8, 8), as in `Classifier.run`.
    """
    follow = partial(tqdm, desc="answering", unit="batch", disable=not progress)
    return in_batches(
        lambda batch: classifier.run(folder.as_input(batch)), images, follow
    )


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
        folder.DataError, BundleError, vgg19.WeightsError: source or bundle can't be
            used.
    """
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
            dataset.labels, p, at, classifier.uncertain_band
        ),
        "confusion": confusion_counts(dataset.labels, p, at),
        "curves": _curves(dataset.labels, p),
        "bundle_sha256": classifier.sha256,
        "source": Path(source).name,
        "validation_only": validation_only,
        "held_out_share": share if validation_only else None,
        "engine": engine,
        "evaluated": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if under_stress:
        report["stress"] = measure_stress(dataset, answer, p, classifier)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    _write_predictions(out / "predictions.csv", dataset, p, classifier)

    from . import plots  # matplotlib takes a while to load

    plots.plot_answers(out, dataset.labels, p, at)
    if under_stress:
        plots.plot_stress(out, report)
    return report


def _answer(classifier: Classifier, bundle, engine: str) -> Answer:
    if engine == "onnx":

        def logits(images):
            return run_all(classifier, images)[0]
    else:
        from ..network import vgg19

        model = vgg19.load(bundle)

        def logits(images):
            return vgg19.run_logits(model, folder.as_input(images))

    return lambda images: classifier.p_pneumonia(logits(images))


def measure_stress(
    dataset: folder.Dataset, answer: Answer, clean: np.ndarray, classifier: Classifier
) -> dict:
    """Measure a bundle on a data set under every family of changes, and in subgroups.

    Args:
        dataset: images that training did not see.
        answer: images -> probabilities of pneumonia.
        clean: its answers to the images as they are, float (n,).
        classifier: the bundle, for its threshold and what it was trained on.

    Returns:
        `families`, `groups`, `all` (every family together), `worst` (metric -> family)
        and `band`, as the model card shows them.
    """
    at = classifier.threshold
    used = classifier.facts["training"]["settings"]["augmentation"]
    families, answers = {}, []
    for name, family in stress.FAMILIES.items():
        answers.append(answer(stress.changed(dataset.images, dataset.labels, name)))
        families[name] = {
            "what": family.what,
            "seen_in_training": stress.seen_in_training(name, used),
            "n": len(clean),
            **measure(dataset.labels, answers[-1], dataset.groups, at),
        }
    labels = np.tile(dataset.labels, len(answers))
    patients = np.tile(dataset.groups, len(answers))
    everything = np.concatenate(answers)
    return {
        "families": families,
        "groups": _measure_subgroups(dataset, clean, at),
        "all": measure(labels, everything, patients, at),
        "band": calibrate.measure_band(
            labels, everything, at, classifier.uncertain_band
        ),
        "worst": {
            metric: (max if metric in LOWER_IS_BETTER else min)(
                families, key=lambda name: families[name][metric]["value"]
            )
            for metric in METRICS
        },
    }


def _measure_subgroups(dataset: folder.Dataset, p: np.ndarray, at: float) -> dict:
    """Measure each subgroup that the data set has, against all of the other class."""
    measured = {}
    for name in subgroups.SUBGROUPS:
        chosen = subgroups.with_other_class(dataset, name)
        if len(set(dataset.labels[chosen])) == len(LABELS):
            measured[name] = {
                "n": int(subgroups.mask(dataset, name).sum()),
                **measure(
                    dataset.labels[chosen],
                    p[chosen],
                    dataset.groups[chosen],
                    at,
                ),
            }
    return measured


def _curves(labels: np.ndarray, p: np.ndarray) -> dict:
    """Return ROC and reliability as points, so that pages can draw them."""
    false_positive, true_positive, thresholds = roc_curve(labels, p)
    return {
        "roc": {
            "false_positive_rate": np.round(false_positive, 5).tolist(),
            "sensitivity": np.round(true_positive, 5).tolist(),
            "threshold": np.round(np.minimum(thresholds, 1), 5).tolist(),
        },
        "reliability": reliability(labels, p),
    }


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
        lines += ["", *_stress_lines(report["stress"])]
    return "\n".join(lines)


def _stress_lines(measured: dict) -> list[str]:
    lines = [f"{'under stress':<22}" + "".join(f"{name:>13}" for name in SHOWN)]

    def line(name: str, row: dict) -> str:
        return f"{name:<22}" + "".join(f"{row[n]['value']:>13.3f}" for n in SHOWN)

    by_accuracy = sorted(
        measured["families"].items(), key=lambda pair: pair[1]["accuracy"]["value"]
    )
    lines += [line(name, row) for name, row in by_accuracy]
    lines.append(line("all families", measured["all"]))
    lines += [line(name, row) for name, row in measured["groups"].items()]
    worst = measured["worst"]
    lines.append("worst: " + ", ".join(f"{n} under {worst[n]}" for n in SHOWN))
    return lines
