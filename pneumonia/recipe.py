"""What is trained how: the recipes."""

from dataclasses import dataclass

from . import augment

AUGMENTATIONS = {"seed": augment.seed, "default": augment.default}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        augmentation: key of `AUGMENTATIONS`.
        standardize: scale each image inside the network (see `network.build`).
        frozen_blocks: how many of VGG19's five blocks stay as they came.
        condition: bring activations to unit spread first (see `network.condition`).
        balanced: show both classes equally often.
        images_per_epoch: images shown in one epoch; None: all of them once.
        epochs: most epochs that are trained.
        batch_size: images in one step.
        optimizer: "sgd" or "adamw".
        learning_rate: at the start; `plateau` lowers it.
        momentum: of stochastic gradient descent.
        weight_decay: of AdamW, decoupled (Loshchilov and Hutter 2019).
        average: decay per step of the moving average of the weights that is validated
            and kept (Polyak and Juditsky 1992); None keeps the weights themselves.
        label_smoothing: share of the target spread over both classes, in [0, 1).
        changed_views: how many changed copies of each validation image are validated on
            besides the image itself. The clean ones alone can't tell epochs apart.
        patience: epochs without better validation loss until training stops.
        plateau: epochs without it until the learning rate is multiplied by 0.3.
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
    optimizer: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    average: float | None = None
    label_smoothing: float = 0.0
    changed_views: int = 0
    patience: int = 6
    plateau: int = 2


RECIPES = {
    # As published: frozen base, pixels in [0, 1], both flips, rotations, shifts.
    "seed": Recipe(
        augmentation="seed",
        standardize=False,
        frozen_blocks=5,
        condition=False,
        balanced=False,
        images_per_epoch=None,
        epochs=20,
        batch_size=32,
        learning_rate=1e-3,
    ),
    "default": Recipe(
        augmentation="default",
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
        changed_views=1,
        patience=8,
        plateau=3,
    ),
}
