"""How good a bundle is: metrics with intervals, report and plots."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sklearn import metrics
from tqdm import tqdm

from . import data
from .classifier import LABELS, Classifier, load_classifier

BATCH = 16
CALIBRATION_BINS = 10
BOOTSTRAP_ROUNDS = 1000

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray, float], float]
"""(labels (n,), probabilities of pneumonia (n,), weights (n,), threshold) -> value."""


def _confusion(labels, p, weights, threshold):
    """Return the weights of true and false negatives and positives: TN, FP, FN, TP."""
    called = p >= threshold
    return [
        float(weights[(labels == actual) & (called == answer)].sum())
        for actual in (0, 1)
        for answer in (False, True)
    ]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _accuracy(labels, p, weights, threshold):
    tn, fp, fn, tp = _confusion(labels, p, weights, threshold)
    return _ratio(tn + tp, tn + fp + fn + tp)


def _sensitivity(labels, p, weights, threshold):
    _, _, fn, tp = _confusion(labels, p, weights, threshold)
    return _ratio(tp, fn + tp)


def _specificity(labels, p, weights, threshold):
    tn, fp, _, _ = _confusion(labels, p, weights, threshold)
    return _ratio(tn, tn + fp)


def _auroc(labels, p, weights, threshold):
    return float(metrics.roc_auc_score(labels, p, sample_weight=weights))


def _auprc(labels, p, weights, threshold):
    return float(metrics.average_precision_score(labels, p, sample_weight=weights))


def _ece(labels, p, weights, threshold):
    """Expected calibration error of p over equal-width bins (Naeini et al. 2015)."""
    bins = np.minimum((p * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights * (p - labels), CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def _brier(labels, p, weights, threshold):
    return float(np.average((p - labels) ** 2, weights=weights))


METRICS: dict[str, Metric] = {
    "accuracy": _accuracy,
    "sensitivity": _sensitivity,
    "specificity": _specificity,
    "auroc": _auroc,
    "auprc": _auprc,
    "ece": _ece,
    "brier": _brier,
}
"""What is measured. Sensitivity and specificity are of pneumonia, at the threshold."""


def measure(
    labels: np.ndarray,
    p_pneumonia: np.ndarray,
    patients: np.ndarray,
    threshold: float,
    *,
    rounds: int = BOOTSTRAP_ROUNDS,
    seed: int = 0,
) -> dict[str, dict]:
    """Measure every metric with its 95 % interval.

    The interval is a percentile bootstrap over patients: images of one patient are
    drawn together, because they resemble each other.

    Args:
        labels: int (n,), indices into LABELS; both classes occur.
        p_pneumonia: float (n,) in [0, 1].
        patients: (n,) patient of each image.
        threshold: probability from which the answer is pneumonia.
        rounds: bootstrap samples.
        seed: of the bootstrap.

    Returns:
        `{"value": v, "ci95": [lo, hi]}` for each key of METRICS.
    """
    once = np.ones(len(labels))
    values = {
        name: m(labels, p_pneumonia, once, threshold) for name, m in METRICS.items()
    }
    _, of_patient = np.unique(patients, return_inverse=True)
    count = of_patient.max() + 1
    rng = np.random.default_rng(seed)
    drawn = {name: [] for name in METRICS}
    for _ in range(rounds):
        times = np.bincount(rng.integers(count, size=count), minlength=count)
        weights = times[of_patient].astype(float)
        if len(set(labels[weights > 0])) < len(LABELS):
            continue  # a sample of one class has no AUROC
        for name, metric in METRICS.items():
            drawn[name].append(metric(labels, p_pneumonia, weights, threshold))
    return {
        name: {
            "value": values[name],
            "ci95": [float(edge) for edge in np.percentile(drawn[name], [2.5, 97.5])]
            if drawn[name]
            else [float("nan")] * 2,
        }
        for name in METRICS
    }


def confusion_counts(labels: np.ndarray, p: np.ndarray, threshold: float) -> dict:
    """Count true and false answers; positive means pneumonia."""
    names = ("true_negative", "false_positive", "false_negative", "true_positive")
    counts = _confusion(labels, p, np.ones(len(labels)), threshold)
    return {name: int(count) for name, count in zip(names, counts, strict=True)}


def run_all(classifier: Classifier, images: np.ndarray, progress: bool = True):
    """Run the graph over stored images in batches.

    Args:
        classifier: from `load_classifier`.
        images: uint8 (n, 128, 128, 1) as in `data.Dataset`.
        progress: show a progress bar.

    Returns:
        logits float32 (n, 2), maps float32 (n, 2, 8, 8), embedding float32 (n, 512).
    """
    starts = range(0, len(images), BATCH)
    parts = [
        classifier.run(data.as_input(images[start : start + BATCH]))
        for start in tqdm(starts, desc="answering", unit="batch", disable=not progress)
    ]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def evaluate(
    source: str | Path,
    out: str | Path,
    bundle: str | Path | None = None,
    *,
    validation_only: bool = False,
) -> dict:
    """Evaluate a bundle on a data set, and write report and plots.

    Threshold and temperature are the bundle's; nothing is tuned on `source`.

    Args:
        source: data-set folder or arrays, as in `data.load`.
        out: folder for `report.json`, `predictions.csv` and the plots.
        bundle: as in `load_classifier`.
        validation_only: measure only the patients that training holds out; for the
            folder that the bundle was trained on.

    Returns:
        What `report.json` holds.

    Raises:
        data.DataError, BundleError: source or bundle can't be used.
    """
    classifier = load_classifier(bundle)
    dataset = data.load(source)
    if validation_only:
        _, dataset = data.split(dataset)
    logits, _, _ = run_all(classifier, dataset.images)
    p = classifier.probabilities(logits)[:, 1]
    report = {
        "n": len(p),
        "n_by_label": {
            name: int((dataset.labels == i).sum()) for i, name in enumerate(LABELS)
        },
        "patients": len(set(dataset.patients)),
        "unreadable": [list(pair) for pair in dataset.unreadable],
        **measure(dataset.labels, p, dataset.patients, classifier.threshold),
        "threshold": classifier.threshold,
        "temperature": classifier.temperature,
        "uncertain_band": list(classifier.uncertain_band),
        "confusion": confusion_counts(dataset.labels, p, classifier.threshold),
        "bundle_sha256": classifier.sha256,
        "source": str(source),
        "validation_only": validation_only,
        "evaluated": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    _write_predictions(out / "predictions.csv", dataset, p, classifier)
    plot(out, dataset.labels, p, classifier.threshold)
    return report


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


def plot(out: Path, labels: np.ndarray, p: np.ndarray, threshold: float) -> None:
    """Draw ROC, precision-recall, confusion matrix and reliability into `out`."""
    from matplotlib.figure import Figure

    def draw(name, paint):
        figure = Figure(figsize=(5, 4.5), layout="constrained")
        axis = figure.subplots()
        paint(axis)
        axis.set_title(name.replace("_", " "))
        figure.savefig(out / f"{name}.png", dpi=120)

    once = np.ones(len(labels))
    sensitivity = _sensitivity(labels, p, once, threshold)
    specificity = _specificity(labels, p, once, threshold)

    def roc(axis):
        false_positive, true_positive, _ = metrics.roc_curve(labels, p)
        area = _auroc(labels, p, once, threshold)
        axis.plot(false_positive, true_positive, label=f"AUROC {area:.3f}")
        axis.plot(1 - specificity, sensitivity, "o", label=f"threshold {threshold:.2f}")
        axis.set(xlabel="1 - specificity", ylabel="sensitivity")
        axis.grid(alpha=0.3)
        axis.legend()

    def precision_recall(axis):
        precision, recall, _ = metrics.precision_recall_curve(labels, p)
        area = _auprc(labels, p, once, threshold)
        axis.plot(recall, precision, label=f"average precision {area:.3f}")
        axis.axhline(labels.mean(), color="grey", ls=":", label="always pneumonia")
        axis.set(
            xlabel="sensitivity (recall)", ylabel="PPV (precision)", ylim=(0, 1.02)
        )
        axis.grid(alpha=0.3)
        axis.legend()

    def confusion(axis):
        table = metrics.confusion_matrix(labels, p >= threshold, labels=[0, 1])
        metrics.ConfusionMatrixDisplay(table, display_labels=LABELS).plot(
            ax=axis, cmap="Blues", colorbar=False
        )

    def reliability(axis):
        edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
        bins = np.clip(np.digitize(p, edges) - 1, 0, CALIBRATION_BINS - 1)
        axis.plot([0, 1], [0, 1], ":", color="grey", label="perfectly calibrated")
        for bin_ in np.unique(bins):
            chosen = bins == bin_
            axis.scatter(
                p[chosen].mean(),
                labels[chosen].mean(),
                s=20 + 300 * chosen.mean(),
                color="C0",
            )
        axis.set(
            xlabel="predicted probability of pneumonia",
            ylabel="share that has pneumonia",
        )
        axis.grid(alpha=0.3)
        axis.legend()

    for name, paint in (
        ("roc", roc),
        ("precision_recall", precision_recall),
        ("confusion", confusion),
        ("reliability", reliability),
    ):
        draw(name, paint)


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
    return "\n".join(lines)
