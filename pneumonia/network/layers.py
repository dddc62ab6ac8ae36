"""What the network does to pixels before VGG19 sees them, as Keras layers."""

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


class Standardize(layers.Layer):
    """Shift and scale every image to mean 0 and spread `PIXEL_SPREAD`.

    (n, H, W, 1) float32 in, the same shape and dtype out. A blank image becomes zeros.
    """

    def call(self, images):
        """Return the images, each scaled by its own mean and spread."""
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        spread = ops.std(images, axis=(1, 2, 3), keepdims=True)
        return (images - mean) * (PIXEL_SPREAD / ops.maximum(spread, 1e-3))
