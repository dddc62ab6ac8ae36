"""The network as an ONNX graph: written out, run.

The graph is written by hand, node by node, because it computes more than the Keras
network does: logits, both labels' Grad-CAM maps, HiResCAM's evidence and the embedding
in one run. Source of the format: https://onnx.ai/onnx/operators/
"""

import keras
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from ..contract import IMAGE_SIZE, LABELS
from ..serving.classifier import in_batches
from . import heatmaps, layers, vgg19
from .framing import enlarging, placing

OPSET = 17
HALVE = {"kernel_shape": [2, 2], "strides": [2, 2]}


class _Graph:
    """Nodes and constants of an ONNX graph under construction; names are outputs."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name: str, values) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, kind: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=output, **attributes)
        )
        return output


def build_graph(source: vgg19.Network) -> onnx.ModelProto:
    """Write the network as a float32 ONNX graph.

    Args:
        source: a network in float32.

    Returns:
        A graph from `image` float32 (n, 128, 128, 1) in [0, 1] to `logits` (n, 2),
        `maps` (n, 2, 8, 8) in [0, 1], `embedding` (n, 512), as in `Classifier.run`, and
        `evidence` (n, 8, 8), as in `heatmaps.evidence`.
    """
    graph = _Graph()
    feature_map, side, channels = _add_features(graph, source.features)
    graph.add("ReduceMean", [feature_map], "embedding", axes=[2, 3], keepdims=0)
    _add_head(graph, source.head, feature_map, side, channels, source.margin)
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])
        for name, shape in (
            ("image", [IMAGE_SIZE, IMAGE_SIZE, 1]),
            ("logits", [len(LABELS)]),
            ("maps", [len(LABELS), side, side]),
            ("embedding", [channels]),
            ("evidence", [side, side]),
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


def _add_features(graph: _Graph, features: keras.Model) -> tuple[str, int, int]:
    """Add the convolutions; return their output's name, side and channels."""
    shape = graph.constant("planes", np.array([-1, 1, IMAGE_SIZE, IMAGE_SIZE]))
    x = graph.add("Reshape", ["image", shape], "grey")  # (n, 1, 128, 128)
    for layer in features.layers:
        if isinstance(layer, layers.CutMargin):
            x = _cut_margin(graph, x, layer.margin)
        elif isinstance(layer, layers.Standardize):
            x = _add_standardize(graph, x)
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


def _cut_margin(graph: _Graph, x: str, margin: int) -> str:
    matrix = enlarging(margin)
    left = graph.constant("inside.matrix", matrix)
    right = graph.constant("inside.transposed", matrix.T.copy())
    x = graph.add("MatMul", [left, x], "inside.rows")
    return graph.add("MatMul", [x, right], "inside")


def _place(graph: _Graph, maps: str, margin: int, side: int, name: str) -> str:
    """Lay maps (n, m, side, side) over the whole image, as `heatmaps` does.

    Both products are from the left: of one from the right, so small, the sums depend on
    how many images come.
    """
    if not margin:
        return maps
    matrix = graph.constant(f"{name}.matrix", placing(margin, side))
    turn = {"perm": [0, 1, 3, 2]}
    x = graph.add("MatMul", [matrix, maps], f"{name}.rows")
    x = graph.add("Transpose", [x], f"{name}.turned", **turn)
    x = graph.add("MatMul", [matrix, x], f"{name}.columns")
    return graph.add("Transpose", [x], name, **turn)


def _add_standardize(graph: _Graph, x: str) -> str:
    axes = {"axes": [1, 2, 3], "keepdims": 1}
    mean = graph.add("ReduceMean", [x], "mean", **axes)
    centred = graph.add("Sub", [x, mean], "centred")
    square = graph.add("Mul", [centred, centred], "square")
    variance = graph.add("ReduceMean", [square], "variance", **axes)
    spread = graph.add("Sqrt", [variance], "spread")
    floor = graph.constant("least_spread", np.float32(1e-3))
    spread = graph.add("Max", [spread, floor], "safe_spread")
    unit = graph.add("Div", [centred, spread], "unit")
    factor = graph.constant("pixel_spread", np.float32(layers.PIXEL_SPREAD))
    return graph.add("Mul", [unit, factor], "standardized")


