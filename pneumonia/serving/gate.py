"""Which pictures get no answer, and why: everything but upright chests of children.

Three things look at a picture. Its shape is described by small brightness and edge
patterns, which know nothing of the network; linear rules on them tell chests from other
things, and whole chests from cut ones. The lungs that were found say whether there are
two, and whether they end at a border. And the network's own embedding says how far the
picture lies from all that it learned from. Children are told from adults by the crop
to the lungs, where the frame has no say.

The numbers belong to one network and one data set, so they travel in `bundle.json`
under the key `gate`; `python -m pneumonia gate` makes them. A bundle without them
refuses nothing here.
"""

import base64
import functools
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from ..outputs import FEATURES, Outputs
from ..reading.picture import DOUBTS, ImageError, Picture
from ..words import REFUSALS, SENTENCES, WARNINGS  # noqa: F401
from . import gate_features
from .gate_cells import Cells
from .gate_features import root
from .pattern import is_patterned

NOT_VALID = "NOT VALID"
"""Stands over the picture of an answer that was asked for after a refusal."""

NO_CHEST = {"no_lungs", "not_chest_xray", "two_pictures"}
"""Refusals with which what was found as lungs is not to be shown as lungs."""

CHROMA_LIMIT = 0.02
"""`Picture.chroma` from which a picture is a colour photograph."""

_BLAME = {"not_chest_xray", "no_lungs", "outside_population"}  # what a picture shows
_MENDS = {"negative": ("invert",)}
_MENDS |= dict.fromkeys(("upside_down", "rotated"), ("upright",))
_HALVES = (0, 1, 0, 0.5), (0, 1, 0.5, 1)
_PLAINLY_ONE = 0.6  # two X-rays side by side score less; few single ones do


@dataclass(frozen=True, eq=False)
class Rule:
    """A linear rule: the score is `weights @ features + bias`.

    Attributes:
        weights: float32 (f,).
        bias: of the score.
        least: the score from which a picture is what the rule looks for.
    """

    weights: np.ndarray
    bias: float
    least: float

    def score(self, features: np.ndarray) -> np.ndarray:
        """Return float (n,) for features (n, f)."""
        return features @ self.weights + self.bias

    def holds(self, features: np.ndarray) -> np.ndarray:
        """Return bool (n,) for features (n, f)."""
        return self.score(features) >= self.least


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Where features of the training images lie.

    Attributes:
        mean: float32 (f,).
        axes: float32 (f, k), each divided by the spread along it.
        rest: the mean square that no axis explains.
        most: the distance up to which features are near.
    """

    mean: np.ndarray
    axes: np.ndarray
    rest: float
    most: float

    @functools.cached_property
    def _variance(self) -> np.ndarray:
        return 1 / (self.axes**2).sum(axis=0)

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Return float (n,): Mahalanobis along the axes, and what they leave over."""
        away = features - self.mean
        # not by `@`, whose threads go on spinning where the network is to run next
        along = np.einsum("nf,fk->nk", away, self.axes)
        explained = (along**2 * self._variance).sum(axis=1)
        left = np.maximum((away**2).sum(axis=1) - explained, 0) / self.rest
        return np.sqrt((along**2).sum(axis=1) + left)


@dataclass(frozen=True, eq=False)
class Child(Rule):
    """Tells children of the training hospital from everybody else, by `seen_inside`.

    The linear rule knows what sets them apart from the adults that it was shown. The
    farther a picture lies from all children, the less it says.

    Attributes:
        near: where the coarse edges of children lie; what is `most` is not asked.
    """

    near: Neighbourhood

    def score(self, features: np.ndarray) -> np.ndarray:
        """Return float (n,) for features (n, f)."""
        coarse = features[:, gate_features.COARSE]
        return super().score(features) - self.near.distance(coarse)


@dataclass(frozen=True, eq=False)
class Lungs:
    """What is asked of the lungs that were found.

    Attributes:
        least: share of the picture that the larger lung covers at least.
        even: share of the larger lung's area that the other has at least.
        most: share of the lungs' width or height that may end at a border of the
            picture, above, below, left and right.
    """

    least: float
    even: float
    most: tuple[float, float, float, float]

    def judge(self, found: np.ndarray) -> tuple[str, ...]:
        """Return codes for float32 (96, 96) in [0, 1], probability of lung."""
        less, more = np.sort(gate_features.areas(found[None])[0])
        if more < self.least:
            return ("no_lungs",)
        at = gate_features.at_borders(found[None])[0]
        sides = zip(gate_features.SIDES, at, self.most, strict=True)
        cut = tuple(f"cut_off_{side}" for side, share, most in sides if share > most)
        return (*cut, *(("one_lung",) if less < self.even * more else ()))


