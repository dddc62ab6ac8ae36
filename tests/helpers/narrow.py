"""VGG19 with half its layers and a quarter of its channels.

For tests of what happens around it. Names and arithmetic are those of VGG19. A training
of two steps takes a tenth of the time.
"""

from unittest.mock import patch

import keras
from keras import layers

WHOLE = keras.applications.VGG19
CONVOLUTIONS, WIDTHS = (1, 1, 2, 2, 2), (16, 32, 64, 128, 128)


def small(
    include_top: bool, weights: str | None, input_shape: tuple[int, int, int]
) -> keras.Model:
    """Stand in for `keras.applications.VGG19`."""
    assert not include_top
    x = images = keras.Input(input_shape)
    for block, (count, width) in enumerate(zip(CONVOLUTIONS, WIDTHS, strict=True), 1):
        for number in range(1, count + 1):
            name = f"block{block}_conv{number}"
            like = {"activation": "relu", "padding": "same", "name": name}
            x = layers.Conv2D(width, 3, **like)(x)
        x = layers.MaxPooling2D(name=f"block{block}_pool")(x)
    model = keras.Model(images, x)
    if weights is not None:
        model.load_weights(weights)
    return model


def narrow():
    """Let every network that is built meanwhile be the narrow one."""
    return patch.object(keras.applications, "VGG19", small)


def whole():
    """Let it be VGG19 as it is."""
    return patch.object(keras.applications, "VGG19", WHOLE)
