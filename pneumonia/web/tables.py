"""What tables of many files share: a small picture, and names that are no formulas."""

import numpy as np
from PIL import Image

from ..serving.encode import encode_jpeg

_FORMULA = tuple("=+-@\t\r")  # with these a spreadsheet's formula begins
_THUMBNAIL = 56, 56


def plain(name: str) -> str:
    """Return a name that no spreadsheet takes for a formula."""
    return f"'{name}" if name[:1] in _FORMULA else name


def thumbnail(pixels: np.ndarray) -> bytes:
    """Return a small picture, a JPEG file, of uint8 (H, W)."""
    picture = Image.fromarray(pixels)
    picture.thumbnail(_THUMBNAIL)
    return encode_jpeg(np.asarray(picture))
