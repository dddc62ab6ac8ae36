"""Do the heat maps show what the answers rest on: cover the hottest part, ask again.

A deletion test (Petsiuk et al., BMVC 2018), in one step and with two controls. If a map
tells where the evidence of its own image is, covering its hottest part costs the answer
more than covering the same outline elsewhere, and more than covering what another
image's map calls hottest, which knows where lungs lie, too, and nothing of this image.
"""

import numpy as np
from PIL import Image, ImageFilter

from ..contract import LABELS, METHODS
from ..data import folder
from ..evaluation import evaluate
from ..evaluation.metrics import mean_with_interval
from ..serving.classifier import Classifier
from ..serving.overlay import enlarge
from .map_checks import answers, run_with_maps, shown_maps

AREA = 0.2
"""Share of the picture that is covered; less where the map is warm in less."""
DRAWS = 3
"""How often each control is drawn anew."""

CONTROLS = {
    "another": "what another image's map calls hottest, of the same answer",
    "elsewhere": "the same outline at a random place",
}

_BLUR = 12  # pixels of 128: takes detail away and leaves the brightness
_LEAST = 1e-12


def cover_hottest(
    classifier: Classifier, dataset: folder.Dataset, method: str = METHODS[0]
) -> dict:
    """Measure what the hottest part of each map is to the answer that it explains.

    Args:
        classifier: from `load_classifier`.
        dataset: images that the network did not learn from.
        method: one of `classifier.methods`.

    Returns:
        `area`, and by answer, one of LABELS, the images `n` with a map and how much of
        the answer's calibrated log-odds is lost, on average with `ci95` over patients:
        `own` where the hottest part of the image's own map is covered, `another` and
        `elsewhere` where `CONTROLS` are, and `more_than`: `own` less each of these.
        None for an answer with fewer than two maps.
    """
    images, groups = dataset.images, dataset.groups
    logits, maps = run_with_maps(classifier, images, method)
    before, given = _log_odds(classifier, logits), answers(classifier, logits)
    smooth = np.stack([_blurred(image) for image in images])
    shown = shown_maps(classifier, logits, maps)
    hottest = np.stack([_hottest(heat, images.shape[1]) for heat in shown])
    has_map = hottest.any(axis=(1, 2))
    of_answer = [has_map & (given == index) for index in range(len(LABELS))]

    def lost(covered: np.ndarray) -> np.ndarray:
        changed = np.where(covered[..., None], smooth, images)
        logits, *_ = evaluate.run_all(classifier, changed, progress=False)
        return (before - _log_odds(classifier, logits)) * (2 * given - 1)

    own, rng = lost(hottest), np.random.default_rng(0)
    controls = {name: np.zeros(len(own)) for name in CONTROLS}
    for _ in range(DRAWS):
        others = np.arange(len(own))
        for alike in of_answer:
            order = rng.permutation(np.flatnonzero(alike))
            others[order] = np.roll(order, 1)
        controls["another"] += lost(hottest[others]) / DRAWS
        moved = [_elsewhere(covered, rng) for covered in hottest]
        controls["elsewhere"] += lost(np.stack(moved)) / DRAWS

    def mean(values: np.ndarray, some: np.ndarray) -> dict:
        return mean_with_interval(values[some], groups[some])

    return {"area": AREA} | {
        label: {
            "n": int(some.sum()),
            "own": mean(own, some),
            **{name: mean(values, some) for name, values in controls.items()},
            "more_than": {
                name: mean(own - values, some) for name, values in controls.items()
            },
        }
        if some.sum() > 1
        else None
        for label, some in zip(LABELS, of_answer, strict=True)
    }


def _hottest(heat: np.ndarray, side: int) -> np.ndarray:
    """Return bool (side, side): the hottest `AREA` of a map, less where it is zero."""
    fine = enlarge(heat, (side, side))
    edge = np.quantile(fine, 1 - AREA)
    return (fine >= edge) & (fine > 0)


def _elsewhere(covered: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move bool (h, h) by random steps; what leaves at one side enters at the other."""
    return np.roll(covered, rng.integers(0, len(covered), 2), axis=(0, 1))


def _blurred(image: np.ndarray) -> np.ndarray:
    """Return an image, uint8 (h, h, 1), without detail."""
    smooth = Image.fromarray(image[..., 0]).filter(ImageFilter.GaussianBlur(_BLUR))
    return np.asarray(smooth)[..., None]


def _log_odds(classifier: Classifier, logits: np.ndarray) -> np.ndarray:
    """Return the calibrated log-odds of pneumonia, float (n,)."""
    normal, pneumonia = np.maximum(classifier.probabilities(logits), _LEAST).T
    return np.log(pneumonia) - np.log(normal)
