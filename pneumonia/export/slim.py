"""A graph with fewer channels that answers alike: structured pruning without training.

VGG19 has channels that never fire on chest X-rays, and many that the others foretell.

1. Each convolution's channels are taken away one by one: first the one whose loss the
   others can make good best, as far as they go along on training images. Its share in
   the next layer's sums that is lost then is what it costs (Optimal Brain Surgeon;
   Hassibi and Stork, NIPS 1993, for channels).
2. The widths of all layers are chosen together: where an operation saved costs least.
3. The next layer's weights are fitted anew, so that its sums on training images stay
   what they were (He et al., "Channel Pruning for Accelerating Very Deep Neural
   Networks", ICCV 2017).

The feature map keeps its channels: the head and the heat maps read it.
"""

import numpy as np
import onnx

from ..contract import IMAGE_SIZE
from .convolutions import convolutions, set_weights, sums, surroundings, weights

CHUNK = 16
"""Widths are multiples of it, as processors like them."""

OPERATIONS = 0.5
"""Share of the convolutions' operations that the graph that serves keeps."""

_RIDGE = 0.01  # of the inputs' mean square: weights are not bent to these images


def slim(
    model: onnx.ModelProto, images: np.ndarray, operations: float = OPERATIONS
) -> onnx.ModelProto:
    """Take channels away until a share of the convolutions' operations is left.

    Args:
        model: from `graph.build_graph`; stays as it is.
        images: float32 (n, 224, 224, 1) in [0, 1], training images.
        operations: share that is left at most, in (0, 1].

    Returns:
        The smaller graph, float32.
    """
    if operations >= 1:
        return model
    before = sums(model, convolutions(model), images)
    orders, costs = zip(*_removals(model, before), strict=True)
    kept = _widths(model, costs, operations)
    chosen = [
        np.sort(order[len(order) - width :])
        for order, width in zip(orders, kept, strict=True)
    ]
    return _refitted(model, images, chosen, before)


def count_operations(model: onnx.ModelProto) -> int:
    """Count the multiplications and additions of the convolutions for one image."""
    sides = _sides(model)
    kernels = [weights(model, node)[0] for node in convolutions(model)]
    return sum(2 * k.size * s * s for k, s in zip(kernels, sides, strict=True))


def channels(model: onnx.ModelProto) -> dict[str, int]:
    """Return how many channels each convolution has, by its name."""
    found = {
        n.name.removesuffix(".sum"): weights(model, n) for n in convolutions(model)
    }
    return {name: len(bias) for name, (_, bias) in found.items()}


def _sides(model: onnx.ModelProto) -> list[int]:
    """Return the side of each convolution's output; each block halves it."""
    blocks = [int(node.name[len("block")]) for node in convolutions(model)]
    return [IMAGE_SIZE >> (block - 1) for block in blocks]


