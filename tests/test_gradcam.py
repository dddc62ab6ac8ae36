"""The forward-only heat maps against automatic differentiation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pneumonia.data.phantom import draw
from pneumonia.network import framing, heatmaps, vgg19
from pneumonia.reading.image import to_input

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    pictures = [draw(0), draw(1, ((0.3, 0.6, 0.1),)), draw(2, ((0.7, 0.5, 0.2),))]
    whole = np.concatenate([to_input(picture) for picture in pictures])
    return framing.crop(whole, np.stack([framing.WHOLE] * len(whole)))


@pytest.fixture(scope="module", params=[(32,), (32, 16)])
def network(request, inputs):
    keras.utils.set_random_seed(3)
    built = vgg19.build(hidden_units=request.param)
    vgg19.freeze(built, 0)
    vgg19.condition(built, inputs)  # so that maps are not all zero
    return built


def test_maps_and_evidence_equal_automatic_differentiation(network, inputs):
    features = tf.convert_to_tensor(network.features(inputs))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(features)
        logits = network.head(features, training=False)
        normal, ill = logits[:, 0], logits[:, 1]
        difference = ill - normal
    drawn = []
    for logit in (normal, ill):
        gradient = tape.gradient(logit, features)
        alpha = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
        drawn.append(tf.nn.relu(tf.reduce_sum(alpha * features, axis=-1)).numpy())
    expected = np.stack(drawn, axis=1)
    expected /= expected.max(axis=(1, 2, 3), keepdims=True)  # one scale for both labels
    assert (expected.max(axis=(2, 3)) > 0).all()
    _, maps, evidence = heatmaps.explain(network, inputs)
    np.testing.assert_allclose(maps, expected, atol=1e-4)
    gradient = tape.gradient(difference, features)
    expected = tf.reduce_sum(gradient * features, axis=-1).numpy()
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(evidence, expected, atol=1e-4)


def test_evidence_adds_up_to_the_answer(network, inputs):
    """Without biases a ReLU network is linear where it stands."""
    before = network.head.get_weights()
    network.head.set_weights([w if w.ndim > 1 else 0 * w for w in before])
    logits, _, evidence = heatmaps.explain(network, inputs)
    network.head.set_weights(before)
    difference = logits[:, 1] - logits[:, 0]
    assert np.abs(difference).max() > 0.01
    np.testing.assert_allclose(evidence.sum(axis=(1, 2)), difference, atol=1e-4)


def test_map_is_zero_where_nothing_speaks_for_the_label(network):
    features = np.zeros((1, 8, 8, 512), np.float32)
    maps, added = (
        keras.ops.convert_to_numpy(drawn(features, network.head))
        for drawn in (heatmaps.heat_maps, heatmaps.evidence)
    )
    assert maps.shape == (1, 2, 8, 8)
    assert not maps.any() and not added.any()


def test_equal_maxima_share_what_their_cell_adds(network):
    """In bytes they are common, and no cell may be counted twice."""
    features = np.random.default_rng(0).random((1, 8, 8, 512), np.float32)
    tied = features.copy()
    tied[:, 2:4, 6:] = tied[:, 2:4, 6:].max(axis=(1, 2), keepdims=True)
    apart, shared = (
        keras.ops.convert_to_numpy(heatmaps.evidence(found, network.head))[0]
        for found in (features, tied)
    )
    cell = shared[2:4, 6:]
    np.testing.assert_allclose(cell, cell[0, 0], atol=1e-6)
    assert cell.sum() == pytest.approx(apart[2:4, 6:].sum(), abs=1e-5)
    shared[2:4, 6:] = apart[2:4, 6:]
    np.testing.assert_allclose(shared, apart, atol=1e-6)
