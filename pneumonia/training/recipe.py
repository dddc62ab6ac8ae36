"""What is trained how: the recipes."""

import dataclasses
from dataclasses import dataclass

from ..network.framing import inner_side
from . import augment


class RecipeError(ValueError):
    """A setting that no recipe has, or a value that it can't take."""


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
            class (see `balance.overlap_weights`).
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
    hidden_units: tuple[int, ...] = (256, 128)
    dropout: float = 0.3
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

    def __post_init__(self):
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


def adjust(recipe: Recipe, settings: dict[str, str]) -> Recipe:
    """Change settings of a recipe, given as text.

    Args:
        recipe: to start from.
        settings: attribute -> value as on a command line: `4`, `1e-4`, `true`,
            `none`, `256,128`, `sgd`.

    Raises:
        RecipeError: no such setting, or a value of another kind.
    """
    kinds = {field.name: field.type for field in dataclasses.fields(Recipe)}
    changed = {}
    for name, text in settings.items():
        if name not in kinds:
            raise RecipeError(
                f"no setting is called {name}; expected one of {', '.join(kinds)}"
            )
        try:
            changed[name] = _parse(text, kinds[name])
        except ValueError as error:
            raise RecipeError(f"{name}={text}: expected {kinds[name]}") from error
    try:
        return dataclasses.replace(recipe, **changed)
    except RecipeError:
        raise
    except ValueError as error:
        raise RecipeError(str(error)) from error


def _parse(text: str, kind) -> object:
    if text.lower() == "none":
        if kind not in (int | None, float | None):
            raise ValueError(text)
        return None
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if kind == tuple[int, ...]:
        return tuple(int(part) for part in text.split(",") if part)
    if kind in (int, int | None):
        return int(text)
    if kind in (float, float | None):
        return float(text)
    return text


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

# A way on from a network that is trained already.
_ON = dataclasses.replace(
    _OURS, images_per_epoch=4800, schedule="cosine", monitor="last"
)

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
    # What every row of the ablation starts from: no change that a row is to measure.
    "warm-up": dataclasses.replace(
        _OURS, augmentation="mirror", epochs=8, stress_views=0, patience=6, plateau=2
    ),
    # One row of the ablation: a short way on from the warm-up.
    "row": dataclasses.replace(_ON, epochs=1, average=0.98, stress_views=0),
    "default": _OURS,
    # A slow way on from the default recipe's network, against what shortcuts are left.
    "refine": dataclasses.replace(
        _ON,
        augmentation=augment.DEFAULT + "+transfer",
        overlap_weights=True,
        epochs=8,
        learning_rate=3e-5,
    ),
    # The last stage: what stands around the lungs must not decide.
    "finish": dataclasses.replace(
        _ON,
        augmentation=augment.DEFAULT + "+transfer",
        void_share=0.12,
        epochs=4,
        learning_rate=2e-5,
    ),
    # And neither must sharpness, grain or the spread of brightness.
    "polish": dataclasses.replace(
        _ON,
        augmentation=augment.DEFAULT + "+transfer+spectrum+sharpen",
        void_share=0.12,
        epochs=12,
        learning_rate=3e-5,
    ),
    # Once more, in files stored badly too, with more adults. It bought adults something
    # and children nothing (see the ablation).
    "settle": dataclasses.replace(
        _ON,
        augmentation=augment.DEFAULT + "+transfer+spectrum+sharpen+compress",
        void_share=0.12,
        extra_share=0.2,
        epochs=10,
        learning_rate=6e-5,
        average=0.998,
    ),
    # As settle, framed in more ways. What ships is the mean of the weights before and
    # after it.
    "reframe": dataclasses.replace(
        _ON,
        augmentation=augment.DEFAULT + "+transfer+spectrum+sharpen+compress+reframe",
        void_share=0.12,
        extra_share=0.2,
        epochs=12,
        learning_rate=4e-5,
        average=0.998,
    ),
}
