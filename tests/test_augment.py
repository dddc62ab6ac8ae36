"""What training changes in an image: families of changes, each by itself."""

import numpy as np
import pytest
from drawings import stack

from pneumonia.training import augment, geometry, tones

pytestmark = pytest.mark.keras


def drawn(count: int, size: int = 128) -> np.ndarray:
    return stack(count, size) / np.float32(255)


def detail(images: np.ndarray) -> np.ndarray:
    return np.abs(np.diff(images, axis=1)).sum(axis=(1, 2, 3))


@pytest.mark.parametrize("name", [*augment.FAMILIES, augment.DEFAULT])
def test_augmentation_is_a_function_of_its_seed(name):
    images, change = drawn(9), augment.compose(name)
    once, again, other = (change(images, np.random.default_rng(n)) for n in (5, 5, 6))
    assert (once == again).all()
    assert (once != other).any()
    assert (once.shape, once.dtype) == (images.shape, np.float32)
    assert once.min() >= 0
    assert once.max() <= 1


def exchanged(change, images: np.ndarray) -> np.ndarray:
    """Return two images of which each lent something to the other."""
    for seed in range(20):
        changed = change(images, np.random.default_rng(seed), 1.0)
        if np.abs(changed - images).max() > 0.01:
            return changed
    raise AssertionError("no two images were ever exchanged")


def test_a_lent_spectrum_changes_sharpness_and_not_shape():
    sharp = np.random.default_rng(0).random((1, 128, 128, 1), np.float32) * 0.2 + 0.4
    images = np.concatenate([sharp, drawn(2)[1:] * 0.5 + 0.2])
    changed = exchanged(tones.lend_spectrum, images)
    np.testing.assert_allclose(changed.mean((1, 2)), images.mean((1, 2)), atol=0.02)
    assert ((detail(changed) > detail(images)) == [False, True]).all()
    assert np.corrcoef(changed[1].ravel(), images[1].ravel())[0, 1] > 0.5


def test_another_image_lends_its_grey_values_rank_by_rank():
    first, second = drawn(3, 64)[1:]
    images = np.stack([first, np.float32(second * 255 // 2 + 100) / np.float32(255)])
    changed = exchanged(tones.lend_tone, images)
    for one, other, lent in zip(changed, images[::-1], images, strict=True):
        assert (np.sort(one, axis=None) == np.sort(other, axis=None)).all()
        ranks = one.ravel()[np.argsort(lent, axis=None, kind="stable")]
        assert (np.diff(ranks) >= 0).all()  # what was brighter still is


def test_sharpening_lifts_detail_and_bad_storage_costs_it():
    rng = np.random.default_rng(0)
    images = drawn(4)
    assert (detail(tones.sharpen(images, rng, 1.0)) > detail(images)).all()
    noise = rng.normal(0, 0.04, images.shape)
    images = np.clip(images + noise, 0, 1).astype(np.float32)
    changed = tones.compress(images, rng, 1.0)
    assert (detail(changed) < detail(images)).all()
    for one, other in zip(images, changed, strict=True):
        assert np.corrcoef(other.ravel(), one.ravel())[0, 1] > 0.95
    assert (tones.compress(images, rng, 0.0) == images).all()


@pytest.mark.parametrize("name", ["equalise", "coarsen", "sharpen", "lend_spectrum"])
def test_some_are_changed_and_the_others_stay_to_the_bit(name):
    images, change = drawn(32), getattr(tones, name)
    changed = change(images, np.random.default_rng(3), probability=0.3)
    kept = (changed == images).all(axis=(1, 2, 3))
    assert 0.4 < kept.mean() < 0.95
    none = change(images, np.random.default_rng(3), probability=0.0)
    assert none is not images
    assert (none == images).all()


def test_warp_never_turns_a_chest_upside_down_and_may_do_nothing():
    image = np.zeros((1, 128, 128, 1), np.float32)
    image[:, :40] = 1  # the upper part is bright
    warp = geometry.Warp(rotation=12, shift=0.08)
    for seed in range(40):
        changed = warp(image, np.random.default_rng(seed))
        assert changed[0, :30].mean() > 0.8
        assert changed[0, -30:].mean() < 0.2
    warp, images = geometry.Warp(rotation=0, shift=0, flip_horizontal=False), drawn(2)
    same = warp(images, np.random.default_rng(0))
    np.testing.assert_allclose(same, images, atol=1e-5)


def test_the_other_class_lends_its_grey_values_and_its_detail():
    levels = np.repeat([0.2, 0.8], 4)  # sorted by class, as a batch is
    noise = np.random.default_rng(0).normal(0, 0.02, (8, 64, 64, 1))
    images = (levels[:, None, None, None] + noise).astype(np.float32)
    rng = np.random.default_rng(0)
    changed = tones.lend_tone(images, rng, 1.0, tones.other_class)
    np.testing.assert_allclose(changed.mean(axis=(1, 2, 3)), levels[::-1], atol=0.01)
    images[4:] = 0.8 + 5 * (images[4:] - 0.8)  # and coarser grain
    changed = tones.lend_spectrum(images, rng, 1.0, tones.other_class)
    grain, before = (x.std(axis=(1, 2, 3)) for x in (changed, images))
    assert (grain[:4] > 1.2 * before[:4]).all()
    assert (grain[4:] < 0.8 * before[4:]).all()


def test_another_image_lends_its_border_and_nothing_else():
    images = np.stack([np.full((128, 128, 1), grey, np.float32) for grey in (0.2, 0.8)])
    seen = set()
    for seed in range(20):
        changed = augment.lend_frame(images, np.random.default_rng(seed), 1.0)
        assert (changed[:, 12:116, 12:116] == images[:, 12:116, 12:116]).all()
        assert set(np.unique(changed)) <= set(np.unique(images))
        seen |= {*(changed != images)[:, 0].any(axis=(1, 2)).tolist()}
        kept = augment.lend_frame(images, np.random.default_rng(seed), 0.0)
        assert (kept == images).all()
    assert seen == {True, False}


def test_the_mask_of_the_lungs_moves_along_and_nothing_else_changes_it():
    rng = np.random.default_rng(0)
    mask = np.zeros((4, 64, 64, 1), np.float32)
    mask[:, 20:40, 10:30] = 1
    images = np.concatenate([mask, mask], axis=-1)
    moved = augment.compose("turn far")(images, np.random.default_rng(1))
    np.testing.assert_array_equal(moved[..., 0], moved[..., 1])
    assert np.abs(moved - images).max() > 0.9
    images[..., :1] = rng.random((4, 64, 64, 1))
    toned = augment.compose("tone+shade+border+compress")(images, rng)
    np.testing.assert_array_equal(toned[..., 1:], mask)
    assert np.abs(toned[..., 0] - images[..., 0]).max() > 0.05


def test_unknown_families_are_said():
    with pytest.raises(ValueError, match="no augmentation is called snow; expected"):
        augment.compose("tone+snow")
    images = np.zeros((2, 8, 8, 1), np.float32)
    assert augment.compose("")(images, np.random.default_rng(0)) is images
