"""The real X-rays that ship, to try the network on and to learn how far to trust it."""

import csv
import functools
from dataclasses import dataclass
from pathlib import Path

from ..contract import EXAMPLES

COLUMNS = ("file", "truth", "shown", "original", "source")
"""Of `examples.csv`. `shown`: one of the few that the demo offers, yes or no."""


@dataclass(frozen=True)
class Example:
    """An X-ray of a patient whom the network did not learn from.

    Attributes:
        path: its JPEG file; the name says nothing of the truth.
        truth: what physicians called it, one of LABELS.
        shown: whether the demo offers it.
        original: the file's name in the data set that it comes from.
        source: that data set, its licence, and what was changed.
    """

    path: Path
    truth: str
    shown: bool
    original: str
    source: str


@functools.cache
def examples() -> tuple[Example, ...]:
    """Return the X-rays that ship, those that the demo offers first."""
    with (EXAMPLES / "examples.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return tuple(
        Example(
            EXAMPLES / row["file"],
            row["truth"],
            row["shown"] == "yes",
            row["original"],
            row["source"],
        )
        for row in rows
    )
