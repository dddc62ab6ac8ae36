"""DICOM file to pixels, by pydicom and its decoders, and nothing about the patient.

Only the attributes in `_ATTRIBUTES` are read: how the pixels are stored and shown, and
by which kind of machine they were taken. Names, dates and numbers of patients are
skipped while reading, and no message repeats what stands in a file. What the pixels'
numbers mean is told by `dicom_grayscale`.
"""

import io
import logging
import threading
import warnings

import gdcm  # decodes for pydicom what Pillow can't: JPEG-LS, lossless JPEG
import numpy as np
import pydicom
from pydicom.pixels import pixel_array
from pydicom.uid import (
    JPEG2000,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from . import dicom_attributes as attributes
from . import (
    dicom_bits,
    dicom_colour,
    dicom_grayscale,
    dicom_jpeg2000,
    dicom_modality,
)
from .picture import ImageError, check_size

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_ATTRIBUTES = [
    "SOPClassUID",
    "Modality",
    "ViewPosition",
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
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "FloatPixelPaddingValue",
    "FloatPixelPaddingRangeLimit",
    "DoubleFloatPixelPaddingValue",
    "DoubleFloatPixelPaddingRangeLimit",
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
    *dicom_colour.ATTRIBUTES,
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
]
_JPEG2000 = (JPEG2000, JPEG2000Lossless)
_PLUGINS = {  # who decodes what; "" where nothing is compressed
    **dict.fromkeys(
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian), ""
    ),
    RLELossless: "pydicom",
    **dict.fromkeys((JPEGBaseline8Bit, JPEGExtended12Bit), "pillow"),
    **dict.fromkeys(_JPEG2000, "pillow"),
    **dict.fromkeys((JPEGLossless, JPEGLosslessSV1), "gdcm"),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), "gdcm"),
}
_GREY = ("MONOCHROME1", "MONOCHROME2")
_ONE = (*_GREY, "PALETTE COLOR")  # number for each pixel
_KNOWN = (*_ONE, "RGB", "YBR_")

# Complaints about a file quote it, so they are silenced at their source.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
for _turn_off in (gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff, gdcm.Trace.DebugOff):
    _turn_off()
_one_at_a_time = threading.Lock()  # `warnings.catch_warnings` is not made for threads


