"""Trained network -> the bundle that is served: one ONNX graph and bundle.json.

The graph is written out by hand, node by node, because it computes more than the Keras
network does: logits, both labels' Grad-CAM maps and the embedding in one run.
"""

import hashlib
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from . import data, evaluate, gradcam, network, train
from .classifier import (
    BUNDLE_FORMAT,
    LABELS,
    Classifier,
    load_classifier,
    phantoms,
    predict,
    softmax,
)
from .image import IMAGE_SIZE

OPSET = 17
CALIBRATION_IMAGES = 128
CALIBRATION_VIEWS = 4
LEAST_AGREEMENT = 0.99

LICENCE = {
    "code and trained weights": "MIT",
    "training images": "Kermany, Zhang, Goldbaum 2018, doi 10.17632/rscbjbr9sj, CC BY 4.0",
    "starting weights": "VGG19, Simonyan and Zisserman 2014, CC BY 4.0",
}


class ExportError(RuntimeError):
    """The run can't become a bundle; says what differs."""


class _Graph:
    """Nodes and constants of an ONNX graph under construction; names are outputs."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name: str, values) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, kind: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=output, **attributes)
        )
        return output


def build_graph(source: network.Network) -> onnx.ModelProto:
    """Write the network as a float32 ONNX graph.

    Args:
        source: a network in float32.

    Returns:
        A graph from `image` float32 (n, 128, 128, 1) in [0, 1] to `logits` (n, 2), `maps`
        (n, 2, 8, 8) in [0, 1] and `embedding` (n, 512), as in `Classifier.run`.
    """
    graph = _Graph()
    feature_map, side, channels = _add_features(graph, source.features)
    graph.add("ReduceMean", [feature_map], "embedding", axes=[2, 3], keepdims=0)
    _add_head(graph, source.head, feature_map, side, channels)
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])
        for name, shape in (
            ("image", [IMAGE_SIZE, IMAGE_SIZE, 1]),
            ("logits", [len(LABELS)]),
            ("maps", [len(LABELS), side, side]),
            ("embedding", [channels]),
        )
    ]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, "pneumonia", values[:1], values[1:], graph.constants
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="pneumonia",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _add_features(graph: _Graph, features: keras.Model) -> tuple[str, int, int]:
    """Add the convolutions; return their output's name, side and channels."""
    shape = graph.constant("planes", np.array([-1, 1, IMAGE_SIZE, IMAGE_SIZE]))
    x = graph.add("Reshape", ["image", shape], "grey")  # (n, 1, 128, 128)
    for layer in features.layers:
        if isinstance(layer, network.Standardize):
            x = _add_standardize(graph, x)
        elif isinstance(layer, keras.layers.Conv2D):
            kernel, bias = (np.asarray(w, np.float32) for w in layer.get_weights())
            kernel = kernel.transpose(3, 2, 0, 1)  # (out, in, 3, 3)
            if layer.name == "block1_conv1":  # its three inputs are one grey picture
                kernel = kernel.sum(axis=1, keepdims=True)
            weights = [
                graph.constant(f"{layer.name}.kernel", kernel),
                graph.constant(f"{layer.name}.bias", bias),
            ]
            x = graph.add("Conv", [x, *weights], f"{layer.name}.sum", pads=[1] * 4)
            x = graph.add("Relu", [x], layer.name)
        elif isinstance(layer, keras.layers.MaxPooling2D):
            x = graph.add(
                "MaxPool", [x], layer.name, kernel_shape=[2, 2], strides=[2, 2]
            )
    _, side, _, channels = features.output_shape
    return x, side, channels


def _add_standardize(graph: _Graph, x: str) -> str:
    axes = {"axes": [1, 2, 3], "keepdims": 1}
    mean = graph.add("ReduceMean", [x], "mean", **axes)
    centred = graph.add("Sub", [x, mean], "centred")
    square = graph.add("Mul", [centred, centred], "square")
    variance = graph.add("ReduceMean", [square], "variance", **axes)
    spread = graph.add("Sqrt", [variance], "spread")
    floor = graph.constant("least_spread", np.float32(1e-3))
    spread = graph.add("Max", [spread, floor], "safe_spread")
    unit = graph.add("Div", [centred, spread], "unit")
    factor = graph.constant("pixel_spread", np.float32(network.PIXEL_SPREAD))
    return graph.add("Mul", [unit, factor], "standardized")


