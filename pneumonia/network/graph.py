"""Finder and network as one ONNX graph: written out, run.

The graph is written by hand, node by node, because it computes more than the Keras
networks do: the lungs, the crop to them, logits, both labels' Grad-CAM maps, HiResCAM's
evidence and the embedding in one run. Source of the format: https://onnx.ai/onnx/operators/
"""

import keras
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from ..contract import IMAGE_SIZE, LABELS, PICTURE_SIZE
from ..outputs import FEATURES, Outputs, in_batches
from . import heatmaps, layers, vgg19
from .finder import SIDE
from .graph_finder import add_box, add_crop, add_lungs
from .graph_nodes import HALVE, Graph, add_unit

OPSET = 17


def build_graph(network: vgg19.Network, finder: keras.Model) -> onnx.ModelProto:
    """Write finder and network as one float32 ONNX graph.

    Args:
        network: in float32.
        finder: of the lungs, in float32. Where the network is not `aligned`, it tells
            what it finds, and the network is shown the whole picture.

    Returns:
        A graph from `image` float32 (n, 224, 224, 1) in [0, 1] to what
        `outputs.Outputs` holds, by these names.
    """
    graph = Graph()
    shape = graph.constant("planes", np.array([-1, 1, PICTURE_SIZE, PICTURE_SIZE]))
    grey = graph.add("Reshape", ["image", shape], "grey")  # (n, 1, 224, 224)
    lung = add_lungs(graph, grey, finder)  # (n, 1, 96, 96)
    place = add_box(graph, lung, network.aligned)
    shown = add_crop(graph, grey, place)  # (n, 1, 128, 128)
    feature_map, side, channels = _add_features(graph, shown, network.features)
    _add_embedding(graph)
    if network.masked:
        feature_map = _add_mask(graph, feature_map, lung, place, side)
    _add_head(graph, network.head, feature_map, side, channels)
    for inner, output, rest in ((lung, "lungs", [SIDE, SIDE]), (place, "box", [4])):
        shape = graph.constant(f"{output}.shape", np.array([-1, *rest]))
        graph.add("Reshape", [inner, shape], output)
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])
        for name, shape in (
            ("image", [PICTURE_SIZE, PICTURE_SIZE, 1]),
            ("logits", [len(LABELS)]),
            ("maps", [len(LABELS), side, side]),
            ("embedding", ["features"]),  # `slim` takes some away
            ("evidence", [side, side]),
            ("lungs", [SIDE, SIDE]),
            ("box", [4]),
        )
    ]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, "pneumonia", values[:1], values[1:], graph.constants
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="pneumonia",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _add_features(graph: Graph, x: str, features: keras.Model) -> tuple[str, int, int]:
    """Add the convolutions; return their output's name, side and channels."""
    for layer in features.layers:
        if isinstance(layer, layers.Standardize):
            factor = graph.constant("pixel_spread", np.float32(layers.PIXEL_SPREAD))
            x = graph.add("Mul", [add_unit(graph, x, "unit"), factor], "standardized")
        elif isinstance(layer, keras.layers.Conv2D):
            kernel, bias = (np.asarray(w, np.float32) for w in layer.get_weights())
            kernel = kernel.transpose(3, 2, 0, 1)  # (out, in, 3, 3)
            if layer.name == "block1_conv1":  # its three inputs are one grey picture
                kernel = kernel.sum(axis=1, keepdims=True)
            weights = [
                graph.constant(f"{layer.name}.kernel", kernel),
                graph.constant(f"{layer.name}.bias", bias),
            ]
            x = graph.add("Conv", [x, *weights], f"{layer.name}.sum", pads=[1] * 4)
            x = graph.add("Relu", [x], layer.name)
        elif isinstance(layer, keras.layers.MaxPooling2D):
            x = graph.add("MaxPool", [x], layer.name, **HALVE)
    _, side, _, channels = features.output_shape
    return x, side, channels


def _add_embedding(graph: Graph) -> None:
    """Add the means of `FEATURES`."""
    means = [
        graph.add("ReduceMean", [value], f"{value}.mean", axes=[2, 3], keepdims=0)
        for value in FEATURES.values()
    ]
    graph.add("Concat", means, "embedding", axis=1)


