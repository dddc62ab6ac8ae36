"""Pictures that only an answer needs: smaller, quicker, and what they mean alike."""

import io
import struct
import zlib

import numpy as np
import pytest
from dicoms import LOSS, SYNTAXES, make
from pictures import chunk, encode
from PIL import Image

from pneumonia import ImageError, IsolatedReader
from pneumonia.data import phantom
from pneumonia.reading import deep, png
from pneumonia.reading.dicom import codecs
from pneumonia.reading.image import read_picture, to_input
from pneumonia.serving import batch

SIZE = 1301, 1097  # no multiple of anything
DRAWN = Image.fromarray(phantom.draw(1, size=256)).resize(
    SIZE, Image.Resampling.BICUBIC
)
NOISE = np.random.default_rng(0).normal(0, 6, SIZE[::-1])
FILM = np.clip(np.asarray(DRAWN) * 14.0 + 200 + NOISE, 1, 4000).astype(np.uint16)
TWELVE = {"BitsStored": 12, "HighBit": 11}
WINDOW = {"WindowCenter": "1800", "WindowWidth": "1500"}


def squares(pixels: np.ndarray) -> np.ndarray:
    """Average squares of 2 x 2, of what fills them."""
    height, width = (side // 2 * 2 for side in pixels.shape)
    whole = pixels[:height, :width].astype(float)
    return whole.reshape(height // 2, 2, width // 2, 2).mean((1, 3))


def padded(value: int) -> np.ndarray:
    film = FILM.copy()
    film[:203] = film[:, -301:] = value
    return film


@pytest.fixture
def only_coarse(monkeypatch):
    in_full = "pneumonia.reading.dicom.codecs._by_imagecodecs"
    monkeypatch.setattr(in_full, lambda *_: pytest.fail("in full"))


@pytest.fixture(scope="module")
def reader():
    reader = IsolatedReader(1)
    yield reader
    reader.close()


@pytest.mark.parametrize("name", sorted({*SYNTAXES} - {"JPEG"}))
def test_a_coarse_picture_is_smaller_and_looks_the_same(name):
    data = make(FILM, SYNTAXES[name], **TWELVE)
    found, whole = (read_picture(data, coarse=coarse) for coarse in (True, False))
    assert found.pixels.shape == (549, 651)
    assert found.warnings == whole.warnings
    apart = np.abs(to_input(found.pixels) - to_input(whole.pixels)).mean() * 255
    assert apart < 1.5 + LOSS.get(name, 0)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"PhotometricInterpretation": "MONOCHROME1", "RescaleSlope": "-0.5"},
        WINDOW,
        WINDOW | {"VOILUTFunction": "SIGMOID"},
        {"PixelPaddingValue": 1500},
    ],
)
@pytest.mark.parametrize("sign", [0, 2000])
def test_what_pixels_mean_is_averaged_and_not_what_they_are(said, sign):
    said = said | {"PixelRepresentation": int(sign > 0)}
    if sign and "WindowCenter" in said:
        said["RescaleIntercept"] = "2000"
    film = (FILM.astype(np.int32) - sign).astype(np.int16 if sign else np.uint16)
    data = make(film, **said)
    found = read_picture(data, coarse=True).pixels
    whole = read_picture(data, sharp=True).pixels  # every pixel
    height, width = (side // 2 for side in whole.shape)
    assert np.abs(found[:height, :width] - squares(whole)).max() <= 1


@pytest.mark.parametrize("syntax", ["JPEG 2000", "HTJ2K"])
@pytest.mark.parametrize("value", [0, 4095])
def test_padding_is_black_and_does_not_blur_into_its_neighbours(
    syntax, value, only_coarse
):
    said = TWELVE | {"PixelPaddingValue": value}
    found = read_picture(make(padded(value), SYNTAXES[syntax], **said), coarse=True)
    plain = read_picture(make(padded(value), **said), coarse=True).pixels
    assert not found.pixels[:101].any()
    assert not found.pixels[:, -149:].any()
    inside = np.s_[110:, :-160]
    apart = np.abs(found.pixels[inside].astype(int) - plain[inside])
    assert apart.mean() < 3
    edge = found.pixels[101:110, :400]
    assert ((edge == 0) | (np.abs(edge.astype(int) - plain[110, :400]) < 60)).all()


def test_a_sign_and_odd_sides_keep_the_lower_scale(only_coarse):
    film = padded(0).astype(np.int16) - 2000
    said = {"PixelPaddingValue": -2000}
    found = read_picture(make(film, SYNTAXES["JPEG 2000"], **said), coarse=True).pixels
    plain = read_picture(make(film, **said), coarse=True).pixels
    assert np.abs(found[120:540, :480].astype(int) - plain[120:540, :480]).mean() < 4


def test_padding_that_lost_something_is_decoded_in_full(monkeypatch):
    asked = []
    whole = codecs._by_imagecodecs
    monkeypatch.setattr(
        codecs, "_by_imagecodecs", lambda *a: asked.append(1) or whole(*a)
    )
    data = make(padded(0), SYNTAXES["HTJ2K, lossy"], PixelPaddingValue=0, **TWELVE)
    read_picture(data, coarse=True)
    assert asked


def test_squares_at_the_edges_are_averages_of_what_is_there():
    numbers = np.arange(35, dtype=np.uint16).reshape(5, 7)
    parts = [numbers[i : i + 3, j : j + 3].mean() for i in (0, 3) for j in (0, 3, 6)]
    assert np.allclose(deep._average(numbers, 3).ravel(), parts)
    assert deep.averaged((2048, 2500), 512) == 4
    assert deep.averaged((3000, 400), 512) == 1  # too slender to lose more


def test_a_large_picture_is_judged_by_its_extremes_too():
    large = np.full((3000, 1000), 500, np.uint16)
    large[1, 0], large[2, 0] = 7, 9000  # in no row that is counted
    values, counts = deep.levels(large)
    assert values.tolist() == [7, 500, 9000]
    assert counts[[0, 2]].tolist() == [1, 1]


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "big endian"])
def test_a_worker_reads_a_file_where_it_lies(syntax, reader, tmp_path):
    data = make(FILM, SYNTAXES[syntax], **TWELVE)
    path = tmp_path / "a.dcm"
    path.write_bytes(data)
    found = reader.read(path, coarse=True)
    assert (found.pixels == read_picture(data, coarse=True).pixels).all()
    assert reader.read(path).pixels.shape == (863, 1024)
    path.write_bytes(data[:-100])
    with pytest.raises(ImageError) as caught:
        reader.read(path)
    assert caught.value.reason == "damaged"
    path.write_bytes(encode(np.asarray(DRAWN)))
    assert reader.read(path).pixels.shape == (863, 1024)
    path.write_bytes(b"")
    with pytest.raises(ImageError, match="empty"):
        reader.read(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.dcm"):
        reader.read(path)
    assert len(reader._idle) == 1


def test_pixels_that_are_looked_at_are_no_coarser_than_before(classifier, tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(make(FILM, **TWELVE))
    files = [(path, path.relative_to(tmp_path))]
    (row,) = batch.answer_run(classifier, files, tmp_path / "o", anyway=True)
    with Image.open(tmp_path / "o" / "a.dcm.jpg") as overlay:
        assert overlay.size[0] >= 1024
    (coarse,) = batch.answer_run(classifier, files, anyway=True)
    assert abs(float(row.p_pneumonia) - float(coarse.p_pneumonia)) < 0.05


@pytest.mark.parametrize("colours", [1, 3])
def test_a_png_that_is_packed_no_more_holds_the_same(colours):
    pixels = np.dstack([FILM] * colours).squeeze() * 16
    rows = pixels.astype(">u2").reshape(len(FILM), -1).view(np.uint8)
    packed = zlib.compress(np.insert(rows, 0, 0, axis=1).tobytes())
    head = struct.pack(">IIBBBBB", *SIZE, 16, 2 if colours > 1 else 0, 0, 0, 0)

    def file(body: bytes) -> bytes:
        ends = chunk(b"IHDR", head), chunk(b"IDAT", body), chunk(b"IEND", b"")
        return png.START + b"".join(ends)

    parts = png.parts(file(packed))
    assert len(parts.data) > rows.size
    assert (png.decode(parts.data).pixels == pixels).all()
    extra = file(zlib.compress(zlib.decompress(packed) + bytes(99)))
    assert (png.decode(png.parts(extra).data).pixels == pixels).all()
    with pytest.raises(ImageError) as caught:
        read_picture(file(packed[:-2000]))
    assert caught.value.reason == "damaged"
    assert Image.open(io.BytesIO(parts.data)).size == SIZE
