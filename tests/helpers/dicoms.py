"""DICOM files made for tests: every kind of storage that the reader meets."""

import io
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
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

SECRET = "Mustermann^Erika"
"""Stands in every patient attribute of the files; must never be seen again."""

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
"""Files that come with pydicom, of all kinds but plain radiographs."""

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.1"  # computed radiography


def make(
    pixels: np.ndarray,
    syntax: str = ExplicitVRLittleEndian,
    preamble: bool = True,
    **attributes,
) -> bytes:
    """Write (H, W), (frames, H, W) or (H, W, 3) as a DICOM file, CR unless said.

    Pixels are colours where `SamplesPerPixel` is 3.
    """
    colours = attributes.get("SamplesPerPixel") == 3
    several = pixels.ndim == 3 and not colours
    frames = pixels if several else pixels[None]
    bits = pixels.dtype.itemsize * 8
    dataset = Dataset()
    dataset.SOPClassUID = SOP_CLASS
    dataset.SOPInstanceUID = "1.2.3"
    dataset.Modality = "CR"
    dataset.PatientName = dataset.PatientID = SECRET
    with warnings.catch_warnings(action="ignore"):
        dataset.PatientBirthDate = SECRET  # no date: pydicom complains and quotes it
    dataset.PatientComments = dataset.InstitutionName = SECRET
    dataset.SamplesPerPixel = 3 if colours else 1
    dataset.PhotometricInterpretation = "RGB" if colours else "MONOCHROME2"
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    if colours:
        dataset.PlanarConfiguration = 0
        if attributes.get("PlanarConfiguration") == 1:
            frames = np.moveaxis(frames, -1, 1)
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    if several:
        dataset.NumberOfFrames = len(frames)
    if syntax == ExplicitVRBigEndian:
        raw = frames.astype(frames.dtype.newbyteorder(">")).tobytes()
    else:
        raw = frames.tobytes()
    dataset.PixelData = raw
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = SOP_CLASS
    if syntax == RLELossless:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(RLELossless, encoding_plugin="pydicom")  # GDCM's may abort
    elif syntax in _ENCODERS:
        dataset.PixelData = encapsulate([_ENCODERS[syntax](f) for f in frames])
        dataset["PixelData"].is_undefined_length = True
    for name, value in attributes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    own = str(dataset.file_meta.TransferSyntaxUID)
    if own in JPEG_XL:  # pydicom 3 writes none, so one of the same length stands in
        dataset.file_meta.TransferSyntaxUID = HTJ2KLosslessRPCL
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=preamble)
    data = file.getvalue()
    return data.replace(HTJ2KLosslessRPCL.encode(), own.encode())


def _by_pillow(kind: str, **options):
    def encode(frame: np.ndarray) -> bytes:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, kind, **options)
        return file.getvalue()

    return encode


def _jpeg_2000(frame: np.ndarray) -> bytes:
    kept = {"level": 0, "reversible": True, "codecformat": "J2K"}
    return imagecodecs.jpeg2k_encode(frame, **kept)


def _jpeg_12(frame: np.ndarray) -> bytes:
    return imagecodecs.jpeg8_encode(frame, level=98, bitspersample=12)


def _lossless_jpeg(frame: np.ndarray, predictor: int) -> bytes:
    kept = {"lossless": True, "bitspersample": 8 * frame.itemsize}
    return imagecodecs.jpeg8_encode(frame, predictor=predictor, **kept)


JPEG_XL = tuple(f"1.2.840.10008.1.2.4.{last}" for last in (110, 111, 112))

_ENCODERS = {
    JPEG2000: _by_pillow(
        "JPEG2000",
        irreversible=True,
        no_jp2=True,
        quality_mode="rates",
        quality_layers=[20],
    ),
    JPEGBaseline8Bit: _by_pillow("JPEG", quality=95),
    JPEGExtended12Bit: _jpeg_12,
    JPEG2000Lossless: _jpeg_2000,
    JPEGLossless: lambda frame: _lossless_jpeg(frame, 6),
    JPEGLosslessSV1: lambda frame: _lossless_jpeg(frame, 1),
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEGLSNearLossless: lambda frame: imagecodecs.jpegls_encode(frame, level=3),
    **dict.fromkeys((HTJ2KLossless, HTJ2KLosslessRPCL), imagecodecs.htj2k_encode),
    HTJ2K: lambda f: imagecodecs.htj2k_encode(f, level=0.0002, reversible=False),
    JPEG_XL[0]: lambda frame: imagecodecs.jpegxl_encode(frame, lossless=True),
    JPEG_XL[1]: lambda frame: imagecodecs.jpegxl_encode(frame, distance=0.1),
    JPEG_XL[2]: lambda frame: imagecodecs.jpegxl_encode(frame, distance=0.1),
}

SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG": JPEGBaseline8Bit,
    "JPEG of 12 bits": JPEGExtended12Bit,
    "lossless JPEG": JPEGLossless,
    "lossless JPEG, SV1": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG-LS, near": JPEGLSNearLossless,
    "JPEG 2000": JPEG2000Lossless,
    "HTJ2K": HTJ2KLossless,
    "HTJ2K, RPCL": HTJ2KLosslessRPCL,
    "HTJ2K, lossy": HTJ2K,
    "JPEG XL": JPEG_XL[0],
    "JPEG XL, lossy": JPEG_XL[2],
}
"""Every way to store pixels that is read."""

LOSS = {"JPEG": 12, "JPEG of 12 bits": 3, "JPEG-LS, near": 1}
LOSS |= {"HTJ2K, lossy": 3, "JPEG XL, lossy": 8}
"""Of 255 shades, by how much those that lose something may be off."""


def shipped(name: str) -> bytes:
    """Return a file of pydicom's, which says now that it is a plain radiograph."""
    dataset = pydicom.dcmread(SHIPPED / name)
    dataset.Modality = "CR"
    file = io.BytesIO()
    dataset.save_as(file)
    return file.getvalue()
