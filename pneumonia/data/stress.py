"""Validation under shift: images changed in ways that training does not use.

The clean validation patients come from the same batches as the training patients, and
their score is near 1 for nearly every network. Here the same held-out patients are
seen through other detectors, crops and files, and in the tone and frame of the other
class, where a shortcut says the wrong thing. The changes share no code with `augment`,
so that a network can't be fitted to their details; whether a family of the same kind
was trained on is reported beside it.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Change = Callable[[Image.Image, np.random.Generator, Image.Image], Image.Image]
"""An 8-bit greyscale picture, a generator and a picture of the other class -> a changed
picture of the same size."""


def _aspect(
    picture: Image.Image, rng: np.random.Generator, other: Image.Image
) -> Image.Image:
    """Crop one axis to 65-85 % at a random place and squash the rest to a square."""
    side = picture.width
    keep = round(side * rng.uniform(0.65, 0.85))
    start = int(rng.integers(0, side - keep + 1))
    box = (start, 0, start + keep, side)
    if rng.random() < 0.5:
        box = (0, start, side, start + keep)
    return picture.resize((side, side), Image.Resampling.BICUBIC, box)


def _letterbox(
    picture: Image.Image, rng: np.random.Generator, other: Image.Image
) -> Image.Image:
    """Shrink one axis to 65-85 % between black bars, as padding to a square does."""
    side = picture.width
    keep = round(side * rng.uniform(0.65, 0.85))
    size = (side, keep) if rng.random() < 0.5 else (keep, side)
    canvas = Image.new("L", (side, side), 0)
    small = picture.resize(size, Image.Resampling.BICUBIC)
    canvas.paste(small, ((side - size[0]) // 2, (side - size[1]) // 2))
    return canvas


def _marker(
    picture: Image.Image, rng: np.random.Generator, other: Image.Image
) -> Image.Image:
    """Cover all four corners in grey and write a letter near one of them."""
    side = picture.width
    pen = ImageDraw.Draw(picture)
    edge = round(side * rng.uniform(0.12, 0.2))
    grey = int(np.median(np.asarray(picture)))
    for x in (0, side - edge):
        for y in (0, side - edge):
            pen.rectangle((x, y, x + edge - 1, y + edge - 1), fill=grey)
    x, y = (int(v) for v in rng.choice([0.03, 0.85], 2) * side)
    pen.text((x, y), str(rng.choice(["R", "L"])), fill=255, font_size=side * 0.14)
    return picture


def _collimator(
    picture: Image.Image, rng: np.random.Generator, other: Image.Image
) -> Image.Image:
    """Black out 4-12 % of the side at every border."""
    side = picture.width
    left, top, right, bottom = (rng.uniform(0.04, 0.12, 4) * side).astype(int)
    canvas = Image.new("L", (side, side), 0)
    box = (left, top, side - right, side - bottom)
    canvas.paste(picture.crop(box), box[:2])
    return canvas


def _window(
    picture: Image.Image, rng: np.random.Generator, other: Image.Image
) -> Image.Image:
    """Clip the grey values to a narrower window: 2-15 % at each end are lost."""
    values = np.asarray(picture, np.float32)
    low, high = np.quantile(values, [rng.uniform(0.02, 0.15), rng.uniform(0.85, 0.98)])
    return _grey((values - low) / max(high - low, 1) * 255)


def _gamma(
    picture: Image.Image, rng: np.random.Generator, other: Image.Image
) -> Image.Image:
    """Brighten or darken by an exponent of 0.5-0.7 or 1.5-2."""
    exponent = rng.uniform(1.5, 2.0) if rng.random() < 0.5 else rng.uniform(0.5, 0.7)
    return _grey((np.asarray(picture, np.float32) / 255) ** exponent * 255)


def _low_contrast(
    picture: Image.Image, rng: np.random.Generator, other: Image.Image
) -> Image.Image:
    """Keep 25-45 % of the contrast about a level of 80-180."""
    values = np.asarray(picture, np.float32)
    kept = rng.uniform(0.25, 0.45)
    return _grey((values - values.mean()) * kept + rng.uniform(80, 180))


def _resolution(
    picture: Image.Image, rng: np.random.Generator, other: Image.Image
) -> Image.Image:
    """Store 32-56 pixels a side, and enlarge them."""
    side = int(rng.integers(32, 57))
    small = picture.resize((side, side), Image.Resampling.BOX)
    return small.resize(picture.size, Image.Resampling.BILINEAR)


def _jpeg(
    picture: Image.Image, rng: np.random.Generator, other: Image.Image
) -> Image.Image:
    """Store as JPEG of quality 5-15."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(rng.integers(5, 16)))
    return Image.open(file).convert("L")