def _add_mask(graph: Graph, feature_map: str, lung: str, place: str, side: int) -> str:
    """Add `layers.WithinLungs`: what is far from the lungs becomes zero."""
    each = {"each": IMAGE_SIZE // side, "name": "lung_cells"}
    cells = add_crop(graph, lung, place, SIDE, **each)  # (n, 1, 8, 8)
    around = {"kernel_shape": [3, 3], "pads": [1] * 4}
    near = graph.add("MaxPool", [cells], "near_lungs", **around)
    return graph.add("Mul", [feature_map, near], "within_lungs")


def _add_head(
    graph: Graph, head: keras.Model, feature_map: str, side: int, channels: int
) -> None:
    """Add logits, maps and evidence; the arithmetic is that of `heatmaps`."""
    *hidden, last = heatmaps.dense_layers(head)
    x = graph.add("MaxPool", [feature_map], "pool", **HALVE)
    x = graph.add("Transpose", [x], "pool.last", perm=[0, 2, 3, 1])  # as in Keras
    x = graph.add("Flatten", [x], "flatten")
    zero = graph.constant("zero", np.float32(0))
    kernels, switched_on = [], []
    for layer in [*hidden, last]:
        kernel, bias = (np.asarray(w, np.float32) for w in layer.get_weights())
        kernels.append(kernel)
        name = "logits" if layer is last else f"{layer.name}.sum"
        weights = [
            graph.constant(f"{layer.name}.kernel", kernel),
            graph.constant(f"{layer.name}.bias", bias),
        ]
        x = graph.add("Gemm", [x, *weights], name)
        if layer is not last:
            x = graph.add("Relu", [x], layer.name)
            on = graph.add("Greater", [x, zero], f"{layer.name}.on")
            on = graph.add("Cast", [on], f"{layer.name}.mask", to=TensorProto.FLOAT)
            axis = graph.constant(f"{layer.name}.axis", np.array([1]))
            switched_on.append(graph.add("Unsqueeze", [on, axis], f"{layer.name}.gate"))

    back = [heatmaps.position_sum(head), *kernels[1:-1]]
    gradient = graph.constant("logits.gradient", kernels[-1].T[None])
    for number in reversed(range(len(hidden))):
        name = hidden[number].name
        gradient = graph.add("Mul", [gradient, switched_on[number]], f"{name}.gradient")
        matrix = graph.constant(f"{name}.transposed", back[number].T.copy())
        gradient = graph.add("MatMul", [gradient, matrix], f"{name}.passed")
    # gradient is alpha now, (n, 2, channels)
    places = graph.constant("over_places", np.array([2, 3]))
    alpha = graph.add("Unsqueeze", [gradient, places], "alpha")
    x = graph.add("Transpose", [feature_map], "channels_last", perm=[0, 2, 3, 1])
    x = graph.add("Unsqueeze", [x, graph.constant("labels", np.array([1]))], "cells")
    # no MatMul, and no sum over an inner axis: how those sum depends on how many come
    weighted = graph.add("Mul", [alpha, x], "weighted")  # (n, 2, 8, 8, channels)
    last = graph.constant("last", np.array([-1]))
    raw = graph.add("ReduceSum", [weighted, last], "raw", keepdims=0)
    positive = graph.add("Relu", [raw], "positive")
    peak = graph.add("ReduceMax", [positive], "peak", axes=[1, 2, 3], keepdims=1)
    tiny = graph.constant("tiny", np.float32(keras.config.epsilon() ** 2))
    peak = graph.add("Max", [peak, tiny], "safe_peak")
    graph.add("Div", [positive, peak], "maps")
    _add_evidence(graph, hidden[0].name, side, channels)


def _add_evidence(graph: Graph, first: str, side: int, channels: int) -> None:
    """Add `evidence` to a graph that holds the head, whose first layer is `first`."""
    both = graph.constant("difference", np.array([[-1, 1]], np.float32))
    gradient = graph.add("MatMul", [both, f"{first}.gradient"], "towards")
    axis = graph.constant("towards.axis", np.array([1]))
    gradient = graph.add("Squeeze", [gradient, axis], "towards.flat")  # (n, units)
    kernel = f"{first}.kernel"  # the same once more, so that the file grows by nothing
    back = graph.add("Gemm", [gradient, kernel], "back", transB=1)
    added = graph.add("Mul", [back, "flatten"], "added")  # (n, 16 * channels)
    half = side // 2
    pooled = graph.constant("pooled", np.array([0, half, 1, half, 1, channels]))
    added = graph.add("Reshape", [added, pooled], "added.by_place")
    peak = graph.add("Reshape", ["pool.last", pooled], "peak.by_place")
    # the four of a pooled cell apart: (n, 4, 2, 4, 2, channels)
    fours = graph.constant("fours", np.array([0, half, 2, half, 2, channels]))
    fours = graph.add("Reshape", ["channels_last", fours], "fours.by_place")
    came = graph.add("Equal", [fours, peak], "came_from")
    came = graph.add("Cast", [came], "came_from.mask", to=TensorProto.FLOAT)
    four = graph.constant("four", np.array([2, 4]))
    equals = graph.add("ReduceSum", [came, four], "came_from.count", keepdims=1)
    share = graph.add("Div", [added, equals], "share")
    routed = graph.add("Mul", [came, share], "routed")
    cells = graph.add("ReduceSum", [routed, "last"], "routed.sum", keepdims=0)
    grid = graph.constant("grid", np.array([0, side, side]))
    graph.add("Reshape", [cells, grid], "evidence")


def shift_logits(model: onnx.ModelProto, shift: np.ndarray) -> None:
    """Add `shift`, float32 (2,), to the logits of a graph, in place."""
    for constant in model.graph.initializer:
        if constant.name == "logits.bias":
            shifted = numpy_helper.to_array(constant) + shift
            constant.CopyFrom(numpy_helper.from_array(shifted, constant.name))


def run_graph(model: onnx.ModelProto, inputs: np.ndarray) -> Outputs:
    """Run a graph on float32 (n, 224, 224, 1) in [0, 1], in batches."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = in_batches(
        lambda batch: session.run(list(Outputs._fields), {"image": batch}), inputs
    )
    return Outputs(*found)
