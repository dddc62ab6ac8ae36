"""What training changes in an image, so that shortcuts to the class vanish.

Every change is a plain function of (images, rng) in NumPy and SciPy. The same state of
the generator gives the same result, which is what lets a stopped training end where it
would have, and lets several processes change images side by side.

In the public training set the classes differ by frame, lettering, borders, contrast and
sharpness. The crop to the lungs takes the frame away (`geometry.jitter` says how
exactly). The changes below make the rest say nothing about the class.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from .geometry import FILL_MODES, Warp, mirror
from .tones import (
    coarsen,
    compress,
    equalise,
    lend_spectrum,
    lend_tone,
    other_class,
    shade,
    sharpen,
    speckle,
    tone,
)

Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""float32 (n, H, W, 1) in [0, 1] and a generator -> the same shape, dtype and range."""


def lend_frame(
    images: np.ndarray, rng: np.random.Generator, probability: float = 0.3
) -> np.ndarray:
    """Put the outermost pixels of another image of the batch around some images.

    Both classes are in a batch, so what stands at the border tells them apart no more.
    The frame is up to a tenth of the side wide.
    """
    n, height, width, _ = images.shape
    donors = images[rng.permutation(n)]
    images = images.copy()
    for image, donor in zip(images, donors, strict=True):
        if rng.random() < probability:
            top, bottom, left, right = rng.integers(0, height // 10, 4)
            inside = image[top : height - bottom, left : width - right].copy()
            image[:] = donor
            image[top : height - bottom, left : width - right] = inside
    return images


def resolution(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take detail away and add noise: `coarsen`, then `speckle`."""
    return speckle(coarsen(images, rng), rng)


FAMILIES: dict[str, Augmentation] = {
    # as the published recipe does it
    "published": Warp(rotation=40, shift=0.2, flip_vertical=True),
    "mirror": mirror,
    "tone": tone,
    "equalise": equalise,
    "histogram": lend_tone,
    "histogram other": partial(lend_tone, probability=0.5, donors=other_class),
    "border": lend_frame,
    "spectrum": lend_spectrum,
    "spectrum other": partial(lend_spectrum, probability=0.4, donors=other_class),
    "sharpen": sharpen,
    # Never upside down. Mirroring takes away the side of the marker. It also swaps the
    # side of the heart, which decides neither class.
    "turn far": Warp(
        rotation=15,
        shift=0.03,
        zoom=(0.9, 1.15),
        aspect=1.2,
        shear=0.06,
        fill_modes=FILL_MODES,
    ),
    # for whole pictures, which are framed in every way
    "geometry": Warp(
        rotation=10,
        shift=0.06,
        zoom=(0.88, 1.25),
        aspect=1.5,
        shear=0.05,
        fill_modes=FILL_MODES,
    ),
    "shade": shade,
    "resolution": resolution,
    "resolution low": partial(coarsen, probability=0.2, sides=(1 / 5, 1 / 2)),
    "compress": compress,
    "compress hard": partial(compress, probability=0.12, qualities=(4, 12)),
}
"""Families of changes by name, in the order in which they are made.

Where a name has two words, the first says what it changes, and the second how.
"""

DEFAULT = (
    "tone+equalise+histogram+histogram other+border+spectrum+spectrum other+sharpen"
    "+turn far+shade+resolution+resolution low+compress+compress hard"
)
"""What the recipe `default` changes."""


MOVES = ("published", "mirror", "turn far", "geometry")
"""Families that move pixels: the mask of the lungs moves along."""


def compose(names: str) -> Augmentation:
    """Return one augmentation out of families.

    It takes the mask of the lungs as a second channel, too.

    Args:
        names: keys of `FAMILIES` joined by "+", such as "tone+geometry"; their order
            does not matter. "" changes nothing.

    Raises:
        ValueError: a name is no family.
    """
    wanted = set(filter(None, names.split("+")))
    if unknown := wanted - FAMILIES.keys():
        raise ValueError(
            f"no augmentation is called {', '.join(sorted(unknown))}; "
            f"expected some of {', '.join(FAMILIES)}, joined by +"
        )
    changes = [(name, change) for name, change in FAMILIES.items() if name in wanted]

    def all_of_them(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for name, change in changes:
            if name in MOVES or images.shape[-1] == 1:
                images = change(images, rng)
            else:
                grey = change(np.ascontiguousarray(images[..., :1]), rng)
                images = np.concatenate([grey, images[..., 1:]], axis=-1)
        return images

    return all_of_them
