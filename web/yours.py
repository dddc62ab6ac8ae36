"""Does it work here? Somebody's own labelled X-rays are answered, and that is measured.

    python -m web.yours FOLDER --out report.html

FOLDER holds `NORMAL/` and `PNEUMONIA/`, or a CSV file of names and labels. The demo's
tab takes the same in a zip. Nothing is kept.
"""

import argparse
import csv
import functools
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from tqdm import tqdm

from pneumonia import (
    LABELS,
    NOTICE,
    Classifier,
    ImageError,
    find_files,
    load_classifier,
    percent,
    predict,
    read_anywhere,
)

from . import answer, words

MOST = 2000
"""How many files the demo takes at once."""

LEAST = 5
"""Answers of each label below which nothing is measured."""

_ROUNDS, _FOLDS, _BINS = 500, 10, 5  # of bootstrap, cross-validation, reliability
_NARROW = 0.05  # half of the width that an interval shall have
_Z = 1.96


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
        table: the text of a CSV file of labels, which is no X-ray.
    """

    name: str
    p: float | None = None
    distance: float = np.nan
    looks: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    warnings: tuple[str, ...] = ()
    table: str = ""


def ask(
    classifier: Classifier,
    read: Callable,
    name: str,
    content: Callable[[], bytes],
    anyway: bool = False,
) -> Case:
    """Answer one file of `many.unpack`, or keep it if it is a table of labels."""
    try:
        data = content()
        if name.lower().endswith(".csv"):
            return Case(name, table=data.decode("utf-8-sig", "replace"))
        found = predict(classifier, data, anyway=anyway, read=read)
    except ImageError as error:
        return Case(name, reason=error.reason)
    top, bottom, left, right = map(float, found.box)
    looks = {
        "height": bottom - top,
        "width": right - left,
        "brightness": float(found.pixels.mean()) / 255,
        "contrast": float(found.pixels.std()) / 255,
    }
    return Case(name, found.p_pneumonia, found.distance, looks, warnings=found.warnings)


def label(cases: Sequence[Case]) -> dict[str, int]:
    """Return the truth of each file that has one, an index into LABELS, by name.

    A table of names and labels comes before the folders that a file lies in. Case and
    spaces around a label do not matter.
    """
    known = {name.upper(): index for index, name in enumerate(LABELS)}
    said = {}
    for case in cases:
        for row in csv.reader(io.StringIO(case.table)):
            cells = [cell.strip() for cell in row]
            labels = [known[c.upper()] for c in cells[1:] if c.upper() in known]
            if labels:
                said[cells[0]] = said[PurePosixPath(cells[0]).name] = labels[0]
    found = {}
    for case in cases:
        path = PurePosixPath(case.name)
        of_folders = [known[p.strip().upper()] for p in path.parent.parts[::-1]
                      if p.strip().upper() in known]  # fmt: skip
        truth = said.get(case.name, said.get(path.name, next(iter(of_folders), None)))
        if truth is not None and not case.table:
            found[case.name] = truth
    return found


def measure(classifier: Classifier, cases: Sequence[Case]) -> dict:
    """Measure answers to labelled X-rays.

    Returns:
        `files`, `unlabelled`, `refused` and `warned` (code and label -> count); `n` by
        label, of those answered. If `LEAST` of each were: `auroc`, `sensitivity` and
        `specificity` at the bundle's operating point and, cross-validated, at one that
        is chosen here, each a value with the ends of its 95 % interval; `threshold`;
        `needed`, how many more X-rays of each label narrow these intervals; `zones`,
        `roc`, `reliability`; `far`, the share that is farther from the training images
        than the gate lets in; and `unlike`, the share that is framed or toned as less
        than 5 % of the training images at either end, by what is looked at.
    """
    files = [case for case in cases if not case.table]
    truths = label(cases)
    told = {name: LABELS[truth] for name, truth in truths.items()}
    of = [case for case in files if case.name in truths]
    refused = Counter((case.reason, told[case.name]) for case in of if case.p is None)
    answered = [case for case in of if case.p is not None]
    y = np.array([truths[case.name] for case in answered], int)
    p = np.array([case.p for case in answered], float)
    found = {
        "files": len(files),
        "unlabelled": [case.name for case in files if case.name not in truths],
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
    here = _youden(y, p)
    low, high = classifier.uncertain_band
    zones = {"below": p < low, "in": (p >= low) & (p <= high), "above": p > high}
    rates = {"sensitivity": _rate(sick >= at), "specificity": _rate(well < at)}
    distances = np.array([case.distance for case in answered])
    return found | rates | {
        "auroc": _auroc_with_interval(y, p),
        "threshold": here,
        "cross_validated": _cross_validate(y, p),
        "needed": {
            name: max(0, _enough(rate["value"]) - n)
            for name, rate, n in zip(
                reversed(LABELS), rates.values(), (len(sick), len(well)), strict=True
            )
        },
        "zones": {
            name: [int((there & (y == i)).sum()) for i in (0, 1)]
            for name, there in zones.items()
        },
        "roc": [
            [float((well >= t).mean()), float((sick >= t).mean())]
            for t in np.unique(p)[::-1]
        ],
        "reliability": _reliability(y, p),
        "unlike": _unlike(classifier.facts["learned_from"], answered),
        "far": None if np.isnan(distances).all() else _rate(distances > 1),
    }  # fmt: skip


def _unlike(usual: dict[str, list[float]], cases: Sequence[Case]) -> dict[str, dict]:
    """Return the share of cases that look unusual, by what is looked at."""
    return {
        name: _rate(np.array([not low <= case.looks[name] <= high for case in cases]))
        for name, (low, high) in usual.items()
        if all(name in case.looks for case in cases)
    }


def _rate(right: np.ndarray, odds: float = 1.0) -> dict:
    """Return a share with its 95 % interval (Wilson 1927); True weighs `odds` times."""
    n, share = len(right), float(right.mean())
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    ends = np.array([share, middle - half, middle + half])
    share, *ends = (ends * odds / (ends * odds + 1 - ends)).tolist()
    return {"value": share, "ci95": ends}


def _enough(share: float) -> int:
    """Return how many make an interval of a share as narrow as it shall be."""
    spread = max(share * (1 - share), 0.02)  # few may be right by chance alone
    return int(np.ceil(spread * (_Z / _NARROW) ** 2))


def _auroc(y: np.ndarray, p: np.ndarray) -> float:
    values, places, counts = np.unique(p, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]  # of equals, their mean
    sick = int(y.sum())
    return float((ranks[y == 1].mean() - (sick + 1) / 2) / (len(y) - sick))


def _auroc_with_interval(y: np.ndarray, p: np.ndarray) -> dict:
    """Return the AUROC with its interval by bootstrap over images of each label."""
    rng = np.random.default_rng(0)
    places = [np.flatnonzero(y == i) for i in (0, 1)]
    drawn = []
    for _ in range(_ROUNDS):
        some = np.concatenate([rng.choice(of, len(of)) for of in places])
        drawn.append(_auroc(y[some], p[some]))
    return {"value": _auroc(y, p), "ci95": np.percentile(drawn, [2.5, 97.5]).tolist()}


def _youden(y: np.ndarray, p: np.ndarray) -> float:
    """Return where sensitivity plus specificity is greatest."""
    places = np.unique(p)
    sick, well = np.sort(p[y == 1]), np.sort(p[y == 0])
    found = 1 - np.searchsorted(sick, places) / len(sick)
    left = np.searchsorted(well, places) / len(well)
    return float(places[np.argmax(found + left)])


def _cross_validate(y: np.ndarray, p: np.ndarray) -> dict:
    """Choose a threshold on nine tenths and apply it to the last, ten times."""
    order = np.random.default_rng(0).permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]  # both labels in each part
    fold = np.empty(len(y), int)
    fold[order] = np.arange(len(y)) % _FOLDS
    said = np.empty(len(y), bool)
    for number in range(_FOLDS):
        held = fold == number
        said[held] = p[held] >= _youden(y[~held], p[~held])
    return {"sensitivity": _rate(said[y == 1]), "specificity": _rate(~said[y == 0])}


def _reliability(y: np.ndarray, p: np.ndarray) -> list[dict]:
    place = np.minimum((p * _BINS).astype(int), _BINS - 1)
    odds = (1 - y).sum() / y.sum()  # so that both labels weigh alike
    bins = [place == number for number in np.unique(place)]
    stated = [float(np.average(p[there], weights=odds ** y[there])) for there in bins]
    return [
        {"n": int(there.sum()), "stated": mean} | _rate(y[there] == 1, odds)
        for there, mean in zip(bins, stated, strict=True)
    ]


def render(
    classifier: Classifier, cases: Sequence[Case], left_out: int = 0, stopped: int = 0
) -> str:
    """Return what was measured as one line of HTML, and the same as a page to keep.

    Args:
        classifier: what answered.
        cases: from `ask`.
        left_out: how many were too many to be asked.
        stopped: how many were not reached when somebody stopped.
    """
    piece = _piece(classifier, cases, left_out, stopped)
    page = answer.one_line(
        "yours_page.html", words=words, notice=NOTICE, piece=piece
    ).encode()
    keep = answer.data_uri("text/html", page)
    return answer.one_line("yours_kept.html", words=words, piece=piece, keep=keep)


def _piece(classifier: Classifier, cases, left_out: int = 0, stopped: int = 0) -> str:
    found = measure(classifier, cases)
    low, high = (f"{edge:.0%}" for edge in classifier.uncertain_band)
    return answer.one_line(
        "yours.html",
        words=words,
        said=words.YOURS,
        labels=LABELS,
        found=found,
        least=LEAST,
        figure=_figure,
        percent=percent,
        sha256=classifier.sha256,
        zones={k: v.format(low=low, high=high) for k, v in words.ZONES.items()},
        left_out=left_out and words.LEFT_OUT.format(count=left_out, limit=MOST),
        stopped=stopped and words.STOPPED.format(count=stopped),
    )


def _figure(found: dict, digits: str = ".1%") -> str:
    value, ends = found["value"], found["ci95"]
    return f"{value:{digits}} ({ends[0]:{digits}} to {ends[1]:{digits}})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure a folder and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="the page, HTML")
    parser.add_argument("--bundle", type=Path, help="default: the one that ships")
    parser.add_argument("--anyway", action="store_true", help=words.ANYWAY_MANY)
    args = parser.parse_args(arguments)
    classifier = load_classifier(args.bundle)
    files = tqdm([*find_files([args.folder])], "answering", unit="file")
    read = functools.partial(ask, classifier, read_anywhere, anyway=args.anyway)
    cases = [read(name.as_posix(), path.read_bytes) for path, name in files]
    piece = _piece(classifier, cases)
    page = answer.one_line("yours_page.html", words=words, notice=NOTICE, piece=piece)
    args.out.write_text(page, encoding="utf-8")
    print(f"{len(cases)} files; the page is written to {args.out}")


if __name__ == "__main__":
    main()
