"""JPEG 2000 in DICOM files, decoded no finer than it is looked at.

A codestream keeps a picture at several scales, each half as wide as the next. The
finest takes most of the time, and is what a smaller picture would average away.
"""

import io

import numpy as np
from PIL import Image

from . import attributes
from .codestream import Codestream
from .header import Header

_SCALES = 5  # halvings that encoders make unless told otherwise


def coarse(
    header: Header, stream: bytes, head: Codestream, side: int
) -> np.ndarray | None:
    """Decode a codestream at the smallest scale that keeps `side` pixels.

    Args:
        header: of a grey picture.
        stream: JPEG 2000 or HTJ2K, of the header's size.
        head: of the stream.
        side: of the longer side, at least.

    Returns:
        uint8 or uint16 (h, w), numbers as they stand in the file; None where the file
        has to be decoded in full: its pixels are few, signed, or of fewer bits than
        it says, or some of them are padding, which must not blur into others.
    """
    halvings = _halvings(head.width, head.height, side)
    if (
        not halvings
        or header.padding is not None
        or header.signed
        or head.signed
        or head.precision < header.stored
    ):
        return None
    try:  # not imagecodecs: it decodes the finest scale alone
        with Image.open(io.BytesIO(stream), formats=("JPEG2000",)) as picture:
            if picture.mode not in ("L", "I;16"):
                return None
            setattr(picture, "reduce", halvings)  # noqa: B010 - a method besides
            scaled = np.asarray(picture)
    except (
        *attributes.PARSE_ERRORS,
        Image.DecompressionBombError,
    ):  # decoded in full, it says what is wrong
        return None
    # Pillow fills up the high bits
    return scaled >> (8 * scaled.itemsize - head.precision)


def _halvings(width: int, height: int, side: int) -> int:
    """Return how often the sides can be halved; 0: not at all."""
    for halvings in range(_SCALES, 0, -1):
        scale = 2**halvings
        # Pillow rounds where the codestream's sides are rounded up
        whole = all(
            (n + scale // 2) // scale == -(-n // scale) for n in (width, height)
        )
        if whole and max(width, height) >= side * scale:
            return halvings
    return 0
