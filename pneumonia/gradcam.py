"""Grad-CAM in forward operations: the heat map costs no second pass.

Grad-CAM (Selvaraju et al., ICCV 2017) weighs channel k of the feature map A by

    alpha_ck = mean over positions of d logit_c / d A_k

and draws ReLU(sum_k alpha_ck A_k). Behind A stand a max-pool, Flatten and fully
connected ReLU layers. Max-pool sends each pooled gradient to exactly one position, so
the mean over the map is the sum over the pooled positions divided by the map's
positions; and the pooled gradient is the product of the layers' matrices, masked by
which hidden units were on. Both are known once the forward pass is done.
"""

import keras
import numpy as np
from keras import ops

from .network import Network


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
        float32 (n, 2, 8, 8) in [0, 1]: divided by its maximum, all zeros where nothing
        is positive.
    """
    *hidden_layers, last = dense_layers(head)
    x = ops.max_pool(feature_map, 2)  # (n, 4, 4, 512)
    x = ops.reshape(x, (ops.shape(x)[0], -1))  # (n, 8192)
    switched_on = []
    for layer in hidden_layers:
        x = ops.relu(ops.matmul(x, layer.kernel) + layer.bias)  # (n, units)
        switched_on.append(ops.cast(x > 0, x.dtype)[:, None, :])  # (n, 1, units)

    gradient = ops.transpose(last.kernel)[
        None
    ]  # (1, 2, units of the last hidden layer)
    for layer, on in zip(hidden_layers[:0:-1], switched_on[:0:-1], strict=True):
        gradient = ops.matmul(gradient * on, ops.transpose(layer.kernel))
    fold = ops.transpose(ops.convert_to_tensor(position_sum(head)))  # (units, 512)
    alpha = ops.matmul(gradient * switched_on[0], fold)  # (n, 2, 512)

    maps = ops.relu(ops.einsum("nck,nhwk->nchw", alpha, feature_map))  # (n, 2, 8, 8)
    peak = ops.max(maps, axis=(2, 3), keepdims=True)
    return maps / ops.maximum(peak, keras.config.epsilon() ** 2)


def explain(network: Network, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Run the network on images with its heat maps.

    Args:
        network: from `network.build` or `network.load`.
        images: float32 (n, 128, 128, 1) in [0, 1].

    Returns:
        logits float32 (n, 2) and maps float32 (n, 2, 8, 8) in [0, 1].
    """
    feature_map = network.features(images, training=False)
    logits = network.head(feature_map, training=False)
    maps = heat_maps(feature_map, network.head)
    return ops.convert_to_numpy(logits), ops.convert_to_numpy(maps)
