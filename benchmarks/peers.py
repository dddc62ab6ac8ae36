"""What serving is compared with: other ways to answer, and other runs of the graph."""

import importlib.util
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
from matplotlib import pyplot as plt
from onnx import numpy_helper
from PIL import Image

from pneumonia.contract import BUNDLE
from pneumonia.network import vgg19 as networks


def usual_way(network: networks.Network) -> Callable[[bytes], bytes]:
    """Return the way of most tutorials, on the same network."""
    model = network.classifier
    hot = mpl.colormaps["jet"]

    def answer(data: bytes) -> bytes:
        xray = Image.open(io.BytesIO(data)).convert("L")
        image = np.asarray(xray.resize((128, 128)), np.float32)[None, ..., None] / 255
        label = int(model.predict(image, verbose=0).argmax())
        with tf.GradientTape() as tape:
            feature_map = network.features(image)
            tape.watch(feature_map)
            score = network.head(feature_map)[:, label]
        gradient = tape.gradient(score, feature_map)
        weights = tf.reduce_mean(gradient, axis=(0, 1, 2))
        heatmap = tf.nn.relu(tf.reduce_sum(feature_map[0] * weights, axis=-1)).numpy()
        heatmap /= heatmap.max() or 1
        colours = Image.fromarray((hot(heatmap)[..., :3] * 255).astype(np.uint8))
        colours = np.asarray(colours.resize(xray.size))
        figure = plt.figure(figsize=(6, 6))
        plt.imshow((0.4 * colours + 0.6 * np.asarray(xray)[..., None]) / 255)
        plt.axis("off")
        file = io.BytesIO()
        figure.savefig(file, format="png")
        plt.close(figure)
        return file.getvalue()

    return answer


def onnx_run(graph: onnx.ModelProto) -> Callable[[np.ndarray], object]:
    """Return a run of a graph by ONNX Runtime, on all cores."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda image: session.run(None, {"image": image})


def torchxrayvision_way() -> Callable[[bytes], object] | None:
    """Return the way of `xrayvision.py`, where its packages are installed."""
    if importlib.util.find_spec("torchxrayvision") is None:
        return None
    script = Path(__file__).with_name("xrayvision.py")
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )

    def answer(data: bytes) -> bytes:
        process.stdin.write(b"%d\n" % len(data) + data)
        process.stdin.flush()
        return process.stdout.read(1)

    return answer


def openvino_run() -> Callable | None:
    """Return a run of the int8 graph by OpenVINO, where it is installed."""
    try:
        import openvino
    except ModuleNotFoundError:
        return None
    core = openvino.Core()
    model = core.read_model(BUNDLE / "classifier.onnx")
    compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY"})
    return lambda image: compiled({"image": image})


def zero_point_run() -> Callable[[np.ndarray], object]:
    """Return a run of the graph that ships with a zero point of 1 in each layer.

    It is that of one channel's weights, and these are moved by as much, so the answers
    stay the same. ONNX Runtime then leaves its own int8 convolutions for a matrix
    product, which AMX computes.
    """
    model = onnx.load(BUNDLE / "classifier.onnx")
    constants = {c.name: c for c in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and ".kernel" in node.name:
            for name in (node.input[0], node.input[2]):  # weights of 7 bits, and zeros
                values = numpy_helper.to_array(constants[name]).copy()
                values[0] += 1
                constants[name].CopyFrom(numpy_helper.from_array(values, name))
    return onnx_run(model)
