"""An archive: images a second of `python -m pneumonia predict DIR`, and its memory.

    python benchmarks/archive.py DIR [--images 2000] [--repeat 50000]

Answers the files of DIR over and over, as links in a folder, in a process of its own.
Compares with the rate of bare int8 runs on all cores: as many threads as cores, each
running the graph on one image after another, and nothing else. `--repeat` watches
memory over that many images.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measure import machine, memory, read_folder, table

from pneumonia import load_classifier
from pneumonia.image import read_picture, to_input

ROOT = Path(__file__).parent.parent


def bare_rate(files: list[bytes], runs: int) -> float:
    """Return images a second of the network alone, on all cores."""
    classifier = load_classifier(threads=1)
    inputs = [to_input(read_picture(data).pixels) for data in files]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(classifier.run, inputs))
        begun = time.perf_counter()
        list(pool.map(classifier.run, (inputs[i % len(inputs)] for i in range(runs))))
        return runs / (time.perf_counter() - begun)


def answer(folder: Path, csv: Path, *options: str) -> tuple[float, list[float]]:
    """Return seconds from the first row to the last, and MiB held every second."""
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
    """Link `count` files into a folder."""
    folder.mkdir()
    for number in range(count):
        source = sources[number % len(sources)]
        (folder / f"{number:06}{source.suffix}").symlink_to(source.resolve())
    return folder


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="DIR")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=0)
    args = parser.parse_args()
    print(f"{machine()}\n")
    sources = sorted(path for path in args.source.rglob("*") if path.is_file())
    files = read_folder(args.source, 60)
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        folder = fill(place / "files", sources, args.images)
        before = bare_rate(files, 400)
        seconds, _ = answer(folder, place / "plain.csv")
        drawn, _ = answer(folder, place / "drawn.csv", "--overlays", str(place / "o"))
        bare = (before + bare_rate(files, 400)) / 2
        rows = [["bare int8 runs, all cores", f"{bare:.1f}", "1.00"]]
        for name, taken in (
            ("`predict DIR`", seconds),
            ("`predict DIR --overlays`", drawn),
        ):
            rate = args.images / taken
            rows.append([name, f"{rate:.1f}", f"{rate / bare:.2f}"])
        print(table([f"{args.images} files", "images/s", "of the bare rate"], rows))
        if args.repeat:
            folder = fill(place / "many", sources, args.repeat)
            _, held = answer(folder, place / "many.csv")
            held = held[len(held) // 50 :]  # the start loads
            tenth = max(1, len(held) // 10)
            parts = [max(held[i : i + tenth]) for i in range(0, len(held), tenth)][:10]
            print(f"\nMemory over {args.repeat} files, most in each tenth, MiB:")
            print(", ".join(f"{part:.0f}" for part in parts))


if __name__ == "__main__":
    main()
