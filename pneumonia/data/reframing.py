"""The stress families that move pixels: other frames, crops, bars and turns.

A mask of the lungs moves with its picture, by the same functions (`Family.moves`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Case:
    """A picture to change, and what the change may borrow.

    Attributes:
        picture: 8-bit greyscale, square.
        rng: where the change draws from.
        other: a picture of the other class, of the same size.
        box: float (4,), the box of the picture's lungs: top, bottom, left and right as
            fractions of the side; None where nobody found them.
        other_box: the same of `other`.
    """

    picture: Image.Image
    rng: np.random.Generator
    other: Image.Image
    box: np.ndarray | None = None
    other_box: np.ndarray | None = None

    @property
    def side(self) -> int:
        """Height and width in pixels."""
        return self.picture.width

    @property
    def values(self) -> np.ndarray:
        """The picture's pixels, float32 (side, side) in [0, 255]."""
        return np.asarray(self.picture, np.float32)


Change = Callable[[Case], Image.Image]
"""A case -> its picture changed, 8-bit greyscale of the same size."""

CUTS: dict[str, tuple[float, float, float, float]] = {
    "cut all around 6 %": (0.06, 0.94, 0.06, 0.94),
    "cut all around 12 %": (0.12, 0.88, 0.12, 0.88),
    "cut below 15 %": (0, 0.85, 0, 1),
    "cut above 10 %": (0.1, 1, 0, 1),
    "cut at both sides 8 %": (0, 1, 0.08, 0.92),
}
"""What is kept of a picture: top, bottom, left and right as fractions of the side."""


def cut(name: str) -> Change:
    """Return the change that cuts a picture as `CUTS` says, and squashes the rest."""
    top, bottom, left, right = CUTS[name]

    def change(case: Case) -> Image.Image:
        box = tuple(edge * case.side for edge in (left, top, right, bottom))
        return case.picture.resize(case.picture.size, Image.Resampling.BICUBIC, box)

    change.__doc__ = (
        f"Keep rows {top:.0%} to {bottom:.0%} and columns {left:.0%} to {right:.0%}, "
        "and squash them to a square."
    )
    return change


def lungs_whole(boxes: np.ndarray, name: str) -> np.ndarray:
    """Tell which pictures still show their whole lungs after a cut.

    Args:
        boxes: float (n, 4), those of the lungs.
        name: key of `CUTS`.

    Returns:
        bool (n,).
    """
    top, bottom, left, right = CUTS[name]
    low = boxes[:, ::2] >= (top, left)
    high = boxes[:, 1::2] <= (bottom, right)
    return low.all(axis=1) & high.all(axis=1)


def like_other(case: Case) -> Image.Image:
    """Warp it so that its lungs fill the box of the lungs of one of the other class."""
    # Where the frame is wider than the picture, the outermost pixels go on. A wider
    # frame would show more of shoulders, belly and air, and these have their grey. A
    # black bar is what `letterbox` and `collimator` draw.
    side = case.side
    edges = []
    for axis in (slice(0, 2), slice(2, 4)):
        (first, last), (to_first, to_last) = case.box[axis], case.other_box[axis]
        step = (last - first) / max(to_last - to_first, 0.05)
        start = first - to_first * step
        edges.append((max(start, -1), min(start + step, 2)))  # 0 to 1 is the picture
    (top, bottom), (left, right) = (np.add(edge, 1) * side for edge in edges)
    around = Image.fromarray(np.pad(np.asarray(case.picture), side, "edge"))
    box = tuple(float(edge) for edge in (left, top, right, bottom))
    return around.resize((side, side), Image.Resampling.BICUBIC, box)


def aspect(case: Case) -> Image.Image:
    """Crop one axis to 65-85 % at a random place and squash the rest to a square."""
    side, rng = case.side, case.rng
    keep = round(side * rng.uniform(0.65, 0.85))
    start = int(rng.integers(0, side - keep + 1))
    box = (start, 0, start + keep, side)
    if rng.random() < 0.5:
        box = (0, start, side, start + keep)
    return case.picture.resize((side, side), Image.Resampling.BICUBIC, box)


def letterbox(case: Case) -> Image.Image:
    """Shrink one axis to 65-85 % between black bars, as padding to a square does."""
    side, rng = case.side, case.rng
    keep = round(side * rng.uniform(0.65, 0.85))
    size = (side, keep) if rng.random() < 0.5 else (keep, side)
    canvas = Image.new("L", (side, side), 0)
    small = case.picture.resize(size, Image.Resampling.BICUBIC)
    canvas.paste(small, ((side - size[0]) // 2, (side - size[1]) // 2))
    return canvas


def collimator(case: Case) -> Image.Image:
    """Black out 4-12 % of the side at every border."""
    side = case.side
    left, top, right, bottom = (case.rng.uniform(0.04, 0.12, 4) * side).astype(int)
    canvas = Image.new("L", (side, side), 0)
    box = (left, top, side - right, side - bottom)
    canvas.paste(case.picture.crop(box), box[:2])
    return canvas


def rotation(case: Case) -> Image.Image:
    """Turn by 8-20 degrees either way, black outside."""
    angle = case.rng.choice([-1, 1]) * case.rng.uniform(8, 20)
    return case.picture.rotate(angle, Image.Resampling.BICUBIC, fillcolor=0)


def frame(case: Case) -> Image.Image:
    """Put the outer 9 % of an image of the other class around it."""
    edge = round(case.side * 12 / 128)
    inside = (edge, edge, case.side - edge, case.side - edge)
    framed = case.other.copy()
    framed.paste(case.picture.crop(inside), inside[:2])
    return framed
