"""Training that can be stopped and resumed.

A run is a folder. `history.csv` and `last.weights.h5` are its whole state: which images
an epoch shows and how they are changed follows from the seed and the epoch's number,
and the callbacks are brought up to date by replaying the history.
"""

import csv
import json
import shlex
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from . import data, network
from .callbacks import KeepAverage, Replay, SaveState, SeedEpoch
from .recipe import RECIPES, Recipe
from .sampling import Batches, changed_copies, one_hot


class RunError(RuntimeError):
    """The run's folder is not what the command needs; says what to do."""


def train(
    source: str | Path,
    out: str | Path,
    *,
    recipe: str = "default",
    backbone_weights: str | Path | None = "imagenet",
    epochs: int | None = None,
    images_per_epoch: int | None = None,
    seed: int = 0,
    precision: str = "float32",
    resume: bool = False,
) -> Path:
    """Train a network and keep the run in a folder.

    Args:
        source: data-set folder or arrays, as in `data.load`.
        out: the run's folder: `best.weights.h5` (lowest validation loss),
            `last.weights.h5` (to resume), `history.csv`, `curves.png`, `run.json` (the
            command, versions, recipe, data).
        recipe: key of `RECIPES`.
        backbone_weights: as in `network.build`.
        epochs: instead of the recipe's number.
        images_per_epoch: instead of the recipe's number.
        seed: of everything that is drawn.
        precision: "float32", or "mixed_bfloat16" / "mixed_float16" where the machine
            computes those faster.
        resume: go on with the run in `out`, with the recipe, seed and precision that it
            was started with; `epochs` alone may be another.

    Returns:
        The run's folder.

    Raises:
        data.DataError: the data set is missing, or too small to be split.
        network.WeightsError: the starting weights can't be had.
        RunError: `out` holds another run already, or none to resume.
    """
    out = Path(out)
    _check_folder(out, resume)
    chosen = RECIPES[recipe]
    if resume:
        record = json.loads((out / "run.json").read_text())
        chosen = Recipe(**record["settings"])
        seed, precision = record["seed"], record["precision"]
    elif images_per_epoch is not None:
        chosen = replace(chosen, images_per_epoch=images_per_epoch)
    if epochs is not None:
        chosen = replace(chosen, epochs=epochs)
    training, validation = data.split(data.load(source))

    make_deterministic(seed)
    start = _start(backbone_weights, chosen, training, seed) if not resume else None
    keras.config.set_dtype_policy(precision)
    try:
        built = network.build(standardize=chosen.standardize)
        network.freeze(built, chosen.frozen_blocks)
        model = built.classifier
        if start:
            model.set_weights(start)
        compile_network(model, chosen)
        history = _restore(model, out, training, chosen) if resume else []
        out.mkdir(parents=True, exist_ok=True)
        if not resume:
            record = {
                "command": _command(source, out, recipe, backbone_weights, chosen, seed)
                + f" --precision {precision}",
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
                "versions": _versions(),
                "source": str(source),
                "recipe": recipe,
                "backbone_weights": Path(str(backbone_weights)).name,
                "seed": seed,
                "precision": precision,
                **_sizes(training, validation),
                "network": {"standardize": chosen.standardize},
            }
        record["settings"] = asdict(chosen)
        (out / "run.json").write_text(json.dumps(record, indent=2) + "\n")
        if not _is_finished(history, chosen):
            _fit(model, out, chosen, seed, training, validation, history)
    finally:
        keras.config.set_dtype_policy("float32")
    plot_history(out)
    return out


def _check_folder(out: Path, resume: bool) -> None:
    begun = (out / "last.weights.h5").exists()
    if resume and not begun:
        raise RunError(f"{out} holds no run to resume. Start it without --resume.")
    if begun and not resume:
        raise RunError(
            f"{out} holds a run already. Go on with --resume, or choose another --out."
        )


def _start(backbone_weights, recipe: Recipe, training, seed: int) -> list[np.ndarray]:
    """Return the weights that training starts from, made in float32."""
    built = network.build(backbone_weights, standardize=recipe.standardize)
    network.freeze(built, recipe.frozen_blocks)
    if recipe.condition:
        batches = Batches(training, recipe, seed)
        some = [batches[step][0] for step in range(min(4, len(batches)))]
        network.condition(built, np.concatenate(some))
    return built.classifier.get_weights()


