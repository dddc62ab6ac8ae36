"""Which images an epoch shows, and how they are changed."""

import keras
import numpy as np

from ..contract import LABELS
from ..data import looks
from ..network.finder import Framed
from . import augment
from .devices import one_blas_thread
from .geometry import jitter
from .recipe import Recipe


class Batches(keras.utils.PyDataset):
    """Augmented training batches, each a function of (seed, epoch, step) alone."""

    def __init__(
        self,
        images: Framed,
        labels: np.ndarray,
        recipe: Recipe,
        seed: int = 0,
        *,
        extra: tuple[Framed, np.ndarray] | None = None,
        workers: int = 0,
    ):
        """Prepare the first epoch.

        Args:
            images: the training images, their lungs found.
            labels: int (n,), indices into LABELS.
            recipe: how many are shown, and how they are changed.
            seed: of the run.
            extra: further images and labels, which take `recipe.extra_share` of each
                epoch.
            workers: processes that change images; 0: the one that trains does.
        """
        super().__init__(
            workers=max(1, workers),
            use_multiprocessing=workers > 0,
            max_queue_size=max(10, 3 * workers),
        )
        self.recipe, self.seed = recipe, seed
        self.own = len(labels)
        parts = [(images, labels)] if extra is None else [(images, labels), extra]
        self.images = np.concatenate([part.images for part, _ in parts])
        self.boxes = np.concatenate([part.boxes for part, _ in parts])
        self.lungs = None
        if recipe.masked:
            self.lungs = np.concatenate([part.lungs for part, _ in parts])
        self.labels = np.concatenate([of_part for _, of_part in parts])
        self.weights = None
        if recipe.looks:
            described = looks.describe(images.images)
            found = looks.Looks.among(described, recipe.looks).of(described)
            self.weights = looks.balance(labels, found)
        self.change = augment.compose(recipe.augmentation)
        self.start(0)

    def __len__(self) -> int:
        return -(-len(self.order) // self.recipe.batch_size)

    @one_blas_thread
    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what `Framed.shown` gives, changed, and targets float32 (n, 2)."""
        size = self.recipe.batch_size
        rng = np.random.default_rng((self.seed, self.epoch, step))
        chosen = self.order[step * size : (step + 1) * size]
        images = self._framed(chosen, rng)
        changed = self.change(images.copy(), rng).astype(np.float32)
        as_they_are = rng.random(len(chosen)) < self.recipe.unchanged
        changed[as_they_are] = images[as_they_are]
        return changed, one_hot(self.labels[chosen])

    def _framed(self, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Crop images to their lungs, about as the finder will."""
        boxes = self.boxes[chosen]
        if self.recipe.aligned:
            boxes = jitter(boxes, rng)
        lungs = None if self.lungs is None else self.lungs[chosen]
        return Framed(self.images[chosen], boxes, lungs).shown(self.recipe)

    def on_epoch_end(self) -> None:
        """Move on to the next epoch; Keras calls this after each."""
        self.start(self.epoch + 1)

    def start(self, epoch: int) -> None:
        """Draw the images of an epoch."""
        self.epoch = epoch
        rng = np.random.default_rng((self.seed, epoch))
        count = self.recipe.images_per_epoch or len(self.labels)
        more = len(self.labels) > self.own
        extra = round(count * self.recipe.extra_share) if more else 0
        drawn = [
            *self._choose(np.arange(self.own), count - extra, rng),
            *self._choose(np.arange(self.own, len(self.labels)), extra, rng),
        ]
        order = rng.permutation(np.concatenate(drawn))[:count]
        # by class within each batch, for `tones.other_class`
        batch = np.arange(len(order)) // self.recipe.batch_size
        self.order = order[np.lexsort((self.labels[order], batch))]

    def _choose(self, pool: np.ndarray, count: int, rng) -> list[np.ndarray]:
        """Choose `count` of `pool`, or a few more; balanced if the recipe says so."""
        if not count:
            return []
        if not self.recipe.balanced:
            return [self._draw(pool, count, rng)]
        share = -(-count // len(LABELS))
        of_class = [pool[self.labels[pool] == label] for label in range(len(LABELS))]
        return [self._draw(part, share, rng) for part in of_class]

    def _draw(self, pool: np.ndarray, count: int, rng) -> np.ndarray:
        """Draw each equally often, give or take one, or as often as it weighs."""
        if self.weights is not None and pool[-1] < self.own:
            pool = rng.permutation(pool)
            share = np.cumsum(self.weights[pool])
            at = (rng.random() + np.arange(count)) / count * share[-1]
            return pool[np.searchsorted(share, at, side="right").clip(0, len(pool) - 1)]
        rounds = [rng.permutation(pool) for _ in range(-(-count // len(pool)))]
        return np.concatenate(rounds)[:count]


def one_hot(labels: np.ndarray) -> np.ndarray:
    """Return float32 (n, 2) for indices (n,)."""
    return np.eye(len(LABELS), dtype=np.float32)[labels]
