"""The look of a picture: what a machine does to it, and no disease does.

Pictures of one machine, or of one way to save them, share their tone, their detail and
what stands outside of the lungs. Where one look holds few of a class, a network learns
the look. And an average over images says how it answers to the few looks that hold the
most of them. So training can show both classes alike within each look, and the
operating point is chosen, and the answers are measured, as if every look were as
frequent.

Looks are found by k-means on a few numbers of each whole picture: quantiles of its
grey, its detail at four scales, and the brightness of its corners and its middle.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans

from ..contract import LABELS
from . import regions

COUNT = 14
"""Looks into which training pictures are split."""

LEAST = 10
"""Images of each class that a look must hold to be measured by itself."""

MOST = 12.0
"""How often an image may be shown for once that another one of its class is."""

_QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_SCALES = 4
_AT_ONCE = 256  # pictures: all of a data set would take gigabytes
_CORNER = 7  # of which a side holds one corner, and the middle is twice as wide


def describe(images: np.ndarray) -> np.ndarray:
    """Return what a machine does to pictures, as a few numbers.

    Args:
        images: uint8 (n, S, S, 1), whole pictures; 32 divides S.

    Returns:
        float64 (n, 18): quantiles of grey, the logarithm of the detail at four scales
        from fine to coarse, and the mean of the four corners and of the middle.
    """
    starts = range(0, len(images), _AT_ONCE)
    return np.concatenate([_describe(images[s : s + _AT_ONCE]) for s in starts])


def _describe(images: np.ndarray) -> np.ndarray:
    side = images.shape[1]
    grey = regions.shrink(images, side // 2).reshape(len(images), -1)
    quantiles = np.quantile(grey, _QUANTILES, axis=1).T / 255
    finer, details = regions.shrink(images, side), []
    for _ in range(_SCALES):
        n, size, _ = finer.shape
        coarser = finer.reshape(n, size // 2, 2, size // 2, 2).mean(axis=(2, 4))
        lost = finer - coarser.repeat(2, axis=1).repeat(2, axis=2)
        details.append(np.log(lost.std(axis=(1, 2)) + 0.1))
        finer = coarser
    edge, x = side // _CORNER, images[..., 0]
    ends, middle = (slice(edge), slice(side - edge, side)), (side - 2 * edge) // 2
    inner = slice(middle, middle + 2 * edge)
    places = [(rows, columns) for rows in ends for columns in ends] + [(inner, inner)]
    means = [x[:, rows, columns].mean(axis=(1, 2)) / 255 for rows, columns in places]
    return np.column_stack([quantiles, *details, *means])


@dataclass(frozen=True, eq=False)
class Looks:
    """Looks that were found.

    Attributes:
        centre: float64 (18,), the mean of what `describe` gives.
        spread: float64 (18,), its deviation.
        middles: float64 (k, 18), the middle of each look, in deviations.
    """

    centre: np.ndarray
    spread: np.ndarray
    middles: np.ndarray

    @classmethod
    def among(cls, described: np.ndarray, count: int = COUNT) -> "Looks":
        """Find looks; the same pictures always give the same.

        Args:
            described: float64 (n, 18), of whole training pictures by `describe`.
            count: of looks; fewer where there are fewer pictures.
        """
        centre = described.mean(axis=0)
        spread = np.maximum(described.std(axis=0), 1e-6)
        count = min(count, len(described))
        means = KMeans(count, n_init=4, random_state=0)
        means.fit((described - centre) / spread)
        return cls(centre, spread, means.cluster_centers_)

    def of(self, described: np.ndarray) -> np.ndarray:
        """Return the look of each picture, int (n,).

        Args:
            described: float64 (n, 18), by `describe`, of pictures of the size that the
                looks were found in.
        """
        found = (described - self.centre) / self.spread
        away = ((found[:, None] - self.middles) ** 2).sum(axis=2)
        return away.argmin(axis=1)


def balance(labels: np.ndarray, looks: np.ndarray, most: float = MOST) -> np.ndarray:
    """Return how often each image is to be shown, so that looks tell no class.

    Both classes have the same weight within each look, as far as no image weighs more
    than `most` times as much as another one of its class; and both do over all.

    Args:
        labels: int (n,), indices into LABELS.
        looks: int (n,).
        most: as above, at least 1.

    Returns:
        float64 (n,), of sum one half over each class that there is.
    """
    weights = np.zeros(len(labels))
    for look in np.unique(looks):
        here = looks == look
        for label in range(len(LABELS)):
            own = here & (labels == label)
            weights[own] = here.sum() / max(own.sum(), 1)
    for label in np.unique(labels):
        own = labels == label
        capped = np.minimum(weights[own], most * weights[own].min())
        weights[own] = capped / capped.sum() / 2
    return weights


def alike(
    labels: np.ndarray, looks: np.ndarray, least: int = LEAST
) -> np.ndarray | None:
    """Return weights with which every look counts alike, and in it both classes.

    Args:
        labels: int (n,), indices into LABELS.
        looks: int (n,).
        least: images of each class that a look must hold to count.

    Returns:
        float64 (n,), of sum one half over each class, zero in looks that do not count;
        None where none does.
    """
    weights = np.zeros(len(labels))
    for own in counting(labels, looks, least):
        for each in own:
            weights[each] = 1 / each.sum()
    return weights / weights.sum() if weights.any() else None


def rates(
    labels: np.ndarray, looks: np.ndarray, answers: np.ndarray, least: int = LEAST
) -> list[dict[str, float]]:
    """Return how many answers are right in each look, that with most images first.

    Args:
        labels: int (n,), indices into LABELS.
        looks: int (n,).
        answers: int (n,), indices into LABELS.
        least: images of each class that a look must hold to count.

    Returns:
        For each look that counts the images of each label, and `sensitivity` and
        `specificity`, the shares of right answers in [0, 1].
    """
    found = []
    for own in counting(labels, looks, least):
        right = [float((answers[each] == i).mean()) for i, each in enumerate(own)]
        counts = {name: int(each.sum()) for name, each in zip(LABELS, own, strict=True)}
        found.append(counts | {"sensitivity": right[1], "specificity": right[0]})
    return sorted(found, key=lambda row: -sum(row[name] for name in LABELS))


def counting(labels: np.ndarray, looks: np.ndarray, least: int) -> Iterator[list]:
    """Yield for each look that counts where each label of it is, bool (n,) each.

    Args:
        labels: int (n,), indices into LABELS.
        looks: int (n,).
        least: images of each class that a look must hold to count.
    """
    for look in np.unique(looks):
        own = [(looks == look) & (labels == label) for label in range(len(LABELS))]
        if min(each.sum() for each in own) >= least:
            yield own
