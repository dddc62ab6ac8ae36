"""Data sets of drawn chests, laid out and named as Kermany's X-rays are."""

from pathlib import Path

import numpy as np
from PIL import Image

from pneumonia.data.phantom import draw

NAMES = {"NORMAL": "IM-{:04}-0001", "PNEUMONIA": "person{}_virus_1"}


def data_set(folder: Path, each: int = 30, ill=None, suffix: str = "png") -> Path:
    """Draw so many patients of each class; `ill` gives the spots of an ill lung."""
    for label, name in NAMES.items():
        (folder / label).mkdir(parents=True)
        for number in range(each):
            spots = ill() if ill and label == "PNEUMONIA" else ()
            picture = Image.fromarray(draw(number, spots, size=128))
            picture.save(folder / label / f"{name.format(number)}.{suffix}")
    return folder


def stack(count: int, size: int = 224) -> np.ndarray:
    """Draw uint8 (count, size, size, 1)."""
    return np.stack([draw(number, size=size) for number in range(count)])[..., None]
