"""DICOM files made for tests: every kind of storage that the reader meets."""

import io
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from pneumonia.data.phantom import draw

SECRET = "Mustermann^Erika"
"""Stands in every patient attribute of the files; must never be seen again."""

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
"""Files that come with pydicom, of all kinds but plain radiographs."""

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.1"  # computed radiography


def make(
    pixels: np.ndarray,
    syntax: str = uid.ExplicitVRLittleEndian,
    preamble: bool = True,
    stream: bytes | None = None,
    **attributes,
) -> bytes:
    """Write (H, W), (frames, H, W) or (H, W, 3) as a DICOM file, CR unless said.

    Pixels are colours where `SamplesPerPixel` is 3. A codestream stands in for them.
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
    if syntax == uid.ExplicitVRBigEndian:
        raw = frames.astype(frames.dtype.newbyteorder(">")).tobytes()
    else:
        raw = frames.tobytes()
    dataset.PixelData = raw
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = SOP_CLASS
    if syntax == uid.RLELossless and not stream:
        dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        own = {"encoding_plugin": "pydicom", "generate_instance_uid": False}
        dataset.compress(uid.RLELossless, **own)  # GDCM's may abort
    elif stream or syntax in _ENCODERS:
        streams = [stream] if stream else [_ENCODERS[syntax](f) for f in frames]
        dataset.PixelData = encapsulate(streams)
        dataset["PixelData"].is_undefined_length = True
    for name, value in attributes.items():
        if value is not None:
            setattr(dataset, name, value)
        elif name in dataset:
            delattr(dataset, name)
    own = str(dataset.file_meta.TransferSyntaxUID)
    if own in JPEG_XL:  # pydicom 3 writes none, so one of the same length stands in
        dataset.file_meta.TransferSyntaxUID = uid.HTJ2KLosslessRPCL
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=preamble)
    data = file.getvalue()
    return data.replace(uid.HTJ2KLosslessRPCL.encode(), own.encode())


def _by_pillow(kind: str, **options):
    def encode(frame: np.ndarray) -> bytes:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, kind, **options)
        return file.getvalue()

    return encode


def _jpeg(frame: np.ndarray, **options) -> bytes:
    bits = {"bitspersample": 8 * frame.itemsize}
    return imagecodecs.jpeg8_encode(frame, **(bits | options))


JPEG_XL = tuple(f"1.2.840.10008.1.2.4.{last}" for last in (110, 111, 112))

_LOSSY_J2K = {"irreversible": True, "quality_mode": "rates", "quality_layers": [20]}
_KEPT = {"level": 0, "reversible": True, "codecformat": "J2K"}
_ENCODERS = {
    uid.JPEG2000: _by_pillow("JPEG2000", no_jp2=True, **_LOSSY_J2K),
    uid.JPEGBaseline8Bit: _by_pillow("JPEG", quality=95),
    uid.JPEGExtended12Bit: lambda f: _jpeg(f, level=98, bitspersample=12),
    uid.JPEG2000Lossless: lambda f: imagecodecs.jpeg2k_encode(f, **_KEPT),
    uid.JPEGLossless: lambda f: _jpeg(f, predictor=6, lossless=True),
    uid.JPEGLosslessSV1: lambda f: _jpeg(f, predictor=1, lossless=True),
    uid.JPEGLSLossless: imagecodecs.jpegls_encode,
    uid.JPEGLSNearLossless: lambda f: imagecodecs.jpegls_encode(f, level=3),
    uid.HTJ2KLossless: imagecodecs.htj2k_encode,
    uid.HTJ2KLosslessRPCL: imagecodecs.htj2k_encode,
    uid.HTJ2K: lambda f: imagecodecs.htj2k_encode(f, level=0.0002, reversible=False),
    JPEG_XL[0]: lambda f: imagecodecs.jpegxl_encode(f, lossless=True),
    **dict.fromkeys(JPEG_XL[1:], lambda f: imagecodecs.jpegxl_encode(f, distance=0.1)),
}


def burned_out() -> np.ndarray:
    """Return a film of 12 bits, the noise of a detector around both ends."""
    chest = draw(3, size=300)[:, :260].astype(np.uint16) * 16
    noise = np.random.default_rng(3).normal(0, 40, chest.shape)
    return np.clip(chest * 1.4 - 700 + noise, 0, 4095).astype(np.uint16)


def signed() -> np.ndarray:
    return (burned_out().astype(int) - 2048).astype(np.int16)


SYNTAXES = {
    "implicit": uid.ImplicitVRLittleEndian,
    "explicit": uid.ExplicitVRLittleEndian,
    "big endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "RLE": uid.RLELossless,
    "JPEG": uid.JPEGBaseline8Bit,
    "JPEG of 12 bits": uid.JPEGExtended12Bit,
    "lossless JPEG": uid.JPEGLossless,
    "lossless JPEG, SV1": uid.JPEGLosslessSV1,
    "JPEG-LS": uid.JPEGLSLossless,
    "JPEG-LS, near": uid.JPEGLSNearLossless,
    "JPEG 2000": uid.JPEG2000Lossless,
    "HTJ2K": uid.HTJ2KLossless,
    "HTJ2K, RPCL": uid.HTJ2KLosslessRPCL,
    "HTJ2K, lossy": uid.HTJ2K,
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
