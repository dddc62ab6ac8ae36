"""Which pictures get no answer, and why: everything but upright chests of children.

Two things look at a picture. Its shape is described by small brightness and edge
patterns, which know nothing of the network; linear rules on them tell chests from
other things, whole chests from cut ones, and children from adults. And the network's
own embedding says how far the picture lies from all that it learned from. (The
embedding tells adults from children worse than the shape does: it was measured.)

The numbers belong to one network and one data set, so they travel in `bundle.json`
under the key `gate`; `gate_fit` makes them. A bundle without them refuses nothing here.
"""

import base64
import functools
from dataclasses import dataclass

import numpy as np

from ..contract import IMAGE_SIZE
from .pattern import is_patterned
from .picture import DOUBTS, READER_WARNINGS, ImageError, Picture

CHROMA_LIMIT = 0.02
"""`Picture.chroma` from which a picture is a colour photograph."""

REFUSALS = {
    "colour_photograph": "This is a colour picture, not an X-ray. Choose the X-ray's "
    "own file, not a photograph of it.",
    "negative": "This X-ray looks inverted: bones dark and air bright. Have it "
    "inverted, or choose the original.",
    "upside_down": "This X-ray seems to stand on its head. Turn it upright.",
    "rotated": "This X-ray seems to lie on its side. Turn it upright.",
    "not_chest_xray": "This does not look like a chest X-ray seen from the front. "
    "Choose one, or ask for an answer anyway if you know better.",
    "doubtful": "This file could be read only with assumptions, and what came out does "
    "not look like the chest X-rays that the network learned from. Export the X-ray as "
    "PNG from its viewer and try again.",
    "outside_population": "This looks like an adult's X-ray, or like none that the "
    "network learned from; borders, text or a screen around the X-ray can cause that, "
    "too. The network learned from children of one hospital and is known to fail on "
    "adults: it answers only when asked to, and that answer can't be trusted.",
}
"""What refuses a picture that can be read, first things first, for a layman."""

WARNINGS = {
    "strongly_cropped": "Much of the chest seems to be cut off. The answer rests on "
    "what is left.",
    "pattern": "A regular pattern lies over this picture, as in a photograph of a "
    "screen. It can change the answer. Use the X-ray's own file.",
    "empty_heat_map": "No place in the picture speaks for this answer, so the heat map "
    "is empty: the answer rests on what speaks against the other one.",
}
"""What leaves an answer standing with a warning."""

SENTENCES = READER_WARNINGS | REFUSALS | WARNINGS
"""The sentence of every code that stands in `Prediction.warnings`."""

_BLAME = {"not_chest_xray", "outside_population"}  # the picture, for what it shows
_CELLS = 16, 8  # cells along a side: of brightness, of edges
_DIRECTIONS = 8
_RULES = {"chest", "whole", "child"}


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
    """Where embeddings of the training images lie.

    Attributes:
        mean: float32 (512,), of square roots of embeddings.
        axes: float32 (512, k), each divided by the spread along it.
        rest: the mean square that no axis explains.
        most: the distance up to which an embedding is near.
    """

    mean: np.ndarray
    axes: np.ndarray
    rest: float
    most: float

    @functools.cached_property
    def _variance(self) -> np.ndarray:
        return 1 / (self.axes**2).sum(axis=0)

    def distance(self, embedding: np.ndarray) -> np.ndarray:
        """Return float (n,): Mahalanobis along the axes, and what they leave over."""
        away = root(embedding) - self.mean
        # not by `@`, whose threads go on spinning where the network is to run next
        along = np.einsum("nf,fk->nk", away, self.axes)
        explained = (along**2 * self._variance).sum(axis=1)
        left = np.maximum((away**2).sum(axis=1) - explained, 0) / self.rest
        return np.sqrt((along**2).sum(axis=1) + left)


@dataclass(frozen=True, eq=False)
class Gate:
    """What `bundle.json` says about pictures to refuse.

    Attributes:
        chest: upright chest, by shape.
        whole: not strongly cropped, by shape.
        child: a child of the training hospital, by shape; None where no adult was
            there to learn it from.
        near: where the training images lie.
    """

    chest: Rule
    whole: Rule
    child: Rule | None
    near: Neighbourhood

    def judge(self, inputs: np.ndarray, embedding: np.ndarray) -> tuple[str, ...]:
        """Return codes of what is wrong with one picture.

        Args:
            inputs: float32 (1, 128, 128, 1) in [0, 1], from `to_input`.
            embedding: float32 (1, 512), from `Classifier.run`.
        """
        shape = shape_features(inputs)
        if not self.chest.holds(shape)[0]:
            return (self._why_no_chest(inputs),)
        if self.near.distance(embedding)[0] > self.near.most:
            return ("not_chest_xray",)
        outside = self.child is not None and not self.child.holds(shape)[0]
        return (
            *(("outside_population",) if outside else ()),
            *(() if self.whole.holds(shape)[0] else ("strongly_cropped",)),
        )

    def _why_no_chest(self, inputs: np.ndarray) -> str:
        """See whether the picture becomes a chest when it is inverted or turned."""
        changed = {
            "negative": 1 - inputs,
            "upside_down": inputs[:, ::-1, ::-1],
            "rotated": np.rot90(inputs, 1, (1, 2)),
            "rotated the other way": np.rot90(inputs, 3, (1, 2)),
        }
        shapes = shape_features(np.concatenate(list(changed.values())))
        scores = self.chest.score(shapes)
        best = int(scores.argmax())
        if scores[best] < self.chest.least:
            return "not_chest_xray"
        return list(changed)[best].partition(" ")[0]


