"""How good answers are: metrics with intervals over patients."""

from collections.abc import Callable, Iterator

import numpy as np

CALIBRATION_BINS = 10
BOOTSTRAP_ROUNDS = 1000
_WEIGHTS_AT_ONCE = 2**21  # of bootstrap samples, 16 MiB

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]
"""(labels (n,), probabilities of pneumonia (n,), weights (..., n), threshold) -> (...).

Weights of many bootstrap samples are measured at once, because scikit-learn checks its
arguments anew in each call, which takes many times longer than the sums."""


def _confusion(labels, p, weights, threshold):
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


def _accuracy(labels, p, weights, threshold):
    tn, fp, fn, tp = _confusion(labels, p, weights, threshold)
    return _ratio(tn + tp, tn + fp + fn + tp)


def _sensitivity(labels, p, weights, threshold):
    _, _, fn, tp = _confusion(labels, p, weights, threshold)
    return _ratio(tp, fn + tp)


def _specificity(labels, p, weights, threshold):
    tn, fp, _, _ = _confusion(labels, p, weights, threshold)
    return _ratio(tn, tn + fp)


def _positives(labels, p, weights):
    """Return the weights of false and true positives (..., k), from no answer on.

    Each column takes one more of the distinct probabilities for the threshold.
    """
    order = np.argsort(-p, kind="stable")
    last = np.flatnonzero(np.diff(p[order], append=-1))  # of equal probabilities
    counts = (np.cumsum((weights * (labels == a))[..., order], axis=-1) for a in (0, 1))
    zero = np.zeros((*weights.shape[:-1], 1))
    return [np.concatenate([zero, count[..., last]], axis=-1) for count in counts]


def _auroc(labels, p, weights, threshold):
    fp, tp = _positives(labels, p, weights)
    return _ratio(np.trapezoid(tp, fp), fp[..., -1] * tp[..., -1])


def _auprc(labels, p, weights, threshold):
    """Average precision: precision at each threshold, weighted by the recall gained."""
    fp, tp = _positives(labels, p, weights)
    gained = np.diff(tp)
    precision = np.nan_to_num(_ratio(tp, fp + tp))[..., 1:]
    return _ratio((gained * precision).sum(axis=-1), tp[..., -1])


def alike(labels: np.ndarray, weights: np.ndarray | float = 1.0) -> np.ndarray:
    """Scale weights as if every second image showed pneumonia.

    Args:
        labels: int (n,), indices into LABELS.
        weights: float (..., n), or one of all.

    Returns:
        float (..., n), of sum one half over each label; nan where one is missing.
    """
    parts = np.stack([weights * (labels == label) for label in (0, 1)])
    return _ratio(parts, 2 * parts.sum(axis=-1, keepdims=True)).sum(axis=0)


def _ece(labels, p, weights, threshold):
    """Expected calibration error of p over equal-width bins (Naeini et al. 2015)."""
    gaps = (alike(labels, weights) * (p - labels)) @ np.eye(CALIBRATION_BINS)[_bins(p)]
    return np.abs(gaps).sum(axis=-1)


def _brier(labels, p, weights, threshold):
    return alike(labels, weights) @ (p - labels) ** 2


def _bins(p: np.ndarray) -> np.ndarray:
    return np.minimum((p * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)


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
        name: float(metric(labels, p_pneumonia, once, threshold))
        for name, metric in METRICS.items()
    }
    _, of_patient = np.unique(patients, return_inverse=True)
    drawn = {name: [] for name in METRICS}
    for times in _draw_patients(of_patient.max() + 1, len(labels), rounds, seed):
        weights = times[:, of_patient]
        positive = weights @ labels
        # a sample of one class has no AUROC
        weights = weights[(positive > 0) & (positive < weights.sum(axis=1))]
        for name, metric in METRICS.items():
            drawn[name].append(metric(labels, p_pneumonia, weights, threshold))
    return {
        name: {"value": values[name], "ci95": _interval(np.concatenate(samples))}
        for name, samples in drawn.items()
    }


def _draw_patients(
    count: int, images: int, rounds: int, seed: int
) -> Iterator[np.ndarray]:
    """Yield how often each patient is in a bootstrap sample, float64 (some, count)."""
    rng = np.random.default_rng(seed)
    for begun in range(0, rounds, step := max(1, _WEIGHTS_AT_ONCE // images)):
        chosen = rng.integers(count, size=(min(step, rounds - begun), count))
        yield np.stack([np.bincount(row, minlength=count) for row in chosen]) * 1.0


def _interval(samples: np.ndarray) -> list[float]:
    """Return the 95 % interval of bootstrap samples, nan without any."""
    if not len(samples):
        return [float("nan")] * 2
    return [float(edge) for edge in np.percentile(samples, [2.5, 97.5])]


def confusion_counts(labels: np.ndarray, p: np.ndarray, threshold: float) -> dict:
    """Count true and false answers; positive means pneumonia."""
    names = ("true_negative", "false_positive", "false_negative", "true_positive")
    counts = _confusion(labels, p, np.ones(len(labels)), threshold)
    return {name: int(count) for name, count in zip(names, counts, strict=True)}


def reliability(labels: np.ndarray, p: np.ndarray) -> list[dict]:
    """Compare predicted probabilities with what happened, bin by bin.

    Returns:
        For each bin of equal width that holds images: their number `n`, the mean
        `predicted` probability of pneumonia and the share `observed` that has it, both
        labels weighed alike.
    """
    bins, weights = _bins(p), alike(labels)
    found = []
    for one in np.unique(bins):
        here = bins == one
        predicted, observed = (
            float(np.average(values[here], weights=weights[here]))
            for values in (p, labels)
        )
        row = {"n": int(here.sum()), "predicted": predicted, "observed": observed}
        found.append(row)
    return found


def mean_with_interval(
    values: np.ndarray, groups: np.ndarray, rounds: int = BOOTSTRAP_ROUNDS
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
