"""How good answers are: metrics with intervals over patients."""

from collections.abc import Callable

import numpy as np
from sklearn import metrics

from .classifier import LABELS

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


def reliability(labels: np.ndarray, p: np.ndarray) -> list[dict]:
    """Compare predicted probabilities with what happened, bin by bin.

    Returns:
        For each bin of equal width that holds images: their number `n`, the mean
        `predicted` probability of pneumonia and the share `observed` that has it.
    """
    bins = np.minimum((p * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return [
        {
            "n": int((bins == bin_).sum()),
            "predicted": float(p[bins == bin_].mean()),
            "observed": float(labels[bins == bin_].mean()),
        }
        for bin_ in np.unique(bins)
    ]


def mean_with_interval(
    values: np.ndarray, groups: np.ndarray, rounds: int = 300
) -> dict | None:
    """Average one number for each image.

    Args:
        values: float (n,).
        groups: (n,), the patient of each.
        rounds: bootstrap samples over patients.

    Returns:
        `value` and `ci95`, a 95 % interval over patients; None without values.
    """
    if not len(values):
        return None
    _, of_patient = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(of_patient, values), np.bincount(of_patient)
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(counts), size=(rounds, len(counts)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {"value": float(values.mean()), "ci95": [float(low), float(high)]}
