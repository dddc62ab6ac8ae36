"""An archive: images a second of `python -m pneumonia predict DIR`, and its memory.

    python benchmarks/archive.py DIR [--images 600] [--rounds 7] [--repeat 50000]
    python benchmarks/archive.py DIR --kinds

Answers the files of DIR, as links in a folder, in a process of its own. Compares with
the rate of bare int8 runs on all cores: as many threads as cores, each running the
graph on one image after another, and nothing else; and of runs on as many images at
once as `predict DIR` takes. The ways take turns, because a machine that is shared
changes its pace within a minute. `--repeat` watches memory over that many images.
`--kinds` measures `predict FOLDER` on each kind of file that a hospital has instead,
made of twelve files of DIR and as large as a detector's pictures.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from operator import truediv
from pathlib import Path

import numpy as np
from measure import machine, memory, read_folder, spread, table
from PIL import Image

from pneumonia import load_classifier
from pneumonia.reading.image import read_picture, to_input
from pneumonia.serving.batch import FILES_A_RUN

ROOT = Path(__file__).parent.parent
SIZE = 2500, 2048  # pixels of a detector's picture
sys.path.insert(0, str(ROOT / "tests" / "helpers"))


def bare_runs(files: list[bytes]) -> Callable[[int, int], float]:
    """Return what runs the network alone on so many images, so many at once.

    On all cores; says seconds.
    """
    classifier = load_classifier(threads=1)
    inputs = [to_input(read_picture(data).pixels) for data in files]

    def run(count: int, together: int) -> float:
        starts = range(0, len(inputs) - together + 1, together)
        groups = [np.concatenate(inputs[at : at + together]) for at in starts]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(classifier.run, groups[: os.cpu_count()]))
            begun = time.perf_counter()
            list(pool.map(classifier.run, islice(cycle(groups), count // together)))
            return time.perf_counter() - begun

    return run


def answer(folder: Path, csv: Path, *options: str) -> tuple[float, list[float]]:
    """Return seconds from the first row to the last, and MiB held every half second."""
    csv.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pneumonia", "predict", str(folder), *options]
    process = subprocess.Popen(
        [*command, "--csv", str(csv), "--anyway"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    held, begun = [], None
    while process.poll() is None:
        if begun is None and csv.exists():
            begun = time.perf_counter()
        if begun:
            held.append(memory(process.pid))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01 if begun is None else 0.5)
    if process.returncode:
        raise SystemExit(f"error: predict ended with status {process.returncode}.")
    return time.perf_counter() - begun, held


def fill(folder: Path, sources: list[Path], count: int) -> Path:
    """Link `count` files into a folder, evenly chosen, or over and over."""
    folder.mkdir()
    chosen = sources[:: max(1, len(sources) // count)]
    for number, source in enumerate(islice(cycle(chosen), count)):
        (folder / f"{number:06}{source.suffix}").symlink_to(source.resolve())
    return folder


def make_kinds(sources: list[Path], folder: Path) -> dict[str, list[Path]]:
    """Write files of each kind; return them by kind."""
    from dicoms import SYNTAXES, make

    kinds = {"JPEG, original": sources}
    for number, source in enumerate(sources):
        with Image.open(source) as picture:
            large = picture.convert("L").resize(SIZE, Image.Resampling.BICUBIC)
        noise = np.random.default_rng(number).normal(0, 6, SIZE[::-1])
        deep = np.clip(np.asarray(large) * 16.0 + noise, 0, 4095).astype(np.uint16)
        files = {"PNG, 16 bits": folder / f"{number}.png"}
        Image.fromarray(deep * 16).save(files["PNG, 16 bits"])
        files["broken"] = folder / f"{number}.jpeg"
        files["broken"].write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        for name in ("explicit", "JPEG 2000", "lossless JPEG", "HTJ2K"):
            file = folder / f"{number}-{name}.dcm"
            file.write_bytes(make(deep, SYNTAXES[name], BitsStored=12, HighBit=11))
            files[f"DICOM, {name}"] = file
        for name, file in files.items():
            kinds.setdefault(name, []).append(file)
    return kinds


def measure_kinds(sources: list[Path], place: Path, each: int) -> None:
    """Print images a second of each kind."""
    (place / "made").mkdir()
    lines = []
    for name, files in make_kinds(sources[:12], place / "made").items():
        folder = fill(place / f"kind{len(lines)}", files, each)
        seconds, _ = answer(folder, place / "rows.csv")
        size = np.mean([file.stat().st_size for file in files]) / 1e6
        lines.append([name, f"{size:.1f}", f"{each / seconds:.1f}"])
    print(table(["kind", "MB a file", "images/s"], lines))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="DIR")
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeat", type=int, default=0)
    parser.add_argument("--kinds", action="store_true")
    args = parser.parse_args()
    print(f"{machine()}\n")
    sources = sorted(path for path in args.source.rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        if args.kinds:
            measure_kinds(sources, place, args.images)
            return
        bare = bare_runs(read_folder(args.source, 60))
        folder, csv = fill(place / "files", sources, args.images), place / "rows.csv"
        draw = ("--overlays", str(place / "overlays"))
        ways = {
            "bare int8 runs, all cores": lambda: bare(args.images, 1),
            f"the same, {FILES_A_RUN} at once": lambda: bare(args.images, FILES_A_RUN),
            "`predict DIR`": lambda: answer(folder, csv)[0],
            "`predict DIR --overlays`": lambda: answer(folder, csv, *draw)[0],
        }
        rates = {name: [] for name in ways}
        for _ in range(args.rounds):
            for name, way in ways.items():
                rates[name].append(args.images / way())
        against = next(iter(rates.values()))
        rows = [
            [name, *spread(found), *spread(list(map(truediv, found, against)), 1, 2)]
            for name, found in rates.items()
        ]
        head = [f"{args.images} files", "images/s, median", "10-90 %"]
        print(table([*head, "of the bare rate", "10-90 %"], rows))
        if args.repeat:
            folder = fill(place / "many", sources, args.repeat)
            _, held = answer(folder, csv)
            held = held[len(held) // 50 :]  # the start loads
            tenth = max(1, len(held) // 10)
            parts = [max(held[i : i + tenth]) for i in range(0, len(held), tenth)][:10]
            print(f"\nMemory over {args.repeat} files, most in each tenth, MiB:")
            print(", ".join(f"{part:.0f}" for part in parts))


if __name__ == "__main__":
    main()
