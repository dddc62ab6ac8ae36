"""A table of labels as somebody saved it: bytes to rows of text."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator

from ..tab_words import LABELLED

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark begins it
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_DELIMITERS = ",;\t|"
_SAMPLE = 16 * 1024  # characters that show what parts the columns
_COLUMNS, _CELLS = 1000, 8_000_000  # a row for each X-ray of the largest public sets


def cells(content: bytes) -> list[list[str]]:
    """Return the rows of a table as text, without empty ones, each as long as it is.

    Commas, semicolons, tabs or `|` part the columns, and a line `sep=;` says which.
    UTF-8, UTF-16 and the code page 1252 of Windows are read.

    Raises:
        csv.Error: a quotation mark is never closed.
    """
    text = _decode(content)
    said = re.match(r"sep=(.)\r?\n", text)
    if said:
        text = text[said.end() :]
    delimiter = said[1] if said else _delimiter(text)
    # a table of another system may end its lines in any way
    _check_quotes(text, delimiter)
    reader = _reader(text, delimiter)
    rows, width, count = [], 0, 0
    for row in reader:
        stripped = [_bare(cell) for cell in row]
        if any(stripped):
            rows.append(stripped)
            width = max(width, len(row))  # they are made level in the end
        count += 1 + len(row)
        if len(row) > _COLUMNS or count > _CELLS or len(rows) * width > _CELLS:
            raise csv.Error(LABELLED["cells"].format(columns=_COLUMNS, cells=_CELLS))
    return rows


def _bare(cell: str) -> str:
    """Return a cell without spaces, and without what Excel or others put around it.

    `="0001"` keeps the zeros in Excel.
    """
    cell = cell.strip()
    around = re.fullmatch(r"=\"(.*)\"|'([^']*)'", cell)
    return (around[1] or around[2] or "").strip() if around else cell


def level(rows: list[list[str]]) -> list[list[str]]:
    """Return rows all equally long, with empty cells at the end of shorter ones."""
    width = max(map(len, rows), default=0)
    return [row + [""] * (width - len(row)) for row in rows]


def _reader(text: str, delimiter: str, strict: bool = False) -> Iterator[list[str]]:
    lines = io.StringIO(text, newline="")
    return csv.reader(
        lines, delimiter=delimiter, skipinitialspace=delimiter != "\t", strict=strict
    )


def _check_quotes(text: str, delimiter: str) -> None:
    """Raise csv.Error if a quotation mark is never closed: it swallows what follows."""
    try:
        for _ in _reader(text, delimiter, strict=True):
            pass
    except csv.Error as error:
        if "end of data" in str(error):  # else it is one of inches, or the like
            raise


def _decode(content: bytes) -> str:
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding, "replace").replace("\0", "")
    for start, encoding in (1, "utf-16-le"), (0, "utf-16-be"):  # without a mark
        if content[start:400:2].count(0) > len(content[start:400:2]) / 2:
            return content.decode(encoding, "replace").replace("\0", "")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _delimiter(text: str) -> str:
    """Return what parts the columns: with it, most rows are equally long, then longest.

    `csv.Sniffer` takes the comma of a sentence in the last column for it.
    """
    sample = text[:_SAMPLE]
    if len(text) > _SAMPLE:
        sample = sample.rpartition("\n")[0] or sample

    def rank(delimiter: str) -> tuple[float, int]:
        try:
            rows = [*_reader(sample, delimiter)]
        except csv.Error:
            return 0, 0
        widths = Counter(len(row) for row in rows if row)
        width, count = max(widths.items(), key=lambda one: one[::-1], default=(0, 0))
        return (count / widths.total() if width > 1 else 0), width

    return max(_DELIMITERS, key=rank)


def is_table(content: bytes) -> bool:
    """Whether text that may be anything holds columns: rows, all of two cells or more.

    Args:
        content: of a file whose name does not say.
    """
    try:
        text = _decode(content[:_SAMPLE]).strip()
        rows = list(_reader(text, _delimiter(text)))
    except csv.Error:
        return False
    if len(content) > _SAMPLE:
        del rows[-1:]  # it is cut
    return len(rows) > 1 and len({len(row) for row in rows}) == 1 < len(rows[0])
