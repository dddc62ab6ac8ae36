"""From the numbers in a DICOM file to brightness, in the order that the standard says.

Which bits of a pixel count, and their sign; the modality's table or slope; the VOI
table or window; which end is bright; and which pixels are no picture but padding. Each
is a function of a pixel's value, and each is judged for itself: what does not fit is
left out, and a warning says so.
"""

from collections.abc import Callable

import numpy as np

from .. import deep
from ..picture import ImageError
from . import bits as dicom_bits
from .attributes import Table
from .codecs import Decoded
from .header import Header

_Map = Callable[[np.ndarray], np.ndarray]
_MOST_LOST = 0.5  # share of pixels that a window may send to black, or to white


def shades(
    header: Header, decoded: Decoded, least: int | None = None
) -> tuple[np.ndarray, list[str]]:
    """Return what a grey picture is meant to look like.

    Args:
        header: of the file.
        decoded: (H, W) of whole numbers or floats.
        least: as in `deep.averaged`.

    Returns:
        uint8 (h, w), bright where much was absorbed, padding black; codes of warnings.

    Raises:
        ImageError: these are the detector's own numbers, and what they mean is left
            open.
    """
    raw, bright_is_low = decoded.raw, header.photometric == "MONOCHROME1"
    values, counts = deep.levels(raw)
    if not len(values):
        return np.zeros(raw.shape, np.uint8), []
    bits = dicom_bits.bits_of(header, values, decoded)
    padding = dicom_bits.padding_of(header, bits)
    picture = ~padding(values)
    if picture.any():
        values, counts = values[picture], counts[picture]
    else:
        padding = dicom_bits.no_padding
    modality, warnings = _modality(header, bits.signed)
    if header.processing:
        voi, direct = _unprocessed(header, bits), True
        warnings.append("unprocessed")
    else:
        numbers = modality(bits.numbers(values))
        voi, direct, ignored = _voi(header, numbers, counts)
        if ignored:
            warnings.append("window_ignored")
        if bright_is_low or header.inverse:
            voi = _negative(voi)

    def meaning(some: np.ndarray) -> np.ndarray:
        found = voi(np.asarray(modality(bits.numbers(some)), np.float64))
        return np.where(padding(some), -np.inf, found)

    mean: Callable[[np.ndarray], np.ndarray] = meaning
    shown = mean(values)
    finite = np.isfinite(shown)
    shown, counts = shown[finite], counts[finite]
    if not len(shown):
        return np.zeros(raw.shape, np.uint8), warnings
    low, high = shown.min(), shown.max()
    if direct:
        low, high, outside = deep.robust_range(shown, counts)
        if outside > deep.MAX_TRACE:
            warnings.append("outliers_clipped")
    if header.presentation_tables:
        found = header.presentation_tables[0]
        if found and np.ptp(found[1]):
            entries = found[1].astype(np.float64)
            mean = _presented(mean, low, high, entries)
            low, high = entries.min(), entries.max()
        else:
            warnings.append("window_ignored")
    times = deep.averaged(raw.shape, least)
    return deep.to_eight_bits(raw, low, high, mean, times), warnings


def _presented(of: _Map, low: float, high: float, entries: np.ndarray) -> _Map:
    """Look up in a table that spans all that is shown; padding stays black."""
    steps = (len(entries) - 1) / ((high - low) or 1)

    def presented(some: np.ndarray) -> np.ndarray:
        found = of(some)
        places = np.rint((np.clip(found, low, high) - low) * steps)
        places = np.nan_to_num(places).astype(np.int64)
        return np.where(np.isneginf(found), -np.inf, entries[places])

    return presented


def _negative(of: _Map) -> _Map:
    return lambda numbers: -of(numbers)


def _modality(header: Header, signed: bool) -> tuple[_Map, list[str]]:
    """Return the modality's table or slope, and codes of warnings."""
    for table in header.modality_tables:
        if table:
            return _look_up(*_with_sign(*table, signed)), []
    odd = header.no_slope or header.modality_tables
    slope, intercept = header.slope, header.intercept
    return lambda numbers: numbers * slope + intercept, ["values_assumed"] * bool(odd)


def _with_sign(first: int, entries: np.ndarray, signed: bool) -> Table:
    """Mend the first value of a table, if its sign was written without one."""
    return first - 2**16 if signed and first >= 2**15 else first, entries


def _look_up(first: int, entries: np.ndarray) -> _Map:
    entries = entries.astype(np.float64)

    def look_up(numbers: np.ndarray) -> np.ndarray:
        places = np.nan_to_num(np.rint(numbers)) - first
        return entries[np.clip(places, 0, len(entries) - 1).astype(np.int64)]

    return look_up


def _unprocessed(header: Header, bits: dicom_bits.Bits) -> _Map:
    """Return what turns the detector's own numbers into brightness.

    Raises:
        ImageError: they don't say whether they are linear in the exposure.
    """
    relation = header.relation
    if relation not in ("LIN", "LOG") or not bits.allocated:
        raise ImageError(
            "unsupported",
            "This DICOM file holds the detector's values for further processing and "
            "does not say how they follow from the exposure. Export the X-ray as it is "
            "shown, for presentation or as PNG.",
        )
    sign = header.relation_sign
    if sign not in (1, -1):  # where more exposure is, the film is dark
        dark = header.photometric == "MONOCHROME1"
        sign = 1 if dark or relation == "LIN" else -1
    if relation == "LOG":
        return lambda numbers: -sign * numbers
    top = 0 if sign == 1 else 2**bits.stored - 1
    return lambda numbers: -np.log(np.maximum(top + sign * numbers, 1))


def _voi(
    header: Header, numbers: np.ndarray, counts: np.ndarray
) -> tuple[_Map, bool, bool]:
    """Choose the first VOI table, else the first window, that fits the pixels.

    Returns:
        It; whether it leaves the numbers as they are; whether another was ignored.
    """
    darkest, brightest = numbers.min(), numbers.max()
    between = (numbers > darkest) & (numbers < brightest)

    def fits(low: float, high: float) -> bool:
        lost = max(
            counts[between & outside].sum()
            for outside in (numbers < low, numbers > high)
        )
        overlap = low < brightest and darkest < high
        return overlap and lost <= _MOST_LOST * counts[between].sum()

    ignored = False
    for table in header.voi_tables:
        if table:
            first, entries = _with_sign(*table, darkest < 0)
            look_up = _look_up(first, entries)
            if fits(first, first + len(entries)) and np.ptp(look_up(numbers)) > 0:
                return look_up, False, ignored
        ignored = True
    for center, width in header.windows:
        if header.voi_function == "SIGMOID":
            if width > 0 and fits(center - width, center + width):
                return _sigmoid(center, width), False, ignored
        else:  # an unknown function is taken for the usual one
            if header.voi_function != "LINEAR_EXACT":
                center, width = center - 0.5, width - 1
            low, high = center - width / 2, center + width / 2
            if low <= darkest and brightest <= high:
                break  # it shows everything
            if width > 0 and fits(low, high):
                return _clip(low, high), False, ignored
        ignored = True
    return lambda some: some, True, ignored


def _clip(low: float, high: float) -> _Map:
    return lambda numbers: np.clip(numbers, low, high)


def _sigmoid(center: float, width: float) -> _Map:
    def sigmoid(numbers: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-4 * (numbers - center) / width))

    return sigmoid
