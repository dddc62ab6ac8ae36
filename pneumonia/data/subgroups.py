"""Subgroups of images in which a shortcut speaks otherwise than in training."""

from collections.abc import Callable

import numpy as np

from .folder import Dataset

_NORMAL, _PNEUMONIA = 0, 1


def _named(start: str, label: int) -> Callable[[Dataset], np.ndarray]:
    """Return what chooses the images of a class whose patient's name starts so."""
    return lambda dataset: (
        (dataset.labels == label)
        & np.char.startswith(dataset.patients.astype(str), start)
    )


def _cause(name: str) -> Callable[[Dataset], np.ndarray]:
    return lambda dataset: np.char.find(dataset.names.astype(str), f"_{name}_") >= 0


def _brightness(low: float, high: float) -> Callable[[Dataset], np.ndarray]:
    """Return what chooses quantiles of the mean grey value within each class."""

    def choose(dataset: Dataset) -> np.ndarray:
        grey = dataset.images.mean(axis=(1, 2, 3))
        chosen = np.zeros(len(grey), bool)
        for label in (_NORMAL, _PNEUMONIA):
            of_class = dataset.labels == label
            edges = np.quantile(grey[of_class], [low, high])
            chosen |= of_class & (grey >= edges[0]) & (grey <= edges[1])
        return chosen

    return choose


SUBGROUPS: dict[str, Callable[[Dataset], np.ndarray]] = {
    "normal IM": _named("IM-", _NORMAL),
    "normal NORMAL2": _named("NORMAL2-", _NORMAL),
    "bacteria": _cause("bacteria"),
    "virus": _cause("virus"),
    "darkest quarter": _brightness(0, 0.25),
    "brightest quarter": _brightness(0.75, 1),
}
"""Subgroups by name: data set -> bool (n,). The first four are of one class."""


def mask(dataset: Dataset, name: str) -> np.ndarray:
    """Return which images belong to a subgroup, bool (n,).

    Raises:
        KeyError: no such subgroup.
    """
    return SUBGROUPS[name](dataset)


def with_other_class(dataset: Dataset, name: str) -> np.ndarray:
    """Return a subgroup's images and, where it has one class only, all of the other."""
    chosen = mask(dataset, name)
    labels = set(dataset.labels[chosen])
    if len(labels) == 1:
        chosen = chosen | (dataset.labels != labels.pop())
    return chosen
