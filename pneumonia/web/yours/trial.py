"""Does it work here? Somebody's own labelled X-rays are answered, and that is measured.

    python -m pneumonia yours FOLDER --out report.html

FOLDER, or a zip, holds `NORMAL/` and `PNEUMONIA/`, or a table of names and labels. The
demo's tab takes the same. Nothing is kept.
"""

import functools
import hashlib
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from pneumonia import (
    LABELS,
    MAX_BYTES,
    Classifier,
    ImageError,
    find_files,
    load_classifier,
    percent,
    predict,
    read_anywhere,
)

from ...contract import NOTICE
from .. import answer, tables, words
from ..unpack import SHEETS, unpack
from . import cells, truth
from .figures import LEAST, Case, measure

MOST = 5000
"""How many files the demo takes at once."""

MAX_TOTAL = 512 * 2**20
"""Largest sum of what the demo takes at once, in bytes; it is sent in parts."""

_LARGEST_ZIP = 2**30  # bytes, of one in a folder; it is held in memory


def ask(
    classifier: Classifier,
    read: Callable,
    name: str,
    content: Callable[[], bytes],
    anyway: bool = False,
) -> Case:
    """Answer one file of `unpack`, or keep it if it is a table of labels."""
    try:
        if name.lower().endswith(SHEETS):  # what it says of itself is enough
            return Case(name, table=zlib.compress(b""))
        data = content()
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in truth.TABLES or (suffix == ".txt" and cells.is_table(data)):
            return Case(name, table=zlib.compress(data, 1))
        found = predict(classifier, data, anyway=anyway, read=read)
    except ImageError as error:
        offered = "anyway" in error.offers
        return Case(name, reason=error.reason, said=str(error), offered=offered)
    top, bottom, left, right = map(float, found.box)
    looks = {
        "height": bottom - top,
        "width": right - left,
        "brightness": float(found.pixels.mean()) / 255,
        "contrast": float(found.pixels.std()) / 255,
    }
    return Case(
        name,
        found.p_pneumonia,
        found.distance,
        looks,
        valid=found.valid,
        thumbnail=tables.thumbnail(found.pixels),
        warnings=found.warnings,
        digest=hashlib.sha256(data).digest(),
    )


def render(
    classifier: Classifier, cases: Sequence[Case], left_out: int = 0, stopped: int = 0
) -> str:
    """Return what was measured as one line of HTML.

    Args:
        classifier: what answered.
        cases: from `ask`.
        left_out: how many were too many to be asked.
        stopped: how many were not reached when somebody stopped.
    """
    return _piece(classifier, measure(classifier, cases), left_out, stopped, cases)


def page(piece: str) -> str:
    """Return a whole page around what `render` returns."""
    return answer.one_line("yours_page.html", words=words, notice=NOTICE, piece=piece)


def _piece(
    classifier: Classifier,
    found: dict,
    left_out: int = 0,
    stopped: int = 0,
    cases: Sequence[Case] = (),
) -> str:
    low, high = (f"{edge:.0%}" for edge in classifier.uncertain_band)
    places = {case.name: place for place, case in enumerate(cases)}
    return answer.one_line(
        "yours.html",
        words=words,
        said=words.YOURS,
        labels=LABELS,
        found=found,
        least=LEAST,
        figure=_figure,
        places=places,
        picture=functools.partial(answer.data_uri, "image/jpeg"),
        table=answer.data_uri("text/csv", found["csv"].encode()),
        percent=percent,
        sha256=classifier.sha256,
        bands={k: v.format(low=low, high=high) for k, v in words.BANDS.items()},
        left_out=left_out and words.LEFT_OUT.format(count=left_out, limit=MOST),
        stopped=stopped and words.STOPPED.format(count=stopped),
    )


def _figure(found: dict, digits: str = ".1%") -> str:
    value, ends = found["value"], found["ci95"]
    return f"{value:{digits}} ({ends[0]:{digits}} to {ends[1]:{digits}})"


def run(
    folder: Path, out: Path, bundle: Path | None = None, anyway: bool = False
) -> None:
    """Measure a folder and write the page.

    Args:
        folder: or a zip.
        out: the page, HTML.
        bundle: of weights; None: the one that ships.
        anyway: answer what would be refused, too.

    Raises:
        SystemExit: there is nothing to read.
        OSError: there is nowhere to write.
        KeyboardInterrupt: somebody stopped it; what was answered by then is written.
    """
    if not folder.exists():
        raise SystemExit(f"error: there is no {folder}. Name a folder of X-rays.")
    with out.open("a", encoding="utf-8"):  # not after an hour of answering
        pass
    classifier = load_classifier(bundle)
    files = [*_files(folder, out)]
    read = functools.partial(ask, classifier, read_anywhere, anyway=anyway)
    cases: list[Case] = []
    stop = None
    try:
        for name, content in tqdm(files, "answering", unit="file"):
            cases.append(read(name, content))
    except KeyboardInterrupt as asked:  # what is answered so far is measured
        stop = asked
    stopped = len(files) - len(cases)
    found = measure(classifier, cases)
    piece = _piece(classifier, found, stopped=stopped)
    out.write_text(page(piece), encoding="utf-8")
    for line in (*found["said"], *found["doubts"]):
        print(line)
    for reason, first, count in found["why"]:
        said = words.YOURS["unlabelled"]
        print(said.format(count=count, first=first, reason=reason))
    if found["offered"]:
        print(words.YOURS["offer_command"].format(count=found["offered"]))
    print(f"{len(cases)} files; the page is written to {out}")
    if stop:
        print(words.STOPPED.format(count=stopped), file=sys.stderr)
        raise stop


def _files(folder: Path, page: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """List what is asked: files but the page itself, and those inside of zips."""
    for path, name in find_files([folder]):
        if path.exists() and path.samefile(page):
            continue
        # a name may hold bytes that are no letters, which no page can
        plain = name.as_posix().encode("utf-8", "backslashreplace").decode()
        files = plain, functools.partial(_content, path)
        if name.suffix.lower() != ".zip":
            yield files
            continue
        above = "" if path == folder else f"{plain}/"
        try:
            content = path.read_bytes() if path.stat().st_size <= _LARGEST_ZIP else b""
        except OSError:
            content = b""
        for member, inside in unpack([(PurePosixPath(plain).name, content)]):
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
