"""Changes of where things stand in an image: turns, moves, stretches, mirrors, frames.

As all changes of training, each is a function of (images, rng) alone; see `augment`.
"""

from dataclasses import dataclass

import numpy as np
from keras import ops

FILL_MODES = ("constant", "nearest", "reflect")
"""What stands beyond the border: black, its last pixels, or the mirrored image."""


@dataclass(frozen=True)
class Warp:
    """A rotation, shift, zoom, stretch, shear and flip, made in one resampling.

    Attributes:
        rotation: largest turn either way, in degrees.
        shift: largest move either way, as a fraction of the side.
        zoom: smallest and largest magnification; above 1 crops.
        aspect: largest ratio by which one axis is stretched against the other.
        shear: largest shear either way, as a tangent.
        flip_horizontal: mirror every second image left to right.
        flip_vertical: turn every second image upside down.
        fill_modes: some of `FILL_MODES`; one is drawn for the batch.
    """

    rotation: float
    shift: float
    zoom: tuple[float, float] = (1.0, 1.0)
    aspect: float = 1.0
    shear: float = 0.0
    flip_horizontal: bool = True
    flip_vertical: bool = False
    fill_modes: tuple[str, ...] = ("nearest",)

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a change for each image, and make it.

        Args:
            images: float32 (n, H, W, 1) in [0, 1].
            rng: source of the draws.

        Returns:
            float32 (n, H, W, 1) in [0, 1].
        """
        n, height, width, _ = images.shape
        angle = np.deg2rad(rng.uniform(-self.rotation, self.rotation, n))
        stretch = np.exp(rng.uniform(-1, 1, n) * np.log(self.aspect) / 2)
        scale = np.exp(rng.uniform(np.log(self.zoom[0]), np.log(self.zoom[1]), n))
        mirror_x = np.where(rng.random(n) < 0.5 * self.flip_horizontal, -1.0, 1.0)
        mirror_y = np.where(rng.random(n) < 0.5 * self.flip_vertical, -1.0, 1.0)
        slant = rng.uniform(-self.shear, self.shear, n)
        move_x = rng.uniform(-self.shift, self.shift, n) * width
        move_y = rng.uniform(-self.shift, self.shift, n) * height

        # output (x, y) about the centre -> input (x, y) about the centre
        step_x, step_y = mirror_x / (scale * stretch), mirror_y * stretch / scale
        cos, sin = np.cos(angle), np.sin(angle)
        a, b = step_x * cos, step_x * (slant * cos - sin)
        c, d = step_y * sin, step_y * (slant * sin + cos)
        centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
        to_x = centre_x + move_x - a * centre_x - b * centre_y
        to_y = centre_y + move_y - c * centre_x - d * centre_y
        return _resample(images, (a, b, to_x, c, d, to_y), self.fill_modes, rng)


def mirror(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror every second image left to right."""
    flipped = rng.random(len(images)) < 0.5
    return np.where(flipped[:, None, None, None], images[:, :, ::-1], images)


def reframe(
    images: np.ndarray,
    rng: np.random.Generator,
    sides: tuple[float, float] = (0.6, 1.2),
    probability: float = 0.5,
) -> np.ndarray:
    """Show some images as another technician would frame them, squashed to a square.

    Height and width are drawn each for itself, so a crop of one is an aspect, too.

    Args:
        images: float32 (n, H, W, 1) in [0, 1].
        rng: source of the parameters.
        sides: smallest and largest part of a side that is shown; above 1 adds to it.
        probability: share of the images that is changed.

    Returns:
        float32 (n, H, W, 1) in [0, 1].
    """
    n, height, width, _ = images.shape
    part = np.exp(rng.uniform(*np.log(sides), (n, 2)))
    part[rng.random(n) >= probability] = 1.0
    first = rng.random((n, 2)) * (1 - part) * (height, width) + (part - 1) / 2
    zero = np.zeros(n)
    places = (part[:, 1], zero, first[:, 1], zero, part[:, 0], first[:, 0])
    return _resample(images, places, FILL_MODES, rng)


def _resample(images, places, fill_modes, rng) -> np.ndarray:
    """Resample; `places` are a, b, c, d, e, f of input (ax + by + c, dx + ey + f)."""
    zero = np.zeros(len(images))
    moved = ops.image.affine_transform(
        images,
        np.stack([*places, zero, zero], axis=1).astype(np.float32),  # (n, 8)
        interpolation="bilinear",
        fill_mode=fill_modes[rng.integers(len(fill_modes))],
    )
    return ops.convert_to_numpy(moved)
