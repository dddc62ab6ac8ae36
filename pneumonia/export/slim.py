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

The feature map keeps its channels: the head, the heat maps and the gate read it.
"""

import numpy as np
import onnx

from .inner import convolutions, run_inner, set_weights, surroundings, weights

CHUNK = 16
"""Widths are multiples of it, as processors like them."""

OPERATIONS = 0.7
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
    orders, costs = zip(*_removals(model, images), strict=True)
    kept = _widths(model, costs, operations)
    chosen = [
        np.sort(order[len(order) - width :])
        for order, width in zip(orders, kept, strict=True)
    ]
    return _refitted(model, images, chosen)


def count_operations(model: onnx.ModelProto, side: int = 128) -> int:
    """Count the multiplications and additions of the convolutions for one image."""
    sides = _sides(model, side)
    kernels = [weights(model, node)[0] for node in convolutions(model)]
    return sum(2 * k.size * s * s for k, s in zip(kernels, sides, strict=True))


def channels(model: onnx.ModelProto) -> dict[str, int]:
    """Return how many channels each convolution has, by its name."""
    found = {
        n.name.removesuffix(".sum"): weights(model, n) for n in convolutions(model)
    }
    return {name: len(bias) for name, (_, bias) in found.items()}


def _sides(model: onnx.ModelProto, side: int = 128) -> list[int]:
    """Return the side of each convolution's output; each block halves it."""
    blocks = [int(node.name[len("block")]) for node in convolutions(model)]
    return [side >> (block - 1) for block in blocks]


def _removals(
    model: onnx.ModelProto, images: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return for each convolution in which order its channels go, and what that costs.

    Returns:
        int (channels,), the first to go first, and float (channels,): which share of
        the next layer's sums is lost with the first, the first two, ... of them. The
        last convolution keeps all: nothing goes.
    """
    nodes = convolutions(model)
    found = []
    values = _at_places(model, nodes[:-1], images)
    for following, of_one in zip(nodes[1:], values, strict=True):
        kernel, _ = weights(model, following)
        flat = kernel.swapaxes(0, 1).reshape(kernel.shape[1], -1).astype(np.float64)
        found.append(_one_by_one(flat @ flat.T, of_one))
    last = len(weights(model, nodes[-1])[1])
    return [*found, (np.arange(last), np.full(last, np.inf))]


def _at_places(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], images: np.ndarray
) -> list[np.ndarray]:
    """Return what layers give at 64 places of each image, float32 (n, channels)."""
    names = [node.name.removesuffix(".sum") for node in nodes]
    parts = []
    for outputs in run_inner(model, names, images):
        steps = [values.shape[-1] // 8 for values in outputs]
        some = [
            values[:, :, step // 2 :: step, step // 2 :: step]
            for values, step in zip(outputs, steps, strict=True)
        ]
        parts.append([v.transpose(0, 2, 3, 1).reshape(-1, v.shape[1]) for v in some])
    return [np.concatenate(of_one) for of_one in zip(*parts, strict=True)]


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
    model: onnx.ModelProto, images: np.ndarray, chosen: list[np.ndarray]
) -> onnx.ModelProto:
    """Cut layers to the chosen channels, and fit their weights from front to back."""
    small = onnx.ModelProto()
    small.CopyFrom(model)
    before, changed = None, False
    for node, after in zip(convolutions(model), chosen, strict=True):
        kernel, bias = weights(model, node)
        kernel, bias = kernel[after], bias[after]
        fewer = kernel if before is None else kernel[:, before]
        if changed:
            read = [surroundings(each, node, images) for each in (model, small)]
            fewer, bias = _fit(kernel, fewer, bias, *read)
        set_weights(small, node, fewer, bias)
        before, changed = after, changed or len(after) < len(weights(model, node)[1])
    return small


def _fit(
    kernel: np.ndarray,
    fewer: np.ndarray,
    bias: np.ndarray,
    whole: np.ndarray,
    left: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a layer's weights to what is left of its input, by ridge regression.

    Args:
        kernel: float32 (out, in, 3, 3).
        fewer: the same for the inputs that are left, where the fit starts.
        bias: float32 (out,).
        whole: float32 (samples, in * 9), the input as it was.
        left: float32 (samples, fewer in * 9), the input as it is now.

    Returns:
        Kernel and bias.
    """
    start = fewer.reshape(len(fewer), -1)
    missing = whole @ kernel.reshape(len(kernel), -1).T - left @ start.T
    shift, centre = missing.mean(axis=0), left.mean(axis=0)
    left = left - centre
    likeness = (left.T @ left / len(left)).astype(np.float64)
    likeness[np.diag_indices(len(likeness))] += _RIDGE * likeness.diagonal().mean()
    along = (left.T @ (missing - shift) / len(left)).astype(np.float64)
    change = np.linalg.solve(likeness, along).T.astype(np.float32)  # (out, k)
    return (start + change).reshape(fewer.shape), bias + shift - change @ centre
