"""Where things stand in a chest X-ray, and what a coarse look sees of it.

Masks of the border, the corners and the lungs. Then numbers that show no disease:
border, corners or the whole in blocks of pixels (`shrink`), its brightness, its
sharpness.
"""

import numpy as np

from ..contract import IMAGE_SIZE

BORDER = 8
"""Width of the border that is looked at alone, in pixels of `IMAGE_SIZE`."""

CORNER = 24
"""Side of each corner that is looked at alone, in pixels of `IMAGE_SIZE`."""

LUNG_BOX = {"top": 0.125, "bottom": 0.8, "left": 0.125, "right": 0.875}
"""Where the lungs lie in nearly all upright frontal X-rays, as fractions of the side.

Read off the mean training image of either class, once, before any heat map was
measured. It also holds the heart and the upper end of the liver.
"""


def border_mask(size: int, width: int) -> np.ndarray:
    """Return bool (size, size), True in the outer `width` cells on all four sides."""
    inner = slice(width, size - width)
    mask = np.ones((size, size), bool)
    mask[inner, inner] = False
    return mask


def corner_mask(size: int, side: int) -> np.ndarray:
    """Return bool (size, size), True in the four corner squares of `side` cells."""
    edge = np.ones(size, bool)
    edge[side : size - side] = False
    return edge[:, None] & edge[None, :]


def lung_box(size: int) -> np.ndarray:
    """Return float (size, size): the share of each cell that lies in `LUNG_BOX`."""
    edges = np.linspace(0, 1, size + 1)

    def covered(low: float, high: float) -> np.ndarray:
        return np.diff(np.clip(edges, low, high)) * size

    rows = covered(LUNG_BOX["top"], LUNG_BOX["bottom"])
    return np.outer(rows, covered(LUNG_BOX["left"], LUNG_BOX["right"]))


def lung_box_area() -> float:
    """Return the share of the picture that `LUNG_BOX` takes: what chance would give."""
    height = LUNG_BOX["bottom"] - LUNG_BOX["top"]
    return height * (LUNG_BOX["right"] - LUNG_BOX["left"])


def inside_lung_box(maps: np.ndarray) -> np.ndarray:
    """Measure what share of each map's mass lies inside `LUNG_BOX`.

    Args:
        maps: float (n, h, h), not negative.

    Returns:
        float64 (n,) in [0, 1]; nan for a map that is zero everywhere.
    """
    mass = maps.sum(axis=(1, 2), dtype=np.float64)
    inside = (maps * lung_box(maps.shape[1])).sum(axis=(1, 2))
    return np.divide(inside, mass, out=np.full(len(maps), np.nan), where=mass > 0)


def shrink(images: np.ndarray, side: int) -> np.ndarray:
    """Average images over blocks of pixels.

    Args:
        images: uint8 (n, H, H, 1).
        side: a divisor of H.

    Returns:
        float32 (n, side, side) in [0, 255].
    """
    n, height, width, _ = images.shape
    blocks = images.reshape(n, side, height // side, side, width // side)
    return blocks.mean(axis=(2, 4), dtype=np.float32)


def thumbnail(images: np.ndarray) -> np.ndarray:
    """Return uint8 (n, H, H, 1) at 16 x 16, float32 (n, 256): layout, no detail."""
    return shrink(images, 16).reshape(len(images), -1)


def border(images: np.ndarray) -> np.ndarray:
    """Return the border of uint8 (n, 128, 128, 1) at 32 x 32, float32 (n, 240)."""
    return shrink(images, 32)[:, border_mask(32, BORDER * 32 // IMAGE_SIZE)]


def corners(images: np.ndarray) -> np.ndarray:
    """Return the corners of uint8 (n, 128, 128, 1) at 32 x 32, float32 (n, 144)."""
    return shrink(images, 32)[:, corner_mask(32, CORNER * 32 // IMAGE_SIZE)]


def histogram(images: np.ndarray) -> np.ndarray:
    """Return brightness: 16 bins, mean and spread, float (n, 18), no place in it."""
    flat = images.reshape(len(images), -1)
    bins = [((flat >> 4) == value).mean(axis=1) for value in range(16)]
    return np.stack([*bins, flat.mean(axis=1), flat.std(axis=1)], axis=1)


def sharpness(images: np.ndarray) -> np.ndarray:
    """Return the log share of fine detail at three scales, float (n, 3).

    At each scale it is the variance of the Laplacian (Pech-Pacheco et al., "Diatom
    autofocusing in brightfield microscopy", ICPR 2000) over that of the pixels, so that
    contrast does not count.
    """
    measured = []
    for side in (IMAGE_SIZE, IMAGE_SIZE // 2, IMAGE_SIZE // 4):
        x = shrink(images, side)
        middle = x[:, 1:-1, 1:-1]
        around = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
        fine = (around - 4 * middle).var(axis=(1, 2))
        measured.append(np.log((fine + 1e-3) / (x.var(axis=(1, 2)) + 1e-3)))
    return np.stack(measured, axis=1)
