"""The lung finder: a small U-Net from a chest X-ray to where its lungs are.

Ronneberger, Fischer and Brox, "U-Net", MICCAI 2015, with fewer channels. Its skips are
summed, not concatenated (Chaurasia and Culurciello, "LinkNet", VCIP 2017), which takes
half of the arithmetic. Every graph that `export` writes begins with it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from ..contract import BUNDLE
from ..outputs import in_batches
from . import framing
from .layers import PIXEL_SPREAD, Standardize

SIDE = 96
"""Height and width of the finder's input and output, in pixels."""

WIDTHS = (16, 16, 32, 64, 64)
"""Channels at each resolution: 96, 48, 24, 12 and 6 pixels a side.

Multiples of 16 stay in the layout that ONNX Runtime computes fastest.
"""

WEIGHTS = "finder.weights.h5"
"""The finder in the folder of a run, float16."""


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
    by = framing.resizing(images.shape[1], SIDE)  # (96, S)
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


def place(finder: keras.Model, images: np.ndarray) -> np.ndarray:
    """Find what a network is shown of stored images, (n, 4) as `framing.around`."""
    return framing.around(framing.boxes(find(finder, images)))


@dataclass(frozen=True, eq=False)
class Framed:
    """Stored images, and where their lungs were found.

    Attributes:
        images: uint8 (n, 224, 224, 1).
        boxes: float32 (n, 4), as from `framing.boxes`.
        lungs: float16 (n, 96, 96, 1), the probability of lung; None: nobody asks.
    """

    images: np.ndarray
    boxes: np.ndarray
    lungs: np.ndarray | None = None

    @classmethod
    def by(cls, finder: keras.Model, images: np.ndarray) -> "Framed":
        """Find the lungs of stored images."""
        lungs = find(finder, images)
        return cls(images, framing.boxes(lungs), lungs.astype(np.float16))

    def subset(self, chosen: np.ndarray) -> "Framed":
        """Return the images at `chosen`, a boolean mask (n,) or indices."""
        lungs = None if self.lungs is None else self.lungs[chosen]
        return Framed(self.images[chosen], self.boxes[chosen], lungs)

    def shown(self, how) -> np.ndarray:
        """Return what a network is shown, float32 (n, 128, 128, 1) in [0, 1].

        Args:
            how: says whether it is `aligned`, and `masked`: a `vgg19.Network`, or a
                recipe. Masked, the probability of lung is a second channel.
        """
        places = framing.around(self.boxes)
        if not how.aligned:
            places = np.broadcast_to(framing.WHOLE, places.shape)
        shown = framing.crop(self.images.astype(np.float32) / 255, places)
        if not how.masked:
            return shown
        lungs = framing.crop(self.lungs.astype(np.float32), places)
        return np.concatenate([shown, lungs], axis=-1)


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
    try:
        with path.open("rb"):  # a file that can't be read is said at once
            finder = build()
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