def judge(
    gate: Gate | None, picture: Picture, inputs: np.ndarray, embedding: np.ndarray
) -> tuple[str, ...]:
    """Return codes of what is wrong with one picture, refusals first.

    Args:
        gate: from `from_facts`; None judges by colour alone.
        picture: what was read.
        inputs: float32 (1, 128, 128, 1) in [0, 1], from `to_input`.
        embedding: float32 (1, 512), from `Classifier.run`.
    """
    colour = picture.chroma >= CHROMA_LIMIT
    found = gate.judge(inputs, embedding) if gate else ()
    if _BLAME & {*found} and DOUBTS & {*picture.warnings}:
        found = ("doubtful", *found)  # the reading may be at fault, not the patient
    if is_patterned(inputs):
        found = (*found, "pattern")
    return (*(("colour_photograph",) if colour else ()), *found, *picture.warnings)


def refuse(code: str) -> ImageError:
    """Return the refusal of a code in `REFUSALS`, with what is offered instead."""
    offers = ("invert", "anyway") if code == "negative" else ("anyway",)
    return ImageError(code, REFUSALS[code], offers)


def shape_features(inputs: np.ndarray) -> np.ndarray:
    """Describe pictures by coarse brightness and the directions of their edges.

    Both are relative to the picture's own mean and contrast.

    Args:
        inputs: float32 (n, 128, 128, 1) in [0, 1].

    Returns:
        float32 (n, 768).
    """
    images = inputs[..., 0]
    cells, edge_cells = _CELLS
    half = _reduce(images, 2)
    bright = _standard(_reduce(half, IMAGE_SIZE // cells // 2)).reshape(len(images), -1)
    half = _standard(half)
    down, right = np.zeros_like(half), np.zeros_like(half)
    down[:, 1:-1] = half[:, 2:] - half[:, :-2]
    right[:, :, 1:-1] = half[:, :, 2:] - half[:, :, :-2]
    turn = (np.arctan2(down, right) / (2 * np.pi) + 0.5) * _DIRECTIONS
    direction = turn.astype(int) % _DIRECTIONS
    # one number for each image, cell and direction: its edges are added up there
    side = half.shape[1]
    cell = np.arange(side) * edge_cells // side
    cell = cell[:, None] * edge_cells + cell
    bins = edge_cells**2 * _DIRECTIONS
    place = np.arange(len(images))[:, None, None] * bins + cell * _DIRECTIONS
    strength = np.hypot(right, down) / (side // edge_cells) ** 2
    edges = np.bincount(
        (place + direction).ravel(), strength.ravel(), len(images) * bins
    )
    edges = np.sqrt(edges).reshape(len(images), -1)
    return np.concatenate([bright, edges], axis=1).astype(np.float32)


def _reduce(images: np.ndarray, factor: int) -> np.ndarray:
    """Average squares of factor x factor in (n, h, w); factor is a power of two."""
    while factor > 1:  # ten times quicker than a mean over axes as short as these
        rows = images[:, ::2] + images[:, 1::2]
        images = (rows[..., ::2] + rows[..., 1::2]) / 4
        factor //= 2
    return images


def _standard(images: np.ndarray) -> np.ndarray:
    """Give each of (n, h, w) mean 0 and spread 1."""
    mean = images.mean(axis=(1, 2), keepdims=True)
    return (images - mean) / (images.std(axis=(1, 2), keepdims=True) + 1e-3)


def root(embedding: np.ndarray) -> np.ndarray:
    """Tame the long tails of activations."""
    return np.sqrt(np.maximum(embedding, 0))


def from_facts(facts: dict | None) -> Gate | None:
    """Read what `to_facts` wrote.

    Raises:
        KeyError, TypeError, ValueError: it is damaged.
    """
    if facts is None:
        return None
    rules = {
        name: Rule(_unpack(facts[name]["weights"]), *_floats(facts[name], "bias least"))
        for name in _RULES & facts.keys()
    }
    rules.setdefault("child", None)
    near = facts["near"]
    packed = _unpack(near["mean"]), _unpack(near["axes"]).reshape(near["shape"])
    return Gate(near=Neighbourhood(*packed, *_floats(near, "rest most")), **rules)


def to_facts(gate: Gate) -> dict:
    """Return what `bundle.json` keeps: arrays as float16 in base64, numbers as such."""
    facts = {
        name: {"weights": _pack(rule.weights), "bias": rule.bias, "least": rule.least}
        for name in sorted(_RULES)
        if (rule := getattr(gate, name))
    }
    near = gate.near
    facts["near"] = {
        **{"mean": _pack(near.mean), "axes": _pack(near.axes)},
        **{"shape": list(near.axes.shape), "rest": near.rest, "most": near.most},
    }
    return facts


def _floats(facts: dict, names: str) -> list[float]:
    return [float(facts[name]) for name in names.split()]


def _pack(array: np.ndarray) -> str:
    return base64.b64encode(array.astype("<f2").tobytes()).decode("ascii")


def _unpack(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f2").astype(np.float32)
