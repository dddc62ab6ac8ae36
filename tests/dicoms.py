"""DICOM files made for tests: every kind of storage that the reader meets."""

import io
import tempfile
import warnings

import gdcm
import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

SECRET = "Mustermann^Erika"
"""Stands in every patient attribute of the files; must never be seen again."""

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.1"  # computed radiography


def make(
    pixels: np.ndarray,
    syntax: str = ExplicitVRLittleEndian,
    preamble: bool = True,
    **attributes,
) -> bytes:
    """Write unsigned (H, W) or (frames, H, W) as a DICOM file, CR unless said."""
    frames = pixels if pixels.ndim == 3 else pixels[None]
    bits = pixels.dtype.itemsize * 8
    dataset = Dataset()
    dataset.SOPClassUID = SOP_CLASS
    dataset.SOPInstanceUID = "1.2.3"
    dataset.Modality = "CR"
    dataset.PatientName = dataset.PatientID = SECRET
    with warnings.catch_warnings(action="ignore"):
        dataset.PatientBirthDate = SECRET  # no date: pydicom complains and quotes it
    dataset.PatientComments = dataset.InstitutionName = SECRET
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = frames.shape[1:]
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    if pixels.ndim == 3:
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
        dataset.compress(RLELossless)
    elif syntax in _ENCODERS:
        dataset.PixelData = encapsulate([_ENCODERS[syntax](f) for f in frames])
        dataset["PixelData"].is_undefined_length = True
    for name, value in attributes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=preamble)
    return file.getvalue()


def _by_pillow(kind: str, **options):
    def encode(frame: np.ndarray) -> bytes:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, kind, **options)
        return file.getvalue()

    return encode


def _by_gdcm(syntax):
    def encode(frame: np.ndarray) -> bytes:
        bits = frame.itemsize * 8
        image, change = gdcm.Image(), gdcm.ImageChangeTransferSyntax()
        image.SetNumberOfDimensions(2)
        image.SetDimension(0, frame.shape[1])
        image.SetDimension(1, frame.shape[0])
        image.SetPixelFormat(gdcm.PixelFormat(1, bits, bits, bits - 1, 0))
        image.SetPhotometricInterpretation(
            gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2)
        )
        element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
        element.SetByteStringValue(frame.tobytes())
        image.SetDataElement(element)
        change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
        change.SetInput(image)
        assert change.Change()
        with tempfile.TemporaryDirectory() as folder:
            writer = gdcm.ImageWriter()
            writer.SetImage(change.GetOutput())
            writer.SetFileName(f"{folder}/x.dcm")
            assert writer.Write()
            dataset = dcmread(f"{folder}/x.dcm")
            return next(generate_frames(dataset.PixelData, number_of_frames=1))

    return encode


_ENCODERS = {
    JPEGBaseline8Bit: _by_pillow("JPEG", quality=95),
    JPEG2000Lossless: _by_pillow("JPEG2000", irreversible=False, no_jp2=True),
    JPEGLosslessSV1: _by_gdcm(gdcm.TransferSyntax.JPEGLosslessProcess14_1),
    JPEGLSLossless: _by_gdcm(gdcm.TransferSyntax.JPEGLSLossless),
}

SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "RLE": RLELossless,
    "JPEG": JPEGBaseline8Bit,
    "JPEG 2000": JPEG2000Lossless,
    "lossless JPEG": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
}
