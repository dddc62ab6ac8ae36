"""The margin of a picture that the network is not shown, as matrices.

The outermost pixels hold markers, lettering, collimator edges and black borders, hardly
any lung, and much that tells the classes of the training set apart. Showing the inside
alone is the centre crop with which networks are usually evaluated (Krizhevsky et al.,
NeurIPS 2012). As products of matrices it is the same arithmetic in every engine.
"""

import functools

import numpy as np
from keras import ops
from PIL import Image

from ..contract import IMAGE_SIZE


def inner_side(margin: int) -> int:
    """Return how many pixels of a side are left without a margin at either end.

    Raises:
        ValueError: none would be left.
    """
    inner = IMAGE_SIZE - 2 * margin
    if margin < 0 or inner <= 0:
        raise ValueError(
            f"a margin of {margin} pixels; expected 0 to {IMAGE_SIZE // 2 - 1}"
        )
    return inner


@functools.lru_cache(maxsize=8)
def enlarging(margin: int) -> np.ndarray:
    """Return the matrix that cuts off a margin, and enlarges what is left again.

    Args:
        margin: pixels of `IMAGE_SIZE` cut off at either end, in [0, IMAGE_SIZE / 2).

    Returns:
        float32 (128, 128), M of `M @ image @ M.T`; bicubic. Columns of pixels that are
        cut off are zero.

    Raises:
        ValueError: nothing would be left.
    """
    kept = inner_side(margin)
    each = Image.fromarray(np.eye(kept, dtype=np.float32))
    inside = np.asarray(each.resize((kept, IMAGE_SIZE), Image.Resampling.BICUBIC))
    return np.pad(inside, ((0, 0), (margin, margin)))


def placing(margin: int, cells: int) -> np.ndarray:
    """Return the matrix that lays a coarse map of the inside over the whole picture.

    Args:
        margin: as in `enlarging`.
        cells: of the map, to a side.

    Returns:
        float32 (cells, cells), P of `P @ map @ P.T`: how much of each cell of the
        inside lies in each cell of the whole. Columns sum to 1, so the map's sum stays.
    """
    whole = np.linspace(0, IMAGE_SIZE, cells + 1)
    inside = np.linspace(margin, IMAGE_SIZE - margin, cells + 1)
    first = np.maximum(whole[:-1, None], inside[None, :-1])
    last = np.minimum(whole[1:, None], inside[None, 1:])
    return (np.maximum(last - first, 0) / np.diff(inside)).astype(np.float32)


def on_both_sides(matrix: np.ndarray, values):
    """Multiply by a matrix from the left and by its transpose from the right.

    Args:
        matrix: float32 (m, m).
        values: a tensor of the training framework, (..., m, m).

    Returns:
        A tensor (..., m, m).
    """
    matrix = ops.convert_to_tensor(matrix)
    return ops.matmul(ops.matmul(matrix, values), ops.transpose(matrix))