def decode(
    data: bytes, side: int, risky: bool = False
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decode the first frame of a DICOM file as it is meant to be seen.

    Args:
        data: the file's content; the preamble may be missing.
        side: how long the longer side has to be at least; a picture may come out
            smaller than it is stored where that is quicker.
        risky: let GDCM decode, which a damaged file can bring to end the process.

    Returns:
        uint8 (H, W), bright where much was absorbed, or uint8 (H, W, 3) for the rare
        colour image; and codes of warnings.

    Raises:
        ImageError: no plain radiograph, or one that can't be read; says why.
    """
    if _DEFLATED in data[:4096]:  # it inflates as a whole, to any size
        raise _unsupported("is compressed as a whole", "uncompressed or as PNG")
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = _parsed(data)
        found = list(dicom_modality.check(dataset))
        kind, colours = _photometric(dataset, found)
        for name in ("Columns", "Rows", "BitsAllocated"):
            if attributes.whole(dataset, name) is None:
                raise ImageError(
                    "damaged",
                    f"This DICOM file lacks the attribute {name}, without which its "
                    "pixels can't be told apart. Export it once more.",
                )
        width, height = (attributes.whole(dataset, n) for n in ("Columns", "Rows"))
        check_size(width, height)
        plugin = _plugin(dataset, risky)
        raw = _decoded(dataset, plugin, kind, side)
        packed = plugin not in ("", "pydicom")
        if kind not in _GREY:  # RGB: pydicom converts YBR, of 8 bits alone
            bits = dicom_bits.bits_of(dataset, raw, packed)
            shown = dicom_colour.colours(dataset, raw, bits)
            if shown is None:
                raise _unsupported("holds colours in an unusual form")
            pixels, more = shown
            return pixels, tuple(dict.fromkeys(found + more))
        pixels, more = dicom_grayscale.shades(
            dataset, raw, packed, kind == "MONOCHROME1"
        )
        return pixels, tuple(dict.fromkeys(found + more))


def _parsed(data: bytes) -> pydicom.Dataset:
    """Find the attributes of a file; none of them is looked at."""
    try:
        return pydicom.dcmread(io.BytesIO(data), force=True, specific_tags=_ATTRIBUTES)
    except attributes.PARSE_ERRORS:
        pass  # what it says may quote the file
    raise _damaged()


def _damaged() -> ImageError:
    return ImageError(
        "damaged",
        "This DICOM file is damaged or incomplete and can't be read to its end. "
        "Export it once more and try again.",
    )


def _unsupported(what: str, instead: str = "as grey PNG") -> ImageError:
    return ImageError(
        "unsupported",
        f"This DICOM file {what}, which is not read here. Export it {instead}.",
    )


def _photometric(dataset: pydicom.Dataset, found: list[str]) -> tuple[str, int]:
    """Return how pixels are to be read and the colours of each; add to the warnings."""
    kind = attributes.text(dataset, "PhotometricInterpretation")
    colours = attributes.whole(dataset, "SamplesPerPixel")
    if not kind or not colours:
        found.append("values_assumed")
    colours = colours or (1 if kind in ("", *_ONE) else 3)
    kind = kind or ("MONOCHROME2" if colours == 1 else "RGB")
    if (colours == 1) != (kind in _ONE) or not kind.startswith(_KNOWN):
        raise _unsupported("holds pixels of an unusual kind")
    attributes.put(dataset, "PhotometricInterpretation", kind)
    attributes.put(dataset, "SamplesPerPixel", colours)
    return kind, colours


def _plugin(dataset: pydicom.Dataset, risky: bool) -> str:
    """Return who decodes the pixels; "" where they are not compressed."""
    if "TransferSyntaxUID" not in dataset.file_meta:  # then they are not
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        syntax = ImplicitVRLittleEndian if implicit else explicit
        dataset.file_meta.TransferSyntaxUID = syntax
    syntax = attributes.text(dataset.file_meta, "TransferSyntaxUID")
    stored = attributes.whole(dataset, "BitsStored") or 8
    # Pillow decodes a JPEG of more than 8 bits to 8 bits alone
    if syntax not in _PLUGINS or (syntax == JPEGExtended12Bit and stored > 8):
        raise _unsupported("is compressed in a way", "uncompressed or as PNG")
    plugin = _PLUGINS[syntax]
    colours = attributes.whole(dataset, "SamplesPerPixel") > 1
    deep = attributes.whole(dataset, "BitsAllocated") > 8
    if colours and deep and plugin == "pillow":  # which keeps their high bytes alone
        plugin = "gdcm"
    if plugin == "gdcm" and not risky:
        raise ImageError(
            "needs_worker",
            "This DICOM file is compressed in a way that is read only in a process of "
            "its own. Read it with IsolatedReader, or export it uncompressed.",
        )
    return plugin


def _decoded(dataset: pydicom.Dataset, plugin: str, kind: str, side: int) -> np.ndarray:
    """Return the first frame's numbers, (H, W) or (H, W, 3), as their decoder says."""
    whole = {
        name: attributes.whole(dataset, name)
        for name in ("Rows", "Columns", "BitsAllocated", "NumberOfFrames")
    }
    allocated = whole["BitsAllocated"]
    stored = attributes.whole(dataset, "BitsStored") or allocated
    whole["BitsStored"] = stored if 1 <= stored <= allocated else allocated
    whole["PixelRepresentation"] = int(
        attributes.whole(dataset, "PixelRepresentation") == 1
    )
    whole["PlanarConfiguration"] = attributes.whole(dataset, "PlanarConfiguration") or 0
    whole["NumberOfFrames"] = max(whole["NumberOfFrames"] or 1, 1)
    for name, value in whole.items():
        attributes.put(dataset, name, value)
    syntax = dataset.file_meta.TransferSyntaxUID
    if kind in _GREY and syntax in _JPEG2000:
        scaled = dicom_jpeg2000.coarse(dataset, side)
        if scaled is not None:
            return scaled
    try:
        # no bits are cut off before it is known which ones count
        raw = pixel_array(
            dataset, index=0, decoding_plugin=plugin, correct_unused_bits=False
        )
    except attributes.PARSE_ERRORS:
        raw = None  # what it says may quote the file
    if raw is None:
        raise _damaged()
    lossy = syntax == JPEG2000 and raw.dtype.kind == "u"
    return dicom_jpeg2000.within(raw, whole["BitsStored"]) if lossy else raw
