"""The forward-only heat maps against automatic differentiation."""

import keras
import numpy as np
import pytest

from pneumonia.data.phantom import draw
from pneumonia.network import framing, heatmaps, vgg19
from pneumonia.reading.image import to_input

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module", params=["one hidden layer", "two hidden layers"])
def some_network(request):
    keras.utils.set_random_seed(3)
    units = (32,) if request.param.startswith("one") else (32, 16)
    built = vgg19.build(hidden_units=units)
    images = inputs()
    vgg19.freeze(built, 0)
    vgg19.condition(built, images)  # so that maps are not all zero
    return built


def inputs() -> np.ndarray:
    pictures = [draw(0), draw(1, ((0.3, 0.6, 0.1),)), draw(2, ((0.7, 0.5, 0.2),))]
    whole = np.concatenate([to_input(picture) for picture in pictures])
    return framing.crop(whole, np.stack([framing.WHOLE] * len(whole)))


def test_maps_equal_automatic_differentiation(some_network):
    import tensorflow as tf

    feature_map = tf.convert_to_tensor(some_network.features(inputs()))
    _, maps, _ = heatmaps.explain(some_network, inputs())
    drawn = []
    for label in range(2):
        with tf.GradientTape() as tape:
            tape.watch(feature_map)
            logit = some_network.head(feature_map, training=False)[:, label]
        gradient = tape.gradient(logit, feature_map)
        alpha = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
        raw = tf.reduce_sum(alpha * feature_map, axis=-1)
        drawn.append(tf.nn.relu(raw).numpy())
    expected = np.stack(drawn, axis=1)
    expected /= expected.max(axis=(1, 2, 3), keepdims=True)  # one scale for both labels
    assert (expected.max(axis=(2, 3)) > 0).all()
    np.testing.assert_allclose(maps, expected, atol=1e-4)


def test_evidence_equals_automatic_differentiation(some_network):
    import tensorflow as tf

    feature_map = tf.convert_to_tensor(some_network.features(inputs()))
    logits, _, evidence = heatmaps.explain(some_network, inputs())
    with tf.GradientTape() as tape:
        tape.watch(feature_map)
        both = some_network.head(feature_map, training=False)
        difference = both[:, 1] - both[:, 0]
    gradient = tape.gradient(difference, feature_map)
    expected = tf.reduce_sum(gradient * feature_map, axis=-1).numpy()
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(evidence, expected, atol=1e-4)


def test_evidence_adds_up_to_the_answer(some_network):
    """Without biases a ReLU network is linear where it stands."""
    biases = [layer.bias for layer in heatmaps.dense_layers(some_network.head)]
    before = [keras.ops.convert_to_numpy(bias) for bias in biases]
    for bias in biases:
        bias.assign(0 * bias)
    logits, _, evidence = heatmaps.explain(some_network, inputs())
    for bias, values in zip(biases, before, strict=True):
        bias.assign(values)
    difference = logits[:, 1] - logits[:, 0]
    assert np.abs(difference).max() > 0.01
    np.testing.assert_allclose(evidence.sum(axis=(1, 2)), difference, atol=1e-4)


def test_map_is_zero_where_nothing_speaks_for_the_label(some_network):
    feature_map = np.zeros((1, 8, 8, 512), np.float32)
    maps = keras.ops.convert_to_numpy(
        heatmaps.heat_maps(feature_map, some_network.head)
    )
    assert maps.shape == (1, 2, 8, 8)
    assert not maps.any()
    added = heatmaps.evidence(feature_map, some_network.head)
    assert not keras.ops.convert_to_numpy(added).any()


def test_equal_maxima_share_what_their_cell_adds(some_network):
    """In bytes they are common, and no cell may be counted twice."""
    feature_map = np.random.default_rng(0).random((1, 8, 8, 512), np.float32)
    tied = feature_map.copy()
    tied[:, 2:4, 6:] = tied[:, 2:4, 6:].max(axis=(1, 2), keepdims=True)
    apart, shared = (
        keras.ops.convert_to_numpy(heatmaps.evidence(found, some_network.head))[0]
        for found in (feature_map, tied)
    )
    cell = shared[2:4, 6:]
    np.testing.assert_allclose(cell, cell[0, 0], atol=1e-6)
    assert cell.sum() == pytest.approx(apart[2:4, 6:].sum(), abs=1e-5)
    shared[2:4, 6:] = apart[2:4, 6:]
    np.testing.assert_allclose(shared, apart, atol=1e-6)
