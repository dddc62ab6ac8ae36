"""What holds for every picture, whatever its size, depth, file format or position."""

import io

import numpy as np
import pytest
from dicoms import SYNTAXES, make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pneumonia import LABELS, predict
from pneumonia.serving.image import read_image, read_picture

LOSSLESS = ("PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG2000")
TURNS = {  # EXIF orientation: what brings it upright again
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.T,
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].T,
    8: lambda p: np.rot90(p),
}
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
