"""The rows of the ablation: what is trained and compared."""

from dataclasses import dataclass, field

from ..data import subgroups
from ..training.augment import DEFAULT

START, SHIPPED = "ablation-start", "bundle"
"""What most rows go on from, a row itself; and what stands for the shipped bundle."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str  # how it differs from the row "ours", in words
    settings: dict[str, str] = field(default_factory=dict)  # of the recipe, that differ
    recipe: str = "ablation-row"
    start: str | None = START  # a row, or `SHIPPED`; None: VGG19's weights
    new_head: bool = False  # takes the convolutions of `start` alone, as in `Plan`
    adults: bool = False  # trains on adults too
    leave_out: str | None = None  # one of `subgroups.SUBGROUPS`, that it must not see
    mean_of: tuple[str, ...] = ()  # trains nothing: the mean of all seeds of these rows
    margin: int | None = None  # of that mean's network, as in `vgg19.build`


def _but(what: str, **settings: str) -> Row:
    return Row(what, settings)


def _more(families: str, what: str) -> Row:
    return _but(what, augmentation=f"{DEFAULT}+{families}")


def _less(families: str, what: str, instead: str = "") -> Row:
    kept = [name for name in DEFAULT.split("+") if name not in families.split("+")]
    return _but(what, augmentation="+".join(kept) + instead)


def _head(units: str, what: str) -> Row:
    """Return a row that trains a new head alone, behind what ships."""
    row = _more("transfer+spectrum+sharpen+compress+reframe", what)
    training = {"epochs": "8", "learning_rate": "3e-4", "hidden_units": units}
    settings = row.settings | {"frozen_blocks": "5", "cached_views": "1"} | training
    return Row(what, settings, start=SHIPPED, new_head=True, adults=True)


_LONG = {
    "default": "all families, 84,000 images",
    "tone-transfer": "38,400 more: tone and frame of others, hard thumbnails more "
    "often, adults",
    "covered-lungs": "19,200 more: covered lungs leave it undecided",
    "detail-transfer": "57,600 more: sharpness and grain of others, sharpening",
    "jpeg": "48,000 more: some stored badly, adults more often",
    "reframing": "from `detail-transfer` on, 57,600 more: as `jpeg`, and framed in "
    "more ways",
}  # recipes; the mean of two of them ships
_BEFORE = dict(zip(_LONG, [None, *_LONG], strict=False)) | {
    "reframing": "detail-transfer"
}
_BOTH = ("detail-transfer", "reframing")

ROWS = {
    "published": Row(
        "the published recipe: frozen base, pixels in [0, 1], both flips; two fixed "
        "changed versions of each image, 20 epochs",
        {"cached_views": "2"},
        recipe="published",
        start=None,
    ),
    START: Row("what the rows start from", recipe=START, start=None),
    "mirror": _but("no change but mirroring", augmentation="mirror"),
    "ours": Row("all families of changes"),
    "no moving average": _but("the last weights, not their average", average="none"),
    "seeds averaged": Row("the weights of all seeds of `ours`", mean_of=("ours",)),
    "ours+transfer": _more("transfer", "and tone and frame of other images"),
    "ours+spectrum": _more(
        "spectrum+sharpen", "and sharpness and grain of other images, and sharpening"
    ),
    "ours+adults": Row("and adults of another hospital", adults=True),
    "ours+reframe": _more("reframe", "and framed in more ways"),
    "ours+overlap": _but(
        "images that look like the other class more often", overlap_weights="true"
    ),
    "ours-geometry": _less("geometry", "no crop, aspect, rotation", "+mirror"),
    "ours-tone": _less("tone+equalise", "no gamma, contrast, equalisation"),
    "ours-masking": _less("masking", "no covered corners and borders, no cutout"),
    "ours-resolution": _less("resolution", "no blur, no noise"),
    "local contrast": _but("contrast evened out in the graph", local_contrast="true"),
    "mixup": _but("pairs of images mixed", mixup="0.2"),
    "style mix": _but("channel statistics mixed between images", style_mix="0.5"),
    "no smoothing": _but("no label smoothing", label_smoothing="0"),
    "more dropout": _but("0.5 instead of 0.3", dropout="0.5"),
    "frozen4": _but("block 5 and head alone", frozen_blocks="4"),
    "frozen2": _but("blocks 3 to 5 and head", frozen_blocks="2"),
    "sgd": _but("SGD with momentum, not AdamW", optimizer="sgd", learning_rate="1e-3"),
    **{
        name: Row(what, recipe=name, start=_BEFORE[name], adults=name != "default")
        for name, what in _LONG.items()
    },
    "jpeg averaged": Row("the weights of all seeds of `jpeg`", mean_of=("jpeg",)),
    "halfway": Row("the mean of `detail-transfer` and `reframing`", mean_of=_BOTH),
    "inside": Row(
        "as `halfway`, without the outermost 5 of 128 pixels; this one ships",
        mean_of=_BOTH,
        margin=5,
    ),
    "new head": _head(
        "256,128",
        "the head alone, anew, behind the frozen convolutions of what ships: one fixed "
        "changed version of each image, 8 epochs; 256 and 128 units, as in `inside`",
    ),
    "narrow head": _head("32", "as `new head`, one layer of 32 units"),
    "wide head": _head("1024,512", "as `new head`, 1024 and 512 units"),
}
"""The table's rows by name."""

LEFT_OUT = {
    f"without {name}": Row(
        f"`{START}` without {name}", recipe=START, start=None, leave_out=name
    )
    for name in subgroups.SUBGROUPS
}
"""Rows that do not see a subgroup in training, by name."""

ALL = ROWS | LEFT_OUT