def _sharpen(
    picture: Image.Image, rng: np.random.Generator, other: Image.Image
) -> Image.Image:
    """Add 1-2 times what a blur takes away, as edge enhancement does."""
    side = picture.width
    small = picture.resize((side // 4, side // 4), Image.Resampling.BOX)
    smooth = np.asarray(
        small.resize(picture.size, Image.Resampling.BICUBIC), np.float32
    )
    values = np.asarray(picture, np.float32)
    return _grey(values + rng.uniform(1, 2) * (values - smooth))


def _rotation(
    picture: Image.Image, rng: np.random.Generator, other: Image.Image
) -> Image.Image:
    """Turn by 8-20 degrees either way, black outside."""
    angle = rng.choice([-1, 1]) * rng.uniform(8, 20)
    return picture.rotate(angle, Image.Resampling.BICUBIC, fillcolor=0)


def _shading(
    picture: Image.Image, rng: np.random.Generator, other: Image.Image
) -> Image.Image:
    """Fade 40-70 % away towards one side (heel effect), or towards all (vignette)."""
    y, x = np.mgrid[-1 : 1 : picture.height * 1j, -1 : 1 : picture.width * 1j]
    turn = rng.uniform(0, 2 * np.pi)
    slope = (x * np.cos(turn) + y * np.sin(turn)) / np.sqrt(2) / 2 + 0.5
    distance = slope if rng.random() < 0.5 else (x**2 + y**2) / 2
    kept = 1 - rng.uniform(0.4, 0.7) * distance
    return _grey(np.asarray(picture, np.float32) * kept)


def _tone(
    picture: Image.Image, rng: np.random.Generator, other: Image.Image
) -> Image.Image:
    """Give it the grey values of an image of the other class, rank by rank."""
    values = np.array(picture)
    ranks = np.argsort(values, axis=None, kind="stable")
    values.reshape(-1)[ranks] = np.sort(np.asarray(other), axis=None)
    return Image.fromarray(values)


def _frame(
    picture: Image.Image, rng: np.random.Generator, other: Image.Image
) -> Image.Image:
    """Put the outer 12 pixels of an image of the other class around it."""
    inside = (12, 12, picture.width - 12, picture.height - 12)
    framed = other.copy()
    framed.paste(picture.crop(inside), inside[:2])
    return framed


def _tone_and_frame(
    picture: Image.Image, rng: np.random.Generator, other: Image.Image
) -> Image.Image:
    """Give it both tone and frame of the other class: every shortcut is wrong."""
    return _frame(_tone(picture, rng, other), rng, other)


def _grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Family:
    """A family of changes.

    Attributes:
        change: what it does to one picture.
        kin: families of `augment.FAMILIES` of the same kind: a training that used one
            of them has seen something like it.
    """

    change: Change
    kin: frozenset[str]

    @property
    def what(self) -> str:
        """What it does, in a sentence."""
        return self.change.__doc__


FAMILIES: dict[str, Family] = {
    "aspect and crop": Family(_aspect, frozenset({"geometry", "reframe", "published"})),
    "letterbox": Family(_letterbox, frozenset({"geometry", "reframe"})),
    "corners and marker": Family(_marker, frozenset({"masking", "transfer"})),
    "collimator": Family(_collimator, frozenset({"masking", "transfer"})),
    "window": Family(_window, frozenset({"tone", "equalise", "transfer"})),
    "gamma": Family(_gamma, frozenset({"tone", "transfer"})),
    "low contrast": Family(_low_contrast, frozenset({"tone"})),
    "resolution": Family(_resolution, frozenset({"resolution", "spectrum"})),
    "JPEG": Family(_jpeg, frozenset({"resolution", "compress"})),
    "sharpening": Family(_sharpen, frozenset({"equalise", "sharpen", "spectrum"})),
    "rotation": Family(_rotation, frozenset({"geometry", "published"})),
    "shading": Family(_shading, frozenset({"shade", "equalise"})),
    "other class's tone": Family(_tone, frozenset({"transfer"})),
    "other class's frame": Family(_frame, frozenset({"transfer", "masking"})),
    "other class's tone and frame": Family(_tone_and_frame, frozenset({"transfer"})),
}
"""What held-out patients are seen through, by name."""


def seen_in_training(family: str, augmentation: str) -> bool:
    """Tell whether a training's augmentation holds a change of the same kind."""
    return bool(FAMILIES[family].kin & set(augmentation.split("+")))


def changed(
    images: np.ndarray,
    labels: np.ndarray,
    family: str,
    seed: int = 0,
    change: Change | None = None,
) -> np.ndarray:
    """Change images as one family does, always in the same way.

    Args:
        images: uint8 (n, 128, 128, 1).
        labels: int (n,); both classes occur.
        family: key of `FAMILIES`.
        seed: another seed gives other changes.
        change: made instead of the family's own, with the same draws and donors: what
            the family does to masks of the images.

    Returns:
        uint8 (n, 128, 128, 1).
    """
    number = list(FAMILIES).index(family)
    change = change or FAMILIES[family].change
    return np.stack(
        [
            _apply(change, images, labels, index, (seed, number, index))
            for index in range(len(images))
        ]
    )


def mixed_copies(
    images: np.ndarray, labels: np.ndarray, copies: int, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yield the images several times, each image under a family drawn for it.

    Args:
        images: uint8 (n, 128, 128, 1).
        labels: int (n,); both classes occur.
        copies: how many.
        seed: another seed gives other families and changes.

    Yields:
        uint8 (n, 128, 128, 1).
    """
    names = mixed_families(len(images), copies, seed)
    for copy, row in enumerate(names.reshape(copies, len(images))):
        yield np.stack(
            [
                _apply(
                    FAMILIES[name].change, images, labels, index, (seed, copy, index)
                )
                for index, name in enumerate(row)
            ]
        )


def mixed_families(count: int, copies: int, seed: int = 0) -> np.ndarray:
    """Return which family `mixed_copies` draws for each image, str (copies * count,).

    Within a copy every family occurs equally often, give or take one.
    """
    names = np.array(list(FAMILIES))
    turns = [
        np.random.default_rng((seed, copy)).permutation(count) % len(names)
        for copy in range(copies)
    ]
    return names[np.concatenate(turns)] if turns else names[:0]


def _apply(
    change: Change,
    images: np.ndarray,
    labels: np.ndarray,
    index: int,
    seed: tuple[int, ...],
) -> np.ndarray:
    """Change a copy of one image; return uint8 (128, 128, 1)."""
    rng = np.random.default_rng(seed)
    other = rng.choice(np.flatnonzero(labels != labels[index]))
    one, donor = (Image.fromarray(images[i, ..., 0].copy()) for i in (index, other))
    return np.asarray(change(one, rng, donor))[..., None]
