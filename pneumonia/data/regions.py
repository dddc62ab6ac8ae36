"""What a coarse look sees of a chest X-ray, where no disease shows.

Masks of the border and the corners. Then numbers: border, corners or the whole in
blocks of pixels (`shrink`), its brightness, its sharpness. They take pictures of any
side that 32 divides: whole ones of 224 pixels, and crops to the lungs of 128.
"""

import numpy as np

CELLS = 32
"""Cells a side in which border and corners are looked at."""

BORDER = 2
"""Width of the border that is looked at alone, in cells: a sixteenth of the side."""

CORNER = 6
"""Side of each corner that is looked at alone, in cells: three sixteenths."""


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
    """Return the border of uint8 (n, H, H, 1) in cells, float32 (n, 240)."""
    return shrink(images, CELLS)[:, border_mask(CELLS, BORDER)]


def corners(images: np.ndarray) -> np.ndarray:
    """Return the corners of uint8 (n, H, H, 1) in cells, float32 (n, 144)."""
    return shrink(images, CELLS)[:, corner_mask(CELLS, CORNER)]


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
    whole = images.shape[1]
    for side in (whole, whole // 2, whole // 4):
        x = shrink(images, side)
        middle = x[:, 1:-1, 1:-1]
        around = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
        fine = (around - 4 * middle).var(axis=(1, 2))
        measured.append(np.log((fine + 1e-3) / (x.var(axis=(1, 2)) + 1e-3)))
    return np.stack(measured, axis=1)
