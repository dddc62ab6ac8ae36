"""The ONNX graph against Keras; its heat maps against automatic differentiation."""

from dataclasses import replace

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf

from pneumonia.contract import BUNDLE
from pneumonia.data.phantom import draw
from pneumonia.network import finder, framing, graph, heatmaps, vgg19
from pneumonia.network.finder import Framed
from pneumonia.outputs import Outputs

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Drawings, each framed in its own way, uint8 (5, 224, 224, 1)."""
    spots = ((), ((0.3, 0.6, 0.1),), ((0.7, 0.5, 0.2),), (), ((0.4, 0.4, 0.3),))
    drawn = [
        draw(number, spot, size=224 + 10 * number)[5 * number :, 8 * number :]
        for number, spot in enumerate(spots)
    ]
    return np.stack([picture[:224, :224] for picture in drawn])[..., None]


@pytest.fixture(scope="module")
def some_finder() -> keras.Model:
    return finder.load(BUNDLE)


def built(images, some_finder, like: vgg19.Network | None = None, **options):
    network = vgg19.build(hidden_units=(32, 16), **options)
    vgg19.freeze(network, 0)
    if like:
        network.classifier.set_weights(like.classifier.get_weights())
    vgg19.condition(network, Framed.by(some_finder, images).shown(network))
    return network


@pytest.fixture(scope="module")
def some_network(images, some_finder) -> vgg19.Network:
    keras.utils.set_random_seed(3)
    return built(images, some_finder)


def run(model: onnx.ModelProto, images: np.ndarray) -> Outputs:
    return graph.run_graph(model, images.astype(np.float32) / 255)


@pytest.mark.parametrize("kind", ["aligned", "whole", "masked"])
def test_graph_equals_keras(images, some_finder, some_network, kind):
    network = replace(some_network, aligned=kind != "whole")
    if kind == "masked":
        network = built(images, some_finder, some_network, masked=True)
    lungs = finder.find(some_finder, images)
    shown = Framed.by(some_finder, images).shown(network)
    logits, maps, evidence = heatmaps.explain(network, shown)
    model = graph.build_graph(network, some_finder)
    found = run(model, images)
    np.testing.assert_allclose(found.lungs, lungs[..., 0], atol=1e-4)
    np.testing.assert_allclose(found.logits, logits, atol=1e-3)
    np.testing.assert_allclose(found.maps, maps, atol=1e-2)
    # which of the four that were pooled is the largest, rounding may decide
    both = evidence, found.evidence
    pooled = [x.reshape(-1, 4, 2, 4, 2).sum(axis=(2, 4)) for x in both]
    np.testing.assert_allclose(*pooled, atol=1e-3)
    assert np.corrcoef(found.evidence.ravel(), evidence.ravel())[0, 1] > 0.995
    blocks = [block[0] for block in network.between[2:4]]
    seen = keras.Model(network.classifier.input, blocks)(shown)
    means = [keras.ops.convert_to_numpy(block).mean(axis=(1, 2)) for block in seen]
    np.testing.assert_allclose(found.embedding, np.hstack(means), atol=1e-3)
    if kind == "whole":
        assert (found.box == framing.WHOLE).all()
        aligned = run(graph.build_graph(some_network, some_finder), images)
        assert np.abs(aligned.logits - found.logits).max() > 0.01
        return
    places = framing.around(framing.boxes(lungs))
    assert places.std(axis=0).min() > 0.005
    assert (places[:, 1::2] - places[:, ::2]).max() < 0.95
    np.testing.assert_allclose(found.box, places, atol=1e-4)
    if kind == "masked":
        assert shown.shape == (5, 128, 128, 2)
        shown[:, :, 48:, 1] = 0  # lungs in the first three columns of cells alone
        features = keras.ops.convert_to_numpy(network.features(shown))
        assert features[:, :, :4].any()  # a cell further than they reach
        assert not features[:, :, 4:].any()
        alone = run(model, images[:1])  # to the last bit, however many in one run
        pairs = zip(alone, found, strict=True)
        assert all((one == many[:1]).all() for one, many in pairs)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_an_answer_is_the_same_to_the_last_bit_in_any_company(
    images, some_finder, some_network, threads
):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        graph.build_graph(some_network, some_finder).SerializeToString(), options
    )
    inputs = images.astype(np.float32) / 255

    def answer(batch: np.ndarray) -> Outputs:
        return Outputs(*session.run(list(Outputs._fields), {"image": batch}))

    together = answer(inputs)
    for size in (1, 2):
        parts = [answer(inputs[i : i + size]) for i in range(0, len(inputs), size)]
        for name, many in together._asdict().items():
            few = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(few, many, err_msg=name)


def test_a_picture_without_lungs_is_shown_about_whole(images, some_network):
    blind = finder.build()
    blind.get_layer("lung").bias.assign([-50.0])
    found = run(graph.build_graph(some_network, blind), images)
    assert found.lungs.max() < 0.01
    assert np.abs(found.box - framing.WHOLE).max() < 0.01


def test_shifting_moves_the_logits_alone(images, some_finder, some_network):
    model = graph.build_graph(some_network, some_finder)
    blank = np.full((1, 224, 224, 1), 128, np.uint8)
    images = np.concatenate([images, blank])
    before = run(model, images)
    for name, values in before._asdict().items():
        assert np.isfinite(values).all(), name  # of a blank picture, too
    graph.shift_logits(model, np.float32([-0.25, 0.25]))
    after = run(model, images)
    np.testing.assert_allclose(after.logits - before.logits, [[-0.25, 0.25]] * 6, 1e-4)
    np.testing.assert_array_equal(after.evidence, before.evidence)


@pytest.fixture(scope="module")
def inputs(images) -> np.ndarray:
    whole = np.stack([framing.WHOLE] * len(images))
    return framing.crop(images.astype(np.float32) / 255, whole)


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
