"""The rows of the ablation: what is trained and compared."""

from dataclasses import dataclass, field

from ..training.augment import DEFAULT

BASE = "ours"
"""The row that the others differ from."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str  # how it differs from the row "ours", in words
    settings: dict[str, str] = field(default_factory=dict)  # of the recipe, that differ
    recipe: str = "short"
    adults: bool = True  # trains on adults too


def _but(what: str, **settings: str) -> Row:
    return Row(what, settings)


def _less(family: str, what: str) -> Row:
    kept = [name for name in DEFAULT.split("+") if name.split()[0] != family]
    return _but(what, augmentation="+".join(kept))


def _whole() -> Row:
    row = _less("turn", "whole pictures, framed in many ways by `geometry`")
    settings = row.settings | {"aligned": "false"}
    settings["augmentation"] += "+geometry"
    return Row(row.what, settings)


ROWS = {
    "published": Row(
        "the published recipe: whole pictures in [0, 1], frozen base, both flips, "
        "20 epochs; no adults",
        recipe="published",
        adults=False,
    ),
    "whole": _whole(),
    BASE: Row("crops to the lungs, all families of changes, adults too"),
    "no border": _less("border", "no borders of other images"),
    "masking": _but(
        "covered corners and borders, and cutout", augmentation=f"{DEFAULT}+masking"
    ),
    "frozen2": _but("blocks 3 to 5 and head", frozen_blocks="2"),
}
"""The table's rows by name."""
