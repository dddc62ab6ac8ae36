"""One film as DCMTK, GDCM and highdicom write it, read as DCMTK reads it.

Needs Debian's `dcmtk` and `libgdcm-tools`, and highdicom. Each film is written by each
tool. What the product makes of it is compared with DCMTK's `dcm2pnm` under the same
window, and with the film before it was compressed.
"""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicoms import SYNTAXES, burned_out, make, signed
from pictures import framed
from PIL import Image

from pneumonia.reading.image import read_picture

TOOLS = ("dcm2pnm", "dcmj2pnm", "dcml2pnm", "dcmcjpeg", "dcmcjpls", "dcmcrle")
TOOLS += ("dcmconv", "img2dcm", "gdcmconv")
MISSING = [name for name in TOOLS if shutil.which(name) is None]
pytestmark = [
    pytest.mark.differential,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
]

STUDY = {"StudyInstanceUID": "1.2.4", "SeriesInstanceUID": "1.2.5"}
FILM, SIGNED = burned_out(), signed()
INVERTED = {"PhotometricInterpretation": "MONOCHROME1"}


def film(pixels: np.ndarray, bits: int = 12, center: int | None = None, **said):
    """Write a film whose window clips at both ends."""
    shown = {"BitsStored": bits, "HighBit": bits - 1, "WindowWidth": 3 << bits - 2}
    middle = 0 if pixels.dtype.kind == "i" else 2 ** (bits - 1)
    shown["WindowCenter"] = middle if center is None else center
    return make(pixels, **(shown | STUDY | said))


def overlaid(pixels: np.ndarray) -> np.ndarray:
    """Draw overlays into the bits above."""
    planes = np.zeros(pixels.shape, np.uint16)
    planes[40:90, 50:120] = planes[::31] = 1
    return pixels | planes << 12


def with_plane() -> bytes:
    """Add an overlay that has its own attribute, as has been done since 2004."""
    dataset = pydicom.dcmread(io.BytesIO(film(FILM)))
    plane = np.zeros(FILM.shape, np.uint8)
    plane[40:90, 50:120] = 1
    for element, kind, value in (
        *((0x10, "US", dataset.Rows), (0x11, "US", dataset.Columns), (0x40, "CS", "G")),
        *((0x50, "SS", [1, 1]), (0x100, "US", 1), (0x102, "US", 0)),
        (0x3000, "OW", np.packbits(plane, bitorder="little").tobytes()),
    ):
        dataset.add_new((0x6000, element), kind, value)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


SLOPE = {"RescaleSlope": "0.5", "RescaleIntercept": "1000"}
FILMS = {
    "plain": film(FILM),
    "MONOCHROME1": film(FILM, **INVERTED),
    "signed": film(SIGNED),
    "signed, MONOCHROME1": film(SIGNED, **INVERTED),
    "HighBit 15": film(FILM << 4, HighBit=15),
    "signed, HighBit 15": film(SIGNED << 4, HighBit=15),
    "HighBit 13": film(FILM << 2, HighBit=13),
    "overlays in the bits above": film(overlaid(FILM)),
    "an overlay beside": with_plane(),
    "padding": film(framed(FILM, 0, rows=30), PixelPaddingValue=0),
    "slope": film(FILM, center=2024, WindowWidth=1500, **SLOPE),
    "8 bits": film((FILM >> 4).astype(np.uint8), bits=8),
    "16 bits": film(FILM << 4, bits=16),
}

EXACT = {
    "implicit": ("dcmconv", "+ti"),
    "big endian": ("dcmconv", "+tb"),
    "RLE": ("dcmcrle",),
    "lossless JPEG, SV1": ("dcmcjpeg", "+e1"),
    "lossless JPEG, 6": ("dcmcjpeg", "+el", "+sv", "6"),
    "JPEG-LS": ("dcmcjpls",),
    "JPEG-LS, RESET 63": ("dcmcjpls", "+pc", "+rs", "63"),
    "JPEG-LS, T 5 9 30": ("dcmcjpls", "+pc", "+t1", "5", "+t2", "9", "+t3", "30"),
    "GDCM, RLE": ("gdcmconv", "--rle"),
    "GDCM, lossless JPEG": ("gdcmconv", "--jpeg"),
    "GDCM, JPEG-LS": ("gdcmconv", "--jpegls"),
    "GDCM, JPEG 2000": ("gdcmconv", "--j2k"),
}
LOSSY = {  # and by how many of 4096 steps each may be off
    "JPEG of 12 bits": (("dcmcjpeg", "+ee", "+q", "98"), 40),
    "spectral selection": (("dcmcjpeg", "+es", "+q", "98"), 40),
    "progressive": (("dcmcjpeg", "+ep", "+q", "98"), 40),
    "JPEG-LS, near": (("dcmcjpls", "+en", "+md", "3"), 3),
    "GDCM, JPEG-LS, near": (("gdcmconv", "--jpegls", "--lossy", "-e", "3"), 3),
    "GDCM, JPEG 2000, lossy": (("gdcmconv", "--j2k", "--lossy", "-q", "70"), 400),
}
NO_HIGH_BIT = {"GDCM, RLE", "GDCM, lossless JPEG", "GDCM, JPEG-LS", "GDCM, JPEG 2000"}
"""GDCM moves HighBit to 11 and leaves the numbers, or cuts them."""


