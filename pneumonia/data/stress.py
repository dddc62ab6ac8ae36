"""Validation under shift: images changed in ways that training does not use.

The clean validation patients come from the same batches as the training patients, and
their score is near 1 for nearly every network. Here the same held-out patients are
seen through other detectors, crops and files, and in the tone and frame of the other
class, where a shortcut says the wrong thing. The changes share no code with `augment`,
so that a network can't be fitted to their details; whether a family of the same kind
was trained on is reported beside it.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from . import reframing
from .reframing import Case, Change


def _marker(case: Case) -> Image.Image:
    """Cover all four corners in grey and write a letter near one of them."""
    side, rng = case.side, case.rng
    picture = case.picture.copy()
    pen = ImageDraw.Draw(picture)
    edge = round(side * rng.uniform(0.12, 0.2))
    grey = int(np.median(np.asarray(picture)))
    for x in (0, side - edge):
        for y in (0, side - edge):
            pen.rectangle((x, y, x + edge - 1, y + edge - 1), fill=grey)
    x, y = (int(v) for v in rng.choice([0.03, 0.85], 2) * side)
    pen.text((x, y), str(rng.choice(["R", "L"])), fill=255, font_size=side * 0.14)
    return picture


def _window(case: Case) -> Image.Image:
    """Clip the grey values to a narrower window: 2-15 % at each end are lost."""
    ends = case.rng.uniform(0.02, 0.15), case.rng.uniform(0.85, 0.98)
    low, high = np.quantile(case.values, ends)
    return _grey((case.values - low) / max(high - low, 1) * 255)


def _gamma(case: Case) -> Image.Image:
    """Brighten or darken by an exponent of 0.5-0.7 or 1.5-2."""
    ends = (1.5, 2.0) if case.rng.random() < 0.5 else (0.5, 0.7)
    return _grey((case.values / 255) ** case.rng.uniform(*ends) * 255)


def _low_contrast(case: Case) -> Image.Image:
    """Keep 25-45 % of the contrast about a level of 80-180."""
    kept = case.rng.uniform(0.25, 0.45)
    level = case.rng.uniform(80, 180)
    return _grey((case.values - case.values.mean()) * kept + level)


def _resolution(case: Case) -> Image.Image:
    """Store 32-56 pixels a side, and enlarge them."""
    side = int(case.rng.integers(32, 57))
    small = case.picture.resize((side, side), Image.Resampling.BOX)
    return small.resize(case.picture.size, Image.Resampling.BILINEAR)


def _jpeg(case: Case) -> Image.Image:
    """Store as JPEG of quality 3-7."""
    # What 5-15 does to a picture of 128 pixels a side: at 224, the blocks are finer.
    file = io.BytesIO()
    case.picture.save(file, "JPEG", quality=int(case.rng.integers(3, 8)))
    return Image.open(file).convert("L")


def _sharpen(case: Case) -> Image.Image:
    """Add 1-2 times what a blur to 32 pixels a side takes away: edge enhancement."""
    small = case.picture.resize((32, 32), Image.Resampling.BOX)
    smooth = small.resize(case.picture.size, Image.Resampling.BICUBIC)
    lost = case.values - np.asarray(smooth, np.float32)
    return _grey(case.values + case.rng.uniform(1, 2) * lost)


def _shading(case: Case) -> Image.Image:
    """Fade 40-70 % away towards one side (heel effect), or towards all (vignette)."""
    y, x = np.mgrid[-1 : 1 : case.side * 1j, -1 : 1 : case.side * 1j]
    turn = case.rng.uniform(0, 2 * np.pi)
    slope = (x * np.cos(turn) + y * np.sin(turn)) / np.sqrt(2) / 2 + 0.5
    distance = slope if case.rng.random() < 0.5 else (x**2 + y**2) / 2
    kept = 1 - case.rng.uniform(0.4, 0.7) * distance
    return _grey(case.values * kept)


def _tone(case: Case) -> Image.Image:
    """Give it the grey values of an image of the other class, rank by rank."""
    values = np.array(case.picture)
    ranks = np.argsort(values, axis=None, kind="stable")
    values.reshape(-1)[ranks] = np.sort(np.asarray(case.other), axis=None)
    return Image.fromarray(values)


def _tone_and_frame(case: Case) -> Image.Image:
    """Give it both tone and frame of the other class: every shortcut is wrong."""
    return reframing.frame(replace(case, picture=_tone(case)))


def _grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Family:
    """A family of changes.

    Attributes:
        number: seeds its draws, so no two families have the same. It stays what it is
            wherever the family stands in `FAMILIES`: with another number, figures that
            were measured before could not be measured again.
        change: what it does to one picture.
        moves: what it does to a mask of the lungs; None: the lungs stay where they are.
        kin: families of `augment.FAMILIES` of the same kind: a training that used one
            of them has seen something like it.
        needs_boxes: it asks where the lungs are.
    """

    number: int
    change: Change
    moves: Change | None
    kin: frozenset[str]
    needs_boxes: bool = False

    @property
    def what(self) -> str:
        """What it does, in a sentence."""
        return self.change.__doc__


def _tones(number: int, change: Change, *kin: str) -> Family:
    """Return a family that leaves every part of the picture where it is."""
    return Family(number, change, None, frozenset(kin))


def _moves(number: int, change: Change, *kin: str, needs_boxes: bool = False) -> Family:
    """Return a family that moves or replaces pixels, and those of a mask with them."""
    return Family(number, change, change, frozenset(kin), needs_boxes)


def _cut(number: int, name: str) -> Family:
    return _moves(number, reframing.cut(name), "geometry", "published")


FAMILIES: dict[str, Family] = {
    "aspect and crop": _moves(0, reframing.aspect, "geometry", "published"),
    "letterbox": _moves(1, reframing.letterbox, "geometry"),
    "corners and marker": _tones(2, _marker, "border"),
    "collimator": _moves(3, reframing.collimator, "border"),
    "window": _tones(4, _window, "tone", "equalise", "histogram"),
    "gamma": _tones(5, _gamma, "tone", "histogram"),
    "low contrast": _tones(6, _low_contrast, "tone"),
    "resolution": _tones(7, _resolution, "resolution", "spectrum"),
    "JPEG": _tones(8, _jpeg, "resolution", "compress"),
    "sharpening": _tones(9, _sharpen, "equalise", "sharpen", "spectrum"),
    "rotation": _moves(10, reframing.rotation, "turn", "geometry", "published"),
    "shading": _tones(11, _shading, "shade", "equalise"),
    "other class's tone": _tones(12, _tone, "histogram"),
    "other class's frame": _moves(13, reframing.frame, "border"),
    "other class's tone and frame": Family(
        14, _tone_and_frame, reframing.frame, frozenset({"histogram", "border"})
    ),
    **{name: _cut(number, name) for number, name in enumerate(reframing.CUTS, 15)},
    "framed like the other class": _moves(
        20, reframing.like_other, "geometry", needs_boxes=True
    ),
}
"""What held-out patients are seen through, by name.

