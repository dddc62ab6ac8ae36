"""Linear rules for the gate: ridge regression, and a threshold by cross-fitting.

A threshold is chosen on scores of pictures whose patient, or whose kind, a rule was not
fitted to.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from ..serving.gate import Rule

LET_IN = 0.998
"""Share of the pictures looked for that a threshold must let pass, unless said."""

_FOLDS = 4
_RIDGE = 1.0


@dataclass(frozen=True)
class Sample:
    """Pictures on one side of a rule.

    Attributes:
        features: float32 (n, f).
        names: (n,) patients or kinds: what stays together in a fold.
        weight: of the whole sample against the others on its side.
        let_in: share of it that a threshold must let pass, where it is looked for.
    """

    features: np.ndarray
    names: np.ndarray
    weight: float
    let_in: float = LET_IN

    def part(self, chosen: np.ndarray) -> "Sample":
        """Return the rows that a mask (n,) chooses."""
        return replace(self, features=self.features[chosen], names=self.names[chosen])


def fit(sought: list[Sample], rest: list[Sample], between: bool = False) -> Rule:
    """Fit a rule that tells some pictures from others, and choose its threshold.

    Args:
        sought: what the rule looks for.
        rest: what it is to tell it from.
        between: put the threshold in the middle of the gap to `rest`, if there is one.
    """
    samples = [*sought, *rest]
    folds = [_folds(sample.names) for sample in samples]
    scores = [np.zeros(len(sample.names)) for sample in samples]
    for fold in range(_FOLDS):
        kept = [
            sample.part(of != fold) for sample, of in zip(samples, folds, strict=True)
        ]
        weights, bias = _ridge(kept[: len(sought)], kept[len(sought) :])
        for sample, of, score in zip(samples, folds, scores, strict=True):
            score[of == fold] = sample.features[of == fold] @ weights + bias
    least = min(
        np.quantile(score, 1 - sample.let_in)
        for sample, score in zip(sought, scores, strict=False)  # they come first
    )
    if between:
        highest = max(np.quantile(score, 0.98) for score in scores[len(sought) :])
        least = min(least, (least + highest) / 2)
    weights, bias = _ridge(sought, rest)
    return Rule(weights.astype(np.float32), float(bias), float(least))


def _folds(names: np.ndarray) -> np.ndarray:
    return np.array([digest(name)[0] % _FOLDS for name in names])


def digest(name: str) -> bytes:
    """Return a hash of a name, to choose by."""
    return hashlib.sha256(str(name).encode()).digest()


def _ridge(sought: list[Sample], rest: list[Sample]) -> tuple[np.ndarray, float]:
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
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    x = np.column_stack([(x - mean) / spread, np.ones(len(x))])
    penalty = _RIDGE / len(mean) * np.eye(x.shape[1])
    penalty[-1, -1] = 0
    loaded = (x * w[:, None]).T
    solved = np.linalg.solve(loaded @ x + penalty, loaded @ y)
    weights = solved[:-1] / spread
    return weights, float(solved[-1] - weights @ mean)
