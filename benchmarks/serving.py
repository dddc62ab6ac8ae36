"""One answer, from the file's bytes to the heat map on the X-ray, against other ways.

    python benchmarks/serving.py DIR [--images 12] [--rounds 24]
    python benchmarks/serving.py DIR --profile

DIR holds X-rays in original size. The ways take turns in one process, all on the same
network: what ships, and its Keras weights. The usual way looks for no lungs. It decodes
the file in full, calls `model.predict`, a gradient tape for Grad-CAM and matplotlib for
the overlay.
`--profile` only says where `predict` spends its time.
"""

import argparse
import io
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib as mpl
import numpy as np
import onnx
import tensorflow as tf
from matplotlib import pyplot as plt
from measure import machine, read_folder, spread, table, take_turns
from PIL import Image

from pneumonia import load_classifier, predict
from pneumonia.contract import BUNDLE
from pneumonia.network import finder, framing
from pneumonia.network import vgg19 as networks
from pneumonia.network.graph import build_graph
from pneumonia.reading.image import read_picture, to_input
from pneumonia.serving import classifier as serving
from pneumonia.serving.encode import encode_jpeg, encode_png
from pneumonia.serving.gate import judge
from pneumonia.serving.overlay import draw_overlay

ANSWER = "**`predict`: answer, map and overlay**"
USUAL = "Keras `predict`, gradient tape, matplotlib"


def answer(classifier: serving.Classifier, file: bytes) -> np.ndarray:
    """Answer one file, whatever the gate says, and draw the overlay."""
    return predict(classifier, file, anyway=True).overlay


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
    import onnxruntime  # after the package, which turns its reports off

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda image: session.run(None, {"image": image})


def find_lungs() -> Callable[[np.ndarray], object]:
    """Return a run of the graph that ships, up to the lungs and their box."""
    whole = onnx.load(BUNDLE / "classifier.onnx")
    part = onnx.utils.Extractor(whole).extract_model(["image"], ["lungs", "box"])
    return onnx_run(part)


def profile(classifier: serving.Classifier, files: list[bytes]) -> list[list[str]]:
    """Time each stage of `predict` on its own."""
    stages = {}

    def timed(name: str, call: Callable, *arguments):
        begun = time.perf_counter()
        result = call(*arguments)
        stages.setdefault(name, []).append(time.perf_counter() - begun)
        return result

    for data in files * 3:
        picture = timed("decode, reduce", read_picture, data)
        image = timed("to the network's input", to_input, picture.pixels)
        outputs = timed("network", classifier.run, image)
        timed("gate", judge, classifier.gate, picture, image, outputs)
        laid = partial(draw_overlay, lungs=outputs.lungs[0], box=outputs.box[0])
        overlay = timed("overlay", laid, picture.pixels, outputs.maps[0, 1])
        timed("PNG (where an app sends it)", encode_png, overlay)
        timed("JPEG (of a folder's overlays)", encode_jpeg, overlay)
    return [[name, *spread(seconds, 1000, 2)] for name, seconds in stages.items()]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="DIR")
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    print(f"{machine()}, TensorFlow {tf.__version__}\n")
    mpl.use("agg")
    files = read_folder(args.source, args.images)
    classifier = load_classifier()
    if args.profile:
        print(table(["stage", "ms, median", "10-90 %"], profile(classifier, files)))
        return
    network = networks.load()
    keras.config.set_floatx("float32")
    graph = build_graph(network, finder.load(BUNDLE))
    usual, float32 = usual_way(network), onnx_run(graph)
    bare = tf.function(network.classifier, jit_compile=False)
    inputs = [to_input(read_picture(data).pixels) for data in files]
    places = framing.WHOLE[None]
    tensors = [tf.constant(framing.crop(image, places)) for image in inputs]
    lungs = find_lungs()

    def of(items: list, call: Callable) -> Callable[[int], object]:
        return lambda number: call(items[number % len(items)])

    ways = {
        USUAL: of(files, usual),
        ANSWER: of(files, partial(answer, classifier)),
        "bare TensorFlow float32 (compiled), forward": of(tensors, bare),
        "bare ONNX Runtime float32": of(inputs, float32),
        "bare ONNX Runtime int8": of(inputs, classifier.run),
        "of the int8 run, finding the lungs": of(inputs, lungs),
    }
    seconds, busy = take_turns(ways, args.rounds)
    medians = {name: np.median(values) for name, values in seconds.items()}

    def cores(name: str) -> list[str]:
        own, ours = np.median(busy[name]), np.median(busy[ANSWER])
        times = f"{medians[name] / medians[ANSWER]:.2f}"
        return [times, f"{1000 * own:.1f}", f"{own / ours:.2f}"]

    rows = [
        [name, *spread(values, 1000), *cores(name)] for name, values in seconds.items()
    ]
    head = ["way", "ms, median", "10-90 %", "times `predict`"]
    print(table([*head, "ms of all cores", "times `predict`"], rows))
    print("\nWhere `predict` spends its time:\n")
    print(table(["stage", "ms, median", "10-90 %"], profile(classifier, files)))


if __name__ == "__main__":
    main()
