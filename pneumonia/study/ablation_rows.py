"""The rows of the ablation: what is compared."""

from dataclasses import dataclass

from ..training.augment import DEFAULT

BASE = "ours"
"""The row that the others differ from."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: how it differs from the row "ours", in words.
        changes: families of `augment.FAMILIES` that change a copy of each image; "":
            there are no copies.
        aligned: it is shown crops to the lungs; False: whole pictures.
        within: it sees the lungs alone; False: all that is shown.
        looks: both classes weigh alike within each look; False: over all images.
        flat: what is given a flat histogram in each pass: "" nothing, "lungs" or
            "crop". The scores of several passes are averaged.
        donors: pictures of other hospitals lend tone, detail and borders, too.
        mean: the scores of all seeds are averaged.
        plain: it is fitted on the images as they are, too; False: on the copies alone.
    """

    what: str
    changes: str = DEFAULT
    aligned: bool = True
    within: bool = True
    looks: bool = True
    flat: tuple[str, ...] = ("",)
    donors: bool = False
    mean: bool = False
    plain: bool = True


def _less(what: str, *families: str) -> Row:
    kept = [name for name in DEFAULT.split("+") if name not in families]
    return Row(what, changes="+".join(kept))


ROWS = {
    "floor": Row(
        "images as they are, seen everywhere, classes alike over all of them",
        changes="",
        within=False,
        looks=False,
    ),
    BASE: Row(
        "crops to the lungs, seen within them; a changed copy of each image; classes "
        "alike in each look"
    ),
    "whole": Row("whole pictures, seen everywhere", aligned=False, within=False),
    "everywhere": Row("seen everywhere in the crop", within=False),
    "no looks": Row("classes alike over all images", looks=False),
    "no copies": Row("no changed copies", changes=""),
    "no plain": Row("changed copies alone", plain=False),
    "no tone": _less(
        "no changes of tone",
        *("tone", "equalise", "shade", "histogram", "histogram other"),
    ),
    "no other": _less(
        "nothing lent by the other class", "histogram other", "spectrum other"
    ),
    "no border": _less("no borders of other images", "border"),
    "no files": _less(
        "no poor files", "resolution", "resolution low", "compress", "compress hard"
    ),
    "donors": Row("other hospitals lend, too", donors=True),
    "flat lungs": Row("flat histogram of the lungs", flat=("lungs",)),
    "flat crop": Row("flat histogram of the crop", flat=("crop",)),
    "two passes": Row("mean of plain and *flat lungs*", flat=("", "lungs")),
    "mean": Row("mean of the seeds", mean=True),
}
"""The table's rows by name."""
