"""How the numbers of a DICOM file's pixels are stored: bits, sign and padding."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pydicom

from . import dicom_attributes as attributes


@dataclass(frozen=True)
class Bits:
    """How a pixel's number lies in its bytes.

    Attributes:
        allocated: bits that it takes; 0 for floats, which are as they stand.
        stored: bits that count.
        shift: bits below them.
        signed: whether the highest of them is a sign.
    """

    allocated: int
    stored: int
    shift: int
    signed: bool

    def numbers(self, raw: np.ndarray) -> np.ndarray:
        """Return the numbers (n,) of values as they were decoded, int64 or as is."""
        if not self.allocated:
            return raw
        return self.wrap(self._unsigned(raw) >> self.shift)

    def wrap(self, numbers: np.ndarray) -> np.ndarray:
        """Bring whole numbers int64 (n,), signed or not, into the range of a pixel."""
        numbers = numbers & (2**self.stored - 1)
        return numbers - ((self.signed & (numbers >> self.stored - 1)) << self.stored)

    def alike(self, raw: np.ndarray, number: int) -> np.ndarray:
        """Return bool (n,): which values are a number, however its sign was written."""
        found = self._unsigned(raw) == number % 2**self.allocated
        if -(2 ** (self.stored - 1)) <= number < 2**self.stored:
            found |= self.numbers(raw) == self.wrap(np.int64(number))
        return found

    def _unsigned(self, raw: np.ndarray) -> np.ndarray:
        return raw.astype(np.int64) & (2**self.allocated - 1)


def bits_of(dataset: pydicom.Dataset, raw: np.ndarray, packed: bool) -> Bits:
    """Read how the pixels' numbers lie in their bytes.

    Args:
        dataset: of the file.
        raw: (H, W) as decoded.
        packed: they were compressed as numbers, whose lowest bit is the lowest.
    """
    if raw.dtype.kind == "f":
        return Bits(0, 0, 0, True)
    allocated = raw.dtype.itemsize * 8
    stored = attributes.whole(dataset, "BitsStored") or allocated
    if not 1 <= stored <= allocated:
        stored = allocated
    high = attributes.whole(dataset, "HighBit")
    shift = 0 if high is None or packed else high + 1 - stored
    # The numbers may not lie there after all: then they end where others do, at 0.
    if not 0 < shift <= allocated - stored or raw.min() >= 0 and raw.max() < 2**stored:
        shift = 0
    signed = attributes.whole(dataset, "PixelRepresentation") == 1
    return Bits(allocated, stored, shift, signed)


def no_padding(values: np.ndarray) -> np.ndarray:
    """Return bool, of the shape of the values: none is padding."""
    return np.zeros(values.shape, bool)


def _padding_of_floats(
    dataset: pydicom.Dataset,
) -> Callable[[np.ndarray], np.ndarray]:
    for name in ("FloatPixelPadding", "DoubleFloatPixelPadding", "PixelPadding"):
        value = attributes.number(dataset, f"{name}Value")
        if value is not None:
            limit = attributes.number(dataset, f"{name}RangeLimit")
            low, high = sorted((value, value if limit is None else limit))
            return lambda values: (low <= values) & (values <= high)
    return no_padding


def padding_of(
    dataset: pydicom.Dataset, bits: Bits
) -> Callable[[np.ndarray], np.ndarray]:
    """Return what tells values that are no part of the picture."""
    if not bits.allocated:
        return _padding_of_floats(dataset)
    value = attributes.whole(dataset, "PixelPaddingValue")
    limit = attributes.whole(dataset, "PixelPaddingRangeLimit")
    if value is None or abs(value) >= 2**32:
        return no_padding
    if limit is None:
        return lambda values: bits.alike(values, value)
    low, high = sorted(int(bits.wrap(np.int64(end))) for end in (value, limit))

    def between(values: np.ndarray) -> np.ndarray:
        numbers = bits.numbers(values)
        return (low <= numbers) & (numbers <= high)

    return between
