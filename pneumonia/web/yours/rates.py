"""Shares, AUROC and thresholds of labelled answers, each with its interval."""

import numpy as np

_ROUNDS, _FOLDS, _BINS = 500, 10, 5  # of bootstrap, cross-validation, reliability
_NARROW = 0.05  # half of the width that an interval shall have
_Z = 1.96


def rate(right: np.ndarray, odds: float = 1.0) -> dict:
    """Return a share with its 95 % interval (Wilson 1927); True weighs `odds` times."""
    n, share = len(right), float(right.mean())
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    ends = np.clip([share, middle - half, middle + half], 0, 1)
    share, *ends = (ends * odds / (ends * odds + 1 - ends)).tolist()
    return {"value": share, "ci95": ends}


def enough(share: float) -> int:
    """Return how many make an interval of a share as narrow as it shall be."""
    spread = max(share * (1 - share), 0.02)  # few may be right by chance alone
    return int(np.ceil(spread * (_Z / _NARROW) ** 2))


def _auroc(y: np.ndarray, p: np.ndarray) -> float:
    values, places, counts = np.unique(p, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]  # of equals, their mean
    sick = int(y.sum())
    return float((ranks[y == 1].mean() - (sick + 1) / 2) / (len(y) - sick))


def auroc_with_interval(y: np.ndarray, p: np.ndarray) -> dict:
    """Return the AUROC with its interval by bootstrap over images of each label."""
    rng = np.random.default_rng(0)
    places = [np.flatnonzero(y == i) for i in (0, 1)]
    drawn = []
    for _ in range(_ROUNDS):
        some = np.concatenate([rng.choice(of, len(of)) for of in places])
        drawn.append(_auroc(y[some], p[some]))
    return {"value": _auroc(y, p), "ci95": np.percentile(drawn, [2.5, 97.5]).tolist()}


def youden(y: np.ndarray, p: np.ndarray) -> float:
    """Return where sensitivity plus specificity is greatest."""
    places = np.unique(p)
    sick, well = np.sort(p[y == 1]), np.sort(p[y == 0])
    found = 1 - np.searchsorted(sick, places) / len(sick)
    left = np.searchsorted(well, places) / len(well)
    return float(places[np.argmax(found + left)])


def cross_validate(y: np.ndarray, p: np.ndarray) -> dict:
    """Choose a threshold on nine tenths and apply it to the last, ten times."""
    order = np.random.default_rng(0).permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]  # both labels in each part
    fold = np.empty(len(y), int)
    fold[order] = np.arange(len(y)) % _FOLDS
    said = np.empty(len(y), bool)
    for number in range(_FOLDS):
        held = fold == number
        said[held] = p[held] >= youden(y[~held], p[~held])
    return {"sensitivity": rate(said[y == 1]), "specificity": rate(~said[y == 0])}


def reliability(y: np.ndarray, p: np.ndarray) -> list[dict]:
    """Return the share with pneumonia among answers of about one probability."""
    place = np.minimum((p * _BINS).astype(int), _BINS - 1)
    odds = (1 - y).sum() / y.sum()  # so that both labels weigh alike
    bins = [place == number for number in np.unique(place)]
    stated = [float(np.average(p[there], weights=odds ** y[there])) for there in bins]
    return [
        {"n": int(there.sum()), "stated": mean} | rate(y[there] == 1, odds)
        for there, mean in zip(bins, stated, strict=True)
    ]
