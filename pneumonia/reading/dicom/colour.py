"""Colours in DICOM files: palettes, and more than 8 bits of each."""

import numpy as np

from .. import deep
from .attributes import Table
from .bits import Bits, bits_of
from .codecs import Decoded
from .header import Header


def colours(header: Header, decoded: Decoded) -> tuple[np.ndarray, list[str]] | None:
    """Return what a picture of colours is meant to look like.

    Args:
        header: of the file.
        decoded: (H, W) of places in a palette, or (H, W, 3) of colours.

    Returns:
        uint8 (H, W, 3) and codes of warnings; None where it can't be told.
    """
    raw = decoded.raw
    if raw.dtype.kind not in "iu":
        return None
    flat = raw.reshape(len(raw), -1)
    bits = bits_of(header, deep.levels(flat).values, decoded)
    if raw.ndim == 2:
        return _by_palette(header.palette, raw, bits)
    if raw.shape[2:] != (3,):
        return None
    if raw.dtype == np.uint8:
        return raw, []
    numbers = _numbers(flat, bits)
    pixels, clipped = deep.by_own_range(numbers)
    return pixels.reshape(raw.shape), ["outliers_clipped"] if clipped else []


def _numbers(raw: np.ndarray, bits: Bits) -> np.ndarray:
    """Take whole numbers (H, W) out of their bits, a row at a time."""
    numbers = np.empty(raw.shape, np.int32 if bits.allocated > 16 else raw.dtype)
    for row, stored in enumerate(raw):
        numbers[row] = bits.numbers(stored)
    return numbers


def _by_palette(
    tables: tuple[Table | None, ...], raw: np.ndarray, bits: Bits
) -> tuple[np.ndarray, list[str]] | None:
    known = [table for table in tables if table]
    if raw.dtype.itemsize > 2 or len(known) < len(tables):
        return None
    numbers = _numbers(raw, bits).astype(np.int32)
    shown = np.empty((*raw.shape, 3), np.uint8)
    for channel, (first, entries) in enumerate(known):
        if entries.max() > 255:  # entries have 8 bits or 16
            entries = np.rint(entries / 257)
        places = np.clip(numbers - first, 0, len(entries) - 1)
        shown[..., channel] = entries.astype(np.uint8)[places]
    return shown, []
