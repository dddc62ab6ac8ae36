"""One answer, from the file's bytes to the heat map on the X-ray, against other ways.

    python -m pip install -r benchmarks/requirements.txt
    python benchmarks/serving.py DIR [--images 12] [--rounds 24] [--plots FOLDER]
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
import onnxruntime
import peers
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
PEER = "torchxrayvision, DenseNet-121 at 224, answer alone"
USUAL = "Keras `predict`, gradient tape, matplotlib"


def answer(classifier: serving.Classifier, file: bytes) -> np.ndarray:
    """Answer one file, whatever the gate says, and draw the overlay."""
    return predict(classifier, file, anyway=True).overlay


def find_lungs() -> Callable[[np.ndarray], object]:
    """Return a run of the graph that ships, up to the lungs and their box."""
    whole = onnx.load(BUNDLE / "classifier.onnx")
    part = onnx.utils.Extractor(whole).extract_model(["image"], ["lungs", "box"])
    return peers.onnx_run(part)


def work(model: onnx.ModelProto) -> float:
    """Return the multiplications and additions of the convolutions, in 1e9."""
    shapes = onnx.shape_inference.infer_shapes(model).graph.value_info
    side = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in shapes}
    kernels = {c.name: list(c.dims) for c in model.graph.initializer}
    return (
        sum(
            2 * np.prod(kernels[node.input[1]]) * np.prod(side[node.output[0]][2:])
            for node in model.graph.node
            if node.op_type == "Conv"
        )
        / 1e9
    )


def peak_int8() -> Callable[[int], object]:
    """Return 1.07e9 int8 multiplications and additions by ONNX Runtime, on bytes."""
    from onnx import TensorProto, helper, numpy_helper

    side, rng = 512, np.random.default_rng(0)
    right = rng.integers(-64, 64, (side, side), dtype=np.int8)
    zero = numpy_helper.from_array(np.uint8(0), "zero")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["left", "right", "zero"], ["out"])],
        "peak",
        [helper.make_tensor_value_info("left", TensorProto.UINT8, [4 * side, side])],
        [helper.make_tensor_value_info("out", TensorProto.INT32, [4 * side, side])],
        [numpy_helper.from_array(right, "right"), zero],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    left = rng.integers(0, 255, (4 * side, side), dtype=np.uint8)
    return lambda _: session.run(None, {"left": left})


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


def plot_size_and_batch(classifier: serving.Classifier, file: bytes, out: Path) -> None:
    """Draw what an answer costs by the picture's size and by the batch."""
    xray = Image.open(io.BytesIO(file)).convert("L")
    sides = [256, 512, 1024, 1536, 2048, 3072, 4096]
    kinds = {"JPEG": [], "PNG": []}
    for side in sides:
        for kind, medians in kinds.items():
            encoded = io.BytesIO()
            xray.resize((side, side)).save(encoded, kind)
            data = encoded.getvalue()
            way = {"": lambda _, data=data: answer(classifier, data)}
            medians.append(1000 * np.median(take_turns(way, 7)[0][""]))
    image = to_input(np.asarray(xray))
    batches = [1, 2, 4, 8, 16, 32]
    each = [
        1000
        / size
        * np.median(
            take_turns(
                {"": lambda _, n=size: classifier.run(np.repeat(image, n, 0))}, 5
            )[0][""]
        )
        for size in batches
    ]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for kind, medians in kinds.items():
        left.plot(sides, medians, "o-", label=kind)
    left.set(xlabel="side of the picture, pixels", ylabel="ms an answer", ylim=0)
    left.legend()
    right.plot(batches, each, "o-")
    right.set(xlabel="images in one run", ylabel="ms an image, network", ylim=0)
    right.set_xscale("log", base=2)
    figure.savefig(out / "size-and-batch.png", dpi=100)
    plt.close(figure)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="DIR")
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--plots", type=Path, metavar="FOLDER")
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
    usual, float32 = peers.usual_way(network), peers.onnx_run(graph)
    bare = tf.function(network.classifier, jit_compile=False)
    inputs = [to_input(read_picture(data).pixels) for data in files]
    places = framing.WHOLE[None]
    tensors = [tf.constant(framing.crop(image, places)) for image in inputs]
    vino, xrv = peers.openvino_run(), peers.torchxrayvision_way()
    lungs, peak = find_lungs(), peak_int8()
    zeroed = peers.zero_point_run()

    def of(items: list, call: Callable) -> Callable[[int], object]:
        return lambda number: call(items[number % len(items)])

    ways = {
        USUAL: of(files, usual),
        ANSWER: of(files, partial(answer, classifier)),
        "bare TensorFlow float32 (compiled), forward": of(tensors, bare),
        "bare ONNX Runtime float32": of(inputs, float32),
        "bare ONNX Runtime int8": of(inputs, classifier.run),
        "the same, a zero point of the weights not 0": of(inputs, zeroed),
        "of the int8 run, finding the lungs": of(inputs, lungs),
    }
    if xrv:
        ways[PEER] = of(files, xrv)
    if vino:
        ways["bare OpenVINO int8"] = of(inputs, vino)
    seconds, busy = take_turns(ways, args.rounds)
    giga = work(graph)
    operations = 2 * 2048 * 512 * 512 / 1e9
    best = np.median(take_turns({"": peak}, 50)[0][""])
    floor = giga / (operations / best)
    medians = {name: np.median(values) for name, values in seconds.items()}

    def cores(name: str) -> list[str]:
        if name == PEER:  # its cores are those of another process
            return ["", ""]
        own, ours = np.median(busy[name]), np.median(busy[ANSWER])
        return [f"{1000 * own:.1f}", f"{own / ours:.2f}"]

    rows = [
        [
            name,
            *spread(values, 1000),
            f"{medians[name] / medians[ANSWER]:.2f}",
            *cores(name),
        ]
        for name, values in seconds.items()
    ]
    rows.append(
        [
            f"floor: {giga:.1f} G operations at {operations / best:.0f} G/s (int8 "
            "matrix product)",
            f"{floor * 1000:.1f}",
            "",
            f"{floor / medians[ANSWER]:.2f}",
            "",
            "",
        ]
    )
    head = ["way", "ms, median", "10-90 %", "times `predict`"]
    print(table([*head, "ms of all cores", "times `predict`"], rows))
    print("\nWhere `predict` spends its time:\n")
    print(table(["stage", "ms, median", "10-90 %"], profile(classifier, files)))
    if args.plots:
        args.plots.mkdir(parents=True, exist_ok=True)
        plot_size_and_batch(classifier, files[0], args.plots)


if __name__ == "__main__":
    main()