def _add_head(
    graph: _Graph, head: keras.Model, feature_map: str, side: int, channels: int
) -> None:
    """Add logits and maps; the arithmetic of the maps is that of `gradcam.heat_maps`."""
    *hidden, last = gradcam.dense_layers(head)
    x = graph.add("MaxPool", [feature_map], "pool", kernel_shape=[2, 2], strides=[2, 2])
    x = graph.add("Flatten", [x], "flatten")  # channels first, unlike Keras
    zero = graph.constant("zero", np.float32(0))
    kernels, switched_on = [], []
    for layer in [*hidden, last]:
        kernel, bias = (np.asarray(w, np.float32) for w in layer.get_weights())
        kernels.append(kernel)
        if layer is hidden[0]:
            grid = kernel.reshape(side // 2, side // 2, channels, -1)
            kernel = grid.transpose(2, 0, 1, 3).reshape(kernel.shape)
        name = "logits" if layer is last else f"{layer.name}.sum"
        weights = [
            graph.constant(f"{layer.name}.kernel", kernel),
            graph.constant(f"{layer.name}.bias", bias),
        ]
        x = graph.add("Gemm", [x, *weights], name)
        if layer is not last:
            x = graph.add("Relu", [x], layer.name)
            on = graph.add("Greater", [x, zero], f"{layer.name}.on")
            on = graph.add("Cast", [on], f"{layer.name}.mask", to=TensorProto.FLOAT)
            axis = graph.constant(f"{layer.name}.axis", np.array([1]))
            switched_on.append(graph.add("Unsqueeze", [on, axis], f"{layer.name}.gate"))

    back = [gradcam.position_sum(head), *kernels[1:-1]]
    gradient = graph.constant("logits.gradient", kernels[-1].T[None])
    for number in reversed(range(len(hidden))):
        name = hidden[number].name
        gradient = graph.add("Mul", [gradient, switched_on[number]], f"{name}.gradient")
        matrix = graph.constant(f"{name}.transposed", back[number].T.copy())
        gradient = graph.add("MatMul", [gradient, matrix], f"{name}.passed")
    # gradient is alpha now, (n, 2, channels)
    flat = graph.constant("flat", np.array([0, channels, side * side]))
    positions = graph.add("Reshape", [feature_map, flat], "positions")
    raw = graph.add("MatMul", [gradient, positions], "weighted")  # (n, 2, 64)
    positive = graph.add("Relu", [raw], "positive")
    peak = graph.add("ReduceMax", [positive], "peak", axes=[2], keepdims=1)
    tiny = graph.constant("tiny", np.float32(keras.config.epsilon() ** 2))
    peak = graph.add("Max", [peak, tiny], "safe_peak")
    scaled = graph.add("Div", [positive, peak], "scaled")
    grid = graph.constant("grid", np.array([0, len(LABELS), side, side]))
    graph.add("Reshape", [scaled, grid], "maps")


def quantise(model: onnx.ModelProto, calibration: np.ndarray) -> onnx.ModelProto:
    """Turn the convolutions into int8, the rest stays float32.

    Weights per output channel, activations by their extremes over the calibration images.
    Weights use seven of their eight bits: the byte products of processors without VNNI
    would saturate otherwise, and the same bundle must answer alike everywhere.

    Args:
        model: from `build_graph`.
        calibration: float32 (n, 128, 128, 1) in [0, 1], training images.

    Returns:
        The quantised graph.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.batches = iter(calibration[:, None])

        def get_next(self):
            image = next(self.batches, None)
            return None if image is None else {"image": image}

    with tempfile.TemporaryDirectory() as folder:
        prepared, result = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        quant_pre_process(model, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            result,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MaxPool"],
            nodes_to_exclude=["pool"],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(result)


def run_graph(model: onnx.ModelProto, inputs: np.ndarray) -> tuple[np.ndarray, ...]:
    """Run a graph on float32 (n, 128, 128, 1); logits, maps, embedding in batches."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    parts = [
        session.run(None, {"image": inputs[start : start + evaluate.BATCH]})
        for start in range(0, len(inputs), evaluate.BATCH)
    ]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def export(
    run: str | Path, out: str | Path, source: str | Path | None = None
) -> Classifier:
    """Write a run's best network as a bundle.

    Temperature, threshold and uncertain band are chosen on the validation patients of the
    run's data set, each seen as it is and changed as in training: on the clean images
    alone nearly every threshold looks equally good.

    Args:
        run: folder that `train.train` wrote.
        out: the bundle's folder.
        source: the run's data set, where it does not lie any more where it lay.

    Returns:
        The bundle, loaded and checked.

    Raises:
        ExportError: `run` is no finished run, or int8 and Keras disagree on more than 1 %
            of the validation labels. Nothing is written then.
        data.DataError: the data set is not there.
    """
    run, out = Path(run), Path(out)
    try:
        record = json.loads((run / "run.json").read_text())
        trained = network.load(run / "best.weights.h5", **record["network"])
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{run} holds no trained network ({error}). Expected the folder that "
            "`python -m pneumonia train DIR --out RUN` wrote."
        ) from error
    training, validation = data.split(data.load(source or record["source"]))

    full = build_graph(trained)
    chosen = _spread_over_classes(training.labels, CALIBRATION_IMAGES)
    small = quantise(full, data.as_input(training.images[chosen]))

    augmentation = record["settings"]["augmentation"]
    clean = validation.inputs()
    copies = train.changed_copies(clean, augmentation, CALIBRATION_VIEWS, seed=1)
    views = [run_graph(small, view)[0] for view in (clean, *copies)]
    logits = np.concatenate(views)
    labels = np.tile(validation.labels, len(views))
    temperature = evaluate.fit_temperature(logits, labels)
    p = softmax(logits, temperature)[:, 1]
    threshold = evaluate.choose_threshold(labels, p)
    band = evaluate.choose_uncertain_band(labels, p, threshold)

    fidelity = _compare(trained, small, clean, temperature, threshold)
    if fidelity["label_agreement"] < LEAST_AGREEMENT:
        raise ExportError(
            f"int8 and Keras agree on {fidelity['label_agreement']:.1%} of the validation "
            f"labels; expected at least {LEAST_AGREEMENT:.0%}. Nothing was written."
        )
    clean_p = softmax(views[0], temperature)[:, 1]
    weights = small.SerializeToString()
    facts = {
        "format": BUNDLE_FORMAT,
        "labels": list(LABELS),
        "image_size": IMAGE_SIZE,
        "temperature": temperature,
        "threshold": threshold,
        "uncertain_band": band.pop("band"),
        "uncertain_band_measured": band,
        "weights": {
            "file": "classifier.onnx",
            "bytes": len(weights),
            "sha256": hashlib.sha256(weights).hexdigest(),
        },
        "validation": {
            "images": len(clean),
            "patients": len(set(validation.groups)),
            "clean": evaluate.measure(
                validation.labels, clean_p, validation.groups, threshold
            ),
            "clean_and_changed": evaluate.measure(
                labels, p, np.tile(validation.groups, len(views)), threshold
            ),
        },
        "int8_against_keras": fidelity,
        "training": record,
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "licence": LICENCE,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "classifier.onnx").write_bytes(weights)
    _write_facts(out, facts)
    facts["selftest"] = _answer_phantoms(load_classifier(out))
    _write_facts(out, facts)
    return load_classifier(out)


