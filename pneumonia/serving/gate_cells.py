"""What training X-rays show in each cell of the feature map, and how far a cell is off.

The embedding is the mean of a feature map of 8 x 8 cells over the crop to the lungs.
Each cell is compared with what training X-rays show in the same cell: a Mahalanobis
distance along the axes along which cells differ most, and along the length that these
leave over (PaDiM, Defard et al., ICPR 2020, with axes instead of random features).
"""

from dataclasses import dataclass

import numpy as np

from .gate_features import root


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
