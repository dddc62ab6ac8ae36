"""The graph that serves: what is left out and rounded costs little, changes less."""

import functools

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pneumonia.contract import BUNDLE
from pneumonia.export import convolutions, int8, slim

SIZE = 16


@pytest.fixture
def toy():
    """Three convolutions, named as in the network; channels of very unequal peaks."""
    rng = np.random.default_rng(0)
    names, inside = ["block1_conv1", "block1_conv2", "block2_conv1"], 1
    shape = np.array([-1, 1, SIZE, SIZE])
    nodes = [helper.make_node("Reshape", ["image", "planes"], ["grey"])]
    constants = [numpy_helper.from_array(shape, "planes")]
    x = "grey"
    for name in names:
        uneven = np.geomspace(0.2, 5, 24)[:, None, None, None]
        kernel = rng.normal(size=(24, inside, 3, 3)) * uneven / np.sqrt(9 * inside)
        for part, values in (("kernel", kernel), ("bias", rng.normal(size=24))):
            values = values.astype(np.float32)
            constants.append(numpy_helper.from_array(values, f"{name}.{part}"))
        inputs = [x, f"{name}.kernel", f"{name}.bias"]
        total = f"{name}.sum"
        nodes.append(helper.make_node("Conv", inputs, [total], total, pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [total], [name], name))
        x, inside = name, 24
    value = functools.partial(
        helper.make_tensor_value_info, elem_type=TensorProto.FLOAT
    )
    image = value("image", shape=["n", SIZE, SIZE, 1])
    last = value(x, shape=["n", 24, SIZE, SIZE])
    graph = helper.make_graph(nodes, "toy", [image], [last], constants)
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


@pytest.fixture
def images():
    return np.random.default_rng(1).random((48, SIZE, SIZE, 1), np.float32)


def error(model, other, images):
    def run(graph):
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        return session.run(None, {"image": images})[0]

    expected, found = run(model), run(other)
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def copy(model):
    return onnx.ModelProto.FromString(model.SerializeToString())


def test_equalising_changes_nothing_but_the_spread_of_peaks(toy, images):
    even = copy(toy)
    int8.equalise(even, images)
    assert error(toy, even, images) < 1e-5
    peaks = (int8._channel_peaks(model, images)[:-1] for model in (toy, even))
    for before, after in zip(*peaks, strict=True):
        alive = before > int8._WEAKEST * before.max()
        spread, evened = (np.log(found[alive]).std() for found in (before, after))
        assert evened == pytest.approx(spread * (1 - int8.EVENNESS), rel=0.01)


def test_rounding_makes_good_for_its_errors(toy, images):
    plain, careful = copy(toy), copy(toy)
    for node in convolutions.convolutions(plain)[1:]:
        kernel, bias = convolutions.weights(plain, node)
        step = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True) / int8.LEVELS
        convolutions.set_weights(plain, node, np.rint(kernel / step) * step, bias)
    int8.round_weights(careful, images[:32])
    fresh = images[32:]
    assert error(toy, careful, fresh) < 0.5 * error(toy, plain, fresh)
    assert error(toy, int8.quantise(toy, images[:32]), fresh) < 0.01


def test_tool_keeps_the_weights_that_were_rounded_and_the_first_layer(toy, images):
    rounded = copy(toy)
    int8.round_weights(rounded, images)
    written = int8._write_int8(rounded, images)
    constants = {c.name: numpy_helper.to_array(c) for c in written.graph.initializer}
    assert "block1_conv1.kernel" in constants
    for node in convolutions.convolutions(rounded)[1:]:
        levels = constants[f"{node.input[1]}_quantized"].astype(np.float64)
        assert np.abs(levels).max() == int8.LEVELS
        kept = levels * constants[f"{node.input[1]}_scale"][:, None, None, None]
        kernel, _ = convolutions.weights(rounded, node)
        np.testing.assert_allclose(kept, kernel, rtol=1e-4)


def foretold(toy):
    """Make the last eight channels of each layer sums of two others each."""
    for node in convolutions.convolutions(toy):
        kernel, bias = convolutions.weights(toy, node)
        kernel, bias = np.abs(kernel), np.abs(bias)
        kernel[16:] = kernel[:8] + 2 * kernel[8:16]
        bias[16:] = bias[:8] + 2 * bias[8:16]
        convolutions.set_weights(toy, node, kernel, bias)
    return toy


def test_channels_that_others_foretell_go_for_nothing(toy, images, monkeypatch):
    monkeypatch.setattr(slim, "CHUNK", 8)
    whole = foretold(toy)
    small = slim.slim(whole, images[:32], 0.5)
    kept = slim.channels(small)
    assert all(width % 8 == 0 for width in kept.values())
    assert kept["block2_conv1"] == 24  # what others read
    assert slim.count_operations(small) <= 0.5 * slim.count_operations(whole)
    assert error(whole, small, images[32:]) < 0.005
    assert slim.slim(whole, images, 1) is whole


def test_weights_that_are_fitted_anew_make_good_for_lost_channels(
    toy, images, monkeypatch
):
    monkeypatch.setattr(slim, "CHUNK", 4)
    fitted = slim.slim(toy, images[:32], 0.7)
    monkeypatch.setattr(slim, "_fit", lambda kernel, bias, *_: (kernel, bias))
    cut = slim.slim(toy, images[:32], 0.7)
    assert slim.channels(cut) == slim.channels(fitted)
    assert error(toy, fitted, images[32:]) < 0.6 * error(toy, cut, images[32:])


def test_what_lost_channels_cost_is_what_least_squares_say():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(4000, 20)) @ rng.normal(size=(20, 32))
    values = np.maximum(hidden, 0).astype(np.float32)
    matrix = rng.normal(size=(50, 32))
    order, costs = slim._one_by_one(matrix.T @ matrix, values)
    centred = values - values.mean(axis=0)
    sums = centred @ matrix.T
    for gone in (1, 8, 20):
        left = centred[:, order[gone:]]
        missed = sums - left @ np.linalg.lstsq(left, sums, rcond=None)[0]
        share = np.square(missed).sum() / np.square(sums).sum()
        assert costs[gone - 1] == pytest.approx(share, rel=0.1)


def test_other_engines_can_read_the_shipped_graph_whose_finder_stays_float():
    """OpenVINO, for one, knows these operators, and knows no MaxUnpool."""
    model = onnx.load(BUNDLE / "classifier.onnx", load_external_data=False)
    assert {domain.domain for domain in model.opset_import} == {""}
    known = """
        Abs Add AveragePool Cast Clip Concat Conv CumSum DequantizeLinear Div Equal
        Flatten Gather Gemm Greater MatMul Max MaxPool Min Mul QuantizeLinear ReduceMax
        ReduceMean ReduceSum Relu Reshape Resize Sigmoid Sqrt Squeeze Sub Transpose
        Unsqueeze"""
    assert {node.op_type for node in model.graph.node} <= set(known.split())
    made = {name: node for node in model.graph.node for name in node.output}
    kinds = {"finder": set(), "block": set()}
    for node in model.graph.node:
        if node.op_type == "Conv":
            reads = made.get(node.input[1])
            part = "block" if "block" in node.name else "finder"
            kinds[part].add(reads.op_type if reads else "float")
    assert kinds == {"finder": {"float"}, "block": {"float", "DequantizeLinear"}}
