"""Linear rules for the gate: ridge regression, and a threshold by cross-fitting.

A threshold is chosen on scores of pictures whose patient, or whose kind, a rule was not
fitted to.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ..serving.gate import Child, Neighbourhood, Rule
from ..serving.gate_features import COARSE, INSIDE

LET_IN = 0.998
"""Share of the pictures looked for that a threshold must let pass, unless said."""

_FOLDS = 4
_RIDGE = 1.0
_STIFF = 10.0  # the same of rules that are to hold at other hospitals
_STILL = 1e-3  # what hardly varies says little, and float16 holds its weight
_AXES = 30  # of children's coarse edges
_FAR = 0.5  # how much the distance counts beside the linear rules, both of spread 1

R = TypeVar("R", bound=Rule)


@dataclass(frozen=True)
class Sample:
    """Pictures on one side of a rule.

    Attributes:
        features: float32 (n, f).
        names: (n,) patients or kinds: what stays together in a fold. What has an empty
            name is always fitted to.
        weight: of the whole sample against the others on its side.
        let_in: share of it that a threshold must let pass, where it is looked for.
    """

    features: np.ndarray
    names: np.ndarray
    weight: float
    let_in: float = LET_IN

    def seen(self, columns: slice) -> "Sample":
        """Return some of the features alone."""
        return replace(self, features=self.features[:, columns])

    def part(self, chosen: np.ndarray) -> "Sample":
        """Return the rows that a mask (n,) chooses."""
        return replace(self, features=self.features[chosen], names=self.names[chosen])


def fit(
    sought: list[Sample],
    rest: list[Sample],
    make: Callable[[list[Sample], list[Sample]], R] | None = None,
    between: bool = False,
) -> R:
    """Fit a rule that tells some pictures from others, and choose its threshold.

    Args:
        sought: what the rule looks for.
        rest: what it is to tell it from.
        make: fits a rule to both, of any threshold; None: a linear rule.
        between: put the threshold in the middle of the gap to `rest`, if there is one.
    """
    make = make or linear
    samples = [*sought, *rest]
    made = make(sought, rest)
    scores = [made.score(sample.features) for sample in samples]
    folds = [_folds(sample.names) for sample in samples]
    for fold in range(_FOLDS):
        kept = [
            sample.part(of != fold) for sample, of in zip(samples, folds, strict=True)
        ]
        without = make(kept[: len(sought)], kept[len(sought) :])
        for sample, of, score in zip(samples, folds, scores, strict=True):
            if (of == fold).any():
                score[of == fold] = without.score(sample.features[of == fold])
    least = min(
        np.quantile(score, 1 - sample.let_in)
        for sample, score in zip(sought, scores, strict=False)  # they come first
    )
    if between:
        highest = max(np.quantile(score, 0.98) for score in scores[len(sought) :])
        least = min(least, (least + highest) / 2)
    return replace(made, least=float(least))


def linear(sought: list[Sample], rest: list[Sample]) -> Rule:
    """Fit a linear rule that lets everything pass."""
    weights, bias = _ridge(sought, rest)
    return Rule(weights.astype(np.float32), float(bias), -np.inf)


def child(sought: list[Sample], rest: list[Sample]) -> Child:
    """Fit what tells children from adults, with any threshold.

    Two linear rules are added, on what is inside of the crop and on the embedding: in
    a single one the many features of the first would leave the second no say.
    """
    features = np.concatenate([sample.features for sample in sought])
    weights, bias = np.zeros(features.shape[1]), 0.0
    for columns in (slice(None, INSIDE), slice(INSIDE, None)):
        sides = [[sample.seen(columns) for sample in side] for side in (sought, rest)]
        part, offset = _ridge(*sides, _STIFF)
        spread = (features[:, columns] @ part).std() + 1e-6
        weights[columns] = part / spread
        bias += offset / spread
    near = neighbourhood(features[:, COARSE], _AXES)
    scale = near.distance(features[:, COARSE]).std() / _FAR
    scale /= (features @ weights).std() + 1e-6
    return Child((weights * scale).astype(np.float32), bias * scale, -np.inf, near)


def neighbourhood(features: np.ndarray, axes: int) -> Neighbourhood:
    """Fit where features (n, f) lie; everything is near."""
    mean = features.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(features.T))
    values, vectors = values[::-1], vectors[:, ::-1]
    along = vectors[:, :axes] / np.sqrt(values[:axes] + 1e-9)
    rest = max(float(values[axes:].mean()), 1e-9)
    return Neighbourhood(mean, along, rest, np.inf)


def _folds(names: np.ndarray) -> np.ndarray:
    """Return which fold leaves each one out; none does where there is no name."""
    return np.array([digest(name)[0] % _FOLDS if name else _FOLDS for name in names])


def digest(name: str) -> bytes:
    """Return a hash of a name, to choose by."""
    return hashlib.sha256(str(name).encode()).digest()


def _ridge(
    sought: list[Sample], rest: list[Sample], penalty: float = _RIDGE
) -> tuple[np.ndarray, float]:
    """Return weights and bias of the regression on +1 and -1, both sides alike."""
    rows, aims, loads = [], [], []
    for side, aim in ((sought, 1.0), (rest, -1.0)):
        whole = sum(sample.weight for sample in side)
        for sample in side:
            count = len(sample.names)
            rows.append(sample.features.astype(np.float64))
            aims.append(np.full(count, aim))
            loads.append(np.full(count, sample.weight / whole / max(count, 1)))
    x, y, w = map(np.concatenate, (rows, aims, loads))
    mean, spread = x.mean(axis=0), x.std(axis=0) + _STILL
    x = np.column_stack([(x - mean) / spread, np.ones(len(x))])
    penalties = penalty / len(mean) * np.eye(x.shape[1])
    penalties[-1, -1] = 0
    loaded = (x * w[:, None]).T
    solved = np.linalg.solve(loaded @ x + penalties, loaded @ y)
    weights = solved[:-1] / spread
    return weights, float(solved[-1] - weights @ mean)
