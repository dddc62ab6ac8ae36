"""Fit the gate on training patients, and measure it on others.

The rules are ridge regressions on two sides of pictures. Thresholds are chosen on
scores of pictures that a rule was not fitted to (cross-fitting over patients and over
kinds of other pictures); the figures that are reported come from validation patients,
adults and kinds of pictures that had no part in either.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from .. import kept
from ..data.folder import Dataset, split
from ..data.patients import validation_mask
from ..serving import gate, gate_features
from ..serving.classifier import Outputs, in_batches, load_classifier
from ..serving.gate import Gate, Lungs, Neighbourhood, Rule
from . import gate_pictures
from .gate_rules import LET_IN, Sample
from .gate_rules import fit as fit_rule

CHILDREN = 2500
"""How many training images are used at most; more change little and take long."""

_ADULTS_HELD_OUT = 0.4
_KINDS_HELD_OUT = 0.3
_AXES = 24
_EMBEDDED = 2  # every other child is shown to the whole network, which is slow
_LET_ADULTS_IN = 0.98  # as chests, so that they are told what is wrong with them
_LET_WHOLE_IN = 0.99
_LET_CHANGED_IN = 0.99
_LET_CHILDREN_IN = 0.996  # by each of two rules
_LET_EXCHANGED_IN = 0.98
_ROOM = 1.1  # how much farther than the farthest of them an embedding may lie
_LUNG_ROOM = 0.7  # how much smaller than nearly all lungs of children one may be
_CUT_OFF = 0.5, 0.25, 0.5, 0.5  # at each border; then a tenth of the lungs is missing

Run = Callable[[np.ndarray], Outputs]
Find = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def fit(
    run: Run,
    find: Find,
    training: Dataset,
    validation: Dataset,
    adults: Dataset | None = None,
    seed: int = 0,
) -> dict:
    """Fit the gate of a network.

    Args:
        run: float32 (n, 224, 224, 1) in [0, 1] -> what the graph gives that is served.
        find: the same -> its `lungs` and `box` alone, which is quicker by far.
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
    pictures, kinds = gate_pictures.others(seed)
    held_kind = gate_pictures.held_out(kinds, _KINDS_HELD_OUT)

    x, patients = children.inputs(), children.groups
    changed = gate_pictures.changed(x, rng)
    young = [_look(find, x, patients), _look(find, changed, patients)]
    old = []
    if seen:
        grown = seen.inputs()
        trimmed = gate_pictures.changed(grown, rng)
        old = [_look(find, grown, seen.groups), _look(find, trimmed, seen.groups)]
        swapped = _exchanged(children, seen, young[0].box, old[0].box, seed)
        young.append(_look(find, swapped[0], patients))
        old.append(_look(find, swapped[1], seen.groups))
    phantoms = gate_pictures.phantoms()
    drawn = _look(find, phantoms)
    made = Gate(
        chest=_fit_chest(
            young, old, drawn, x, patients, pictures[~held_kind], kinds[~held_kind], rng
        ),
        whole=_fit_whole(young, x, rng),
        child=_fit_child(young, old, drawn, "shape") if seen else None,
        inside=_fit_child(young, old, drawn, "inside") if seen else None,
        near=_fit_near(
            run(x[::_EMBEDDED]),
            run(changed[:: 2 * _EMBEDDED]),
            run(grown) if seen else None,
            run(phantoms),
        ),
        lungs=_fit_lungs(young, drawn),
    )
    figures = _measure(made, run, validation, unseen, pictures[held_kind], rng)
    counted = {
        "training_images": len(x),
        "training_adults": len(seen.labels) if seen else 0,
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
    find = _finder(bundle / classifier.facts["weights"]["file"])

    def run(images: np.ndarray) -> Outputs:
        return Outputs(*in_batches(classifier.run, images))

    facts = classifier.facts | {"gate": fit(run, find, *split(source), adults)}
    with kept.whole(bundle / "bundle.json") as path:
        path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts["gate"]["measured"]


def _finder(path: Path) -> Find:
    """Return the front of a bundle's graph."""
    front = onnx.utils.Extractor(onnx.load(path)).extract_model(
        ["image"], ["lungs", "box"]
    )
    session = onnxruntime.InferenceSession(front.SerializeToString())
    return lambda images: tuple(session.run(["lungs", "box"], {"image": images}))


def _split_adults(adults: Dataset | None) -> tuple[Dataset | None, Dataset | None]:
    if adults is None:
        return None, None
    unseen = validation_mask(adults.groups, _ADULTS_HELD_OUT)
    return adults.subset(~unseen), adults.subset(unseen)


@dataclass(frozen=True)
class _Look:
    """What the gate sees of n pictures.

    Attributes:
        names: (n,) patients.
        shape: float32 (n, 708).
        inside: float32 (n, 907).
        areas: float64 (n, 2), of the lungs.
        box: float32 (n, 4), the place around the lungs.
    """

    names: np.ndarray
    shape: np.ndarray
    inside: np.ndarray
    areas: np.ndarray
    box: np.ndarray

    def sample(
        self, weight: float, let_in: float = LET_IN, by: str = "shape"
    ) -> Sample:
        """Return them for `gate_rules.fit`, by their shape or what is inside."""
        return Sample(getattr(self, by), self.names, weight, let_in)


def _look(find: Find, images: np.ndarray, names: np.ndarray | None = None) -> _Look:
    """Look at float32 (n, 224, 224, 1) in [0, 1]; names are places where none are."""

    def look(batch: np.ndarray) -> tuple[np.ndarray, ...]:
        lungs, box = find(batch)
        return (
            gate_features.shape(batch),
            gate_features.inside(batch, lungs, box),
            gate_features.areas(lungs),
            box,
        )

    names = np.arange(len(images)) if names is None else names
    return _Look(np.asarray(names), *in_batches(look, images))


def _exchanged(young, old, boxes, old_boxes, seed) -> tuple[np.ndarray, np.ndarray]:
    """Give children and adults each other's frame and tone."""
    swapped = gate_pictures.exchanged(
        np.concatenate([young.images, old.images]),
        np.arange(len(boxes) + len(old_boxes)) >= len(boxes),
        np.concatenate([boxes, old_boxes]),
        seed,
    )
    return swapped[: len(boxes)], swapped[len(boxes) :]


def _sample(images, names, weight: float, let_in: float = LET_IN) -> Sample:
    return Sample(gate_features.shape(images), np.asarray(names), weight, let_in)


def _fit_chest(young, old, drawn, x, patients, pictures, kinds, rng) -> Rule:
    chests = [look.sample(3.0) for look in young[:2]] + [drawn.sample(0.5)]
    chests += [
        look.sample(weight, _LET_ADULTS_IN)
        for look, weight in zip(old, (2.0, 1.0), strict=False)
    ]
    fifth = np.arange(len(x)) % 5
    changed = [
        *(np.rot90(x[fifth == i], i, (1, 2)) for i in (1, 2, 3)),
        1 - x[fifth == 0],
        gate_pictures.cropped(
            x[fifth == 4], rng, 0.15, 0.3
        ),  # what bones elsewhere look like
    ]
    rest = [
        _sample(images, patients[fifth == i], 1.0)
        for images, i in zip(changed, (1, 2, 3, 0, 4), strict=True)
    ]
    return fit_rule(chests, [_sample(pictures, kinds, 6.0), *rest], between=True)


def _fit_whole(young, x, rng) -> Rule:
    whole = [look.sample(1.0, _LET_WHOLE_IN) for look in young[:2]]
    return fit_rule(
        whole, [_sample(gate_pictures.cropped(x, rng), young[0].names, 1.0)]
    )


def _fit_child(young, old, drawn, by: str) -> Rule:
    lets = _LET_CHILDREN_IN, _LET_CHILDREN_IN, _LET_EXCHANGED_IN
    children = [
        look.sample(1.0, let_in, by) for look, let_in in zip(young, lets, strict=True)
    ]
    adults = [look.sample(1.0, by=by) for look in old]
    return fit_rule([*children, drawn.sample(0.1, by=by)], adults, between=True)


def _fit_lungs(young, drawn) -> Lungs:
    """Choose how small a lung may be; how far it may be cut off is no matter of fit."""
    areas = [np.sort(look.areas, axis=1) for look in (*young, drawn)]

    def low(values: list[np.ndarray]) -> float:
        return _LUNG_ROOM * min(float(np.quantile(v, 1 - LET_IN)) for v in values)

    least = low([found[:, 1] for found in areas])
    even = low([found[:, 0] / np.maximum(found[:, 1], 1e-6) for found in areas])
    return Lungs(least, even, _CUT_OFF)


def _fit_near(
    young: Outputs, changed: Outputs, old: Outputs | None, drawn: Outputs
) -> Neighbourhood:
    """Fit axes to every other embedding, and how far is far to the ones between."""
    children, grown = young.embedding, [old.embedding] if old else []
    known = gate_features.root(np.concatenate([e[::2] for e in (children, *grown)]))
    mean = known.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(known.T))
    values, vectors = values[::-1], vectors[:, ::-1]
    axes = vectors[:, :_AXES] / np.sqrt(values[:_AXES] + 1e-9)
    rest = max(float(values[_AXES:].mean()), 1e-9)
    near = Neighbourhood(mean, axes, rest, np.inf)
    probes = [(children[1::2], LET_IN), (changed.embedding, _LET_CHANGED_IN)]
    probes += [(embeddings[1::2], _LET_ADULTS_IN) for embeddings in grown]
    most = max(
        float(np.quantile(near.distance(embeddings), share))
        for embeddings, share in probes
    )
    most = max(most * _ROOM, float(near.distance(drawn.embedding).max()))
    return replace(near, most=most)


