"""What the gate looks at: a picture's shape, and what the lungs look like.

Shape is described by small brightness and edge patterns, which know nothing of the
network: once over the whole picture, and once over the crop to the lungs, where the
frame has no say.
"""

import functools

import numpy as np
from PIL import Image

from . import zones

SIDES = ("above", "below", "left", "right")
"""Of the picture, in the order of a box."""

_CELLS = 14, 8  # cells along a side: of brightness, of edges
_SMALL = 56  # pixels along a side, in which edges are looked for
_DIRECTIONS = 8
_FAINT = 1e-3  # edges of a cell that count as none

COARSE = slice(512, 1024)
"""Where the coarse edges stand in `inside`."""

INSIDE = 1223
"""How many features `inside` returns."""


def shape(inputs: np.ndarray) -> np.ndarray:
    """Describe pictures by coarse brightness and the directions of their edges.

    Both are relative to the picture's own mean and contrast.

    Args:
        inputs: float32 (n, 224, 224, 1) in [0, 1].

    Returns:
        float32 (n, 708).
    """
    return _describe(_reduce(inputs[..., 0], inputs.shape[1] // _SMALL))


def inside(inputs: np.ndarray, found: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Describe the lungs that were found, what lies between and close around them.

    Edges are relative to those of the cells around (Dalal and Triggs, CVPR 2005), so
    that a machine's tone says little.

    Args:
        inputs: float32 (n, 224, 224, 1) in [0, 1].
        found: float32 (n, 96, 96) in [0, 1], probability of lung.
        box: float32 (n, 4), the place around the lungs.

    Returns:
        float32 (n, 1223): edges of the place at half and at a quarter of the picture's
        size, the share of lung in each cell of it, and how high, wide and slender it
        is. `COARSE` are the second edges.
    """
    fine = np.stack(
        [_cut(*of, 2 * _SMALL) for of in zip(inputs[..., 0], box, strict=True)]
    )
    lung = np.stack([_cut(*of, _CELLS[0]) for of in zip(found, box, strict=True)])
    height, width = box[:, 1] - box[:, 0], box[:, 3] - box[:, 2]
    sides = np.stack([height, width, np.log(height / width)], axis=1)
    edges = [_compare(_edges(images)) for images in (fine, _reduce(fine, 2))]
    parts = (*edges, lung.reshape(len(lung), -1), sides)
    return np.concatenate(parts, axis=1).astype(np.float32)


def areas(found: np.ndarray) -> np.ndarray:
    """Return how much of each picture the lung on its left and on its right covers.

    Args:
        found: float32 (n, 96, 96) in [0, 1], probability of lung.

    Returns:
        float64 (n, 2) in [0, 1].
    """
    apart = np.stack([zones.lungs_apart(one) for one in found])
    return apart.mean(axis=(2, 3))


def at_borders(found: np.ndarray) -> np.ndarray:
    """Return how much of the lungs' width or height ends at each border.

    Args:
        found: float32 (n, 96, 96) in [0, 1], probability of lung.

    Returns:
        float64 (n, 4) in [0, 1], in the order of `SIDES`: the lung in the outermost row
        or column, as a share of the row or column that has most.
    """
    lung = found >= zones.LUNG
    shares = []
    for axis in (2, 1):
        sums = lung.sum(axis=axis)  # of rows, then of columns
        most = np.maximum(sums.max(axis=1), 1)
        shares += [sums[:, 0] / most, sums[:, -1] / most]
    return np.stack(shares, axis=1)


def root(embedding: np.ndarray) -> np.ndarray:
    """Tame the long tails of activations."""
    return np.sqrt(np.maximum(embedding, 0))


def _describe(images: np.ndarray) -> np.ndarray:
    """Describe float32 (n, 56, 56) in [0, 1] by 14 x 14 grey and 8 x 8 x 8 edges."""
    bright = _standard(_reduce(images, _SMALL // _CELLS[0])).reshape(len(images), -1)
    edges = np.sqrt(_edges(_standard(images))).reshape(len(images), -1)
    return np.concatenate([bright, edges], axis=1).astype(np.float32)


def _edges(images: np.ndarray) -> np.ndarray:
    """Add up edges of float32 (n, s, s): (n, 8, 8, 8), rows, columns, directions."""
    count, side, _ = images.shape
    cells = _CELLS[1]
    down, right = np.zeros_like(images), np.zeros_like(images)
    down[:, 1:-1] = images[:, 2:] - images[:, :-2]
    right[:, :, 1:-1] = images[:, :, 2:] - images[:, :, :-2]
    turn = (np.arctan2(down, right) / (2 * np.pi) + 0.5) * _DIRECTIONS
    direction = turn.astype(int) & (_DIRECTIONS - 1)  # a power of two
    # one number for each image, cell and direction: its edges are added up there
    bins = cells**2 * _DIRECTIONS
    place = np.arange(count)[:, None, None] * bins + _places(side)
    strength = np.hypot(right, down) / (side // cells) ** 2
    edges = np.bincount((place + direction).ravel(), strength.ravel(), count * bins)
    return edges.reshape(count, cells, cells, _DIRECTIONS)


@functools.cache
def _places(side: int) -> np.ndarray:
    """Return where each pixel's cell begins in the sums of `_edges`: (side, side)."""
    cell = np.arange(side) * _CELLS[1] // side
    return (cell[:, None] * _CELLS[1] + cell) * _DIRECTIONS


def _compare(edges: np.ndarray) -> np.ndarray:
    """Divide edges (n, 8, 8, 8) by those of nine cells around: (n, 512), roots."""
    cells = _CELLS[1]
    wide = np.pad((edges**2).sum(axis=3), ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = np.sum([wide[:, i : i + cells] for i in range(3)], axis=0)
    around = np.sum([rows[:, :, i : i + cells] for i in range(3)], axis=0) / 9
    relative = edges / np.sqrt(around + _FAINT**2)[..., None]
    return np.sqrt(relative).reshape(len(edges), -1)


def _cut(image: np.ndarray, box: np.ndarray, cells: int) -> np.ndarray:
    """Average what a box (4,) of an image (h, w) holds in cells x cells."""
    height, width = image.shape
    top, bottom, left, right = (float(edge) for edge in box)
    edges = left * width, top * height, right * width, bottom * height
    picture = Image.fromarray(image)
    return np.asarray(picture.resize((cells, cells), Image.Resampling.BOX, edges))


def _reduce(images: np.ndarray, factor: int) -> np.ndarray:
    """Average squares of factor x factor in (n, h, w); factor is a power of two."""
    while factor > 1:  # ten times quicker than a mean over axes as short as these
        rows = images[:, ::2] + images[:, 1::2]
        images = (rows[..., ::2] + rows[..., 1::2]) / 4
        factor //= 2
    return images


def _standard(images: np.ndarray) -> np.ndarray:
    """Give each of (n, h, w) mean 0 and spread 1."""
    mean = images.mean(axis=(1, 2), keepdims=True)
    return (images - mean) / (images.std(axis=(1, 2), keepdims=True) + 1e-3)


def surroundings(box: np.ndarray) -> tuple[float, ...]:
    """Return what a chest X-ray usually shows around a place that its lungs fill.

    Args:
        box: top, bottom, left and right as fractions of the picture.
    """
    (top, bottom), (left, right) = np.reshape(box, (2, 2))
    above, beside = 0.15 * (bottom - top), 0.1 * (right - left)
    ends = top - above, bottom + above, left - beside, right + beside
    return tuple(float(end) for end in np.clip(ends, 0, 1))


def cut(inputs: np.ndarray, place: tuple[float, ...]) -> np.ndarray:
    """Cut a place out of a picture and bring it to the picture's size.

    Args:
        inputs: float32 (1, 224, 224, 1) in [0, 1].
        place: top, bottom, left and right as fractions.

    Returns:
        float32 (1, 224, 224, 1) in [0, 1].
    """
    side = inputs.shape[1]
    top, bottom, left, right = (side * end for end in place)
    picture = Image.fromarray(inputs[0, :, :, 0])
    small = picture.resize(
        (side, side), Image.Resampling.BILINEAR, (left, top, right, bottom)
    )
    return np.asarray(small)[None, :, :, None]
