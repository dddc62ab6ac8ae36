"""What is measured of answers to somebody's own labelled X-rays."""

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pneumonia import LABELS, Classifier
from pneumonia.figures import intervals, metrics, thresholds
from pneumonia.figures.reliability import reliability

from .. import words
from .truth import Truths, find

_REASONS = 12  # that are told one by one
_BINS = 5  # of the plot of stated probabilities: there may be few X-rays

LEAST = 5
"""Answers of each label below which nothing is measured."""


@dataclass(frozen=True)
class Case:
    """What became of one file.

    Attributes:
        name: the file, with its folders.
        p: probability of pneumonia; None without an answer.
        distance: of `Prediction`; NaN where it is not known.
        looks: how it is framed and toned, as in `learned_from` of `bundle.json`.
        reason: why there is no answer; empty with one.
        warnings: codes of what is wrong with what was answered, as in `Prediction`.
        digest: of its bytes, so that copies are known; empty where it does not matter.
        table: a table of labels, which is no X-ray, deflated: a zip may hold many that
            are a thousand times as large without it. None for any other file.
    """

    name: str
    p: float | None = None
    distance: float = np.nan
    looks: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    warnings: tuple[str, ...] = ()
    digest: bytes = b""
    table: bytes | None = None


def truths(cases: Sequence[Case]) -> Truths:
    """Return the truth of files, as tables among them and their folders say it."""
    return find(
        [case.name for case in cases if case.table is None],
        [(c.name, zlib.decompress(c.table)) for c in cases if c.table is not None],
    )


def measure(classifier: Classifier, cases: Sequence[Case]) -> dict:
    """Measure answers to labelled X-rays.

    Returns:
        `files`; `unlabelled`, and `why` of them (reason, first, count); `said` and
        `doubts` of the labels, as in `truth.Truths`; `refused` and `warned` (code
        and label -> count); `n` by label, of those answered. If `LEAST` of each were:
        `auroc`, `sensitivity` and `specificity` at the bundle's operating point and,
        cross-validated, at one that is chosen here, each a value with the ends of its
        95 % interval; `threshold`; `needed`, how many more X-rays of each label narrow
        these intervals; `zones`, `roc`, `reliability`; `far`, the share that is farther
        from the training images than the gate lets in; and `unlike`, the share that is
        framed or toned as less than 5 % of the training images at either end, by what
        is looked at.
    """
    files = [case for case in cases if case.table is None]
    known = truths(cases)
    truth = known.truth
    told = {name: LABELS[index] for name, index in truth.items()}
    of = [case for case in files if case.name in truth]
    refused = Counter((case.reason, told[case.name]) for case in of if case.p is None)
    answered, copies = _once([case for case in of if case.p is not None], truth)
    y = np.array([truth[case.name] for case in answered], int)
    p = np.array([case.p for case in answered], float)
    found = {
        "files": len(files),
        "unlabelled": [case.name for case in files if case.name not in truth],
        "why": _by_reason(known.why),
        "said": known.said,
        "doubts": [*known.doubts, *copies],
        "refused": refused,
        "warned": Counter(
            (code, told[case.name]) for case in answered for code in case.warnings
        ),
        "n": {name: int((y == i).sum()) for i, name in enumerate(LABELS)},
    }
    if min(found["n"].values()) < LEAST:
        return found
    sick, well = p[y == 1], p[y == 0]
    at = classifier.threshold
    here = thresholds.youden(y, p)
    low, high = classifier.uncertain_band
    bands = {"below": p < low, "in": (p >= low) & (p <= high), "above": p > high}
    shares = {
        "sensitivity": intervals.share(sick >= at),
        "specificity": intervals.share(well < at),
    }
    distances = np.array([case.distance for case in answered])
    return found | shares | {
        "auroc": metrics.measure_auroc(y, p),
        "threshold": here,
        "cross_validated": thresholds.cross_validate(y, p),
        "needed": {
            name: max(0, intervals.enough(rate["value"]) - n)
            for name, rate, n in zip(
                reversed(LABELS), shares.values(), (len(sick), len(well)), strict=True
            )
        },
        "bands": {
            name: [int((there & (y == i)).sum()) for i in (0, 1)]
            for name, there in bands.items()
        },
        "roc": [
            [float(1 - spared), float(found)]
            for found, spared in zip(
                *thresholds.both_rates(y, p, np.unique(p)[::-1]), strict=True
            )
        ],
        "reliability": reliability(y, p, _BINS),
        "unlike": _unlike(classifier.facts["learned_from"], answered),
        "far": None if np.isnan(distances).all() else intervals.share(distances > 1),
    }  # fmt: skip


def _once(cases: list[Case], truth: dict[str, int]) -> tuple[list[Case], list[str]]:
    """Return each X-ray once, and what is said of copies, which would count double.

    An X-ray whose copies have different labels has none.
    """
    copies: dict[bytes | str, list[Case]] = {}
    for case in cases:
        copies.setdefault(case.digest or case.name, []).append(case)
    said = []
    torn, once = [], []
    for first, *others in copies.values():
        other = next((c for c in others if truth[c.name] != truth[first.name]), None)
        if other is None:
            once.append(first)
        else:
            torn.append((first, other))
    if torn:
        one, two = torn[0]
        said.append(
            words.YOURS["torn"].format(count=len(torn), one=one.name, two=two.name)
        )
    if more := len(cases) - len(copies):
        said.append(words.YOURS["copies"].format(count=more))
    return once, said


def _by_reason(why: dict[str, str]) -> list[tuple[str, str, int]]:
    """Return each reason with the first file that it holds for, and how many.

    Of many, as where a table says a word of its own of each file, the rarest are told
    together.
    """
    frequent = [reason for reason, _ in Counter(why.values()).most_common(_REASONS)]
    told: dict[str, list[str]] = {reason: [] for reason in frequent}
    for name, reason in why.items():
        told.setdefault(
            reason if reason in told else words.YOURS["other_reasons"], []
        ).append(name)
    return [(reason, names[0], len(names)) for reason, names in told.items()]


def _unlike(usual: dict[str, list[float]], cases: Sequence[Case]) -> dict[str, dict]:
    """Return the share of cases that look unusual, by what is looked at."""
    return {
        name: intervals.share(
            np.array([not low <= case.looks[name] <= high for case in cases])
        )
        for name, (low, high) in usual.items()
        if all(name in case.looks for case in cases)
    }
