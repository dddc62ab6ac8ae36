"""Fit the gate on training patients, and measure it on others.

The rules are ridge regressions on two sides of pictures. Thresholds are chosen on
scores of pictures that a rule was not fitted to (cross-fitting over patients and over
kinds of other pictures); the figures that are reported come from validation patients,
adults and kinds of pictures that had no part in either.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from ..data import phantom
from ..data.folder import Dataset, split
from ..data.patients import validation_mask
from ..serving import gate
from ..serving.classifier import load_classifier
from ..serving.gate import Gate, Neighbourhood, Rule
from ..serving.image import to_input
from . import not_chests
from .gate_rules import LET_IN, Sample, digest
from .gate_rules import fit as fit_rule

CHILDREN = 2500
"""How many training images are used at most; more change little and take long."""

PICTURES = 1200
"""How many other things are drawn, and how many pieces of photographs are cut."""

_ADULTS_HELD_OUT = 0.4
_KINDS_HELD_OUT = 0.3
_AXES = 48
_LET_ADULTS_IN = 0.98  # as chests, so that they are told what is wrong with them
_LET_WHOLE_IN = 0.99
_LET_CHANGED_IN = 0.99
_ROOM = 1.1  # how much farther than the farthest of them an embedding may lie

Embed = Callable[[np.ndarray], np.ndarray]


def fit(
    embed: Embed,
    training: Dataset,
    validation: Dataset,
    adults: Dataset | None = None,
    seed: int = 0,
) -> dict:
    """Fit the gate of a network.

    Args:
        embed: float32 (n, 128, 128, 1) in [0, 1] -> float32 (n, 512), the embedding of
            the network that is served.
        training: children whom the network learned from.
        validation: other children, for the figures alone.
        adults: X-rays from outside; None makes a gate that does not know them.
        seed: chooses the images and draws the pictures.

    Returns:
        What `bundle.json` keeps under `gate`: `gate.to_facts`, and the figures under
        `measured`.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(training.labels))[:CHILDREN])
    children = training.subset(chosen)
    seen, unseen = _split_adults(adults)
    pictures, kinds = _pictures(seed)
    held_kind = _held_out(kinds, _KINDS_HELD_OUT)
    drawn = _phantoms()

    x, patients = children.inputs(), children.groups
    grown, adult = (seen.inputs(), seen.groups) if seen else (x[:0], patients[:0])
    made = Gate(
        chest=_fit_chest(
            *(x, patients, grown, adult, drawn),
            *(pictures[~held_kind], kinds[~held_kind], rng),
        ),
        whole=_fit_whole(x, patients, rng),
        child=_fit_child(x, patients, grown, adult, drawn, rng) if seen else None,
        near=_fit_near(
            embed(x),
            embed(_changed(x[::4], rng)),
            embed(grown) if seen else None,
            embed(drawn),
        ),
    )
    figures = _measure(made, embed, validation, unseen, pictures[held_kind], rng)
    counted = {
        "training_images": len(x),
        "training_adults": len(grown),
        "kinds_learned": sorted(set(kinds[~held_kind].tolist())),
        "kinds_held_out": sorted(set(kinds[held_kind].tolist())),
    }
    return gate.to_facts(made) | {"measured": figures | counted}


def refit(bundle: Path, source: Dataset, adults: Dataset | None = None) -> dict:
    """Fit the gate of a bundle anew and write it into its bundle.json.

    Args:
        bundle: folder that `python -m pneumonia export` wrote.
        source: the data set that its network learned from, all of it.
        adults: X-rays from outside.

    Returns:
        The figures, which stand in bundle.json, too.
    """
    classifier = load_classifier(bundle)

    def embed(images: np.ndarray) -> np.ndarray:
        starts = range(0, len(images), 16)
        runs = [classifier.run(images[i : i + 16])[2] for i in starts]
        return np.concatenate([np.zeros((0, 512), np.float32), *runs])

    facts = classifier.facts | {"gate": fit(embed, *split(source), adults)}
    path = Path(bundle) / "bundle.json"
    path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts["gate"]["measured"]


def _split_adults(adults: Dataset | None) -> tuple[Dataset | None, Dataset | None]:
    if adults is None:
        return None, None
    unseen = validation_mask(adults.groups, _ADULTS_HELD_OUT)
    return adults.subset(~unseen), adults.subset(unseen)


