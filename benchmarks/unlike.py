"""Does the map of what is unlike the training X-rays know where something foreign lies?

    python benchmarks/unlike.py [--bundle DIR]

Something is pasted into each X-ray that ships, near the middle of the lungs. Counted is
how often the cell that is farthest off lies where it was pasted.
"""

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pneumonia import examples, load_classifier
from pneumonia.reading.image import read_picture
from pneumonia.serving.unlike import find_unlike

SIZES = 0.12, 0.18, 0.28  # of the picture's width
Draw = Callable[[np.ndarray, np.random.Generator], np.ndarray]
FOREIGN: dict[str, Draw] = {
    "white": lambda under, _: np.full_like(under, 255),
    "black": lambda under, _: np.zeros_like(under),
    "inverted": lambda under, _: 255 - under,
    "stripes": lambda under, _: np.broadcast_to(
        (np.arange(len(under)) // 6 % 2 * 255)[:, None], under.shape
    ),
    "squares": lambda under, _: np.indices(under.shape).sum(axis=0) // 6 % 2 * 255,
    "noise": lambda under, rng: rng.integers(0, 256, under.shape),
}


def paste(
    pixels: np.ndarray, kind: str, size: float, rng: np.random.Generator
) -> tuple[bytes, np.ndarray]:
    """Paste something into an X-ray.

    Args:
        pixels: uint8 (H, W).
        kind: one of FOREIGN.
        size: its side, as a share of the picture's width.
        rng: says where.

    Returns:
        A PNG file, and where: top, bottom, left and right as fractions.
    """
    height, width = pixels.shape
    side = round(size * width)
    top = round(rng.uniform(0.3, 0.7) * height - side / 2)
    left = round(rng.uniform(0.25, 0.75) * width - side / 2)
    changed = pixels.copy()
    part = changed[top : top + side, left : left + side]
    part[:] = FOREIGN[kind](part.copy(), rng)
    file = io.BytesIO()
    Image.fromarray(changed).save(file, "PNG")
    ends = np.array([top, top + side, left, left + side])
    return file.getvalue(), ends / np.repeat([height, width], 2)


def is_there(distances: np.ndarray, box: np.ndarray, place: np.ndarray) -> bool:
    """Tell whether the farthest cell of a box touches a place; both as fractions."""
    row, column = np.unravel_index(distances.argmax(), distances.shape)
    top, bottom, left, right = box
    down, across = (bottom - top) / len(distances), (right - left) / len(distances)
    above, before = top + row * down, left + column * across
    return bool(
        above <= place[1]
        and above + down >= place[0]
        and before <= place[3]
        and before + across >= place[2]
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, help="default: the one that ships")
    classifier = load_classifier(parser.parse_args().bundle)
    rng = np.random.default_rng(0)
    names = list(classifier.gate.cells)
    print(f"| side, of the width | X-rays | {' | '.join(names)} |")
    print(f"| --- | --- |{' --- |' * len(names)}")
    for size in SIZES:
        hits, count = dict.fromkeys(names, 0), 0
        for one in examples():
            pixels = read_picture(one.path.read_bytes()).pixels
            for kind in FOREIGN:
                data, place = paste(pixels, kind, size, rng)
                found = find_unlike(classifier, data, read=read_picture)
                count += 1
                for name, of in found.distances.items():
                    hits[name] += is_there(of, found.box, place)
        shares = (f"{hits[name] / count:.0%}" for name in names)
        print(f"| {size:.0%} | {count} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
