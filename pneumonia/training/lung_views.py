"""What training the lung finder changes in an X-ray and its mask.

The finder shall find lungs on pictures that nobody framed for it, and behind opacities.
So training changes frame, shape, tone and detail strongly, and hides parts of the
lungs, up to a whole one; their mask still says lung. All changes are functions of
(images, masks, rng), or of (images, rng), as in `augment`.
"""

import numpy as np

from ..network.framing import resize
from .geometry import Warp
from .tones import coarsen, equalise, shade, sharpen, speckle, tone

Pair = tuple[np.ndarray, np.ndarray]
"""Images and masks, both float32 (n, H, W, 1) in [0, 1]."""

WARP = Warp(
    rotation=25,
    shift=0.12,
    zoom=(0.7, 1.45),
    aspect=1.7,
    shear=0.1,
    fill_modes=("constant",),
)


def _coin(rng: np.random.Generator, probability: float, n: int) -> np.ndarray:
    """Return bool (n, 1, 1, 1), True with a probability."""
    return rng.random((n, 1, 1, 1)) < probability


def hide_lungs(images: np.ndarray, masks: np.ndarray, rng) -> np.ndarray:
    """Veil parts of the lungs in half of the images: clouds, or a lung as a whole."""
    n, height, width, _ = images.shape

    def draw(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (n, 1, 1, 1)).astype(np.float32)

    y, x = (np.arange(s, dtype=np.float32) / s for s in (height, width))
    y, x = y[None, :, None, None], x[None, None, :, None]
    veil = np.zeros_like(images)
    for _ in range(3):
        far = ((y - draw(0.1, 0.9)) / draw(0.05, 0.3)) ** 2
        far = far + ((x - draw(0.1, 0.9)) / draw(0.05, 0.3)) ** 2
        veil = np.maximum(veil, _coin(rng, 0.7, n) * np.exp(-far))
    columns = masks.sum(axis=1, keepdims=True)
    weight = columns.sum(axis=2, keepdims=True) + 1e-6
    middle = (columns * x).sum(axis=2, keepdims=True) / weight
    beside = (x - middle) * rng.choice([-1, 1], (n, 1, 1, 1)).astype(np.float32)
    lung = 1 / (1 + np.exp(-beside / 0.02))
    veil = np.where(_coin(rng, 0.3, n), lung, veil)
    soft = resize(resize(masks, height // 4), height, "bicubic")
    veil = veil * np.clip(soft * 1.3, 0, 1) * draw(0.3, 1.0)
    veil = veil * _coin(rng, 0.5, n)
    parts = zip(images, rng.uniform(0.5, 1, n), strict=True)
    levels = [np.quantile(one, q) for one, q in parts]
    level = np.array(levels, np.float32)[:, None, None, None]
    return (1 - veil) * images + veil * level


def move(images: np.ndarray, masks: np.ndarray, rng) -> Pair:
    """Turn, shift, zoom and stretch most pairs; black or grey stands outside."""
    n = len(images)
    kept = _coin(rng, 0.25, n)
    inside = np.ones_like(images)
    moved = WARP(np.concatenate([images, masks, inside], axis=-1), rng)
    grey = np.where(_coin(rng, 0.6, n), 0, rng.random((n, 1, 1, 1)))
    seen = moved[..., :1] + (1 - moved[..., 2:]) * grey.astype(np.float32)
    return np.where(kept, images, seen), np.where(kept, masks, moved[..., 1:2])


def border(images: np.ndarray, masks: np.ndarray, rng) -> Pair:
    """Put bars of grey, or the frame of another pair, around half of the pairs."""
    n, height, width, _ = images.shape
    edges = rng.integers(0, height // 7, (n, 4)) * (rng.random((n, 1)) < 0.5)
    y, x = np.arange(height)[None, :], np.arange(width)[None, :]
    rows = (y >= edges[:, :1]) & (y < height - edges[:, 1:2])
    columns = (x >= edges[:, 2:3]) & (x < width - edges[:, 3:])
    inside = (rows[:, :, None] & columns[:, None, :])[..., None]
    other, lent = rng.permutation(n), _coin(rng, 0.4, n)
    grey = np.where(_coin(rng, 0.6, n), 0, rng.random((n, 1, 1, 1)))
    frame = np.where(lent, images[other], grey.astype(np.float32))
    return (
        np.where(inside, images, frame),
        np.where(inside, masks, masks[other] * lent),
    )


def cover(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put up to three opaque rectangles anywhere: markers, devices, blank corners."""
    _, height, width, _ = images.shape
    images = images.copy()
    for image in images:
        for _ in range(max(0, rng.integers(-2, 4))):
            tall, wide = rng.integers(height // 20, height // 3, 2)
            y, x = rng.integers(-tall // 2, height), rng.integers(-wide // 2, width)
            place = np.s_[max(0, y) : y + tall, max(0, x) : x + wide]
            image[place] = rng.choice([0, rng.random(), 1], p=[0.3, 0.5, 0.2])
    return images


def augment(images: np.ndarray, masks: np.ndarray, rng: np.random.Generator) -> Pair:
    """Change pairs as training does; masks change where things move.

    Args:
        images: float32 (n, H, W, 1) in [0, 1].
        masks: likewise, 1 on a lung.
        rng: source of the draws.

    Returns:
        Both changed, of the same shape, dtype and range.
    """
    images = hide_lungs(images, masks, rng)
    images, masks = move(images, masks, rng)
    images = tone(tone(images, rng), rng)  # twice: more than a classifier would bear
    images = equalise(shade(images, rng, 0.4), rng)
    images, masks = border(images, masks, rng)
    images = sharpen(coarsen(cover(images, rng), rng), rng)
    return speckle(images, rng, 0.1).astype(np.float32), masks.astype(np.float32)
