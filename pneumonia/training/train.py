"""Training that can be stopped and resumed.

A run is a folder. `history.csv` and `last.weights.h5` are its whole state: which images
an epoch shows and how they are changed follows from the seed and the epoch's number,
and the callbacks are brought up to date by replaying the history.
"""

import csv
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from ..contract import LABELS
from ..data import folder, stress, subgroups
from ..network import vgg19
from . import balance, runs, styles
from .cache import CachedBatches, compute
from .callbacks import (
    KeepAverage,
    KeepBest,
    Replay,
    SaveState,
    SeedEpoch,
    followers,
)
from .devices import placed
from .recipe import RECIPES, Recipe, adjust
from .runs import RunError
from .sampling import Batches, one_hot
from .starting import like_its_start, starting_weights

EXTRA_HELD_OUT = 0.3
"""Share of the patients of an extra data set that is kept from training."""


def train(
    source: str | Path,
    out: str | Path,
    *,
    recipe: str = "default",
    settings: dict[str, str] | None = None,
    backbone_weights: str | Path | None = "imagenet",
    start: str | Path | None = None,
    new_head: bool = False,
    extra: str | Path | None = None,
    leave_out: str | None = None,
    seed: int = 0,
    precision: str = "float32",
    devices: str = "one",
    resume: bool = False,
) -> Path:
    """Train a network and keep the run in a folder.

    Args:
        source: data-set folder or arrays, as in `folder.load`.
        out: the run's folder: `best.weights.h5` (lowest validation loss),
            `last.weights.h5` (to resume), `history.csv`, `curves.png`, `run.json` (the
            command, versions, recipe, data).
        recipe: key of `RECIPES`.
        settings: changes of single settings of it, as in `recipe.adjust`.
        backbone_weights: as in `vgg19.build`.
        start: go on from this network, a run or a bundle, instead of VGG19's weights.
            What it does to pixels first, and the widths of its head, stay as they are
            where `settings` does not say otherwise.
        new_head: take the convolutions of `start` alone; the fully connected layers,
            as wide as the recipe says, start anew.
        extra: a second data set that is trained on too; of its patients
            `EXTRA_HELD_OUT` are held out.
        leave_out: one of `subgroups.SUBGROUPS`, that training must not see.
        seed: of everything that is drawn.
        precision: "float32", or "mixed_bfloat16" / "mixed_float16" where the machine
            computes those faster.
        devices: "one", or "all" of this machine's, as in `devices.placed`.
        resume: go on with the run in `out` as it was started; of the arguments only
            `source` and the setting `epochs` count.

    Returns:
        The run's folder.

    Raises:
        folder.DataError: the data set is missing, or too small to be split.
        vgg19.WeightsError: the starting weights can't be had.
        recipe.RecipeError: no such setting, or a value that it can't take.
        RunError: `out` holds another run already, or none to resume; no `start` whose
            layers are those of the recipe.
    """
    out = Path(out)
    runs.check_folder(out, resume)
    settings = settings or {}
    if resume:
        record = json.loads((out / "run.json").read_text())
        chosen = Recipe(**record["settings"])
        if "epochs" in settings:
            chosen = adjust(chosen, {"epochs": settings["epochs"]})
        seed, precision = record["seed"], record["precision"]
        extra, leave_out = record["extra_source"], record["left_out"]
    else:
        if recipe not in RECIPES:
            raise RunError(f"no recipe {recipe}; expected one of {', '.join(RECIPES)}")
        if leave_out and leave_out not in subgroups.SUBGROUPS:
            raise RunError(
                f"no group {leave_out}; expected one of "
                f"{', '.join(subgroups.SUBGROUPS)}"
            )
        chosen = adjust(RECIPES[recipe], settings)
        if start is not None:
            chosen = like_its_start(chosen, start, new_head, settings)
    images = _gather(source, extra, leave_out)

    make_deterministic(seed)
    weights = None
    if not resume:
        weights = starting_weights(
            images.training, chosen, seed, backbone_weights, start, new_head
        )
    with placed(devices, precision, chosen.batch_size):
        built = vgg19.build(**chosen.network)
        vgg19.freeze(built, chosen.frozen_blocks)
        if weights:
            built.classifier.set_weights(weights)
        out.mkdir(parents=True, exist_ok=True)
        if not resume:
            record = {
                **runs.describe(
                    source,
                    out,
                    recipe=recipe,
                    settings=settings,
                    backbone_weights=backbone_weights,
                    start=start,
                    new_head=new_head,
                    extra=extra,
                    leave_out=leave_out,
                    seed=seed,
                    precision=precision,
                    devices=devices,
                ),
                **images.sizes(),
                "network": chosen.network,
            }
        record["settings"] = asdict(chosen)
        (out / "run.json").write_text(json.dumps(record, indent=2) + "\n")
        _fit(built, out, chosen, seed, images, resume)
    runs.plot_history(out)
    return out


@dataclass(frozen=True)
class _Images:
    """What a run trains and validates on."""

    training: folder.Dataset
    validation: folder.Dataset
    extra: folder.Dataset | None

    def sizes(self) -> dict[str, int]:
        parts = {"training": self.training, "validation": self.validation}
        if self.extra is not None:
            parts["extra"] = self.extra
        counts = {}
        for name, part in parts.items():
            counts[f"{name}_images"] = len(part.labels)
            counts[f"{name}_patients"] = len(set(part.groups))
        return counts


