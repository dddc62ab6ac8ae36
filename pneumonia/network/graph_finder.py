"""The front of the ONNX graph: the lung finder, the box, the crop to it.

The arithmetic is that of `finder.find`, `framing.boxes`, `framing.around` and
`framing.crop`. An answer must not depend on how many images come in one run, to the
last bit. So each image is summed by itself, and always along the last axis; and of a
matrix product the left matrix is at least as high as the right one is wide, because
ONNX Runtime then never divides the columns, by which it chooses how to sum.
"""

import keras
import numpy as np

from ..contract import IMAGE_SIZE, PICTURE_SIZE
from . import framing
from .finder import SIDE, WIDTHS
from .graph_nodes import HALVE, Graph, add_unit


def add_lungs(graph: Graph, grey: str, finder: keras.Model) -> str:
    """Add the finder.

    Args:
        graph: to add to.
        grey: float32 (n, 1, 224, 224) in [0, 1].
        finder: from `finder.build` or `finder.load`.

    Returns:
        The name of the probability of lung, (n, 1, 96, 96).
    """
    by = framing.resizing(PICTURE_SIZE, SIDE)
    columns = graph.constant("small.columns", by.T.copy())
    rows = graph.constant("small.rows", by)
    x = graph.add("MatMul", [grey, columns], "small.narrow")
    x = graph.add("MatMul", [rows, x], "small")
    x = add_unit(graph, x, "small.unit")

    numbered = enumerate(_folded(finder), 1)

    def convolve(x: str, plain: bool = False) -> str:
        number, (kernel, bias) = next(numbered)
        name = f"finder_conv{number}"
        weights = [
            graph.constant(f"{name}.kernel", kernel),
            graph.constant(f"{name}.bias", bias),
        ]
        pads = [kernel.shape[-1] // 2] * 4
        x = graph.add("Conv", [x, *weights], f"{name}.sum", pads=pads)
        return x if plain else graph.add("Relu", [x], name)

    skipped = []
    for level in range(len(WIDTHS)):
        if level:
            x = convolve(graph.add("MaxPool", [x], f"finder_pool{level}", **HALVE))
        x = convolve(x)
        skipped.append(x)
    double = graph.constant("double", np.array([1, 1, 2, 2], np.float32))
    nearest = {
        "mode": "nearest",
        "nearest_mode": "floor",
        "coordinate_transformation_mode": "asymmetric",
    }
    for finer in skipped[-2::-1]:
        x = graph.add(
            "Resize", [convolve(x, plain=True), "", double], f"{finer}.up", **nearest
        )
        x = convolve(graph.add("Add", [x, finer], f"{finer}.both"))
    return graph.add("Sigmoid", [convolve(x, plain=True)], "lung")


def _folded(finder: keras.Model) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return kernel (out, in, k, k) and bias of each convolution, in their order.

    A BatchNormalization behind one becomes part of it.
    """
    found, scale = [], np.float32(1)
    for layer in finder.layers:
        weights = [np.asarray(w, np.float32) for w in layer.get_weights()]
        if isinstance(layer, keras.layers.Conv2D):
            kernel, bias = [*weights, np.zeros(layer.filters, np.float32)][:2]
            found.append((kernel.transpose(3, 2, 0, 1), bias))
        elif isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = weights
            scale = gamma / np.sqrt(variance + layer.epsilon)
            kernel, bias = found.pop()
            kernel = kernel * scale[:, None, None, None]
            found.append((kernel, (bias - mean) * scale + beta))
    return found


def add_box(graph: Graph, lung: str, aligned: bool) -> str:
    """Add what is cropped to.

    Args:
        graph: to add to.
        lung: (n, 1, 96, 96), from `add_lungs`.
        aligned: False gives `framing.WHOLE`, whatever was found.

    Returns:
        The name of the places, (n, 2, 2): of rows and of columns, the first and the
        last, as fractions of the side.
    """
    two = graph.constant("two", np.float32(2))
    one = graph.constant("one", np.float32(1))
    floor = graph.constant("least_mass", np.float32(1e-6))
    x = graph.add("Mul", [lung, two], "mass.double")
    x = graph.add("Max", [graph.add("Sub", [x, one], "mass.signed"), floor], "mass")
    turned = graph.add("Transpose", [x], "mass.turned", perm=[0, 1, 3, 2])
    both = graph.add("Concat", [x, turned], "mass.both", axis=1)  # (n, 2, 96, 96)
    last = graph.constant("mass.last", np.array([3]))
    sums = graph.add("ReduceSum", [both, last], "mass.sums", keepdims=0)
    axis = graph.constant("mass.axis", np.array([2]))
    sums = graph.add("Unsqueeze", [sums, axis], "mass.lines")  # (n, 2, 1, 96)
    total = graph.add("ReduceSum", [sums, last], "mass.total", keepdims=1)
    before = graph.add(
        "CumSum", [sums, graph.constant("along", np.array(3))], "before", exclusive=1
    )
    tails = np.array([[framing.TAIL], [1 - framing.TAIL]], np.float32)
    wanted = graph.add("Mul", [total, graph.constant("tails", tails)], "wanted")
    x = graph.add("Sub", [wanted, before], "wanted.left")  # (n, 2, 2, 96)
    x = graph.add("Div", [x, sums], "wanted.lines")
    x = _clip(graph, x, 1, "wanted.within")
    edges = graph.add("ReduceMean", [x], "edges", axes=[3], keepdims=0)  # (n, 2, 2)

    first, last = _ends(graph, edges, "edges")
    middle = graph.add("Add", [first, last], "middle.double")
    middle = graph.add("Div", [middle, two], "middle")
    reach = graph.add("Sub", [last, first], "reach.box")
    widen = graph.constant("widen", np.float32(0.5 + framing.ROOM))
    reach = graph.add("Mul", [reach, widen], "reach.wide")
    # as far as the whole side from any middle, and cut off at the edge: the whole
    least = framing.LEAST_SIDE / 2 if aligned else 1
    least = graph.constant("least_reach", np.float32(least))
    reach = graph.add("Max", [reach, least], "reach")
    both_ways = graph.constant("both_ways", np.array([-1, 1], np.float32))
    x = graph.add("Mul", [reach, both_ways], "reach.both_ways")
    x = graph.add("Add", [middle, x], "place.uncut")
    return _clip(graph, x, 1, "place")


def add_crop(
    graph: Graph,
    grey: str,
    place: str,
    size: int = PICTURE_SIZE,
    *,
    each: int = 1,
    name: str = "crop",
) -> str:
    """Add the crop to the lungs.

    Args:
        graph: to add to.
        grey: (n, 1, size, size), of the whole picture.
        place: (n, 2, 2), from `add_box`.
        size: 224, of a picture; 96, of its lungs.
        each: side of the squares of the crop that are averaged to one pixel.
        name: of the crop.

    Returns:
        The name of what VGG19 sees, (n, 1, 128, 128), or of fewer pixels.
    """

    def value(part: str, values) -> str:
        return graph.constant(f"{name}.{part}", np.asarray(values, np.float32))

    def add(kind: str, inputs: list[str], part: str, **attributes) -> str:
        return graph.add(kind, inputs, f"{name}.{part}", **attributes)

    last = graph.constant(f"{name}.last", np.array([3]))
    place = add("Unsqueeze", [place, last], "place")  # (n, 2, 2, 1)
    start, stop = _ends(graph, place, f"{name}.place")  # (n, 2, 1, 1)
    step = add("Sub", [stop, start], "step.part")
    step = add("Mul", [step, value("ratio", size / IMAGE_SIZE)], "step")
    start = add("Mul", [start, value("size", size)], "start")
    centres = np.arange(IMAGE_SIZE)[:, None] + 0.5
    at = add("Mul", [value("centres", centres), step], "at.inside")
    at = add("Add", [start, at], "at.corner")
    at = add("Sub", [at, value("half", 0.5)], "at.centre")
    at = _clip(graph, at, size - 1, f"{name}.at")  # (n, 2, 128, 1)
    one = value("one", 1)
    reach = add("Max", [step, one], "reach")
    away = add("Sub", [at, value("pixels", np.arange(size))], "away.signed")
    away = add("Div", [add("Abs", [away], "away"), reach], "away.part")
    near = add("Sub", [one, away], "near.signed")
    near = add("Max", [near, value("zero", 0)], "near")  # (n, 2, 128, 224)
    sums = add("ReduceSum", [near, last], "sums", keepdims=1)
    picking = add("Div", [near, sums], "picking")
    if each > 1:
        lines = {"kernel_shape": [each, 1], "strides": [each, 1]}
        picking = add("AveragePool", [picking], "picking.each", **lines)
    rows, columns = _ends(graph, picking, f"{name}.picking", axis=1)
    columns = add("Transpose", [columns], "columns", perm=[0, 1, 3, 2])
    x = add("MatMul", [grey, columns], "narrow")
    return graph.add("MatMul", [rows, x], name)


def _ends(graph: Graph, x: str, name: str, axis: int = 2) -> tuple[str, str]:
    """Take an axis of length two apart; it stays, with length one."""
    return tuple(
        graph.add(
            "Gather",
            [x, graph.constant(f"{name}.{end}.index", np.array([number]))],
            f"{name}.{end}",
            axis=axis,
        )
        for number, end in enumerate(("first", "last"))
    )


def _clip(graph: Graph, x: str, most: float, name: str) -> str:
    limits = [
        graph.constant(f"{name}.{end}", np.float32(limit))
        for end, limit in (("least", 0), ("most", most))
    ]
    return graph.add("Clip", [x, *limits], name)
