"""Which regions of a picture are unlike the training X-rays: a distance for each cell.

The map is made on demand, in a run of the graph of its own: no answer needs it.
`gate_cells` says how cells are compared.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..reading.image import to_input
from ..reading.isolated import read_anywhere
from ..reading.picture import Picture
from .prediction import as_asked, has_lungs

if TYPE_CHECKING:
    from .classifier import Classifier

MOST = 2.5
"""How many times the usual distance a cell is, where the map is 1."""


@dataclass(frozen=True, eq=False)
class Unlike:
    """Which regions of one picture are unlike the training X-rays.

    Attributes:
        pixels: uint8 (H, W), the picture as it was looked at.
        distances: float32 (8, 8) for each of `outputs.FEATURES`, of each cell; 1: as
            far away as is usual at most. The cells divide the box.
        lungs: float32 (96, 96) in [0, 1], probability of lung over the whole picture.
        lungs_found: whether they can be shown as lungs.
        box: float32 (4,) in [0, 1], what was compared: top, bottom, left and right as
            fractions of the picture's sides. Outside of it nothing was looked at.
        inverted: whether black and white were exchanged first.
        turned: by how many degrees it was turned to the left first.
    """

    pixels: np.ndarray
    distances: dict[str, np.ndarray]
    lungs: np.ndarray
    lungs_found: bool
    box: np.ndarray
    inverted: bool = False
    turned: int = 0

    @property
    def maps(self) -> dict[str, np.ndarray]:
        """The maps, float32 (8, 8): 0 where it is usual, 1 from `MOST` on."""
        return {
            name: np.clip((of - 1) / (MOST - 1), 0, 1).astype(np.float32)
            for name, of in self.distances.items()
        }

    @property
    def counts(self) -> dict[str, int]:
        """How many cells of each map are farther away than is usual."""
        return {name: int((of > 1).sum()) for name, of in self.distances.items()}


def find_unlike(
    classifier: "Classifier",
    image: bytes,
    *,
    invert: bool = False,
    upright: bool = False,
    read: Callable[[bytes], Picture] = read_anywhere,
) -> Unlike:
    """Find which regions of an image are unlike the training X-rays.

    It says nothing about a disease: a tube, an adult's ribs and a cat are unlike them.

    Args:
        classifier: from `load_classifier`. It `can_compare`.
        image: the content of an image file, as in `predict`.
        invert: as in `predict`.
        upright: as in `predict`.
        read: as in `predict`.

    Raises:
        ImageError: the bytes are no picture that can be read.
        ValueError: the bundle does not say what training X-rays show.
    """
    gate = classifier.gate
    if gate is None or not gate.cells:
        raise ValueError(
            "This bundle does not say what training X-rays show in each cell. "
            "`python -m pneumonia gate DIR --bundle BUNDLE` adds it."
        )
    picture, turns = as_asked(classifier, read(image), invert, upright)
    outputs, features = classifier.look(to_input(picture.pixels))
    return Unlike(
        pixels=picture.pixels,
        distances={
            name: cells.distance(features[name])[0].astype(np.float32)
            for name, cells in gate.cells.items()
        },
        lungs=outputs.lungs[0],
        lungs_found=has_lungs(classifier, outputs),
        box=outputs.box[0],
        inverted=invert,
        turned=90 * turns,
    )
