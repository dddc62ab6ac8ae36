"""JPEG 2000 in DICOM files, decoded no finer than it is looked at.

A codestream keeps a picture at several scales, each half as wide as the next. The
finest takes most of the time, and is what a smaller picture would average away.
"""

import io

import numpy as np
from PIL import Image, ImageFilter

from .. import deep
from ..picture import ANSWER_SIDE
from . import attributes
from .codestream import Codestream
from .header import Header

# Pixels of a coarser scale that padding may have reached: the filter 5-3 takes in two
# neighbours on either side at each halving, 2 x (2**n - 1) pixels in all.
_REACH = 3


def coarse(
    header: Header, stream: bytes, head: Codestream, side: int, exact: bool = False
) -> np.ndarray | None:
    """Decode a codestream at the smallest scale that keeps `side` pixels.

    Padding would blur into its neighbours. So where a scale is exactly padding, the
    pixels around become padding, too. Padding that is too narrow for that, as letters
    are, is averaged into the picture.

    Args:
        header: of a grey picture.
        stream: JPEG 2000 or HTJ2K, of the header's size.
        head: of the stream.
        side: of the longer side, at least.
        exact: nothing was lost, so that padding is at every scale what it is.

    Returns:
        uint8, uint16 or int16 (h, w), numbers as they stand in the file; None where the
        file has to be decoded in full: its pixels are few, or of fewer bits than it
        says, or have a sign that the codec knows nothing of, or padding that can't be
        told from them or is looked at.
    """
    size = head.height, head.width
    halvings = min(deep.averaged(size, side).bit_length() - 1, head.halvings)
    if (
        not halvings
        or header.signed != head.signed
        or head.precision < header.stored
        or not (header.padding is None or (exact and side <= ANSWER_SIDE))
    ):
        return None
    try:  # not imagecodecs: it decodes the finest scale alone
        with Image.open(io.BytesIO(stream), formats=("JPEG2000",)) as picture:
            if picture.mode not in ("L", "I;16"):
                return None
            setattr(picture, "reduce", halvings)  # noqa: B010 - a method besides
            # the codestream rounds up where Pillow rounds
            whole = (-(-side >> halvings) << halvings for side in picture.size)
            setattr(picture, "_size", tuple(whole))  # noqa: B010 - nothing else tells
            scaled = np.asarray(picture)
    except (
        *attributes.PARSE_ERRORS,
        Image.DecompressionBombError,
    ):  # decoded in full, it says what is wrong
        return None
    # Pillow fills up the high bits, and gives numbers with a sign without it
    scaled = scaled >> (8 * scaled.itemsize - head.precision)
    if head.signed:
        scaled = (scaled.astype(np.int32) - 2 ** (head.precision - 1)).astype(np.int16)
    if header.padding is None:
        return scaled
    return _with_wider_padding(scaled, *header.padding)


def _with_wider_padding(
    scaled: np.ndarray, value: int, limit: int | None
) -> np.ndarray | None:
    """Make padding of what padding may have blurred into; None for several numbers."""
    if limit is not None:
        return None
    number = np.asarray(value).astype(scaled.dtype)  # however its sign was written
    padding = scaled == number
    if not padding.any():
        return scaled
    wider = ImageFilter.MaxFilter(2 * _REACH + 1)
    reached = np.asarray(Image.fromarray(padding).convert("L").filter(wider))
    return np.where(reached, number, scaled)
