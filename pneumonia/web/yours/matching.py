"""Which file a row of a table means: the one whose path ends most like the row's."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pneumonia import SUFFIXES

_DEPTH = 12  # parts of a path that are compared; more would cost memory alone
_CROWD = 1000  # files of one name among which more than their folders decides

Path = tuple[str, ...]
"""The parts of a path."""


def parts_of(path: str) -> Path:
    """Cut a path as any system writes it; `.` and `..` are resolved."""
    found: list[str] = []
    for part in unicodedata.normalize("NFC", path).replace("\\", "/").split("/"):
        if part.strip() == "..":
            del found[-1:]
        elif part.strip() not in ("", "."):
            found.append(part.strip())
    return tuple(found[-_DEPTH:])


def has_suffix(name: str) -> bool:
    """Whether a name ends as that of a picture does."""
    return name.strip().lower().endswith(SUFFIXES)


def folded(parts: Path) -> Path:
    """Return parts of a path without their case and without a picture's suffix."""
    if not parts:
        return ()
    *folders, last = (part.casefold() for part in parts)
    suffix = next((s for s in SUFFIXES if last.endswith(s)), "")
    return (*folders, last.removesuffix(suffix) or last)


class Match(NamedTuple):
    """What a row names.

    Attributes:
        tail: how many parts of the paths are alike, from the end.
        whole: whether the last part is alike with its suffix.
        file: which file; empty where several could be meant.
        end: what these have in common; empty where it is one.
    """

    tail: int
    whole: bool
    file: str
    end: Path = ()


class Files:
    """Files by the ends of their paths.

    Attributes:
        names: of the files.
    """

    def __init__(self, names: Iterable[str]):
        self._parts = {name: parts for name in names if (parts := parts_of(name))}
        self.names = [*self._parts]
        self._by_end: dict[Path, list[str]] = defaultdict(list)
        for name in self.names:
            for end in self.ends(name):
                self._by_end[end].append(name)

    def ends(self, name: str) -> list[Path]:
        """Return the ends of a file's path, from its name alone to the whole."""
        key = folded(self._parts[name])
        return [key[-length:] for length in range(1, len(key) + 1)]

    def match(self, path: str, folder: Sequence[str] = ()) -> Match | None:
        """Return what a row names; None if no file is called so.

        Of equals, the one counts whose path is the row's as it stands, counted from the
        table; then the one with the suffix; then the one below the table's folder; then
        the one whose case is right.

        Args:
            path: as the table writes it.
            folder: that the table lies in, its parts.
        """
        last = path.replace("\\", "/").rpartition("/")[2].strip()
        name = folded((unicodedata.normalize("NFC", last),))
        if not last or name not in self._by_end:
            return None  # nearly all cells of a table end here
        if not (parts := parts_of(path)):
            return None
        key = folded(parts)
        tail = next((n for n in range(len(key), 0, -1) if key[-n:] in self._by_end), 0)
        if not tail:
            return None
        files = self._by_end[key[-tail:]]
        if 1 < len(files) <= _CROWD:
            ranks = [self._rank(file, parts, folder) for file in files]
            best = max(ranks)
            files = [f for f, rank in zip(files, ranks, strict=True) if rank == best]
        if len(files) > 1:
            return Match(tail, False, "", key[-tail:])
        ours = self._parts[files[0]][-1]
        return Match(tail, ours.casefold() == parts[-1].casefold(), files[0])

    def _rank(self, file: str, parts: Path, folder: Sequence[str]) -> tuple:
        ours, below = self._parts[file], tuple(part.casefold() for part in folder)
        alike = tuple(part.casefold() for part in ours)
        return (
            folded(ours) == (*below, *folded(parts)),
            alike[-1] == parts[-1].casefold(),
            alike[: len(below)] == below,
            sum(a == b for a, b in zip(ours[::-1], parts[::-1], strict=False)),
        )
