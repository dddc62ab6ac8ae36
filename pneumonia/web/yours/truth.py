"""The truth about X-rays, out of the tables and folders that somebody has.

A wrong reading must never become a truth. So a table is read only where words or the
head of a column name the class, a file gets a label only from a row that can mean no
other file, and what was taken for what is said.
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pneumonia import LABELS, MAX_BYTES
from pneumonia.contract import ZIPS

from ..tab_words import LABELLED
from ..unpack import SHEETS
from . import columns
from .cells import cells, level
from .matching import Files, Match, Path, folded, has_suffix, parts_of
from .own_tables import is_ours

TABLES = (".csv", ".tsv", ".tab", ".psv")
"""Suffixes of tables."""

MOST_TABLES = 20
"""How many tables are read; each may take seconds."""

_PACKED = ZIPS[0], b"\xd0\xcf\x11\xe0"  # how spreadsheets begin
_LETTERS = 60  # of a cell in a sentence
_NUMBER = re.compile(r"[-+]?\d+([.,]\d*)?")
_WHOLE = re.compile(r"(\d+)\.0")  # as pandas writes a column that lacks a cell


class TableError(ValueError):
    """A table can't be taken for truth; the message says what stands in it."""


@dataclass
class Truths:
    """What is known of files.

    Attributes:
        truth: an index into LABELS, by the file's name.
        said: which columns, words and folders were taken for what, in sentences.
        doubts: what was left out or contradicts itself, in sentences.
        why: of each file without a label, why it has none.
    """

    truth: dict[str, int] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    why: dict[str, str] = field(default_factory=dict)


def find(names: Sequence[str], tables: Sequence[tuple[str, bytes]]) -> Truths:
    """Find the truth of files, in tables and in the folders that they lie in.

    A table comes before the folders. Where they differ, that is said. Where two tables
    differ, a file has no label.

    Args:
        names: of the files, with their folders.
        tables: name and content of each.
    """
    found = Truths()
    by_table = _by_table(names, tables, found)
    of_folders, of_sets = _by_folder(names)
    two_tables, folder_and_table = [], []
    for name in names:
        labels = by_table.get(name, {})
        if len({*labels.values()}) > 1:
            two_tables.append((name, *labels))
            found.why[name] = LABELLED["why_tables"]
        elif labels or name in of_folders:
            found.truth[name] = next(iter(labels.values()), of_folders.get(name))
            if of_folders.get(name, found.truth[name]) != found.truth[name]:
                folder_and_table.append((name, *labels))
        else:
            why = LABELLED["why_set" if name in of_sets else "why_nowhere"]
            found.why.setdefault(name, why)
    for kind, files in ("two", two_tables), ("folder", folder_and_table):
        if files:
            first, *theirs = files[0]
            said = LABELLED[kind].format(
                count=len(files), first=first, tables=" and ".join(theirs[:2])
            )
            found.doubts.append(said)
    counts = Counter(LABELS[of_folders[n]] for n in found.truth if n not in by_table)
    if counts:
        shares = ", ".join(f"{counts[name]} {name}" for name in LABELS)
        found.said.append(LABELLED["folders"].format(counts=shares))
    for name in found.truth:
        found.why.pop(name, None)
    return found


def _by_table(
    names: Sequence[str], tables: Sequence[tuple[str, bytes]], found: Truths
) -> Mapping[str, dict[str, int]]:
    """Return what each table says, by file and table; what else is said goes along."""
    by_table: dict[str, dict[str, int]] = defaultdict(dict)
    files = Files(names)
    for name, content in tables[:MOST_TABLES]:
        try:
            read = _read(name, content, files)
        except TableError as error:
            found.doubts.append(str(error))
            continue
        found.said += read.said
        found.doubts += read.doubts
        found.why |= read.why
        for file, label in read.truth.items():
            by_table[file][name] = label
    if len(tables) > MOST_TABLES:
        left = len(tables) - MOST_TABLES
        found.doubts.append(LABELLED["tables"].format(count=left, limit=MOST_TABLES))
    return by_table


def _by_folder(names: Iterable[str]) -> tuple[dict[str, int], set[str]]:
    """Return what the innermost folder that names a class says, by file.

    A folder of one class that holds a folder of the other is the name of a whole set,
    such as `pneumonia/NORMAL/`, and says nothing by itself. The files that lie in one
    and in no folder of a class come second.
    """
    chains = {}
    for name in names:
        parts = PurePosixPath(name).parent.parts
        chains[name] = [
            (parts[: n + 1], label)
            for n, part in enumerate(parts)
            # two zips that are called NORMAL.zip and PNEUMONIA.zip
            if (label := columns.meaning(re.sub(r"(?i)\.zip$", "", part))) is not None
        ]
    sets = {
        outer
        for chain in chains.values()
        for (outer, label), (_, other) in zip(chain, chain[1:], strict=False)
        if label != other
    }
    innermost = {name: chain[-1] for name, chain in chains.items() if chain}
    of_sets = {name for name, (folder, _) in innermost.items() if folder in sets}
    return {
        n: label for n, (_, label) in innermost.items() if n not in of_sets
    }, of_sets


