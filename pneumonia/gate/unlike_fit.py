"""Fit what training X-rays show in each cell of the feature map, for `find_unlike`."""

from collections.abc import Callable

import numpy as np

from ..data.folder import Dataset, as_input
from ..outputs import FEATURES, in_batches
from ..serving.gate_cells import Cells, places
from ..serving.gate_features import root

IMAGES = 1200
"""How many training images are used at most; more change little and take long."""

_AXES = 24
_USUAL = 0.95  # share of training images whose cell is no farther away
_FEW = 40  # images whose features are in memory as float32


def fit(
    look: Callable[[np.ndarray], dict[str, np.ndarray]],
    training: Dataset,
    seed: int = 0,
) -> dict[str, Cells]:
    """Fit places and spreads to two thirds of the patients, what is usual to others.

    Args:
        look: float32 (n, 224, 224, 1) in [0, 1] -> features float32 (n, 8, 8, f) by the
            names of `FEATURES`.
        training: children whom the network learned from.
        seed: chooses the images.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(training.labels))[:IMAGES]
    images = training.images[chosen]
    patients = training.groups[chosen]

    def halves(batch: np.ndarray) -> list[np.ndarray]:
        found = look(as_input(batch))
        return [found[name].astype(np.float16) for name in FEATURES]

    features = dict(zip(FEATURES, in_batches(halves, images), strict=True))
    learned = np.isin(patients, rng.permutation(np.unique(patients))[::3], invert=True)
    return {name: _fit_one(of, learned) for name, of in features.items()}


def _fit_one(features: np.ndarray, learned: np.ndarray) -> Cells:
    """Fit cells of float16 (n, 8, 8, f) to those that a mask (n,) chooses."""
    mean, axes = _axes(features[learned])
    where = np.concatenate(
        [places(some.astype(np.float32), mean, axes) for some in _parts(features)]
    )
    middle = where[learned].mean(axis=0)
    spread = np.maximum(where[learned].std(axis=0), 1e-3)
    away = np.sqrt((((where - middle) / spread) ** 2).sum(axis=-1))
    usual = np.quantile(away[~learned], _USUAL, axis=0)
    return Cells(mean, axes, middle, spread, usual.astype(np.float32))


def _parts(features: np.ndarray) -> list[np.ndarray]:
    return np.array_split(features, max(1, len(features) // _FEW))


def _axes(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of cells (f,), and the axes (f, k) of their largest spread."""
    size = features.shape[-1]
    count, first, second = 0, np.zeros(size), np.zeros((size, size))
    for some in _parts(features):
        cells = root(some.astype(np.float32)).reshape(-1, size).astype(np.float64)
        count += len(cells)
        first += cells.sum(axis=0)
        second += cells.T @ cells
    mean = first / count
    covariance = second / count - np.outer(mean, mean)
    _, vectors = np.linalg.eigh(covariance)
    axes = vectors[:, ::-1][:, :_AXES]
    return mean.astype(np.float32), np.ascontiguousarray(axes, np.float32)
