"""What training X-rays show in each cell of a feature map, and how far a cell is off.

The crop to the lungs has 8 x 8 cells. Each is compared with what training X-rays show
in the same cell: a Mahalanobis distance along the axes along which cells differ most,
and along the length that these leave over (PaDiM, Defard et al., ICPR 2020, with axes
instead of random features).

Two feature maps are compared, and the embedding is the mean of both. A cell of the
fourth block sees most of the crop, so it knows less well where something lies than
one of the third: `benchmarks/unlike.py` measures both.
"""

from dataclasses import dataclass

import numpy as np

from .gate_features import root

SIDE = 8
"""Cells along a side."""


@dataclass(frozen=True, eq=False)
class Cells:
    """What training X-rays show in each cell of the feature map.

    Attributes:
        mean: float32 (f,), of all cells.
        axes: float32 (f, k), orthonormal: along these cells differ most.
        middle: float32 (h, w, k + 1), the mean place of each cell along the axes, and
            of the length that the axes leave over.
        spread: float32 (h, w, k + 1), the standard deviation likewise.
        usual: float32 (h, w), the distance below which 95 % of training X-rays stay
            that were not fitted to.
    """

    mean: np.ndarray
    axes: np.ndarray
    middle: np.ndarray
    spread: np.ndarray
    usual: np.ndarray

    def places(self, features: np.ndarray) -> np.ndarray:
        """Return where cells lie: (n, h, w, k + 1) for features (n, h, w, f)."""
        return places(features, self.mean, self.axes)

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Return float32 (n, h, w), 1 where a cell is as far away as is usual at most.

        Args:
            features: float32 (n, h, w, f), of `Classifier.look`.
        """
        away = (self.places(features) - self.middle) / self.spread
        return np.sqrt((away**2).sum(axis=-1)) / self.usual


def in_cells(values: np.ndarray) -> np.ndarray:
    """Return a value of the graph as features of cells, float32 (n, 8, 8, f).

    Args:
        values: float32 (n, f, 16, 16) of a block, whose cells are averaged in fours; or
            (n, f, 8, 8).
    """
    count, size, side, _ = values.shape
    part = side // SIDE
    cells = values.reshape(count, size, SIDE, part, SIDE, part).mean(axis=(3, 5))
    return np.moveaxis(cells, 1, -1)


def places(features: np.ndarray, mean: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return where cells lie along axes, and how far off them.

    Args:
        features: float32 (n, h, w, f).
        mean: float32 (f,).
        axes: float32 (f, k), orthonormal.

    Returns:
        float32 (n, h, w, k + 1).
    """
    away = root(features) - mean
    along = np.einsum("nhwf,fk->nhwk", away, axes)
    left = (away**2).sum(axis=-1) - (along**2).sum(axis=-1)
    return np.concatenate([along, np.sqrt(np.maximum(left, 0))[..., None]], axis=-1)