def by_tool(data: bytes, folder: Path, *command: str) -> bytes | None:
    """Run a tool on a file; None where it refuses."""
    source, made = folder / "source.dcm", folder / "made.dcm"
    source.write_bytes(data)
    made.unlink(missing_ok=True)
    done = subprocess.run([*command, source, made], capture_output=True, timeout=60)
    return None if done.returncode or not made.exists() else made.read_bytes()


def by_dcmtk(data: bytes, folder: Path) -> np.ndarray:
    """Return uint8 (H, W) as DCMTK shows a file under its first window."""
    syntax = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True).file_meta
    ending = int(syntax.TransferSyntaxUID.rpartition(".")[2])
    coded = ".1.2.4." in syntax.TransferSyntaxUID
    tool = "dcm2pnm" if not coded else "dcml2pnm" if ending >= 80 else "dcmj2pnm"
    if coded and ending >= 90:  # DCMTK has no JPEG 2000
        data, tool = by_tool(data, folder, "gdcmconv", "--raw"), "dcm2pnm"
    source, shown = folder / "shown.dcm", folder / "shown.pgm"
    source.write_bytes(data)
    command = [tool, "+Wi", "1", "-O", "+op", source, shown]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    kind, width, height, top, pixels = shown.read_bytes().split(maxsplit=4)
    assert (kind, top) == (b"P5", b"255")
    return np.frombuffer(pixels, np.uint8).reshape(int(height), int(width))


def steps(data: bytes) -> float:
    """Return how many shades a step of the file's numbers is."""
    dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    width, slope = float(dataset.WindowWidth), float(dataset.get("RescaleSlope", 1))
    return slope * 255 / width


def apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("name", FILMS)
def test_a_film_is_read_as_dcmtk_reads_it_however_it_is_packed(name, tmp_path):
    original = FILMS[name]
    right = read_picture(original).pixels
    assert apart(right, by_dcmtk(original, tmp_path)) <= 1
    tried = 0
    for way, command in EXACT.items():
        if "HighBit" in name and way in NO_HIGH_BIT:
            continue
        packed = by_tool(original, tmp_path, *command)
        if packed is None:
            continue
        tried += 1
        found = read_picture(packed).pixels
        assert apart(found, right) <= 1, way
        assert apart(found, by_dcmtk(packed, tmp_path)) <= 1, way
    assert tried >= 6


@pytest.mark.parametrize(
    "name", ["plain", "MONOCHROME1", "signed", "8 bits", "padding"]
)
def test_what_a_lossy_codec_changes_is_no_more_than_it_says(name, tmp_path):
    original = FILMS[name]
    right = read_picture(original).pixels
    for way, (command, loss) in LOSSY.items():
        packed = by_tool(original, tmp_path, *command)
        if packed is None:  # DCMTK's JPEG-LS loses nothing of signed films
            continue
        found = read_picture(packed).pixels
        allowed = loss * steps(original) + 2
        assert apart(found, right) <= allowed, way
        if "GDCM" not in way:  # what it carried beyond 4095, DCMTK cuts
            assert apart(found, by_dcmtk(packed, tmp_path)) <= 2, way


@pytest.mark.parametrize(
    ("bits", "storage"),
    [(8, "JPEG")]
    + [(b, s) for b in (8, 12, 16) for s in ("explicit", "implicit", "RLE", "JPEG-LS")],
)
def test_what_highdicom_writes_is_read(bits, storage, tmp_path):
    highdicom = pytest.importorskip("highdicom")
    pixels = (FILM >> 4).astype(np.uint8) if bits == 8 else FILM << max(bits - 12, 0)
    image = highdicom.sc.SCImage(
        pixel_array=pixels,
        photometric_interpretation="MONOCHROME2",
        bits_allocated=8 * pixels.itemsize,
        coordinate_system="PATIENT",
        study_instance_uid="1.2.4",
        series_instance_uid="1.2.5",
        series_number=1,
        sop_instance_uid="1.2.6",
        instance_number=1,
        manufacturer="none",
        patient_orientation=("L", "F"),
        transfer_syntax_uid=SYNTAXES[storage],
    )
    image.Modality = "CR"
    image.WindowCenter, image.WindowWidth = 1 << bits - 1, 3 << bits - 2
    image.BitsStored, image.HighBit = bits, bits - 1
    file = io.BytesIO()
    image.save_as(file)
    found = read_picture(file.getvalue())
    assert found.sides_known
    assert apart(found.pixels, by_dcmtk(file.getvalue(), tmp_path)) <= 1
    right = read_picture(film(pixels, bits)).pixels
    assert apart(found.pixels, right) <= (12 if storage == "JPEG" else 1)


def test_what_img2dcm_wraps_is_read(tmp_path, phantom_bytes):
    """A JPEG is wrapped as it is."""
    picture, made = tmp_path / "film.jpg", tmp_path / "film.dcm"
    Image.open(io.BytesIO(phantom_bytes)).save(picture, quality=95)
    subprocess.run(["img2dcm", picture, made], check=True, capture_output=True)
    dataset = pydicom.dcmread(made)
    dataset.Modality = "CR"
    dataset.save_as(made)
    found, plain = (read_picture(one.read_bytes()).pixels for one in (made, picture))
    assert found.shape == plain.shape
    assert np.abs(found.astype(int) - plain).mean() < 3
