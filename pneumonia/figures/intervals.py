"""95 % intervals: of shares, of means, and of whatever is measured again on draws."""

from collections.abc import Callable, Iterator
from typing import TypedDict

import numpy as np

ROUNDS = 1000
"""Bootstrap samples, unless said."""

_Z = 1.96  # standard errors to both sides that hold 95 % of a normal distribution
_NARROW = 0.05  # half of the width that an interval shall have
_WEIGHTS_AT_ONCE = 2**21  # of bootstrap samples, 16 MiB


class Figure(TypedDict):
    """What was measured, with the two ends of its 95 % interval."""

    value: float
    ci95: list[float]


def wilson(part: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927), within [0, 1].

    Args:
        part: the share of n that was counted, in [0, 1].
        n: of how many, at least one.
    """
    middle = (part + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * np.sqrt(part * (1 - part) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def share(right: np.ndarray, odds: float = 1.0) -> Figure:
    """Return how large a share is true.

    Args:
        right: bool (n,), at least one.
        odds: how many times as much a True weighs as a False.

    Returns:
        `value`, and `ci95` of `wilson`.
    """
    part = float(right.mean())
    ends = np.array([part, *wilson(part, len(right))])
    value, low, high = (ends * odds / (ends * odds + 1 - ends)).tolist()
    return {"value": value, "ci95": [low, high]}


def enough(part: float) -> int:
    """Return how many make the interval of a share five points wide to either side."""
    spread = max(part * (1 - part), 0.02)  # few may be right by chance alone
    return int(np.ceil(spread * (_Z / _NARROW) ** 2))


def by_patient(
    patients: np.ndarray, rounds: int = ROUNDS, seed: int = 0
) -> Iterator[np.ndarray]:
    """Draw patients with all of their images.

    Args:
        patients: (n,), of each image.
        rounds: bootstrap samples.
        seed: of the draws.

    Yields:
        How often each image is in a sample, float64 (some, n), until it were `rounds`.
    """
    names, of_patient = np.unique(patients, return_inverse=True)
    count = len(names)

    def draw(rng: np.random.Generator, some: int) -> np.ndarray:
        chosen = rng.integers(count, size=(some, count))
        return np.stack([np.bincount(row, minlength=count) for row in chosen])

    for times in _drawn(draw, len(patients), rounds, seed):
        yield times[:, of_patient]


def by_label(
    labels: np.ndarray, rounds: int = ROUNDS // 2, seed: int = 0
) -> Iterator[np.ndarray]:
    """Draw as many images of each label as there are; else as `by_patient`."""
    places = [np.flatnonzero(labels == label) for label in (0, 1)]

    def draw(rng: np.random.Generator, some: int) -> np.ndarray:
        rows = [
            np.concatenate([rng.choice(of, len(of)) for of in places])
            for _ in range(some)
        ]
        return np.stack([np.bincount(row, minlength=len(labels)) for row in rows])

    return _drawn(draw, len(labels), rounds, seed)


def _drawn(
    draw: Callable[[np.random.Generator, int], np.ndarray],
    images: int,
    rounds: int,
    seed: int,
) -> Iterator[np.ndarray]:
    """Yield what `draw` gives, of so many samples at once as fit into memory."""
    rng = np.random.default_rng(seed)
    for begun in range(0, rounds, step := max(1, _WEIGHTS_AT_ONCE // images)):
        yield draw(rng, min(step, rounds - begun)) * 1.0


def middle(samples: np.ndarray) -> list[float]:
    """Return the 95 % interval of bootstrap samples (n,), nan without any."""
    if not len(samples):
        return [float("nan")] * 2
    return [float(edge) for edge in np.percentile(samples, [2.5, 97.5])]


def mean(
    values: np.ndarray, patients: np.ndarray, rounds: int = ROUNDS
) -> Figure | None:
    """Average one number for each image.

    Args:
        values: float (n,).
        patients: (n,), of each.
        rounds: bootstrap samples over patients.

    Returns:
        `value` and `ci95`, a 95 % interval over patients; None without values.
    """
    if not len(values):
        return None
    means = [
        weights @ values / weights.sum(axis=1)
        for weights in by_patient(patients, rounds)
    ]
    return {"value": float(values.mean()), "ci95": middle(np.concatenate(means))}
