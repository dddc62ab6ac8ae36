"""Pictures of other things than chests, drawn or taken from installed packages.

They teach the gate what to refuse. Nothing here is downloaded: shapes are drawn, and
photographs are those that scikit-learn, Matplotlib, Gradio and scikit-image bring
along as examples, where these are installed.
"""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ..reading.image import read_image
from ..reading.picture import ImageError

SIZE = 224
"""Height and width of what is drawn: the form in which the data sets come, too."""

_PACKAGES = ("sklearn", "matplotlib", "gradio", "skimage")
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_LEAST_SIDE = 150
_WORDS = [
    "the",
    "a",
    "of",
    "lung",
    "page",
    "note",
    "and",
    "to",
    "in",
    "is",
    "was",
    "for",
    "with",
    "this",
    "that",
    "patient",
    "on",
]


def draw(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw pictures of every kind in turn.

    Returns:
        uint8 (count, SIZE, SIZE), and the kind of each as a name.
    """
    rng = np.random.default_rng(seed)
    names = [list(KINDS)[i % len(KINDS)] for i in range(count)]
    return np.stack([_spoil(KINDS[name](rng), rng) for name in names]), np.array(names)


def photographs(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Cut pieces from the example pictures of installed packages.

    Returns:
        uint8 (n, SIZE, SIZE) with n = count, or 0 where no package brings any; and the
        name of the picture of each.
    """
    rng = np.random.default_rng(seed)
    found = list(_example_pictures())
    if not found:
        return np.zeros((0, SIZE, SIZE), np.uint8), np.zeros(0, str)
    pieces, names = [], []
    for i in range(count):
        name, pixels = found[i % len(found)]
        share = rng.uniform(0.35, 1) if i >= len(found) else 1
        height, width = (max(64, int(side * share)) for side in pixels.shape)
        top = rng.integers(0, max(1, pixels.shape[0] - height + 1))
        left = rng.integers(0, max(1, pixels.shape[1] - width + 1))
        piece = Image.fromarray(pixels[top : top + height, left : left + width])
        pieces.append(_spoil(np.asarray(piece.resize((SIZE, SIZE))), rng))
        names.append(name)
    return np.stack(pieces), np.array(names)


def _example_pictures() -> Iterator[tuple[str, np.ndarray]]:
    for package in _PACKAGES:
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            continue
        folder = Path(found.origin).parent
        for path in sorted(folder.rglob("*")):
            below = path.relative_to(folder).parts
            if path.suffix.lower() not in _SUFFIXES or {"tests", "templates"} & {
                *below
            }:
                continue
            try:
                pixels = read_image(path.read_bytes())
            except ImageError:
                continue
            if min(pixels.shape) >= _LEAST_SIDE:
                yield f"{package}/{path.name}", pixels


def _spoil(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast, sharpness and sides as cameras and people do."""
    values = pixels.astype(np.float64) / 255
    if rng.random() < 0.3:
        values = 1 - values
    if rng.random() < 0.5:
        values = values[:, ::-1]
    values = values ** np.exp(rng.normal(0, 0.3))
    picture = Image.fromarray((values * 255).astype(np.uint8))
    if rng.random() < 0.4:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 4)))
    values = np.asarray(picture, np.float64) + rng.normal(
        0, rng.uniform(0, 8), (SIZE,) * 2
    )
    return np.clip(values, 0, 255).astype(np.uint8)


def _canvas(rng: np.random.Generator, grey: int | None = None):
    grey = int(rng.integers(0, 256)) if grey is None else grey
    picture = Image.new("L", (SIZE, SIZE), grey)
    return picture, ImageDraw.Draw(picture)


def _box(rng: np.random.Generator, least: int = 5) -> list[int]:
    x, y = rng.integers(-20, SIZE - 10, 2)
    width, height = rng.integers(least, SIZE // 2 + least, 2)
    return [int(v) for v in (x, y, x + width, y + height)]


def _text(rng: np.random.Generator) -> np.ndarray:
    """Lines of words, as on a page, a report or a slide."""
    picture, pen = _canvas(rng, int(rng.integers(200, 256)))
    size = int(rng.integers(7, 24))
    left, columns = int(rng.integers(2, 30)), int(rng.integers(1, 3))
    for column in range(columns):
        y = int(rng.integers(0, 40))
        while y < SIZE - rng.integers(0, 60):
            words = " ".join(rng.choice(_WORDS, rng.integers(1, 9)))
            x = left + column * SIZE // columns
            pen.text((x, y), words, fill=int(rng.integers(0, 90)), font_size=size)
            y += int(size * rng.uniform(1.1, 2.2))
    return np.asarray(picture)


def _screen(rng: np.random.Generator) -> np.ndarray:
    """Windows, bars, buttons and labels."""
    picture, pen = _canvas(rng)
    for _ in range(rng.integers(3, 25)):
        box, fill = _box(rng), int(rng.integers(0, 256))
        pen.rounded_rectangle(box, int(rng.integers(0, 9)), fill, 255 - fill)
        if rng.random() < 0.6:
            word = " ".join(rng.choice(_WORDS, 2))
            pen.text((box[0] + 4, box[1] + 3), word, fill=255 - fill, font_size=11)
    return np.asarray(picture)


def _drawing(rng: np.random.Generator) -> np.ndarray:
    """Strokes and outlines of a pen."""
    picture, pen = _canvas(rng, 255)
    for _ in range(rng.integers(3, 30)):
        width = int(rng.integers(1, 7))
        if rng.random() < 0.5:
            pen.ellipse(_box(rng), outline=int(rng.integers(0, 120)), width=width)
        else:
            points = np.cumsum(rng.normal(0, 22, (6, 2)), 0) + rng.integers(20, 200, 2)
            pen.line([tuple(p) for p in points], int(rng.integers(0, 120)), width)
    return np.asarray(picture)


def _shapes(rng: np.random.Generator) -> np.ndarray:
    """Filled shapes, sharp or soft."""
    picture, pen = _canvas(rng)
    for _ in range(rng.integers(1, 20)):
        draw = pen.ellipse if rng.random() < 0.6 else pen.rectangle
        draw(_box(rng), fill=int(rng.integers(0, 256)))
    blur = float(rng.choice([0, 0, 3, 9]))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(blur)))


def _noise(rng: np.random.Generator) -> np.ndarray:
    """Textures: noise added up over several scales."""
    total, weight = np.zeros((SIZE, SIZE)), rng.uniform(0.4, 2)
    for octave in range(int(rng.integers(0, 4)), 8):
        side = min(2 ** (octave + 1), SIZE)
        shape = (side, max(2, int(side * rng.choice([1, 1, 0.25]))))
        grid = Image.fromarray(rng.normal(size=shape).astype(np.float32))
        fine = grid.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        total += np.asarray(fine) * weight**-octave
    return _stretch(total)


def _waves(rng: np.random.Generator) -> np.ndarray:
    """Stripes, rings, gradients and chequers."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    angle, often = rng.uniform(0, 3.2), np.exp(rng.uniform(-1, 3.6))
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    shift_x, shift_y = rng.uniform(-1, 1, 2)
    kinds = [
        np.sin(often * along),
        np.sign(np.sin(often * along)) * np.sign(np.sin(often * across)),
        np.sin(often * np.hypot(x - shift_x, y - shift_y)),
        np.hypot(x - shift_x, y - shift_y),
        along + 0.3 * np.sin(often * across),
    ]
    return _stretch(kinds[rng.integers(len(kinds))])


def _landscape(rng: np.random.Generator) -> np.ndarray:
    """A sky, a horizon and dark things before them."""
    ground = _noise(rng).astype(np.float64)
    y, x = np.mgrid[0 : 1 : SIZE * 1j, 0 : 1 : SIZE * 1j]
    ridge = rng.uniform(0.3, 0.8) + 0.1 * np.sin(
        x * rng.uniform(2, 15) + rng.uniform(0, 6)
    )
    values = np.where(y < ridge, 255 * (1 - 0.6 * y), 0.5 * ground)
    picture = Image.fromarray(values.astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.integers(0, 8)):
        pen.polygon(
            [tuple(p) for p in rng.integers(0, SIZE, (3, 2))], int(rng.integers(120))
        )
    return np.asarray(picture)


def _plot(rng: np.random.Generator) -> np.ndarray:
    """Axes with a curve, bars or dots."""
    picture, pen = _canvas(rng, 255)
    pen.line([(25, 10), (25, 200), (215, 200)], 0, 2)
    values = 190 - np.abs(np.cumsum(rng.normal(0, 15, 20))) % 170
    kind = rng.integers(3)
    for i, value in enumerate(values):
        x, grey = 30 + 9 * i, int(rng.integers(0, 160))
        if kind == 0:
            pen.rectangle([x, value, x + 6, 199], grey)
        elif kind == 1:
            pen.ellipse([x, value, x + 5, value + 5], grey)
        elif i:
            pen.line([(x - 9, values[i - 1]), (x, value)], 40, 2)
    return np.asarray(picture)


def _bones(rng: np.random.Generator) -> np.ndarray:
    """What knees, hands, arms and teeth look like to a film: bright shafts in grey."""
    picture, pen = _canvas(rng, int(rng.integers(0, 40)))
    flesh, bone = int(rng.integers(40, 120)), int(rng.integers(150, 250))
    shafts = int(rng.choice([1, 1, 2, 2, 5]))
    width = SIZE * rng.uniform(0.5, 0.8) / shafts
    gap = SIZE * rng.uniform(0.35, 0.65)
    middle = SIZE * rng.uniform(0.4, 0.6)
    pen.rectangle(
        [middle - width * shafts * 0.7, 0, middle + width * shafts * 0.7, SIZE], flesh
    )
    for i in range(shafts):
        x = middle + (i - (shafts - 1) / 2) * width
        half = width * rng.uniform(0.22, 0.4)
        for top, bottom in ((-20, gap - 4), (gap + 4, SIZE + 20)):
            pen.rectangle([x - half, top, x + half, bottom], bone - 25)
            pen.rectangle([x - half * 0.5, top, x + half * 0.5, bottom], bone - 50)
        for end in (gap - 16, gap + 16):
            pen.ellipse([x - half * 1.5, end - 18, x + half * 1.5, end + 18], bone)
    turned = picture.rotate(rng.normal(0, 25), fillcolor=0)
    soft = turned.filter(ImageFilter.GaussianBlur(rng.uniform(1, 5)))
    return _stretch(np.asarray(soft) + 0.12 * _noise(rng))


def _slice(rng: np.random.Generator) -> np.ndarray:
    """A bright outline with contents on black, as of a head or a belly cut through."""
    picture, pen = _canvas(rng, 0)
    centre, radii = SIZE / 2 + rng.normal(0, 8, 2), SIZE * rng.uniform(0.28, 0.48, 2)
    for shrink, grey in ((1, rng.integers(140, 255)), (rng.uniform(0.8, 0.93), 90)):
        low, high = centre - radii * shrink, centre + radii * shrink
        pen.ellipse([*low, *high], int(grey))
    for _ in range(rng.integers(2, 9)):
        place, size = (
            centre + radii * rng.uniform(-0.5, 0.5, 2),
            radii * rng.uniform(0.05, 0.3),
        )
        pen.ellipse([*(place - size), *(place + size)], int(rng.integers(20, 220)))
    soft = picture.filter(ImageFilter.GaussianBlur(rng.uniform(1, 4)))
    return _stretch(np.asarray(soft) + 0.15 * _noise(rng) * (np.asarray(soft) > 20))


def _stretch(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    return ((values - low) * (255 / ((high - low) or 1))).astype(np.uint8)


KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "text": _text,
    "screen": _screen,
    "drawing": _drawing,
    "shapes": _shapes,
    "noise": _noise,
    "waves": _waves,
    "landscape": _landscape,
    "plot": _plot,
    "bones": _bones,
    "slice": _slice,
}
"""What can be drawn."""
