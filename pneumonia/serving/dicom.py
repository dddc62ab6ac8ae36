"""DICOM file to pixels, by pydicom and its decoders, and nothing about the patient.

Only the attributes in `_ATTRIBUTES` are read: how the pixels are stored and shown, and
by which kind of machine they were taken. Names, dates and numbers of patients are
skipped while reading, and no message repeats what stands in a file.
"""

import io
import logging
import threading
import warnings
from collections.abc import Callable

import gdcm  # decodes for pydicom what Pillow can't: JPEG-LS, lossless JPEG
import numpy as np
import pydicom
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array
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

PLAIN_RADIOGRAPHS = ("CR", "DX", "RG")
"""Modalities that are read; every other is refused by its name."""

_OTHERS = {
    "CT": "computed tomography",
    "MR": "magnetic resonance",
    "US": "ultrasound",
    "NM": "nuclear medicine",
    "PT": "positron emission tomography",
    "MG": "mammography",
    "RF": "fluoroscopy",
    "XA": "angiography",
    "PX": "a panoramic dental X-ray",
    "IO": "a dental X-ray",
    "BMD": "bone densitometry",
    "SC": "a secondary capture",
    "OT": "an unspecified kind of image",
    "ES": "endoscopy",
    "XC": "a photograph",
    "GM": "microscopy",
    "SM": "slide microscopy",
    "OP": "a photograph of an eye",
    "ECG": "an electrocardiogram",
    "SR": "a report",
    "DOC": "a document",
    "PR": "a presentation state",
    "SEG": "a segmentation",
    "RTDOSE": "a radiotherapy dose",
    "RTPLAN": "a radiotherapy plan",
    "RTSTRUCT": "a radiotherapy structure set",
    "RTIMAGE": "a radiotherapy image",
}
_SOP_CLASSES = {  # where the modality is not said
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "DX",
}
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
    "RescaleIntercept",
    "RescaleSlope",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
]
_PLUGINS = {  # who decodes what; "" where nothing is compressed
    **dict.fromkeys(
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian), ""
    ),
    RLELossless: "pydicom",
    **dict.fromkeys((JPEGBaseline8Bit, JPEGExtended12Bit), "pillow"),
    **dict.fromkeys((JPEG2000, JPEG2000Lossless), "pillow"),
    **dict.fromkeys((JPEGLossless, JPEGLosslessSV1), "gdcm"),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), "gdcm"),
}
_LATERAL = ("LL", "RL", "LATERAL", "LAT")

# Complaints about a file quote it, so they are silenced at their source.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
for _turn_off in (gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff, gdcm.Trace.DebugOff):
    _turn_off()
_one_at_a_time = threading.Lock()  # `warnings.catch_warnings` is not made for threads


class DicomError(ValueError):
    """The file holds no plain radiograph that can be read.

    Attributes:
        reason: stable code: `modality`, `no_pixels`, `unsupported`, `damaged` or
            `needs_worker`.
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


def decode(
    data: bytes, check_size: Callable[[int, int], None], risky: bool = False
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decode the first frame of a DICOM file as it is meant to be seen.

    Modality and VOI look-up table or window are applied, MONOCHROME1 is inverted, and
    padding takes the darkest value.

    Args:
        data: the file's content; the preamble may be missing.
        check_size: called with width and height before any pixel is decoded; what it
            raises goes through.
        risky: let GDCM decode, which a damaged file can bring to end the process.

    Returns:
        float64 (H, W) of any range, bright where much was absorbed, or uint8 (H, W, 3)
        for the rare colour image; and codes of warnings.

    Raises:
        DicomError: no plain radiograph, or one that can't be read; says why.
    """
    if _DEFLATED in data[:4096]:  # it inflates as a whole, to any size
        raise DicomError(
            "unsupported",
            "This DICOM file is compressed as a whole, which is not read here. "
            "Export it uncompressed or as PNG.",
        )
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = _guarded(
            lambda: pydicom.dcmread(
                io.BytesIO(data), force=True, specific_tags=_ATTRIBUTES
            )
        )
        found = _guarded(lambda: _check_kind(dataset))
        check_size(*_guarded(lambda: (int(dataset.Columns), int(dataset.Rows))))
        return _guarded(lambda: _frame(dataset, risky)), found


