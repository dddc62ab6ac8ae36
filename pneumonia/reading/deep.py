"""Pixels to 8 bits, deep ones so that a few outliers don't rule the scale.

What pixels mean is a function of their value. It is applied to each value that occurs
rather than to each pixel: a deep picture has few values and many pixels.

A picture that is to be smaller is averaged over squares of whole pixels. A meaning that
is a straight line is applied afterwards, which gives the same and is quicker. Any other
is applied first: past the end of a window, and beside padding, the mean of what pixels
mean is not what their mean would mean.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from .tone import Tone

MAX_TRACE = 0.001
"""Share of pixels that may be clipped without a warning."""

_SAMPLE = 2**20  # numbers that a large picture is judged by, at least
_BODY = 0.05, 0.95  # the quantiles between which no outlier is expected
# From the body to the brightest and the darkest pixel, in lengths of the body. It was
# at most 1.0 and 1.24 in 1,160 X-rays of children and adults as 8-bit JPEG.
_FAR = 1.5
_GAP = 0.5  # a stretch without any number that ends the body
_STEPS = 16  # the body's length in steps, by which its end is looked for
_SEVERAL = 32  # numbers besides, without which this is a drawing
_LONE = 0.01  # share of pixels from which one number far from all others is padding
_SPARSE = 2e-4  # share of pixels in a step below which the body has ended
_MOST_AVERAGED = 16  # pixels along a side of a square
_STRAIGHT = 1e-9  # of the whole range, how far from a line a straight one may be


class Levels(NamedTuple):
    """Which values occur, and how often.

    Attributes:
        values: (n,), of the picture's dtype, ascending for whole numbers of 8 or 16
            bits; finite.
        counts: int64 (n,), of pixels.
    """

    values: np.ndarray
    counts: np.ndarray


class Numbers(NamedTuple):
    """Pixels as they stand in a file.

    Attributes:
        pixels: (H, W) or (H, W, 3) of whole numbers or floats, transparent parts black.
        top: full scale.
        negative: the largest is black.
    """

    pixels: np.ndarray
    top: float
    negative: bool = False


def levels(deep: np.ndarray) -> Levels:
    """Count the values of a picture.

    Args:
        deep: (H, W) of whole numbers or floats. Of a large picture every nth row
            counts, and of numbers of more than 16 bits every nth. The extremes are
            always among the values.
    """
    if _is_short(deep):
        low, high = int(deep.min()), int(deep.max())
        counts = np.zeros(high - low + 1, np.int64)
        for block in _blocks(deep[:: max(1, deep.size // _SAMPLE)]):
            places = block.astype(np.int64)  # what `bincount` would make of any other
            places -= low
            counts += np.bincount(places.ravel(), minlength=len(counts))
        for end in (0, -1):
            counts[end] = max(counts[end], 1)
        (places,) = counts.nonzero()
        return Levels((places + low).astype(deep.dtype), counts[places])
    flat = deep.ravel()
    sample = flat[:: -(-flat.size // _SAMPLE)]
    ends = [end for block in _blocks(deep) for end in _ends(block)]
    values = np.append(sample[np.isfinite(sample)], np.asarray(ends, deep.dtype))
    return Levels(values, np.ones(len(values), np.int64))


def _is_short(deep: np.ndarray) -> bool:
    return deep.dtype.kind in "iu" and deep.dtype.itemsize <= 2


def _blocks(deep: np.ndarray) -> list[np.ndarray]:
    """Cut into views: float64 takes up to eight times a large picture's memory."""
    return np.array_split(deep, max(1, min(len(deep), deep.size // 2**20)))


def _ends(block: np.ndarray) -> list[float]:
    """Return the lowest and the highest finite number, if there is one."""
    finite = block[np.isfinite(block)]
    return [finite.min(), finite.max()] if finite.size else []


def robust_range(numbers: np.ndarray, counts: np.ndarray) -> tuple[float, float, float]:
    """Return where black and white shall be, and which share of pixels lies outside.

    That is the whole range, unless it reaches far beyond where nearly all pixels are.

    Args:
        numbers: finite floats (n,), in any order.
        counts: int64 (n,), how often each occurs.
    """
    order = np.argsort(numbers, kind="stable")
    numbers, counts = numbers[order], counts[order]
    everything = counts.sum()
    inner = _without_padding(numbers, counts)
    numbers, counts = numbers[inner], counts[inner]
    up_to = np.cumsum(counts)
    total = up_to[-1]
    at = np.searchsorted(up_to, [share * total for share in _BODY])
    first, last = numbers[at]
    low, high = numbers[0], numbers[-1]
    length = last - first
    if length > 0 and high - last > _FAR * length:
        high = _end_of_body(numbers, up_to, last, length)
    if length > 0 and first - low > _FAR * length:
        from_above = total - np.append(0, up_to[:-1])
        low = -_end_of_body(-numbers[::-1], from_above[::-1], -first, length)
    inside = counts[(numbers >= low) & (numbers <= high)].sum()
    return float(low), float(high), float(1 - inside / everything)


def _without_padding(numbers: np.ndarray, counts: np.ndarray) -> slice:
    """Return where numbers, ascending, are no lone value far below or above the rest.

    So are borders that a file does not declare; they may be most of the picture.
    """
    start = np.searchsorted(numbers, numbers[0], side="right")
    stop = np.searchsorted(numbers, numbers[-1], side="left")
    if stop - start < _SEVERAL:
        return slice(None)
    least, most = numbers[start], numbers[stop - 1]
    far, enough = _FAR * (most - least), _LONE * counts.sum()
    below = least - numbers[0] > far and counts[:start].sum() > enough
    above = numbers[-1] - most > far and counts[stop:].sum() > enough
    return slice(start if below else 0, stop if above else len(numbers))


def _end_of_body(
    numbers: np.ndarray, up_to: np.ndarray, start: float, length: float
) -> float:
    """Return the last number of the body, upwards from `start`.

    That is the one before the first wide gap, else where hardly any pixels are.
    """
    tail = numbers[numbers >= start]
    (gaps,) = np.nonzero(np.diff(tail) > _GAP * length)
    if len(gaps):
        return tail[gaps[0]]
    steps = start + np.arange(_STEPS * (_FAR + 1) + 1) * (length / _STEPS)
    places = np.searchsorted(numbers, steps, side="right") - 1
    sparse = np.diff(up_to[places]) < _SPARSE * up_to[-1]
    return numbers[places[sparse.argmax() if sparse.any() else -1]]


def averaged(size: tuple[int, ...], least: int | None) -> int:
    """Return how many pixels along a side are averaged to one; 1: none.

    Args:
        size: (H, W, ...) of a picture.
        least: pixels that its longer side keeps, and its shorter one half of them;
            None: it is not to be smaller.
    """
    if least is None:
        return 1
    longer, shorter = max(size[:2]), min(size[:2])
    return min(max(1, min(longer // least, 2 * shorter // least)), _MOST_AVERAGED)


def _average(deep: np.ndarray, times: int) -> np.ndarray:
    """Average squares of (H, W) to float64 (h, w); the last ones may be narrower."""
    height, width = deep.shape
    rows = np.zeros((-(-height // times), width), np.int32)
    for at in range(times):
        part = deep[at::times]
        rows[: len(part)] += part
    total = np.zeros((len(rows), -(-width // times)), np.int32)
    for at in range(times):
        part = rows[:, at::times]
        total[:, : part.shape[1]] += part
    down, across = (
        np.minimum(times, side - times * np.arange(-(-side // times)))
        for side in (height, width)
    )
    return total / (down[:, None] * across)


def to_eight_bits(
    deep: np.ndarray,
    low: float,
    high: float,
    meaning: Callable[[np.ndarray], np.ndarray] = np.asarray,
    times: int = 1,
) -> np.ndarray:
    """Map pixels linearly onto uint8 (H, W), what means `low` to 0 and `high` to 255.

    Args:
        deep: (H, W) of whole numbers or floats.
        low: what becomes black; so does NaN.
        high: what becomes white.
        meaning: from values (n,) of the picture's dtype to floats (n,) or numbers that
            become such.
        times: how many pixels along a side are averaged to one.
    """
    if times > 1:
        line = _line(deep, low, high, meaning) if _is_short(deep) else None
        if line is None:
            shades = to_eight_bits(deep, low, high, meaning)
            return np.asarray(Image.fromarray(shades).reduce(times))
        start, slope = line
        means = (_average(deep, times) * slope + (start - low)) * _scale(low, high)
        return np.rint(np.clip(means, 0, 255)).astype(np.uint8)

    def shade(values: np.ndarray) -> np.ndarray:
        floats = np.asarray(meaning(values), np.float64)
        floats = np.nan_to_num(floats, nan=low, posinf=high, neginf=low)
        part = (np.clip(floats, low, high) - low) * _scale(low, high)
        return np.rint(part).astype(np.uint8)

    if _is_short(deep):
        deep = np.ascontiguousarray(deep, deep.dtype.newbyteorder("="))
        limits = np.iinfo(deep.dtype)
        table = shade(np.arange(limits.min, limits.max + 1).astype(deep.dtype))
        unsigned = np.roll(table, limits.min)  # a negative number counts from the end
        return unsigned[deep.view(f"u{deep.dtype.itemsize}")]
    scaled = np.empty(deep.shape, np.uint8)
    blocks = _blocks(deep)
    for block, part in zip(blocks, np.array_split(scaled, len(blocks)), strict=True):
        part[:] = shade(block)
    return scaled


def _scale(low: float, high: float) -> float:
    return 255 / ((high - low) or 1)


def _line(
    deep: np.ndarray,
    low: float,
    high: float,
    meaning: Callable[[np.ndarray], np.ndarray],
) -> tuple[float, float] | None:
    """Return what 0 means, and one more; None where that is no line, or is clipped."""
    values = np.arange(int(deep.min()), int(deep.max()) + 1)
    meant = np.asarray(meaning(values.astype(deep.dtype)), np.float64)
    if len(values) < 2 or not np.isfinite(meant).all():
        return None
    slope = (meant[-1] - meant[0]) / (len(values) - 1)
    start = meant[0] - values[0] * slope
    slack = _STRAIGHT * max(abs(high - low), abs(low), abs(high))
    straight = np.abs(meant - (start + values * slope)).max() <= slack
    inside = low - slack <= meant.min() and meant.max() <= high + slack
    return (float(start), float(slope)) if straight and inside else None


def by_own_range(
    deep: np.ndarray,
    meaning: Callable[[np.ndarray], np.ndarray] = np.asarray,
    least: int | None = None,
) -> tuple[np.ndarray, bool]:
    """Map a picture onto uint8 by its own range.

    Args:
        deep: (H, W) or (H, W, 3) of whole numbers or floats.
        meaning: as in `to_eight_bits`.
        least: as in `averaged`.

    Returns:
        uint8 (h, w) or (h, w, 3), all 0 where no number is finite; and whether more
        than a trace was clipped.
    """
    flat = deep.reshape(len(deep), -1)
    times = averaged(deep.shape, least)
    values, counts = levels(flat)
    if not len(values):
        return np.zeros(deep.shape, np.uint8), False
    meant = np.asarray(meaning(values), np.float64)
    low, high, outside = robust_range(meant, counts)
    if deep.ndim == 2:
        pixels = to_eight_bits(deep, low, high, meaning, times)
    else:
        pixels = to_eight_bits(flat, low, high, meaning).reshape(deep.shape)
        pixels = np.asarray(Image.fromarray(pixels).reduce(times))
    return pixels, outside > MAX_TRACE


def shown(
    numbers: Numbers, tone: Tone | None = None, least: int | None = None
) -> tuple[np.ndarray, bool]:
    """Turn pixels into shades of a screen, those of more than 8 bits by their range.

    Args:
        numbers: as they stand in a file.
        tone: what they mean.
        least: as in `averaged`, for those of more than 8 bits.

    Returns:
        uint8 of the same number of axes; and whether more than a trace was clipped.
    """
    pixels, top, negative = numbers
    if pixels.dtype.kind == "i":
        tone = None  # they have no full scale

    def meaning(some: np.ndarray) -> np.ndarray:
        floats = some.astype(np.float64)
        if tone is None:
            return -floats if negative else floats
        share = floats / top
        return tone(1 - share if negative else share)

    if pixels.dtype != np.uint8:
        return by_own_range(pixels, meaning, least)
    shades = np.arange(256)[:: -1 if negative else 1]
    return eight_bits(tone)[shades][pixels], False


def eight_bits(tone: Tone | None) -> np.ndarray:
    """Return what each value of 8 bits becomes, uint8 (256,)."""
    share = np.arange(256) / 255
    return np.rint(255 * (tone(share) if tone else share)).astype(np.uint8)


def on_black(numbers: np.ndarray, alpha: np.ndarray, top: float) -> np.ndarray:
    """Lay numbers on black; alpha that is 0 everywhere, or no share, says nothing.

    Args:
        numbers: (H, W) or (H, W, 3) of whole numbers or floats.
        alpha: (H, W), `top` where nothing shines through.
        top: full scale.
    """
    if not alpha.any() or not (alpha < top).any():
        return numbers
    laid = np.empty_like(numbers)
    for row, part in enumerate(alpha):  # a whole picture of floats would take 600 MB
        share = np.clip(part / np.float32(top), 0, 1)
        laid[row] = numbers[row] * (share if numbers.ndim == 2 else share[:, None])
    return laid
