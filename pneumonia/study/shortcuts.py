"""How well the label can be read from what is no disease: frame, borders, size, name.

A simple classifier, logistic regression on standardised numbers, gets a part of the
picture that holds little or no lung, or a summary that shows none. Whatever it can tell
from that, a deep network can learn as well and be right for the wrong reason (Geirhos
et al., "Shortcut learning in deep neural networks", Nature Machine Intelligence 2020).

The same is measured on whole pictures and on crops to the lungs, which is all that a
network behind the lung finder is shown: what the frame gave away is gone from them.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..contract import LABELS
from ..data import folder, layout, patients, regions
from ..data.subgroups import name_families
from ..figures import metrics

FOLDS = 5
_BY_LABEL = " or ".join(LABELS)

FEATURES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "borders": ("the outer sixteenth of the side all around", regions.border),
    "corners": ("four corners, three sixteenths of the side each", regions.corners),
    "thumbnail": ("all of it at 16 x 16", regions.thumbnail),
    "brightness": ("histogram, mean and spread of brightness", regions.histogram),
    "sharpness": ("share of fine detail at three scales", regions.sharpness),
}
"""Name -> (description, function of uint8 (n, H, H, 1) that gives float (n, k))."""


def predictability(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> dict | None:
    """Measure how well labels can be read from features, no patient on both sides.

    Logistic regression in stratified cross-validation by patient: every image is scored
    by a classifier that saw neither it nor another image of its patient.

    Args:
        features: float (n, k).
        labels: int (n,), 0 or 1.
        groups: (n,) patient of each image, as `Dataset.groups`.

    Returns:
        `n`, `patients`, `folds`, `features` (k) and `auroc`, a value with `ci95`; None
        where a class has fewer than two patients, so that nothing can be measured.
    """
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


def from_pixels(dataset: folder.Dataset, crops: np.ndarray) -> list[dict]:
    """Measure what each of `FEATURES` tells about the label, and about the name family.

    Args:
        dataset: all images at hand; they are cross-validated, the network has no part.
        crops: uint8 (n, 128, 128, 1), the same cropped to their lungs.

    Returns:
        One row for each task and feature: `task`, `name`, `what`, what `predictability`
        returns of the whole pictures, and `auroc_cropped`, that of the crops. Tasks
        that the data set has no images for are left out.
    """
    families = name_families(dataset)
    tasks = [(_BY_LABEL, np.ones(len(families), bool), dataset.labels, FEATURES)]
    for pair in (("IM-", "NORMAL2-IM-"), ("bacteria", "virus")):
        among, target = np.isin(families, pair), (families == pair[1]).astype(int)
        tasks.append((" or ".join(pair), among, target, ("borders", "thumbnail")))
    rows = []
    for task, among, target, names in tasks:
        of_task = target[among], dataset.groups[among]
        for name in names if among.any() else ():
            what, feature = FEATURES[name]
            row = {"task": task, "name": name, "what": what}
            if found := predictability(feature(dataset.images[among]), *of_task):
                cropped = predictability(feature(crops[among]), *of_task)
                rows.append({**row, **found, "auroc_cropped": cropped["auroc"]})
    return rows


def from_boxes(dataset: folder.Dataset, boxes: np.ndarray) -> list[dict]:
    """Measure what the box around the lungs tells about the label, by itself.

    Args:
        dataset: as in `from_pixels`.
        boxes: float (n, 4), as from `framing.boxes`.

    Returns:
        One row, as those of `from_pixels`; none where nothing can be measured.
    """
    row = {"task": _BY_LABEL, "name": "lungs' box", "what": "its four sides, no pixel"}
    found = predictability(boxes, dataset.labels, dataset.groups)
    return [{**row, **found, "auroc_cropped": None}] if found else []


def from_names(dataset: folder.Dataset) -> dict[str, dict[str, int]]:
    """Count the images of each name family by label; no family: `other`."""
    families = name_families(dataset)
    return {
        str(family): {
            label: int(((families == family) & (dataset.labels == index)).sum())
            for index, label in enumerate(LABELS)
        }
        for family in sorted(set(families))
    }


def from_originals(source: str | Path) -> dict:
    """Measure what the size of the original files, in their headers, tells.

    Args:
        source: holds `NORMAL/` and `PNEUMONIA/` with files of original size.

    Returns:
        `rows` as in `from_pixels`, and `percentiles`: for each label the 5th, 50th and
        95th percentile of aspect ratio (width over height), width and height.

    Raises:
        layout.DataError: the folder is not laid out so.
    """
    labels, sizes = [], []
    found = layout.look(source)
    for path, label in found.images:
        labels.append(label)
        with Image.open(path) as picture:
            sizes.append(picture.size)
    labels, groups = np.array(labels), patients.patients_of(found.below_class())
    width, height = np.array(sizes, float).T
    quantities = {"aspect": width / height, "width": width, "height": height}
    rows = []
    for name, what, parts in (
        ("aspect ratio", "width over height of the original", ("aspect",)),
        ("size", "width and height of the original", ("width", "height")),
    ):
        features = np.log(np.stack([quantities[part] for part in parts], axis=1))
        if found := predictability(features, labels, groups):
            rows.append({"task": _BY_LABEL, "name": name, "what": what, **found})
    percentiles = {label: {} for label in LABELS}
    for name, values in quantities.items():
        for index, label in enumerate(LABELS):
            edges = np.percentile(values[labels == index], [5, 50, 95])
            percentiles[label][name] = edges.tolist()
    return {"rows": rows, "percentiles": percentiles}
