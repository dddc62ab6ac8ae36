"""The rows of the ablation: what is trained and compared."""

from dataclasses import dataclass, field

from ..data import subgroups
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
    leave_out: str | None = None  # one of `subgroups.SUBGROUPS`, that it must not see


def _but(what: str, **settings: str) -> Row:
    return Row(what, settings)


def _less(families: str, what: str, instead: str = "") -> Row:
    gone = families.split("+")
    kept = [name for name in DEFAULT.split("+") if name.split()[0] not in gone]
    return _but(what, augmentation="+".join(kept) + instead)


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
    "no histogram": _less("histogram", "no grey values of other images"),
    "no border": _less("border", "no borders of other images"),
    "no spectrum": _less(
        "spectrum+sharpen", "no detail of other images, no sharpening"
    ),
    "no tone": _less("tone+equalise", "no gamma, contrast, equalisation"),
    "masking": _but(
        "covered corners and borders, and cutout", augmentation=f"{DEFAULT}+masking"
    ),
    "no resolution": _less("resolution+compress", "no blur, noise, JPEG"),
    "no turn": _less("turn", "no turn, no shear", "+mirror"),
    "no adults": Row("without adults of another hospital", adults=False),
    "no smoothing": _but("no label smoothing", label_smoothing="0"),
    "no average": _but("the last weights, not their average", average="none"),
    "frozen4": _but("block 5 and head alone", frozen_blocks="4"),
    "frozen2": _but("blocks 3 to 5 and head", frozen_blocks="2"),
    "frozen0": _but("all blocks and head", frozen_blocks="0"),
    "sgd": _but("SGD with momentum, not AdamW", optimizer="sgd", learning_rate="1e-3"),
    "default": Row("72,000 images", recipe="default"),
}
"""The table's rows by name."""

LEFT_OUT = {
    f"without {name}": Row(f"`{BASE}` without {name}", leave_out=name)
    for name in subgroups.SUBGROUPS
}
"""Rows that do not see a subgroup in training, by name."""

ALL = ROWS | LEFT_OUT
