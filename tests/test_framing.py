"""From the lungs to what the network is shown: crops, and how they are moved."""

import numpy as np
import pytest
from PIL import Image

from pneumonia.data.phantom import draw
from pneumonia.network import framing, vgg19
from pneumonia.network.finder import Framed
from pneumonia.training import geometry
from pneumonia.training.recipe import RECIPES

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Drawings, float32 (3, 224, 224, 1) in [0, 1]."""
    drawn = np.stack([draw(number, size=224) for number in range(3)])
    return drawn[..., None].astype(np.float32) / 255


def lungs(*places: tuple[slice, slice]) -> np.ndarray:
    """Return float32 (3, 96, 96, 1), the same mask three times: 1 in rectangles."""
    mask = np.zeros((96, 96, 1), np.float32)
    for rows, columns in places:
        mask[rows, columns] = 1
    return np.stack([mask] * 3)


TWO = lungs(np.s_[20:70, 15:40], np.s_[20:70, 55:80])


def by_pillow(image: np.ndarray, place: np.ndarray) -> np.ndarray:
    top, bottom, left, right = (float(edge) * 224 for edge in place)
    box = left, top, right, bottom
    how = Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image[..., 0]).resize((128, 128), how, box))


@pytest.mark.parametrize(
    "place",
    [
        framing.WHOLE,
        (0.1, 0.8, 0.2, 0.95),  # pixels are taken away
        (0.3, 0.7, 0.25, 0.7),  # it is enlarged
        (0.0, 1.0, 0.3, 0.6),  # one of each
    ],
)
def test_a_crop_is_what_pillow_makes_of_that_place(images, place):
    places = np.array([place] * len(images), np.float32)
    crops = framing.crop(images, places)
    assert crops.shape == (3, 128, 128, 1)
    assert crops.dtype == np.float32
    for crop, image in zip(crops, images, strict=True):
        np.testing.assert_allclose(crop[..., 0], by_pillow(image, place), atol=2e-3)


def test_a_crop_beyond_the_edge_goes_on_with_the_outermost_pixels(images):
    places = np.array([[-0.5, 0.5, 0, 1]] * 3, np.float32)
    crops = framing.crop(images, places)
    np.testing.assert_allclose(crops[:, 5], crops[:, 50], atol=1e-5)


def test_each_image_has_its_own_place(images):
    places = np.array([[0, 1, 0, 1], [0.2, 0.8, 0.1, 0.6], [0.5, 1, 0, 1]], np.float32)
    crops = framing.crop(images, places)
    for number, (image, place) in enumerate(zip(images, places, strict=True)):
        alone = framing.crop(image[None], place[None])
        np.testing.assert_allclose(crops[number], alone[0], atol=1e-6)


def test_what_is_cropped_to_lies_around_the_box():
    boxes = np.array([[0.3, 0.7, 0.2, 0.8], [0.0, 0.9, 0.5, 0.51]], np.float32)
    places = framing.around(boxes, room=0.1)
    assert places[0] == pytest.approx([0.26, 0.74, 0.14, 0.86])
    assert places[1, :2] == pytest.approx([0, 0.99])  # cut off at the edge
    assert places[1, 3] - places[1, 2] == pytest.approx(framing.LEAST_SIDE)


def framed(images: np.ndarray) -> Framed:
    stored = np.rint(images * 255).astype(np.uint8)
    return Framed(stored, framing.boxes(TWO))


def test_a_network_of_whole_pictures_is_shown_whole_pictures(images):
    whole = np.array([framing.WHOLE] * 3)
    expected = framing.crop(images, whole)
    for how in (RECIPES["published"], vgg19.Network(*[None] * 3, aligned=False)):
        shown = framed(images).shown(how)
        np.testing.assert_allclose(shown, expected, atol=3e-3)
    aligned = framed(images).shown(RECIPES["default"])
    places = framing.around(framing.boxes(TWO))
    np.testing.assert_allclose(aligned, framing.crop(images, places), atol=3e-3)
    assert np.abs(aligned - expected).max() > 0.1


def test_boxes_are_moved_a_little_and_some_of_them_far():
    boxes = np.tile(np.array([0.2, 0.7, 0.1, 0.9], np.float32), (4000, 1))
    moved = geometry.jitter(boxes, np.random.default_rng(0))
    assert moved.dtype == np.float32
    share = (moved - boxes) / [0.5, 0.5, 0.8, 0.8]  # of the side of the box
    assert np.abs(share.mean(axis=0)).max() < 0.005
    near, far = geometry.NEAR, geometry.FAR
    spread = np.sqrt(geometry.FAR_SHARE * far**2 + (1 - geometry.FAR_SHARE) * near**2)
    assert share.std(axis=0) == pytest.approx([spread] * 4, rel=0.07)
    assert np.median(np.abs(share)) < 0.8 * near  # most are near
    sides = np.corrcoef(share.T) - np.eye(4)
    assert np.abs(sides).max() < 0.06  # each by itself
    again = geometry.jitter(boxes, np.random.default_rng(0))
    assert (again == moved).all()
