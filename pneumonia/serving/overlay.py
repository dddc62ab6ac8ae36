"""Heat map to picture: through the box onto the X-ray, with the lungs' outline."""

import functools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..contract import METHODS
from .zones import LUNG

# Seventeen points of each of matplotlib's perceptually uniform colour maps (CC0).
_POINTS = {
    "inferno": "000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754"
    " d24644 e45a31 f1731d f98e09 fcac11 f9cb35 f2ea69 fcffa4",
    "viridis": "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c"
    " 1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725",
    "cividis": "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78"
    " 8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838",
}
COLOUR_MAPS = {
    name: tuple(tuple(bytes.fromhex(point)) for point in points.split())
    for name, points in _POINTS.items()
}
"""Evenly spaced points (red, green, blue), each in [0, 255], from 0 to 1."""

WHOLE = (0, 1, 0, 1)
"""The box that is the whole picture."""

LINE = 126, 214, 255
"""Colour of the line around the lungs, which no colour map holds; answer.css, too."""

_THIN = 400  # of these lines would fill a picture
_ROWS = 96  # of a strip
_FEW = 24  # rows of a product
_FINEST = 4096  # places along a side at which a map's weights are known
_LEAST = 1e-12  # that anything is divided by
_CORNERS = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])  # of a square, around it
_NEXT = np.array([1, 2, 3, 0])  # the corner behind each

STRENGTH = 0.6
"""Opacity of the colour where the map is 1, unless somebody asks for another."""


@functools.cache
def _colours(name: str) -> np.ndarray:
    """Return a colour map as uint8 (256, 3)."""
    points = np.array(COLOUR_MAPS[name])
    places = np.linspace(0, 255, len(points))
    table = [np.interp(np.arange(256), places, channel) for channel in points.T]
    return np.rint(np.stack(table, axis=-1)).astype(np.uint8)


def enlarge(
    heatmap: np.ndarray,
    shape: tuple[int, int],
    box: Sequence[float] | np.ndarray = WHOLE,
) -> np.ndarray:
    """Lay a coarse map smoothly onto a picture.

    Args:
        heatmap: float32 (h, w) in [0, 1].
        shape: (H, W) of the picture.
        box: what the map is of: top, bottom, left and right as fractions of the
            picture's sides.

    Returns:
        float32 (H, W) in [0, 1], zero outside of the box. Its sides are rounded to
        whole pixels.
    """
    fine = np.zeros(shape, np.float32)
    for rows, columns, strip in _enlarged(heatmap, shape, box):
        fine[rows, columns] = strip
    return fine


