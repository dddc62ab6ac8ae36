"""An archive: images a second of `python -m pneumonia predict DIR`, and its memory.

    python benchmarks/archive.py DIR [--images 600] [--rounds 7] [--repeat 50000]
    python benchmarks/archive.py DIR --answers
    python benchmarks/archive.py DIR --kinds [NAME ...] [--against CHECKOUT]

Answers the files of DIR, as links in a folder, in a process of its own. Compares with
the rate of bare int8 runs on all cores: as many threads as cores, each running the
graph on one image after another, and nothing else; and of runs on as many images at
once as `predict DIR` takes. The ways take turns, because a machine that is shared
changes its pace within a minute. `--repeat` watches memory over that many images.
`--kinds` measures `predict FOLDER` on each kind of file that a hospital has instead,
made of twelve files of DIR and as large as a detector's pictures; `mixed` has all of
them. Beside it stand the codec and the network alone on all cores. `--against` takes
turns with another checkout of the project and the Python in its `.venv`. `--answers`
compares the answers to such films with those to full pictures.
"""

import argparse
import contextlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from operator import getitem, truediv
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from measure import machine, memory, read_folder, spread, table
from PIL import Image
from pydicom.encaps import get_frame

from pneumonia import load_classifier, predict
from pneumonia.reading.image import read_picture, to_input
from pneumonia.serving.batch import FILES_A_RUN

ROOT = Path(__file__).parent.parent
SIZE = 2500, 2048  # pixels of a detector's picture
TWELVE, PADDED = {"BitsStored": 12, "HighBit": 11}, {"PixelPaddingValue": 0}
NEW = ("JPEG-LS", "deflated", "HTJ2K")  # no part of `mixed`, as in `mixed.py`
DICOM = ("explicit", "JPEG 2000", "lossless JPEG, SV1", *NEW)
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


def answer(
    folder: Path, csv: Path, *options: str, root: Path = ROOT
) -> tuple[float, list[float]]:
    """Return the seconds that all rows take, and MiB held every half second.

    By the code of a checkout; MiB of its workers, too. They start until the first rows
    are there, which therefore don't count.
    """
    csv.unlink(missing_ok=True)
    python = sys.executable if root == ROOT else str(root / ".venv/bin/python")
    command = [python, "-m", "pneumonia", "predict", str(folder), *options]
    process = subprocess.Popen(
        [*command, "--csv", str(csv), "--anyway"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        stderr=subprocess.DEVNULL,
    )
    held, begun, early = [], None, 0
    while process.poll() is None:
        if begun is None and csv.exists():
            early = csv.read_bytes().count(b"\n") - 1
            begun = time.perf_counter() if early > 0 else None
        if begun:
            held.append(memory(process.pid))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01 if begun is None else 0.5)
    if process.returncode:
        raise SystemExit(f"error: predict ended with status {process.returncode}.")
    count = csv.read_bytes().count(b"\n") - 1
    return (time.perf_counter() - begun) * count / (count - early), held


