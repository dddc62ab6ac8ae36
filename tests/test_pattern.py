"""A picture under a regular pattern is refused; what an X-ray holds is none."""

import numpy as np
import pytest
from pictures import encode
from PIL import Image

from pneumonia import ImageError, predict
from pneumonia.data.phantom import draw
from pneumonia.reading.image import to_input
from pneumonia.serving.pattern import is_patterned

CHEST = draw(3, size=600)


def waved(waves: float, angle: float, depth: float, crossed: bool = False):
    """Lay waves over the chest, so many across the picture."""
    down, across = np.mgrid[:600, :600] * (2 * np.pi * waves / 600)
    turn = np.radians(angle)
    wave = np.sin(across * np.cos(turn) + down * np.sin(turn))
    if crossed:
        wave *= np.sin(down * np.cos(turn) - across * np.sin(turn))
    return np.clip(CHEST * (1 + depth * wave), 0, 255).astype(np.uint8)


def filmed(angle: float) -> np.ndarray:
    """Film a screen: three rows of light for each row, the third dark, seen askew."""
    screen = np.repeat(np.repeat(CHEST, 3, axis=0), 3, axis=1)
    screen[2::3] //= 2
    screen[:, 2::3] //= 2
    turned = Image.fromarray(screen).rotate(angle, Image.Resampling.BICUBIC)
    affine = (1800 / 582, 0, 0, 0, 1800 / 582, 0)
    way = Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR
    return np.asarray(turned.transform((582, 582), *way))


@pytest.mark.parametrize("waves", [16, 30, 40])
@pytest.mark.parametrize("angle", [20, 60])
@pytest.mark.parametrize("crossed", [False, True])
def test_waves_are_noticed(waves, angle, crossed):
    assert is_patterned(to_input(waved(waves, angle, 0.15, crossed)))


@pytest.mark.parametrize("angle", [1, 2, 4])
def test_a_filmed_screen_is_noticed(angle):
    assert is_patterned(to_input(filmed(angle)))


@pytest.mark.parametrize("seed", range(5))
def test_a_chest_has_no_pattern(seed):
    chest = draw(seed, size=400)
    noise = np.random.default_rng(seed).normal(0, 12, chest.shape)
    stripes = np.tile(np.uint8([[0, 255]] * 64), 64)
    noisy = np.clip(chest + noise, 0, 255).astype(np.uint8)
    for picture in (chest, noisy, np.pad(chest, 40), stripes):
        assert not is_patterned(to_input(picture))


def test_waves_too_fine_to_be_seen_by_the_network_are_none():
    assert not is_patterned(to_input(waved(200, 30, 0.1)))


def test_a_filmed_screen_is_refused(classifier):
    with pytest.raises(ImageError) as caught:
        predict(classifier, encode(filmed(2)))
    assert caught.value.reason == "pattern"
    assert "screen" in str(caught.value)
    found = predict(classifier, encode(filmed(2)), anyway=True)
    assert "pattern" in found.warnings
    assert "pattern" not in predict(classifier, encode(CHEST), anyway=True).warnings