def _pictures(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return other things as inputs (n, 128, 128, 1), and the kind of each."""
    both = not_chests.draw(PICTURES, seed), not_chests.photographs(PICTURES, seed)
    inputs = [to_input(picture) for pictures, _ in both for picture in pictures]
    return np.concatenate(inputs), np.concatenate([names for _, names in both])


def _held_out(names: np.ndarray, share: float) -> np.ndarray:
    """Choose whole kinds by a hash of their name, bool (n,)."""
    kinds = sorted(set(names), key=digest)
    return np.isin(names, kinds[: round(len(kinds) * share)])


def _phantoms() -> np.ndarray:
    """Return drawn chests: they stand for X-rays where none may be shown."""
    drawn = [phantom.draw(**options) for options in phantom.SHIPPED.values()]
    drawn += [phantom.draw(seed, size=256) for seed in range(20)]
    return np.concatenate([to_input(pixels) for pixels in drawn])


def _sample(images, names, weight: float, let_in: float = LET_IN) -> Sample:
    return Sample(gate.shape_features(images), np.asarray(names), weight, let_in)


def _fit_chest(x, patients, grown, adults, drawn, pictures, kinds, rng) -> Rule:
    chests = [
        _sample(x, patients, 3.0),
        _sample(_changed(x, rng), patients, 3.0),
        _sample(drawn, np.arange(len(drawn)), 0.5),
    ]
    if len(grown):
        chests += [
            _sample(grown, adults, 2.0, _LET_ADULTS_IN),
            _sample(_changed(grown, rng), adults, 1.0, _LET_ADULTS_IN),
        ]
    fifth = np.arange(len(x)) % 5
    changed = [
        *(np.rot90(x[fifth == i], i, (1, 2)) for i in (1, 2, 3)),
        1 - x[fifth == 0],
        _cropped(x[fifth == 4], rng, 0.15, 0.3),  # what bones elsewhere look like
    ]
    rest = [
        _sample(images, patients[fifth == i], 1.0)
        for images, i in zip(changed, (1, 2, 3, 0, 4), strict=True)
    ]
    return fit_rule(chests, [_sample(pictures, kinds, 6.0), *rest], between=True)


def _fit_whole(x, patients, rng) -> Rule:
    whole = [
        _sample(x, patients, 1.0, _LET_WHOLE_IN),
        _sample(_changed(x, rng), patients, 1.0, _LET_WHOLE_IN),
    ]
    return fit_rule(whole, [_sample(_cropped(x, rng), patients, 1.0)])


def _fit_child(x, patients, grown, adults, drawn, rng) -> Rule:
    young = [
        _sample(x, patients, 1.0),
        _sample(_changed(x, rng), patients, 1.0),
        _sample(drawn, np.arange(len(drawn)), 0.1),
    ]
    old = [_sample(grown, adults, 1.0), _sample(_changed(grown, rng), adults, 1.0)]
    return fit_rule(young, old, between=True)


def _fit_near(children, changed, grown, drawn) -> Neighbourhood:
    """Fit axes to every other embedding, and how far is far to the ones between."""
    inside = [children] if grown is None else [children, grown]
    known = gate.root(np.concatenate([embeddings[::2] for embeddings in inside]))
    mean = known.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(known.T))
    values, vectors = values[::-1], vectors[:, ::-1]
    axes = vectors[:, :_AXES] / np.sqrt(values[:_AXES] + 1e-9)
    rest = max(float(values[_AXES:].mean()), 1e-9)
    near = Neighbourhood(mean, axes, rest, np.inf)
    probes = [(children[1::2], LET_IN), (changed, _LET_CHANGED_IN)]
    if grown is not None:
        probes.append((grown[1::2], _LET_ADULTS_IN))
    most = max(
        float(np.quantile(near.distance(embeddings), share))
        for embeddings, share in probes
    )
    most = max(most * _ROOM, float(near.distance(drawn).max()))
    return replace(near, most=most)


def _changed(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror, brighten and trim images as other machines and people would."""
    gamma = np.exp(rng.normal(0, 0.25, len(x)))
    changed = x ** gamma[:, None, None, None].astype(np.float32)
    flipped = rng.random(len(x)) < 0.5
    changed[flipped] = changed[flipped, :, ::-1]
    return np.stack([_cut(image, *rng.integers(0, 12, 4)) for image in changed])


def _cropped(
    x: np.ndarray, rng: np.random.Generator, least: float = 0.45, most: float = 0.65
) -> np.ndarray:
    """Leave such shares of each image's sides, somewhere in it."""
    size = x.shape[1]
    cut = []
    for image in x:
        left, top = (int(v) for v in (1 - rng.uniform(least, most, 2)) * size)
        x0, y0 = rng.integers(0, left + 1), rng.integers(0, top + 1)
        cut.append(_cut(image, y0, top - y0, x0, left - x0))
    return np.stack(cut)


def _cut(image, above, below, left, right) -> np.ndarray:
    """Cut rows and columns off (h, w, 1) and bring the rest to the old size."""
    height, width = image.shape[:2]
    rest = image[above : height - below, left : width - right, 0]
    return np.asarray(Image.fromarray(rest).resize((width, height)))[..., None]


def _measure(made: Gate, embed: Embed, validation, unseen, pictures, rng) -> dict:
    """Judge pictures that had no part in the gate."""
    x = validation.inputs()

    def found(images: np.ndarray) -> list[str]:
        chests = made.chest.holds(gate.shape_features(images))
        vectors = np.zeros((len(images), len(made.near.mean)), np.float32)
        vectors[chests] = embed(images[chests])  # nobody asks it of the others
        return [
            next(iter(made.judge(images[i : i + 1], vectors[i : i + 1])), "")
            for i in range(len(images))
        ]

    def share(images: np.ndarray, *codes: str) -> dict:
        right = np.isin(found(images), codes).mean() if len(images) else None
        return {"n": len(images), "share": None if right is None else float(right)}

    let_in = ("", *gate.WARNINGS)
    figures = {
        "children_let_in": share(x, *let_in),
        "children_changed_let_in": share(_changed(x, rng), *let_in),
        "children_warned": share(x, *gate.WARNINGS),
        "other_pictures_refused": share(pictures, *gate.REFUSALS),
        "negatives_recognised": share(1 - x, "negative"),
        "upside_down_recognised": share(x[:, ::-1, ::-1].copy(), "upside_down"),
        "rotated_recognised": share(np.rot90(x, 1, (1, 2)).copy(), "rotated"),
        "pieces_refused": share(_cropped(x, rng, 0.15, 0.3), *gate.REFUSALS),
        "cropped_noticed": share(_cropped(x, rng), *gate.WARNINGS, *gate.REFUSALS),
    }
    if unseen:
        figures["adults_outside"] = share(unseen.inputs(), "outside_population")
        figures["adults_refused"] = share(unseen.inputs(), *gate.REFUSALS)
    return figures
