"""An archive: images a second of `python -m pneumonia predict DIR`, and its memory.

    python benchmarks/archive.py DIR [--images 600] [--rounds 7] [--repeat 50000]

Answers the files of DIR, as links in a folder, in a process of its own. Compares with
the rate of bare int8 runs on all cores: as many threads as cores, each running the
graph on one image after another, and nothing else; and of runs on as many images at
once as `predict DIR` takes. The ways take turns, because a machine that is shared
changes its pace within a minute. `--repeat` watches memory over that many images.
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

from pneumonia import load_classifier
from pneumonia.reading.image import read_picture, to_input
from pneumonia.serving.batch import FILES_A_RUN

ROOT = Path(__file__).parent.parent


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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="DIR")
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeat", type=int, default=0)
    args = parser.parse_args()
    print(f"{machine()}\n")
    sources = sorted(path for path in args.source.rglob("*") if path.is_file())
    bare = bare_runs(read_folder(args.source, 60))
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
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
