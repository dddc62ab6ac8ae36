"""Whether a stated probability is right: what was stated, and what came true."""

from typing import TypedDict

import numpy as np

from . import intervals

BINS = 10
"""Of equal width, into which probabilities are sorted."""


class Bin(TypedDict):
    """Probabilities that are about alike; see `reliability`."""

    n: int
    predicted: float
    observed: float
    ci95: list[float]


def bins(p: np.ndarray, count: int = BINS) -> np.ndarray:
    """Return which bin of equal width each probability lies in, int (n,) from 0."""
    return np.minimum((p * count).astype(int), count - 1)


def alike(labels: np.ndarray, weights: np.ndarray | float = 1.0) -> np.ndarray:
    """Scale weights as if every second image showed pneumonia.

    Args:
        labels: int (n,), indices into LABELS.
        weights: float (..., n), or one of all.

    Returns:
        float (..., n), of sum one half over each label; nan where one is missing.
    """
    parts = np.stack([weights * (labels == label) for label in (0, 1)])
    with np.errstate(invalid="ignore"):
        return np.divide(parts, 2 * parts.sum(axis=-1, keepdims=True)).sum(axis=0)


def reliability(labels: np.ndarray, p: np.ndarray, count: int = BINS) -> list[Bin]:
    """Compare predicted probabilities with what happened, bin by bin.

    Both labels weigh alike, as `calibrate.fit` weighs them.

    Args:
        labels: int (n,), indices into LABELS.
        p: float (n,) in [0, 1], probability of pneumonia.
        count: of bins.

    Returns:
        For each bin of equal width that holds images, from the lowest: their number
        `n`; the mean `predicted` probability of pneumonia; the share `observed` that
        has it, with its 95 % interval `ci95`, as if each image were of another patient.
        No bin where a label is missing.
    """
    if len(set(labels.tolist())) < 2:
        return []
    places, weights = bins(p, count), alike(labels)
    odds = float((labels == 0).sum() / (labels == 1).sum())
    rows = []
    for place in np.unique(places):
        here = places == place
        share = intervals.share(labels[here] == 1, odds)
        row: Bin = {
            "n": int(here.sum()),
            "predicted": float(np.average(p[here], weights=weights[here])),
            "observed": share["value"],
            "ci95": share["ci95"],
        }
        rows.append(row)
    return rows