A cut draws nothing, so its number need not stay.
"""


def seen_in_training(family: str, augmentation: str) -> bool:
    """Tell whether a training's augmentation holds a change of the same kind."""
    kinds = {name.split()[0] for name in augmentation.split("+") if name}
    return bool(FAMILIES[family].kin & kinds)


def changed(
    images: np.ndarray,
    labels: np.ndarray,
    family: str,
    seed: int = 0,
    change: Change | None = None,
    boxes: np.ndarray | None = None,
) -> np.ndarray:
    """Change images as one family does, always in the same way.

    Args:
        images: uint8 (n, S, S, 1).
        labels: int (n,); both classes occur.
        family: key of `FAMILIES`.
        seed: another seed gives other changes.
        change: made instead of the family's own, with the same draws and donors: what
            the family does to masks of the images.
        boxes: float (n, 4), where the lungs are on the images: top, bottom, left and
            right as fractions of the side.

    Returns:
        uint8 (n, S, S, 1).

    Raises:
        ValueError: the family needs boxes, and there are none.
    """
    number = FAMILIES[family].number
    if FAMILIES[family].needs_boxes and boxes is None:
        raise ValueError(
            f"The family {family!r} needs the boxes of the lungs; got none. Find them "
            "with the lung finder, or take them from masks."
        )
    change = change or FAMILIES[family].change
    donors = _Donors(images, labels, boxes)
    return np.stack(
        [
            donors.apply(change, index, (seed, number, index))
            for index in range(len(images))
        ]
    )


def mixed_copies(
    images: np.ndarray,
    labels: np.ndarray,
    copies: int,
    seed: int = 0,
    boxes: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Yield the images several times, each image under a family drawn for it.

    Args:
        images: uint8 (n, S, S, 1).
        labels: int (n,); both classes occur.
        copies: how many.
        seed: another seed gives other families and changes.
        boxes: as in `changed`; without them, families that need them are left out.

    Yields:
        uint8 (n, S, S, 1).
    """
    names = mixed_families(len(images), copies, seed, boxes is not None)
    donors = _Donors(images, labels, boxes)
    for copy, row in enumerate(names.reshape(copies, len(images))):
        yield np.stack(
            [
                donors.apply(FAMILIES[name].change, index, (seed, copy, index))
                for index, name in enumerate(row)
            ]
        )


def mixed_families(
    count: int, copies: int, seed: int = 0, with_boxes: bool = False
) -> np.ndarray:
    """Return which family `mixed_copies` draws for each image, str (copies * count,).

    Within a copy every family occurs equally often, give or take one.

    Args:
        count: of the images.
        copies: how often each is seen.
        seed: as in `mixed_copies`.
        with_boxes: it is given boxes.
    """
    by_number = sorted(FAMILIES.items(), key=lambda family: family[1].number)
    names = np.array([n for n, f in by_number if with_boxes or not f.needs_boxes])
    drawn = [names[:0]]
    for copy in range(copies):
        rng = np.random.default_rng((seed, copy))
        drawn.append(rng.permutation(names)[rng.permutation(count) % len(names)])
    return np.concatenate(drawn)


@dataclass(frozen=True, eq=False)
class _Donors:
    """Images that lend each other what a change borrows."""

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray | None

    def apply(self, change: Change, index: int, seed: tuple[int, ...]) -> np.ndarray:
        """Change a copy of one image; return uint8 (S, S, 1)."""
        rng = np.random.default_rng(seed)
        other = rng.choice(np.flatnonzero(self.labels != self.labels[index]))
        one, donor = (Image.fromarray(self.images[i, ..., 0]) for i in (index, other))
        boxes = () if self.boxes is None else (self.boxes[index], self.boxes[other])
        return np.asarray(change(Case(one, rng, donor, *boxes)))[..., None]
