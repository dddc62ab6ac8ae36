"""From which probability on an X-ray is called pneumonia, and what that costs."""

import numpy as np

from . import intervals

_FOLDS = 10


def both_rates(
    labels: np.ndarray, p: np.ndarray, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return sensitivity and specificity at each of many thresholds.

    Args:
        labels: int (n,), indices into LABELS; both occur.
        p: float (n,).
        thresholds: float (m,), from which on the answer is pneumonia.

    Returns:
        Two times float (m,) in [0, 1].
    """
    ill, well = np.sort(p[labels == 1]), np.sort(p[labels == 0])
    sensitivity = 1 - np.searchsorted(ill, thresholds) / len(ill)
    return sensitivity, np.searchsorted(well, thresholds) / len(well)


def youden(labels: np.ndarray, p: np.ndarray) -> float:
    """Return where sensitivity plus specificity is greatest (Youden 1950).

    It is the lowest such one of the probabilities that occur. `calibrate` chooses the
    operating point that ships between those.
    """
    places = np.unique(p)
    return float(places[np.argmax(np.add(*both_rates(labels, p, places)))])


def cross_validate(labels: np.ndarray, p: np.ndarray) -> dict[str, intervals.Figure]:
    """Choose a threshold on nine tenths and apply it to the last, ten times.

    Args:
        labels: int (n,), indices into LABELS; both occur at least twice.
        p: float (n,).

    Returns:
        `sensitivity` and `specificity`, each a `value` with its `ci95`.
    """
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # both in each part
    fold = np.empty(len(labels), int)
    fold[order] = np.arange(len(labels)) % _FOLDS
    said = np.empty(len(labels), bool)
    for number in range(_FOLDS):
        held = fold == number
        said[held] = p[held] >= youden(labels[~held], p[~held])
    return {
        "sensitivity": intervals.share(said[labels == 1]),
        "specificity": intervals.share(~said[labels == 0]),
    }
