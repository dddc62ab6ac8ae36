"""What the network does to pixels before VGG19 sees them, as Keras layers."""

from keras import layers, ops

from .framing import enlarging, on_both_sides

# The spread of the pixels, zero mean in each channel, that VGG19 was trained on.
PIXEL_SPREAD = 58.0
NEIGHBOURHOOD = 41  # pixels, about a third of the side
FLAT_SHARE = 0.1  # of the whole image's variance, added to each neighbourhood's


class CutMargin(layers.Layer):
    """Show the inside of every image alone, as large as the whole.

    (n, 128, 128, 1) float32 in, the same shape and dtype out.
    """

    def __init__(self, margin: int, **options):
        """Cut `margin` pixels off at each of the four sides."""
        super().__init__(**options)
        self.margin = margin

    def call(self, images):
        """Return the inside of the images."""
        return on_both_sides(enlarging(self.margin), images[..., 0])[..., None]


class Standardize(layers.Layer):
    """Shift and scale every image to mean 0 and spread `PIXEL_SPREAD`.

    (n, H, W, 1) float32 in, the same shape and dtype out. A blank image becomes zeros.
    """

    def call(self, images):
        """Return the images, each scaled by its own mean and spread."""
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        spread = ops.std(images, axis=(1, 2, 3), keepdims=True)
        return (images - mean) * (PIXEL_SPREAD / ops.maximum(spread, 1e-3))


class EvenContrast(layers.Layer):
    """Scale every pixel by the mean and spread of its surroundings.

    (n, H, W, 1) float32 in, the same shape and dtype out. The surroundings are a square
    of `NEIGHBOURHOOD` pixels; where they are flat, the whole image's spread keeps noise
    from being blown up.
    """

    def call(self, images):
        """Return the images with even brightness and contrast."""
        mean = self.around(images)
        centred = images - mean
        local = self.around(ops.square(centred))
        overall = ops.mean(ops.square(centred), axis=(1, 2, 3), keepdims=True)
        spread = ops.sqrt(local + FLAT_SHARE * overall + 1e-6)
        return centred * (PIXEL_SPREAD / spread)

    @staticmethod
    def around(values):
        """Return the mean over each pixel's surroundings, as two one-way means."""
        for size in ((NEIGHBOURHOOD, 1), (1, NEIGHBOURHOOD)):
            values = ops.average_pool(values, size, strides=1, padding="same")
        return values