def _measure(made: Gate, run: Run, validation, unseen, pictures, rng) -> dict:
    """Judge pictures that had no part in the gate."""
    x = validation.inputs()

    def first(image: np.ndarray) -> str:
        outputs = run(image) if made.chest.holds(gate_features.shape(image)) else None
        return next(iter(made.judge(image, outputs)), "")

    def judge(images: np.ndarray) -> list[str]:
        return [first(images[i : i + 1]) for i in range(len(images))]

    def count(found: list[str], *codes: str) -> dict:
        right = float(np.isin(found, codes).mean()) if found else None
        return {"n": len(found), "share": right}

    def share(images: np.ndarray, *codes: str) -> dict:
        return count(judge(images), *codes)

    let_in = ("", *gate.WARNINGS)
    as_they_are = judge(x)
    figures = {
        "children_let_in": count(as_they_are, *let_in),
        "children_changed_let_in": share(gate_pictures.changed(x, rng), *let_in),
        "children_warned": count(as_they_are, *gate.WARNINGS),
        "other_pictures_refused": share(pictures, *gate.REFUSALS),
        "negatives_recognised": share(1 - x, "negative"),
        "upside_down_recognised": share(x[:, ::-1, ::-1].copy(), "upside_down"),
        "rotated_recognised": share(np.rot90(x, 1, (1, 2)).copy(), "rotated"),
        "pieces_refused": share(
            gate_pictures.cropped(x, rng, 0.15, 0.3), *gate.REFUSALS
        ),
        "cropped_noticed": share(
            gate_pictures.cropped(x, rng), *gate.WARNINGS, *gate.REFUSALS
        ),
    }
    if unseen:
        adults = judge(unseen.inputs())
        figures["adults_outside"] = count(adults, "outside_population")
        figures["adults_refused"] = count(adults, *gate.REFUSALS)
    return figures
