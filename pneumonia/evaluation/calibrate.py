"""From logits to an answer: calibration, threshold, uncertain band.

All of them are chosen on validation patients at export, and never where they are
measured.
"""

import numpy as np
from scipy.optimize import minimize

from ..contract import LABELS
from ..figures.reliability import alike
from ..figures.thresholds import both_rates

ERROR = 0.03
"""Share of each label's X-rays that may get a certain wrong answer."""


def fit(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | float = 1.0
) -> tuple[float, float]:
    """Fit what turns logits into probabilities that are right on average.

    Platt scaling (1999) in the terms of Guo et al. (2017): the offset and the
    temperature with the least negative log-likelihood. Both labels weigh alike. So a
    probability is that of an X-ray among which every second one shows pneumonia, and
    from one half on both errors count the same.

    Args:
        logits: float (n, 2).
        labels: int (n,), indices into LABELS.
        weights: float (n,), of the images among those of their label.

    Returns:
        A temperature in [0.05, 20], by which logits are divided, and an offset, which
        is added to pneumonia's logit less normal's before.
    """
    margins, signs = logits[:, 1] - logits[:, 0], 2 * labels - 1
    weights = alike(labels, weights)

    def loss(parameters: np.ndarray) -> float:
        log_temperature, offset = parameters
        odds = signs * (margins + offset) / np.exp(log_temperature)
        return float(weights @ np.logaddexp(0, -odds))

    bounds = [(np.log(0.05), np.log(20)), (-20, 20)]
    found = minimize(loss, (0.0, 0.0), method="L-BFGS-B", bounds=bounds)
    return float(np.exp(found.x[0])), float(found.x[1])


def choose_threshold(labels: np.ndarray, p_pneumonia: np.ndarray) -> float:
    """Choose where sensitivity plus specificity is greatest (Youden 1950).

    Of the range of equally good thresholds, its middle.
    """
    candidates = np.unique(p_pneumonia)
    middles = (candidates[1:] + candidates[:-1]) / 2
    youden = np.add(*both_rates(labels, p_pneumonia, middles))
    best = middles[youden >= youden.max() - 1e-9]
    return float((best.min() + best.max()) / 2)


def conformal_band(
    labels: np.ndarray,
    p_pneumonia: np.ndarray,
    groups: np.ndarray,
    threshold: float,
    error: float = ERROR,
) -> tuple[float, float]:
    """Choose the band of probabilities in which no answer is called certain.

    Class-conditional conformal prediction (Vovk, "Conditional validity of inductive
    conformal predictors", ACML 2012), where several pictures are of one patient (Lee,
    Barber and Willett, "Distribution-free inference with hierarchical data", 2023):
    take a new patient with pneumonia, and one of his pictures. It lies below the band,
    and is called a certain Normal, with at most the probability `error`; one of a new
    patient without lies above with at most as much. It holds on average over patients
    who are drawn as those here, whatever the network. It promises nothing of other
    hospitals.

    Args:
        labels: int (n,), of patients that training did not see.
        p_pneumonia: float (n,) in [0, 1].
        groups: (n,), the patient of each. All pictures of one weigh as much as one.
        threshold: probability from which the answer is pneumonia; the band holds it.
        error: the share, in (0, 1).

    Returns:
        Lowest and highest probability that is called uncertain.
    """

    def lowest(scores: np.ndarray, label: int) -> float:
        of_class = labels == label
        values, weights = scores[of_class], by_patient(groups[of_class])
        order = np.argsort(values)
        values, mass = values[order], np.cumsum(weights[order])
        first = np.searchsorted(values, values)
        below = np.concatenate([[0], mass])[first]  # patients, in shares of pictures
        allowed = error * (weights.sum() + 1) - 1  # the new patient is one, too
        enough = values[below <= allowed + 1e-9]
        return float(enough[-1]) if len(enough) else 0.0

    low = lowest(p_pneumonia, 1)
    high = 1 - lowest(1 - p_pneumonia, 0)
    return min(low, threshold), max(high, threshold)


def by_patient(groups: np.ndarray) -> np.ndarray:
    """Return weights (n,) with which all pictures of a patient (n,) weigh one."""
    _, patient, pictures = np.unique(groups, return_inverse=True, return_counts=True)
    return 1 / pictures[patient]


def measure_band(
    labels: np.ndarray,
    p_pneumonia: np.ndarray,
    groups: np.ndarray,
    threshold: float,
    band: tuple[float, float],
) -> dict:
    """Measure how many answers an uncertain band holds, and how wrong they are.

    Args:
        labels: int (n,).
        p_pneumonia: float (n,) in [0, 1].
        groups: (n,), the patient of each.
        threshold: probability from which the answer is pneumonia.
        band: lowest and highest probability that is called uncertain.

    Returns:
        `band` [lo, hi]; `coverage`, the share of images outside it, which get a certain
        answer; `error_inside` and `error_outside`, shares of wrong answers;
        `certain_but_wrong`, the share of each label's patients that get a certain wrong
        answer, each picture in its share, which `conformal_band` bounds; `bands`,
        below, in and above the band: the images `n` and the share of `pneumonia` among
        them, if both labels were as frequent.
    """
    ill, weights = labels == 1, alike(labels)
    low, high = band
    wrong = (p_pneumonia >= threshold) != (labels == 1)
    inside = (p_pneumonia >= low) & (p_pneumonia <= high)
    bands = {
        "below": p_pneumonia < low,
        "in": inside,
        "above": p_pneumonia > high,
    }
    return {
        "band": [float(low), float(high)],
        "coverage": float((~inside).mean()),
        "error_inside": _share(wrong[inside]),
        "error_outside": _share(wrong[~inside]),
        "certain_but_wrong": {
            name: _share(
                (wrong & ~inside)[labels == i], by_patient(groups[labels == i])
            )
            for i, name in enumerate(LABELS)
        },
        "bands": {
            name: {
                "n": int(there.sum()),
                "pneumonia": _share(ill[there], weights[there]),
            }
            for name, there in bands.items()
        },
    }


def _share(found: np.ndarray, weights: np.ndarray | None = None) -> float | None:
    return float(np.average(found, weights=weights)) if len(found) else None
