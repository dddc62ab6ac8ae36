"""What the heat maps rest on: do they lie on the lungs, does the network shape them."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnx.utils
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from ..contract import LABELS, METHODS
from ..data import folder
from ..data.regions import lung_box
from ..evaluation import evaluate
from ..evaluation.metrics import mean_with_interval
from ..network import graph
from ..serving.classifier import Classifier
from ..serving.overlay import split_evidence

DRAWS = 10
"""How often the head is randomised anew at each level."""
POOL = 2
"""Side of the max-pool between feature map and head, as in `vgg19.build`."""


def answers(classifier: Classifier, logits: np.ndarray) -> np.ndarray:
    """Return the index of each answer, int (n,), for logits (n, 2)."""
    p = classifier.probabilities(logits)[:, 1]
    return (p >= classifier.threshold).astype(int)


def shown_maps(
    classifier: Classifier, logits: np.ndarray, maps: np.ndarray
) -> np.ndarray:
    """Pick the map of each image's answer, the one that users see.

    Args:
        classifier: what answered.
        logits: float32 (n, 2).
        maps: float32 (n, 2, 8, 8).

    Returns:
        float32 (n, 8, 8) in [0, 1].
    """
    return maps[np.arange(len(maps)), answers(classifier, logits)]


def run_with_maps(
    classifier: Classifier, images: np.ndarray, method: str
) -> tuple[np.ndarray, np.ndarray]:
    """Run a bundle on images for its heat maps.

    Args:
        classifier: from `load_classifier`.
        images: uint8 (n, 128, 128, 1).
        method: one of `classifier.methods`.

    Returns:
        logits float32 (n, 2) and maps float32 (n, 2, 8, 8) in [0, 1].
    """
    logits, *found = evaluate.run_all(classifier, images, progress=False)
    return logits, _maps_by(method, found)


def _maps_by(method: str, found: Sequence[np.ndarray]) -> np.ndarray:
    """Return the maps (n, 2, 8, 8) of a method, from maps to evidence in `found`."""
    return found[0] if method == METHODS[0] else split_evidence(found[-1])


def inside_lung_box(maps: np.ndarray) -> np.ndarray:
    """Measure what share of each map's mass lies inside `regions.LUNG_BOX`.

    Args:
        maps: float (n, h, h), not negative.

    Returns:
        float64 (n,) in [0, 1]; nan for a map that is zero everywhere.
    """
    mass = maps.sum(axis=(1, 2), dtype=np.float64)
    inside = (maps * lung_box(maps.shape[1])).sum(axis=(1, 2))
    return np.divide(inside, mass, out=np.full(len(maps), np.nan), where=mass > 0)


def look(
    classifier: Classifier, dataset: folder.Dataset, method: str = METHODS[0]
) -> tuple[dict, np.ndarray]:
    """Measure where the heat maps lie, for each true label.

    Args:
        classifier: from `load_classifier`.
        dataset: images that the network did not learn from.
        method: one of `classifier.methods`.

    Returns:
        For each label `n`, `empty` (images whose map is zero everywhere) and `share`,
        the mean share of the map's mass inside `regions.LUNG_BOX` with `ci95` over
        patients, None where every map is empty. And the mean map of each label, float
        (2, 8, 8).
    """
    logits, maps = run_with_maps(classifier, dataset.images, method)
    shown = shown_maps(classifier, logits, maps)
    shares = inside_lung_box(shown)
    found, means = {}, []
    for index, label in enumerate(LABELS):
        own = dataset.labels == index
        some = own & np.isfinite(shares)
        found[label] = {
            "n": int(own.sum()),
            "empty": int((own & ~some).sum()),
            "share": mean_with_interval(shares[some], dataset.groups[some]),
        }
        means.append(shown[own].mean(axis=0))
    return found, np.stack(means)


def split_graph(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Cut a bundle's graph into its two halves.

    Args:
        model: from `graph.build_graph` or `int8.quantise`.

    Returns:
        `image` -> feature map, and feature map -> `logits`, `maps` and, where the graph
        has it, `evidence`.
    """
    feature_map = next(n.input[0] for n in model.graph.node if n.name == "pool")
    known = onnx.ModelProto()
    known.CopyFrom(model)
    known.graph.value_info.append(
        helper.make_tensor_value_info(feature_map, TensorProto.FLOAT, ["n", *"chw"])
    )
    cut = onnx.utils.Extractor(known).extract_model
    outputs = [o.name for o in model.graph.output if o.name != "embedding"]
    return cut(["image"], [feature_map]), cut([feature_map], outputs)


def head_layers(head: onnx.ModelProto) -> list[str]:
    """Return the fully connected layers of a graph by name, from map to logits."""
    biases = [node.input[2:] for node in head.graph.node if node.op_type == "Gemm"]
    return [bias.removesuffix(".bias") for some in biases for bias in some]