def make_deterministic(seed: int) -> None:
    """Seed every generator, and have TensorFlow compute the same on every run."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def compile_network(model: keras.Model, recipe: Recipe) -> None:
    """Set optimiser, loss and metrics, and make the optimiser's variables."""
    common = {
        "learning_rate": recipe.learning_rate,
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
        metrics=["accuracy", keras.metrics.AUC(name="auroc")],
        # XLA is slower than oneDNN on TensorFlow's CPU, and much faster elsewhere.
        jit_compile=keras.backend.backend() == "jax",
    )
    model.optimizer.build(model.trainable_variables)


def _fit(model, out, recipe, seed, training, validation, history) -> None:
    images = validation.inputs()
    copies = changed_copies(images, recipe.augmentation, recipe.changed_views)
    seen = np.concatenate([images, *copies])
    targets = np.tile(one_hot(validation.labels), (1 + recipe.changed_views, 1))
    stop = keras.callbacks.EarlyStopping("val_loss", patience=recipe.patience)
    slow_down = keras.callbacks.ReduceLROnPlateau(
        "val_loss", factor=0.3, patience=recipe.plateau, verbose=1
    )
    keep_best = keras.callbacks.ModelCheckpoint(
        out / "best.weights.h5",
        monitor="val_loss",
        save_best_only=True,
        save_weights_only=True,
        initial_value_threshold=min((r["val_loss"] for r in history), default=None),
    )
    begun = len(history)
    model.optimizer.learning_rate = recipe.learning_rate  # replaying lowers it again
    model.fit(
        Batches(training, recipe, seed, begun),
        validation_data=(seen, targets),
        validation_batch_size=64,
        initial_epoch=begun,
        epochs=recipe.epochs,
        shuffle=False,  # the batches are drawn already
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=[
            SeedEpoch(seed),
            slow_down,
            stop,
            keep_best,
            keras.callbacks.CSVLogger(out / "history.csv", append=True),
            *([KeepAverage()] if recipe.average is not None else []),
            SaveState(out / "last.weights.h5"),
            Replay([slow_down, stop], history),
        ],
    )


def _restore(model, out: Path, training, recipe: Recipe) -> list[dict]:
    """Load the last state and return the history up to it, oldest epoch first."""
    model.load_weights(out / "last.weights.h5")
    steps = len(Batches(training, recipe))
    epochs_done = int(model.optimizer.iterations) // steps
    history = read_history(out)[:epochs_done]
    with (out / "history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows({**row, "epoch": int(row["epoch"])} for row in history)
    return history


def _is_finished(history: list[dict], recipe: Recipe) -> bool:
    losses = [row["val_loss"] for row in history]
    waited = len(losses) - 1 - int(np.argmin(losses)) if losses else 0
    return len(losses) >= recipe.epochs or waited >= recipe.patience


def read_history(out: str | Path) -> list[dict]:
    """Return one dict of floats per epoch of the run in `out`."""
    with (Path(out) / "history.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def _command(source, out, recipe, backbone_weights, chosen: Recipe, seed: int) -> str:
    options = {
        "--out": out,
        "--recipe": recipe,
        "--backbone-weights": backbone_weights or "random",
        "--epochs": chosen.epochs,
        "--images-per-epoch": chosen.images_per_epoch,
        "--seed": seed,
    }
    words = ["python", "-m", "pneumonia", "train", str(source)]
    for option, value in options.items():
        words += [option, str(value)] if value is not None else []
    return shlex.join(words)


def _sizes(training: data.Dataset, validation: data.Dataset) -> dict[str, int]:
    return {
        "training_images": len(training.labels),
        "training_patients": len(set(training.groups)),
        "validation_images": len(validation.labels),
        "validation_patients": len(set(validation.groups)),
    }


def _versions() -> dict[str, str]:
    backend = keras.backend.backend()
    names = ("keras", "numpy", "pillow", backend)
    return {
        "python": sys.version.split()[0],
        "backend": backend,
        **{name: version(name) for name in names},
    }


def plot_history(out: str | Path) -> None:
    """Draw loss, accuracy and AUROC of the run in `out` into `curves.png`."""
    from matplotlib.figure import Figure

    history = read_history(out)
    epochs = np.arange(1, len(history) + 1)
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    for axis, name in zip(
        figure.subplots(1, 3), ("loss", "accuracy", "auroc"), strict=True
    ):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            axis.plot(epochs, [row[key] for row in history], label=label)
        axis.set(xlabel="epoch", title={"auroc": "AUROC"}.get(name, name))
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(Path(out) / "curves.png", dpi=120)
