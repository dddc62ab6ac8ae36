"""What the network does to pixels before VGG19 sees them, and to what it found."""

import keras
from keras import layers, ops

# The network is what it is, whatever the user's ~/.keras/keras.json, or a variable for
# debugging, says: all weights, graphs and runs are written for these.
keras.config.set_image_data_format("channels_last")
keras.config.set_floatx("float32")
keras.config.set_epsilon(1e-7)
keras.config.set_max_epochs(None)
keras.config.set_max_steps_per_epoch(None)

# The spread of the pixels, zero mean in each channel, that VGG19 was trained on.
PIXEL_SPREAD = 58.0

STEP = 16
"""Pixels of what the network is shown in each cell of its feature map, a side."""


class Standardize(layers.Layer):
    """Shift and scale every image to mean 0 and spread `PIXEL_SPREAD`.

    (n, H, W, 1) float32 in, the same shape and dtype out. A blank image becomes zeros.
    """

    def call(self, images):
        """Return the images, each scaled by its own mean and spread."""
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        spread = ops.std(images, axis=(1, 2, 3), keepdims=True)
        return (images - mean) * (PIXEL_SPREAD / ops.maximum(spread, 1e-3))


class Grey(layers.Layer):
    """Leave the lungs beside a picture away: (n, H, W, 2) -> (n, H, W, 1)."""

    def call(self, images):
        """Return the first channel."""
        return images[..., :1]


class NearLungs(layers.Layer):
    """Tell how much of each cell of a feature map, or of one beside it, is lung.

    (n, 128, 128, 2) -> (n, 8, 8, 1). The lungs reach a cell further than they were
    found, so that one which an opacity hides in part is not cut away.
    """

    def call(self, images):
        """Return the share of lung, in [0, 1]."""
        lungs = ops.average_pool(images[..., 1:], STEP)
        return ops.max_pool(lungs, 3, strides=1, padding="same")


class WithinLungs(layers.Layer):
    """Multiply a feature map by what `NearLungs` says of its cells.

    [(n, 8, 8, c), (n, 8, 8, 1)] -> (n, 8, 8, c).
    """

    def call(self, inputs):
        """Return the feature map, zero far from the lungs."""
        feature_map, near = inputs
        return feature_map * ops.cast(near, feature_map.dtype)
