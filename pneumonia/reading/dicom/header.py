"""What a DICOM file says of its pixels: parsed and judged once, and frozen.

Only the attributes in `_ATTRIBUTES` are read: how the pixels are stored and shown, and
by which kind of machine they were taken. Names, dates and numbers of patients are
skipped while reading, and no message repeats what stands in a file. What reads pixels
gets a `Header`, and never the data set that it comes from.
"""

import functools
import logging
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ..picture import ImageError, check_size
from . import attributes
from . import modality as modalities
from .attributes import Table

_PALETTE = ("RedPaletteColor", "GreenPaletteColor", "BluePaletteColor")
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_FLOAT_PADDING = ("FloatPixelPadding", "DoubleFloatPixelPadding", "PixelPadding")
_SPACINGS = (  # the first of them counts, as in DCMTK
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "PixelAspectRatio",
)
_ATTRIBUTES = [
    "SOPClassUID",
    "Modality",
    "ViewPosition",
    "ImageLaterality",
    "Laterality",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    *(f"{name}{end}" for name in _FLOAT_PADDING for end in ("Value", "RangeLimit")),
    "PixelIntensityRelationship",
    "PixelIntensityRelationshipSign",
    "PresentationIntentType",
    "PresentationLUTShape",
    "PresentationLUTSequence",
    "RescaleIntercept",
    "RescaleSlope",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    *(
        f"{name}LookupTable{part}"
        for name in _PALETTE
        for part in ("Descriptor", "Data")
    ),
    "PatientOrientation",
    "ImageOrientationPatient",
    "FieldOfViewHorizontalFlip",
    "FieldOfViewRotation",
    *_SPACINGS,
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    *_PIXELS,
]
PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
"""Transfer syntaxes that compress nothing."""

GREY = ("MONOCHROME1", "MONOCHROME2")
"""Photometric interpretations of one brightness for each pixel."""

_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"  # digital X-ray images, so meant
_MOST_BITS = 64
_UNTIL_ITS_END = 2**32 - 1  # instead of a length: of fragments, each with its own
_LARGE = 2**20  # bytes of an element that are left where they lie
_ONE = (*GREY, "PALETTE COLOR")  # number for each pixel
_KNOWN = (*_ONE, "RGB", "YBR_")

# Complaints about a file quote it, so they are silenced at their source.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


class Stored(NamedTuple):
    """Pixels as they lie in the file.

    Attributes:
        keyword: of the element: PixelData, FloatPixelData or DoubleFloatPixelData.
        kind: its value representation.
        content: compressed or not, perhaps as it lies in the file; None where it can't
            be told.
    """

    keyword: str
    kind: str
    content: bytes | memoryview | None


@dataclass(frozen=True, eq=False)
class Header:
    """What a file says of its pixels, with what is assumed where it says nothing.

    A text is in upper case, and empty where there is none. A list of numbers holds NaN
    for each that is none.

    Attributes:
        warnings: codes of what is odd about the file as a whole.
        syntax: transfer syntax; whether it is read, decoders know.
        pixels: each element that holds pixels.
        offsets: extended offset table, and its lengths.
        frames: how many pictures, at least 1.
        photometric: photometric interpretation, one that is read.
        samples: numbers for each pixel.
        planar: planar configuration.
        rows: height in pixels.
        columns: width in pixels.
        allocated: bits that a number is said to take in memory.
        stored: bits of them that count, from 1 on.
        high_bit: where the highest of those is said to lie.
        signed: whether it is a sign.
        padding: of whole numbers, what is no picture: a number, or the ends of a range.
        float_padding: the same of floats, lowest and highest.
        palette: tables of red, green and blue.
        processing: whether the numbers are the detector's own, for processing.
        relation: how they follow from the exposure, LIN or LOG.
        relation_sign: whether they grow with it, 1 or -1.
        slope: of the modality's numbers; 1 where 0 is said.
        intercept: of them.
        no_slope: whether a slope of 0 is said.
        modality_tables: instead of slope and intercept; None for each that is broken.
        voi_tables: of what is shown, likewise.
        voi_function: how a window is meant.
        windows: center and width of each.
        inverse: whether the presentation is said to be inverted.
        presentation_tables: of what is shown in the end, likewise.
        view: from where the X-rays came, such as PA.
        laterality: of which side the picture is said to be, such as L or R.
        orientation: where rows and columns run, in letters.
        angles: the same as six cosines.
        flipped: whether the detector's rows are said to be flipped.
        turned: by how many degrees the detector's field is said to be turned.
        spacings: heights and widths of a pixel; the first that makes sense counts.
    """

    warnings: tuple[str, ...]
    syntax: str
    pixels: tuple[Stored, ...]
    offsets: tuple[bytes, bytes] | None
    frames: int
    photometric: str
    samples: int
    planar: int
    rows: int
    columns: int
    allocated: int
    stored: int
    high_bit: int | None
    signed: bool
    padding: tuple[int, int | None] | None
    float_padding: tuple[float, float] | None
    palette: tuple[Table | None, ...]
    processing: bool
    relation: str
    relation_sign: int | None
    slope: float
    intercept: float
    no_slope: bool
    modality_tables: tuple[Table | None, ...]
    voi_tables: tuple[Table | None, ...]
    voi_function: str
    windows: tuple[tuple[float, float], ...]
    inverse: bool
    presentation_tables: tuple[Table | None, ...]
    view: str
    laterality: str
    orientation: tuple[str, ...]
    angles: tuple[float, ...]
    flipped: bool
    turned: int
    spacings: tuple[tuple[float, ...], ...]

    @property
    def content(self) -> bytes | memoryview | None:
        """The element PixelData; None where there is none that can be told."""
        return {one.keyword: one.content for one in self.pixels}.get("PixelData")


