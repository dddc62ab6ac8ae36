"""The table of answers to many files: a row for each, written and gone on with.

As CSV, whose columns are only ever appended to, and as JSON lines, which say more.
"""

import contextlib
import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, TextIO

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
        more: what JSON lines say besides, ready to be written.
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
    more: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


_COLUMNS = [column.name for column in fields(Row) if column.name != "more"]
_FLAGS = {"certain", "partly_outside", "sides_known", "valid"}


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
        more={
            "verdict": prediction.verdict,
            "zone": _fullest(prediction.evidence_zones),
            "evidence_zones": _rounded(prediction.evidence_zones),
            "evidence_outside": round(float(prediction.evidence_outside), 4),
            "box": [round(float(side), 4) for side in prediction.box],
            "method": prediction.method,
            "warnings": [*prediction.warnings],
        },
    )


def _fullest(zones: dict[str, float]) -> str | None:
    """Return the zone with the most evidence, if any has some."""
    zone = max(zones, key=zones.__getitem__)
    return zone if zones[zone] else None


def _rounded(shares: dict[str, float]) -> dict[str, float]:
    return {name: round(float(share), 4) for name, share in shares.items()}


def refused_row(path: str, error: ImageError) -> Row:
    """Return the row of a file that gets no answer."""
    status = "refused" if error.offers else "error"
    said = {"message": str(error)}
    return Row(printable(path), status, reason=error.reason, more=said)


def as_json(row: Row) -> str:
    """Return a row as one line of JSON, in ASCII letters, which no terminal spoils.

    The columns come first, under their names: numbers and truth values as such, and
    null where a cell is empty. The codes of an answer's warnings are a list, so
    `reason` is only ever why there is no answer.
    """
    cells: dict[str, Any] = {name: value or None for name, value in _cells(row)}
    for name in _FLAGS:
        cells[name] = cells[name] and cells[name] == "true"
    if row.status == "ok":
        cells |= {"p_pneumonia": float(row.p_pneumonia), "reason": None}
    return json.dumps(cells | row.more) + "\n"


def _cells(row: Row) -> Iterator[tuple[str, str]]:
    return ((name, getattr(row, name)) for name in _COLUMNS)


def _as_csv(row: Row) -> str:
    return _line(cell for _, cell in _cells(row))


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
        file.write(_as_csv(row))
        count, errors = count + 1, errors + (row.status != "ok")
    return count, errors


def answered(table: Path) -> set[str]:
    """Return the paths that have a row in a table."""
    with table.open(newline="", encoding="utf-8") as file:
        return {row["path"] for row in csv.DictReader(file)}


def key(path: str | Path) -> int:
    """Return a number for a file, however it is spelled; of this process alone.

    Tables are looked up by it, for there may be millions of rows, and a path takes four
    times the memory. Two of a million are alike in one table of 30 million.
    """
    path = str(path)
    if not path.startswith("/") and os.sep == "/":
        path = f"{os.getcwd()}/{path}"  # noqa: PTH109 (a million times, maybe)
    if os.sep != "/" or "//" in path or "/./" in path or path.endswith(("/", "/.")):
        path = str(Path(path).absolute())
    return hash(path if path.isascii() else printable(path))


