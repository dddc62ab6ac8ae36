"""What lets a stopped training end, bit by bit, where it would have."""

from pathlib import Path

import keras
import numpy as np
from keras import ops

from .. import kept
from .recipe import Recipe
from .runs import read_history, write_history


class KeepAverage(keras.callbacks.Callback):
    """Validate and keep the optimiser's moving average; train on with the weights.

    Stands behind KeepBest, which so finds the average in the model. Unlike
    Keras's SwapEMAWeights it puts the weights back bit by bit, which resuming needs.
    """

    _weights = None

    def on_test_begin(self, logs=None):
        """Put the average into the model."""
        variables = self.model.trainable_variables
        averages = self.model.optimizer._model_variables_moving_average
        self._weights = [ops.convert_to_numpy(v).copy() for v in variables]
        for variable, average in zip(variables, averages, strict=True):
            # a copy: JAX would share the memory, and give it away with the next step
            variable.assign(ops.convert_to_numpy(average).copy())

    def on_epoch_end(self, epoch, logs=None):
        """Put the weights back, after KeepBest has run."""
        for variable, weight in zip(
            self.model.trainable_variables, self._weights, strict=True
        ):
            variable.assign(weight)


class KeepBest(keras.callbacks.Callback):
    """Keep the weights of the best epoch; a full disk or a kill leaves those before."""

    def __init__(
        self,
        path: Path,
        recipe: Recipe,
        history: list[dict],
        whole: keras.Model,
    ):
        """Take where to, what is best, and the epochs that a resumed run has done.

        Args:
            path: of the weights.
            recipe: says what is watched.
            history: of the epochs before.
            whole: what is kept; the model that is trained may be a part of it.
        """
        super().__init__()
        self.whole = whole
        self.path, self.recipe = path, recipe
        self.best = best_so_far(history, recipe)

    def on_epoch_end(self, epoch, logs=None):
        """Save the weights if no epoch before was as good, or the last is asked for."""
        if self.recipe.monitor != "last":
            value = logs[self.recipe.monitor]
            better = np.less if self.recipe.better == "min" else np.greater
            if self.best is not None and not better(value, self.best):
                return
            self.best = value
        with kept.whole(self.path, state_size(self.model)) as path:
            self.whole.save_weights(path)


class KeepHistory(keras.callbacks.Callback):
    """Keep what every epoch measured in `history.csv`, one row each."""

    def __init__(self, out: Path, history: list[dict]):
        """Take the run's folder, and the rows of the epochs that it has done."""
        super().__init__()
        self.out, self.history = out, list(history)

    def on_epoch_end(self, epoch, logs=None):
        """Write all rows anew, so that none is ever cut short."""
        values = {name: float(logs[name]) for name in sorted(logs)}
        self.history.append({"epoch": epoch, **values})
        write_history(self.out, self.history)


class SaveState(keras.callbacks.Callback):
    """Save weights and optimiser after each epoch; a kill leaves the last one whole."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        """Write beside the last state, then take its place."""
        with kept.whole(self.path, state_size(self.model)) as path:
            self.model.save_weights(path)


def state_size(model: keras.Model) -> int:
    """Return how many bytes a model's weights and optimiser take in a file, at most."""
    variables = [*model.weights, *model.optimizer.variables]
    return round(1.1 * sum(4 * int(np.prod(v.shape)) for v in variables))


class SeedEpoch(keras.callbacks.Callback):
    """Give layers that draw the same draws in an epoch, whatever ran before it."""

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        """Seed every layer that draws from the run's seed and the epoch."""
        for number, layer in enumerate(self.model.layers):
            if hasattr(layer, "seed_generator"):  # Dropout has none where it drops none
                draws = np.random.default_rng((self.seed, epoch, number))
                state = draws.integers(2**32, size=2, dtype=np.uint32)
                layer.seed_generator.state.assign(state)


class Replay(keras.callbacks.Callback):
    """Bring callbacks to where a stopped training left them."""

    def __init__(self, callbacks: list[keras.callbacks.Callback], history: list[dict]):
        super().__init__()
        self.callbacks, self.history = callbacks, history

    def on_train_begin(self, logs=None):
        """Show the callbacks every epoch of the history."""
        for epoch, row in enumerate(self.history):
            for callback in self.callbacks:
                callback.on_epoch_end(epoch, row)


def followers(recipe: Recipe) -> list[keras.callbacks.Callback]:
    """Make the callbacks that follow the validation, as the recipe says."""
    by_choice = recipe.monitor != "last"
    watched = {
        "monitor": recipe.monitor if by_choice else "val_loss",
        "mode": recipe.better,
    }
    chosen = []
    if recipe.schedule == "plateau":
        chosen.append(
            keras.callbacks.ReduceLROnPlateau(
                **watched, factor=0.3, patience=recipe.plateau, verbose=1
            )
        )
    if by_choice:
        chosen.append(
            keras.callbacks.EarlyStopping(**watched, patience=recipe.patience)
        )
    return chosen


def restore(model, out: Path, steps: int) -> list[dict]:
    """Load the last state and return the history up to it, oldest epoch first."""
    model.load_weights(out / "last.weights.h5")
    epochs_done = int(model.optimizer.iterations) // steps
    if not epochs_done:  # it was stopped while the frozen blocks looked at its images
        return []
    history = read_history(out, epochs_done)
    write_history(out, history)
    return history


def is_finished(history: list[dict], recipe: Recipe) -> bool:
    """Tell whether a history of one dict an epoch is that of a whole training."""
    if recipe.monitor == "last" or not history:
        return len(history) >= recipe.epochs
    values = [row[recipe.monitor] for row in history]
    waited = len(values) - 1 - values.index(best_so_far(history, recipe))
    return len(values) >= recipe.epochs or waited >= recipe.patience


def best_so_far(history: list[dict], recipe: Recipe) -> float | None:
    """Return the best value that was watched so far, if any was."""
    if recipe.monitor == "last":
        return None
    values = (row[recipe.monitor] for row in history)
    return {"min": min, "max": max}[recipe.better](values, default=None)
