"""What the network's answers rest on: change something in the image, and ask again."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from ..contract import IMAGE_SIZE, LABELS
from ..data import folder
from ..data.regions import BORDER, CORNER, border_mask, corner_mask, lung_box
from ..evaluation import evaluate, metrics
from ..serving.classifier import Classifier

_R = ("####.", "#...#", "#...#", "####.", "#.#..", "#..#.", "#...#")
_MID_GREY = 128

Change = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""(images uint8 (n, 128, 128, 1), labels (n,), generator) -> changed images."""


def cover(images: np.ndarray, mask: np.ndarray, grey: int = 0) -> np.ndarray:
    """Fill every image, uint8 (n, H, W, 1), with one grey where mask (H, W) is True."""
    return np.where(mask[..., None], np.uint8(grey), images)


def paste_marker(images: np.ndarray, row: int, column: int) -> np.ndarray:
    """Draw a bright letter R, 14 x 10 pixels, its upper left at (row, column)."""
    letter = np.array([[cell == "#" for cell in line] for line in _R])
    rows, columns = np.nonzero(letter.repeat(2, axis=0).repeat(2, axis=1))
    changed = images.copy()
    changed[:, row + rows, column + columns] = 235
    return changed


def crop(
    images: np.ndarray, rows: tuple[float, float], columns: tuple[float, float]
) -> np.ndarray:
    """Show a part of every image, uint8 (n, H, W, 1), as large as the whole was.

    The part begins and ends at shares of the height (rows) and of the width (columns).
    """
    _, height, width, _ = images.shape
    (top, bottom), (left, right) = rows, columns
    box = (left * width, top * height, right * width, bottom * height)
    pictures = (Image.fromarray(image[..., 0]) for image in images)
    parts = [p.resize((width, height), Image.Resampling.BICUBIC, box) for p in pictures]
    return np.stack(parts)[..., None]


def swap_borders(
    images: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Give every image the border of a random image of the other class."""
    donors = np.empty(len(images), int)
    for label in range(len(LABELS)):
        own = labels == label
        donors[own] = rng.choice(np.flatnonzero(~own), own.sum())
    mask = border_mask(images.shape[1], BORDER)[..., None]
    return np.where(mask, images[donors], images)


INTERVENTIONS: dict[str, tuple[str, Change]] = {
    "nothing": ("the image as it is", lambda x, labels, rng: x),
    "corners covered": (
        f"four corners of {CORNER} x {CORNER} of {IMAGE_SIZE} pixels made black",
        lambda x, labels, rng: cover(x, corner_mask(IMAGE_SIZE, CORNER)),
    ),
    "border covered": (
        f"the outer {BORDER} of {IMAGE_SIZE} pixels made black all around",
        lambda x, labels, rng: cover(x, border_mask(IMAGE_SIZE, BORDER)),
    ),
    "R, upper right": (
        "a bright R pasted into the upper right, where none belongs",
        lambda x, labels, rng: paste_marker(x, 6, IMAGE_SIZE - 16),
    ),
    "R, lower left": (
        "a bright R pasted into the lower left",
        lambda x, labels, rng: paste_marker(x, IMAGE_SIZE - 20, 6),
    ),
    "other class's border": (
        f"the outer {BORDER} pixels taken from a random image of the other class",
        swap_borders,
    ),
    "cut all around": (
        "the middle 80 % of both sides, enlarged",
        lambda x, labels, rng: crop(x, (0.1, 0.9), (0.1, 0.9)),
    ),
    "cut below": (
        "the upper 70 % of the height, stretched",
        lambda x, labels, rng: crop(x, (0.0, 0.7), (0.0, 1.0)),
    ),
    "mirrored": ("left and right exchanged", lambda x, labels, rng: x[:, :, ::-1]),
    "lungs covered": (
        "the central lung box made mid-grey, so that only the rest is left",
        lambda x, labels, rng: cover(x, lung_box(IMAGE_SIZE) > 0.5, _MID_GREY),
    ),
}
"""Name -> (description, change). The last is the counter-check: without lungs there
should be little left to answer from."""


def intervene(classifier: Classifier, dataset: folder.Dataset) -> list[dict]:
    """Measure how far the answers move when something besides the lungs is changed.

    Args:
        classifier: from `load_classifier`.
        dataset: images that the network did not learn from; both classes occur.

    Returns:
        One row for each of `INTERVENTIONS`: `name`, `what`, `auroc` afterwards with
        `ci95`, and for each label the images `n`, `mean_change` and `p95_change` of the
        absolute change of the probability of pneumonia, `mean_shift` (signed), and
        `labels_changed`, a share; all in [0, 1], the shift in [-1, 1].
    """
    rows, before = [], None
    for name, (what, change) in INTERVENTIONS.items():
        changed = change(dataset.images, dataset.labels, np.random.default_rng(0))
        logits, *_ = evaluate.run_all(classifier, changed, progress=False)
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
