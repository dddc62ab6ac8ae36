"""Which images an epoch shows, and how they are changed."""

from collections.abc import Iterator

import keras
import numpy as np

from . import data
from .classifier import LABELS
from .recipe import AUGMENTATIONS, Recipe


class Batches(keras.utils.PyDataset):
    """Augmented training batches, each a function of (seed, epoch, step) alone."""

    def __init__(
        self, dataset: data.Dataset, recipe: Recipe, seed: int = 0, epoch: int = 0
    ):
        super().__init__()
        self.dataset, self.recipe, self.seed = dataset, recipe, seed
        self.epoch = epoch
        self._begin_epoch()

    def __len__(self) -> int:
        return -(-len(self.order) // self.recipe.batch_size)

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return float32 (n, 128, 128, 1) in [0, 1] and one-hot float32 (n, 2)."""
        size = self.recipe.batch_size
        chosen = self.order[step * size : (step + 1) * size]
        rng = np.random.default_rng((self.seed, self.epoch, step))
        images = data.as_input(self.dataset.images[chosen])
        images = AUGMENTATIONS[self.recipe.augmentation](images, rng)
        return images, one_hot(self.dataset.labels[chosen])

    def on_epoch_end(self) -> None:
        """Move on to the next epoch; Keras calls this after each."""
        self.epoch += 1
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        rng = np.random.default_rng((self.seed, self.epoch))
        labels = self.dataset.labels
        count = self.recipe.images_per_epoch or len(labels)
        if self.recipe.balanced:
            share = -(-count // len(LABELS))
            drawn = [
                _draw(np.flatnonzero(labels == label), share, rng)
                for label in range(len(LABELS))
            ]
            self.order = rng.permutation(np.concatenate(drawn))[:count]
        else:
            self.order = _draw(np.arange(len(labels)), count, rng)


def _draw(pool: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `count` of `pool`, each as often as any other, give or take one."""
    rounds = [rng.permutation(pool) for _ in range(-(-count // len(pool)))]
    return np.concatenate(rounds)[:count]


def one_hot(labels: np.ndarray) -> np.ndarray:
    """Return float32 (n, 2) for indices (n,)."""
    return np.eye(len(LABELS), dtype=np.float32)[labels]


def changed_copies(
    images: np.ndarray, augmentation: str, views: int, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yield the images changed `views` times, always in the same way.

    Args:
        images: float32 (n, 128, 128, 1) in [0, 1].
        augmentation: key of `AUGMENTATIONS`.
        views: how many copies of all images.
        seed: another seed gives other changes.

    Yields:
        float32 (n, 128, 128, 1) in [0, 1].
    """
    for view in range(views):
        rng = np.random.default_rng((seed, view))
        batches = np.array_split(images, max(1, len(images) // 8))
        yield np.concatenate([AUGMENTATIONS[augmentation](b, rng) for b in batches])
