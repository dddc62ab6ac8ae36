"""Pictures that the gate is fitted and measured on, besides X-rays as they are.

X-rays as other machines and people would make them, children framed like adults and
adults framed like children, pieces of X-rays, drawn chests, and other things.
"""

import numpy as np
from PIL import Image

from ..data import phantom, stress
from ..reading.image import to_input
from . import not_chests
from .rules import digest

PICTURES = 1200
"""How many other things are drawn, and how many pieces of photographs are cut."""

_TRIMMED = 0.094  # of a side, at most


def others(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return other things as inputs (n, 224, 224, 1), and the kind of each."""
    both = not_chests.draw(PICTURES, seed), not_chests.photographs(PICTURES, seed)
    inputs = [to_input(picture) for pictures, _ in both for picture in pictures]
    return np.concatenate(inputs), np.concatenate([names for _, names in both])


def held_out(names: np.ndarray, share: float) -> np.ndarray:
    """Choose whole kinds by a hash of their name, bool (n,)."""
    kinds = sorted(set(names), key=digest)
    return np.isin(names, kinds[: round(len(kinds) * share)])


def phantoms() -> np.ndarray:
    """Return drawn chests: they stand for X-rays where none may be shown."""
    drawn = [phantom.draw(**options) for options in phantom.SHIPPED.values()]
    drawn += [phantom.draw(seed, size=256) for seed in range(20)]
    return np.concatenate([to_input(pixels) for pixels in drawn])


def copies(
    images: np.ndarray, labels: np.ndarray, boxes: np.ndarray, seed: int
) -> np.ndarray:
    """Change each image as one family of stress does, and mirror every second one.

    The two classes lend each other frame and tone. Where they are children and adults,
    what is left to tell them by is what they look like inside.

    Args:
        images: uint8 (n, 224, 224, 1).
        labels: (n,); two of them occur.
        boxes: float (n, 4), where the lungs are on the images.
        seed: chooses the families, and whose frame and tone each one gets.

    Returns:
        uint8 (n, 224, 224, 1).
    """
    copied = next(stress.mixed_copies(images, labels, 1, seed, boxes))
    copied[::2] = copied[::2, :, ::-1].copy()
    return copied


def changed(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror, brighten and trim images as other machines and people would."""
    gamma = np.exp(rng.normal(0, 0.25, len(x)))
    changed = x ** gamma[:, None, None, None].astype(np.float32)
    flipped = rng.random(len(x)) < 0.5
    changed[flipped] = changed[flipped, :, ::-1]
    most = round(_TRIMMED * x.shape[1])
    return np.stack([_cut(image, *rng.integers(0, most, 4)) for image in changed])


def cropped(
    x: np.ndarray, rng: np.random.Generator, least: float = 0.45, most: float = 0.65
) -> np.ndarray:
    """Leave such shares of each image's sides, somewhere in it."""
    size = x.shape[1]
    cut = []
    for image in x:
        left, top = (int(v) for v in (1 - rng.uniform(least, most, 2)) * size)
        x0, y0 = rng.integers(0, left + 1), rng.integers(0, top + 1)
        cut.append(_cut(image, y0, top - y0, x0, left - x0))
    return np.stack(cut)


def _cut(image, above, below, left, right) -> np.ndarray:
    """Cut rows and columns off (h, w, 1) and bring the rest to the old size."""
    height, width = image.shape[:2]
    rest = image[above : height - below, left : width - right, 0]
    return np.asarray(Image.fromarray(rest).resize((width, height)))[..., None]