def _write_facts(out: Path, facts: dict) -> None:
    (out / "bundle.json").write_text(json.dumps(facts, indent=2) + "\n")


def _spread_over_classes(labels: np.ndarray, count: int) -> np.ndarray:
    """Return `count` indices, both classes equally, always the same."""
    rng = np.random.default_rng(0)
    return np.concatenate(
        [
            rng.permutation(np.flatnonzero(labels == label))[: count // len(LABELS)]
            for label in range(len(LABELS))
        ]
    )


def _compare(trained, small, images, temperature, threshold) -> dict:
    """Compare the quantised graph with Keras on images, both as they would answer."""
    parts = [
        gradcam.explain(trained, images[start : start + evaluate.BATCH])
        for start in range(0, len(images), evaluate.BATCH)
    ]
    logits, maps = (np.concatenate(part) for part in zip(*parts, strict=True))
    small_logits, small_maps, _ = run_graph(small, images)
    p = softmax(logits, temperature)[:, 1]
    small_p = softmax(small_logits, temperature)[:, 1]
    alike = (p >= threshold) == (small_p >= threshold)
    shown = (p >= threshold).astype(int)
    rows = np.arange(len(images))
    correlations = [
        float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
        for a, b in zip(maps[rows, shown], small_maps[rows, shown], strict=True)
        if a.std() > 0 and b.std() > 0
    ]
    return {
        "label_agreement": float(alike.mean()),
        "largest_probability_change": float(np.abs(p - small_p).max()),
        "mean_map_correlation": float(np.mean(correlations)),
        "least_map_correlation": float(np.min(correlations)),
    }


def _answer_phantoms(classifier: Classifier) -> dict:
    """Return the probability of pneumonia for each shipped phantom, by file name."""
    return {
        path.name: predict(classifier, path.read_bytes()).probabilities["Pneumonia"]
        for path in phantoms()
    }
