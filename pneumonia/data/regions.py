"""Where things stand in a chest X-ray: border, corners, lungs, as masks."""

import numpy as np

FRAME = 8
"""Width of the border that is looked at alone, in pixels of 128."""

CORNER = 24
"""Side of each corner that is looked at alone, in pixels of 128."""

LUNG_BOX = {"top": 0.125, "bottom": 0.8, "left": 0.125, "right": 0.875}
"""Where the lungs lie in nearly all upright frontal X-rays, as fractions of the side.

Read off the mean training image of either class, once, before any heat map was
measured. It holds the heart and the upper end of the liver, too.
"""


def frame_mask(size: int, width: int) -> np.ndarray:
    """Return bool (size, size), True on a frame of `width` cells along the border."""
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


def shrink(images: np.ndarray, side: int) -> np.ndarray:
    """Average images uint8 (n, H, H, 1) over blocks; float32 (n, side, side)."""
    n, height, width, _ = images.shape
    blocks = images.reshape(n, side, height // side, side, width // side)
    return blocks.mean(axis=(2, 4), dtype=np.float32)


def thumbnail(images: np.ndarray) -> np.ndarray:
    """Return the image at 16 x 16, float (n, 256): layout without detail."""
    return shrink(images, 16).reshape(len(images), -1)