def randomise_head(
    head: onnx.ModelProto, layers: Sequence[str], rng: np.random.Generator
) -> onnx.ModelProto:
    """Shuffle the weights of some layers of the head, for logits and maps alike.

    Each matrix keeps its numbers and loses their order, so that its scale stays.

    Args:
        head: a graph that holds the head, such as the second of `split_graph`.
        layers: names from `head_layers`.
        rng: source of the order.

    Returns:
        Another graph; `head` is left as it is.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(head)
    constants = {constant.name: constant for constant in changed.graph.initializer}

    def write(name: str, values: np.ndarray) -> None:
        values = np.ascontiguousarray(values, np.float32)
        constants[name].CopyFrom(numpy_helper.from_array(values, name))

    for layer in layers:
        for name in (f"{layer}.kernel", f"{layer}.bias"):
            values = numpy_helper.to_array(constants[name])
            write(name, rng.permutation(values.ravel()).reshape(values.shape))
        # The maps use the same matrix once more, backwards (see `graph.build_graph`).
        kernel = numpy_helper.to_array(constants[f"{layer}.kernel"])  # (inputs, units)
        if f"{layer}.gradient" in constants:  # the last layer
            write(f"{layer}.gradient", kernel.T[None])
        elif layer == head_layers(head)[0]:  # summed over its positions
            units, channels = constants[f"{layer}.transposed"].dims
            by_position = kernel.reshape(channels, -1, units)
            cells = POOL**2 * by_position.shape[1]
            write(f"{layer}.transposed", by_position.sum(axis=1).T / cells)
        else:
            write(f"{layer}.transposed", kernel.T)
    return changed


def rank_correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Correlate pairs of maps by rank (Spearman).

    Args:
        one: float (n, h, w).
        other: float (n, h, w).

    Returns:
        float64 (n,) in [-1, 1]; nan where one of the two maps is flat.
    """
    from scipy.stats import rankdata

    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (one, other)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    spread = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    both = (a * b).sum(axis=1)
    return np.divide(both, spread, out=np.full(len(a), np.nan), where=spread > 0)


def randomised_heads(
    classifier: Classifier,
    model: onnx.ModelProto,
    images: np.ndarray,
    method: str = METHODS[0],
) -> dict:
    """Compare heat maps with those of the same network with a random head.

    The cascading randomisation of Adebayo et al., "Sanity Checks for Saliency Maps",
    NeurIPS 2018: a map that looks the same when the layers behind it know nothing shows
    edges and no evidence.

    Args:
        classifier: the bundle.
        model: the bundle's graph.
        images: uint8 (n, 128, 128, 1).
        method: one of `classifier.methods`.

    Returns:
        `n`; `another_image`, the mean rank correlation of maps of different images that
        were answered alike: what maps have in common that are about something else; and
        `levels`, from the last layer to the whole head: `layers`, `correlation` with
        the true map of the same image and label (mean over images and draws), `draws`,
        its mean for each draw, and `empty`, the share of maps that vanish; these have
        no correlation. None where no map is left to compare.
    """
    features, head = split_graph(model)
    (feature_maps,) = _run(features, folder.as_input(images))

    def draw(head: onnx.ModelProto) -> tuple[np.ndarray, np.ndarray]:
        logits, *found = _run(head, feature_maps)
        return logits, _maps_by(method, found)

    logits, maps = draw(head)
    given = answers(classifier, logits)
    pick = np.arange(len(maps)), given
    true = maps[pick]
    layers, levels = head_layers(head), []
    for count in range(1, len(layers) + 1):
        draws, empty = [], []
        for number in range(DRAWS):
            rng = np.random.default_rng((count, number))
            random_head = randomise_head(head, layers[-count:], rng)
            random = draw(random_head)[1][pick]
            draws.append(rank_correlations(true, random))
            empty.append((random.max(axis=(1, 2)) == 0).mean())
        levels.append(
            {
                "layers": layers[-count:],
                "correlation": _mean(np.concatenate(draws)),
                "draws": [_mean(draw) for draw in draws],
                "empty": float(np.mean(empty)),
            }
        )
    neighbours = [
        rank_correlations(alike, np.roll(alike, 1, axis=0))
        for alike in (true[given == 1], true[given == 0])
        if len(alike) > 1
    ]
    return {
        "n": len(images),
        "another_image": _mean(np.concatenate(neighbours)) if neighbours else None,
        "levels": levels,
    }


def _run(model: onnx.ModelProto, inputs: np.ndarray) -> tuple[np.ndarray, ...]:
    """Run a graph of one input on (n, ...) in batches."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return graph.in_batches(lambda batch: session.run(None, {name: batch}), inputs)


def _mean(values: np.ndarray) -> float | None:
    """Return the mean of what is a number, None if nothing is."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
