"""The table of answers to many files: a row for each, written and gone on with."""

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TextIO

from .picture import ImageError
from .prediction import Prediction


class TableError(ValueError):
    """A file can't take rows, or holds something else."""


@dataclass(frozen=True)
class Row:
    """What became of one file.

    Attributes:
        path: the file, as `printable` writes it.
        status: `ok`, `refused` by the gate, or `error`.
        label: one of LABELS; empty without an answer.
        p_pneumonia: calibrated probability with four decimals; empty without an answer.
        certain: `true` or `false`; empty without an answer.
        reason: `ImageError.reason`, or `unreadable`; with an answer the codes of its
            warnings, a space between them.
        zone: where the evidence lies, as a sentence; empty without an answer.
    """

    path: str
    status: str
    label: str = ""
    p_pneumonia: str = ""
    certain: str = ""
    reason: str = ""
    zone: str = ""


_COLUMNS = [field.name for field in fields(Row)]


def printable(path: str | Path) -> str:
    """Return a path as text that any file can hold.

    Bytes that are no UTF-8, which a file system allows in names, become escapes.
    """
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def answered_row(path: str, prediction: Prediction) -> Row:
    """Return the row of a file that has an answer."""
    return Row(
        path=printable(path),
        status="ok",
        label=prediction.label,
        p_pneumonia=f"{prediction.p_pneumonia:.4f}",
        certain=str(prediction.certain).lower(),
        reason=" ".join(prediction.warnings),
        zone=prediction.zone,
    )


def refused_row(path: str, error: ImageError) -> Row:
    """Return the row of a file that gets no answer."""
    status = "refused" if error.offers else "error"
    return Row(printable(path), status, reason=error.reason)


def write_rows(rows: Iterable[Row], file: TextIO, head: bool = True) -> tuple[int, int]:
    """Write rows as CSV, each as soon as it is known.

    Args:
        rows: to write.
        file: where.
        head: begin with the names of the columns.

    Returns:
        How many rows were written, and how many of them hold no answer.
    """
    writer = csv.writer(file, lineterminator="\n")
    if head:
        writer.writerow(_COLUMNS)
    count = errors = 0
    for row in rows:
        writer.writerow(astuple(row))
        count, errors = count + 1, errors + (row.status != "ok")
    return count, errors


def answered(table: Path) -> set[str]:
    """Return the paths that have a row in a table."""
    with table.open(newline="", encoding="utf-8") as file:
        return {row["path"] for row in csv.DictReader(file)}


def go_on(table: Path) -> set[str]:
    """Mend a table whose writer was stopped, so that rows can be added.

    A last row that was cut short is taken away. A table that is missing is begun.

    Returns:
        The paths that have a row.

    Raises:
        TableError: the file holds something else.
    """
    text = table.read_bytes().decode(errors="replace") if table.exists() else ""
    found = list(csv.reader(io.StringIO(text, newline="")))
    if found and (not text.endswith("\n") or len(found[-1]) < len(_COLUMNS)):
        found.pop()
    if found[:1] not in ([], [_COLUMNS]):
        raise TableError(
            f"{table} is no table of answers: it begins with "
            f"{','.join(found[0])[:60]!r}. Expected {','.join(_COLUMNS)}. Name another "
            "file."
        )
    mended = table.with_name(f".{table.name}.unfinished")
    with mended.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(found or [_COLUMNS])
    mended.replace(table)
    return {row[0] for row in found[1:]}
