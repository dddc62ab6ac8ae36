"""How the numbers of a DICOM file's pixels are stored: bits, sign and padding."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .codecs import Decoded
from .header import Header


@dataclass(frozen=True)
class Bits:
    """How a pixel's number lies in its bytes.

    Attributes:
        allocated: bits that it takes; 0 for floats, which are as they stand.
        stored: bits that count.
        shift: bits below them.
        signed: whether the highest of them is a sign.
        coded: bits that the codec gave, its sign included; `allocated` without one.
        held: whether a lossy codec carried numbers a little over the ends of their
            range. They are brought back to the ends; cut to the bits that count, white
            would become black.
    """

    allocated: int
    stored: int
    shift: int
    signed: bool
    coded: int = 0
    held: bool = False

    def numbers(self, raw: np.ndarray) -> np.ndarray:
        """Return the numbers (n,) of values as they were decoded, int64 or as is."""
        if not self.allocated:
            return raw
        if self.held:
            low, high = self.ends()
            return np.clip(self.signs(raw), low, high) >> self.shift
        return self.wrap(self._unsigned(raw) >> self.shift)

    def ends(self) -> tuple[int, int]:
        """Return the least and the largest number, bits below included."""
        size = self.stored + self.shift
        if self.signed:
            return -(2 ** (size - 1)), 2 ** (size - 1) - 1
        return 0, 2**size - 1

    def signs(self, raw: np.ndarray) -> np.ndarray:
        """Return values as int64 (n,): a codec without signs gave negatives, too."""
        if raw.dtype.kind == "i" or not self.signed:
            return raw.astype(np.int64)
        return sign_extended(raw.astype(np.int64), self.coded)

    def wrap(self, numbers: np.ndarray) -> np.ndarray:
        """Bring whole numbers int64 (n,), signed or not, into the range of a pixel."""
        numbers = numbers & (2**self.stored - 1)
        return sign_extended(numbers, self.stored) if self.signed else numbers

    def alike(self, raw: np.ndarray, number: int) -> np.ndarray:
        """Return bool (n,): which values are a number, however its sign was written."""
        whole = number % 2**self.allocated
        found = self._unsigned(raw) == whole
        if self.signed and whole >= 2 ** (self.allocated - 1):
            number = whole - 2**self.allocated
        if -(2 ** (self.stored - 1)) <= number < 2**self.stored:
            found |= self.numbers(raw) == self.wrap(np.array(number, np.int64))
        return found

    def _unsigned(self, raw: np.ndarray) -> np.ndarray:
        return raw.astype(np.int64) & (2**self.allocated - 1)


def sign_extended(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Give numbers int64 (n,) of so many bits the sign that their highest bit is."""
    return numbers - ((numbers >> bits - 1 & 1) << bits)


def bits_of(header: Header, values: np.ndarray, decoded: Decoded) -> Bits:
    """Tell how the pixels' numbers lie in their bytes.

    Args:
        header: of the file.
        values: (n,), those that occur.
        decoded: what they come from.
    """
    if values.dtype.kind == "f":
        return Bits(0, 0, 0, True)
    allocated = values.dtype.itemsize * 8
    stored = min(header.stored, allocated)  # a codec may give smaller numbers
    coded = min(decoded.precision, allocated)
    bits = Bits(allocated, stored, 0, header.signed, coded)
    shift = _shift(bits, header.high_bit, values, decoded)
    bits = replace(bits, shift=shift)
    if not decoded.lossy:
        return bits
    low, high = bits.ends()
    return replace(bits, held=_about(bits.signs(values), low, high, decoded))


def _shift(bits: Bits, high: int | None, values: np.ndarray, decoded: Decoded) -> int:
    """Return how many bits lie below those that count.

    HighBit holds for whole cells of memory. DCMTK gives these to its encoders without
    loss. Others give them the bits that count alone, and leave HighBit as it was.
    """
    shift = 0 if high is None else high + 1 - bits.stored
    if not 0 < shift <= bits.coded - bits.stored:
        return 0
    # They may not lie there after all: then they end where others do, at 0.
    if _about(values, 0, 2**bits.stored - 1, decoded):
        return 0
    low_ones = (values & (2**shift - 1)).any()
    ends = bits.ends()
    lie_low = bits.signed and low_ones and _about(bits.signs(values), *ends, decoded)
    return 0 if lie_low else shift


def _about(values: np.ndarray, low: int, high: int, decoded: Decoded) -> bool:
    """Tell whether numbers lie in a range, or beyond it by what the codec may add."""
    share, steps = decoded.beyond
    slack = max(share * (high - low), steps)
    return bool(low - slack <= values.min() and values.max() <= high + slack)


def no_padding(values: np.ndarray) -> np.ndarray:
    """Return bool, of the shape of the values: none is padding."""
    return np.zeros(values.shape, bool)


def padding_of(header: Header, bits: Bits) -> Callable[[np.ndarray], np.ndarray]:
    """Return what tells values that are no part of the picture."""
    if not bits.allocated:
        if header.float_padding is None:
            return no_padding
        least, most = header.float_padding
        return lambda values: (least <= values) & (values <= most)
    if header.padding is None:
        return no_padding
    value, limit = header.padding
    if limit is None:
        return lambda values: bits.alike(values, value)
    low, high = sorted(
        int(bits.wrap(np.array(end, np.int64))) for end in (value, limit)
    )

    def between(values: np.ndarray) -> np.ndarray:
        numbers = bits.numbers(values)
        return (low <= numbers) & (numbers <= high)

    return between
