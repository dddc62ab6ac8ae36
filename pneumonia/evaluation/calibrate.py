"""From logits to an answer: temperature, threshold, uncertain band.

All of them are chosen on validation patients at export, and never where they are
measured.
"""

import numpy as np
from scipy.optimize import minimize_scalar

from ..serving.classifier import softmax


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature with the least negative log-likelihood (Guo et al. 2017).

    Args:
        logits: float (n, 2).
        labels: int (n,), indices into LABELS.

    Returns:
        A factor in [0.05, 20] by which logits are divided.
    """

    def loss(log_temperature: float) -> float:
        p = softmax(logits, float(np.exp(log_temperature)))
        return -float(np.log(np.maximum(p[np.arange(len(p)), labels], 1e-12)).mean())

    found = minimize_scalar(loss, bounds=np.log([0.05, 20]), method="bounded")
    return float(np.exp(found.x))


def threshold_at_sensitivity(
    labels: np.ndarray, p_pneumonia: np.ndarray, sensitivity: float
) -> float:
    """Choose the highest threshold that still finds a share of the pneumonias.

    All that is left goes to specificity: on an unseen batch it is the normal images
    that are misjudged.

    Args:
        labels: int (n,), indices into LABELS.
        p_pneumonia: float (n,), probability, or anything that grows with it.
        sensitivity: share of the pneumonias at or above the threshold, in (0, 1).
    """
    positives = np.sort(p_pneumonia[labels == 1])
    missed = int((1 - sensitivity) * len(positives))  # how many may lie below
    below = positives[missed - 1] if missed else positives[0] - 1e-6
    return float((below + positives[missed]) / 2)


def choose_threshold(labels: np.ndarray, p_pneumonia: np.ndarray) -> float:
    """Choose where sensitivity plus specificity is greatest (Youden 1950).

    Of the range of equally good thresholds, its middle.
    """
    candidates = np.unique(p_pneumonia)
    middles = (candidates[1:] + candidates[:-1]) / 2
    positives, negatives = p_pneumonia[labels == 1], p_pneumonia[labels == 0]
    sensitivity = 1 - np.searchsorted(np.sort(positives), middles) / len(positives)
    specificity = np.searchsorted(np.sort(negatives), middles) / len(negatives)
    youden = sensitivity + specificity
    best = middles[youden >= youden.max() - 1e-9]
    return float((best.min() + best.max()) / 2)


def choose_uncertain_band(
    labels: np.ndarray, p_pneumonia: np.ndarray, threshold: float, share: float = 0.1
) -> tuple[float, float]:
    """Choose the band around the threshold that holds `share` of each side's answers.

    Args:
        labels: int (n,).
        p_pneumonia: float (n,) in [0, 1].
        threshold: probability from which the answer is pneumonia.
        share: of the answers below and of those above the threshold, how many of the
            nearest are called uncertain.

    Returns:
        Lowest and highest probability that is called uncertain.
    """
    below, above = (
        p_pneumonia[p_pneumonia < threshold],
        p_pneumonia[p_pneumonia >= threshold],
    )
    low = float(np.quantile(below, 1 - share)) if len(below) else threshold
    high = float(np.quantile(above, share)) if len(above) else threshold
    return low, high


def measure_band(
    labels: np.ndarray,
    p_pneumonia: np.ndarray,
    threshold: float,
    band: tuple[float, float],
) -> dict:
    """Measure how many answers an uncertain band holds, and how wrong they are.

    Args:
        labels: int (n,).
        p_pneumonia: float (n,) in [0, 1].
        threshold: probability from which the answer is pneumonia.
        band: lowest and highest probability that is called uncertain.

    Returns:
        `band` [lo, hi]; `coverage`, the share of images outside it, which get a certain
        answer; `error_inside` and `error_outside`, shares of wrong answers.
    """
    low, high = band
    wrong = (p_pneumonia >= threshold) != (labels == 1)
    inside = (p_pneumonia >= low) & (p_pneumonia <= high)
    return {
        "band": [float(low), float(high)],
        "coverage": float((~inside).mean()),
        "error_inside": _share(wrong[inside]),
        "error_outside": _share(wrong[~inside]),
    }


def _share(wrong: np.ndarray) -> float | None:
    return float(wrong.mean()) if len(wrong) else None
