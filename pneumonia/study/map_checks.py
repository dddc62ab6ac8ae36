"""Three checks of the heat maps.

`look`: do they lie on the lungs?

`randomised_heads`: does the head shape them? Its weights are shuffled (Adebayo et al.,
"Sanity Checks for Saliency Maps", NeurIPS 2018). A map that looks the same when the
layers behind it know nothing shows edges and no evidence.

`cover_hottest`: do they show what the answers rest on? A deletion test (Petsiuk et al.,
BMVC 2018) with two controls. If a map shows the evidence in its own image, covering its
hottest part costs the answer more than covering the same outline elsewhere, and more
than covering what another image's map calls hottest.
"""

import numpy as np
from keras import Model, models, ops
from PIL import Image, ImageFilter
from scipy.stats import rankdata

from ..contract import IMAGE_SIZE, LABELS, METHODS
from ..data import folder
from ..data.regions import inside_lung_box
from ..evaluation import evaluate
from ..evaluation.metrics import mean_with_interval
from ..network import heatmaps
from ..network.vgg19 import Network
from ..serving.classifier import Classifier
from ..serving.overlay import enlarge, split_evidence

HEAD_DRAWS = 10  # how often the head is shuffled anew at each level
CONTROL_DRAWS = 3  # how often each control is drawn anew
AREA = 0.2  # share of the picture that is covered; less where the map is warm in less
_BLUR = 12  # pixels: takes detail away and leaves the brightness

COVERED = ("own", "another", "elsewhere")
"""What is covered: the hottest part of the image's own map. And two controls: that of
another image's map, of the same answer; the same outline at a random place."""


