"""Which training images speak against the shortcuts: weights for sampling."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..data.regions import thumbnail

LEAST = 0.15
"""Smallest weight: nobody is left out, and no few images are all that is seen."""


def overlap_weights(
    images: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Weigh each image by how likely a simple classifier is to mistake it.

    The classifier, logistic regression on thumbnails, is fitted to other patients.
    Under these weights it would be at chance, so what it saw no longer tells the
    classes apart (overlap weights: Li, Morgan and Zaslavsky, JASA 2018).

    Args:
        images: uint8 (n, 128, 128, 1).
        labels: int (n,), indices into LABELS.
        groups: (n,) patient groups.

    Returns:
        float64 (n,) in [0.15, 1].
    """
    simple = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000),
    )
    folds = min(5, len(set(groups)))
    p = cross_val_predict(
        simple,
        thumbnail(images),
        labels,
        groups=groups,
        cv=GroupKFold(folds),
        method="predict_proba",
    )
    return np.maximum(1 - p[np.arange(len(p)), labels], LEAST)
