"""From the lungs to a picture of them: the box, the crop to it, in plain NumPy.

How a picture is framed tells the classes of the training set apart, and no disease. So
the network is shown the lungs, always equally large, and never learns the frame. The
crop is a product of two matrices for each picture, the same arithmetic in NumPy and in
the ONNX graph (`graph_finder.add_crop`).
"""

import functools

import numpy as np
from PIL import Image

from ..contract import IMAGE_SIZE

TAIL = 0.01
"""Share of the lungs that may lie beyond each side of their box."""

ROOM = 0.07
"""How far the crop reaches beyond the box at each side, as a share of the box."""

LEAST_SIDE = 0.15
"""Least height and width of a crop, as fractions of the picture's."""

WHOLE = np.array([0, 1, 0, 1], np.float32)
"""The box of a network that is shown whole pictures."""


@functools.lru_cache(maxsize=256)
def resizing(before: int, after: int, kind: str = "bilinear") -> np.ndarray:
    """Return the matrix M that resizes one axis, M @ image.

    Args:
        before: pixels of the axis.
        after: pixels that it shall have.
        kind: "bilinear" or "bicubic", as Pillow does them: where pixels are taken away,
            each is a weighted mean of those that it covers.

    Returns:
        float32 (after, before), rows sum to 1.
    """
    each = Image.fromarray(np.eye(before, dtype=np.float32))
    how = Image.Resampling[kind.upper()]
    return np.asarray(each.resize((before, after), how))


def resize(images: np.ndarray, side: int, kind: str = "bilinear") -> np.ndarray:
    """Resize float32 (n, H, H, c) to (n, side, side, c), as `resizing` says."""
    by = resizing(images.shape[1], side, kind)
    planes = np.moveaxis(images, -1, 1)  # (n, c, H, H)
    return np.ascontiguousarray(np.moveaxis(by @ planes @ by.T, 1, -1))


def boxes(lungs: np.ndarray) -> np.ndarray:
    """Return the box around the lungs of each mask.

    A side of the box lies where `TAIL` of the lungs lies beyond it, by the sums over
    rows and columns. That is steadier than the outermost pixel, and differs from the
    extent of true lungs by little more than a pixel.

    Args:
        lungs: float32 (n, H, W, 1) in [0, 1]; what is below one half counts as nothing.

    Returns:
        float32 (n, 4): top, bottom, left and right as fractions of the side. Without
        any lung, about the whole picture.
    """
    # The floor, far below one pixel in all, is what the box of an empty mask is of.
    mass = np.maximum(2 * lungs[..., 0] - 1, np.float32(1e-6))
    edges = []
    for axis in (2, 1):
        sums = mass.sum(axis=axis)  # of rows, then of columns
        before = np.cumsum(sums, axis=1) - sums
        total = sums.sum(axis=1, keepdims=True)
        # Full rows before a quantile count whole; the row that it falls into, in part.
        edges += [
            np.clip((share * total - before) / sums, 0, 1).mean(axis=1)
            for share in (TAIL, 1 - TAIL)
        ]
    return np.stack(edges, axis=1).astype(np.float32)


def around(boxes: np.ndarray, room: float = ROOM) -> np.ndarray:
    """Return what is cropped to: the boxes, widened, and cut off at the picture's edge.

    Args:
        boxes: float32 (n, 4), as from `boxes`.
        room: added at each side, as a share of the box.

    Returns:
        float32 (n, 4) in [0, 1], each at least `LEAST_SIDE` high and wide.
    """
    first, last = boxes[:, ::2], boxes[:, 1::2]  # (n, 2): of rows, of columns
    middle = (first + last) / 2
    half = np.maximum((last - first) * (0.5 + room), LEAST_SIDE / 2)
    edges = np.stack([middle - half, middle + half], axis=2)  # (n, 2, 2)
    return np.clip(edges, 0, 1).reshape(-1, 4).astype(np.float32)


def crop(images: np.ndarray, places: np.ndarray, side: int = IMAGE_SIZE) -> np.ndarray:
    """Crop images, and resize what is left to a square.

    Where pixels are taken away, each is a weighted mean of those that it covers; where
    the crop is enlarged, it is interpolated linearly. Beyond the picture's edge, its
    outermost pixels go on.

    Args:
        images: float32 (n, S, S, 1).
        places: float32 (n, 4), top, bottom, left and right as fractions of the side.
        side: of the result.

    Returns:
        float32 (n, side, side, 1).
    """
    size = images.shape[1]
    rows = _picking(places[:, 0], places[:, 1], size, side)
    columns = _picking(places[:, 2], places[:, 3], size, side)
    return (rows @ images[..., 0] @ columns.transpose(0, 2, 1))[..., None]


def _picking(first: np.ndarray, last: np.ndarray, size: int, side: int) -> np.ndarray:
    """Return float32 (n, side, size): what each pixel of a crop takes from an axis."""
    step = ((last - first) * np.float32(size / side))[:, None]  # (n, 1) pixels
    centres = np.arange(side, dtype=np.float32) + np.float32(0.5)
    at = first[:, None] * np.float32(size) + centres * step - np.float32(0.5)
    at = np.clip(at, 0, size - 1)[..., None]  # (n, side, 1)
    reach = np.maximum(step, np.float32(1))[..., None]
    away = np.abs(at - np.arange(size, dtype=np.float32))
    weights = np.maximum(1 - away / reach, np.float32(0))
    return weights / weights.sum(axis=2, keepdims=True)
