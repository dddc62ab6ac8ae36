"""What is trained how: the recipes."""

from dataclasses import dataclass, replace

from ..network.framing import inner_side
from ..network.vgg19 import DROPOUT, HIDDEN_UNITS
from . import augment


class RecipeError(ValueError):
    """No such recipe or setting, or a value that the setting can't take."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        augmentation: families of changes, as in `augment.compose`.
        standardize: scale each image inside the network (see `vgg19.build`).
        local_contrast: even out local contrast inside the network (ditto).
        margin: pixels cut off at each side inside the network (ditto).
        hidden_units: width of each fully connected layer.
        dropout: share dropped after each of them.
        frozen_blocks: how many of VGG19's five blocks stay as they came.
        condition: bring activations to unit spread first (see `vgg19.condition`);
            not done where training starts from a trained network.
        balanced: show both classes equally often.
        overlap_weights: show images more often whose thumbnail looks like the other
            class (see `sampling.overlap_weights`).
        extra_share: share of each epoch that comes from the extra data set, if any.
        images_per_epoch: images shown in one epoch; None: all of them once.
        epochs: most epochs that are trained.
        batch_size: images in one step.
        optimizer: "sgd" or "adamw".
        learning_rate: at the start.
        schedule: "plateau" multiplies the learning rate by 0.3 after `plateau` epochs
            without better validation; "cosine" lets it fall to zero over the run.
        momentum: of stochastic gradient descent.
        weight_decay: of AdamW, decoupled (Loshchilov and Hutter 2019).
        average: decay per step of the moving average of the weights that is validated
            and kept (Polyak and Juditsky 1992); None keeps the weights themselves.
        label_smoothing: share of the target spread over both classes, in [0, 1).
        mixup: parameter of the Beta distribution by which pairs of images are mixed
            (Zhang et al. 2018, "mixup"); 0 mixes none.
        style_mix: share of the images whose channel statistics are mixed with another
            image's behind the first blocks (see `styles.MixStyle`); 0 mixes none.
        void_share: share of the images whose lungs are covered after all other changes,
            and whose target is undecided: what is left must not decide.
        cached_views: show every image in so many fixed changed versions, whose frozen
            features are computed once; 0: changed anew each time.
        stress_views: how many copies of each validation image, changed as in
            `stress.mixed_copies`, are validated on besides the image itself. The clean
            ones alone can't tell epochs apart.
        monitor: validation figure by which the best epoch is kept and training stops
            early: "val_loss", or "val_auroc", which the share of hard images does not
            move. "last" keeps the last epoch, where a cosine schedule comes to rest.
        patience: epochs without a better one until training stops.
        plateau: see `schedule`.
    """

    augmentation: str
    standardize: bool
    frozen_blocks: int
    condition: bool
    balanced: bool
    images_per_epoch: int | None
    epochs: int
    batch_size: int
    learning_rate: float
    local_contrast: bool = False
    margin: int = 0
    hidden_units: tuple[int, ...] = HIDDEN_UNITS
    dropout: float = DROPOUT
    overlap_weights: bool = False
    extra_share: float = 0.15
    optimizer: str = "sgd"
    schedule: str = "plateau"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    average: float | None = None
    label_smoothing: float = 0.0
    mixup: float = 0.0
    style_mix: float = 0.0
    void_share: float = 0.0
    cached_views: int = 0
    stress_views: int = 0
    monitor: str = "val_loss"
    patience: int = 6
    plateau: int = 2

    def __post_init__(self) -> None:
        if self.augmentation == "seed":  # its name in older records
            object.__setattr__(self, "augmentation", "published")
        augment.compose(self.augmentation)
        inner_side(self.margin)
        object.__setattr__(self, "hidden_units", tuple(self.hidden_units))  # from JSON
        for name, expected in (
            ("optimizer", ("sgd", "adamw")),
            ("schedule", ("plateau", "cosine")),
            ("monitor", ("val_loss", "val_auroc", "last")),
        ):
            if getattr(self, name) not in expected:
                raise RecipeError(
                    f"{name} is {getattr(self, name)!r}; expected "
                    f"{' or '.join(expected)}"
                )

        if self.cached_views and (self.void_share or self.mixup or self.style_mix):
            raise RecipeError(
                "cached_views keeps features of whole images; it can't go with "
                "void_share, mixup or style_mix, which change images anew each time"
            )

    @property
    def better(self) -> str:
        """Where better is for what is monitored: "min" or "max"."""
        return "max" if self.monitor == "val_auroc" else "min"

    @property
    def network(self) -> dict:
        """What `vgg19.build` needs to build this recipe's network again."""
        names = ("standardize", "local_contrast", "margin", "hidden_units", "dropout")
        return {name: getattr(self, name) for name in names}


