#!/usr/bin/env bash
# GDCM's lossless transcoding of a film whose 12 bits are the upper ones of 16.
#
# Expected: HighBit 15 with BitsStored 12 is valid DICOM (PS3.5 8.1.1): a number is the
# cell shifted down by 4. A lossless compression keeps either the cells and HighBit 15,
# or shifts the numbers down and says HighBit 11. DCMTK does the former.
# Seen with python-gdcm 3.2.6: lossless JPEG keeps the cells (up to 65520) and says
# HighBit 11, so the upper four bits are cut off by whoever believes it. Lossless
# JPEG 2000 also says HighBit 11, and its numbers are the cells modulo 4096: the upper
# bits of each number are gone for good. No error, no warning.
# Fails if that changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    python-gdcm==3.2.6 imagecodecs==2026.3.6 pydicom==3.0.2 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import gdcm
import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

numbers = (np.arange(64 * 80, dtype=np.uint16) * 13 % 4096).reshape(64, 80)
film = Dataset()
film.file_meta = FileMetaDataset()
film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
film.SOPClassUID, film.SOPInstanceUID = ComputedRadiographyImageStorage, "1.2.3"
film.Modality, film.PhotometricInterpretation = "CR", "MONOCHROME2"
film.Rows, film.Columns = numbers.shape
film.SamplesPerPixel, film.PixelRepresentation = 1, 0
film.BitsAllocated, film.BitsStored, film.HighBit = 16, 12, 15
film.PixelData = (numbers << 4).tobytes()
film["PixelData"].VR = "OW"
film.save_as("film.dcm", enforce_file_format=True)


def transcoded(syntax):
    reader = gdcm.ImageReader()
    reader.SetFileName("film.dcm")
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName("made.dcm")
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return pydicom.dcmread("made.dcm")


jpeg = transcoded(gdcm.TransferSyntax.JPEGLosslessProcess14_1)
wavelet = transcoded(gdcm.TransferSyntax.JPEG2000Lossless)
seen = {}
decoders = {"JPEG": imagecodecs.jpeg8_decode, "JPEG 2000": imagecodecs.jpeg2k_decode}
for (name, decode), made in zip(decoders.items(), (jpeg, wavelet), strict=True):
    raw = decode(get_frame(made.PixelData, 0, number_of_frames=1))
    seen[name] = made.BitsStored, made.HighBit, raw
    print(f"{name}: BitsStored {made.BitsStored}, HighBit {made.HighBit}, up to {raw.max()}")
stored, high, cells = seen["JPEG"]
assert (stored, high) == (12, 11)
assert (cells == numbers << 4).all(), "the cells were kept before"
stored, high, cut = seen["JPEG 2000"]
assert (stored, high) == (12, 11)
assert (cut == (numbers << 4) % 4096).all(), "the upper bits were lost before"
print("as described")
PYTHON
