"""Float32 graph -> int8 graph, with as little lost as can be.

What is lost is noise: activations keep 256 levels for a whole tensor, weights 128 for
an output channel. Two changes of the weights, which cost nothing when the graph runs,
keep it down before ONNX Runtime's own tool writes the int8 graph:

1. Channels are scaled towards one peak, and the next convolution's weights inversely
   (ReLU and max-pool let a positive factor through). Weak channels get levels that the
   strongest one would take alone (Nagel et al., ICCV 2019).
2. Weights are rounded one input after the other, and each error is made good by those
   that are still to be rounded, as far as their inputs on training images go along
   (GPTQ; Frantar et al., ICLR 2023). The product's error falls to a tenth.

The lung finder stays float32. It is 1 % of the work, its convolutions are so narrow
that int8 runs no faster without VNNI, and the sides of the box would move by up to two
pixels of 224.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx

from .convolutions import convolutions, run_inner, set_weights, surroundings, weights

LEVELS = 64
"""Largest rounded weight. With seven of eight bits two byte products always fit in 16
bits, where processors without VNNI would saturate: the same bundle must answer alike
everywhere."""

FLOAT_LAYERS = ("block1_conv1",)
"""Convolutions that stay float32. The first has one input channel, so it is 0.1 % of
the work, and the grey values that it reads are rounded to 256 levels already."""

EVENNESS = 0.75
"""How far the channels' peaks are evened out: 0 leaves them, 1 makes them equal."""

_WEAKEST = 0.1  # of the strongest peak; below, a channel may be dead by chance
_DAMPING = 0.01  # of the inputs' mean square: weights are not bent to these images
_COLUMNS = 128  # rounded before their errors are handed on to all the others


def quantise(
    model: onnx.ModelProto,
    calibration: np.ndarray,
    *,
    float_layers: tuple[str, ...] = FLOAT_LAYERS,
    evenness: float = EVENNESS,
    careful: bool = True,
) -> onnx.ModelProto:
    """Turn VGG19's convolutions into int8, the rest stays float32.

    Weights per output channel, activations by their extremes over the calibration
    images. Takes a few minutes.

    Args:
        model: from `graph.build_graph`; stays as it is.
        calibration: float32 (n, 224, 224, 1) in [0, 1], training images. They go
            through finder and crop first, as every image does.
        float_layers: convolutions that stay float32.
        evenness: as `EVENNESS`, in [0, 1].
        careful: round weights as in `round_weights`, and not each to the nearest.

    Returns:
        The quantised graph.
    """
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        plain, prepared = Path(folder, "plain.onnx"), Path(folder, "prepared.onnx")
        onnx.save(model, plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        model = onnx.load(prepared)
    if evenness:
        equalise(model, calibration, evenness)
    if careful:
        round_weights(model, calibration, float_layers)
    return _write_int8(model, calibration, float_layers)


def equalise(
    model: onnx.ModelProto, calibration: np.ndarray, evenness: float = EVENNESS
) -> None:
    """Bring the peaks of a layer's channels closer to each other, in place.

    Only part of the way: the next layer's weights have few levels, too.
    """
    nodes = convolutions(model)
    peaks = _channel_peaks(model, calibration)
    before = np.float32(1)
    for node, peak in zip(nodes, peaks, strict=True):
        kernel, bias = weights(model, node)
        if node is nodes[-1]:  # the head and the heat map read it
            peak = np.ones_like(peak)
        even = peak.max() / np.maximum(peak, _WEAKEST * peak.max())
        factor = even**evenness
        kernel = kernel * factor[:, None, None, None] / before
        set_weights(model, node, kernel, bias * factor)
        before = factor[:, None, None]


def round_weights(
    model: onnx.ModelProto,
    calibration: np.ndarray,
    float_layers: tuple[str, ...] = FLOAT_LAYERS,
) -> None:
    """Round the weights of the convolutions that become int8, in place."""
    for node in convolutions(model):
        if node.name.removesuffix(".sum") in float_layers:
            continue
        kernel, bias = weights(model, node)
        inputs = surroundings(model, node, calibration)
        rounded = _round_matrix(kernel.reshape(len(kernel), -1), inputs)
        set_weights(model, node, rounded.reshape(kernel.shape), bias)


def _round_matrix(matrix: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Round a matrix to `LEVELS` steps a row so that its products change little.

    Args:
        matrix: float32 (outputs, k).
        inputs: float32 (samples, k), what it is multiplied with.

    Returns:
        float32 (outputs, k); the largest entry of a row stays exactly as it is.
    """
    outputs, k = matrix.shape
    likeness = (inputs.T @ inputs / len(inputs)).astype(np.float64)
    power = likeness.diagonal().copy()
    likeness[np.diag_indices(k)] += _DAMPING * power.mean()
    order = np.argsort(-power)  # what matters most is rounded while others can follow
    inverse = np.linalg.inv(likeness[np.ix_(order, order)])
    share = np.linalg.cholesky(inverse).T.astype(np.float32)
    step = np.abs(matrix).max(axis=1) / LEVELS
    largest = np.abs(matrix).argmax(axis=1)  # the tool finds the step from it again
    left, rounded = matrix[:, order].copy(), np.empty_like(matrix)
    for start in range(0, k, _COLUMNS):
        end = min(start + _COLUMNS, k)
        errors = np.empty((outputs, end - start), np.float32)
        for j in range(start, end):
            levels = np.clip(np.rint(left[:, j] / step), -LEVELS, LEVELS)
            original = matrix[:, order[j]]
            column = np.where(largest == order[j], original, levels * step)
            error = (left[:, j] - column) / share[j, j]
            left[:, j + 1 : end] -= np.outer(error, share[j, j + 1 : end])
            errors[:, j - start] = error
            rounded[:, order[j]] = column
        left[:, end:] -= errors @ share[start:end, end:]
    return rounded


def _channel_peaks(model: onnx.ModelProto, images: np.ndarray) -> list[np.ndarray]:
    """Return the largest activation of each channel, (channels,) a convolution."""
    after = [node.name.removesuffix(".sum") for node in convolutions(model)]
    peaks = [
        [values.max(axis=(0, 2, 3)) for values in outputs]
        for outputs in run_inner(model, after, images)
    ]
    return [np.max(layer, axis=0) for layer in zip(*peaks, strict=True)]


def _write_int8(
    model: onnx.ModelProto,
    calibration: np.ndarray,
    float_layers: tuple[str, ...] = FLOAT_LAYERS,
) -> onnx.ModelProto:
    """Let ONNX Runtime's tool measure the activations and write the int8 graph."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.batches = iter(calibration[:, None])

        def get_next(self):
            image = next(self.batches, None)
            return None if image is None else {"image": image}

    with tempfile.TemporaryDirectory() as folder:
        prepared, result = Path(folder, "prepared.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, prepared)
        quantize_static(
            prepared,
            result,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu", "MaxPool"],
            # not the finder; nor what reads the feature map, head and heat maps
            nodes_to_quantize=[
                node.name
                for node in model.graph.node
                if node.name.startswith("block")
                and node.name.removesuffix(".sum") not in float_layers
            ],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        small = onnx.load(result)
    # the tool names all the domains that it knows, which other engines may not
    used = {node.domain for node in small.graph.node}
    domains = [known for known in small.opset_import if known.domain in used]
    del small.opset_import[:]
    small.opset_import.extend(domains)
    return small
