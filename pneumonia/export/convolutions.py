"""What flows through an ONNX graph, and the weights of its convolutions."""

from collections.abc import Iterator

import numpy as np
import onnx
import onnxruntime
from numpy.lib.stride_tricks import sliding_window_view
from onnx import numpy_helper

_POSITIONS = 64  # of each image, whose surroundings a layer is fitted on
_BATCH = 8


def convolutions(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return those of VGG19, in their order; their names begin with a block's."""
    return [
        node
        for node in model.graph.node
        if node.op_type == "Conv" and node.name.startswith("block")
    ]


def weights(model: onnx.ModelProto, node: onnx.NodeProto) -> list[np.ndarray]:
    """Return kernel (out, in, 3, 3) and bias (out,) of a convolution, float32."""
    constants = {c.name: c for c in model.graph.initializer}
    return [numpy_helper.to_array(constants[name]) for name in node.input[1:]]


def set_weights(
    model: onnx.ModelProto, node: onnx.NodeProto, kernel: np.ndarray, bias: np.ndarray
) -> None:
    """Give a convolution other weights, in place; they may be of another shape."""
    constants = {c.name: c for c in model.graph.initializer}
    for name, values in zip(node.input[1:], (kernel, bias), strict=True):
        values = values.astype(np.float32)
        constants[name].CopyFrom(numpy_helper.from_array(values, name))


def run_inner(
    model: onnx.ModelProto, names: list[str], images: np.ndarray
) -> Iterator[list[np.ndarray]]:
    """Yield inner values of a graph, by name, for one batch of images after another."""
    made = [node.output[0] for node in model.graph.node]
    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.node[max(map(made.index, names)) + 1 :]
    del part.graph.output[:]
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # not a warning for each weight that is left over
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        part.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for start in range(0, len(images), _BATCH):
        yield session.run(names, {"image": images[start : start + _BATCH]})


def sums(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], images: np.ndarray
) -> list[np.ndarray]:
    """Return what convolutions give, before their ReLU, at some places of each image.

    Returns:
        float32 (samples, channels) for each, at the places of `surroundings`.
    """
    rngs = [np.random.default_rng(0) for _ in nodes]
    parts = [[] for _ in nodes]
    for outputs in run_inner(model, [node.output[0] for node in nodes], images):
        for values, rng, found in zip(outputs, rngs, parts, strict=True):
            for one in values:
                rows, columns = _places(rng, one.shape[-1])
                found.append(one[:, rows, columns].T)
    return [np.concatenate(found) for found in parts]


def surroundings(
    model: onnx.ModelProto, node: onnx.NodeProto, images: np.ndarray
) -> np.ndarray:
    """Return what a 3 x 3 convolution reads at some places of each image.

    Returns:
        float32 (samples, channels * 9), in the order of its kernel.
    """
    rng, parts = np.random.default_rng(0), []
    for (batch,) in run_inner(model, [node.input[0]], images):
        padded = np.pad(batch, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = sliding_window_view(padded, (3, 3), axis=(2, 3))  # (n, c, h, w, 3, 3)
        for window in windows:
            rows, columns = _places(rng, batch.shape[-1])
            chosen = window[:, rows, columns]  # (c, places, 3, 3)
            parts.append(chosen.swapaxes(0, 1).reshape(len(rows), -1))
    return np.concatenate(parts)


def _places(rng: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw some of a map's places: rows and columns."""
    places = rng.permutation(side * side)[:_POSITIONS]
    return places // side, places % side
