"""What one run of the graph gives, and how many images make one run."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

BATCH = 16
"""Images in one run of the network, where many are answered."""

FEATURES = {"shapes": "block3_pool", "whole": "block4_pool"}
"""Values of the graph whose means are the embedding: in them little was learned yet
that is of one hospital alone. The first knows best where something lies."""


class Outputs(NamedTuple):
    """What one run of the graph gives for n images.

    Attributes:
        logits: float32 (n, 2), in LABELS order.
        maps: float32 (n, 2, 8, 8) in [0, 1], Grad-CAM's map of each label.
        embedding: float32 (n, f), the means of `FEATURES`.
        evidence: float32 (n, 8, 8), what each cell adds to the logit of pneumonia less
            that of normal (HiResCAM).
        lungs: float32 (n, 96, 96) in [0, 1], probability of lung on the whole picture.
        box: float32 (n, 4) in [0, 1], the place that the network was shown: top,
            bottom, left and right as fractions of the picture's sides. Cells of `maps`
            and `evidence` divide this place, not the picture.
    """

    logits: np.ndarray
    maps: np.ndarray
    embedding: np.ndarray
    evidence: np.ndarray
    lungs: np.ndarray
    box: np.ndarray


def in_batches(
    run: Callable[[np.ndarray], Sequence[np.ndarray]],
    inputs: np.ndarray,
    follow: Callable[[range], Iterable[int]] = iter,
) -> tuple[np.ndarray, ...]:
    """Run something on many images, `BATCH` at a time, and join each of its outputs.

    Args:
        run: arrays (n, ...) -> outputs, each (n, ...).
        inputs: (n, ...).
        follow: shows progress over the batches, as `tqdm` does.

    Returns:
        One array (n, ...) for each output.
    """
    starts = range(0, len(inputs), BATCH)
    parts = [run(inputs[start : start + BATCH]) for start in follow(starts)]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))