def _removals(
    model: onnx.ModelProto, before: list[np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return for each convolution in which order its channels go, and what that costs.

    Args:
        model: the whole graph.
        before: of it, as from `sums`.

    Returns:
        int (channels,), the first to go first, and float (channels,): which share of
        the next layer's sums is lost with the first, the first two, ... of them. The
        last convolution keeps all: nothing goes.
    """
    nodes, found = convolutions(model), []
    for following, summed in zip(nodes[1:], before, strict=False):
        kernel, _ = weights(model, following)
        flat = kernel.swapaxes(0, 1).reshape(kernel.shape[1], -1).astype(np.float64)
        found.append(_one_by_one(flat @ flat.T, np.maximum(summed, 0)))
    last = before[-1].shape[1]
    return [*found, (np.arange(last), np.full(last, np.inf))]


def _one_by_one(
    products: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Take channels away, each time the cheapest one, and let the others make it good.

    Args:
        products: float64 (channels, channels), of the weights of two channels, summed.
        values: float32 (n, channels), which they take.
    """
    channels = len(products)
    spread = np.cov(values.T.astype(np.float64), bias=True)
    everything = np.sum(spread * products)
    spread[np.diag_indices(channels)] += _RIDGE * spread.diagonal().mean()
    inverse, products = np.linalg.inv(spread), products.copy()
    left, order, costs, lost = np.ones(channels, bool), [], [], 0.0
    for _ in range(channels):
        price = products.diagonal() / inverse.diagonal()
        one = int(np.where(left, price, np.inf).argmin())
        lost += price[one]
        order.append(one)
        costs.append(lost / everything)
        left[one] = False
        # the weights of the others take over what they can foretell
        line = inverse[one] / inverse[one, one]
        taken = np.outer(products[one], line)
        products += products[one, one] * np.outer(line, line) - taken - taken.T
        inverse -= inverse[one, one] * np.outer(line, line)
        inverse[one, one] = 1  # it is gone; keeps the division above whole
    return np.array(order), np.array(costs)


def _widths(
    model: onnx.ModelProto, costs: tuple[np.ndarray, ...], operations: float
) -> list[int]:
    """Choose how many channels each layer keeps, a chunk at a time."""
    sides = np.array(_sides(model))
    kept = [len(cost) for cost in costs]
    inputs = weights(model, convolutions(model)[0])[0].shape[1]

    def count(widths: list[int]) -> float:
        return float(np.sum(np.array([inputs, *widths[:-1]]) * widths * sides**2))

    def price(at: int) -> float:
        """Return what the next chunk of a layer costs for each operation saved."""
        fewer = kept[at] - CHUNK
        if fewer < CHUNK:
            return np.inf
        gone = len(costs[at]) - kept[at]
        before = costs[at][gone - 1] if gone else 0.0
        saved = count(kept) - count([*kept[:at], fewer, *kept[at + 1 :]])
        return (costs[at][gone + CHUNK - 1] - before) / saved

    most = operations * count(kept)
    while count(kept) > most:
        kept[int(np.argmin([price(at) for at in range(len(kept))]))] -= CHUNK
    return kept


def _refitted(
    model: onnx.ModelProto,
    images: np.ndarray,
    chosen: list[np.ndarray],
    before: list[np.ndarray],
) -> onnx.ModelProto:
    """Cut layers to the chosen channels, and fit their weights from front to back."""
    small = onnx.ModelProto()
    small.CopyFrom(model)
    inputs, changed = slice(None), False
    for node, kept, summed in zip(convolutions(model), chosen, before, strict=True):
        kernel, bias = weights(model, node)
        fewer, left = kernel[kept][:, inputs], bias[kept]
        if changed:
            read = surroundings(small, node, images)
            fewer, left = _fit(fewer, left, read, summed[:, kept])
        set_weights(small, node, fewer, left)
        inputs, changed = kept, changed or len(kept) < len(bias)
    return small


def _fit(
    kernel: np.ndarray, bias: np.ndarray, inputs: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Change a layer's weights until its sums are about as wanted: ridge regression.

    Args:
        kernel: float32 (out, in, 3, 3), where the fit starts.
        bias: float32 (out,).
        inputs: float32 (samples, in * 9), what it reads.
        wanted: float32 (samples, out).

    Returns:
        Kernel and bias.
    """
    start = kernel.reshape(len(kernel), -1)
    missing = wanted - bias - inputs @ start.T
    shift, centre = missing.mean(axis=0), inputs.mean(axis=0)
    inputs = inputs - centre
    likeness = (inputs.T @ inputs / len(inputs)).astype(np.float64)
    likeness[np.diag_indices(len(likeness))] += _RIDGE * likeness.diagonal().mean()
    along = (inputs.T @ (missing - shift) / len(inputs)).astype(np.float64)
    change = np.linalg.solve(likeness, along).T.astype(np.float32)  # (out, k)
    return (start + change).reshape(kernel.shape), bias + shift - change @ centre
