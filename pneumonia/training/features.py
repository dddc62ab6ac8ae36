"""What frozen blocks give of changed images: computed once, shown in many epochs.

Frozen blocks give the same for the same view, and take most of the time. So the views
of some epochs go through them once, and are kept in the run's folder while it trains.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np

from .. import kept
from .sampling import Batches

FOLDER = "features"
"""In the run's folder; gone when the run has ended."""


class Features(keras.utils.PyDataset):
    """Batches of kept feature maps, each a function of (seed, epoch, step) alone."""

    def __init__(self, parts: list[list[np.ndarray]], batches: Batches):
        """Take what `gather` kept.

        Args:
            parts: of each kept epoch what the frozen blocks gave, and targets last.
            batches: whose views were kept.
        """
        super().__init__()
        self.parts, self.seed = parts, batches.seed
        self.size, self.steps = batches.recipe.batch_size, len(batches)
        self.each = len(parts[0][-1])
        self.start(0)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Return a feature map float32 (n, h, w, c) and what else, and targets."""
        chosen = self.order[step * self.size : (step + 1) * self.size]
        rows = [(self.parts[i // self.each], i % self.each) for i in chosen]
        columns = zip(*([array[i] for array in part] for part, i in rows), strict=True)
        *inputs, targets = map(np.stack, columns)
        return tuple(each.astype(np.float32) for each in inputs), targets

    def on_epoch_end(self) -> None:
        """Move on to the next epoch; Keras calls this after each."""
        self.start(self.epoch + 1)

    def start(self, epoch: int) -> None:
        """Draw an epoch: as many epochs as were kept show each view once."""
        self.epoch = epoch
        turn, part = divmod(epoch, len(self.parts))
        rng = np.random.default_rng((self.seed, turn))
        order = rng.permutation(self.each * len(self.parts))
        self.order = order[part * self.each : (part + 1) * self.each]


def gather(lower: keras.Model, batches: Batches, epochs: int, out: Path) -> Features:
    """Let the views of some epochs through the frozen blocks, and keep what they give.

    What is there already is not computed again.

    Args:
        lower: the frozen blocks, from `vgg19.split`.
        batches: of the run.
        epochs: how many are kept.
        out: the run's folder.

    Raises:
        kept.NoRoomError: the disk is full; what was kept so far stays.
    """
    folder = out / FOLDER
    folder.mkdir(exist_ok=True)
    parts = []
    for epoch in range(epochs):
        # targets are written last: where they are, all is
        names = [*map(str, range(len(lower.outputs))), "targets"]
        paths = [folder / f"{epoch:03}_{name}.npy" for name in names]
        if not paths[-1].exists():
            batches.start(epoch)
            for path, array in zip(paths, _run(lower, batches), strict=True):
                with kept.whole(path, array.nbytes) as place, place.open("wb") as file:
                    np.save(file, array)
            print(f"kept epoch {epoch + 1} of {epochs}", flush=True)
        parts.append([np.load(path, mmap_mode="r") for path in paths])
    return Features(parts, batches)


def of_images(lower: keras.Model, images: np.ndarray) -> list[np.ndarray]:
    """Return what the frozen blocks give of images, float16."""
    return _half(lower.predict(images, batch_size=32, verbose=0))


def _run(lower: keras.Model, batches: Batches) -> list[np.ndarray]:
    """Return what an epoch's views give, and their targets last."""
    found = [
        [*_half(lower.predict_on_batch(images)), targets]
        for images, targets in ahead(batches.__getitem__, len(batches))
    ]
    return [np.concatenate(column) for column in zip(*found, strict=True)]


def ahead(
    make: Callable[[int], tuple[np.ndarray, np.ndarray]], steps: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield what `make` gives of each step; the next is made while this one is used."""
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(make, 0)
        for step in range(1, steps + 1):
            now = following.result()
            if step < steps:
                following = thread.submit(make, step)
            yield now


def _half(found: list) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(x).astype(np.float16) for x in found]
