"""How a DICOM picture lies: square pixels, upright, and which side is the patient's."""

import numpy as np
import pytest
from dicoms import SYNTAXES, make
from PIL import Image
from test_image import GREY

from pneumonia.data.phantom import draw
from pneumonia.reading.image import read_picture
from pneumonia.reading.isolated import IsolatedReader

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


def angles(orientation: str) -> list[int]:
    return [part for letter in orientation.split("\\") for part in ANGLES[letter]]


@pytest.mark.parametrize("orientation", STORED)
def test_the_patient_is_put_upright_and_faces_the_reader(orientation):
    found = lying(orientation, STORED[orientation])
    assert (found.pixels == PLAIN).all()
    assert found.sides_known
    moved = orientation != "L\\F"
    assert found.warnings == (("turned_upright",) if moved else ())


@pytest.mark.parametrize("orientation", STORED)
def test_angles_of_the_axes_say_the_same(orientation):
    said = {"ImageOrientationPatient": angles(orientation)}
    for also in (None, orientation):
        found = lying(also, STORED[orientation], **said)
        assert (found.pixels == PLAIN).all()
        assert found.sides_known


@pytest.mark.parametrize(
    ("written", "meant"),
    [("LF\\FR", "L\\F"), ("rf\\fl", "R\\F"), (" R \\ F ", "R\\F"), ("RA\\FP", "R\\F")],
)
def test_other_spellings_are_understood(written, meant):
    assert (lying(written, STORED[meant]).pixels == PLAIN).all()
    assert lying(written, STORED[meant]).sides_known


@pytest.mark.parametrize(
    ("orientation", "attributes", "warned"),
    [
        (None, {}, False),
        ("", {}, False),
        ("\\", {}, False),
        ("L", {}, True),
        ("L\\R", {}, True),
        ("L\\A", {}, True),  # seen from above
        ("X\\Y", {}, True),
        ("LR\\F", {}, True),
        ("LEFT\\FOOT", {}, True),
        ("R\\F", {"ImageOrientationPatient": angles("L\\F")}, True),
        ("L\\F", {"ImageOrientationPatient": [0] * 6}, False),
        ("R\\F", {"ViewPosition": "LL"}, True),
        ("A\\F", {"ViewPosition": "PA"}, True),
    ],
)
def test_where_nothing_is_said_or_two_contradict_no_side_is_known(
    orientation, attributes, warned
):
    found = lying(orientation, **attributes)
    assert (found.pixels == PLAIN).all()
    if attributes.get("ImageOrientationPatient") == [0] * 6:
        assert found.sides_known  # angles of nothing say nothing
    else:
        assert not found.sides_known
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
    assert lying(orientation, FieldOfViewHorizontalFlip="NO").sides_known


@pytest.mark.parametrize(
    ("orientation", "turns"),
    [
        ("A\\F", 0),
        ("P\\F", 0),
        ("A\\H", 2),
        ("F\\A", 3),
        ("H\\P", 1),
    ],
)
def test_a_side_view_is_put_upright_and_never_mirrored(orientation, turns):
    found = lying(orientation)
    assert (found.pixels == np.rot90(PLAIN, turns)).all()
    assert "lateral_view" in found.warnings
    assert not found.sides_known


@pytest.mark.parametrize("name", ["RLE", "JPEG 2000", "JPEG-LS", "HTJ2K", "explicit"])
def test_every_storage_is_turned(name):
    stored = np.ascontiguousarray(STORED["H\\R"])
    data = make(stored, SYNTAXES[name], PatientOrientation=["H", "R"])
    assert (read_picture(data).pixels == PLAIN).all()
    reader = IsolatedReader(1)
    try:
        found = reader.read(data)
    finally:
        reader.close()
    assert (found.pixels == PLAIN).all()
    assert found.sides_known
    assert found.warnings == ("turned_upright",)


def squashed(rows: int, columns: int) -> np.ndarray:
    """Return a chest whose pixels are not square, as a scanner may sample it."""
    chest = Image.fromarray(draw(3, size=400)).resize((columns, rows), Image.BOX)
    return np.asarray(chest).astype(np.uint16) * 16


HALF = squashed(200, 400)
NARROW = squashed(400, 200)


@pytest.mark.parametrize(
    ("pixels", "attributes", "warnings"),
    [
        (HALF, {"PixelAspectRatio": ["2", "1"]}, ("not_square",)),
        (HALF, {"PixelSpacing": ["0.4", "0.2"]}, ("not_square",)),
        (HALF, {"ImagerPixelSpacing": ["0.4", "0.2"]}, ("not_square",)),
        (HALF, {"NominalScannedPixelSpacing": ["0.4", "0.2"]}, ("not_square",)),
        (NARROW, {"PixelAspectRatio": ["1", "2"]}, ("not_square",)),
        (NARROW, {"PixelSpacing": ["0.1", "0.2"]}, ("not_square",)),
        (  # the distances count, and that they contradict is said
            HALF,
            {"PixelSpacing": ["0.4", "0.2"], "PixelAspectRatio": ["1", "1"]},
            ("not_square", "values_assumed"),
        ),
    ],
)
def test_pixels_become_square(pixels, attributes, warnings):
    found = read_picture(make(pixels, **attributes))
    assert found.pixels.shape == (400, 400)
    expected = read_picture(make(squashed(400, 400))).pixels.astype(int)
    assert np.abs(found.pixels - expected).mean() < 6
    assert found.warnings == warnings


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


def test_rows_and_columns_are_those_of_the_file_before_it_is_turned():
    stored = np.ascontiguousarray(HALF.T)  # 400 rows of 200 columns, lying on its side
    found = read_picture(
        make(stored, PixelSpacing=["0.2", "0.4"], PatientOrientation=["F", "L"])
    )
    expected = read_picture(make(HALF, PixelSpacing=["0.4", "0.2"])).pixels
    assert (found.pixels == expected).all()
    assert found.warnings == ("not_square", "turned_upright")


def test_a_large_picture_is_not_made_larger():
    large = np.tile(HALF, (5, 5))
    found = read_picture(make(large, PixelAspectRatio=["4", "1"]))
    assert found.pixels.shape == (1024, 512)
    colours = np.dstack([HALF // 16] * 3).astype(np.uint8)
    found = read_picture(make(colours, SamplesPerPixel=3, PixelAspectRatio=["2", "1"]))
    assert found.pixels.shape == (400, 400)