def damaged() -> ImageError:
    """Return what refuses a file that can't be read to its end."""
    return ImageError(
        "damaged",
        "This DICOM file is damaged or incomplete and can't be read to its end. "
        "Export it once more and try again.",
    )


def unsupported(what: str, instead: str = "as grey PNG") -> ImageError:
    """Return what refuses a file for what it is."""
    return ImageError(
        "unsupported",
        f"This DICOM file {what}, which is not read here. Export it {instead}.",
    )


def read(data: bytes | mmap.mmap) -> Header:
    """Read what a file says of its pixels.

    Args:
        data: the file's content; the preamble may be missing.

    Raises:
        ImageError: no plain radiograph, or one that can't be read; says why.
    """
    dataset = _parsed(data)
    text = functools.partial(attributes.text, dataset)
    whole = functools.partial(attributes.whole, dataset)
    number = functools.partial(attributes.number, dataset)
    numbers = functools.partial(attributes.numbers, dataset)
    tables = functools.partial(attributes.tables, dataset)
    pixels = tuple(_stored(dataset, name, data) for name in _PIXELS if name in dataset)
    frames, view = max(whole("NumberOfFrames") or 1, 1), text("ViewPosition")
    modality = modalities.judge(text("SOPClassUID"), text("Modality"))
    if not pixels:
        raise ImageError(
            "no_pixels",
            "This DICOM file holds no picture. Choose the X-ray's own file.",
        )
    photometric, samples = text("PhotometricInterpretation"), whole("SamplesPerPixel")
    warnings = {
        "unknown_modality": not modality,
        "lateral_view": view in modalities.LATERAL,
        "first_frame": frames > 1,
        "values_assumed": not photometric or not samples,
    }
    samples = samples or (1 if photometric in ("", *_ONE) else 3)
    photometric = photometric or ("MONOCHROME2" if samples == 1 else "RGB")
    if (samples == 1) != (photometric in _ONE) or not photometric.startswith(_KNOWN):
        raise unsupported("holds pixels of an unusual kind")
    columns, rows, allocated = (
        _needed(whole(name), name) for name in ("Columns", "Rows", "BitsAllocated")
    )
    check_size(columns, rows)
    stored = whole("BitsStored") or 0
    most = allocated if 1 <= allocated <= _MOST_BITS else _MOST_BITS
    slope = number("RescaleSlope")
    processing = _is_for_processing(text("PresentationIntentType"), text("SOPClassUID"))
    return Header(
        warnings=tuple(code for code, holds in warnings.items() if holds),
        syntax=_syntax(dataset),
        pixels=pixels,
        offsets=_offsets(dataset),
        frames=frames,
        photometric=photometric,
        samples=samples,
        planar=whole("PlanarConfiguration") or 0,
        rows=rows,
        columns=columns,
        allocated=allocated,
        stored=stored if 1 <= stored <= most else most,
        high_bit=whole("HighBit"),
        signed=whole("PixelRepresentation") == 1,
        padding=_padding(whole("PixelPaddingValue"), whole("PixelPaddingRangeLimit")),
        float_padding=_float_padding(number),
        palette=tuple(attributes.table(dataset, colour) for colour in _PALETTE),
        processing=processing,
        relation=text("PixelIntensityRelationship"),
        relation_sign=whole("PixelIntensityRelationshipSign"),
        slope=slope or 1.0,
        intercept=number("RescaleIntercept") or 0.0,
        no_slope=slope == 0,
        modality_tables=tables("ModalityLUTSequence"),
        voi_tables=tables("VOILUTSequence"),
        voi_function=text("VOILUTFunction"),
        windows=tuple(
            zip(numbers("WindowCenter"), numbers("WindowWidth"), strict=False)
        ),
        inverse=text("PresentationLUTShape") == "INVERSE",
        presentation_tables=tables("PresentationLUTSequence"),
        view=view,
        laterality=text("ImageLaterality") or text("Laterality"),
        orientation=tuple(attributes.texts(dataset, "PatientOrientation")),
        angles=tuple(numbers("ImageOrientationPatient")),
        flipped=text("FieldOfViewHorizontalFlip") == "YES",
        turned=whole("FieldOfViewRotation") or 0,
        spacings=tuple(tuple(numbers(name)) for name in _SPACINGS),
    )


