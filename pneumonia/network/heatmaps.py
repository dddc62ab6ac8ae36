"""Heat maps in forward operations: they cost no second pass.

Grad-CAM (Selvaraju et al., ICCV 2017) weighs channel k of the feature map A by

    alpha_ck = mean over positions of d logit_c / d A_k

and draws ReLU(sum_k alpha_ck A_k). Behind A stand a max-pool, Flatten and fully
connected ReLU layers. Max-pool sends each pooled gradient to exactly one position, so
the mean over the map is the sum over the pooled positions divided by the map's
positions; and the pooled gradient is the product of the layers' matrices, masked by
which hidden units were on. Both are known once the forward pass is done.

That mean over positions is what Grad-CAM loses: a head behind Flatten weighs each
position for itself. HiResCAM (Draelos and Carin, arXiv 2011.08891, 2020) multiplies
position by position and sums over channels alone. What it draws of the difference of
the two logits is what each cell adds to the log-odds.
"""

import keras
import numpy as np
from keras import ops

from .vgg19 import Network


def dense_layers(head: keras.Model) -> list[keras.layers.Dense]:
    """Return the fully connected layers of a head, from the map to the logits."""
    return [layer for layer in head.layers if isinstance(layer, keras.layers.Dense)]


def position_sum(head: keras.Model) -> np.ndarray:
    """Fold the first layer's matrix over positions.

    Returns:
        float32 (512, units): d(sum over pooled positions) / d(channel), divided by the
        number of positions of the feature map.
    """
    _, height, width, channels = head.input_shape
    kernel = ops.convert_to_numpy(dense_layers(head)[0].kernel)  # (4*4*512, units)
    by_position = kernel.reshape(-1, channels, kernel.shape[1])  # (16, 512, units)
    return by_position.sum(axis=0) / (height * width)


def heat_maps(feature_map, head: keras.Model):
    """Compute the Grad-CAM map of every label.

    Args:
        feature_map: float32 (n, 8, 8, 512), what `Network.features` returns.
        head: `Network.head`.

    Returns:
        float32 (n, 2, 8, 8) in [0, 1]: both labels' divided by the larger peak of the
        two, all zeros where nothing is positive.
    """
    _, gradient = _passed_back(feature_map, head)
    fold = ops.transpose(ops.convert_to_tensor(position_sum(head)))  # (units, 512)
    alpha = ops.matmul(gradient, fold)  # (n, 2, 512)

    maps = ops.relu(ops.einsum("nck,nhwk->nchw", alpha, feature_map))  # (n, 2, 8, 8)
    peak = ops.max(maps, axis=(1, 2, 3), keepdims=True)
    return maps / ops.maximum(peak, keras.config.epsilon() ** 2)


def evidence(feature_map, head: keras.Model):
    """Compute HiResCAM of the difference of the logits: pneumonia's less normal's.

    Args:
        feature_map: float32 (n, 8, 8, 512), what `Network.features` returns.
        head: `Network.head`.

    Returns:
        float32 (n, 8, 8), in units of the logits: what each cell adds, positive where
        it speaks for pneumonia. Their sum is the difference of the logits but for what
        the biases of the hidden units that are on bring.
    """
    pooled, gradient = _passed_back(feature_map, head)
    _, height, width, channels = pooled.shape
    towards = gradient[:, 1] - gradient[:, 0]  # (n, units)
    back = ops.matmul(towards, ops.transpose(dense_layers(head)[0].kernel))
    added = ops.reshape(back, (-1, height, width, channels)) * pooled
    # max-pool sends each share to where its maximum came from, to equals evenly
    apart = (-1, height, 2, width, 2, channels)
    peak, added = (x[:, :, None, :, None] for x in (pooled, added))
    came_from = ops.cast(ops.reshape(feature_map, apart) == peak, added.dtype)
    share = added / ops.sum(came_from, axis=(2, 4), keepdims=True)
    cells = ops.sum(came_from * share, axis=-1)  # (n, 4, 2, 4, 2)
    return ops.reshape(cells, (-1, 2 * height, 2 * width))


def _passed_back(feature_map, head: keras.Model):
    """Return the pooled map, and the gradient of the logits at the first hidden layer.

    Returns:
        (n, 4, 4, 512) and (n, 2, units), before that layer's ReLU.
    """
    *hidden_layers, last = dense_layers(head)
    pooled = ops.max_pool(feature_map, 2)  # (n, 4, 4, 512)
    x = ops.reshape(pooled, (ops.shape(pooled)[0], -1))  # (n, 8192)
    switched_on = []
    for layer in hidden_layers:
        x = ops.relu(ops.matmul(x, layer.kernel) + layer.bias)  # (n, units)
        switched_on.append(ops.cast(x > 0, x.dtype)[:, None, :])  # (n, 1, units)

    gradient = ops.transpose(last.kernel)[
        None
    ]  # (1, 2, units of the last hidden layer)
    for layer, on in zip(hidden_layers[:0:-1], switched_on[:0:-1], strict=True):
        gradient = ops.matmul(gradient * on, ops.transpose(layer.kernel))
    return pooled, gradient * switched_on[0]


def explain(
    network: Network, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run the network on images with both kinds of heat maps.

    Args:
        network: from `vgg19.build` or `vgg19.load`.
        images: float32 (n, 128, 128, 1) in [0, 1].

    Returns:
        logits float32 (n, 2), maps float32 (n, 2, 8, 8) in [0, 1] and evidence float32
        (n, 8, 8), as in `heat_maps` and `evidence`.
    """
    feature_map = network.features(images, training=False)
    logits = network.head(feature_map, training=False)
    maps = heat_maps(feature_map, network.head)
    added = evidence(feature_map, network.head)
    return tuple(ops.convert_to_numpy(found) for found in (logits, maps, added))