def _add_head(
    graph: _Graph,
    head: keras.Model,
    feature_map: str,
    side: int,
    channels: int,
    margin: int,
) -> None:
    """Add logits, maps and evidence; the arithmetic is that of `heatmaps`."""
    *hidden, last = heatmaps.dense_layers(head)
    x = graph.add("MaxPool", [feature_map], "pool", **HALVE)
    x = graph.add("Flatten", [x], "flatten")  # channels first, unlike Keras
    zero = graph.constant("zero", np.float32(0))
    kernels, switched_on = [], []
    for layer in [*hidden, last]:
        kernel, bias = (np.asarray(w, np.float32) for w in layer.get_weights())
        kernels.append(kernel)
        if layer is hidden[0]:
            grid = kernel.reshape(side // 2, side // 2, channels, -1)
            kernel = grid.transpose(2, 0, 1, 3).reshape(kernel.shape)
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
    last_axis = graph.constant("last_axis", np.array([3]))
    alpha = graph.add("Unsqueeze", [gradient, last_axis], "alpha")
    flat = graph.constant("flat", np.array([0, 1, channels, side * side]))
    positions = graph.add("Reshape", [feature_map, flat], "positions")
    # no MatMul: how that sums depends on how many images come
    weighted = graph.add("Mul", [alpha, positions], "weighted")  # (n, 2, channels, 64)
    over = graph.constant("channels", np.array([2]))
    raw = graph.add("ReduceSum", [weighted, over], "raw", keepdims=0)
    positive = graph.add("Relu", [raw], "positive")
    grid = graph.constant("grid", np.array([0, len(LABELS), side, side]))
    positive = graph.add("Reshape", [positive, grid], "positive.by_place")
    positive = _place(graph, positive, margin, side, "placed")
    peak = graph.add("ReduceMax", [positive], "peak", axes=[2, 3], keepdims=1)
    tiny = graph.constant("tiny", np.float32(keras.config.epsilon() ** 2))
    peak = graph.add("Max", [peak, tiny], "safe_peak")
    graph.add("Div", [positive, peak], "maps")
    _add_evidence(graph, feature_map, hidden[0].name, side, channels, margin)


def _add_evidence(
    graph: _Graph, feature_map: str, first: str, side: int, channels: int, margin: int
) -> None:
    """Add `evidence` to a graph that holds the head, whose first layer is `first`."""
    both = graph.constant("difference", np.array([[-1, 1]], np.float32))
    gradient = graph.add("MatMul", [both, f"{first}.gradient"], "towards")
    axis = graph.constant("axis", np.array([1]))
    gradient = graph.add("Squeeze", [gradient, axis], "towards.flat")  # (n, units)
    kernel = f"{first}.kernel"  # the same once more, so that the file grows by nothing
    back = graph.add("Gemm", [gradient, kernel], "back", transB=1)
    added = graph.add("Mul", [back, "flatten"], "added")  # (n, 16 * channels)
    pooled = graph.constant("pooled", np.array([0, 1, channels, side // 2, side // 2]))
    added = graph.add("Reshape", [added, pooled], "added.by_place")
    peak = graph.add("Reshape", ["pool", pooled], "peak.by_place")
    # the four of a pooled cell side by side: (n, 4, channels, 4, 4)
    fours = graph.add("SpaceToDepth", [feature_map], "fours", blocksize=2)
    four = graph.constant("four", np.array([0, 4, channels, side // 2, side // 2]))
    fours = graph.add("Reshape", [fours, four], "fours.by_place")
    came = graph.add("Equal", [fours, peak], "came_from")
    came = graph.add("Cast", [came], "came_from.mask", to=TensorProto.FLOAT)
    equals = graph.add("ReduceSum", [came, axis], "came_from.count", keepdims=1)
    share = graph.add("Div", [added, equals], "share")
    routed = graph.add("Mul", [came, share], "routed")
    cells = graph.add("ReduceSum", [routed, "channels"], "cells", keepdims=0)
    cells = graph.add("DepthToSpace", [cells], "cells.in_place", blocksize=2)
    cells = _place(graph, cells, margin, side, "placed_evidence")
    graph.add("Squeeze", [cells, axis], "evidence")


def shift_logits(model: onnx.ModelProto, shift: np.ndarray) -> None:
    """Add `shift`, float32 (2,), to the logits of a graph, in place."""
    for constant in model.graph.initializer:
        if constant.name == "logits.bias":
            shifted = numpy_helper.to_array(constant) + shift
            constant.CopyFrom(numpy_helper.from_array(shifted, constant.name))


def run_graph(model: onnx.ModelProto, inputs: np.ndarray) -> tuple[np.ndarray, ...]:
    """Run a graph on float32 (n, 128, 128, 1) in batches; return all its outputs."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return in_batches(lambda batch: session.run(None, {"image": batch}), inputs)
