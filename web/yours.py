"""Does it work here? Somebody's own labelled X-rays are answered, and that is measured.

    python -m web.yours FOLDER --out report.html

FOLDER, or a zip, holds `NORMAL/` and `PNEUMONIA/`, or a table of names and labels. The
demo's tab takes the same. Nothing is kept.
"""

import argparse
import functools
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from tqdm import tqdm

from pneumonia import (
    LABELS,
    MAX_BYTES,
    NOTICE,
    Classifier,
    ImageError,
    find_files,
    load_classifier,
    percent,
    predict,
    read_anywhere,
)

from . import answer, label_cells, labelled, rates, words
from .unpack import unpack

MOST = 2000
"""How many files the demo takes at once."""

LEAST = 5
"""Answers of each label below which nothing is measured."""

_INTERRUPTED = 130  # what a shell gives a command that Ctrl-C ended
_LARGEST_ZIP = 2**30  # bytes, of one in a folder; it is held in memory


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
        table: a table of labels, which is no X-ray, deflated: a zip may hold many that
            are a thousand times as large without it. None for any other file.
    """

    name: str
    p: float | None = None
    distance: float = np.nan
    looks: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    warnings: tuple[str, ...] = ()
    table: bytes | None = None


def ask(
    classifier: Classifier,
    read: Callable,
    name: str,
    content: Callable[[], bytes],
    anyway: bool = False,
) -> Case:
    """Answer one file of `unpack`, or keep it if it is a table of labels."""
    try:
        if name.lower().endswith(labelled.SHEETS):  # what it says of itself is enough
            return Case(name, table=zlib.compress(b""))
        data = content()
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in labelled.TABLES or (
            suffix == ".txt" and label_cells.is_table(data)
        ):
            return Case(name, table=zlib.compress(data, 1))
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


def truths(cases: Sequence[Case]) -> labelled.Truths:
    """Return the truth of files, as tables among them and their folders say it."""
    return labelled.find(
        [case.name for case in cases if case.table is None],
        [(c.name, zlib.decompress(c.table)) for c in cases if c.table is not None],
    )


def measure(classifier: Classifier, cases: Sequence[Case]) -> dict:
    """Measure answers to labelled X-rays.

    Returns:
        `files`; `unlabelled`, and `why` of them (reason, first, count); `said` and
        `doubts` of the labels, as in `labelled.Truths`; `refused` and `warned` (code
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
    answered = [case for case in of if case.p is not None]
    y = np.array([truth[case.name] for case in answered], int)
    p = np.array([case.p for case in answered], float)
    found = {
        "files": len(files),
        "unlabelled": [case.name for case in files if case.name not in truth],
        "why": _by_reason(known.why),
        "said": known.said,
        "doubts": known.doubts,
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
    here = rates.youden(y, p)
    low, high = classifier.uncertain_band
    zones = {"below": p < low, "in": (p >= low) & (p <= high), "above": p > high}
    shares = {
        "sensitivity": rates.rate(sick >= at),
        "specificity": rates.rate(well < at),
    }
    distances = np.array([case.distance for case in answered])
    return found | shares | {
        "auroc": rates.auroc_with_interval(y, p),
        "threshold": here,
        "cross_validated": rates.cross_validate(y, p),
        "needed": {
            name: max(0, rates.enough(rate["value"]) - n)
            for name, rate, n in zip(
                reversed(LABELS), shares.values(), (len(sick), len(well)), strict=True
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
        "reliability": rates.reliability(y, p),
        "unlike": _unlike(classifier.facts["learned_from"], answered),
        "far": None if np.isnan(distances).all() else rates.rate(distances > 1),
    }  # fmt: skip


def _by_reason(why: dict[str, str]) -> list[tuple[str, str, int]]:
    """Return each reason with the first file that it holds for, and how many."""
    counts = Counter(why.values())
    first = {reason: name for name, reason in reversed(why.items())}
    return [(reason, first[reason], count) for reason, count in counts.most_common()]


def _unlike(usual: dict[str, list[float]], cases: Sequence[Case]) -> dict[str, dict]:
    """Return the share of cases that look unusual, by what is looked at."""
    return {
        name: rates.rate(
            np.array([not low <= case.looks[name] <= high for case in cases])
        )
        for name, (low, high) in usual.items()
        if all(name in case.looks for case in cases)
    }


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
    piece = _piece(classifier, measure(classifier, cases), left_out, stopped)
    page = answer.one_line(
        "yours_page.html", words=words, notice=NOTICE, piece=piece
    ).encode()
    keep = answer.data_uri("text/html", page)
    return answer.one_line("yours_kept.html", words=words, piece=piece, keep=keep)


def _piece(
    classifier: Classifier, found: dict, left_out: int = 0, stopped: int = 0
) -> str:
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
    parser.add_argument("folder", type=Path, help="or a zip")
    parser.add_argument("--out", type=Path, required=True, help="the page, HTML")
    parser.add_argument("--bundle", type=Path, help="default: the one that ships")
    parser.add_argument("--anyway", action="store_true", help=words.ANYWAY_MANY)
    args = parser.parse_args(arguments)
    if not args.folder.exists():
        raise SystemExit(f"error: there is no {args.folder}. Name a folder of X-rays.")
    try:
        with args.out.open("a", encoding="utf-8"):  # not after an hour of answering
            pass
    except OSError as error:
        raise SystemExit(f"error: {error.strerror}: {args.out}") from error
    classifier = load_classifier(args.bundle)
    files = [*_files(args.folder, args.out)]
    read = functools.partial(ask, classifier, read_anywhere, anyway=args.anyway)
    cases: list[Case] = []
    try:
        for name, content in tqdm(files, "answering", unit="file"):
            cases.append(read(name, content))
    except KeyboardInterrupt:  # what is answered so far is measured
        pass
    stopped = len(files) - len(cases)
    found = measure(classifier, cases)
    piece = _piece(classifier, found, stopped=stopped)
    page = answer.one_line("yours_page.html", words=words, notice=NOTICE, piece=piece)
    args.out.write_text(page, encoding="utf-8")
    for line in (*found["said"], *found["doubts"]):
        print(line)
    for reason, first, count in found["why"]:
        said = words.YOURS["unlabelled"]
        print(said.format(count=count, first=first, reason=reason))
    print(f"{len(cases)} files; the page is written to {args.out}")
    if stopped:
        print(words.STOPPED.format(count=stopped), file=sys.stderr)
        sys.exit(_INTERRUPTED)


def _files(folder: Path, page: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """List what is asked: files but the page itself, and those inside of zips."""
    for path, name in find_files([folder]):
        if path.exists() and path.samefile(page):
            continue
        files = name.as_posix(), functools.partial(_content, path)
        if name.suffix.lower() != ".zip":
            yield files
            continue
        above = "" if path == folder else f"{name.as_posix()}/"
        try:
            content = path.read_bytes() if path.stat().st_size <= _LARGEST_ZIP else b""
        except OSError:
            content = b""
        for member, inside in unpack([(name.name, content)]):
            yield (f"{above}{member}", inside) if content else files


def _content(path: Path) -> bytes:
    """Return a file's bytes, but of one that is too large no more than shows it.

    Raises:
        ImageError: it can't be opened.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError("unreadable", f"{error.strerror}: {path}") from error


if __name__ == "__main__":
    main()
