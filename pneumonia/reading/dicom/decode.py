"""DICOM file to pixels, by pydicom and its decoders, and nothing about the patient.

Only the attributes in `_ATTRIBUTES` are read: how the pixels are stored and shown, and
by which kind of machine they were taken. Names, dates and numbers of patients are
skipped while reading, and no message repeats what stands in a file. What the pixels'
numbers mean is told by `grayscale`.
"""

import io
import logging
import threading
import warnings
from dataclasses import replace

import numpy as np
import pydicom
from pydicom.pixels import convert_color_space, pixel_array
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ..picture import ImageError, check_size
from . import attributes, codecs, colour, geometry, grayscale, modality
from .codecs import Decoded

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
    *colour.ATTRIBUTES,
    *geometry.ATTRIBUTES,
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
]
_PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
_GREY = ("MONOCHROME1", "MONOCHROME2")
_ONE = (*_GREY, "PALETTE COLOR")  # number for each pixel
_KNOWN = (*_ONE, "RGB", "YBR_")

# Complaints about a file quote it, so they are silenced at their source.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
_one_at_a_time = threading.Lock()  # `warnings.catch_warnings` is not made for threads


def decode(data: bytes, side: int) -> tuple[np.ndarray, bool, tuple[str, ...]]:
    """Decode the first frame of a DICOM file as it is meant to be seen.

    Args:
        data: the file's content; the preamble may be missing.
        side: how long the longer side has to be at least; a picture may come out
            smaller than it is stored where that is quicker.

    Returns:
        uint8 (H, W), bright where much was absorbed, or uint8 (H, W, 3) for the rare
        colour image, upright; whether the patient's right is known to be on the left of
        it; and codes of warnings.

    Raises:
        ImageError: no plain radiograph, or one that can't be read; says why.
    """
    if _DEFLATED in data[:4096]:  # it inflates as a whole, to any size
        raise _unsupported("is compressed as a whole", "uncompressed or as PNG")
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = _parsed(data)
        found = list(modality.check(dataset))
        kind = _photometric(dataset, found)
        for name in ("Columns", "Rows", "BitsAllocated"):
            if attributes.whole(dataset, name) is None:
                raise ImageError(
                    "damaged",
                    f"This DICOM file lacks the attribute {name}, without which its "
                    "pixels can't be told apart. Export it once more.",
                )
        width, height = (attributes.whole(dataset, n) for n in ("Columns", "Rows"))
        check_size(width, height)
        decoded = _decoded(dataset, kind, side)
        if kind not in _GREY:
            shown = colour.colours(dataset, decoded)
            if shown is None:
                raise _unsupported("holds colours in an unusual form")
        else:
            dark = kind == "MONOCHROME1"
            shown = grayscale.shades(dataset, decoded, dark)
        pixels, more = shown
        found += more
        pixels, sides_known, more = geometry.upright(dataset, pixels, side)
        return pixels, sides_known, tuple(dict.fromkeys(found + more))


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


def _photometric(dataset: pydicom.Dataset, found: list[str]) -> str:
    """Return how pixels are to be read; add to the warnings."""
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
    return kind


def _syntax(dataset: pydicom.Dataset) -> str:
    """Return how the pixels are stored, one of those that are read."""
    if "TransferSyntaxUID" not in dataset.file_meta:  # then they are not compressed
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        syntax = ImplicitVRLittleEndian if implicit else explicit
        dataset.file_meta.TransferSyntaxUID = syntax
    syntax = attributes.text(dataset.file_meta, "TransferSyntaxUID")
    if syntax not in _PLAIN and syntax not in codecs.COMPRESSED:
        raise _unsupported("is compressed in a way", "uncompressed or as PNG")
    return syntax


def _decoded(dataset: pydicom.Dataset, kind: str, side: int) -> Decoded:
    """Return the first frame's numbers, (H, W) or (H, W, 3), as their decoder says."""
    syntax = _syntax(dataset)
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
    try:
        if syntax in codecs.COMPRESSED:
            decoded = codecs.decode(dataset, kind, side)
        else:  # no bits are cut off before it is known which ones count
            raw = pixel_array(dataset, index=0, raw=True, correct_unused_bits=False)
            decoded = Decoded(raw, 8 * raw.itemsize)
        if decoded is not None:
            return _in_rgb(dataset, decoded)
    except attributes.PARSE_ERRORS:
        pass  # what it says may quote the file
    raise _damaged()


def _in_rgb(dataset: pydicom.Dataset, decoded: Decoded) -> Decoded:
    """Turn colours of 8 bits into RGB, where their codec has not."""
    kind = attributes.text(dataset, "PhotometricInterpretation")
    if not kind.startswith("YBR_FULL") or decoded.raw.dtype != np.uint8:
        return decoded
    return replace(decoded, raw=convert_color_space(decoded.raw, "YBR_FULL", "RGB"))
