"""Subgroups of a data set in which a shortcut speaks otherwise than in training."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np

from ..contract import LABELS
from .folder import Dataset
from .patients import name_of_patient

_CAUSE = re.compile(
    r"(?<![a-z0-9])(?:person\d+[-_ ])?(bacteria|virus)(?=[-_ ]\d)", re.IGNORECASE
)
_IM = re.compile(r"(NORMAL2-)?IM-")
_NORMAL = 0  # in LABELS


def name_family(name: str) -> str | None:
    """Return `IM-`, `NORMAL2-IM-`, `bacteria` or `virus` by file name, None if none."""
    name = PurePosixPath(name).name
    if match := _CAUSE.search(name):
        return match[1].lower()
    match = _IM.match(name_of_patient(name) or name)
    return match and match.group()


def name_families(dataset: Dataset) -> np.ndarray:
    """Return the `name_family` of each image, str (n,); no family: `other`."""
    return np.array([name_family(name) or "other" for name in dataset.names])


def _normal(family: str) -> Callable[[Dataset], np.ndarray]:
    return lambda data: (name_families(data) == family) & (data.labels == _NORMAL)


def _cause(family: str) -> Callable[[Dataset], np.ndarray]:
    return lambda dataset: name_families(dataset) == family


def _brightness(low: float, high: float) -> Callable[[Dataset], np.ndarray]:
    """Return what chooses quantiles of the mean grey value within each class."""

    def choose(dataset: Dataset) -> np.ndarray:
        grey = dataset.images.mean(axis=(1, 2, 3))
        chosen = np.zeros(len(grey), bool)
        for label in range(len(LABELS)):
            of_class = dataset.labels == label
            edges = np.quantile(grey[of_class], [low, high])
            chosen |= of_class & (grey >= edges[0]) & (grey <= edges[1])
        return chosen

    return choose


SUBGROUPS: dict[str, Callable[[Dataset], np.ndarray]] = {
    "normal IM": _normal("IM-"),
    "normal NORMAL2": _normal("NORMAL2-IM-"),
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
    """Return which images a subgroup is measured on, bool (n,).

    Its own, and where they are of one class, all of the other class.
    """
    chosen = mask(dataset, name)
    labels = set(dataset.labels[chosen])
    if len(labels) == 1:
        chosen = chosen | (dataset.labels != labels.pop())
    return chosen
