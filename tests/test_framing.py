"""From the lungs to what the network is shown: crops, and how they are moved."""

import numpy as np
import pytest
from drawings import stack
from PIL import Image

from pneumonia.network import framing, vgg19
from pneumonia.network.finder import Framed
from pneumonia.training import geometry
from pneumonia.training.recipe import RECIPES

pytestmark = pytest.mark.keras

LUNGS = np.zeros((3, 96, 96, 1), np.float32)
LUNGS[:, 20:70, 15:40] = LUNGS[:, 20:70, 55:80] = 1


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Drawings, float32 (3, 224, 224, 1) in [0, 1]."""
    return stack(3).astype(np.float32) / 255


def crop(images: np.ndarray, *places) -> np.ndarray:
    return framing.crop(images, np.array(places, np.float32))


def by_pillow(image: np.ndarray, place: np.ndarray) -> np.ndarray:
    top, bottom, left, right = (float(edge) * 224 for edge in place)
    how = Image.Resampling.BILINEAR
    box = left, top, right, bottom
    return np.asarray(Image.fromarray(image[..., 0]).resize((128, 128), how, box))


def test_a_crop_is_what_pillow_makes_of_the_place_of_each(images):
    taken_away, enlarged = (0.1, 0.8, 0.2, 0.95), (0.3, 0.7, 0.25, 0.7)
    for places in ([framing.WHOLE] * 3, [taken_away, enlarged, (0.0, 1.0, 0.3, 0.6)]):
        crops = crop(images, *places)
        assert (crops.shape, crops.dtype) == ((3, 128, 128, 1), np.float32)
        for found, image, place in zip(crops, images, places, strict=True):
            expected = by_pillow(image, place)
            np.testing.assert_allclose(found[..., 0], expected, atol=2e-3)
    # beyond the edge the outermost pixels go on
    crops = crop(images, *[[-0.5, 0.5, 0, 1]] * 3)
    np.testing.assert_allclose(crops[:, 5], crops[:, 50], atol=1e-5)


def test_what_is_cropped_to_lies_around_the_box():
    boxes = np.array([[0.3, 0.7, 0.2, 0.8], [0.0, 0.9, 0.5, 0.51]], np.float32)
    places = framing.around(boxes, room=0.1)
    assert places[0] == pytest.approx([0.26, 0.74, 0.14, 0.86])
    assert places[1, :2] == pytest.approx([0, 0.99])  # cut off at the edge
    assert places[1, 3] - places[1, 2] == pytest.approx(framing.LEAST_SIDE)


def test_a_network_of_whole_pictures_is_shown_whole_pictures(images):
    framed = Framed(np.rint(images * 255).astype(np.uint8), framing.boxes(LUNGS))
    expected = crop(images, *[framing.WHOLE] * 3)
    for how in (RECIPES["published"], vgg19.Network(*[None] * 3, aligned=False)):
        np.testing.assert_allclose(framed.shown(how), expected, atol=3e-3)
    aligned = framed.shown(RECIPES["default"])
    places = framing.around(framing.boxes(LUNGS))
    np.testing.assert_allclose(aligned, crop(images, *places), atol=3e-3)
    assert np.abs(aligned - expected).max() > 0.1


def test_boxes_are_moved_a_little_and_some_of_them_far():
    boxes = np.tile(np.array([0.2, 0.7, 0.1, 0.9], np.float32), (4000, 1))
    moved, again = (geometry.jitter(boxes, np.random.default_rng(0)) for _ in range(2))
    assert (again == moved).all()
    assert moved.dtype == np.float32
    share = (moved - boxes) / [0.5, 0.5, 0.8, 0.8]  # of the side of the box
    assert np.abs(share.mean(axis=0)).max() < 0.005
    near, far = geometry.NEAR, geometry.FAR
    spread = np.sqrt(geometry.FAR_SHARE * far**2 + (1 - geometry.FAR_SHARE) * near**2)
    assert share.std(axis=0) == pytest.approx([spread] * 4, rel=0.07)
    assert np.median(np.abs(share)) < 0.8 * near  # most are near
    sides = np.corrcoef(share.T) - np.eye(4)
    assert np.abs(sides).max() < 0.06  # each by itself
