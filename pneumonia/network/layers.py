"""What the network does to pixels before VGG19 sees them, as Keras layers."""

from keras import layers, ops

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