@dataclass(frozen=True, eq=False)
class Gate:
    """What `bundle.json` says about pictures to refuse.

    Attributes:
        chest: upright chest, by shape.
        whole: not strongly cropped, by shape.
        child: a child of the training hospital, by the crop to the lungs; None where no
            adult was there to learn it from.
        near: where the training images lie.
        lungs: what is asked of the lungs.
        cells: what training images show in each cell, by the names of
            `FEATURES`; empty in a bundle of before. Nothing is judged by it.
    """

    chest: Rule
    whole: Rule
    child: Child | None
    near: Neighbourhood
    lungs: Lungs
    cells: dict[str, Cells] = field(default_factory=dict)

    def judge(self, inputs: np.ndarray, outputs: Outputs) -> tuple[str, ...]:
        """Return codes of what is wrong with one picture, refusals first.

        Args:
            inputs: float32 (1, 224, 224, 1) in [0, 1], from `to_input`.
            outputs: of `Classifier.run` for it. None where nobody needs to know why a
                picture that is no chest X-ray is none.
        """
        shape = gate_features.shape(inputs)
        like_chest = self.chest.score(shape)[0]
        if like_chest < self.chest.least:
            return (self._why_no_chest(inputs, outputs),)
        if like_chest < _PLAINLY_ONE and self._halves(inputs) > like_chest:
            return ("two_pictures",)
        lungs = self.lungs.judge(outputs.lungs[0])
        if "no_lungs" in lungs:
            return lungs
        if self.near.distance(root(outputs.embedding))[0] > self.near.most:
            return ("not_chest_xray",)
        grown = self.child and not self.child.holds(seen_inside(inputs, outputs))[0]
        return (
            *(("outside_population",) if grown else ()),
            *(() if self.whole.holds(shape)[0] else ("strongly_cropped",)),
            *lungs,
        )

    def quarter_turns(self, inputs: np.ndarray) -> int:
        """Return how many quarter turns to the left make a chest of a picture.

        Args:
            inputs: float32 (1, 224, 224, 1) in [0, 1], from `to_input`.

        Returns:
            0 where it is one already, or where no turn makes one of it.
        """
        scores = self._by_turns(inputs)
        best = 0 if scores[0] >= self.chest.least else int(scores.argmax())
        return best if scores[best] >= self.chest.least else 0

    def _by_turns(self, inputs: np.ndarray) -> np.ndarray:
        """Return how much it looks like a chest after 0 to 3 quarter turns, (4,)."""
        turned = [np.rot90(inputs, turns, (1, 2)) for turns in range(4)]
        return self.chest.score(gate_features.shape(np.concatenate(turned)))

    def _why_no_chest(self, inputs: np.ndarray, outputs: Outputs | None) -> str:
        """See what makes a chest of it: exchanging black and white, a turn or a cut."""
        mended = {"negative": 1 - inputs}
        if outputs is not None and self._has_lungs_inside(outputs):
            mended["surrounded"] = _cut_out(inputs, outputs)
        shapes = gate_features.shape(np.concatenate([*mended.values()]))
        scores = dict(zip(mended, self.chest.score(shapes), strict=True))
        _, left, upside_down, right = self._by_turns(inputs)
        scores |= {"rotated": max(left, right), "upside_down": upside_down}
        best = max(scores, key=scores.__getitem__)
        if scores[best] < self.chest.least:
            best = "not_chest_xray"
        whole = best in ("not_chest_xray", "surrounded")
        if whole and self._halves(inputs) >= self.chest.least:
            return "two_pictures"
        return best

    def _has_lungs_inside(self, outputs: Outputs) -> bool:
        """Tell whether the lungs are large enough for what would be cut out."""
        top, bottom, left, right = gate_features.surroundings(outputs.box[0])
        larger = gate_features.areas(outputs.lungs)[0].max()
        return bool(larger >= self.lungs.least * (bottom - top) * (right - left))

    def _halves(self, inputs: np.ndarray) -> float:
        """Return how much the left and the right half look like chests, the lesser."""
        halves = [gate_features.cut(inputs, place) for place in _HALVES]
        return self.chest.score(gate_features.shape(np.concatenate(halves))).min()


def seen_inside(inputs: np.ndarray, outputs: Outputs) -> np.ndarray:
    """Return float32 (n, f), what `Child` judges by, for n pictures."""
    inside = gate_features.inside(inputs, outputs.lungs, outputs.box)
    return np.concatenate([inside, root(outputs.embedding)], axis=1)


def _cut_out(inputs: np.ndarray, outputs: Outputs) -> np.ndarray:
    """Return what a chest X-ray would show, without what lies around it."""
    return gate_features.cut(inputs, gate_features.surroundings(outputs.box[0]))


