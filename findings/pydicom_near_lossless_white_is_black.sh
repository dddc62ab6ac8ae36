#!/usr/bin/env bash
# Near-lossless JPEG-LS may carry a white pixel beyond the 12 bits that a DICOM file
# stores: with NEAR 3, CharLS gives 4098 for 4095 where a sample has 16 bits. Asked to
# correct unused bits (correct_unused_bits=True), pydicom cuts the bits above BitsStored,
# and so 4098 becomes 2: white turns black, without a warning. Not asked, it hands on
# 4098, which a table of 4096 entries has no place for.
# Seen with pydicom 3.0.2, pyjpegls 1.5.1, imagecodecs 2026.3.6, numpy 2.4.6.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    pydicom==3.0.2 pyjpegls==1.5.1 imagecodecs==2026.3.6 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.uid import DigitalXRayImageStorageForPresentation, JPEGLSNearLossless

film = np.full((128, 128), 4095, np.uint16)  # burned out, and noise at its left
film[:, :40] = np.random.default_rng(0).integers(0, 4096, (128, 40))
stream = imagecodecs.jpegls_encode(film, level=3)

dataset = Dataset()
dataset.file_meta = FileMetaDataset()
dataset.file_meta.TransferSyntaxUID = JPEGLSNearLossless
dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
dataset.SOPInstanceUID = "1.2.3"
dataset.Rows, dataset.Columns = film.shape
dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
dataset.PixelRepresentation = 0
dataset.PixelData = encapsulate([stream])
dataset["PixelData"].VR = "OB"

decoded = imagecodecs.jpegls_decode(stream)
as_it_is = pixel_array(dataset)
cut = pixel_array(dataset, correct_unused_bits=True)
black = [float((pixels < 100).mean()) for pixels in (film, as_it_is, cut)]
print("largest number: written", film.max(), "decoded", decoded.max(),
      "corrected", cut.max())
print("share of black: written %.3f, kept as decoded %.3f, corrected %.3f" % (*black,))
assert int(decoded.max()) == 4098 and (as_it_is == decoded).all()
assert black[0] < 0.01 and black[1] < 0.01 and black[2] > 0.2
print("as stated")
PYTHON
