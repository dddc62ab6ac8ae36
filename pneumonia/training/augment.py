"""What training changes in an image, so that shortcuts to the class vanish.

Every change is a plain function of (images, rng): parameters come from a NumPy
generator, pixels are moved by Keras operations on any backend. The same generator state
gives the same result, which is what lets a stopped training end where it would have.

In the public training set the classes differ by the position of the "R" marker, black
borders, crop, aspect ratio before squashing, contrast and sharpness. The changes below
make each of these say nothing about the class.
"""

from collections.abc import Callable

import numpy as np
from keras import ops

from .tones import (
    coarsen,
    compress,
    equalise,
    lend_spectrum,
    shade,
    sharpen,
    speckle,
    tone,
)

Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""float32 (n, H, W, 1) in [0, 1] and a generator -> the same shape, dtype and range."""


def warp(
    images: np.ndarray,
    rng: np.random.Generator,
    *,
    rotation: float,
    shift: float,
    zoom: tuple[float, float] = (1.0, 1.0),
    aspect: float = 1.0,
    shear: float = 0.0,
    flip_horizontal: bool = True,
    flip_vertical: bool = False,
    fill_modes: tuple[str, ...] = ("nearest",),
) -> np.ndarray:
    """Rotate, shift, zoom, stretch, shear and flip in one resampling.

    Args:
        images: float32 (n, H, W, 1) in [0, 1].
        rng: source of the parameters.
        rotation: largest turn either way, in degrees.
        shift: largest move either way, as a fraction of the side.
        zoom: smallest and largest magnification; above 1 crops.
        aspect: largest ratio by which one axis is stretched against the other.
        shear: largest shear either way, as a tangent.
        flip_horizontal: mirror every second image left to right.
        flip_vertical: turn every second image upside down.
        fill_modes: one of Keras's fill modes is drawn for the batch: what stands beyond
            the border.

    Returns:
        float32 (n, H, W, 1) in [0, 1].
    """
    n, height, width, _ = images.shape
    angle = np.deg2rad(rng.uniform(-rotation, rotation, n))
    stretch = np.exp(rng.uniform(-1, 1, n) * np.log(aspect) / 2)
    scale = np.exp(rng.uniform(np.log(zoom[0]), np.log(zoom[1]), n))
    mirror_x = np.where(rng.random(n) < 0.5 * flip_horizontal, -1.0, 1.0)
    mirror_y = np.where(rng.random(n) < 0.5 * flip_vertical, -1.0, 1.0)
    slant = rng.uniform(-shear, shear, n)
    move_x = rng.uniform(-shift, shift, n) * width
    move_y = rng.uniform(-shift, shift, n) * height

    # output (x, y) about the centre -> input (x, y) about the centre
    step_x, step_y = mirror_x / (scale * stretch), mirror_y * stretch / scale
    cos, sin = np.cos(angle), np.sin(angle)
    a, b = step_x * cos, step_x * (slant * cos - sin)
    c, d = step_y * sin, step_y * (slant * sin + cos)
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    to_x = centre_x + move_x - a * centre_x - b * centre_y
    to_y = centre_y + move_y - c * centre_x - d * centre_y
    zero = np.zeros(n)
    transform = np.stack([a, b, to_x, c, d, to_y, zero, zero], axis=1)  # (n, 8)
    moved = ops.image.affine_transform(
        images,
        transform.astype(np.float32),
        interpolation="bilinear",
        fill_mode=fill_modes[rng.integers(len(fill_modes))],
    )
    return ops.convert_to_numpy(moved)


def cover_edges(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cover corners and borders, and paste bright marks near the border.

    These are the places where the "R" marker, lettering and collimator edges stand.
    """
    n, height, width, _ = images.shape
    images = images.copy()
    for image in images:
        grey = rng.choice([0.0, rng.random(), 1.0], p=[0.6, 0.3, 0.1])
        for rows in (slice(None, _side(rng, height)), slice(-_side(rng, height), None)):
            for columns in (
                slice(None, _side(rng, width)),
                slice(-_side(rng, width), None),
            ):
                if rng.random() < 0.15:
                    image[rows, columns] = grey
        if rng.random() < 0.2:
            top, bottom, left, right = rng.integers(0, height // 9, 4)
            image[:top], image[height - bottom :] = grey, grey
            image[:, :left], image[:, width - right :] = grey, grey
        if rng.random() < 0.25:
            tall, wide = rng.integers(3, height // 10, 2)
            y = rng.choice([0, height - tall]) + rng.integers(-height // 6, height // 6)
            x = rng.choice([0, width - wide]) + rng.integers(-width // 6, width // 6)
            y, x = np.clip(y, 0, height - tall), np.clip(x, 0, width - wide)
            image[y : y + tall, x : x + wide] = rng.uniform(0.7, 1.0)
    return images


def _side(rng: np.random.Generator, length: int) -> int:
    return int(rng.integers(length // 16, length // 4))


def cut_out(
    images: np.ndarray, rng: np.random.Generator, probability: float = 0.15
) -> np.ndarray:
    """Blank one random rectangle (DeVries and Taylor 2017, "Cutout") in some images."""
    n, height, width, _ = images.shape
    images = images.copy()
    for image in images:
        if rng.random() < probability:
            tall, wide = rng.integers(height // 8, height // 3, 2)
            y, x = rng.integers(0, height - tall), rng.integers(0, width - wide)
            image[y : y + tall, x : x + wide] = image.mean()
    return images


def transfer(
    images: np.ndarray, rng: np.random.Generator, probability: float = 0.3
) -> np.ndarray:
    """Lend images the grey-value histogram or the frame of another one of the batch.

    Both classes are in a batch, so neither the tone nor what stands at the border tells
    them apart any more. The histogram is matched pixel rank by pixel rank; the frame is
    up to an eighth of the side wide.
    """
    n, height, width, _ = images.shape
    donors = images[rng.permutation(n)]
    images = images.copy()
    for image, donor in zip(images, donors, strict=True):
        if rng.random() < probability:
            ranks = np.argsort(image, axis=None, kind="stable")
            image.reshape(-1)[ranks] = np.sort(donor, axis=None)
        if rng.random() < probability:
            top, bottom, left, right = rng.integers(0, height // 8, 4)
            inside = image[top : height - bottom, left : width - right].copy()
            image[:] = donor
            image[top : height - bottom, left : width - right] = inside
    return images


def cover_lungs(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cover the middle, where the lungs lie, with noisy grey: only shortcuts are left.

    The box reaches from about a tenth to about nine tenths of either side, and a little
    less far down.
    """
    n, height, width, _ = images.shape
    images = images.copy()
    for image in images:
        edges = np.array([0.1, 0.85, 0.1, 0.9]) + rng.uniform(-0.05, 0.05, 4)
        top, bottom = (edges[:2] * height).astype(int)
        left, right = (edges[2:] * width).astype(int)
        box = image[top:bottom, left:right]
        noise = rng.normal(rng.uniform(0.1, 0.9), rng.uniform(0, 0.1), box.shape)
        box[:] = np.clip(noise, 0, 1)
    return images


def mirror(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror every second image left to right."""
    flipped = rng.random(len(images)) < 0.5
    return np.where(flipped[:, None, None, None], images[:, :, ::-1], images)


def geometry(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn, shift, crop, stretch, shear and mirror; never upside down.

    Mirroring takes away the side of the marker. It also swaps the side of the heart,
    which decides neither class.
    """
    return warp(
        images,
        rng,
        rotation=10,
        shift=0.06,
        zoom=(0.88, 1.25),
        aspect=1.5,
        shear=0.05,
        fill_modes=("constant", "nearest", "reflect"),
    )


def reframe(
    images: np.ndarray,
    rng: np.random.Generator,
    sides: tuple[float, float] = (0.6, 1.2),
    probability: float = 0.5,
) -> np.ndarray:
    """Show some images as another technician would frame them, squashed to a square.

    Height and width are drawn each for itself, so a crop of one is an aspect, too.

    Args:
        images: float32 (n, H, W, 1) in [0, 1].
        rng: source of the parameters.
        sides: smallest and largest part of a side that is shown; above 1 adds to it.
        probability: share of the images that is changed.

    Returns:
        float32 (n, H, W, 1) in [0, 1].
    """
    n, height, width, _ = images.shape
    part = np.exp(rng.uniform(*np.log(sides), (n, 2)))
    part[rng.random(n) >= probability] = 1.0
    first = rng.random((n, 2)) * (1 - part) * (height, width) + (part - 1) / 2
    zero = np.zeros(n)
    columns = [part[:, 1], zero, first[:, 1], zero, part[:, 0], first[:, 0], zero, zero]
    fill_modes = ("constant", "nearest", "reflect")
    moved = ops.image.affine_transform(
        images,
        np.stack(columns, axis=1).astype(np.float32),
        interpolation="bilinear",
        fill_mode=fill_modes[rng.integers(len(fill_modes))],
    )
    return ops.convert_to_numpy(moved)


def masking(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cover edges and corners, blank rectangles: `cover_edges`, then `cut_out`."""
    return cut_out(cover_edges(images, rng), rng)


def resolution(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take detail away and add noise: `coarsen`, then `speckle`."""
    return speckle(coarsen(images, rng), rng)


def seed(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change images as the published recipe does: both flips, rotations, shifts."""
    return warp(images, rng, rotation=40, shift=0.2, flip_vertical=True)


FAMILIES: dict[str, Augmentation] = {
    "seed": seed,
    "mirror": mirror,
    "tone": tone,
    "equalise": equalise,
    "transfer": transfer,
    "spectrum": lend_spectrum,
    "sharpen": sharpen,
    "geometry": geometry,
    "reframe": reframe,
    "shade": shade,
    "masking": masking,
    "resolution": resolution,
    "compress": compress,
}
"""Families of changes by name, in the order in which they are made."""

DEFAULT = "tone+equalise+geometry+shade+masking+resolution"


def compose(names: str) -> Augmentation:
    """Return one augmentation out of families.

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
    changes = [change for name, change in FAMILIES.items() if name in wanted]

    def all_of_them(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for change in changes:
            images = change(images, rng)
        return images

    return all_of_them