def _read(name: str, content: bytes, files: Files) -> Truths:
    """Read one table.

    Raises:
        TableError: it holds no truth, or none that can be told for certain.
    """
    folder = parts_of(name)[:-1]
    head, rows = _split_head(_opened(name, content), files, folder)
    found = Truths()
    rows = _without_shifted(name, head, rows, files, folder, found)
    head, *rows = level([head, *rows])
    column, matches = _names(name, head, rows, files, folder)
    chosen, in_doubt = _nearest(column, rows, matches, files)
    for kind in ("shared", "rows_alike", "elsewhere"):
        if files_in_doubt := [file for file, why in in_doubt.items() if why == kind]:
            why = LABELLED[f"why_{kind}"].format(table=name)
            found.why |= dict.fromkeys(files_in_doubt, why)
            said = LABELLED[kind].format(
                table=name, count=len(files_in_doubt), first=files_in_doubt[0]
            )
            found.doubts.append(said)
    if not chosen:
        return found
    of = [(file, row) for file, several in chosen.items() for row in several]
    try:
        files_of, rows_of = zip(*of, strict=True)
        labels, used = columns.labels(head, rows_of, column, files_of)
    except columns.NoTruthError as error:
        raise TableError(LABELLED["refused"].format(table=name, why=error)) from None
    called = columns.called(head, column)
    used = " ".join(used)
    found.said = [LABELLED["used"].format(table=name, column=called, how=used)]
    by_file: dict[str, list[columns.Label]] = defaultdict(list)
    for (file, _), label in zip(of, labels, strict=True):
        by_file[file].append(label)
    for file, several in by_file.items():
        label = columns.together(several)
        if isinstance(label, int):
            found.truth[file] = label
        else:
            words = label or LABELLED["nothing"]
            found.why[file] = LABELLED["why_words"].format(table=name, words=words)
    return found


def _opened(name: str, content: bytes) -> list[list[str]]:
    """Return the rows of a table that may hold truth, each as long as it is.

    Raises:
        TableError: it can't.
    """
    if name.lower().endswith(SHEETS) or content.startswith(_PACKED):
        raise TableError(LABELLED["sheet"].format(table=name))
    if len(content) > MAX_BYTES:
        limit = MAX_BYTES // 2**20
        raise TableError(LABELLED["large"].format(table=name, limit=limit))
    try:
        rows = cells(content)
    except csv.Error as error:
        raise TableError(LABELLED["broken"].format(table=name, why=error)) from None
    if is_ours(level(rows)):
        raise TableError(LABELLED["ours"].format(table=name))
    if not rows:
        raise TableError(LABELLED["empty"].format(table=name))
    if max(map(len, rows), default=0) < 2:
        first = rows[0][0][:_LETTERS]
        raise TableError(LABELLED["one_column"].format(table=name, first=first))
    return rows


def _without_shifted(
    table: str,
    head: list[str],
    rows: list[list[str]],
    files: Files,
    folder: Path,
    found: Truths,
) -> list[list[str]]:
    """Leave out rows that are longer than the head: a comma stands in one of its cells.

    Raises:
        TableError: all rows are, or there is none.
    """
    if not rows:
        raise TableError(LABELLED["no_rows"].format(table=table))
    if not any(head):
        return rows
    shifted = [row for row in rows if any(row[len(head) :])]
    if shifted:
        said = LABELLED["shifted"].format(table=table, count=len(shifted))
        if len(shifted) == len(rows):
            raise TableError(said)
        found.doubts.append(said)
        for cell in {cell for row in shifted for cell in row}:
            if (match := files.match(cell, folder)) and match.file:
                found.why[match.file] = LABELLED["why_shifted"].format(table=table)
    return [row[: len(head)] for row in rows if not any(row[len(head) :])]


