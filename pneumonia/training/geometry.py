"""Changes of where things stand in an image: turns, moves, stretches, mirrors, frames.

As all changes of training, each is a function of (images, rng) alone; see `augment`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

NEAR, FAR = 0.035, 0.1
"""Deviations of a box's sides, as shares of the box: as the finder errs, and more."""

FAR_SHARE = 0.2
"""Share of the boxes that are moved far."""

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


def jitter(boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move each side of each box by itself: by a little, in some boxes by much.

    The little is how far the finder errs. The much is a picture that cuts lungs off, or
    lungs that are hard to find.

    Args:
        boxes: float32 (n, 4): top, bottom, left and right.
        rng: source of the draws.

    Returns:
        float32 (n, 4).
    """
    sides = np.repeat(boxes[:, 1::2] - boxes[:, ::2], 2, axis=1)
    spread = np.where(rng.random((len(boxes), 1)) < FAR_SHARE, FAR, NEAR)
    return (boxes + sides * spread * rng.normal(size=boxes.shape)).astype(np.float32)


def _resample(images, places, fill_modes, rng) -> np.ndarray:
    """Resample; `places` are a, b, c, d, e, f of input (ax + by + c, dx + ey + f)."""
    mode = fill_modes[rng.integers(len(fill_modes))]
    moved = np.empty_like(images)
    for image, into, (a, b, c, d, e, f) in zip(
        images, moved, np.stack(places, axis=1), strict=True
    ):
        for channel in range(images.shape[-1]):
            ndimage.affine_transform(
                image[..., channel],
                [[e, d], [b, a]],  # rows come first
                [f, c],
                output=into[..., channel],
                order=1,
                mode=mode,
            )
    return moved
