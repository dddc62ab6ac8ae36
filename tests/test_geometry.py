"""How a DICOM picture lies: square pixels, upright, and which side is the patient's."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from dicoms import SYNTAXES, make
from pictures import GREY
from PIL import Image

from pneumonia.data.phantom import draw
from pneumonia.reading.image import read_picture
from pneumonia.reading.isolated import IsolatedReader, read_anywhere

CHEST = np.ascontiguousarray(GREY)[:, :190].astype(np.uint16) * 16
PLAIN = read_picture(make(CHEST)).pixels

# how the chest, whose rows run to L and whose columns run to F, is stored
STORED = {
    "L\\F": CHEST,
    "R\\F": CHEST[:, ::-1],
    "L\\H": CHEST[::-1],
    "R\\H": CHEST[::-1, ::-1],
    "F\\L": CHEST.T,
    "F\\R": CHEST.T[::-1],
    "H\\L": CHEST.T[:, ::-1],
    "H\\R": CHEST.T[::-1, ::-1],
}
ANGLES = {"L": (1, 0, 0), "P": (0, 1, 0), "H": (0, 0, 1)}
ANGLES |= {"R": (-1, 0, 0), "A": (0, -1, 0), "F": (0, 0, -1)}


def lying(orientation: str | None, pixels: np.ndarray = CHEST, **attributes):
    said = {"PatientOrientation": orientation.split("\\")} if orientation else {}
    return read_picture(make(np.ascontiguousarray(pixels), **said, **attributes))


def angles(orientation: str) -> dict[str, list[int]]:
    parts = [part for letter in orientation.split("\\") for part in ANGLES[letter]]
    return {"ImageOrientationPatient": parts}


@pytest.mark.parametrize("orientation", STORED)
def test_the_patient_is_put_upright_and_faces_the_reader(orientation):
    stored, by_angles = STORED[orientation], angles(orientation)
    for found in (
        lying(orientation, stored),
        lying(None, stored, **by_angles),
        lying(orientation, stored, **by_angles),
    ):
        assert (found.pixels == PLAIN).all()
        assert found.sides_known
        assert found.warnings == (("turned_upright",) if orientation != "L\\F" else ())


@pytest.mark.parametrize(
    ("written", "meant"),
    [("LF\\FR", "L\\F"), ("rf\\fl", "R\\F"), (" R \\ F ", "R\\F"), ("RA\\FP", "R\\F")],
)
def test_other_spellings_are_understood(written, meant):
    found = lying(written, STORED[meant])
    assert (found.pixels == PLAIN).all()
    assert found.sides_known


@pytest.mark.parametrize(
    ("orientation", "attributes", "warned"),
    [
        *((said, {}, False) for said in (None, "", "\\")),
        *((said, {}, True) for said in ("L", "X\\Y", "LR\\F", "LEFT\\FOOT", "L\\R")),
        ("L\\A", {}, True),  # seen from above
        ("R\\F", angles("L\\F"), True),
        ("L\\F", {"ImageOrientationPatient": [0] * 6}, False),
        ("R\\F", {"ViewPosition": "LL"}, True),
        ("A\\F", {"ViewPosition": "PA"}, True),
        ("L\\F", {"ImageLaterality": "R"}, True),  # of a chest there are both sides
        ("L\\F", {"Laterality": "L"}, True),
        ("L\\F", {"ImageLaterality": "B", "Laterality": "L"}, False),
        ("L\\F", {"ImageLaterality": "U"}, False),
        ("L\\F", {"FieldOfViewHorizontalFlip": "NO"}, False),
    ],
)
def test_where_nothing_is_said_or_two_contradict_no_side_is_known(
    orientation, attributes, warned
):
    found = lying(orientation, **attributes)
    assert (found.pixels == PLAIN).all()
    # angles of nothing say nothing, and both sides are what is expected
    assert found.sides_known == (orientation == "L\\F" and not warned)
    assert ("sides_contradicted" in found.warnings) == warned


@pytest.mark.parametrize(
    ("orientation", "view", "turned", "known"),
    [
        ("L\\F", "PA", 0, True),  # from behind rows run to R, until they are flipped
        ("R\\F", "AP", 0, True),
        ("L\\F", "AP", 0, False),
        ("R\\F", "PA", 0, False),
        ("L\\F", "AP", 180, True),
        ("L\\F", "PA", 90, False),
        ("L\\F", "", 0, False),
    ],
)
def test_a_flip_of_the_detector_has_to_agree(orientation, view, turned, known):
    flip = {"FieldOfViewHorizontalFlip": "YES", "FieldOfViewRotation": turned}
    found = lying(orientation, STORED[orientation], ViewPosition=view, **flip)
    assert (found.pixels == PLAIN).all()  # what PatientOrientation says is done
    assert found.sides_known == known


@pytest.mark.parametrize(
    ("orientation", "turns"),
    [("A\\F", 0), ("P\\F", 0), ("A\\H", 2), ("F\\A", 3), ("H\\P", 1)],
)
def test_a_side_view_is_put_upright_and_never_mirrored(orientation, turns):
    found = lying(orientation)
    assert (found.pixels == np.rot90(PLAIN, turns)).all()
    assert "lateral_view" in found.warnings
    assert not found.sides_known


@pytest.mark.parametrize("name", ["RLE", "JPEG 2000", "JPEG-LS", "HTJ2K", "explicit"])
def test_every_storage_is_turned_in_a_worker_too(name):
    stored = np.ascontiguousarray(STORED["H\\R"])
    data = make(stored, SYNTAXES[name], PatientOrientation=["H", "R"])
    reader = IsolatedReader(1)
    try:
        both = read_picture(data), reader.read(data)
    finally:
        reader.close()
    for found in both:
        assert (found.pixels == PLAIN).all()
        assert found.sides_known
        assert found.warnings == ("turned_upright",)


def squashed(rows: int, columns: int) -> np.ndarray:
    """Return a chest whose pixels are not square, as a scanner may sample it."""
    chest = Image.fromarray(draw(3, size=400)).resize((columns, rows), Image.BOX)
    return np.asarray(chest).astype(np.uint16) * 16


HALF, NARROW, SQUARE = squashed(200, 400), squashed(400, 200), squashed(400, 400)
LYING = NARROW[::-1].T
SPACING = {"PixelSpacing": ["0.4", "0.2"]}


def encoded(pixels: np.ndarray, kind: str, **said) -> bytes:
    file, grey = io.BytesIO(), np.ascontiguousarray(pixels // 16).astype(np.uint8)
    if kind == "TIFF float":
        extra = [(274, 3, 1, said.pop("turn", 1), True)]
        tifffile.imwrite(file, grey.astype(np.float32), extratags=extra, **said)
    elif kind == "PNG 16 bit":
        Image.fromarray(grey.astype(np.uint16) * 257).save(file, "PNG", **said)
    else:
        Image.fromarray(grey).save(file, kind, **said)
    return file.getvalue()


def exif(turn: int, *density: float) -> dict[str, Image.Exif]:
    block = Image.Exif()
    block[274] = turn
    block[282], block[283] = density
    return {"exif": block}


def with_jfif(unit: int, *density: int) -> bytes:
    data = encoded(HALF, "JPEG")
    at = data.index(b"JFIF\0") + 7
    return data[:at] + struct.pack(">BHH", unit, *density) + data[at + 5 :]


def lossless_jpeg() -> bytes:
    """Return what another decoder reads, said to be half as high."""
    data = imagecodecs.jpeg8_encode(HALF, lossless=True, bitspersample=16)
    jfif = b"JFIF\0\1\2" + struct.pack(">BHHBB", 1, 200, 100, 0, 0)
    return data[:2] + b"\xff\xe0" + struct.pack(">H", 2 + len(jfif)) + jfif + data[2:]


TWO_SAID = SPACING | {"PixelAspectRatio": ["1", "1"]}  # the distances count
SQUASHED = {
    "aspect": lambda: make(HALF, PixelAspectRatio=["2", "1"]),
    "spacing": lambda: make(HALF, **SPACING),
    "of the imager": lambda: make(HALF, ImagerPixelSpacing=["0.4", "0.2"]),
    "of a scan": lambda: make(HALF, NominalScannedPixelSpacing=["0.4", "0.2"]),
    "narrow, by aspect": lambda: make(NARROW, PixelAspectRatio=["1", "2"]),
    "narrow, by spacing": lambda: make(NARROW, PixelSpacing=["0.1", "0.2"]),
    "contradicted": lambda: make(HALF, **TWO_SAID),
    "PNG": lambda: encoded(HALF, "PNG", dpi=(200, 100)),
    "PNG 16 bit": lambda: encoded(HALF, "PNG 16 bit", dpi=(200, 100)),
    "JPEG": lambda: encoded(HALF, "JPEG", dpi=(200, 100)),
    "JPEG, by its aspect": lambda: with_jfif(0, 2, 1),
    "JPEG, by EXIF": lambda: encoded(HALF, "JPEG", **exif(1, 200, 100)),
    "JPEG, lossless": lossless_jpeg,
    "TIFF": lambda: encoded(HALF, "TIFF", dpi=(200, 100)),
    "TIFF, fax": lambda: encoded(squashed(192, 400), "TIFF", dpi=(204, 98)),
    "TIFF float": lambda: encoded(HALF, "TIFF float", resolution=(200, 100)),
    "TIFF without a unit": lambda: encoded(
        HALF, "TIFF float", resolution=(2, 1), resolutionunit=1
    ),
    "BMP": lambda: encoded(HALF, "BMP", dpi=(200, 100)),
    "WebP": lambda: encoded(HALF, "WebP", **exif(1, 200, 100)),
    "narrow": lambda: encoded(NARROW, "PNG", dpi=(100, 200)),
    "lying, JPEG": lambda: encoded(LYING, "JPEG", **exif(8, 200, 100)),
    "lying, TIFF": lambda: encoded(LYING, "TIFF", dpi=(200, 100), tiffinfo={274: 8}),
    "lying, TIFF float": lambda: encoded(
        LYING, "TIFF float", resolution=(200, 100), turn=8
    ),
}


@pytest.mark.parametrize("what", SQUASHED)
def test_pixels_become_square(what):
    found = read_anywhere(SQUASHED[what]())
    assert found.pixels.shape == (400, 400)
    if what != "JPEG, lossless":  # whose brightness is another matter
        expected = read_picture(make(SQUARE)).pixels.astype(int)
        assert np.abs(found.pixels - expected).mean() < 6
    said = (
        ("not_square", "values_assumed") if what == "contradicted" else ("not_square",)
    )
    assert found.warnings == said


@pytest.mark.parametrize(
    ("attributes", "warnings"),
    [
        ({"PixelSpacing": ["0.2", "0.2"]}, ()),
        ({"PixelSpacing": ["0.2", "0.2005"]}, ()),  # within a hundredth
        ({"PixelAspectRatio": ["1", "1"]}, ()),
        ({"PixelSpacing": ""}, ()),
        ({"PixelSpacing": ["0", "0"]}, ("values_assumed",)),
        ({"PixelSpacing": ["0.2", "20"]}, ("values_assumed",)),
        ({"PixelAspectRatio": ["-1", "2"]}, ("values_assumed",)),
        ({"PixelSpacing": "0.2"}, ("values_assumed",)),
    ],
)
def test_square_pixels_and_nonsense_stay_as_they_are(attributes, warnings):
    found = read_picture(make(CHEST, **attributes))
    assert (found.pixels == PLAIN).all()
    assert found.warnings == warnings


@pytest.mark.parametrize(
    "data",
    [
        encoded(HALF, "PNG", dpi=(200, 200)),
        encoded(HALF, "PNG", dpi=(200, 200.5)),
        encoded(HALF, "PNG", dpi=(9600, 96)),
        with_jfif(0, 0, 1),
        with_jfif(1, 72, 1),
        encoded(HALF, "TIFF float", resolution=(0, 100)),
    ],
)
def test_square_pixels_and_nonsense_stay_in_other_formats(data):
    found = read_picture(data)
    assert found.pixels.shape == (200, 400)
    assert found.warnings == ()


def test_rows_and_columns_are_those_of_the_file_before_it_is_turned():
    # 400 rows of 200 columns, lying on its side
    found = lying("F\\L", HALF.T, PixelSpacing=["0.2", "0.4"])
    assert (found.pixels == read_picture(make(HALF, **SPACING)).pixels).all()
    assert found.warnings == ("not_square", "turned_upright")


def test_a_large_picture_is_not_made_larger():
    large = np.tile(HALF, (5, 5))
    found = read_picture(make(large, PixelAspectRatio=["4", "1"]))
    assert found.pixels.shape == (1024, 512)
    colours = np.dstack([HALF // 16] * 3).astype(np.uint8)
    found = read_picture(make(colours, SamplesPerPixel=3, PixelAspectRatio=["2", "1"]))
    assert found.pixels.shape == (400, 400)
