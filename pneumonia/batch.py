"""Many files at once: one row per file, whatever the file holds."""

import csv
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TextIO

from .classifier import Classifier, Prediction, predict
from .image import ImageError
from .overlay import encode_png


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
    """Answer files, one a core at once; a bad file becomes a row and stops nothing.

    Args:
        classifier: from `load_classifier`, with one thread.
        files: from `find_files`; only a few are ever in memory.
        overlays: folder for the overlays, each named like its file with `.png` added.
        **options: `anyway` and `method` of `predict`.

    Yields:
        One row for each file, in order.
    """
    workers = os.cpu_count() or 1
    begun = deque()
    with ThreadPoolExecutor(workers) as pool:
        for path, name in files:
            begun.append(
                pool.submit(answer_file, classifier, path, name, overlays, **options)
            )
            if len(begun) > 2 * workers:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


def answer_file(
    classifier: Classifier,
    path: Path,
    name: Path,
    overlays: str | Path | None = None,
    **options,
) -> Row:
    """Answer one file, as `answer_files` does."""
    try:
        prediction = predict(
            classifier, path.read_bytes(), draw=overlays is not None, **options
        )
    except ImageError as error:
        return refused_row(str(path), error)
    except OSError:
        return Row(str(path), "error", reason="unreadable")
    if overlays is not None:
        place = Path(overlays) / name.with_name(f"{name.name}.png")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(encode_png(prediction.overlay))
    return answered_row(str(path), prediction)


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
