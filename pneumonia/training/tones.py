"""Changes of grey values and of detail: what another detector or another file does.

As all changes of training, each is a function of (images, rng) alone; see `augment`.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from ..network.framing import resize

Donors = Callable[[int, np.random.Generator], np.ndarray]
"""(number of images, generator) -> int (n,): which image of the batch lends to each."""


def anyone(count: int, rng: np.random.Generator) -> np.ndarray:
    """Let each image borrow from any one of the batch."""
    return rng.permutation(count)


def other_class(count: int, rng: np.random.Generator) -> np.ndarray:
    """Let each image borrow from one of the other class.

    `sampling.Batches` sorts a batch by class, and draws both equally often. So the
    other class stands at the other end.
    """
    return np.arange(count)[::-1]


def tone(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change gamma, contrast and brightness, as another detector would."""
    n = len(images)
    gamma = np.exp(rng.uniform(-0.5, 0.5, (n, 1, 1, 1))).astype(np.float32)
    contrast = np.exp(rng.uniform(-0.3, 0.3, (n, 1, 1, 1))).astype(np.float32)
    brightness = rng.uniform(-0.08, 0.08, (n, 1, 1, 1)).astype(np.float32)
    curved = np.power(np.maximum(images, 1e-4), gamma)
    return np.clip((curved - 0.5) * contrast + 0.5 + brightness, 0, 1)


def lend_tone(
    images: np.ndarray,
    rng: np.random.Generator,
    probability: float = 0.3,
    donors: Donors = anyone,
) -> np.ndarray:
    """Give some images the grey values of another one of the batch, rank by rank.

    If half of the images borrow from the other class, the histogram alone says nothing
    about the class.
    """
    lent = images[donors(len(images), rng)]
    images = images.copy()
    for image, donor in zip(images, lent, strict=True):
        if rng.random() < probability:
            ranks = np.argsort(image, axis=None, kind="stable")
            image.reshape(-1)[ranks] = np.sort(donor, axis=None)
    return images


def equalise(
    images: np.ndarray, rng: np.random.Generator, probability: float = 0.2
) -> np.ndarray:
    """Lift local contrast in some images, as post-processing in the clinic does.

    The image is mixed with itself divided by the spread of its surroundings.
    """
    n, height, width, _ = images.shape
    cells = int(rng.integers(3, 9))  # how many surroundings lie side by side
    chosen = rng.random(n) < probability
    share = rng.uniform(0.3, 1.0, (n, 1, 1, 1)).astype(np.float32)[chosen]
    some = images[chosen]

    def around(values):
        return resize(resize(values, cells), height, "bicubic")

    mean = around(some)
    spread = np.sqrt(np.maximum(around(np.square(some - mean)), 1e-3))
    local = 0.5 + 0.2 * (some - mean) / spread
    images = images.copy()
    images[chosen] = np.clip((1 - share) * some + share * local, 0, 1)
    return images


def shade(
    images: np.ndarray, rng: np.random.Generator, strength: float = 0.25
) -> np.ndarray:
    """Multiply by a smooth random field, as an uneven beam does."""
    n, height, width, _ = images.shape
    coarse = rng.normal(size=(n, 3, 3, 1)).astype(np.float32)
    field = resize(coarse, height, "bicubic")
    amount = rng.uniform(0, strength, (n, 1, 1, 1)).astype(np.float32)
    return np.clip(images * np.exp(amount * field), 0, 1)


def coarsen(
    images: np.ndarray,
    rng: np.random.Generator,
    probability: float = 0.3,
    sides: tuple[float, float] = (1 / 3, 7 / 8),
) -> np.ndarray:
    """Take fine detail from some images: down to a share of the side, and back."""
    n, height, width, _ = images.shape
    side = int(rng.integers(int(height * sides[0]), int(height * sides[1])))
    chosen = rng.random(n) < probability
    images = images.copy()
    images[chosen] = resize(resize(images[chosen], side), height)
    return images


def sharpen(
    images: np.ndarray, rng: np.random.Generator, probability: float = 0.3
) -> np.ndarray:
    """Lift fine detail in some images by up to two and a half times (unsharp mask)."""
    n, height, width, _ = images.shape
    side = int(rng.integers(height // 6, height * 2 // 3))
    chosen = rng.random(n) < probability
    amount = rng.uniform(0.3, 2.5, (n, 1, 1, 1)).astype(np.float32)[chosen]
    some = images[chosen]
    detail = some - resize(resize(some, side), height, "bicubic")
    images = images.copy()
    images[chosen] = np.clip(some + amount * detail, 0, 1)
    return images


def speckle(
    images: np.ndarray, rng: np.random.Generator, strength: float = 0.04
) -> np.ndarray:
    """Add white noise to half of the images, of a deviation up to `strength`."""
    amount = rng.uniform(-strength, strength, (len(images), 1, 1, 1))
    amount = np.maximum(amount, 0).astype(np.float32)  # half of them stay clean
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    return np.clip(images + amount * noise, 0, 1)


def compress(
    images: np.ndarray,
    rng: np.random.Generator,
    probability: float = 0.25,
    qualities: tuple[int, int] = (6, 40),
) -> np.ndarray:
    """Store some images as poor JPEG files, at one to two times their side."""
    n, height, width, _ = images.shape
    images = images.copy()
    for image in images:
        if rng.random() < probability:
            scale, quality = rng.uniform(1, 2), np.exp(rng.uniform(*np.log(qualities)))
            values = np.rint(image[..., 0] * 255).astype(np.uint8)
            stored = (round(width * scale), round(height * scale))
            file = io.BytesIO()
            large = Image.fromarray(values).resize(stored, Image.Resampling.BICUBIC)
            large.save(file, "JPEG", quality=round(quality))
            small = Image.open(file).resize((width, height), Image.Resampling.BOX)
            image[..., 0] = np.asarray(small, np.float32) / 255
    return images


def lend_spectrum(
    images: np.ndarray,
    rng: np.random.Generator,
    probability: float = 0.3,
    donors: Donors = anyone,
) -> np.ndarray:
    """Give some images the radial power spectrum of another one of the batch, in part.

    Sharpness, grain and how contrast is spread over coarse and fine come from either
    class; shapes stay where they are, for every frequency is scaled by a smooth factor
    of its distance from zero alone. The mean stays.
    """
    n, height, width, _ = images.shape
    lent = donors(n, rng)
    chosen = np.flatnonzero(rng.random(n) < probability)
    share = rng.uniform(0.3, 1.0, n)[chosen]
    radius = np.hypot(
        np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width) * width
    )
    octave = np.log2(np.maximum(radius, 1)) * 3  # a third of an octave is one ring
    ring = np.rint(octave).astype(int)
    count = np.bincount(ring.ravel())
    rings = np.flatnonzero(count)

    def level(spectrum):
        power = np.bincount(ring.ravel(), (np.abs(spectrum) ** 2).ravel())
        return np.log(power / np.maximum(count, 1) + 1e-6) / 2

    used = np.union1d(chosen, lent[chosen])
    spectra = {i: np.fft.rfft2(images[i, ..., 0]) for i in used}
    levels = {i: level(spectrum) for i, spectrum in spectra.items()}
    images = images.copy()
    for i, part in zip(chosen, share, strict=True):
        gain = part * (levels[lent[i]] - levels[i])
        factor = np.interp(octave, rings, gain[rings])
        factor[0, 0] = 0
        lifted = np.fft.irfft2(spectra[i] * np.exp(factor), s=(height, width))
        images[i, ..., 0] = np.clip(lifted, 0, 1)
    return images
