"""What is measured of answers to somebody's own labelled X-rays."""

import csv
import io
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pneumonia import LABELS, MAX_BYTES, Classifier, explain, percent
from pneumonia.figures import intervals, metrics, thresholds
from pneumonia.figures.reliability import reliability

from .. import words
from ..tables import plain
from .truth import MOST_TABLES, Truths, find

_REASONS = 12  # that are told one by one
_SHOWN = 60  # wrong answers with a picture; the table has all
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
        reason: code of why there is no answer; empty with one.
        said: the same as a sentence.
        offered: whether there would be an answer if it were asked for all the same.
        valid: as in `Prediction`.
        thumbnail: JPEG file of an answered picture; empty where nobody looks at it.
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
    said: str = ""
    offered: bool = False
    valid: bool = True
    thumbnail: bytes = b""
    warnings: tuple[str, ...] = ()
    digest: bytes = b""
    table: bytes | None = None


def truths(cases: Sequence[Case]) -> Truths:
    """Return the truth of files, as tables among them and their folders say it."""
    tables = [(c.name, c.table) for c in cases if c.table is not None]
    return find(
        [case.name for case in cases if case.table is None],
        [
            # of one that is too large, or one too many, no more than shows it
            (name, inflate(table) if place < MOST_TABLES else b"")
            for place, (name, table) in enumerate(tables)
        ],
    )


def inflate(table: bytes) -> bytes:
    """Return a deflated table, cut off behind what is too large to be read."""
    return zlib.decompressobj().decompress(table, MAX_BYTES + 1)


def measure(classifier: Classifier, cases: Sequence[Case]) -> dict:
    """Measure answers to labelled X-rays.

    Returns:
        `files`; `unlabelled`, and `why` of them (reason, first, count); `said` and
        `doubts` of the labels, as in `truth.Truths`; `refused` and `warned`
        (sentence and label -> count); `offered`, how many of all files are refused and
        would be answered all the same; `invalid`, how many answers mean nothing; `csv`,
        a table of all files; `wrong`, the labelled answers that are, the surest first,
        and `shown`, how many of them have a picture; `n` by label, of those answered.
        If `LEAST` of each were:
        `auroc`, `sensitivity` and `specificity` at the bundle's operating point and,
        cross-validated, at one that is chosen here, each a value with the ends of its
        95 % interval; `threshold`; `needed`, how many more X-rays of each label narrow
        these intervals; `bands`, `roc`, `reliability`; `far`, the share of labelled
        X-rays, refused ones too, that the gate does not let in; and `unlike`, the share
        that is
        framed or toned as less than 5 % of the training images at either end, by what
        is looked at.
    """
    files = [case for case in cases if case.table is None]
    known = truths(cases)
    truth = known.truth
    told = {name: LABELS[index] for name, index in truth.items()}
    of = [case for case in files if case.name in truth]
    refused = [case for case in of if case.p is None]
    # one sentence a reason: some name sizes, which differ from file to file
    says = {case.reason: case.said or case.reason for case in reversed(refused)}
    answered, copies = _once([case for case in of if case.p is not None], truth)
    y = np.array([truth[case.name] for case in answered], int)
    p = np.array([case.p for case in answered], float)
    found = {
        "files": len(files),
        "unlabelled": [case.name for case in files if case.name not in truth],
        "why": _by_reason(known.why),
        "said": known.said,
        "doubts": [*known.doubts, *copies],
        "refused": Counter((says[case.reason], told[case.name]) for case in refused),
        "warned": Counter(
            (explain(code), told[case.name])
            for case in answered
            for code in case.warnings
        ),
        "offered": sum(case.offered for case in files),
        "invalid": sum(not case.valid for case in answered),
        "csv": _table(classifier, files, told),
        "wrong": _wrong(classifier, answered, told),
        "shown": _SHOWN,
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
    seen = [*answered, *(case for case in refused if case.offered)]
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
        "far": None
        if classifier.gate is None
        else intervals.share(
            np.array([case.offered or not case.valid for case in seen])
        ),
    }  # fmt: skip


def _answer(classifier: Classifier, case: Case) -> str:
    """Return the label of a case's answer, or ""."""
    if case.p is None:
        return ""
    return LABELS[classifier.decide(case.p)[0]]


def _table(classifier: Classifier, files: Sequence[Case], told: dict[str, str]) -> str:
    """Return a row for each file as CSV: what it is called, and what came out."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(words.YOURS["columns"])
    for case in files:
        answer, truth = _answer(classifier, case), told.get(case.name, "")
        right = str(answer == truth).lower() if answer and truth else ""
        certain = case.p is not None and classifier.decide(case.p)[1]
        table.writerow(
            [
                plain(case.name),
                truth,
                answer,
                "" if case.p is None else f"{case.p:.4f}",
                str(certain).lower() if answer else "",
                right,
                str(case.valid).lower() if answer else "",
                case.reason or " ".join(case.warnings),
            ]
        )
    return text.getvalue()


def _wrong(
    classifier: Classifier, answered: Sequence[Case], told: dict[str, str]
) -> list[dict]:
    """Return the answers that are wrong, those first that were surest."""
    wrong = [
        {
            "case": case,
            "truth": told[case.name],
            "answer": _answer(classifier, case),
            "percent": percent(case.p),
            "certain": classifier.decide(case.p)[1],
            "sure": abs(case.p - classifier.threshold),
        }
        for case in answered
        if case.p is not None and _answer(classifier, case) != told[case.name]
    ]
    return sorted(wrong, key=lambda one: -one["sure"])


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
