"""The rows of the ablation: what is trained to compare it."""

from dataclasses import dataclass, field

from ..data import subgroups
from ..training import augment

SHIPPED = "bundle"
"""What a row starts from that goes on from the bundle that ships."""

_FAMILIES = augment.DEFAULT.split("+")


def _without(*names: str) -> str:
    kept = [name for name in _FAMILIES if name not in names]
    return "+".join(kept + ["mirror"] * ("geometry" in names))


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: how it differs from the row "ours", in words.
        settings: settings of the recipe "row" that differ, as in `recipe.adjust`.
        recipe: where it differs from "row".
        start: the row that it goes on from, its run of the same seed or else of seed 0;
            `SHIPPED`; None: VGG19's weights.
        new_head: takes that run's convolutions alone, as in `train.train`.
        adults: trains on the extra data set too.
        leave_out: one of `subgroups.SUBGROUPS`, that it must not see.
        mean_of: nothing is trained: the weights of all seeds of those rows, averaged.
        margin: of that mean's network, as in `vgg19.build`.
    """

    what: str
    settings: dict[str, str] = field(default_factory=dict)
    recipe: str = "row"
    start: str | None = "warm-up"
    new_head: bool = False
    adults: bool = False
    leave_out: str | None = None
    mean_of: tuple[str, ...] = ()
    margin: int | None = None


def _new_head(what: str, units: str) -> Row:
    """Return a row that trains a head alone, anew, behind what ships."""
    settings = {
        "augmentation": augment.DEFAULT + "+transfer+spectrum+sharpen+compress+reframe",
        "frozen_blocks": "5",
        "cached_views": "1",
        "epochs": "8",
        "learning_rate": "3e-4",
        "hidden_units": units,
    }
    return Row(what, settings, start=SHIPPED, new_head=True, adults=True)


ROWS = {
    "seed": Row(
        "the published recipe: frozen base, pixels in [0, 1], both flips; two fixed "
        "changed versions of each image, 20 epochs",
        {"cached_views": "2"},
        recipe="seed",
        start=None,
    ),
    "warm-up": Row("what the rows start from", recipe="warm-up", start=None),
    "mirror": Row("no change but mirroring", {"augmentation": "mirror"}),
    "ours": Row("all families of changes"),
    "no moving average": Row(
        "the last weights instead of their moving average", {"average": "none"}
    ),
    "seeds averaged": Row("the weights of all seeds of `ours`", mean_of=("ours",)),
    "ours+transfer": Row(
        "and tone and frame of other images",
        {"augmentation": augment.DEFAULT + "+transfer"},
    ),
    "ours+spectrum": Row(
        "and sharpness and grain of other images, and sharpening",
        {"augmentation": augment.DEFAULT + "+spectrum+sharpen"},
    ),
    "ours+adults": Row("and adults of another hospital", adults=True),
    "ours+reframe": Row(
        "and framed in more ways", {"augmentation": augment.DEFAULT + "+reframe"}
    ),
    "ours+overlap": Row(
        "images that look like the other class more often", {"overlap_weights": "true"}
    ),
    "ours-geometry": Row(
        "no crop, aspect, rotation", {"augmentation": _without("geometry")}
    ),
    "ours-tone": Row(
        "no gamma, contrast, equalisation",
        {"augmentation": _without("tone", "equalise")},
    ),
    "ours-masking": Row(
        "no covered corners and borders, no cutout",
        {"augmentation": _without("masking")},
    ),
    "ours-resolution": Row(
        "no blur, no noise", {"augmentation": _without("resolution")}
    ),
    "local contrast": Row(
        "contrast evened out in the graph", {"local_contrast": "true"}
    ),
    "mixup": Row("pairs of images mixed", {"mixup": "0.2"}),
    "style mix": Row("channel statistics mixed between images", {"style_mix": "0.5"}),
    "no smoothing": Row("no label smoothing", {"label_smoothing": "0"}),
    "more dropout": Row("0.5 instead of 0.3", {"dropout": "0.5"}),
    "frozen4": Row("block 5 and head alone", {"frozen_blocks": "4"}),
    "frozen2": Row("blocks 3 to 5 and head", {"frozen_blocks": "2"}),
    "sgd": Row(
        "SGD with momentum instead of AdamW",
        {"optimizer": "sgd", "learning_rate": "1e-3"},
    ),
    # The long way, whose last network ships.
    "default": Row("all families, 84,000 images", recipe="default", start=None),
    "refine": Row(
        "38,400 more: tone and frame of others, hard thumbnails more often, adults",
        recipe="refine",
        start="default",
        adults=True,
    ),
    "finish": Row(
        "19,200 more: covered lungs leave it undecided",
        recipe="finish",
        start="refine",
        adults=True,
    ),
    "polish": Row(
        "57,600 more: sharpness and grain of others, sharpening",
        recipe="polish",
        start="finish",
        adults=True,
    ),
    "settle": Row(
        "48,000 more: some stored badly, adults more often",
        recipe="settle",
        start="polish",
        adults=True,
    ),
    "reframe": Row(
        "from polish on, 57,600 more: as settle, and framed in more ways",
        recipe="reframe",
        start="polish",
        adults=True,
    ),
    "settle averaged": Row("the weights of all seeds of `settle`", mean_of=("settle",)),
    "halfway": Row(
        "the mean of the weights of `polish` and `reframe`",
        mean_of=("polish", "reframe"),
    ),
    "inside": Row(
        "as halfway, without the outermost 5 of 128 pixels; this one ships",
        mean_of=("polish", "reframe"),
        margin=5,
    ),
    "new head": _new_head(
        "the head alone, anew, behind the frozen convolutions of what ships: one fixed "
        "changed version of each image, 8 epochs; 256 and 128 units, as in `inside`",
        "256,128",
    ),
    "narrow head": _new_head("as `new head`, one layer of 32 units", "32"),
    "wide head": _new_head("as `new head`, 1024 and 512 units", "1024,512"),
}
"""The table's rows by name."""

LEFT_OUT = {
    f"without {name}": Row(
        f"the warm-up without {name}", recipe="warm-up", start=None, leave_out=name
    )
    for name in subgroups.SUBGROUPS
}
"""Rows that leave one group out of the warm-up, by name: what an unseen one costs."""

ALL = ROWS | LEFT_OUT