def _gather(source, extra, leave_out: str | None) -> _Images:
    training, validation = folder.split(folder.load(source))
    if leave_out:
        training = training.subset(~subgroups.mask(training, leave_out))
    if extra:
        extra, _ = folder.split(folder.load(extra), EXTRA_HELD_OUT)
    return _Images(training, validation, extra or None)


def make_deterministic(seed: int) -> None:
    """Seed every generator, and have TensorFlow compute the same on every run."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def compile_network(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Set optimiser, loss and metrics, and make the optimiser's variables.

    Args:
        model: images, or cached features, to probabilities.
        recipe: what to set.
        steps: steps of the whole run, over which a cosine schedule falls to zero.
    """
    rate = recipe.learning_rate
    if recipe.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    common = {
        "learning_rate": rate,
        "use_ema": recipe.average is not None,
        "ema_momentum": recipe.average or 0.99,
    }
    model.compile(
        optimizer=keras.optimizers.SGD(momentum=recipe.momentum, **common)
        if recipe.optimizer == "sgd"
        else keras.optimizers.AdamW(weight_decay=recipe.weight_decay, **common),
        loss=keras.losses.CategoricalCrossentropy(
            label_smoothing=recipe.label_smoothing
        ),
        metrics=[
            "accuracy",
            # of each label for itself, which the operating point does not move
            keras.metrics.AUC(multi_label=True, num_labels=len(LABELS), name="auroc"),
        ],
        # XLA is slower than oneDNN on TensorFlow's CPU, and much faster elsewhere.
        jit_compile=keras.backend.backend() == "jax",
    )
    model.optimizer.build(model.trainable_variables)


def _fit(built: vgg19.Network, out, recipe, seed, images: _Images, resume) -> None:
    model, batches, seen = _prepare(built, recipe, seed, images)
    compile_network(model, recipe, len(batches) * recipe.epochs)
    history = _restore(model, out, len(batches)) if resume else []
    if _is_finished(history, recipe):
        return
    batches.start(len(history))
    targets = np.tile(one_hot(images.validation.labels), (1 + recipe.stress_views, 1))
    watched, following = followers(recipe)
    if recipe.schedule == "plateau":
        model.optimizer.learning_rate = recipe.learning_rate  # replaying lowers it
    keep_best = KeepBest(
        built.classifier,
        out / "best.weights.h5",
        **watched,
        save_best_only=recipe.monitor != "last",
        save_weights_only=True,
        initial_value_threshold=_best(history, recipe),
    )
    model.fit(
        batches,
        validation_data=(seen, targets),
        validation_batch_size=64,
        initial_epoch=len(history),
        epochs=recipe.epochs,
        shuffle=False,  # the batches are drawn already
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=[
            SeedEpoch(seed),
            *following,
            keep_best,
            keras.callbacks.CSVLogger(out / "history.csv", append=True),
            *([KeepAverage()] if recipe.average is not None else []),
            SaveState(out / "last.weights.h5"),
            Replay(following, history),
        ],
    )


def _prepare(built, recipe: Recipe, seed: int, images: _Images):
    """Return the model to fit, its training batches and its validation input."""
    clean = images.validation.images
    labels = images.validation.labels
    copies = stress.mixed_copies(clean, labels, recipe.stress_views)
    seen = folder.as_input(np.concatenate([clean, *copies]))
    options = {"extra": images.extra}
    if recipe.overlap_weights:
        part = images.training
        options["weights"] = balance.overlap_weights(
            part.images, part.labels, part.groups
        )
    if not recipe.cached_views:
        model = built.classifier
        if recipe.style_mix:
            model = styles.mixing(built, recipe.style_mix)
        return model, Batches(images.training, recipe, seed, **options), seen
    front, tail = vgg19.cut(built, recipe.frozen_blocks)
    batches = CachedBatches(front, images.training, recipe, seed, **options)
    return tail, batches, compute(front, seen)


def _restore(model, out: Path, steps: int) -> list[dict]:
    """Load the last state and return the history up to it, oldest epoch first."""
    model.load_weights(out / "last.weights.h5")
    epochs_done = int(model.optimizer.iterations) // steps
    history = runs.read_history(out)[:epochs_done]
    with (out / "history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows({**row, "epoch": int(row["epoch"])} for row in history)
    return history


def _is_finished(history: list[dict], recipe: Recipe) -> bool:
    if recipe.monitor == "last" or not history:
        return len(history) >= recipe.epochs
    values = [row[recipe.monitor] for row in history]
    waited = len(values) - 1 - values.index(_best(history, recipe))
    return len(values) >= recipe.epochs or waited >= recipe.patience


def _best(history: list[dict], recipe: Recipe) -> float | None:
    """Return the best value that was watched so far, if any was."""
    if recipe.monitor == "last":
        return None
    values = (row[recipe.monitor] for row in history)
    return {"min": min, "max": max}[recipe.better](values, default=None)
