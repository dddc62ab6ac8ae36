"""JPEG 2000 in DICOM files, decoded no finer than it is looked at.

A codestream keeps a picture at several scales, each half as wide as the next. The
finest takes most of the time, and is what a smaller picture would average away.
"""

import io

import numpy as np
import pydicom
from PIL import Image
from pydicom.encaps import get_frame
from pydicom.pixels.utils import get_j2k_parameters

from . import dicom_attributes as attributes

_SCALES = 5  # halvings that encoders make unless told otherwise
_BEYOND = 1.5  # times the largest number: so far wavelets swing over beside edges


def coarse(dataset: pydicom.Dataset, side: int) -> np.ndarray | None:
    """Decode the first frame at the smallest scale that keeps `side` pixels.

    Args:
        dataset: of a grey picture, whose pixels are a JPEG 2000 codestream.
        side: of the longer side, at least.

    Returns:
        uint8 or uint16 (h, w), numbers as they stand in the file; None where the file
        has to be decoded in full: its pixels are few, signed, or of fewer bits than
        it says, or some of them are padding, which must not blur into others.
    """
    width, height = (attributes.whole(dataset, n) for n in ("Columns", "Rows"))
    halvings = _halvings(width, height, side)
    stored = attributes.whole(dataset, "BitsStored")
    if (
        not halvings
        or attributes.whole(dataset, "PixelPaddingValue") is not None
        or attributes.whole(dataset, "PixelRepresentation") == 1
        or "ExtendedOffsetTable" in dataset
    ):
        return None
    try:
        frames = max(attributes.whole(dataset, "NumberOfFrames") or 1, 1)
        stream = get_frame(dataset.PixelData, 0, number_of_frames=frames)
        said = get_j2k_parameters(stream)
        if said.get("is_signed", True) or said["precision"] < stored:
            return None
        with Image.open(io.BytesIO(stream), formats=("JPEG2000",)) as picture:
            if picture.size != (width, height) or picture.mode not in ("L", "I;16"):
                return None
            picture.reduce = halvings
            scaled = np.asarray(picture)
    except (
        *attributes.PARSE_ERRORS,
        Image.DecompressionBombError,
    ):  # decoded in full, it says what is wrong
        return None
    # Pillow fills up the high bits
    numbers = scaled >> (8 * scaled.itemsize - said["precision"])
    held = within(numbers, stored)
    return held if held.max() < 2**stored else None


def within(numbers: np.ndarray, stored: int) -> np.ndarray:
    """Bring back what a wavelet carried a little over the largest number.

    Cut to the bits that count, it would become black.

    Args:
        numbers: whole, not negative.
        stored: bits that count.
    """
    top = 2**stored - 1
    return np.minimum(numbers, top) if numbers.max() <= _BEYOND * top else numbers


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
