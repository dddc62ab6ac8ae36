"""What holds for every picture, whatever its size, depth, file format or position."""

import struct

import numpy as np
import pytest
from dicoms import SYNTAXES, make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import by_range, encode, png, raw, rgb, tiff
from PIL import Image

from pneumonia import LABELS, predict
from pneumonia.reading.image import read_image, read_picture

LOSSLESS = ("PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG2000")


def tries(count: int = 25):
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@st.composite
def pictures(draw, low: int = 0, high: int = 255) -> np.ndarray:
    """Soft or noisy uint8 (H, W) that reaches from `low` to `high`."""
    height, width = draw(st.integers(64, 300)), draw(st.integers(64, 300))
    grain = draw(st.sampled_from([4, 32, 300]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    coarse = rng.random((min(grain, height), min(grain, width)), np.float32)
    soft = np.asarray(Image.fromarray(coarse).resize((width, height)))
    ranks = (soft - soft.min()) / (soft.max() - soft.min())
    return np.rint(low + ranks * (high - low)).astype(np.uint8)


def stored(pixels: np.ndarray, kind: str) -> bytes:
    return encode(pixels, kind, **{"lossless": True} if kind == "WEBP" else {})


def apart(data: bytes, pixels: np.ndarray) -> int:
    return np.abs(read_image(data).astype(int) - pixels).max()


@tries()
@given(pictures())
def test_every_lossless_container_holds_the_same_pixels(pixels):
    for kind in LOSSLESS:
        assert (read_image(stored(pixels, kind)) == pixels).all(), kind
    for kind in ("implicit", "explicit", "RLE", "JPEG 2000"):
        assert (read_image(make(pixels, SYNTAXES[kind])) == pixels).all(), kind


@tries()
@given(pictures(), st.integers(1, 250), st.integers(0, 2000))
def test_deep_pixels_are_scaled_by_their_own_range(pixels, scale, offset):
    deep = pixels.astype(np.uint16) * scale + offset
    opaque = np.full_like(deep, 65535)
    floats = (deep.astype(np.float32) - 500) / 7
    for data in (
        *(encode(deep, "PNG"), encode(deep, "TIFF"), encode(floats, "TIFF")),
        *(png(rgb(deep), 2), png(np.dstack([deep, opaque]), 4)),
        png(np.dstack([rgb(deep), opaque]), 6),
        make(deep),
    ):
        assert apart(data, pixels) <= 1


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("packed", [False, True])
@tries(5)
@given(pictures(), st.integers(1, 250))
def test_deep_colours_in_tiff_mean_what_deep_grey_means(order, packed, pixels, scale):
    deep = pixels.astype(np.uint16) * scale + 300
    opaque = np.full_like(deep, 65535)
    how = {"order": order, "packed": packed}
    for data in (
        *(tiff(rgb(deep), **how), tiff(rgb(deep), planar=2, **how)),
        tiff(np.dstack([rgb(deep), opaque]), extra=(2,), **how),
        tiff(np.dstack([deep, opaque]), extra=(2,), **how),
        *(tiff(rgb(deep / dtype(7)), **how) for dtype in (np.float32, np.float64)),
    ):
        assert apart(data, pixels) <= 1


@pytest.mark.parametrize("container", ["explicit", "RLE", "JPEG 2000"])
@pytest.mark.parametrize("inverted", ["", "MONOCHROME1", "INVERSE"])
@pytest.mark.parametrize("padding", ["", "US", "SS"])
@tries(5)
@given(pictures(), st.integers(10, 16), st.booleans(), st.booleans())
def test_dicom_means_the_same_however_it_is_stored(
    container, inverted, padding, pixels, bits, shift, signed
):
    shift = shift and container != "JPEG 2000"  # whose numbers lie at the bottom
    top, half = 2**bits - 1, 2 ** (bits - 1)
    codes = pixels.astype(np.int64) * 2 ** (bits - 8) + 1  # 0 is for padding
    if inverted:
        codes = top - codes
    if padding:
        codes[:5] = 0
    if signed:
        codes -= half
    codes &= top
    junk = np.arange(codes.size).reshape(codes.shape) % 2 ** (16 - bits)
    whole = codes << (16 - bits) | junk if shift else codes | junk << bits
    said = {"BitsStored": bits, "HighBit": 15 if shift else bits - 1}
    said |= {"PixelRepresentation": int(signed)}
    if inverted == "INVERSE":
        said["PresentationLUTShape"] = inverted
    elif inverted:
        said["PhotometricInterpretation"] = inverted
    data = make(whole.astype(np.uint16), SYNTAXES[container], **said)
    if padding:
        value = struct.pack("<H", (0 - half if signed else 0) % 2**16)
        data = raw("PixelPaddingValue", value, padding)(data)
        seen = np.where(np.arange(len(pixels))[:, None] < 5, np.nan, pixels)
        pixels = by_range(seen)
    assert apart(data, pixels) <= 1


DTYPES = ["i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("white_is_zero", [False, True])
@tries(2)
@given(pictures())
def test_tiff_means_the_same_in_every_type(dtype, white_is_zero, pixels):
    white_is_zero &= dtype != "i1"
    numbers = (255 - pixels if white_is_zero else pixels).astype(np.float64)
    if dtype[0] != "f":
        low, high = (int(getattr(np.iinfo(dtype), end)) for end in ("min", "max"))
        numbers = low + numbers * max((high - low) // 257, 1)
        numbers += numbers % 7 if dtype != "i1" else 0  # bytes whose order matters
    said = {"photometric": int(not white_is_zero)}
    for order in "<>":
        for packed in (False, True):
            data = tiff(numbers.astype(dtype), order=order, packed=packed, **said)
            assert apart(data, pixels) <= 1


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "CMYK"])
@tries(5)
@given(pictures(10, 240))
def test_modes_change_nothing_that_an_eye_would_see(mode, pixels):
    for kind in ("TIFF", "TIFF" if mode == "CMYK" else "PNG"):
        found = read_picture(encode(Image.fromarray(pixels).convert(mode), kind))
        assert np.abs(found.pixels.astype(int) - pixels).max() <= 2
        assert found.chroma < 0.005


@tries()
@given(pictures(), st.sampled_from(LOSSLESS))
def test_answers_are_whole_and_do_not_depend_on_the_container(classifier, pixels, kind):
    one = predict(classifier, encode(pixels), anyway=True)
    other = predict(classifier, stored(pixels, kind), anyway=True)
    assert one.probabilities == other.probabilities
    assert (one.overlay == other.overlay).all()
    assert one.label in LABELS
    assert sum(one.probabilities.values()) == pytest.approx(1)
    assert all(0 <= p <= 1 for p in one.probabilities.values())
    assert np.isfinite(one.heatmap).all()
    assert one.heatmap.shape == pixels.shape
    assert 0 <= one.heatmap.min() <= one.heatmap.max() <= 1