def shown_maps(
    classifier: Classifier, images: np.ndarray, method: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Answer images, and pick the map of each answer: the one that users see.

    Args:
        classifier: from `load_classifier`.
        images: uint8 (n, 128, 128, 1).
        method: one of `classifier.methods`.

    Returns:
        probabilities float64 (n, 2), the index of each answer, int (n,), and the maps,
        float32 (n, 8, 8) in [0, 1].
    """
    logits, *found = evaluate.run_all(classifier, images, progress=False)
    p = classifier.probabilities(logits)
    given = (p[:, 1] >= classifier.threshold).astype(int)
    maps = found[0] if method == METHODS[0] else split_evidence(found[-1])
    return p, given, maps[np.arange(len(maps)), given]


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
    _, _, maps = shown_maps(classifier, dataset.images, method)
    shares = inside_lung_box(maps)
    found, means = {}, []
    for index, label in enumerate(LABELS):
        own = dataset.labels == index
        some = own & np.isfinite(shares)
        found[label] = {
            "n": int(own.sum()),
            "empty": int((own & ~some).sum()),
            "share": mean_with_interval(shares[some], dataset.groups[some]),
        }
        means.append(maps[own].mean(axis=0))
    return found, np.stack(means)


def shuffle_head(head: Model, count: int, rng: np.random.Generator) -> Model:
    """Return a copy of a head, the weights of its last `count` dense layers shuffled.

    Each matrix and each bias keeps its numbers and loses their order, so that its scale
    stays.
    """
    shuffled = models.clone_model(head)
    shuffled.set_weights(head.get_weights())
    layers = heatmaps.dense_layers(shuffled)
    for layer in layers[len(layers) - count :]:
        layer.set_weights([rng.permuted(weights) for weights in layer.get_weights()])
    return shuffled


def randomised_heads(
    classifier: Classifier, network: Network, feature_maps: np.ndarray, method: str
) -> dict:
    """Compare heat maps with those of the same network with a shuffled head.

    Args:
        classifier: the bundle, for its temperature and threshold.
        network: the bundle's Keras network, from `vgg19.load`.
        feature_maps: float32 (n, 8, 8, 512), what `network.features` returns.
        method: one of METHODS.

    Returns:
        `n`; `another_image`, the mean rank correlation of maps of different images that
        were answered alike: what maps have in common that are about something else; and
        `levels`, from the last layer to the whole head: `layers`, `correlation` with
        the true map of the same image and label (mean over images and draws), `draws`,
        its mean for each draw, and `empty`, the share of maps that vanish; these have
        no correlation. None where no map is left to compare.
    """
    p = classifier.p_pneumonia(ops.convert_to_numpy(network.head(feature_maps)))
    given = (p >= classifier.threshold).astype(int)

    def maps_of(head: Model) -> np.ndarray:
        draw = heatmaps.heat_maps if method == METHODS[0] else heatmaps.evidence
        drawn = ops.convert_to_numpy(draw(feature_maps, head, network.margin))
        maps = drawn if method == METHODS[0] else split_evidence(drawn)
        return maps[np.arange(len(given)), given]

    true, levels = maps_of(network.head), []
    layers = [layer.name for layer in heatmaps.dense_layers(network.head)]
    for count in range(1, len(layers) + 1):
        rngs = (np.random.default_rng((count, draw)) for draw in range(HEAD_DRAWS))
        drawn = [maps_of(shuffle_head(network.head, count, rng)) for rng in rngs]
        found = np.stack([rank_correlations(true, maps) for maps in drawn])
        levels.append(
            {
                "layers": layers[-count:],
                "correlation": _mean(found),
                "draws": [_mean(of_draw) for of_draw in found],
                "empty": float((np.max(drawn, axis=(2, 3)) == 0).mean()),
            }
        )
    pairs = [
        rank_correlations(alike, np.roll(alike, 1, axis=0))
        for alike in (true[given == index] for index in range(len(LABELS)))
        if len(alike) > 1
    ]
    return {
        "n": len(given),
        "another_image": _mean(np.concatenate([[], *pairs])),
        "levels": levels,
    }


def rank_correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Correlate pairs of maps, float (n, h, w) each, by rank (Spearman).

    Returns:
        float64 (n,) in [-1, 1]; nan where one of the two maps is flat.
    """
    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (one, other)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    spread = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    with np.errstate(invalid="ignore"):
        return (a * b).sum(axis=1) / spread


def _mean(values: np.ndarray) -> float | None:
    """Return the mean of what is a number, None if nothing is."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def cover_hottest(
    classifier: Classifier, dataset: folder.Dataset, method: str = METHODS[0]
) -> dict:
    """Measure what the hottest part of each map is to the answer that it explains.

    The arguments are those of `look`.

    Returns:
        `area`, and by answer, one of LABELS, the images `n` with a map and how much of
        the answer's calibrated log-odds is lost, on average with `ci95` over patients,
        for each of `COVERED`; and `more_than`: `own` less each control. None for an
        answer with fewer than two maps.
    """
    images = dataset.images
    p, given, maps = shown_maps(classifier, images, method)
    blur = ImageFilter.GaussianBlur(_BLUR)
    blurred = np.stack([Image.fromarray(i).filter(blur) for i in images[..., 0]])
    hottest = np.stack([_hottest(heat) for heat in maps])
    has_map = hottest.any(axis=(1, 2))
    of_answer = [has_map & (given == index) for index in range(len(LABELS))]
    before = _log_odds(p)

    def lost(covered: np.ndarray) -> np.ndarray:
        changed = np.where(covered, blurred, images[..., 0])[..., None]
        logits, *_ = evaluate.run_all(classifier, changed, progress=False)
        after = _log_odds(classifier.probabilities(logits))
        return (before - after) * (2 * given - 1)

    own, *controls = COVERED
    losses = {own: lost(hottest)} | dict.fromkeys(controls, 0.0)
    rng = np.random.default_rng(0)
    for _ in range(CONTROL_DRAWS):
        others = np.arange(len(given))
        for alike in of_answer:
            order = rng.permutation(np.flatnonzero(alike))
            others[order] = np.roll(order, 1)
        steps = rng.integers(0, IMAGE_SIZE, (len(hottest), 2))
        moved = [np.roll(hottest[i], step, (0, 1)) for i, step in enumerate(steps)]
        losses["another"] += lost(hottest[others]) / CONTROL_DRAWS
        losses["elsewhere"] += lost(np.stack(moved)) / CONTROL_DRAWS

    def mean(loss: np.ndarray, some: np.ndarray) -> dict:
        return mean_with_interval(loss[some], dataset.groups[some])

    report = {"area": AREA} | dict.fromkeys(LABELS)
    for label, some in zip(LABELS, of_answer, strict=True):
        if some.sum() > 1:
            of_label = {name: mean(loss, some) for name, loss in losses.items()}
            more = {c: mean(losses[own] - losses[c], some) for c in controls}
            report[label] = {"n": int(some.sum()), **of_label, "more_than": more}
    return report


def _hottest(heat: np.ndarray) -> np.ndarray:
    """Return bool (128, 128): the hottest `AREA` of a map, less where it is zero."""
    fine = enlarge(heat, (IMAGE_SIZE, IMAGE_SIZE))
    return (fine >= np.quantile(fine, 1 - AREA)) & (fine > 0)


def _log_odds(p: np.ndarray) -> np.ndarray:
    """Return the log-odds of pneumonia, float (n,), of probabilities (n, 2)."""
    normal, pneumonia = np.log(np.maximum(p, 1e-12)).T
    return pneumonia - normal
