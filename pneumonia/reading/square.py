"""Pixels that are not square, and what makes them so."""

from PIL import Image

SQUARE = 0.01
"""Sides of a pixel that differ by less are alike."""

_LONGEST_PIXEL = 5.0  # times its width, or the other way round: beyond is a slip


def squared(picture: Image.Image, height: float, side: int) -> Image.Image:
    """Give each pixel as much height as width; no side loses detail below `side`.

    Args:
        picture: whose pixels are not square.
        height: of a pixel, for its width.
        side: the result has no longer side than this.
    """
    rows, columns = picture.height * max(height, 1), picture.width / min(height, 1)
    part = min(1.0, side / max(rows, columns))
    size = max(round(columns * part), 1), max(round(rows * part), 1)
    return picture.resize(size, Image.Resampling.BILINEAR)


def height_of_pixel(across: float, down: float) -> float:
    """Return how high a pixel is for its width, 1 for square ones.

    Args:
        across: pixels for a length from left to right.
        down: pixels for the same length from top to bottom.

    Raises:
        ValueError: they are no lengths, or no picture has such pixels.
    """
    ratio = across / down if min(across, down) > 0 else 0.0
    if not 1 / _LONGEST_PIXEL <= ratio <= _LONGEST_PIXEL:
        raise ValueError("nonsense")
    return ratio if abs(ratio - 1) > SQUARE else 1.0
