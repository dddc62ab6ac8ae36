"""A network that never saw a chest, frozen, and one linear layer on top of it.

Its features are computed once for each view of the images. The layer is then fitted in
a second, so it can be fitted anew without each look (see `data.looks`). What it says of
the pictures of a machine that it never saw is the best guess of what it would say
elsewhere.
"""

from types import SimpleNamespace

import keras
import numpy as np
from keras import ops
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ..network import vgg19
from ..network.finder import Framed
from ..training import augment, geometry
from ..training.devices import one_blas_thread
from ..training.features import ahead
from .ablation_rows import Row

BINS = 64
"""Steps of the map that gives a crop a flat histogram."""

RIDGE = 0.1
"""Penalty of the linear layer, for features of unit spread and weights of sum 1."""

_BATCH = 32
_LENDING = 8  # pictures of other hospitals in a batch that they lend to


def build(backbone_weights: str | None) -> keras.Model:
    """Build VGG19, from what `Framed.shown` gives to numbers.

    Args:
        backbone_weights: as of `vgg19.build`.

    Returns:
        float32 (n, 128, 128, 2) -> float32 (n, 2, 1024), roots of the means of blocks 4
        and 5: everywhere, and within the lungs.

    Raises:
        vgg19.WeightsError: the weights can't be had.
    """
    network = vgg19.build(backbone_weights, masked=True)
    fourth, near = network.between[3]
    fifth, _ = network.features.get_layer("within_lungs").input
    found = []
    for weights in (ops.ones_like(near), near):
        share = weights / (ops.sum(weights, axis=(1, 2), keepdims=True) + 1e-6)
        means = [
            ops.sum(ops.cast(maps, "float32") * share, axis=(1, 2))
            for maps in (fourth, fifth)
        ]
        found.append(ops.sqrt(ops.concatenate(means, axis=-1)))
    return keras.Model(network.features.input, ops.stack(found, axis=1))


def features(
    model: keras.Model,
    framed: Framed,
    labels: np.ndarray,
    row: Row,
    flat: str = "",
    seed: int | None = None,
    donors: Framed | None = None,
) -> np.ndarray:
    """Return what a network gives of images, float32 (n, 2, 1024).

    Args:
        model: from `build`.
        framed: the images, with the lungs.
        labels: int (n,), indices into LABELS.
        row: how they are shown, and changed if there is a seed.
        flat: as one of `Row.flat`.
        seed: of the changes; None: the images as they are.
        donors: pictures that lend to the images of each batch.
    """
    rng = np.random.default_rng(seed)
    size = _BATCH - (_LENDING if donors else 0)
    order = np.arange(len(labels)) if seed is None else rng.permutation(len(labels))
    batches = np.split(order, range(size, len(order), size))
    out = np.empty((len(labels), *model.output_shape[1:]), np.float32)

    def show(step: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = batches[step]
        if seed is None:
            shown = _shown(framed.subset(chosen), row)
        else:
            chosen = chosen[np.argsort(labels[chosen], kind="stable")]
            shown = _changed(framed.subset(chosen), labels[chosen], row, rng, donors)
        return chosen, equalised(shown, flat) if flat else shown

    for chosen, shown in ahead(show, len(batches)):
        out[chosen] = ops.convert_to_numpy(model.predict_on_batch(shown))
    return out


def _shown(framed: Framed, row: Row) -> np.ndarray:
    return framed.shown(SimpleNamespace(aligned=row.aligned, masked=True))


@one_blas_thread
def _changed(
    framed: Framed,
    labels: np.ndarray,
    row: Row,
    rng: np.random.Generator,
    donors: Framed | None,
) -> np.ndarray:
    """Return what training would show of a batch that is sorted by class."""
    jittered = Framed(framed.images, geometry.jitter(framed.boxes, rng), framed.lungs)
    shown, own = _shown(jittered, row), np.arange(len(labels))
    if donors:  # between the classes, which lend to each other as before
        lent = rng.choice(len(donors.boxes), _LENDING, replace=False)
        first = int((labels == 0).sum())
        parts = shown[:first], _shown(donors.subset(lent), row), shown[first:]
        shown = np.concatenate(parts)
        own = np.where(own < first, own, own + _LENDING)
    changed = augment.compose(row.changes)(shown, rng)
    return np.clip(changed[own], 0, 1).astype(np.float32)


def equalised(shown: np.ndarray, by: str) -> np.ndarray:
    """Give images a flat histogram, by a piecewise linear map of `BINS` steps.

    Args:
        shown: float32 (n, H, W, 2) in [0, 1], grey and the probability of lung.
        by: "lungs": the pixels there get it; "crop": all do.

    Returns:
        As `shown`; the lungs stay as they are.
    """
    changed = shown.copy()
    for image, out in zip(shown, changed, strict=True):
        grey, weights = image[..., 0], np.ones_like(image[..., 1])
        if by == "lungs":
            weights = image[..., 1] + 1e-4
        counts, steps = np.histogram(grey, BINS, (0, 1), weights=weights)
        rising = np.concatenate([[0], np.cumsum(counts)]) / counts.sum()
        out[..., 0] = np.interp(grey, steps, rising)
    return changed


class Layer:
    """A linear layer for each look, which never saw it, and one that saw all."""

    def __init__(
        self, x: np.ndarray, labels: np.ndarray, looks: np.ndarray, weights: np.ndarray
    ):
        """Fit them by weighted ridge regression.

        Args:
            x: float (n, f).
            labels: int (n,), indices into LABELS.
            looks: int (n,).
            weights: float (n,), of each image.
        """
        wanted, shares = 2 * labels - 1, weights / weights.sum()

        def fit(chosen: np.ndarray) -> Pipeline:
            names = ("standardscaler", "ridge")
            weighed = {f"{name}__sample_weight": shares[chosen] for name in names}
            layer = make_pipeline(StandardScaler(), Ridge(RIDGE))
            return layer.fit(x[chosen], wanted[chosen], **weighed)

        self.whole = fit(np.full(len(x), True))
        self.without = {look: fit(looks != look) for look in np.unique(looks)}

    def scores(self, x: np.ndarray, looks: np.ndarray | None = None) -> np.ndarray:
        """Return scores (n,), high for pneumonia; those of a look by who never saw it.

        Args:
            x: float (n, f).
            looks: int (n,); None: by the layer that saw all.
        """
        if looks is None:
            return self.whole.predict(x)
        scores = np.empty(len(x))
        for look in np.unique(looks):
            scores[looks == look] = self.without[look].predict(x[looks == look])
        return scores
