"""What comes in that is no picture, what the network is given, and what is drawn."""

import io
import re
import struct
import zlib

import matplotlib
import numpy as np
import pytest
from pictures import GREY, PNG, chunk, encode
from PIL import Image

from pneumonia import ImageError
from pneumonia.data.phantom import draw
from pneumonia.reading.image import DISPLAY_SIDE, read_image, read_picture, to_input
from pneumonia.reading.picture import MAX_BYTES
from pneumonia.serving.encode import encode_png
from pneumonia.serving.overlay import draw_overlay, enlarge


def png_header_of(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its few bytes do not hold."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return PNG[:8] + header + body + chunk(b"IEND", b"")


NAN = np.full((99, 99), np.nan, np.float32)
BAD = {
    "nothing": (b"", "empty"),
    "text": (b"not a picture at all, but long enough " * 20, "not_image"),
    "HTML": (b"<!doctype html><svg></svg>" * 20, "not_image"),
    "PDF": (b"%PDF-1.7\n" + bytes(500), "not_image"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not_image"),
    "empty DICOM": (bytes(128) + b"DICM" + bytes(300), "no_pixels"),
    "truncated JPEG": (encode(GREY, "JPEG")[:2000], "damaged"),
    "truncated PNG": (PNG[:2000], "damaged"),
    "JPEG of three bytes": (b"\xff\xd8\xff", "not_image"),
    "damaged PNG": (png_header_of(300, 300), "damaged"),
    "100 megapixels": (png_header_of(10_000, 10_000), "too_many_pixels"),
    "4 gigapixels": (png_header_of(65_000, 65_000), "too_many_pixels"),
    "1x1": (encode(np.zeros((1, 1), np.uint8)), "too_small"),
    "a line": (encode(np.zeros((20, 900), np.uint8)), "too_small"),
    "black": (encode(np.zeros((300, 300), np.uint8)), "no_contrast"),
    "grey, 16 bit": (encode(np.full((300, 300), 999, np.uint16)), "no_contrast"),
    "float without a number": (encode(NAN, "TIFF"), "no_contrast"),
    "too many bytes": (bytes(MAX_BYTES + 1), "too_large"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", BAD)
def test_bad_files_get_a_stable_reason_and_a_sentence(kind):
    data, reason = BAD[kind]
    with pytest.raises(ImageError) as caught:
        read_image(data)
    assert caught.value.reason == reason
    message = str(caught.value)
    assert re.fullmatch(r"[A-Z][^\n]{20,}[.]", message), message
    assert "Error" not in message  # words for a layman, no class names


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_colour_counts_hues_and_not_a_tint(kind):
    tinted = (GREY[..., None] * np.array([0.8, 0.95, 1.0])).astype(np.uint8)
    hues = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    photo = Image.fromarray(hues).resize((256, 256))
    assert read_picture(encode(tinted, kind)).chroma < 0.01
    assert read_picture(encode(photo, kind)).chroma > 0.05


@pytest.mark.parametrize("size", [(3000, 2000), (2000, 1850)])
def test_large_pictures_are_reduced_in_proportion_and_nearly_alike(size):
    large = Image.fromarray(draw(2)).resize(size)
    found = [read_image(encode(large, kind, quality=95)) for kind in ("PNG", "JPEG")]
    for height, width in (pixels.shape for pixels in found):
        assert max(height, width) <= DISPLAY_SIDE
        assert min(height, width) >= 500
        assert width / height == pytest.approx(size[0] / size[1], abs=0.01)
    full, reduced = map(to_input, found)
    assert np.abs(full - reduced).mean() < 0.005


def test_input_is_the_whole_picture_in_unit_range():
    pixels = np.zeros((300, 200), np.uint8)
    pixels[:150, 100:] = 255
    network_input = to_input(pixels)
    assert network_input.shape == (1, 224, 224, 1)
    assert network_input.dtype == np.float32
    assert network_input[0, :110, 115:, 0].min() == 1
    assert network_input[0, 115:, :, 0].max() == 0


def test_overlay_leaves_the_picture_where_the_map_is_zero():
    heatmap = np.zeros(GREY.shape, np.float32)
    heatmap[100:, 100:] = 1
    overlay = draw_overlay(GREY, heatmap)
    assert overlay.dtype == np.uint8
    assert (overlay[:100] == GREY[:100, :, None]).all()
    red, _, blue = overlay[150, 150].astype(int)
    assert red - blue > 50  # the hot end of the colour map


def test_every_pixel_is_drawn_as_if_it_were_alone():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (31, 27), dtype=np.uint8)
    heatmap = rng.random(pixels.shape, np.float32)
    overlay = draw_overlay(pixels, heatmap)
    assert overlay.flags.c_contiguous
    for y, x in np.ndindex(pixels.shape):
        here = slice(y, y + 1), slice(x, x + 1)
        assert (overlay[here] == draw_overlay(pixels[here], heatmap[here])).all()


def test_colours_are_close_to_matplotlibs_inferno():
    ramp = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (2, 1))
    ours = draw_overlay(np.zeros((2, 256), np.uint8), ramp, strength=1)[0] / 255
    theirs = matplotlib.colormaps["inferno"](ramp[0])[:, :3]
    assert np.abs(ours - theirs * ramp[0][:, None]).max() < 0.04


def test_enlarged_map_keeps_range_and_place():
    coarse = np.zeros((8, 8), np.float32)
    coarse[1, 6] = 1
    fine = enlarge(coarse, (400, 300))
    assert fine.shape == (400, 300)
    assert 0 <= fine.min() <= fine.max() <= 1
    y, x = np.unravel_index(fine.argmax(), fine.shape)
    assert (round(y / 400 * 8 - 0.5), round(x / 300 * 8 - 0.5)) == (1, 6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5, 3), (64, 80), (40, 30, 3)])
def test_png_gives_the_pixels_back(shape):
    pixels = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    picture = Image.open(io.BytesIO(encode_png(pixels)))
    assert picture.mode == ("RGB" if len(shape) == 3 else "L")
    assert (np.asarray(picture) == pixels).all()
