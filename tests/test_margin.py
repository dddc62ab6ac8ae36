"""The margin that the network is not shown: cut off, and given back to the maps."""

import keras
import numpy as np
import pytest

from pneumonia.contract import IMAGE_SIZE
from pneumonia.data.phantom import draw
from pneumonia.network import graph, heatmaps, vgg19
from pneumonia.network.framing import enlarging, placing
from pneumonia.serving.image import to_input
from pneumonia.training.recipe import RECIPES, RecipeError
from pneumonia.training.runs import RunError
from pneumonia.training.settings import adjust
from pneumonia.training.weights import average

MARGIN = 5


@pytest.fixture(scope="module")
def pair():
    """The same weights, shown the whole image and its inside alone."""
    keras.utils.set_random_seed(3)
    whole = vgg19.build(hidden_units=(32, 16))
    vgg19.freeze(whole, 0)
    vgg19.condition(whole, inputs())
    inside = vgg19.build(hidden_units=(32, 16), margin=MARGIN)
    inside.classifier.set_weights(whole.classifier.get_weights())
    return whole, inside


def inputs() -> np.ndarray:
    pictures = [draw(0), draw(1, ((0.3, 0.6, 0.1),)), draw(2, ((0.7, 0.5, 0.2),))]
    return np.concatenate([to_input(picture) for picture in pictures])


def test_enlarging_keeps_a_ramp_and_shows_nothing_of_the_margin():
    np.testing.assert_array_equal(enlarging(0), np.eye(IMAGE_SIZE))
    matrix = enlarging(MARGIN)
    assert not matrix[:, :MARGIN].any()
    assert not matrix[:, -MARGIN:].any()
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    places = matrix @ np.arange(IMAGE_SIZE, dtype=np.float32)
    kept = IMAGE_SIZE - 2 * MARGIN
    expected = MARGIN + (np.arange(IMAGE_SIZE) + 0.5) * kept / IMAGE_SIZE - 0.5
    np.testing.assert_allclose(places[4:-4], expected[4:-4], atol=1e-3)


@pytest.mark.parametrize("margin", [-1, 64, 100])
def test_a_margin_that_leaves_nothing_is_refused(margin):
    what = f"margin of {margin} pixels; expected 0 to 63"
    with pytest.raises(ValueError, match=what):
        enlarging(margin)
    with pytest.raises(RecipeError, match=what):
        adjust(RECIPES["default"], {"margin": str(margin)})
    with pytest.raises(RunError, match=what):
        average(["a", "b"], "c", margin)


def test_placing_keeps_the_sum_and_the_place():
    np.testing.assert_array_equal(placing(0, 8), np.eye(8))
    matrix = placing(16, 8)  # the inside is three quarters of the side
    np.testing.assert_allclose(matrix.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(matrix.sum(axis=1)[:2], [0, 4 / 3], atol=1e-6)


def test_the_answer_is_that_of_the_inside(pair):
    whole, inside = pair
    images = inputs()
    logits, _, _ = heatmaps.explain(inside, images)
    matrix = enlarging(MARGIN)
    cut = (matrix @ images[..., 0] @ matrix.T)[..., None]
    expected, _, _ = heatmaps.explain(whole, cut)
    assert np.abs(expected - heatmaps.explain(whole, images)[0]).max() > 1e-3
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_what_stands_in_the_margin_changes_nothing(pair):
    images = inputs()
    framed = np.ones_like(images)
    middle = slice(MARGIN, IMAGE_SIZE - MARGIN)
    framed[:, middle, middle] = images[:, middle, middle]
    for found, expected in zip(
        graph.run_graph(graph.build_graph(pair[1]), framed),
        graph.run_graph(graph.build_graph(pair[1]), images),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_graph_equals_keras_with_a_margin(pair):
    logits, maps, evidence = heatmaps.explain(pair[1], inputs())
    found = graph.run_graph(graph.build_graph(pair[1]), inputs())
    np.testing.assert_allclose(found[0], logits, atol=1e-4)
    np.testing.assert_allclose(found[1], maps, atol=1e-3)
    np.testing.assert_allclose(found[3], evidence, atol=1e-4)
    assert set(maps.max(axis=(2, 3)).ravel()) <= {0, 1}


def test_maps_are_of_the_whole_image(pair):
    inside = pair[1]
    feature_map = inside.features(inputs())
    coarse, placed = (
        keras.ops.convert_to_numpy(heatmaps.evidence(feature_map, inside.head, margin))
        for margin in (0, MARGIN)
    )
    sums = coarse.sum(axis=(1, 2))
    np.testing.assert_allclose(placed.sum(axis=(1, 2)), sums, atol=1e-5)
    matrix = placing(MARGIN, 8)
    np.testing.assert_allclose(placed, matrix @ coarse @ matrix.T, atol=1e-5)
