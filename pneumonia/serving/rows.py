"""The table of answers to many files: a row for each, written and gone on with."""

import contextlib
import csv
import io
import sys
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TextIO

from ..reading.picture import ImageError
from .lock import HeldError, hold
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
        place: where the evidence lies, one of `zones.PLACES`; empty without an answer.
        partly_outside: `true` or `false`, as in `Prediction`; likewise.
        sides_known: `true` where right and left are the patient's, `false` where they
            are those of a picture that is not mirrored; likewise.
        valid: `true`; `false` where the answer means nothing, because the gate refuses
            the file and was overruled; likewise.
    """

    path: str
    status: str
    label: str = ""
    p_pneumonia: str = ""
    certain: str = ""
    reason: str = ""
    place: str = ""
    partly_outside: str = ""
    sides_known: str = ""
    valid: str = ""


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
        place=prediction.place,
        partly_outside=str(prediction.partly_outside).lower(),
        sides_known=str(prediction.sides_known).lower(),
        valid=str(prediction.valid).lower(),
    )


def refused_row(path: str, error: ImageError) -> Row:
    """Return the row of a file that gets no answer."""
    status = "refused" if error.offers else "error"
    return Row(printable(path), status, reason=error.reason)


def _line(cells: Iterable[str]) -> str:
    cells, text = [*cells], io.StringIO()
    # Python leaves this one bare, and then does not read it; Finder's icons have it
    all_of = "\r" in "".join(cells)
    csv.writer(
        text,
        lineterminator="\n",
        quoting=csv.QUOTE_ALL if all_of else csv.QUOTE_MINIMAL,
    ).writerow(cells)
    return text.getvalue()


def write_rows(rows: Iterable[Row], file: TextIO, head: bool = True) -> tuple[int, int]:
    """Write rows as CSV, each as soon as it is known.

    Args:
        rows: to write.
        file: where.
        head: begin with the names of the columns.

    Returns:
        How many rows were written, and how many of them hold no answer.
    """
    if head:
        file.write(_line(_COLUMNS))
    count = errors = 0
    for row in rows:
        file.write(_line(astuple(row)))
        count, errors = count + 1, errors + (row.status != "ok")
    return count, errors


def answered(table: Path) -> set[str]:
    """Return the paths that have a row in a table."""
    with table.open(newline="", encoding="utf-8") as file:
        return {row["path"] for row in csv.DictReader(file)}


class Table:
    """A CSV file that this process alone adds rows to, each as soon as it is known.

    Whatever ends it, the file holds whole rows: after a stop and on a full disk.
    Another process that wants to write it is refused.

    Attributes:
        locked: whether others are kept out; some file systems have no locks.
    """

    def __init__(self, path: Path, go_on: bool = False):
        """Open a file, or begin it.

        Args:
            path: the file.
            go_on: add to a table that is there. A last row that was cut short is taken
                away.

        Raises:
            TableError: another process writes it, or it holds something else.
        """
        self._path, self._added, self.locked = path, set[str](), True
        self._end = 0
        plain = path.is_file() or not path.exists()  # and no pipe or device
        self._file = path.open("a+b" if plain else "ab", buffering=0)
        try:
            if plain:
                self._take(go_on)
            else:
                self._write(_COLUMNS)
        except BaseException:
            self._file.close()
            raise

    def _take(self, go_on: bool) -> None:
        try:
            self.locked = hold(self._file.fileno())
        except HeldError:
            raise TableError(
                f"another predict writes {self._path}. Wait until it has ended, or "
                "name another file."
            ) from None
        self._file.seek(0)
        content = self._file.read()
        if content and not go_on:
            raise TableError(
                f"{self._path} is there already. Add --resume to go on with it, or "
                "name another file."
            )
        try:
            rows, end = _whole_rows(content)
        except csv.Error:
            rows = []
        if not rows and not _line(_COLUMNS).encode().startswith(content):
            rows, end = [[content.decode(errors="replace").partition("\n")[0]]], 0
        if rows[:1] not in ([], [_COLUMNS]):
            raise TableError(
                f"{self._path} is no table of answers: it begins with "
                f"{','.join(rows[0])[:60]!r}. Expected {','.join(_COLUMNS)}. Name "
                "another file."
            )
        self._file.truncate(end)
        self._end = end
        if not rows:
            self._write(_COLUMNS)

    def add(self, row: Row) -> None:
        """Write a row.

        Raises:
            OSError: there is no room. The file is as it was before.
        """
        self._write(astuple(row))
        self._added.add(row.path)

    def _write(self, cells: Iterable[str]) -> None:
        left = _line(cells).encode()
        end = self._end + len(left)
        try:
            while left:  # a disk that fills up takes a part first
                left = left[self._file.write(left) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
            raise OSError(error.errno, error.strerror, str(self._path)) from None
        self._end = end

    def paths(self) -> set[str]:
        """Return the paths that have a row, as the file itself says it."""
        if not self._file.readable():  # a pipe
            return self._added
        self._file.seek(0)
        return {row[0] for row in _whole_rows(self._file.read())[0][1:]}

    def close(self) -> None:
        """Let others write it."""
        self._file.close()


class Printed:
    """Standard output, to which rows are added as to a `Table`."""

    locked = True

    def __init__(self) -> None:
        """Begin with the names of the columns."""
        self._added: set[str] = set()
        sys.stdout.write(_line(_COLUMNS))

    def add(self, row: Row) -> None:
        """Write a row."""
        sys.stdout.write(_line(astuple(row)))
        sys.stdout.flush()
        self._added.add(row.path)

    def paths(self) -> set[str]:
        """Return the paths that have a row."""
        return self._added

    def close(self) -> None:
        """Do nothing: others may go on with it."""


def _whole_rows(content: bytes) -> tuple[list[list[str]], int]:
    """Return the rows of a table but a last one that is cut short, and where they end.

    Raises:
        csv.Error: it is no table.
    """
    ends = [0]
    rows: list[list[str]] = []

    def lines() -> Iterator[str]:
        for line in content.split(b"\n"):
            ends[-1] = min(ends[-1] + len(line) + 1, len(content))
            yield line.decode(errors="replace") + "\n"

    for row in csv.reader(lines()):
        rows.append(row)
        ends.append(ends[-1])
    rows, ends = rows[:-1] if rows[-1:] == [[]] else rows, [0, *ends]
    if rows and (not content.endswith(b"\n") or len(rows[-1]) < len(_COLUMNS)):
        rows.pop()
    return [row for row in rows if row], ends[len(rows)]
