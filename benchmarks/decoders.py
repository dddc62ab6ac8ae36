"""What decodes compressed DICOM: imagecodecs against GDCM and against Pillow.

    pip install python-gdcm
    python benchmarks/decoders.py [DIR] [--rounds 9]

DIR holds X-rays in original size; without it, a drawn chest is taken. Of one picture
of 2,500 x 2,048 pixels and 12 bits a codestream of each kind is made. Each decoder that
knows the kind takes its turn on it, on one core. The first table says how much time of
that core each took, and how far its numbers are from those that went in. The second
says what each package takes on disk, and how long its import takes in a fresh process.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import imagecodecs
import numpy as np
from archive_kinds import SIZE, dicom
from measure import machine, table
from PIL import Image
from pydicom import dcmread
from pydicom.pixels import pixel_array

sys.path.insert(0, str(Path(__file__).parent.parent))
from pneumonia import phantoms  # noqa: E402
from pneumonia.reading.dicom import codecs  # noqa: E402

KINDS = {
    "lossless JPEG": ("70", lambda a: imagecodecs.ljpeg_encode(a, bitspersample=12)),
    "JPEG of 12 bits": (
        "51",
        lambda a: imagecodecs.jpeg8_encode(a, level=95, bitspersample=12),
    ),
    "JPEG-LS": ("80", imagecodecs.jpegls_encode),
    "JPEG-LS, 3 steps lost": ("81", lambda a: imagecodecs.jpegls_encode(a, level=3)),
    "JPEG 2000": (
        "90",
        lambda a: imagecodecs.jpeg2k_encode(
            a, level=0, reversible=True, codecformat="J2K", bitspersample=12
        ),
    ),
    "HTJ2K": ("201", imagecodecs.htj2k_encode),
    "JPEG XL": ("110", lambda a: imagecodecs.jpegxl_encode(a, lossless=True)),
    "RLE": ("", None),
}
"""The end of each transfer syntax, and what encodes."""


def picture(folder: Path | None) -> np.ndarray:
    """Return uint16 (H, W) of 12 bits: one X-ray with the noise of a detector."""
    source = sorted(folder.iterdir())[0] if folder else phantoms()[0]
    with Image.open(source) as opened:
        large = opened.convert("L").resize(SIZE, Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).normal(0, 6, SIZE[::-1])
    return np.clip(np.asarray(large) * 16.0 + noise, 0, 4095).astype(np.uint16)


def packed(pixels: np.ndarray, kind: str) -> bytes:
    """Write a DICOM file of a kind."""
    ending, encode = KINDS[kind]
    if encode:
        known = ending != "110"  # pydicom 3 writes no JPEG XL
        data = dicom(pixels, f"1.2.840.10008.1.2.4.{ending if known else 202}", encode)
        return data if known else data.replace(b".1.2.4.202", b".1.2.4.110")
    dataset = dcmread(io.BytesIO(dicom(pixels)))
    dataset.compress("1.2.840.10008.1.2.5", encoding_plugin="pydicom")
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def by_imagecodecs(data: bytes) -> np.ndarray:
    """Decode as the product does, in full."""
    return codecs.decode(dcmread(io.BytesIO(data)), "MONOCHROME2", 2**20).raw


def by_plugin(name: str) -> Callable[[bytes], np.ndarray]:
    """Return what decodes by one of pydicom's plugins."""
    return lambda data: pixel_array(dcmread(io.BytesIO(data)), decoding_plugin=name)


def by_gdcm(data: bytes) -> np.ndarray:
    """Decode by GDCM itself, which reads more than pydicom asks it for."""
    import gdcm

    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        file.write(data)
        file.flush()
        reader = gdcm.ImageReader()
        reader.SetFileName(file.name)
        if not reader.Read():
            raise ValueError
        held = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(held, "<u2").reshape(SIZE[::-1])


def installed(name: str) -> tuple[str, float]:
    """Return a package's version and the MiB of its files."""
    package = distribution(name)
    sizes = (Path(package.locate_file(file)) for file in package.files or [])
    return package.version, sum(p.stat().st_size for p in sizes if p.exists()) / 2**20


def import_seconds(module: str) -> float:
    """Return the median time of an import beside NumPy, in fresh processes."""
    script = (
        "import numpy, time; t = time.perf_counter();"
        f"import {module}; print(time.perf_counter() - t)"
    )
    command = [sys.executable, "-c", script]
    taken = [subprocess.run(command, capture_output=True, text=True) for _ in range(5)]
    return float(np.median([float(done.stdout) for done in taken]))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    decoders = {
        "imagecodecs": by_imagecodecs,
        "GDCM": by_gdcm,
        "Pillow": by_plugin("pillow"),
        "pydicom": by_plugin("pydicom"),
    }
    print(machine(), end="\n\n")
    pixels, rows = picture(args.folder), []
    for kind in KINDS:
        data, found = packed(pixels, kind), {}
        for _ in range(args.rounds):
            for name, decode in decoders.items():
                began = time.process_time()
                try:
                    numbers = decode(data)
                except Exception:  # it does not know the kind, or is not installed
                    continue
                took = time.process_time() - began
                off = int(np.abs(numbers.astype(int) - pixels).max())
                found.setdefault(name, []).append((took, off))
        cells = []
        for name in decoders:
            times, off = zip(*found.get(name, [(0, 0)]), strict=True)
            median = f"{1000 * np.median(times):.0f} ms, off by {max(off)}"
            cells.append(median if name in found else "")
        rows.append([kind, f"{len(data) / 2**20:.1f}", *cells])
    print(table(["kind", "MiB", *decoders], rows), end="\n\n")
    rows = []
    for name, module in {"imagecodecs": "imagecodecs", "python-gdcm": "gdcm"}.items():
        try:
            version, size = installed(name)
        except ModuleNotFoundError:
            continue
        rows.append(
            [f"{name} {version}", f"{size:.0f}", f"{import_seconds(module):.3f}"]
        )
    print(table(["package", "MiB", "import, s"], rows))


if __name__ == "__main__":
    main()