class Table:
    """A CSV file that this process alone adds rows to, each as soon as it is known.

    Whatever ends it, the file holds whole rows: after a stop and on a full disk.
    Another process that wants to write it is refused.

    Attributes:
        locked: whether others are kept out; some file systems have no locks.
    """

    head = _line(_COLUMNS)
    _expected = ",".join(_COLUMNS)
    written = staticmethod(_as_csv)

    def __init__(self, path: Path, go_on: bool = False):
        """Open a file, or begin it.

        Args:
            path: the file.
            go_on: add to a table that is there. A last row that was cut short is taken
                away.

        Raises:
            TableError: another process writes it, or it holds something else.
        """
        self._path, self._keys, self.locked = path, set[int](), True
        self._end = 0
        plain = path.is_file() or not path.exists()  # and no pipe or device
        self._file = path.open("a+b" if plain else "ab", buffering=0)
        try:
            if plain:
                self._take(go_on)
            else:
                self._write(self.head)
        except BaseException:
            self._file.close()
            raise

    def _take(self, go_on: bool) -> None:
        try:
            self.locked = hold(self._file.fileno())
        except HeldError:
            raise TableError(
                f"another process writes {self._path}. Wait until it has ended, or "
                "name another file."
            ) from None
        size = self._file.seek(0, os.SEEK_END)
        if size and not go_on:
            raise TableError(
                f"{self._path} is there already. Add --resume to go on with it, or "
                "name another file."
            )
        self._file.seek(0)
        buffered = io.BufferedReader(self._file, 2**20)
        self._keys.update(map(key, self._read(buffered)))
        buffered.detach()
        self._file.truncate(self._end)
        if not self._end:
            self._write(self.head)

    def _read(self, file: BinaryIO) -> Iterator[str]:
        """Yield the paths of whole rows, and leave in `_end` where these end.

        Raises:
            TableError: it is no such table.
        """
        end = begun = 0

        def lines() -> Iterator[str]:
            nonlocal end
            for line in file:
                end += len(line)
                yield line.decode(errors="replace")
                if not line.endswith(b"\n"):
                    return

        held: list[str] = []  # until another row shows that it is whole
        try:
            for row in csv.reader(lines()):
                if held:
                    yield from self._paths_in(held)
                    self._end = begun
                held, begun = row or held, end
        except csv.Error as error:
            raise self._damaged(error) from None
        file.seek(max(0, begun - 1))
        if len(held) >= len(_COLUMNS) and file.read(1) == b"\n":
            yield from self._paths_in(held)
            self._end = begun
        if not self._end:
            file.seek(0)
            content = file.read(len(self.head) + 100)
            if not self.head.encode().startswith(content):
                raise self._no_table(content)

    def _paths_in(self, row: list[str]) -> list[str]:
        if self._end:
            return row[:1]
        if row != _COLUMNS:
            raise self._no_table(_line(row).encode())
        return []

    def _damaged(self, why: object) -> TableError:
        return TableError(
            f"{self._path} is damaged: what follows its byte {self._end} is no row "
            f"({why}). Mend it, or name another file."
        )

    def _no_table(self, content: bytes) -> TableError:
        begins = content.decode(errors="replace").partition("\n")[0]
        return TableError(
            f"{self._path} is no table of answers: it begins with {begins[:60]!r}. "
            f"Expected {self._expected}. Name another file."
        )

    def __contains__(self, path: str | Path) -> bool:
        """Tell whether a file had a row from the start, however either spells it."""
        return key(path) in self._keys

    def __len__(self) -> int:
        """Return how many rows there were from the start."""
        return len(self._keys)

    def in_place(self) -> bool:
        """Tell whether the file still lies where it was opened."""
        try:
            there = self._path.stat()
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._file.fileno()))

    def add(self, row: Row) -> None:
        """Write a row.

        Raises:
            OSError: there is no room. The file is as it was before.
        """
        self._write(self.written(row))

    def _write(self, line: str) -> None:
        left = line.encode()
        end = self._end + len(left)
        try:
            while left:  # a disk that fills up takes a part first
                left = left[self._file.write(left) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
            raise OSError(error.errno, error.strerror, str(self._path)) from None
        self._end = end

    def close(self) -> None:
        """Let others write it."""
        self._file.close()


class Lines(Table):
    """The same with JSON lines."""

    head = ""
    _expected = 'lines of JSON, {"path": ...}'
    written = staticmethod(as_json)

    def _read(self, file: BinaryIO) -> Iterator[str]:
        start = b'{"path": "'
        for line in file:
            try:
                path = _path_in(line)
            except ValueError as error:
                if not self._end and not start.startswith(line[: len(start)]):
                    raise self._no_table(line) from None
                if file.read(1):
                    raise self._damaged(error) from None
                return  # the last one, which was cut short
            yield path
            self._end += len(line)


def _path_in(line: bytes) -> str:
    """Return the path that a line of JSON begins with.

    Raises:
        ValueError: it is no such line.
    """
    text = line.decode()
    if not text.endswith("}\n"):
        raise ValueError("it has no end")
    if text.startswith('{"path": "'):  # as `as_json` writes it: no need for the rest
        return json.JSONDecoder().raw_decode(text, len('{"path": '))[0]
    path = json.loads(text).get("path")
    if not isinstance(path, str):
        raise ValueError("it has no path")
    return path


class Printed:
    """Standard output, to which rows are added as to a table of some form."""

    locked = True

    def __init__(self, form: type[Table] = Table):
        """Begin it."""
        self._form = form
        sys.stdout.write(form.head)

    def __contains__(self, path: str | Path) -> bool:
        """Tell that no file had a row from the start."""
        return False

    def add(self, row: Row) -> None:
        """Write a row, for whoever reads it now."""
        sys.stdout.write(self._form.written(row))
        sys.stdout.flush()

    def close(self) -> None:
        """Do nothing: others may go on with it."""