class _Reader:
    """A file's content to read on in; what is skipped is never copied, or touched."""

    def __init__(self, data: bytes | mmap.mmap):
        self._data, self._at = data, 0

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._at + size
        found = self._data[self._at : end]
        self._at += len(found)
        return found

    def seek(self, to: int, whence: int = 0) -> int:
        self._at = max(0, to + (0, self._at, len(self._data))[whence])
        return self._at

    def tell(self) -> int:
        return self._at


def _parsed(data: bytes | mmap.mmap) -> pydicom.Dataset:
    """Find the attributes of a file; none of them is looked at."""
    asked: dict[str, Any] = {"specific_tags": _ATTRIBUTES, "defer_size": _LARGE}
    try:
        return pydicom.dcmread(cast(Any, _Reader(data)), force=True, **asked)
    except attributes.PARSE_ERRORS:
        pass  # what it says may quote the file
    raise damaged()


def _needed(value: int | None, name: str) -> int:
    if value is None:
        raise ImageError(
            "damaged",
            f"This DICOM file lacks the attribute {name}, without which its "
            "pixels can't be told apart. Export it once more.",
        )
    return value


def _stored(dataset: pydicom.Dataset, keyword: str, data: bytes | mmap.mmap) -> Stored:
    try:
        raw = dataset.get_item(keyword, keep_deferred=True)
        if isinstance(raw, RawDataElement) and raw.value is None and raw.length:
            kind = raw.VR if raw.VR not in (None, "UN") else dictionary_VR(raw.tag)
            view = memoryview(data)[raw.value_tell :][: raw.length]
            content = bytes(view) if raw.length == _UNTIL_ITS_END else view
            return Stored(keyword, kind.rpartition(" ")[2], content)
        element = dataset[keyword]
        content = element.value if isinstance(element.value, bytes) else None
        return Stored(keyword, element.VR, content)
    except attributes.PARSE_ERRORS:
        return Stored(keyword, "", None)


def _offsets(dataset: pydicom.Dataset) -> tuple[bytes, bytes] | None:
    names = "ExtendedOffsetTable", "ExtendedOffsetTableLengths"
    try:
        first, lengths = (dataset.get(name) for name in names)
    except attributes.PARSE_ERRORS:
        return None
    return None if first is None or lengths is None else (first, lengths)


def _syntax(dataset: pydicom.Dataset) -> str:
    """Return the transfer syntax; of a file that names none, what it was read as."""
    if "TransferSyntaxUID" in dataset.file_meta:
        return attributes.text(dataset.file_meta, "TransferSyntaxUID")
    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    return str(ImplicitVRLittleEndian if implicit else explicit)


def _padding(value: int | None, limit: int | None) -> tuple[int, int | None] | None:
    return None if value is None or abs(value) >= 2**32 else (value, limit)


def _float_padding(
    number: Callable[[str], float | None],
) -> tuple[float, float] | None:
    for name in _FLOAT_PADDING:
        value = number(f"{name}Value")
        if value is not None:
            limit = number(f"{name}RangeLimit")
            ends = value, value if limit is None else limit
            return min(ends), max(ends)
    return None


def _is_for_processing(intent: str, sop_class: str) -> bool:
    """Tell whether the numbers are the detector's own."""
    return intent == "FOR PROCESSING" or (sop_class == _FOR_PROCESSING and not intent)
