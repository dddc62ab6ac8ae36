"""Training that can be stopped and resumed.

A run is a folder. `history.csv` and `last.weights.h5` are its whole state: which images
an epoch shows and how they are changed follows from the seed and the epoch's number,
and the callbacks are brought up to date by replaying the history.
"""

import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from .. import kept
from ..contract import BUNDLE, LABELS
from ..data import folder, stress, subgroups
from ..network import finder, vgg19
from ..network.finder import Framed
from . import backend, callbacks, features, runs, weights
from .devices import placed
from .plan import Plan
from .recipe import Recipe
from .runs import RunError
from .sampling import Batches, one_hot
from .settings import adjust, choose

EXTRA_HELD_OUT = 0.3
"""Share of the patients of an extra data set that is kept from training."""


def train(plan: Plan) -> Path:
    """Train a network and keep the run in a folder.

    Args:
        plan: what to train on what. Where it resumes, its `source`, `out`, `extra`,
            `epochs`, `devices` and `workers` count; the rest is as the run was begun.

    Returns:
        The run's folder: `best.weights.h5` (of the epoch that the recipe's `monitor`
        chooses), `last.weights.h5` (to resume), `history.csv`, `curves.png`, `run.json`
        (plan, ancestry, versions, recipe, data).

    Raises:
        folder.DataError: the data set is missing, or too small to be split.
        vgg19.WeightsError: the starting weights can't be had.
        recipe.RecipeError: no such recipe or setting, or a value that it can't take.
        finder.FinderError: there is no trained finder.
        RunError: `out` holds another run already, or none to resume; it resumes with
            other X-rays or settings; no such group to leave out; no `start` whose
            layers are those of the recipe; the disk is full.
        backend.BackendError: Keras's backend can't train.
        devices.DevicesError: the devices can't share the work.
        kept.KeepError: `out` can't be written to.
    """
    out = Path(plan.out)
    runs.check_folder(out, plan.resume)
    backend.check()
    if plan.resume:
        record = runs.read_record(out)
        recipe = runs.recipe_of(record, out)
        runs.check_asked(plan, record, recipe)
        epochs = {k: text for k, text in plan.changes.items() if k == "epochs"}
        recipe = adjust(recipe, epochs)
        plan = plan.resumed(record)
    else:
        recipe = choose(plan)
        weights.check(plan)
    of_finder = out if plan.resume else Path(plan.finder or BUNDLE)
    found_by = finder.load(of_finder)
    images = _gather(plan, recipe, found_by)
    if plan.resume:
        runs.check_data(images.facts(), record, out)
    make_deterministic(plan.seed)
    start = (
        None
        if plan.resume
        else weights.starting(plan, recipe, images.batches(recipe, plan))
    )
    with placed(plan.devices, plan.precision, recipe.batch_size):
        built = vgg19.build(**recipe.network)
        vgg19.freeze(built, recipe.frozen_blocks)
        if start:
            built.classifier.set_weights(start)
        out.mkdir(parents=True, exist_ok=True)
        if not plan.resume:
            runs.clear(out)
            with kept.whole(out / finder.WEIGHTS) as path:
                shutil.copyfile(of_finder / finder.WEIGHTS, path)
            record = runs.begin(plan) | weights.of_start(plan, recipe) | images.facts()
            record["network"] = recipe.network
            record["finder_sha256"] = finder.digest(out)
        record["settings"] = asdict(recipe)
        runs.write_record(out, record)
        _fit(built, recipe, plan, images)
    runs.plot_history(out)
    return out


