"""Training the lung finder, in a run that can be stopped and resumed."""

import hashlib
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np
from keras import ops

from .. import kept
from ..contract import LABELS
from ..data import folder, lungs
from ..network import finder
from . import backend, callbacks, runs
from .devices import one_blas_thread
from .lung_views import Pair, augment

AVERAGE = 0.995
"""Share of the moving average of the weights that a step keeps."""

KEPT = ("images_per_epoch", "learning_rate", "seed")
"""What a resumed run takes from the run that it goes on with."""


@dataclass(frozen=True)
class FinderPlan:
    """How to train a finder.

    Attributes:
        source: data set, as in `folder.load`.
        masks: as in `lungs.load`; images without a mask are left out.
        out: the run's folder.
        epochs: how many.
        images_per_epoch: half of each class.
        learning_rate: the same in all epochs, so that a run can go on for more.
        seed: of everything that is drawn.
        resume: go on with the run in `out`.
    """

    source: Path
    masks: Path
    out: Path
    epochs: int = 16
    images_per_epoch: int = 3200
    learning_rate: float = 2e-3
    seed: int = 0
    resume: bool = False

    @property
    def record(self) -> dict:
        """What `run.json` says of it; no place on this machine."""
        names = {"source": self.source.name, "masks": self.masks.name}
        settings = asdict(self) | names
        return {k: v for k, v in settings.items() if k not in ("out", "resume")}


class Pairs(keras.utils.PyDataset):
    """Augmented batches of both classes, each a function of (seed, epoch, step)."""

    BATCH = 32

    def __init__(self, images: np.ndarray, masks: np.ndarray, labels, plan: FinderPlan):
        """Take float32 (n, 96, 96, 1) images and masks, and int (n,) labels."""
        super().__init__(workers=2, max_queue_size=8)
        self.images, self.masks = images, masks
        self.of_class = [np.flatnonzero(labels == i) for i in range(len(LABELS))]
        self.plan, self.epoch = plan, 0

    def __len__(self) -> int:
        return -(-self.plan.images_per_epoch // self.BATCH)

    @one_blas_thread
    def __getitem__(self, step: int) -> Pair:
        """Return images and masks, float32 (32, 96, 96, 1) in [0, 1]."""
        rng = np.random.default_rng((self.plan.seed, self.epoch, step))
        each = self.BATCH // len(LABELS)
        chosen = np.concatenate([rng.choice(part, each) for part in self.of_class])
        return augment(self.images[chosen], self.masks[chosen], rng)

    def on_epoch_end(self) -> None:
        """Move on to the next epoch; Keras calls this after each."""
        self.epoch += 1


def loss(true, found):
    """Return cross-entropy plus what is missing of the overlap, a scalar tensor."""
    entropy = ops.mean(ops.binary_crossentropy(true, found))
    return entropy + 1 - ops.mean(finder.dice(true, found))


def train(plan: FinderPlan) -> Path:
    """Train a finder on the patients that training does not hold out.

    The moving average of the weights after the last epoch is kept: nothing is chosen on
    held-out patients.

    Args:
        plan: what to train on what.

    Returns:
        The run's folder: `finder.weights.h5`, `last.weights.h5` (to resume),
        `history.csv`, `run.json` (versions, settings, data).

    Raises:
        folder.DataError: the data set is missing, or too small to be split.
        lungs.LungsError: the masks are missing.
        RunError: `out` holds another run already, or none to resume; it resumes with
            other X-rays or masks; the disk is full.
        backend.BackendError: Keras's backend can't train.
        kept.KeepError: `out` can't be written to.
    """
    runs.check_folder(plan.out, plan.resume)
    backend.check()
    if plan.resume:
        record = runs.read_record(plan.out)
        runs.check_backend(record, plan.out)
        plan = replace(plan, **{name: record[name] for name in KEPT})
    training, _ = folder.split(folder.load(plan.source))
    found, masks = lungs.load(plan.masks, training.names)
    training = training.subset(found)
    data = {
        "images": len(training.labels),
        "patients": len(set(training.groups)),
        "images_sha256": runs.digest(training),
        "masks_sha256": hashlib.sha256(np.ascontiguousarray(masks)).hexdigest(),
    }
    if plan.resume:
        runs.check_data(data, record, plan.out)
    keras.utils.set_random_seed(plan.seed)
    images, targets = finder.to_finder(training.images), finder.to_finder(masks)
    pairs = Pairs(images, targets, training.labels, plan)
    model = finder.build()
    optimizer = keras.optimizers.AdamW(
        plan.learning_rate, weight_decay=1e-4, use_ema=True, ema_momentum=AVERAGE
    )
    model.compile(optimizer, loss, metrics=[finder.dice])
    optimizer.build(model.trainable_variables)
    history = callbacks.restore(model, plan.out, len(pairs)) if plan.resume else []
    pairs.epoch = len(history)
    if not plan.resume:
        record = runs.begin(plan) | data
        plan.out.mkdir(parents=True, exist_ok=True)
        runs.clear(plan.out)
    record["epochs"] = max(plan.epochs, len(history))
    runs.write_record(plan.out, record)
    with runs.whole_so_far(plan.out):
        if len(history) < plan.epochs:
            model.fit(
                pairs,
                initial_epoch=len(history),
                epochs=plan.epochs,
                shuffle=False,
                verbose=1 if sys.stdout.isatty() else 2,
                callbacks=[
                    callbacks.KeepHistory(plan.out, history),
                    callbacks.SaveState(plan.out / "last.weights.h5"),
                ],
            )
        optimizer.finalize_variable_values(model.trainable_variables)  # the average
        with kept.all_of(plan.out) as place:
            finder.save(model, place)
    return plan.out
