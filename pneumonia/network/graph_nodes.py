"""An ONNX graph under construction, and what both of its networks begin with."""

import numpy as np
from onnx import helper, numpy_helper

HALVE = {"kernel_shape": [2, 2], "strides": [2, 2]}


class Graph:
    """Nodes and constants of an ONNX graph under construction; names are outputs."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name: str, values) -> str:
        """Add a constant; return its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, kind: str, inputs: list[str], output: str, **attributes) -> str:
        """Add a node with one output; return its name."""
        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=output, **attributes)
        )
        return output


def add_unit(graph: Graph, x: str, name: str) -> str:
    """Shift and scale images (n, 1, H, W) to mean 0 and spread 1, as `Standardize`."""
    axes = {"axes": [1, 2, 3], "keepdims": 1}
    mean = graph.add("ReduceMean", [x], f"{name}.mean", **axes)
    centred = graph.add("Sub", [x, mean], f"{name}.centred")
    square = graph.add("Mul", [centred, centred], f"{name}.square")
    variance = graph.add("ReduceMean", [square], f"{name}.variance", **axes)
    spread = graph.add("Sqrt", [variance], f"{name}.spread")
    floor = graph.constant(f"{name}.least_spread", np.float32(1e-3))
    spread = graph.add("Max", [spread, floor], f"{name}.safe_spread")
    return graph.add("Div", [centred, spread], name)
