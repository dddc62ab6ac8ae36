"""Drawn chest phantoms: pictures for tests and for the demo's gallery. No X-rays.

`python -m pneumonia.data.phantom` draws again what ships in `pneumonia/phantoms/`.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ..contract import PHANTOMS

SHIPPED = {
    "drawing-clear-lungs.png": {"seed": 8},
    "drawing-opacity-in-one-lung.png": {"seed": 2, "opacities": ((0.31, 0.62, 0.11),)},
    "drawing-opacities-in-both-lungs.png": {
        "seed": 3,
        "opacities": ((0.33, 0.48, 0.08), (0.69, 0.63, 0.10), (0.66, 0.40, 0.06)),
    },
}


def draw(  # noqa: C901 (a list of things that are drawn, each if asked for)
    seed: int = 0,
    opacities: tuple[tuple[float, float, float], ...] = (),
    size: int = 512,
) -> np.ndarray:
    """Draw a chest seen from the front: body, lungs, ribs, spine, heart, diaphragm.

    Args:
        seed: varies proportions and noise a little.
        opacities: (x, y, radius) of cloudy patches, as fractions of the side.
        size: height and width in pixels.

    Returns:
        uint8 (size, size) in [0, 255], with the word DRAWING in a corner.
    """
    rng = np.random.default_rng(seed)
    sway = rng.uniform(-0.012, 0.012, 8)

    def blurred(paint, radius: float) -> np.ndarray:
        layer = Image.new("L", (size, size))
        paint(ImageDraw.Draw(layer))
        soft = layer.filter(ImageFilter.GaussianBlur(radius * size))
        return np.asarray(soft, np.float64) / 255

    def at(*fractions: float) -> list[float]:
        return [fraction * size for fraction in fractions]

    def body(pen):
        pen.rounded_rectangle(at(0.06, 0.14, 0.94, 1.2), 0.22 * size, fill=255)
        pen.rectangle(at(0.40, 0.0, 0.60, 0.3), fill=255)

    def lungs(pen):
        for side in (-1, 1):
            middle = 0.5 + side * (0.19 + sway[0])
            floor = 0.80 + side * 0.012 + sway[1]
            pen.polygon(
                at(
                    *(middle - side * 0.05, 0.17),
                    *(middle + side * 0.03, 0.19),
                    *(middle + side * 0.12, 0.36),
                    *(middle + side * 0.16, 0.62),
                    *(middle + side * 0.165, floor + 0.04),
                    *(middle + side * 0.02, floor - 0.05),
                    *(middle - side * 0.10, floor),
                    *(middle - side * 0.11, 0.52),
                    *(middle - side * 0.10, 0.27),
                ),
                fill=255,
            )

    def heart(pen):
        pen.ellipse(at(0.41, 0.50 + sway[2], 0.70 + sway[3], 0.83), fill=255)
        pen.rectangle(at(0.455, 0.25, 0.56, 0.7), fill=255)

    def spine(pen):
        pen.rectangle(at(0.465, 0.0, 0.535, 1.0), fill=150)
        for y in np.arange(0.03, 1.0, 0.055):
            pen.rectangle(at(0.46, y, 0.54, y + 0.036), fill=255)

    def ribs(pen):
        width = max(1, round(0.017 * size))
        for number in range(9):
            top = 0.15 + number * 0.072 + sway[4]
            reach = 0.20 + 0.14 * min(number, 4) / 4 + sway[5]
            for side in (-1, 1):
                x = 0.5 + side * reach / 2
                box = (x - reach / 2, top - 0.02, x + reach / 2, top + 0.18)
                turn = (190, 345) if side < 0 else (195, 350)
                pen.arc(at(*box), *turn, fill=255, width=width)

    def clavicles(pen):
        width = max(1, round(0.022 * size))
        for side in (-1, 1):
            ends = (0.5 + side * 0.05, 0.20, 0.5 + side * 0.36, 0.135 + sway[6])
            pen.line(at(*ends), fill=255, width=width)

    picture = 0.03 + 0.55 * blurred(body, 0.02)
    picture -= 0.40 * blurred(lungs, 0.012)
    picture += 0.24 * blurred(heart, 0.015) + 0.10 * blurred(spine, 0.004)
    picture += 0.11 * blurred(ribs, 0.003) * blurred(body, 0.01)
    picture += 0.11 * blurred(clavicles, 0.004)
    rows, columns = np.mgrid[0:size, 0:size] / size
    for x, y, radius in opacities:
        distance = ((columns - x) ** 2 + (rows - y) ** 2) / radius**2
        picture += 0.30 * np.exp(-distance) * blurred(lungs, 0.02)
    picture += rng.normal(0, 0.012, (size, size))
    grey = Image.fromarray((255 * np.clip(picture, 0, 1)).astype(np.uint8))
    pen = ImageDraw.Draw(grey)
    pen.text(at(0.03, 0.945), "DRAWING", fill=190, font_size=max(8, size // 28))
    return np.asarray(grey)


def main() -> None:
    """Draw the phantoms that ship."""
    for name, options in SHIPPED.items():
        Image.fromarray(draw(**options)).save(PHANTOMS / name, optimize=True)


if __name__ == "__main__":
    main()