_OURS = Recipe(
    augmentation=augment.DEFAULT,
    standardize=True,
    frozen_blocks=3,
    condition=True,
    balanced=True,
    images_per_epoch=2400,
    epochs=35,
    batch_size=16,
    optimizer="adamw",
    learning_rate=1e-4,
    average=0.995,
    label_smoothing=0.05,
    stress_views=1,
    patience=8,
    plateau=3,
)

# These go on from a network that is trained already.
_ON = replace(_OURS, images_per_epoch=4800, schedule="cosine", monitor="last")

_TONE = augment.DEFAULT + "+transfer"
_DETAIL = _TONE + "+spectrum+sharpen"
_FILE = _DETAIL + "+compress"

RECIPES = {
    # As published: frozen base, pixels in [0, 1], both flips, rotations, shifts.
    "published": Recipe(
        augmentation="published",
        standardize=False,
        frozen_blocks=5,
        condition=False,
        balanced=False,
        images_per_epoch=None,
        epochs=20,
        batch_size=32,
        learning_rate=1e-3,
    ),
    # What the ablation's rows start from: none of the changes that they measure.
    "ablation-start": replace(
        _OURS, augmentation="mirror", epochs=8, stress_views=0, patience=6, plateau=2
    ),
    # One row of the ablation: a short way on from `ablation-start`.
    "ablation-row": replace(_ON, epochs=1, average=0.98, stress_views=0),
    "default": _OURS,
    # From here on each goes on from a network trained by the one before. First tone and
    # frame of other images, and images whose thumbnail misleads more often.
    "tone-transfer": replace(
        _ON, augmentation=_TONE, overlap_weights=True, epochs=8, learning_rate=3e-5
    ),
    # What stands around the lungs must not decide.
    "covered-lungs": replace(
        _ON, augmentation=_TONE, void_share=0.12, epochs=4, learning_rate=2e-5
    ),
    # Neither must sharpness, grain or the spread of brightness.
    "detail-transfer": replace(
        _ON, augmentation=_DETAIL, void_share=0.12, epochs=12, learning_rate=3e-5
    ),
    # Files stored badly, and more adults. It improved the answers to adults, and not
    # those to children (see the ablation).
    "jpeg": replace(
        _ON,
        augmentation=_FILE,
        void_share=0.12,
        extra_share=0.2,
        epochs=10,
        learning_rate=6e-5,
        average=0.998,
    ),
    # As `jpeg`, framed in more ways. It goes on from `detail-transfer`. What ships is
    # the mean of the weights before and after it.
    "reframing": replace(
        _ON,
        augmentation=_FILE + "+reframe",
        void_share=0.12,
        extra_share=0.2,
        epochs=12,
        learning_rate=4e-5,
        average=0.998,
    ),
}
"""Recipes by name."""

FORMER_NAMES = {
    "seed": "published",
    "refine": "tone-transfer",
    "finish": "covered-lungs",
    "polish": "detail-transfer",
    "settle": "jpeg",
    "reframe": "reframing",
    "warm-up": "ablation-start",
    "row": "ablation-row",
}
"""Former names of recipes, in which older runs and bundles are recorded."""


def find(name: str) -> Recipe:
    """Return a recipe by its name, or by one of `FORMER_NAMES`.

    Raises:
        RecipeError: there is none.
    """
    recipe = RECIPES.get(FORMER_NAMES.get(name, name))
    if recipe is None:
        raise RecipeError(f"no recipe {name}; expected one of {', '.join(RECIPES)}")
    return recipe
