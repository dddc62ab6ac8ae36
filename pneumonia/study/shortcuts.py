"""How well the label can be read from what is no disease: borders, corners, size, name.

A simple classifier, logistic regression on standardised numbers, gets a part of the
picture that holds little or no lung, or a summary that shows none. Whatever it can tell
from that, a deep network can learn as well and be right for the wrong reason (Geirhos
et al., "Shortcut learning in deep neural networks", Nature Machine Intelligence 2020).
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from ..contract import LABELS
from ..data import folder
from ..data.regions import CORNER, FRAME, corner_mask, frame_mask, shrink, thumbnail
from ..evaluation import metrics

FOLDS = 5

Feature = Callable[[np.ndarray], np.ndarray]
"""uint8 (n, 128, 128, 1) -> float (n, k), what the simple classifier sees."""

_FAMILY = re.compile(r"(NORMAL2-IM-|IM-)|person\d+_(bacteria|virus)")


def border(images: np.ndarray) -> np.ndarray:
    """Return the border of `FRAME` pixels in blocks of 4 x 4, float (n, 240)."""
    return shrink(images, 32)[:, frame_mask(32, FRAME // 4)]


def corners(images: np.ndarray) -> np.ndarray:
    """Return four corners of `CORNER` pixels in blocks of 4 x 4, float (n, 144)."""
    return shrink(images, 32)[:, corner_mask(32, CORNER // 4)]


def histogram(images: np.ndarray) -> np.ndarray:
    """Return brightness: 16 bins, mean and spread, float (n, 18), no place in it."""
    flat = images.reshape(len(images), -1)
    bins = [((flat >> 4) == value).mean(axis=1) for value in range(16)]
    return np.stack([*bins, flat.mean(axis=1), flat.std(axis=1)], axis=1)


def sharpness(images: np.ndarray) -> np.ndarray:
    """Return the log share of fine detail at three scales, float (n, 3).

    At each scale it is the variance of the Laplacian (Pech-Pacheco et al., "Diatom
    autofocusing in brightfield microscopy", ICPR 2000) over that of the pixels, so that
    contrast does not count.
    """
    measured = []
    for side in (128, 64, 32):
        x = shrink(images, side)
        middle = x[:, 1:-1, 1:-1]
        around = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
        fine = (around - 4 * middle).var(axis=(1, 2))
        measured.append(np.log((fine + 1e-3) / (x.var(axis=(1, 2)) + 1e-3)))
    return np.stack(measured, axis=1)


FEATURES: dict[str, tuple[str, Feature]] = {
    "borders": (f"the outer {FRAME} of 128 pixels all around", border),
    "corners": (f"four corners of {CORNER} x {CORNER} of 128 pixels", corners),
    "thumbnail": ("the whole image at 16 x 16", thumbnail),
    "brightness": ("histogram, mean and spread of brightness", histogram),
    "sharpness": ("share of fine detail at three scales", sharpness),
}
"""What the simple classifier gets: name -> (description, function)."""


def predictability(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> dict | None:
    """Measure how well labels can be read from features, no patient on both sides.

    Logistic regression on standardised features in stratified, patient-wise
    cross-validation; every image is scored by a classifier that saw neither it nor
    another image of its patient.

    Args:
        features: float (n, k).
        labels: int (n,), 0 or 1.
        groups: (n,) patient of each image, as `Dataset.groups`.

    Returns:
        `n`, `patients`, `folds`, `features` (k) and `auroc`, a value with `ci95`; None
        where a class has fewer than two patients, so that nothing can be measured.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = min(FOLDS, *(len(set(groups[labels == label])) for label in (0, 1)))
    if folds < 2:
        return None
    p = cross_val_predict(
        make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300)),
        features,
        labels,
        groups=groups,
        cv=StratifiedGroupKFold(folds, shuffle=True, random_state=0),
        method="predict_proba",
    )[:, 1]
    return {
        "n": len(labels),
        "patients": len(set(groups)),
        "folds": folds,
        "features": features.shape[1],
        "auroc": metrics.measure(labels, p, groups, 0.5)["auroc"],
    }


def name_family(name: str) -> str | None:
    """Return `IM-`, `NORMAL2-IM-`, `bacteria` or `virus` by file name, None if none."""
    match = _FAMILY.match(Path(name).name)
    return match and (match[1] or match[2])


def from_pixels(dataset: folder.Dataset) -> list[dict]:
    """Measure what each of `FEATURES` tells about the label, and about the name family.

    Args:
        dataset: all images at hand; they are cross-validated, the network has no part.

    Returns:
        One row for each task and feature: `task`, `name`, `what` and what
        `predictability` returns. Tasks that the data set has no images for are left
        out.
    """
    families = np.array([name_family(name) or "" for name in dataset.names])
    tasks = (
        (f"{LABELS[0]} or {LABELS[1]}", dataset.labels >= 0, dataset.labels == 1),
        *(
            (f"{one} or {other}", np.isin(families, (one, other)), families == other)
            for one, other in (("IM-", "NORMAL2-IM-"), ("bacteria", "virus"))
        ),
    )
    rows = []
    for number, (task, among, target) in enumerate(tasks):
        part = dataset.subset(among)
        for name in FEATURES if number == 0 else ("borders", "thumbnail"):
            what, feature = FEATURES[name]
            if not len(part.labels):
                continue
            found = predictability(
                feature(part.images), target[among].astype(int), part.groups
            )
            if found:
                rows.append({"task": task, "name": name, "what": what, **found})
    return rows


def from_names(dataset: folder.Dataset) -> dict[str, dict[str, int]]:
    """Count the images of each name family by label; no family: `other`."""
    families = np.array([name_family(name) or "other" for name in dataset.names])
    return {
        str(family): {
            label: int(((families == family) & (dataset.labels == index)).sum())
            for index, label in enumerate(LABELS)
        }
        for family in sorted(set(families))
    }


def from_originals(folder: str | Path) -> dict:
    """Measure what the size of the original files tells about the label.

    Only the size in each file's header is read.

    Args:
        folder: holds `NORMAL/` and `PNEUMONIA/` with files of original size.

    Returns:
        `rows` as in `from_pixels`, and `percentiles`: for each label the 5th, 50th and
        95th percentile of aspect ratio (width over height), width and height.

    Raises:
        folder.DataError: the folder is not laid out so.
    """
    found = folder.find_images(folder)
    sizes = np.array([_size(path) for path, _ in found], float)  # (n, 2)
    labels = np.array([label for _, label in found])
    groups = np.array([folder.patient_of(path.name) for path, _ in found])
    aspect = sizes[:, 0] / sizes[:, 1]
    rows = []
    for name, what, features in (
        ("aspect ratio", "width over height of the original", np.log(aspect)[:, None]),
        ("size", "width and height of the original", np.log(sizes)),
    ):
        measured = predictability(features, labels, groups)
        if measured:
            task = f"{LABELS[0]} or {LABELS[1]}"
            rows.append({"task": task, "name": name, "what": what, **measured})
    quantities = {"aspect": aspect, "width": sizes[:, 0], "height": sizes[:, 1]}
    return {
        "rows": rows,
        "percentiles": {
            label: {
                name: np.percentile(values[labels == index], [5, 50, 95]).tolist()
                for name, values in quantities.items()
            }
            for index, label in enumerate(LABELS)
        },
    }


def _size(path: Path) -> tuple[int, int]:
    """Return width and height of a picture by its header."""
    with Image.open(path) as picture:
        return picture.size
