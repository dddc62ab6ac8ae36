"""Three checks of the heat maps, which lie over what the network was shown.

`look`: do they lie on the lungs?

`randomised_heads`: does the head shape them? Its weights are shuffled (Adebayo et al.,
"Sanity Checks for Saliency Maps", NeurIPS 2018). A map that looks the same when the
layers behind it know nothing shows edges and no evidence.

`cover_hottest`: do they show what the answers rest on? A deletion test (Petsiuk et al.,
BMVC 2018) with two controls. If a map shows the evidence in its own image, covering its
hottest part costs the answer more than covering the same outline elsewhere, and more
than covering what another image's map calls hottest.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from keras import Model, models, ops
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

from ..contract import IMAGE_SIZE, LABELS
from ..data import folder
from ..evaluation import evaluate
from ..figures import intervals
from ..network import heatmaps
from ..network.vgg19 import Network
from ..outputs import Outputs
from ..serving import zones
from ..serving.classifier import Classifier
from ..serving.overlay import by_method, enlarge

HEAD_DRAWS = 10  # how often the head is shuffled anew at each level
CONTROL_DRAWS = 2  # how often each control is drawn anew
AREA = 0.2  # share of the crop that is covered; less where the map is warm in less
_BLUR = 12  # pixels: takes detail away and leaves the brightness

COVERED = ("own", "another", "elsewhere")
"""What is covered: the hottest part of the image's own map. And two controls: that of
another image's map, of the same answer; the same outline at a random place."""

Ask = Callable[[np.ndarray], np.ndarray]
"""What a network is shown, as from `Framed.shown` -> logits float32 (n, 2)."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a bundle answered to a data set.

    Attributes:
        classifier: the bundle.
        dataset: n images that the network did not learn from.
        outputs: of the graph, for all of them.
    """

    classifier: Classifier
    dataset: folder.Dataset
    outputs: Outputs

    @classmethod
    def to(cls, dataset: folder.Dataset, classifier: Classifier) -> "Answers":
        """Ask a bundle about a data set."""
        outputs = evaluate.run_all(classifier, dataset.images, progress=False)
        return cls(classifier, dataset, outputs)

    def subset(self, chosen: np.ndarray) -> "Answers":
        """Return those at some places, int (k,), alone."""
        outputs = Outputs(*(of[chosen] for of in self.outputs))
        return Answers(self.classifier, self.dataset.subset(chosen), outputs)

    @property
    def given(self) -> np.ndarray:
        """The label of each answer, int (n,)."""
        return _given(self.classifier, self.outputs.logits)

    def shown_maps(self, method: str) -> np.ndarray:
        """Return the map of each answer, the one that users see.

        Args:
            method: one of METHODS.

        Returns:
            float32 (n, 8, 8) in [0, 1], over `outputs.box`.
        """
        return _pick(self.outputs.maps, self.outputs.evidence, method, self.given)


def _given(classifier: Classifier, logits: np.ndarray) -> np.ndarray:
    return (classifier.p_pneumonia(logits) >= classifier.threshold).astype(int)


def _pick(maps, evidence, method: str, given: np.ndarray) -> np.ndarray:
    drawn = by_method(maps, evidence)[method]
    return drawn[np.arange(len(given)), given]


def look(answers: Answers, method: str, lungs: np.ndarray) -> tuple[dict, np.ndarray]:
    """Measure where the heat maps lie, for each true label.

    Args:
        answers: of a bundle.
        method: one of METHODS.
        lungs: float32 (n, H, W) in [0, 1], masks over the whole pictures.

    Returns:
        For each label `n`, `empty` (images whose map is zero everywhere), `share`, the
        mean share of the map's mass on the lungs, and `even`, what it would be of a map
        that is the same everywhere; both with `ci95` over patients, None where every
        map is empty. And the mean map of each label, float (2, 8, 8).
    """
    maps, groups = answers.shown_maps(method), answers.dataset.groups
    shares = on_lungs(maps, lungs, answers.outputs.box)
    even = on_lungs(np.ones_like(maps), lungs, answers.outputs.box)
    found, means = {}, []
    for index, label in enumerate(LABELS):
        own = answers.dataset.labels == index
        some = own & np.isfinite(shares)
        found[label] = {
            "n": int(own.sum()),
            "empty": int((own & ~some).sum()),
            "share": intervals.mean(shares[some], groups[some]),
            "even": intervals.mean(even[some], groups[some]),
        }
        means.append(maps[own].mean(axis=0))
    return found, np.stack(means)


def on_lungs(maps: np.ndarray, lungs: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Measure what share of each map's mass lies on the lungs.

    Args:
        maps: float (n, h, w), not negative.
        lungs: float32 (n, H, W) in [0, 1], masks over the whole pictures.
        places: float32 (n, 4), what the maps lie over.

    Returns:
        float64 (n,) in [0, 1]; nan for a map that is zero everywhere.
    """
    found = [zones.shares(*each) for each in zip(maps, lungs, places, strict=True)]
    return np.array(
        [
            sum(inside.values()) if heat.any() else np.nan
            for heat, (inside, _) in zip(maps, found, strict=True)
        ]
    )


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
    given = _given(classifier, ops.convert_to_numpy(network.head(feature_maps)))

    def maps_of(head: Model) -> np.ndarray:
        drawn = (
            ops.convert_to_numpy(draw(feature_maps, head))
            for draw in (heatmaps.heat_maps, heatmaps.evidence)
        )
        return _pick(*drawn, method, given)

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


def cover_hottest(answers: Answers, shown: np.ndarray, ask: Ask, method: str) -> dict:
    """Measure what the hottest part of each map is to the answer that it explains.

    What the network is shown is changed, so that the crop stays where it is.

    Args:
        answers: of a bundle.
        shown: float32 (n, 128, 128, 1) in [0, 1], what its network was shown; or with
            the mask of the lungs as a second channel, which stays as it is.
        ask: that network.
        method: one of METHODS.

    Returns:
        `area`, and by answer, one of LABELS, the images `n` with a map and how much of
        the answer's calibrated log-odds is lost, on average with `ci95` over patients,
        for each of `COVERED`; and `more_than`: `own` less each control. None for an
        answer with fewer than two maps.
    """
    given, maps = answers.given, answers.shown_maps(method)
    groups, classifier = answers.dataset.groups, answers.classifier
    blurred = shown.copy()
    blurred[..., :1] = gaussian_filter(shown[..., :1], (0, _BLUR, _BLUR, 0))
    hottest = np.stack([_hottest(heat) for heat in maps])
    has_map = hottest.any(axis=(1, 2))
    of_answer = [has_map & (given == index) for index in range(len(LABELS))]
    before = _log_odds(classifier.probabilities(answers.outputs.logits))

    def lost(covered: np.ndarray) -> np.ndarray:
        changed = np.where(covered[..., None], blurred, shown)
        after = _log_odds(classifier.probabilities(ask(changed)))
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
        return intervals.mean(loss[some], groups[some])

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
