"""What the network's answers rest on: change something in the picture, and ask again.

The whole picture is changed, and the lungs are looked for anew. Cuts are families of
stress, which `evaluate --stress` measures.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..contract import LABELS, PICTURE_SIZE
from ..data import folder
from ..data.regions import BORDER, CELLS, CORNER, border_mask, corner_mask
from ..evaluation import evaluate
from ..figures import metrics
from ..serving.classifier import Classifier

_R = ("####.", "#...#", "#...#", "####.", "#.#..", "#..#.", "#...#")
_MID_GREY = 128
_CELL = PICTURE_SIZE // CELLS


@dataclass(frozen=True, eq=False)
class Pictures:
    """What is changed.

    Attributes:
        images: uint8 (n, 224, 224, 1), whole pictures.
        labels: int (n,), indices into LABELS; both occur.
        boxes: float (n, 4), those of the lungs, as from `framing.boxes`.
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray


Change = Callable[[Pictures, np.random.Generator], np.ndarray]
"""Pictures and a generator -> their images, changed."""


def cover(images: np.ndarray, mask: np.ndarray, grey: int = 0) -> np.ndarray:
    """Fill images, uint8 (n, H, W, 1), with one grey where a mask is True.

    The mask is (H, W), the same for all, or (n, H, W).
    """
    return np.where(mask[..., None], np.uint8(grey), images)


def box_masks(boxes: np.ndarray, side: int = PICTURE_SIZE) -> np.ndarray:
    """Return bool (n, side, side), True inside of boxes (n, 4) in [0, 1]."""
    middles = (np.arange(side) + 0.5) / side
    first, last = boxes[:, ::2, None], boxes[:, 1::2, None]
    rows, columns = ((first <= middles) & (middles < last)).transpose(1, 0, 2)
    return rows[:, :, None] & columns[:, None, :]


def paste_marker(images: np.ndarray, row: int, column: int) -> np.ndarray:
    """Draw a bright letter R, 28 x 20 pixels, its upper left at (row, column)."""
    letter = np.array([[cell == "#" for cell in line] for line in _R])
    rows, columns = np.nonzero(letter.repeat(4, axis=0).repeat(4, axis=1))
    changed = images.copy()
    changed[:, row + rows, column + columns] = 235
    return changed


def swap_borders(pictures: Pictures, rng: np.random.Generator) -> np.ndarray:
    """Give every image the border of a random image of the other class."""
    images, labels = pictures.images, pictures.labels
    donors = np.empty(len(images), int)
    for label in range(len(LABELS)):
        own = labels == label
        donors[own] = rng.choice(np.flatnonzero(~own), own.sum())
    mask = border_mask(PICTURE_SIZE, BORDER * _CELL)[..., None]
    return np.where(mask, images[donors], images)


INTERVENTIONS: dict[str, tuple[str, Change]] = {
    "nothing": ("the image as it is", lambda x, rng: x.images),
    "corners covered": (
        "four corners, three sixteenths of the side each, made black",
        lambda x, rng: cover(x.images, corner_mask(PICTURE_SIZE, CORNER * _CELL)),
    ),
    "border covered": (
        "the outer sixteenth of the side made black all around",
        lambda x, rng: cover(x.images, border_mask(PICTURE_SIZE, BORDER * _CELL)),
    ),
    "R, upper right": (
        "a bright R pasted into the upper right, where none belongs",
        lambda x, rng: paste_marker(x.images, 12, PICTURE_SIZE - 32),
    ),
    "R, lower left": (
        "a bright R pasted into the lower left",
        lambda x, rng: paste_marker(x.images, PICTURE_SIZE - 40, 12),
    ),
    "other class's border": (
        "the outer sixteenth taken from a random image of the other class",
        swap_borders,
    ),
    "mirrored": ("left and right exchanged", lambda x, rng: x.images[:, :, ::-1]),
    "lungs covered": (
        "the box around the lungs made mid-grey, so that only the rest is left",
        lambda x, rng: cover(x.images, box_masks(x.boxes), _MID_GREY),
    ),
}
"""Name -> (description, change). The last is the counter-check: without lungs there
should be little left to answer from."""


def intervene(
    classifier: Classifier, dataset: folder.Dataset, boxes: np.ndarray
) -> list[dict]:
    """Measure how far the answers move when something besides the lungs is changed.

    Args:
        classifier: from `load_classifier`.
        dataset: images that the network did not learn from; both classes occur.
        boxes: float (n, 4), where the lungs are on them, as from `framing.boxes`.

    Returns:
        One row for each of `INTERVENTIONS`: `name`, `what`, `auroc` afterwards with
        `ci95`, and for each label the images `n`, `mean_change` and `p95_change` of the
        absolute change of the probability of pneumonia, `mean_shift` (signed), and
        `labels_changed`, a share; all in [0, 1], the shift in [-1, 1].
    """
    pictures = Pictures(dataset.images, dataset.labels, boxes)
    rows, before = [], None
    for name, (what, change) in INTERVENTIONS.items():
        changed = change(pictures, np.random.default_rng(0))
        logits = evaluate.run_all(classifier, changed, progress=False).logits
        p = classifier.p_pneumonia(logits)
        before = p if before is None else before
        flipped = (p >= classifier.threshold) != (before >= classifier.threshold)
        found = metrics.measure(dataset.labels, p, dataset.groups, classifier.threshold)
        row = {"name": name, "what": what, "auroc": found["auroc"]}
        for index, label in enumerate(LABELS):
            own = dataset.labels == index
            shift = (p - before)[own]
            row[label] = {
                "n": len(shift),
                "mean_change": float(np.abs(shift).mean()),
                "p95_change": float(np.percentile(np.abs(shift), 95)),
                "mean_shift": float(shift.mean()),
                "labels_changed": float(flipped[own].mean()),
            }
        rows.append(row)
    return rows