def _nearest(
    column: int, rows: list[list[str]], matches: list[Match | None], files: Files
) -> tuple[dict[str, list[list[str]]], dict[str, str]]:
    """Return the rows that mean one file and no other, by file, and what is in doubt.

    That is by file, as a key of sentences.

    Of several rows those count whose paths are most like the file's. If these are the
    paths of several X-rays, none is the file's. Nor is one in another folder, where
    rows and files lie in several: it may be the X-ray of another patient.
    """
    elsewhere = _elsewhere(column, rows, matches)
    of_file: dict[str, list[tuple[Match, list[str]]]] = defaultdict(list)
    ends = set()  # that several files share, and a row leaves open
    away = set()  # of rows that lie in other folders
    for place, (row, match) in enumerate(zip(rows, matches, strict=True)):
        if place in elsewhere:
            away.add(folded(parts_of(row[column]))[-1:])
        elif match and match.file:
            of_file[match.file].append((match, row))
        elif match:
            ends.add(match.end)
    chosen, in_doubt = {}, {}
    for file in files.names:
        if several := of_file.get(file):
            best = max(match[:2] for match, _ in several)
            nearest = [row for match, row in several if match[:2] == best]
            if len({folded(parts_of(row[column])) for row in nearest}) == 1:
                chosen[file] = nearest
            else:
                in_doubt[file] = "rows_alike"
        elif not ends.isdisjoint(files.ends(file)):
            in_doubt[file] = "shared"
        elif not away.isdisjoint(files.ends(file)):
            in_doubt[file] = "elsewhere"
    return chosen, in_doubt


def _elsewhere(
    column: int, rows: list[list[str]], matches: list[Match | None]
) -> set[int]:
    """Return which rows are like a file in its name alone, and not in any folder.

    They may still mean it where all rows, or all files, lie in one folder: then the
    X-rays were moved.
    """
    found: dict[int, tuple[Path, Path]] = {}
    for place, (row, match) in enumerate(zip(rows, matches, strict=True)):
        if match and match.file:
            theirs = folded(parts_of(row[column]))[:-1]
            ours = folded(parts_of(match.file))[:-1]
            if theirs and ours:
                found[place] = theirs, ours
    folders = [{*of} for of in zip(*found.values(), strict=True)]
    if min(map(len, folders), default=0) < 2:
        return set()
    return {
        place
        for place, (theirs, ours) in found.items()
        if theirs[-1] not in ours and ours[-1] not in theirs
    }


def _split_head(
    rows: list[list[str]], files: Files, folder: Path
) -> tuple[list[str], list[list[str]]]:
    """Return the heads of the columns, empty where they have none, and the rows."""
    # a title stands alone in its row, in front
    start = next((n for n, row in enumerate(rows) if any(row[1:])), 0)
    first = rows[start]
    names_file = any(has_suffix(cell) or files.match(cell, folder) for cell in first)
    below = rows[start + 1] if start + 1 < len(rows) else []
    again = any(
        has_suffix(one) and has_suffix(two)
        for one, two in zip(first, below, strict=False)
    )
    if again or (names_file and any(map(columns.is_value, first))):
        return [""] * len(first), rows[start:]
    return first, rows[start + 1 :]


def _names(
    table: str, head: list[str], rows: list[list[str]], files: Files, folder: Path
) -> tuple[int, list[Match | None]]:
    """Return the column that names files, and what each row of it names.

    Raises:
        TableError: none does, or two do and differ.
    """
    ranked = []
    numbers: dict[int, tuple[str, str]] = {}  # that are like a file's name by column
    for column, name in enumerate(head):
        of_cell = {
            cell: files.match(cell, folder) for cell in {row[column] for row in rows}
        }
        # a number without a suffix may count or measure anything
        if columns.names_by_number(name) or (len(head) == 2 and not any(head)):
            for cell in of_cell:
                if not of_cell[cell] and (whole_number := _WHOLE.fullmatch(cell)):
                    of_cell[cell] = files.match(whole_number[1], folder)
        else:
            for cell, match in of_cell.items():
                if match and _NUMBER.fullmatch(cell):
                    of_cell[cell] = None
                    numbers.setdefault(column, (cell, match.file or match.end[-1]))
        found = [of_cell[row[column]] for row in rows]
        named = {match.file or match.end for match in found if match}
        whole = sum(match.whole for match in found if match)
        ranked.append((len(named), whole, -column, found))
    ranked.sort(key=lambda one: one[:3], reverse=True)
    (count, whole, column, found), *others = ranked
    if not count and numbers:
        column, (cell, file) = next(iter(numbers.items()))
        said = LABELLED["numbers"].format(
            table=table, column=columns.called(head, column), cell=cell, file=file
        )
        raise TableError(said)
    if not count:
        sample = [cell for row in rows for cell in row if cell]
        example = next(filter(has_suffix, sample), next(iter(sample), ""))
        said = LABELLED["nobody"].format(
            table=table,
            count=len(rows),
            example=example[:_LETTERS],
            name=next(iter(files.names), LABELLED["nothing"]),
        )
        raise TableError(said)
    for other_count, other_whole, other, theirs in others[:1]:
        if (other_count, other_whole) == (count, whole) and theirs != found:
            one, two = (columns.called(head, -n) for n in (column, other))
            said = LABELLED["two_names"].format(table=table, one=one, two=two)
            raise TableError(said)
    return -column, found
