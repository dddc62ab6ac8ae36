"""An archive of mixed files: images a second by kind, time foretold, stop and resume.

    python benchmarks/archive_kinds.py DIR [--images 10000] [--ray]

DIR holds X-rays in original size. Files of each kind are made of twelve of them, as
large as a hospital's, and linked over and over. Measures `predict FOLDER` on each kind.
Then it answers all of them mixed: kills that half way, goes on with `--resume`,
compares the time that the bar foretold with what it took, and counts the rows. With
`--ray` it does the same once more on two workers of Ray.
"""

import argparse
import contextlib
import csv
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import imagecodecs
import numpy as np
from archive import ROOT, fill
from measure import machine, memory, table
from PIL import Image
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
)

SIZE = 2500, 2048
PACKED = {
    "DICOM, JPEG 2000": (
        JPEG2000Lossless,
        lambda pixels: imagecodecs.jpeg2k_encode(
            pixels, level=0, reversible=True, codecformat="J2K", bitspersample=12
        ),
    ),
    "DICOM, lossless JPEG": (JPEGLosslessSV1, imagecodecs.ljpeg_encode),
}
LEFT = re.compile(r"(\d+)%\|.*?<(?:(\d+):)?(\d+):(\d+)\]")


def dicom(
    pixels: np.ndarray,
    syntax: str = ExplicitVRLittleEndian,
    encode: Callable[[np.ndarray], bytes] | None = None,
) -> bytes:
    """Return uint16 (H, W) of 12 bits as a file, compressed by `encode` if given."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = "1.2.3"
    dataset.Modality, dataset.PhotometricInterpretation = "DX", "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelData = encapsulate([encode(pixels)]) if encode else pixels.tobytes()
    dataset["PixelData"].VR = "OB" if encode else "OW"
    dataset["PixelData"].is_undefined_length = encode is not None
    file = io.BytesIO()
    explicit = {"implicit_vr": False, "little_endian": True}
    dcmwrite(file, dataset, enforce_file_format=True, **explicit)
    return file.getvalue()


def make(sources: list[Path], folder: Path) -> dict[str, list[Path]]:
    """Write files of each kind; return them by kind."""
    kinds = {"JPEG, original": sources}
    for number, source in enumerate(sources):
        with Image.open(source) as picture:
            large = picture.convert("L").resize(SIZE, Image.Resampling.BICUBIC)
        noise = np.random.default_rng(number).normal(0, 6, SIZE[::-1])
        deep = np.clip(np.asarray(large) * 16.0 + noise, 0, 4095).astype(np.uint16)
        files = {
            "PNG, 16 bits": folder / f"{number}.png",
            "DICOM, plain": folder / f"{number}.dcm",
            "broken": folder / f"{number}.jpeg",
        }
        Image.fromarray(deep * 16).save(files["PNG, 16 bits"])
        files["DICOM, plain"].write_bytes(dicom(deep))
        content = source.read_bytes()
        files["broken"].write_bytes(content[: len(content) // 2])
        for name, (syntax, encode) in PACKED.items():
            files[name] = folder / f"{number}-{syntax}.dcm"
            files[name].write_bytes(dicom(deep, syntax, encode))
        for name, file in files.items():
            kinds.setdefault(name, []).append(file)
    return kinds


def command(folder: Path, rows: Path, *options: str) -> list[str]:
    """Return what answers a folder."""
    start = [sys.executable, "-m", "pneumonia", "predict", str(folder), "--anyway"]
    return [*start, "--csv", str(rows), *options]


def answer(words: list[str], kill_at: int = 100) -> tuple[float, list, list[float]]:
    """Run a command, and perhaps kill it when its bar has come so far.

    Returns:
        Seconds from the first row on; (seconds, per cent, seconds foretold) of each
        step of the bar; MiB held.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, env=environment)
    steps, held, begun, text = [], [], None, ""
    while piece := os.read(process.stderr.fileno(), 4096):
        text = text[-500:] + piece.decode(errors="replace")
        begun = begun or time.perf_counter()
        if found := LEFT.findall(text):
            percent, *parts = (int(part or 0) for part in found[-1])
            left = parts[0] * 3600 + parts[1] * 60 + parts[2]
            steps.append((time.perf_counter() - begun, percent, left))
            held.append(memory(process.pid))
            if percent >= kill_at:
                process.kill()
    process.wait()
    return time.perf_counter() - begun, steps, held


def count_rows(tables: list[Path]) -> Counter:
    """Count the rows of each file."""
    found = Counter()
    for rows in tables:
        with rows.open(newline="", encoding="utf-8") as file:
            found.update(row["path"] for row in csv.DictReader(file))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="DIR")
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--each", type=int, default=120)
    parser.add_argument("--ray", action="store_true")
    args = parser.parse_args()
    print(f"{machine()}\n")
    sources = sorted(path for path in args.source.rglob("*") if path.is_file())
    sources = sources[:: max(1, len(sources) // 12)][:12]
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        (place / "made").mkdir()
        kinds = make(sources, place / "made")
        lines = []
        for number, (name, files) in enumerate(kinds.items()):
            folder = fill(place / f"kind{number}", files, args.each)
            seconds, _, _ = answer(command(folder, place / f"{number}.csv"))
            size = np.mean([file.stat().st_size for file in files]) / 1e6
            lines.append([name, f"{size:.1f}", f"{args.each / seconds:.1f}"])
        print(table(["kind", "MB a file", "images/s"], lines))

        every = [file for group in zip(*kinds.values(), strict=True) for file in group]
        mixed = place / "mixed"
        mixed.mkdir()
        for number, file in enumerate(islice(cycle(every), args.images)):
            (mixed / f"{number:06}{file.suffix}").symlink_to(file.resolve())
        rows = place / "mixed.csv"
        first, steps, held = answer(command(mixed, rows), kill_at=50)
        kept = sum(count_rows([rows]).values())
        rest, later, held_later = answer(command(mixed, rows, "--resume"))
        seconds, held = first + rest, held + held_later
        print(f"\n{args.images} mixed files: {args.images / seconds:.1f} images/s.")
        print(f"Killed after {kept} rows, then resumed: {told([rows], args.images)}")
        for whose, some, end in (("the bar", steps, seconds), ("then", later, rest)):
            start = some[0][1]
            for at in (10, 25):
                passed, _, left = next(
                    s for s in some if s[1] >= start + at * (100 - start) / 100
                )
                took = f"it took {end - passed:.0f} s"
                print(f"After {at} % {whose} foretold {left} s; {took}.")
        quarter = len(held) // 4
        parts = [max(held[i * quarter : (i + 1) * quarter]) for i in range(4)]
        print("Most memory in each quarter, MiB:", *(f"{part:.0f}" for part in parts))
        if args.ray:
            shards = place / "shards"
            words = [*command(mixed, rows)[:-2], "--engine", "ray"]
            words += ["--shards", str(shards)]
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(
                    words, cwd=ROOT, timeout=seconds / 2, capture_output=True
                )
            kept = sum(count_rows([*shards.glob("*.csv")]).values())
            begun = time.perf_counter()
            subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
            rate = (args.images - kept) / (time.perf_counter() - begun)
            said = told([*shards.glob("*.csv")], args.images)
            print(f"Ray, killed after {kept} rows: {said} {rate:.1f} images/s.")


def told(tables: list[Path], images: int) -> str:
    """Say which rows are lost or stand twice."""
    found = count_rows(tables)
    twice = sum(times > 1 for times in found.values())
    return f"{len(found)} of {images} files have a row, {twice} of them two."


if __name__ == "__main__":
    main()
