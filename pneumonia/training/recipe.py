"""What is trained how: the recipes."""

from dataclasses import dataclass

from ..data import looks
from ..network.vgg19 import DROPOUT, HIDDEN_UNITS
from . import augment


class RecipeError(ValueError):
    """No such recipe or setting, or a value that the setting can't take."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        augmentation: families of changes, as in `augment.compose`.
        unchanged: share of the images that are shown as they are, in [0, 1].
        aligned: show the network crops to the lungs; False: whole pictures.
        masked: show it where the lungs are, so that it looks nowhere else.
        standardize: scale each image inside the network (see `vgg19.build`).
        hidden_units: width of each fully connected layer.
        dropout: share dropped after each of them.
        frozen_blocks: how many of VGG19's five blocks stay as they came.
        condition: bring activations to unit spread first (see `vgg19.condition`);
            not done where training starts from a trained network.
        balanced: show both classes equally often.
        looks: into how many looks the training pictures are split, within each of which
            both classes are shown alike as far as that goes (see `data.looks`).
        extra_share: share of each epoch that comes from the extra data set, if any.
        images_per_epoch: images shown in one epoch; None: all of them once.
        kept_epochs: the views of the first so many epochs go through the frozen blocks
            once, and all epochs show them again (see `features`); None: each epoch
            changes its images anew. Then an epoch takes a fraction of the time.
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
    aligned: bool
    standardize: bool
    frozen_blocks: int
    condition: bool
    balanced: bool
    images_per_epoch: int | None
    epochs: int
    batch_size: int
    learning_rate: float
    hidden_units: tuple[int, ...] = HIDDEN_UNITS
    dropout: float = DROPOUT
    unchanged: float = 0.0
    masked: bool = False
    looks: int | None = None
    kept_epochs: int | None = None
    extra_share: float = 0.15
    optimizer: str = "sgd"
    schedule: str = "plateau"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    average: float | None = None
    label_smoothing: float = 0.0
    stress_views: int = 0
    monitor: str = "val_loss"
    patience: int = 6
    plateau: int = 2

    def __post_init__(self) -> None:
        augment.compose(self.augmentation)
        object.__setattr__(self, "hidden_units", tuple(self.hidden_units))  # from JSON
        if self.kept_epochs is not None and not (
            self.kept_epochs > 0 and 1 <= self.frozen_blocks <= 4
        ):
            raise RecipeError(
                "kept_epochs keeps what frozen blocks give: it takes a number from 1 "
                f"on, and frozen_blocks 1 to 4; they are {self.kept_epochs} and "
                f"{self.frozen_blocks}"
            )
        if not 0 <= self.unchanged <= 1:
            raise RecipeError(f"unchanged is {self.unchanged:g}; expected 0 to 1")
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

    @property
    def better(self) -> str:
        """Where better is for what is monitored: "min" or "max"."""
        return "max" if self.monitor == "val_auroc" else "min"

    @property
    def network(self) -> dict:
        """What `vgg19.build` needs to build this recipe's network again."""
        names = ("aligned", "standardize", "masked", "hidden_units", "dropout")
        return {name: getattr(self, name) for name in names}


RECIPES = {
    # As published: frozen base, pixels in [0, 1], both flips, rotations, shifts.
    "published": Recipe(
        augmentation="published",
        aligned=False,
        standardize=False,
        frozen_blocks=5,
        condition=False,
        balanced=False,
        images_per_epoch=None,
        epochs=20,
        batch_size=32,
        learning_rate=1e-3,
    ),
    # Ours. What ships was trained so.
    "default": Recipe(
        augmentation=augment.DEFAULT,
        aligned=True,
        standardize=True,
        frozen_blocks=3,
        condition=True,
        balanced=True,
        images_per_epoch=4800,
        epochs=16,
        batch_size=32,
        masked=True,
        looks=looks.COUNT,
        extra_share=0.1,
        optimizer="adamw",
        learning_rate=1e-4,
        schedule="cosine",
        average=0.998,
        label_smoothing=0.05,
        stress_views=2,
        # the losses grow where the answers are right and less sure; `export` calibrates
        monitor="val_auroc",
        patience=12,
    ),
}
"""Recipes by name."""


def find(name: str) -> Recipe:
    """Return a recipe by its name.

    Raises:
        RecipeError: there is none.
    """
    if name not in RECIPES:
        raise RecipeError(f"no recipe {name}; expected one of {', '.join(RECIPES)}")
    return RECIPES[name]
