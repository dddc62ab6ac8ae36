"""What the gate sees of pictures, and what it says of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..contract import LABELS
from ..data import stress
from ..data.folder import Dataset, as_input
from ..outputs import Outputs, in_batches
from ..serving import gate, gate_features
from ..serving.gate import Gate
from . import pictures as gate_pictures
from .rules import LET_IN, Sample

Run = Callable[[np.ndarray], Outputs]
Judged = list[tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class Seen:
    """What the gate sees of n pictures.

    Attributes:
        images: uint8 (n, 224, 224, 1).
        names: (n,) patients.
        sources: (n,) the class of a child, the hospital of an adult.
        outputs: what the network gives.
        inside: float32 (n, f), of `gate.seen_inside`.
    """

    images: np.ndarray
    names: np.ndarray
    sources: np.ndarray
    outputs: Outputs
    inside: np.ndarray

    @property
    def tamed(self) -> np.ndarray:
        """Return roots of the embeddings, float32 (n, f)."""
        return gate_features.root(self.outputs.embedding)

    def samples(self, weight: float, let_in: float = LET_IN) -> list[Sample]:
        """Return what is inside, a sample for each source; all sources weigh alike."""
        masks = [self.sources == source for source in sorted(set(self.sources))]
        share = weight / len(masks)
        return [Sample(self.inside[m], self.names[m], share, let_in) for m in masks]

    def judge(self, by: Gate) -> Judged:
        """Return the codes of each."""
        return [
            by.judge(
                as_input(self.images[i : i + 1]),
                Outputs(*(output[i : i + 1] for output in self.outputs)),
            )
            for i in range(len(self.names))
        ]

    def part(self, chosen: np.ndarray) -> "Seen":
        """Return the pictures that a mask (n,) chooses."""
        outputs = Outputs(*(output[chosen] for output in self.outputs))
        rest = self.images, self.names, self.sources, self.inside
        images, names, sources, inside = (array[chosen] for array in rest)
        return Seen(images, names, sources, outputs, inside)


def see(run: Run, images: np.ndarray, names: np.ndarray, sources: np.ndarray) -> Seen:
    """Look at uint8 (n, 224, 224, 1); the rest as in `Seen`."""

    def look(batch: np.ndarray) -> tuple[np.ndarray, ...]:
        x = as_input(batch)
        outputs = run(x)
        return *outputs, gate.seen_inside(x, outputs)

    *outputs, inside = in_batches(look, images)
    return Seen(images, names, sources, Outputs(*outputs), inside)


def count(found: Judged, *codes: str) -> dict:
    """Return how many pictures were judged, and the share told one of the codes first.

    An empty code stands for no word at all.
    """
    first = [next(iter(of), "") for of in found]
    return {"n": len(first), "share": float(np.isin(first, codes).mean())}


def measure(
    made: Gate,
    run: Run,
    validation: Dataset,
    pictures: np.ndarray,
    rng: np.random.Generator,
) -> dict:
    """Judge children, and other things (n, 224, 224, 1), that had no part in it."""
    x = validation.inputs()
    classes = np.array(LABELS)[validation.labels]
    young = see(run, validation.images, validation.groups, classes)
    let_in = ("", *gate.WARNINGS)

    def judge(images: np.ndarray) -> Judged:
        return [first(images[i : i + 1]) for i in range(len(images))]

    def first(image: np.ndarray) -> tuple[str, ...]:
        outputs = run(image) if made.chest.holds(gate_features.shape(image)) else None
        return made.judge(image, outputs)

    def share(images: np.ndarray, *codes: str) -> dict:
        return count(judge(images), *codes)

    as_they_are = young.judge(made)
    figures = {"children_let_in": count(as_they_are, *let_in)}
    if len(set(classes)) > 1:
        copies = stress.mixed_copies(
            validation.images, validation.labels, 1, boxes=young.outputs.box
        )
        stressed = see(run, next(copies), young.names, classes).judge(made)
        for label in LABELS:
            of = np.flatnonzero(classes == label)
            for name, found in (("", as_they_are), ("_under_stress", stressed)):
                key = f"children_{label.lower()}{name}_let_in"
                figures[key] = count([found[i] for i in of], *let_in)
    return figures | {
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
