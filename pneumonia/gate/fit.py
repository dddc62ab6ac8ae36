"""Fit the gate on training patients, and measure it on others.

The rules are ridge regressions on two sides of pictures. Thresholds are chosen on
scores of pictures that a rule was not fitted to (cross-fitting over patients and over
kinds of other pictures); the figures that are reported come from validation patients,
hospitals and kinds of pictures that had no part in either.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import kept
from ..contract import LABELS
from ..data.folder import Dataset, as_input, split
from ..data.patients import validation_mask
from ..outputs import Outputs, in_batches
from ..serving import gate, gate_features
from ..serving.classifier import load_classifier
from ..serving.gate import Gate, Lungs, Neighbourhood
from . import pictures as gate_pictures
from . import rules, unlike_fit
from .measure import Run, Seen, count, measure, see
from .rules import LET_IN, Sample

CHILDREN = 2500
"""How many training images are used at most; more change little and take long."""

_ADULTS_HELD_OUT = 0.4  # where there is but one hospital to measure with
_KINDS_HELD_OUT = 0.3
_AXES = 24
_LET_ADULTS_IN = 0.98  # as chests, so that they are told what is wrong with them
_LET_WHOLE_IN = 0.99
_LET_CHANGED_IN = 0.99
_LET_CHILDREN_IN = 0.985  # of either class
_LET_COPIES_IN = 0.97
_COPIES = 0.4  # what changed copies weigh, and the rest the pictures as they are
_ROOM = 1.1  # how much farther than the farthest of them an embedding may lie
_LUNG_ROOM = 0.7  # how much smaller than nearly all lungs of children one may be
_CUT_OFF = 0.5, 0.25, 0.5, 0.5  # at each border; then a tenth of the lungs is missing


def fit(
    run: Run,
    training: Dataset,
    validation: Dataset,
    adults: Mapping[str, Dataset] | None = None,
    seed: int = 0,
) -> dict:
    """Fit the gate of a network.

    Args:
        run: float32 (n, 224, 224, 1) in [0, 1] -> what the graph gives that is served.
        training: children whom the network learned from.
        validation: other children, for the figures alone.
        adults: X-rays from outside, by hospital; none makes a gate that does not know
            adults. Their labels are not looked at.
        seed: chooses the images and draws the pictures.

    Returns:
        What `bundle.json` keeps under `gate`: `gate.to_facts`, and the figures under
        `measured`.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(training.labels))[:CHILDREN])
    children = training.subset(chosen)
    x, patients = children.inputs(), children.groups
    changed = gate_pictures.changed(x, rng)
    pictures, kinds = gate_pictures.others(seed)
    held = gate_pictures.held_out(kinds, _KINDS_HELD_OUT)
    classes = np.array(LABELS)[children.labels]
    young = see(run, children.images, patients, classes)
    drawn = _see_drawn(run)
    old = _see_hospitals(run, adults) if adults else None

    chests = [_sample(x, patients, 3.0), _sample(changed, patients, 3.0)]
    whole = [replace(sample, let_in=_LET_WHOLE_IN) for sample in chests]
    chests.append(_sample(as_input(drawn.images), drawn.names, 0.5))
    if old:
        grown = as_input(old.images)
        for images, weight in ((grown, 2.0), (gate_pictures.changed(grown, rng), 1.0)):
            chests.append(_sample(images, old.names, weight, _LET_ADULTS_IN))
    others = [_sample(pictures[~held], kinds[~held], 6.0)]
    others += _spoiled(x, patients, rng)
    made = Gate(
        chest=rules.fit(chests, others, between=True),
        whole=rules.fit(whole, [_sample(gate_pictures.cropped(x, rng), patients, 1.0)]),
        child=None,
        near=_fit_near(young, run(changed[::4]), old, drawn),
        lungs=_fit_lungs(young, drawn),
    )
    figures = {}
    if old:
        made, figures = _add_child(made, run, young, old, drawn, seed)
    figures = measure(made, run, validation, pictures[held], rng) | figures
    counted = {
        "training_images": len(x),
        "training_adults": len(old.names) if old else 0,
        "kinds_learned": sorted(set(kinds[~held].tolist())),
        "kinds_held_out": sorted(set(kinds[held].tolist())),
    }
    return gate.to_facts(made) | {"measured": figures | counted}


def refit(bundle: Path, source: Dataset, adults: Mapping[str, Dataset]) -> dict:
    """Fit the gate of a bundle anew and write it into its bundle.json.

    Args:
        bundle: folder that `python -m pneumonia export` wrote.
        source: the data set that its network learned from, all of it.
        adults: X-rays from outside, by hospital.

    Returns:
        The figures, which stand in bundle.json, too.
    """
    classifier = load_classifier(bundle)

    def run(images: np.ndarray) -> Outputs:
        return Outputs(*in_batches(classifier.run, images))

    training, validation = split(source)
    fitted = fit(run, training, validation, adults)
    cells = unlike_fit.fit(lambda images: classifier.look(images)[1], training)
    fitted["cells"] = gate.cells_to_facts(cells)
    facts = classifier.facts | {"gate": fitted}
    with kept.whole(Path(bundle) / "bundle.json") as path:
        path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts["gate"]["measured"]