def _enlarged(
    heatmap: np.ndarray, shape: tuple[int, int], box: Sequence[float] | np.ndarray
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yield what `enlarge` returns from top to bottom, in strips.

    Yields:
        Rows; the box's columns, or none outside of it; what lies there, until the next.
    """
    inside, columns = _ends(shape[0], *box[:2]), _ends(shape[1], *box[2:])
    down = _bicubic(inside.stop - inside.start, len(heatmap))
    right = _bicubic(columns.stop - columns.start, heatmap.shape[1])
    wide, strip = heatmap @ right.T, np.empty((_ROWS, len(right)), np.float32)
    for rows in _strips(0, inside.start):
        yield rows, slice(0), strip[: rows.stop - rows.start, :0]
    for rows in _strips(inside.start, inside.stop):
        part = strip[: rows.stop - rows.start]
        _multiply(down[rows.start - inside.start :], wide, part)
        yield rows, columns, np.clip(part, 0, 1, out=part)
    for rows in _strips(inside.stop, shape[0]):
        yield rows, slice(0), strip[: rows.stop - rows.start, :0]


def _strips(first: int, last: int) -> list[slice]:
    """Cut rows into strips that fit a core's cache."""
    return [slice(top, min(top + _ROWS, last)) for top in range(first, last, _ROWS)]


def _multiply(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    """Multiply matrices, as many rows as `out` has.

    BLAS multiplies a few rows without waking its threads. They would go on spinning,
    and take a core from the next run of the network.
    """
    for top in range(0, len(out), _FEW):
        some = out[top : top + _FEW]
        np.matmul(left[top : top + len(some)], right, out=some)


def _ends(pixels: int, first: float, last: float) -> slice:
    """Return the pixels between two ends, one at least."""
    first = min(round(pixels * float(first)), pixels - 1)
    return slice(first, max(round(pixels * float(last)), first + 1))


def by_method(maps: np.ndarray, evidence: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each of METHODS draws, in their order.

    Args:
        maps: float32 (n, 2, h, w) in [0, 1], Grad-CAM's, of each label.
        evidence: float32 (n, h, w), HiResCAM's, positive for pneumonia.

    Returns:
        float32 (n, 2, h, w) in [0, 1] for each method.
    """
    found = {"Grad-CAM": maps, "HiResCAM": split_evidence(evidence)}
    return {method: found[method] for method in METHODS}


def split_evidence(evidence: np.ndarray) -> np.ndarray:
    """Turn what cells add to pneumonia's log-odds into a heat map of each label.

    Args:
        evidence: float32 (n, h, w), positive for pneumonia.

    Returns:
        float32 (n, 2, h, w) in [0, 1], normal first, both divided by the larger peak of
        the two. No cell is warm in both.
    """
    signed = np.stack([-evidence, evidence], axis=1)
    peak = np.abs(evidence).max(axis=(1, 2), initial=0)[:, None, None, None]
    return np.maximum(signed, 0) / np.maximum(peak, np.float32(_LEAST))


def _bicubic(fine: int, coarse: int) -> np.ndarray:
    """Return what each coarse sample adds to each fine one, float32 (fine, coarse)."""
    return _finest(coarse)[((np.arange(fine) + 0.5) * (_FINEST / fine)).astype(int)]


@functools.cache
def _finest(coarse: int) -> np.ndarray:
    """Return what each coarse sample adds to each of `_FINEST` places."""
    each = Image.fromarray(np.eye(coarse, dtype=np.float32))
    return np.asarray(each.resize((coarse, _FINEST), Image.Resampling.BICUBIC))


def draw_overlay(
    pixels: np.ndarray,
    heatmap: np.ndarray,
    strength: float = STRENGTH,
    colours: str = "inferno",
    lungs: np.ndarray | None = None,
    box: Sequence[float] | np.ndarray | None = None,
    words: bool = False,
) -> np.ndarray:
    """Lay a heat map over an X-ray; where it is zero, the X-ray shows untouched.

    Args:
        pixels: uint8 (H, W) in [0, 255].
        heatmap: float32 (H, W) in [0, 1]; with a box, a coarse one.
        strength: opacity of the colour where the map is 1, in [0, 1].
        colours: one of `COLOUR_MAPS`.
        lungs: float32 (h, w) in [0, 1] over the whole picture, probability of lung;
            given, a thin line is drawn around them.
        box: what a coarse heat map is of; it is laid there as by `enlarge`.
        words: return one word a pixel, as it is drawn, for `save_jpeg`.

    Returns:
        uint8 (H, W, 3) RGB; or uint32 (H, W), in memory red, green, blue, a spare byte.
    """
    mixed = _mixed(strength, colours)  # a pixel's colour hangs on two bytes alone
    drawn = np.empty(pixels.shape, np.uint32)
    strips: Iterable[tuple[slice, slice, np.ndarray]]
    if box is None:
        strips = (
            (rows, slice(None), heatmap[rows]) for rows in _strips(0, len(pixels))
        )
    else:
        strips = _enlarged(heatmap, pixels.shape, box)
    for rows, columns, heat in strips:
        place = pixels[rows].astype(np.uint16)
        heat = (heat * np.float32(255) + np.float32(0.5)).astype(np.uint16)
        place[:, columns] |= heat << 8
        mixed.take(place, out=drawn[rows], mode="clip")
    if lungs is not None:
        _draw_line(drawn, outline(lungs))
    if words:
        return drawn
    # Words are copied twice as fast as three bytes each. Written three bytes apart and
    # in order, each covers the spare byte of the one before.
    height, width = pixels.shape
    flat = np.empty(3 * drawn.size + 1, np.uint8)
    np.ndarray(drawn.shape, np.uint32, flat, strides=(3 * width, 3))[:] = drawn
    return flat[:-1].reshape(height, width, 3)


def stamp(drawn: np.ndarray, text: str) -> None:
    """Write a text in white on black over the top of a picture, in place.

    Args:
        drawn: what `draw_overlay` returns.
        text: few words, in letters of ASCII.
    """
    height, width = drawn.shape[:2]
    font = ImageFont.load_default(min(height / 12, 1.6 * width / len(text)))
    _, _, right, bottom = (round(end) for end in font.getbbox(text))
    gap = max(2, bottom // 4)
    band = Image.new("L", (width, min(bottom + 2 * gap, height)))
    place = max(0, (width - right) // 2), gap
    ImageDraw.Draw(band).text(place, text, fill=255, font=font)
    letters = np.asarray(band) >= 128
    white = 0xFFFFFFFF if drawn.dtype == np.uint32 else 255
    top = drawn[: len(letters)]
    top[:] = 0
    top[letters] = white


def outline(lungs: np.ndarray) -> np.ndarray:
    """Return the line around the lungs, where their probability is one half.

    Within each square of four pixels' centres, the line is straight ("marching
    squares").

    Args:
        lungs: float32 (h, w) in [0, 1], probability of lung.

    Returns:
        float (k, 2, 2), straight pieces in no order: from and to, each down and right
        as fractions of the sides.
    """
    height, width = lungs.shape
    above = np.full((height + 2, width + 2), -LUNG)
    above[1:-1, 1:-1] += lungs
    inside = above >= 0
    across, down = inside[:, 1:] != inside[:, :-1], inside[1:] != inside[:-1]
    squares = np.argwhere(across[1:] | across[:-1] | down[:, 1:] | down[:, :-1])
    corners = squares[:, None] + _CORNERS  # (squares, 4 corners, 2)
    start = above[corners[..., 0], corners[..., 1]]
    end = start[:, _NEXT]
    crossed = (start >= 0) != (end >= 0)
    along = start[crossed] / (start - end)[crossed]
    ways = (corners[:, _NEXT] - corners)[crossed]
    # two sides of a square are crossed, or all four: then two lines pass through it
    pieces = (corners[crossed] + along[:, None] * ways).reshape(-1, 2, 2)
    return np.clip((pieces - 0.5) / lungs.shape, 0, 1)


def _draw_line(words: np.ndarray, pieces: np.ndarray) -> None:
    """Draw what `outline` returns into uint32 (H, W)."""
    if not len(pieces):
        return
    height, width = words.shape
    pieces = pieces * (height, width)
    thick = max(1, round(min(height, width) / _THIN))
    longest = np.abs(np.diff(pieces, axis=1)).max()
    steps = np.linspace(0, 1, int(longest / thick) + 2)[:, None, None]
    points = np.rint(pieces[:, 0] + steps * (pieces[:, 1] - pieces[:, 0])).astype(int)
    line = np.array([*LINE, 0], np.uint8).view(np.uint32)[0]
    for down, right in np.ndindex(thick, thick):
        rows = np.minimum(points[..., 0] + down, height - 1)
        columns = np.minimum(points[..., 1] + right, width - 1)
        words[rows, columns] = line


@functools.lru_cache(maxsize=8)
def _mixed(strength: float, colours: str) -> np.ndarray:
    """Return the colour of each heat (256) over each grey (256), uint32 (65536,).

    Red, green, blue and a spare byte, in this order in memory.
    """
    levels = np.arange(256)
    opacity = np.rint(strength * levels)[:, None, None] / 255
    grey, colour = levels[None, :, None], _colours(colours)[:, None, :]
    mixed = np.zeros((256, 256, 4), np.uint8)
    mixed[..., :3] = np.rint(grey + opacity * (colour - grey))
    return mixed.reshape(-1).view(np.uint32)
