"""Features of the frozen part, computed once: for recipes that show fixed changes."""

import keras
import numpy as np

from ..data import folder
from .sampling import Batches, one_hot

CHUNK = 32


def compute(front: keras.Model, images: np.ndarray) -> np.ndarray:
    """Run the frozen part over images.

    Args:
        front: from `vgg19.cut`.
        images: float32 (n, 128, 128, 1) in [0, 1].

    Returns:
        float32 (n, height, width, channels); half of it would lose what is faint.
    """
    starts = range(0, len(images), CHUNK)
    parts = [front.predict_on_batch(images[i : i + CHUNK]) for i in starts]
    return np.concatenate([np.asarray(part, np.float32) for part in parts])


class CachedBatches(Batches):
    """Batches of features: every image in `recipe.cached_views` fixed changed versions.

    Which images an epoch shows is as in `Batches`; in which version is drawn.
    """

    def __init__(self, front: keras.Model, *args, **options):
        """Compute the features; arguments behind the first are those of `Batches`."""
        super().__init__(*args, **options)
        self.features = np.stack(
            [self._view(front, view) for view in range(self.recipe.cached_views)]
        )  # (views, n, height, width, channels)

    def _view(self, front: keras.Model, view: int) -> np.ndarray:
        rng = np.random.default_rng((self.seed, view))
        parts = np.array_split(self.images, max(1, len(self.images) // CHUNK))
        return np.concatenate(
            [compute(front, self.change(folder.as_input(part), rng)) for part in parts]
        )

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return features float32 (n, h, w, channels) and targets float32 (n, 2)."""
        chosen, rng = self._chosen(step)
        version = rng.integers(len(self.features), size=len(chosen))
        return self.features[version, chosen], one_hot(self.labels[chosen])