def judge(
    gate: Gate | None, picture: Picture, inputs: np.ndarray, outputs: Outputs
) -> tuple[str, ...]:
    """Return codes of what is wrong with one picture, refusals first.

    Args:
        gate: from `from_facts`; None judges by colour alone.
        picture: what was read.
        inputs: float32 (1, 224, 224, 1) in [0, 1], from `to_input`.
        outputs: of `Classifier.run` for it.
    """
    colour = picture.chroma >= CHROMA_LIMIT
    found = gate.judge(inputs, outputs) if gate else ()
    if _BLAME & {*found} and DOUBTS & {*picture.warnings}:
        found = ("doubtful", *found)  # the reading may be at fault, not the patient
    if is_patterned(inputs):
        found = ("pattern", *found)  # it may be at fault for what else was found
    return (*(("colour_photograph",) if colour else ()), *found, *picture.warnings)


def refuse(code: str) -> ImageError:
    """Return the refusal of a code in `REFUSALS`, with what is offered instead."""
    return ImageError(code, REFUSALS[code], (*_MENDS.get(code, ()), "anyway"))


def from_facts(facts: dict[str, Any] | None) -> Gate | None:
    """Read what `to_facts` wrote.

    Raises:
        KeyError, TypeError, ValueError: it is damaged.
    """
    if facts is None:
        return None
    child, cells = facts.get("child", {}), facts.get("cells", {})
    above, below, left, right = map(float, facts["lungs"]["most"])
    least, even = _floats(facts["lungs"], "least even")
    lungs = Lungs(least, even, (above, below, left, right))
    return Gate(
        chest=Rule(**_linear(facts["chest"])),
        whole=Rule(**_linear(facts["whole"])),
        # that of a bundle of before looked at something else, and had no such key
        child=Child(**_linear(child), near=_neighbourhood(child["near"]))
        if "near" in child
        else None,
        near=_neighbourhood(facts["near"]),
        lungs=lungs,
        # one of a bundle of before was of the last block
        cells={name: _cells(of) for name, of in cells.items() if name in FEATURES},
    )


def to_facts(gate: Gate) -> dict[str, Any]:
    """Return what `bundle.json` keeps: arrays as float16 in base64, numbers as such."""
    facts = {"chest": _facts_of(gate.chest), "whole": _facts_of(gate.whole)}
    if gate.child:
        facts["child"] = _facts_of(gate.child) | {"near": _place(gate.child.near)}
    if gate.cells:
        facts["cells"] = cells_to_facts(gate.cells)
    return facts | {"near": _place(gate.near), "lungs": asdict(gate.lungs)}


def cells_to_facts(cells: dict[str, Cells]) -> dict[str, Any]:
    """Return what `bundle.json` keeps of `Gate.cells`."""
    return {
        name: {part.name: _pack(getattr(of, part.name)) for part in fields(of)}
        | {"shape": list(of.middle.shape)}
        for name, of in cells.items()
    }


def _cells(facts: dict[str, Any]) -> Cells:
    height, width, places = facts["shape"]
    shapes: dict[str, tuple[int, ...]] = {
        "mean": (-1,),
        "axes": (-1, places - 1),
        "usual": (height, width),
    }
    return Cells(
        **{
            part.name: _unpack(facts[part.name]).reshape(
                shapes.get(part.name, (height, width, places))
            )
            for part in fields(Cells)
        }
    )


def _linear(facts: dict[str, Any]) -> dict[str, Any]:
    bias, least = _floats(facts, "bias least")
    return {"weights": _unpack(facts["weights"]), "bias": bias, "least": least}


def _facts_of(rule: Rule) -> dict[str, Any]:
    return {"weights": _pack(rule.weights), "bias": rule.bias, "least": rule.least}


def _neighbourhood(facts: dict[str, Any]) -> Neighbourhood:
    packed = _unpack(facts["mean"]), _unpack(facts["axes"]).reshape(facts["shape"])
    rest, most = _floats(facts, "rest most")
    return Neighbourhood(*packed, rest, most)


def _place(near: Neighbourhood) -> dict[str, Any]:
    packed = {"mean": _pack(near.mean), "axes": _pack(near.axes)}
    shape = list(near.axes.shape)
    return packed | {"shape": shape, "rest": near.rest, "most": near.most}


def _floats(facts: dict[str, Any], names: str) -> list[float]:
    return [float(facts[name]) for name in names.split()]


def _pack(array: np.ndarray) -> str:
    return base64.b64encode(array.astype("<f2").tobytes()).decode("ascii")


def _unpack(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f2").astype(np.float32)