def fill(folder: Path, sources: list[Path], count: int) -> Path:
    """Link `count` files into a folder, evenly chosen, or over and over."""
    folder.mkdir()
    chosen = sources[:: max(1, len(sources) // count)]
    for number, source in enumerate(islice(cycle(chosen), count)):
        (folder / f"{number:06}{source.suffix}").symlink_to(source.resolve())
    return folder


def film(source: Path, number: int) -> np.ndarray:
    """Return an X-ray as a detector's picture, uint16 of 12 bits, the lowest noise."""
    with Image.open(source) as picture:
        large = picture.convert("L").resize(SIZE, Image.Resampling.BICUBIC)
    noise = np.random.default_rng(number).normal(0, 6, SIZE[::-1])
    return np.clip(np.asarray(large) * 16.0 + noise, 0, 4095).astype(np.uint16)


def compare_answers(sources: list[Path]) -> None:
    """Print how far answers of a folder lie from those of full pictures."""
    from dicoms import SYNTAXES, make

    classifier, rows = load_classifier(), []
    for said in ({}, {"WindowCenter": "1800", "WindowWidth": "2400"}, PADDED):
        apart = {"explicit": [], "JPEG 2000": []}
        for number, source in enumerate(sources):
            deep = film(source, number)
            if said is PADDED:
                deep[:150] = deep[-100:] = deep[:, :200] = deep[:, -180:] = 0
            files = [make(deep, SYNTAXES[n], **TWELVE, **said) for n in apart]
            reads = [partial(read_picture, coarse=coarse) for coarse in (0, 1, 1)]
            whole, *found = (
                predict(classifier, file, anyway=True, read=read).p_pneumonia
                for file, read in zip([files[0], *files], reads, strict=True)
            )
            for some, answer in zip(apart.values(), found, strict=True):
                some.append(abs(answer - whole))
        for name, some in apart.items():
            over = sum(one > 0.01 for one in some)
            rows.append([name, ", ".join(said), over, f"{max(some):.3f}"])
    print(table(["kind", "with", "by more than 0.01", "most"], rows))


def png(deep: np.ndarray) -> bytes:
    """Return 12 bits as the upper ones of a PNG."""
    file = io.BytesIO()
    Image.fromarray(deep * 16).save(file, "PNG")
    return file.getvalue()


def make_kinds(sources: list[Path], folder: Path, asked: list[str]) -> dict:
    """Write files of each kind that is asked for; return them by kind."""
    from dicoms import SYNTAXES, make

    def wanted(name: str) -> bool:
        old = "mixed" in asked and not name.endswith(NEW)
        return not asked or old or name in asked

    kinds: dict[str, list[Path]] = {}
    for number, source in enumerate(sources):
        deep = film(source, number)
        ways = {
            "JPEG, original": source.read_bytes,
            "broken JPEG": partial(getitem, source.read_bytes(), slice(-2000)),
            "PNG, 16 bits": partial(png, deep),
        }
        for name in DICOM:
            packed = partial(make, deep, SYNTAXES[name], **TWELVE)
            ways[f"DICOM, {name}"] = packed
        for name in filter(wanted, ways):
            file = folder / f"{number} {name}.{name.split()[0].strip(',').lower()}"
            file.write_bytes(ways[name]())
            kinds.setdefault(name, []).append(file)
    old = [files for name, files in kinds.items() if not name.endswith(NEW)]
    if wanted("mixed"):
        kinds["mixed"] = [file for group in zip(*old, strict=True) for file in group]
    return {name: kinds[name] for name in kinds if not asked or name in asked}


def bare_decoder(file: Path) -> Callable[[], object]:
    """Return what decodes a file's pixels as `predict FOLDER` does, and no more."""
    data = file.read_bytes()
    if file.suffix == ".png":
        return lambda: imagecodecs.png_decode(data)
    if file.suffix == ".jpeg":
        return lambda: scaled(data, Image.Image.draft, "L", (512, 512))
    dataset = pydicom.dcmread(file)
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return lambda: pydicom.dcmread(file).PixelData
    stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if stream.startswith(b"\xff\x4f"):
        return lambda: scaled(stream, setattr, "reduce", 2)
    name = "jpegls" if b"\xff\xf7" in stream[:64] else "jpeg8"
    return partial(getattr(imagecodecs, f"{name}_decode"), stream)


def scaled(data: bytes, ask: Callable[..., object], *how: object) -> None:
    """Decode by Pillow at the scale that it is asked for."""
    with Image.open(io.BytesIO(data)) as picture:
        ask(picture, *how)
        picture.load()


def measure_kinds(sources: list[Path], place: Path, args: argparse.Namespace) -> None:
    """Print images a second of each kind."""
    (place / "made").mkdir()
    cores = os.cpu_count()
    builds = {"before": args.against} if args.against else {}
    builds |= {"now": ROOT}
    run_network = bare_runs(read_folder(args.source, 12))
    network = args.images / run_network(args.images, FILES_A_RUN)
    head = ["kind", "MB a file", *builds, "bare decoder", "bare network", "now / first"]
    print(table([*head, *(f"MiB {build}" for build in builds)], []), flush=True)
    made = make_kinds(sources[:12], place / "made", args.kinds)
    for name, files in made.items():
        folder, rows = fill(place / name, files, args.images), place / "rows.csv"
        rates, most = {build: [] for build in builds}, dict.fromkeys(builds, 0)
        for _ in range(args.rounds):
            for build, root in builds.items():
                seconds, held = answer(folder, rows, root=root)
                answered = ",ok," in rows.read_text() or name == "broken JPEG"
                rates[build].append(args.images / seconds if answered else 0)
                most[build] = max([most[build], *held])
        middle = [statistics.median(some) for some in rates.values()]
        decoder = 0
        if name not in ("broken JPEG", "mixed"):
            ways = [bare_decoder(file) for file in files]
            with ThreadPoolExecutor(cores) as pool:
                begun = time.perf_counter()
                list(pool.map(lambda way: way(), ways * 2))
                decoder = 2 * len(ways) / (time.perf_counter() - begun)
        size = np.mean([file.stat().st_size for file in files]) / 1e6
        cells = [f"{rate:.1f}" if rate else "-" for rate in (*middle, decoder, network)]
        times = f"{middle[-1] / middle[0]:.2f}" if middle[0] else "-"
        held = [f"{most[build]:.0f}" for build in builds]
        print(
            f"| {' | '.join([name, f'{size:.1f}', *cells, times, *held])} |", flush=True
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="DIR")
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeat", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", metavar="NAME")
    parser.add_argument("--answers", action="store_true")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    args = parser.parse_args()
    print(f"{machine()}\n")
    sources = sorted(path for path in args.source.rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        if args.answers:
            compare_answers(sources)
            return
        if args.kinds is not None:
            sources = sources[:: max(1, len(sources) // 12)]
            measure_kinds(sources, place, args)
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