def _guarded(step: Callable):
    """Run one step of a foreign parser, which may raise anything on a hostile file."""
    try:
        return step()
    except (DicomError, MemoryError):
        raise
    except NotImplementedError:
        message = (
            "This DICOM file is compressed in a way that can't be read here. "
            "Export it uncompressed or as PNG."
        )
        raise DicomError("unsupported", message) from None
    except Exception:  # `from None`: what it says may quote the file
        message = (
            "This DICOM file is damaged or incomplete and can't be read to its end. "
            "Export it once more and try again."
        )
        raise DicomError("damaged", message) from None


def _check_kind(dataset: pydicom.Dataset) -> tuple[str, ...]:
    """Refuse what is no plain radiograph; return codes of warnings."""
    sop_class = str(dataset.get("SOPClassUID", ""))
    modality = str(dataset.get("Modality") or _SOP_CLASSES.get(sop_class, "")).strip()
    modality = modality.upper()
    if modality and modality not in PLAIN_RADIOGRAPHS:
        name = (
            f"{_OTHERS[modality]} (modality {modality})"
            if modality in _OTHERS
            else "another modality"  # a free text that is not repeated
        )
        raise DicomError(
            "modality",
            f"This DICOM file holds {name}, not a plain X-ray. "
            f"Expected modality {', '.join(PLAIN_RADIOGRAPHS[:-1])} or "
            f"{PLAIN_RADIOGRAPHS[-1]}.",
        )
    pixels = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
    if not any(name in dataset for name in pixels):
        raise DicomError(
            "no_pixels",
            "This DICOM file holds no picture. Choose the X-ray's own file.",
        )
    view = str(dataset.get("ViewPosition") or "").strip().upper()
    return (
        *(() if modality else ("unknown_modality",)),
        *(("lateral_view",) if view in _LATERAL else ()),
        *(("first_frame",) if int(dataset.get("NumberOfFrames") or 1) > 1 else ()),
    )


def _frame(dataset: pydicom.Dataset, risky: bool) -> np.ndarray:
    """Return the first frame as `decode` promises it."""
    kind = str(dataset.PhotometricInterpretation).strip().upper()
    if "TransferSyntaxUID" not in dataset.file_meta:  # then it is not compressed
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        syntax = ImplicitVRLittleEndian if implicit else explicit
        dataset.file_meta.TransferSyntaxUID = syntax
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax not in _PLUGINS:
        raise NotImplementedError
    if _PLUGINS[syntax] == "gdcm" and not risky:
        raise DicomError(
            "needs_worker",
            "This DICOM file is compressed in a way that is read only in a process of "
            "its own. Read it with IsolatedReader, or export it uncompressed.",
        )
    if syntax == JPEGExtended12Bit and int(dataset.BitsStored) > 8:
        raise NotImplementedError  # Pillow decodes such a JPEG to 8 bits alone
    stored = pixel_array(dataset, index=0, decoding_plugin=_PLUGINS[syntax])
    if stored.ndim == 3 and stored.dtype == np.uint8 and stored.shape[2] == 3:
        return stored  # RGB: pydicom converts YBR
    if stored.ndim != 2 or kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise NotImplementedError
    values = np.asarray(apply_modality_lut(stored, dataset), np.float64)
    try:
        shown = np.asarray(apply_voi_lut(_as_voi_input(values), dataset), np.float64)
    except (ValueError, TypeError, LookupError, AttributeError):
        shown = values  # an impossible window is as good as none
    if shown.min() == shown.max():
        shown = values
    if kind == "MONOCHROME1":
        shown = -shown
    if "PixelPaddingValue" in dataset:
        padding = stored == int(dataset.PixelPaddingValue)
        if padding.any() and not padding.all():
            shown = np.where(padding, shown[~padding].min(), shown)
    return shown


def _as_voi_input(values: np.ndarray) -> np.ndarray:
    """Return whole numbers as integers: a VOI look-up table is indexed by them."""
    whole = np.isfinite(values).all() and (values == np.rint(values)).all()
    return values.astype(np.int64) if whole else values
