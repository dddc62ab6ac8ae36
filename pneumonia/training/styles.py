"""Channel statistics of one image given to another while training, inside the network.

Mean and spread of a channel carry the look of a picture (machine, exposure, archive)
more than what is on it. Source: Zhou et al., "Domain Generalization with MixStyle",
ICLR 2021.
"""

import keras
from keras import layers, ops

from ..network.vgg19 import Network, follow

BLOCKS = 3
"""Behind so many of VGG19's blocks; what comes later tells diseases, not machines."""

BETA = 0.1  # parameter of the Beta distribution of the share that stays, as published


class MixStyle(layers.Layer):
    """Mix mean and spread of each channel with those of another image of the batch.

    Features (n, height, width, channels) in, the same shape and dtype out; outside of
    training they pass unchanged.
    """

    def __init__(self, share: float, **options):
        """Prepare the draws.

        Args:
            share: of the images that are changed, in [0, 1].
            **options: of a Keras layer.
        """
        super().__init__(**options)
        self.share = share
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, features, training=None):
        """Return the features, changed if training."""
        if not training:
            return features
        values = ops.cast(features, "float32")
        mean = ops.mean(values, axis=(1, 2), keepdims=True)  # (n, 1, 1, channels)
        spread = ops.sqrt(ops.var(values, axis=(1, 2), keepdims=True) + 1e-6)
        mean, spread = ops.stop_gradient(mean), ops.stop_gradient(spread)
        count = ops.shape(values)[0]
        draws = {"shape": (count, 1, 1, 1), "seed": self.seed_generator}
        kept = keras.random.beta(alpha=BETA, beta=BETA, **draws)
        kept = ops.where(keras.random.uniform(**draws) < self.share, kept, 1.0)
        other = keras.random.shuffle(ops.arange(count), seed=self.seed_generator)
        new_mean = kept * mean + (1 - kept) * ops.take(mean, other, axis=0)
        new_spread = kept * spread + (1 - kept) * ops.take(spread, other, axis=0)
        changed = (values - mean) / spread * new_spread + new_mean
        return ops.cast(changed, features.dtype)


def mixing(network: Network, share: float) -> keras.Model:
    """Return the classifier with `MixStyle` behind its first blocks.

    Args:
        network: whose layers are shared; it stays as it is.
        share: of the images whose style is mixed, in [0, 1].

    Returns:
        (n, 128, 128, 1) in [0, 1] -> probabilities (n, 2).
    """
    start = keras.Input(network.classifier.input_shape[1:])
    pools = [f"block{number}_pool" for number in range(1, BLOCKS + 1)]
    x = start
    for layer in network.classifier.layers[1:]:
        x = follow(layer, x)
        if layer.name in pools:
            x = MixStyle(share, name=f"style_{layer.name}")(x)
    return keras.Model(start, x, name="mixing")
