"""The lung finder: a small U-Net from a chest X-ray to where its lungs are.

Ronneberger, Fischer and Brox, "U-Net", MICCAI 2015, with fewer channels. Its skips are
summed, not concatenated (Chaurasia and Culurciello, "LinkNet", VCIP 2017), which takes
half of the arithmetic. Serving does not use it yet; trained weights ship.
"""

import hashlib
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from PIL import Image

from ..contract import BUNDLE
from ..serving.classifier import in_batches
from .layers import PIXEL_SPREAD, Standardize

SIDE = 96
"""Height and width of the finder's input and output, in pixels."""

WIDTHS = (8, 20, 40, 56, 64)
"""Channels at each resolution: 96, 48, 24, 12 and 6 pixels a side."""

WEIGHTS = "finder.weights.h5"
"""The finder in the folder of a run, float16."""

TAIL = 0.01
"""Share of the lungs that may lie beyond each side of their box."""


class FinderError(RuntimeError):
    """There is no trained finder where one should be; says what to do."""


def build() -> keras.Model:
    """Build the finder with random weights.

    Returns:
        float32 (n, 96, 96, 1) in [0, 1] -> probability of lung, the same shape. Tone
        and contrast of the whole picture are standardised first.
    """
    image = keras.Input((SIDE, SIDE, 1))
    x = layers.Rescaling(1 / PIXEL_SPREAD)(Standardize()(image))
    skipped = []
    for level, width in enumerate(WIDTHS):
        if level:
            x = layers.MaxPooling2D()(x)
            x = _convolve(x, width)
        x = _convolve(x, width)
        skipped.append(x)
    for width, finer in zip(WIDTHS[-2::-1], skipped[-2::-1], strict=True):
        x = layers.UpSampling2D()(layers.Conv2D(width, 1)(x))
        x = _convolve(layers.Add()([x, finer]), width)
    # float32, whatever the policy: a probability near 1 needs its digits
    lung = layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="lung")(x)
    return keras.Model(image, lung, name="finder")


def _convolve(x, width: int):
    x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.98)(x))


def to_finder(images: np.ndarray) -> np.ndarray:
    """Make the finder's input of stored images; or its target of stored masks.

    Args:
        images: uint8 (n, S, S, 1), of any side S from 96 on.

    Returns:
        float32 (n, 96, 96, 1) in [0, 1], each pixel a weighted mean of those that it
        covers (bilinear, widened by the factor of reduction).
    """
    side = images.shape[1]
    each = Image.fromarray(np.eye(side, dtype=np.float32))
    by = np.asarray(each.resize((side, SIDE), Image.Resampling.BILINEAR))  # (96, S)
    small = by @ (images[..., 0].astype(np.float32) / 255) @ by.T
    return np.clip(small, 0, 1)[..., None]


def find(finder: keras.Model, images: np.ndarray) -> np.ndarray:
    """Find the lungs on stored images.

    Args:
        finder: from `build` or `load`.
        images: uint8 (n, S, S, 1), of any side S from 96 on.

    Returns:
        float32 (n, 96, 96, 1), the probability of lung.
    """
    (lungs,) = in_batches(
        lambda batch: [finder.predict_on_batch(to_finder(batch))], images
    )
    return lungs


def boxes(lungs):
    """Return the box around the lungs of each mask.

    A side of the box lies where `TAIL` of the lungs lies beyond it, by the sums over
    rows and columns. That is steadier than the outermost pixel, and differs from the
    extent of true lungs by little more than a pixel.

    Args:
        lungs: float32 (n, H, W, 1) in [0, 1]; what is below one half counts as nothing.
            An array or a tensor of the training framework.

    Returns:
        A tensor float32 (n, 4): top, bottom, left and right as fractions of the side.
        Without any lung, about the whole picture.
    """
    # The floor, far below one pixel in all, is what the box of an empty mask is of.
    mass = ops.maximum(2 * ops.convert_to_tensor(lungs)[..., 0] - 1, 1e-6)
    edges = []
    for axis in (2, 1):
        sums = ops.sum(mass, axis=axis)  # of rows, then of columns
        before = ops.cumsum(sums, axis=1) - sums
        total = ops.sum(sums, axis=1, keepdims=True)
        # Full rows before a quantile count whole; the row that it falls into, in part.
        edges += [
            ops.mean(ops.clip((share * total - before) / sums, 0, 1), axis=1)
            for share in (TAIL, 1 - TAIL)
        ]
    return ops.stack(edges, axis=1)


def dice(true, found):
    """Return the overlap of masks, twice what they share over what both hold.

    Args:
        true: float32 (n, H, W, 1) in [0, 1]; an array or a tensor.
        found: likewise.

    Returns:
        A tensor float32 (n,) in [0, 1]; of two empty masks it is 1.
    """
    axes = (1, 2, 3)
    both = ops.sum(true * found, axis=axes)
    return (2 * both + 1) / (ops.sum(true, axis=axes) + ops.sum(found, axis=axes) + 1)


def save(finder: keras.Model, folder: str | Path) -> Path:
    """Write the weights as float16 to `finder.weights.h5` in a folder."""
    path = Path(folder) / WEIGHTS
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float16")
    try:
        copy = build()
    finally:
        keras.config.set_dtype_policy(policy)
    copy.set_weights(finder.get_weights())
    copy.save_weights(path)
    return path


def load(folder: str | Path | None = None) -> keras.Model:
    """Build the finder, and load its weights.

    Args:
        folder: of a run of `train_finder.train`; None: the bundle that ships.

    Raises:
        FinderError: there is no trained finder, or its file is damaged.
    """
    path = Path(folder or BUNDLE) / WEIGHTS
    finder = build()
    try:
        finder.load_weights(path)
    except (OSError, KeyError, ValueError) as error:
        raise FinderError(
            f"{path} holds no trained finder ({type(error).__name__}). Train one: "
            "python -m pneumonia train-finder DIR --masks MASKS --out RUN"
        ) from error
    return finder


def digest(folder: str | Path | None = None) -> str:
    """Return the SHA-256 of the weights in a folder, as in `load`."""
    path = Path(folder or BUNDLE) / WEIGHTS
    return hashlib.sha256(path.read_bytes()).hexdigest()
