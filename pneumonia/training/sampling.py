"""Which images an epoch shows, and how they are changed."""

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..contract import LABELS
from ..data import folder
from ..data.regions import thumbnail
from . import augment
from .recipe import Recipe

LEAST = 0.15
"""Smallest weight, so that every image is shown, and no few are shown all the time."""


class Batches(keras.utils.PyDataset):
    """Augmented training batches, each a function of (seed, epoch, step) alone."""

    def __init__(
        self,
        dataset: folder.Dataset,
        recipe: Recipe,
        seed: int = 0,
        *,
        weights: np.ndarray | None = None,
        extra: folder.Dataset | None = None,
    ):
        """Prepare the first epoch.

        Args:
            dataset: the training images.
            recipe: how many are shown, and how they are changed.
            seed: of the run.
            weights: float (n,), how often each image is shown against the others of its
                class, as from `overlap_weights`; None: equally often.
            extra: further images, which take `recipe.extra_share` of each epoch.
        """
        super().__init__()
        self.recipe, self.seed = recipe, seed
        self.weights = weights
        self.own = len(dataset.labels)
        parts = [dataset] if extra is None else [dataset, extra]
        self.images = np.concatenate([part.images for part in parts])
        self.labels = np.concatenate([part.labels for part in parts])
        self.change = augment.compose(recipe.augmentation)
        self.start(0)

    def __len__(self) -> int:
        return -(-len(self.order) // self.recipe.batch_size)

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return float32 (n, 128, 128, 1) in [0, 1] and targets float32 (n, 2)."""
        chosen, rng = self._chosen(step)
        images = self.change(folder.as_input(self.images[chosen]), rng)
        targets = one_hot(self.labels[chosen])
        if self.recipe.void_share:
            void = rng.random(len(images)) < self.recipe.void_share
            images[void] = augment.cover_lungs(images[void], rng)
            targets[void] = 1 / len(LABELS)
        return self._mixed(images, targets, rng)

    def _chosen(self, step: int) -> tuple[np.ndarray, np.random.Generator]:
        """Return which images a step shows, and the generator of its changes."""
        size = self.recipe.batch_size
        rng = np.random.default_rng((self.seed, self.epoch, step))
        return self.order[step * size : (step + 1) * size], rng

    def _mixed(self, images, targets, rng) -> tuple[np.ndarray, np.ndarray]:
        """Mix each image and its target with another one's, if the recipe says so."""
        if not self.recipe.mixup:
            return images, targets
        share = rng.beta(self.recipe.mixup, self.recipe.mixup, (len(images), 1))
        share = share.astype(np.float32)
        other = rng.permutation(len(images))
        targets = share * targets + (1 - share) * targets[other]
        share = share[:, :, None, None]
        return share * images + (1 - share) * images[other], targets

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
        self.order = rng.permutation(np.concatenate(drawn))[:count]

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
        """Draw by weight; without weights each equally often, give or take one."""
        if self.weights is not None and pool[0] < self.own:
            chances = self.weights[pool] / self.weights[pool].sum()
            return rng.choice(pool, count, p=chances)
        rounds = [rng.permutation(pool) for _ in range(-(-count // len(pool)))]
        return np.concatenate(rounds)[:count]


def one_hot(labels: np.ndarray) -> np.ndarray:
    """Return float32 (n, 2) for indices (n,)."""
    return np.eye(len(LABELS), dtype=np.float32)[labels]


def overlap_weights(
    images: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Weigh each image by how likely a simple classifier is to mistake it.

    The classifier, logistic regression on thumbnails, is fitted to other patients.
    Under these weights it would be at chance, so what it saw no longer tells the
    classes apart (overlap weights: Li, Morgan and Zaslavsky, JASA 2018).

    Args:
        images: uint8 (n, 128, 128, 1).
        labels: int (n,), indices into LABELS.
        groups: (n,) patient groups.

    Returns:
        float64 (n,) in [0.15, 1].
    """
    simple = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000),
    )
    folds = min(5, len(set(groups)))
    p = cross_val_predict(
        simple,
        thumbnail(images),
        labels,
        groups=groups,
        cv=GroupKFold(folds),
        method="predict_proba",
    )
    return np.maximum(1 - p[np.arange(len(p)), labels], LEAST)