def _see_drawn(run: Run) -> Seen:
    drawn = np.rint(255 * gate_pictures.phantoms()).astype(np.uint8)
    nobody = np.full(len(drawn), "")
    return see(run, drawn, nobody, nobody)


def _see_hospitals(run: Run, adults: Mapping[str, Dataset]) -> Seen:
    found = adults.values()
    names = [f"{name} {group}" for name, of in adults.items() for group in of.groups]
    sources = np.repeat([*adults], [len(of.groups) for of in found])
    images = np.concatenate([of.images for of in found])
    return see(run, images, np.array(names), sources)


def _sample(
    images: np.ndarray, names: np.ndarray, weight: float, let_in: float = LET_IN
) -> Sample:
    """Return the shapes of float32 (n, 224, 224, 1) in [0, 1]."""
    return Sample(gate_features.shape(images), names, weight, let_in)


def _spoiled(
    x: np.ndarray, patients: np.ndarray, rng: np.random.Generator
) -> list[Sample]:
    """Turn, invert and cut chests to pieces, which is what bones look like."""
    fifth = np.arange(len(x)) % 5
    spoil = [lambda of, i=i: np.rot90(of, i, (1, 2)) for i in (1, 2, 3)]
    spoil += [
        lambda of: 1 - of,
        lambda of: gate_pictures.cropped(of, rng, 0.15, 0.3),
    ]
    return [
        _sample(change(x[fifth == i]), patients[fifth == i], 1.0)
        for i, change in enumerate(spoil)
    ]


def _add_child(
    made: Gate, run: Run, young: Seen, old: Seen, drawn: Seen, seed: int
) -> tuple[Gate, dict]:
    """Fit what tells children from adults; measure it where it has never been."""
    copies = gate_pictures.copies(
        np.concatenate([young.images, old.images]),
        np.arange(len(young.names) + len(old.names)) >= len(young.names),
        np.concatenate([young.outputs.box, old.outputs.box]),
        seed,
    )
    first = len(young.names)
    young_copies = see(run, copies[:first], young.names, young.sources)
    old_copies = see(run, copies[first:], old.names, old.sources)
    sought = young.samples(1 - _COPIES, _LET_CHILDREN_IN)
    sought += young_copies.samples(_COPIES, _LET_COPIES_IN) + drawn.samples(0.05)

    def knowing(chosen: np.ndarray) -> Gate:
        """Fit it to some of the adults."""
        rest = old.part(chosen).samples(1 - _COPIES)
        rest += old_copies.part(chosen).samples(_COPIES)
        child = rules.fit(sought, rest, rules.child)
        return replace(made, child=child)

    judged, hospitals = [], {}
    for name, of in _parts(old):
        judged += (found := old.part(of).judge(knowing(~of)))
        hospitals[name] = count([codes[:1] for codes in found], "")
    figures = {
        "adults_outside": count(judged, "outside_population"),
        "adults_refused": count(judged, *gate.REFUSALS),
    }
    answered = {"adults_answered_without_a_word": hospitals}
    return knowing(np.ones(len(old.names), bool)), figures | answered


def _parts(old: Seen) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each hospital and who is of it; of a single one, some of its patients."""
    hospitals = sorted(map(str, set(old.sources)))
    for name in hospitals:
        if len(hospitals) > 1:
            yield name, old.sources == name
        else:
            yield name, validation_mask(old.names, _ADULTS_HELD_OUT)


def _fit_lungs(young: Seen, drawn: Seen) -> Lungs:
    """Choose how small a lung may be; how far it may be cut off is no matter of fit."""
    areas = [
        np.sort(gate_features.areas(seen.outputs.lungs), axis=1)
        for seen in (young, drawn)
    ]

    def low(values: list[np.ndarray]) -> float:
        return _LUNG_ROOM * min(float(np.quantile(v, 1 - LET_IN)) for v in values)

    least = low([found[:, 1] for found in areas])
    even = low([found[:, 0] / np.maximum(found[:, 1], 1e-6) for found in areas])
    return Lungs(least, even, _CUT_OFF)


def _fit_near(
    young: Seen, changed: Outputs, old: Seen | None, drawn: Seen
) -> Neighbourhood:
    """Fit axes to every other embedding, and how far is far to the ones between."""
    known = [seen.tamed for seen in (young, old) if seen]
    near = rules.neighbourhood(np.concatenate([e[::2] for e in known]), _AXES)
    probes = [(known[0][1::2], LET_IN)]
    probes += [(gate_features.root(changed.embedding), _LET_CHANGED_IN)]
    probes += [(tamed[1::2], _LET_ADULTS_IN) for tamed in known[1:]]
    most = max(
        float(np.quantile(near.distance(tamed), share)) for tamed, share in probes
    )
    most = max(most * _ROOM, float(near.distance(drawn.tamed).max()))
    return replace(near, most=most)
