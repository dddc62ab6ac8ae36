"""Many files at once: one row per file, whatever the file holds."""

import csv
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import TextIO

from .classifier import Classifier
from .image import ImageError
from .overlay import encode_png
from .prediction import Prediction, predict_batch

FILES_A_RUN = 4
"""Files that share one run of the network, which then reads its weights but once."""


@dataclass(frozen=True)
class Row:
    """What became of one file.

    Attributes:
        path: the file.
        status: `ok`, `refused` by the gate, or `error`.
        label: one of LABELS; empty without an answer.
        p_pneumonia: calibrated probability with four decimals; empty without an answer.
        certain: `true` or `false`; empty without an answer.
        reason: `ImageError.reason`, or `unreadable`; with an answer the codes of its
            warnings, a space between them.
    """

    path: str
    status: str
    label: str = ""
    p_pneumonia: str = ""
    certain: str = ""
    reason: str = ""


def find_files(paths: Iterable[str | Path]) -> list[tuple[Path, Path]]:
    """List files, and all files below folders but the hidden ones.

    Returns:
        (file, its name relative to the folder that was named), folders sorted.
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.is_file())
            names = [(p, p.relative_to(path)) for p in below]
            found += [
                (p, name)
                for p, name in names
                if not any(part.startswith(".") for part in name.parts)
            ]
        else:
            found.append((path, Path(path.name)))
    return found


def answer_files(
    classifier: Classifier,
    files: Iterable[tuple[Path, Path]],
    overlays: str | Path | None = None,
    **options,
) -> Iterator[Row]:
    """Answer files on all cores; a bad file becomes a row and stops nothing.

    Args:
        classifier: from `load_classifier`, with one thread.
        files: from `find_files`; only a few are ever in memory.
        overlays: folder for the overlays, each named like its file with `.png` added.
        **options: `anyway` and `method` of `predict_batch`.

    Yields:
        One row for each file, in order.
    """
    workers = os.cpu_count() or 1
    begun = deque()
    with ThreadPoolExecutor(workers) as pool:
        for some in in_runs(files):
            begun.append(pool.submit(answer_run, classifier, some, overlays, **options))
            if len(begun) > 2 * workers:
                yield from begun.popleft().result()
        while begun:
            yield from begun.popleft().result()


def in_runs(
    files: Iterable[tuple[Path, Path]],
) -> Iterator[list[tuple[Path, Path]]]:
    """Cut files into lists of `FILES_A_RUN`, the last perhaps smaller."""
    files = iter(files)
    return iter(lambda: list(islice(files, FILES_A_RUN)), [])


def answer_run(
    classifier: Classifier,
    files: Sequence[tuple[Path, Path]],
    overlays: str | Path | None = None,
    **options,
) -> list[Row]:
    """Answer a few files in one run of the network, as `answer_files` does."""
    rows, images = {}, {}
    for path, name in files:
        try:
            images[path, name] = path.read_bytes()
        except OSError:
            rows[path, name] = Row(str(path), "error", reason="unreadable")
    draw = overlays is not None
    found = predict_batch(classifier, list(images.values()), draw=draw, **options)
    for (path, name), answer in zip(images, found, strict=True):
        if isinstance(answer, ImageError):
            rows[path, name] = refused_row(str(path), answer)
            continue
        rows[path, name] = answered_row(str(path), answer)
        if draw:
            place = Path(overlays) / name.with_name(f"{name.name}.png")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(encode_png(answer.overlay))
    return [rows[file] for file in files]


def answered_row(path: str, prediction: Prediction) -> Row:
    """Return the row of a file that has an answer."""
    return Row(
        path=path,
        status="ok",
        label=prediction.label,
        p_pneumonia=f"{prediction.probabilities['Pneumonia']:.4f}",
        certain=str(prediction.certain).lower(),
        reason=" ".join(prediction.warnings),
    )


def refused_row(path: str, error: ImageError) -> Row:
    """Return the row of a file that gets no answer."""
    status = "refused" if error.offers else "error"
    return Row(path, status, reason=error.reason)


def write_rows(rows: Iterable[Row], file: TextIO) -> tuple[int, int]:
    """Write rows as CSV, each as soon as it is known.

    Returns:
        How many rows were written, and how many of them hold no answer.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(field.name for field in fields(Row))
    count = errors = 0
    for row in rows:
        writer.writerow(astuple(row))
        count, errors = count + 1, errors + (row.status != "ok")
    return count, errors