@dataclass(frozen=True)
class _Images:
    """What a run trains and validates on."""

    training: folder.Dataset
    framed: Framed
    validation: folder.Dataset
    seen: np.ndarray
    targets: np.ndarray
    extra: folder.Dataset | None = None
    extra_framed: Framed | None = None

    def facts(self) -> dict[str, int | str]:
        """Return what tells these images from others, for the run's record."""
        parts = {"training": self.training, "validation": self.validation}
        if self.extra is not None:
            parts["extra"] = self.extra
        counts: dict[str, int | str] = {}
        for name, part in parts.items():
            counts[f"{name}_images"] = len(part.labels)
            counts[f"{name}_patients"] = len(set(part.groups))
            counts[f"{name}_sha256"] = runs.digest(part)
        return counts

    def batches(self, recipe: Recipe, plan: Plan) -> Batches:
        extra = None
        if self.extra is not None:
            extra = self.extra_framed, self.extra.labels
        options = {"extra": extra, "workers": plan.workers}
        return Batches(self.framed, self.training.labels, recipe, plan.seed, **options)


def _gather(plan: Plan, recipe: Recipe, found_by: keras.Model) -> _Images:
    left_out = plan.leave_out
    if left_out and left_out not in subgroups.SUBGROUPS:
        raise RunError(
            f"no group {left_out}; expected one of {', '.join(subgroups.SUBGROUPS)}"
        )
    training, validation = folder.split(folder.load(plan.source))
    if left_out:
        training = training.subset(~subgroups.mask(training, left_out))
    extra = extra_framed = None
    if plan.extra:
        extra, _ = folder.split(folder.load(plan.extra), EXTRA_HELD_OUT)
        extra_framed = Framed.by(found_by, extra.images)
    clean = Framed.by(found_by, validation.images)
    copies = stress.mixed_copies(
        validation.images, validation.labels, recipe.stress_views, boxes=clean.boxes
    )
    views = [clean, *(Framed.by(found_by, copy) for copy in copies)]
    return _Images(
        training=training,
        framed=Framed.by(found_by, training.images),
        validation=validation,
        seen=np.concatenate([view.shown(recipe) for view in views]),
        targets=np.tile(one_hot(validation.labels), (len(views), 1)),
        extra=extra,
        extra_framed=extra_framed,
    )


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


def _fit(built: vgg19.Network, recipe: Recipe, plan: Plan, images: _Images) -> None:
    out = Path(plan.out)
    model, seen = built.classifier, images.seen
    batches = images.batches(recipe, plan)
    lower = None
    if recipe.kept_epochs:
        if plan.resume:  # the frozen blocks; the last state has the others
            model.load_weights(out / "best.weights.h5")
        lower, model = vgg19.split(built, recipe.frozen_blocks)
    compile_network(model, recipe, len(batches) * recipe.epochs)
    history = callbacks.restore(model, out, len(batches)) if plan.resume else []
    if callbacks.is_finished(history, recipe):
        return
    # the best, the last, and one that is written beside them
    kept.check_room(out, (1 if plan.resume else 3) * callbacks.state_size(model))
    if lower is not None:
        if not plan.resume:  # so that a stop from here on can be resumed
            for name, part in ("best", built.classifier), ("last", model):
                with kept.whole(out / f"{name}.weights.h5") as path:
                    part.save_weights(path)
        with runs.whole_so_far(out):
            batches = features.gather(lower, batches, recipe.kept_epochs, out)
        seen = features.of_images(lower, seen)
    batches.start(len(history))
    following = callbacks.followers(recipe)
    if recipe.schedule == "plateau":
        model.optimizer.learning_rate = recipe.learning_rate  # replaying lowers it
    with runs.whole_so_far(out):
        model.fit(
            batches,
            validation_data=(seen, images.targets),
            validation_batch_size=64,
            initial_epoch=len(history),
            epochs=recipe.epochs,
            shuffle=False,  # the batches are drawn already
            verbose=1 if sys.stdout.isatty() else 2,
            callbacks=[
                callbacks.SeedEpoch(plan.seed),
                *following,
                callbacks.KeepBest(
                    out / "best.weights.h5", recipe, history, built.classifier
                ),
                callbacks.KeepHistory(out, history),
                *([callbacks.KeepAverage()] if recipe.average is not None else []),
                callbacks.SaveState(out / "last.weights.h5"),
                callbacks.Replay(following, history),
            ],
        )
    shutil.rmtree(out / features.FOLDER, ignore_errors=True)
