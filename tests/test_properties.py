"""What holds for every picture, whatever its size, depth, file format or position."""

import io
import struct

import numpy as np
import pytest
from dicoms import SYNTAXES, make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import TURNS, png, raw, rgb, tiff
from PIL import Image

from pneumonia import LABELS, predict
from pneumonia.reading.image import read_image, read_picture

LOSSLESS = ("PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG2000")
FEW = settings(
    max_examples=25,
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


def encode(pixels: np.ndarray, kind: str, **options) -> bytes:
    if kind == "WEBP":
        options["lossless"] = True
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@FEW
@given(pictures())
def test_every_lossless_container_holds_the_same_pixels(pixels):
    for kind in LOSSLESS:
        assert (read_image(encode(pixels, kind)) == pixels).all(), kind
    for kind in ("implicit", "explicit", "RLE", "JPEG 2000"):
        assert (read_image(make(pixels, SYNTAXES[kind])) == pixels).all(), kind


@FEW
@given(pictures(), st.integers(2, 250), st.integers(0, 2000))
def test_deep_pixels_are_scaled_by_their_own_range(pixels, scale, offset):
    deep = pixels.astype(np.uint16) * scale + offset
    floats = (deep.astype(np.float32) - 500) / 7
    for data in (
        encode(deep, "PNG"),
        encode(deep, "TIFF"),
        encode(floats, "TIFF"),
        make(deep, SYNTAXES["explicit"]),
    ):
        assert np.abs(read_image(data).astype(int) - pixels).max() <= 1


@FEW
@given(
    pixels=pictures(),
    bits=st.integers(10, 16),
    shift=st.booleans(),
    signed=st.booleans(),
    inverted=st.sampled_from(["", "MONOCHROME1", "INVERSE"]),
    padding=st.sampled_from(["", "US", "SS"]),
    container=st.sampled_from(["explicit", "RLE", "JPEG 2000"]),
)
def test_dicom_means_the_same_however_it_is_stored(
    pixels, bits, shift, signed, inverted, padding, container
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
    stored = codes << (16 - bits) | junk if shift else codes | junk << bits
    data = make(
        stored.astype(np.uint16),
        SYNTAXES[container],
        BitsStored=bits,
        HighBit=15 if shift else bits - 1,
        PixelRepresentation=int(signed),
        PhotometricInterpretation="MONOCHROME1"
        if inverted == "MONOCHROME1"
        else "MONOCHROME2",
        **({"PresentationLUTShape": inverted} if inverted == "INVERSE" else {}),
    )
    if padding:
        value = (0 - half if signed else 0) % 2**16
        data = raw("PixelPaddingValue", struct.pack("<H", value), padding)(data)
        seen = pixels[5:].astype(float)
        expected = (seen - seen.min()) * 255 / np.ptp(seen)
        assert not read_image(data)[:5].any()
    else:
        expected = pixels
    found = read_image(data)[5 if padding else 0 :]
    assert np.abs(found - expected).max() <= 1


@FEW
@given(
    pixels=pictures(),
    dtype=st.sampled_from(
        ["i1", *["u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]]
    ),
    order=st.sampled_from("<>"),
    packed=st.booleans(),
    white_is_zero=st.booleans(),
)
def test_tiff_means_the_same_in_every_type(pixels, dtype, order, packed, white_is_zero):
    white_is_zero &= dtype != "i1"
    shown = 255 - pixels if white_is_zero else pixels
    numbers = shown.astype(np.float64)
    if dtype[0] != "f":
        limits = np.iinfo(dtype)
        numbers = int(limits.min) + numbers * max(
            (int(limits.max) - int(limits.min)) // 257, 1
        )
        numbers += numbers % 7 if dtype != "i1" else 0  # bytes whose order matters
    data = tiff(
        numbers.astype(dtype),
        order=order,
        packed=packed,
        photometric=int(not white_is_zero),
    )
    assert np.abs(read_image(data).astype(int) - pixels).max() <= 1


@FEW
@given(
    pixels=pictures(),
    scale=st.integers(1, 250),
    order=st.sampled_from("<>"),
    packed=st.booleans(),
)
def test_deep_colours_mean_what_deep_grey_means(pixels, scale, order, packed):
    deep = pixels.astype(np.uint16) * scale + 300
    opaque = np.full_like(deep, 65535)
    for data in (
        png(rgb(deep), 2),
        png(np.dstack([deep, opaque]), 4),
        png(np.dstack([rgb(deep), opaque]), 6),
        tiff(rgb(deep), order=order, packed=packed),
        tiff(np.dstack([rgb(deep), opaque]), order=order, packed=packed, extra=(2,)),
        tiff(np.dstack([deep, opaque]), order=order, packed=packed, extra=(2,)),
        tiff(rgb(deep), order=order, packed=packed, planar=2),
        tiff(rgb(deep / 7.0), order=order, packed=packed),
    ):
        assert np.abs(read_image(data).astype(int) - pixels).max() <= 1


@FEW
@given(pictures(), st.sampled_from(sorted(TURNS)))
def test_a_turn_by_exif_is_a_turn_of_the_pixels(pixels, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = encode(pixels, "PNG", exif=exif)
    assert (read_image(stored) == TURNS[orientation](pixels)).all()


@FEW
@given(pictures(10, 240), st.sampled_from(["L", "RGB", "RGBA", "P", "LA", "CMYK"]))
def test_modes_change_nothing_that_an_eye_would_see(pixels, mode):
    picture = Image.fromarray(pixels).convert(mode)
    file = io.BytesIO()
    picture.save(file, "TIFF")
    found = read_picture(file.getvalue())
    assert np.abs(found.pixels.astype(int) - pixels).max() <= 2
    assert found.chroma < 0.005


@FEW
@given(pixels=pictures(), kind=st.sampled_from(LOSSLESS))
def test_answers_are_whole_and_do_not_depend_on_the_container(classifier, pixels, kind):
    one = predict(classifier, encode(pixels, "PNG"), anyway=True)
    other = predict(classifier, encode(pixels, kind), anyway=True)
    assert one.probabilities == other.probabilities
    assert (one.overlay == other.overlay).all()
    assert one.label in LABELS
    assert sum(one.probabilities.values()) == pytest.approx(1)
    assert all(0 <= p <= 1 for p in one.probabilities.values())
    assert np.isfinite(one.heatmap).all()
    assert one.heatmap.shape == pixels.shape
    assert 0 <= one.heatmap.min() <= one.heatmap.max() <= 1
