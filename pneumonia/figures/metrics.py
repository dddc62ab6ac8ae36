"""How good answers are: metrics with intervals over patients."""

from collections.abc import Callable

import numpy as np

from . import intervals
from .reliability import BINS, alike, bins

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]
"""(labels (n,), probabilities of pneumonia (n,), weights (..., n), threshold) -> (...).

Weights of many bootstrap samples are measured at once, because scikit-learn checks its
arguments anew in each call, which takes many times longer than the sums."""


def _confusion(
    labels: np.ndarray, p: np.ndarray, weights: np.ndarray, threshold: float
) -> list[np.ndarray]:
    """Return the weights of true and false negatives and positives: TN, FP, FN, TP."""
    called = p >= threshold
    return [
        weights[..., (labels == actual) & (called == answer)].sum(axis=-1)
        for actual in (0, 1)
        for answer in (False, True)
    ]


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.divide(part, whole)  # nan where there is nothing


def _accuracy(
    labels: np.ndarray, p: np.ndarray, weights: np.ndarray, threshold: float
) -> np.ndarray:
    tn, fp, fn, tp = _confusion(labels, p, weights, threshold)
    return _ratio(tn + tp, tn + fp + fn + tp)


def _sensitivity(
    labels: np.ndarray, p: np.ndarray, weights: np.ndarray, threshold: float
) -> np.ndarray:
    _, _, fn, tp = _confusion(labels, p, weights, threshold)
    return _ratio(tp, fn + tp)


def _specificity(
    labels: np.ndarray, p: np.ndarray, weights: np.ndarray, threshold: float
) -> np.ndarray:
    tn, fp, _, _ = _confusion(labels, p, weights, threshold)
    return _ratio(tn, tn + fp)


def _positives(
    labels: np.ndarray, p: np.ndarray, weights: np.ndarray
) -> list[np.ndarray]:
    """Return the weights of false and true positives (..., k), from no answer on.

    Each column takes one more of the distinct probabilities for the threshold.
    """
    order = np.argsort(-p, kind="stable")
    last = np.flatnonzero(np.diff(p[order], append=-1))  # of equal probabilities
    counts = (np.cumsum((weights * (labels == a))[..., order], axis=-1) for a in (0, 1))
    zero = np.zeros((*weights.shape[:-1], 1))
    return [np.concatenate([zero, count[..., last]], axis=-1) for count in counts]


def auroc(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Measure how often a pneumonia scores higher than a normal; a tie counts half.

    Args:
        labels: int (n,), indices into LABELS.
        scores: float (n,), higher for pneumonia; of any range.
        weights: float (..., n), of each image in each sample; None: all count once.

    Returns:
        The area under the ROC curve, float (...) in [0, 1]; nan where a label is
        missing.
    """
    once = np.ones(len(labels)) if weights is None else weights
    fp, tp = _positives(labels, scores, once)
    return _ratio(np.trapezoid(tp, fp), fp[..., -1] * tp[..., -1])


def _auroc(
    labels: np.ndarray, p: np.ndarray, weights: np.ndarray, threshold: float
) -> np.ndarray:
    return auroc(labels, p, weights)


def _auprc(
    labels: np.ndarray, p: np.ndarray, weights: np.ndarray, threshold: float
) -> np.ndarray:
    """Average precision: precision at each threshold, weighted by the recall gained."""
    fp, tp = _positives(labels, p, weights)
    gained = np.diff(tp)
    precision = np.nan_to_num(_ratio(tp, fp + tp))[..., 1:]
    return _ratio((gained * precision).sum(axis=-1), tp[..., -1])


def _ece(
    labels: np.ndarray, p: np.ndarray, weights: np.ndarray, threshold: float
) -> np.ndarray:
    """Expected calibration error of p over equal-width bins (Naeini et al. 2015)."""
    gaps = (alike(labels, weights) * (p - labels)) @ np.eye(BINS)[bins(p)]
    return np.abs(gaps).sum(axis=-1)


def _brier(
    labels: np.ndarray, p: np.ndarray, weights: np.ndarray, threshold: float
) -> np.ndarray:
    return alike(labels, weights) @ (p - labels) ** 2


METRICS: dict[str, Metric] = {
    "accuracy": _accuracy,
    "sensitivity": _sensitivity,
    "specificity": _specificity,
    "auroc": _auroc,
    "auprc": _auprc,
    "ece": _ece,
    "brier": _brier,
}
"""What is measured. Sensitivity and specificity are of pneumonia, at the threshold.

The calibration error and the Brier score weigh both labels alike, as `calibrate.fit`
does.
"""

SHOWN = ("accuracy", "sensitivity", "specificity", "auroc", "ece")
"""Those that tables show."""

LOWER_IS_BETTER = {"ece", "brier"}


def measure(
    labels: np.ndarray,
    p_pneumonia: np.ndarray,
    patients: np.ndarray,
    threshold: float,
    *,
    rounds: int = intervals.ROUNDS,
    seed: int = 0,
) -> dict[str, intervals.Figure]:
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
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in METRICS}
    for weights in intervals.by_patient(patients, rounds, seed):
        positive = weights @ labels
        # a sample of one class has no AUROC
        weights = weights[(positive > 0) & (positive < weights.sum(axis=1))]
        for name, metric in METRICS.items():
            drawn[name].append(metric(labels, p_pneumonia, weights, threshold))
    return {
        name: {
            "value": float(metric(labels, p_pneumonia, once, threshold)),
            "ci95": intervals.middle(np.concatenate(drawn[name])),
        }
        for name, metric in METRICS.items()
    }


def measure_auroc(labels: np.ndarray, p: np.ndarray) -> intervals.Figure:
    """Measure the AUROC where nobody knows whose image is whose.

    Args:
        labels: int (n,), indices into LABELS; both classes occur.
        p: float (n,).

    Returns:
        `value`, and `ci95` by bootstrap over the images of each label.
    """
    drawn = [auroc(labels, p, weights) for weights in intervals.by_label(labels)]
    ends = intervals.middle(np.concatenate(drawn))
    return {"value": float(auroc(labels, p)), "ci95": ends}


def confusion_counts(
    labels: np.ndarray, p: np.ndarray, threshold: float
) -> dict[str, int]:
    """Count true and false answers; positive means pneumonia."""
    names = ("true_negative", "false_positive", "false_negative", "true_positive")
    counts = _confusion(labels, p, np.ones(len(labels)), threshold)
    return {name: int(count) for name, count in zip(names, counts, strict=True)}
