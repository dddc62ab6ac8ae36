"""Damaged files by the hundred thousand: nothing but ImageError, quickly.

python tests/helpers/fuzz.py 200000 [--seed 0] [--report FILE.json]

File number n is made from the seed and n alone, so a finding is repeated by
`--only n`. Batches run in processes of their own; one that dies is halved until the
file that killed it is found.
"""

import argparse
import json
import resource
import struct
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from dicoms import SYNTAXES, make, shipped  # noqa: E402
from pictures import (  # noqa: E402
    chunk,
    encode,
    floats,
    in_png,
    palette,
    png,
    rgb,
    table,
    tiff,
)
from pictures import tifffile_of as in_tiff  # noqa: E402

from pneumonia import IsolatedReader  # noqa: E402
from pneumonia.data import phantom  # noqa: E402
from pneumonia.reading.image import DISPLAY_SIDE, read_picture  # noqa: E402
from pneumonia.reading.picture import ImageError  # noqa: E402

SLOW_SECONDS = 2.0
"""Processor time from which a file is reported."""

MEMORY = 2 * 2**30
BATCH = 10_000
_NUMBERS = [0, 1, 127, 128, 255, 256, 32767, 65535, 2**24, 2**31 - 1, 2**32 - 1]


def corpus() -> dict[str, bytes]:
    """Whole files of every format that is read, small ones."""
    grey = phantom.draw(1, size=128)[:100, :80].copy()
    picture = Image.fromarray(grey)
    colour = picture.convert("RGB")
    deep = grey.astype(np.uint16) * 16
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {
        "PNG": encode(picture),
        "PNG RGBA": encode(picture.convert("RGBA")),
        "PNG palette": encode(picture.convert("P"), transparency=0),
        "PNG 16 bit": encode(deep),
        "JPEG": encode(picture, "JPEG", exif=exif),
        "JPEG progressive": encode(colour, "JPEG", progressive=True),
        "JPEG CMYK": encode(picture.convert("CMYK"), "JPEG"),
        "BMP": encode(picture, "BMP"),
        "GIF": encode(picture, "GIF", save_all=True, append_images=[picture.rotate(9)]),
        "WebP": encode(picture, "WEBP"),
        "WebP lossless": encode(picture.convert("RGBA"), "WEBP", lossless=True),
        "JPEG 2000": encode(picture, "JPEG2000"),
        "AVIF": encode(picture, "AVIF"),
        "AVIF RGBA": encode(picture.convert("RGBA"), "AVIF"),
        "TIFF": encode(picture, "TIFF"),
        "TIFF float": encode(deep.astype(np.float32), "TIFF"),
    }
    opaque = np.full_like(deep, 65535)
    files |= {
        "PNG RGB 16 bit": png(rgb(deep), 2),
        "PNG grey alpha 16 bit": png(np.dstack([deep, opaque]), 4),
        "TIFF RGB 16 bit": tiff(rgb(deep)),
        "TIFF RGB 16 bit deflated": tiff(rgb(deep), packed=True, order=">"),
        "TIFF uint32 deflated": tiff(deep.astype(np.uint32) << 18, packed=True),
        "TIFF int8": tiff((grey.astype(np.int16) - 128).astype(np.int8)),
        "TIFF white is zero": tiff(65535 - deep, photometric=0),
        "TIFF float64": tiff(grey / 255.0),
        "TIFF float RGB deflated": tiff(rgb(grey / 255.0), packed=True, order=">"),
        "TIFF planes of 16 bit": tiff(rgb(deep), planar=2, packed=True),
        "TIFF grey alpha 16 bit": tiff(np.dstack([deep, opaque]), extra=(2,)),
        "TIFF thumbnail": tiff(grey, before=tiff(grey[:70, :70], reduced=1)),
    }
    files |= unusual(grey, deep)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        files[f"TIFF {compression}"] = encode(picture, "TIFF", compression=compression)
    for name, syntax in SYNTAXES.items():
        files[f"DICOM {name}"] = make(grey if name == "JPEG" else deep, syntax)
    for name in (
        "MR_small_jpeg_ls_lossless",
        "SC_rgb_jpeg_gdcm",
        "MR_small_jp2klossless",
    ):
        files[f"DICOM {name}"] = shipped(f"{name}.dcm")
    files["DICOM frames"] = make(np.stack([deep, deep]))
    files["DICOM table"] = make(deep, VOILUTSequence=[table(0, np.arange(4096))])
    files["DICOM padding"] = make(deep, PixelPaddingValue=7, PixelPaddingRangeLimit=0)
    files["DICOM for processing"] = make(
        deep,
        PresentationIntentType="FOR PROCESSING",
        PixelIntensityRelationship="LIN",
    )
    files["DICOM palette"] = palette(np.arange(256), grey)
    files["DICOM RGB 16 bit"] = make(rgb(deep), SamplesPerPixel=3)
    files["DICOM floats"] = floats(deep.astype(np.float32), FloatPixelPaddingValue=-1.0)
    files["DICOM presentation"] = make(
        deep, PresentationLUTSequence=[table(0, np.arange(4096))]
    )
    files["DICOM 12 of 16 bits"] = make(deep, BitsStored=12, HighBit=15)
    files["DICOM window"] = make(deep, WindowCenter="1600", WindowWidth="800")
    return files


def unusual(grey: np.ndarray, deep: np.ndarray) -> dict[str, bytes]:
    """Return files that Pillow does not decode, and some that say what values mean."""
    float_lzw = {"compression": "lzw", "predictor": 3}
    packed = {
        "zstd": deep,
        "lzma": deep,
        "jpeg2000": deep,
        "jpegxl": deep,
        "lerc": deep.astype(np.float32),
        "png": grey,
        "webp": rgb(grey),
    }
    icc = imagecodecs.cms_profile("gray", gamma=1.0)
    says = struct.pack(">I", 100_000)
    return {
        "PNG gamma": in_png(chunk(b"gAMA", says), chunk(b"cICP", b"\1\x10\0\1")),
        "PNG profile": encode(grey, icc_profile=icc),
        "JPEG profile": encode(grey, "JPEG", icc_profile=icc),
        "JPEG without end": encode(grey, "JPEG")[:-2],
        "JPEG 12 bit": imagecodecs.jpeg_encode(deep, bitspersample=12),
        "JPEG lossless": imagecodecs.jpeg8_encode(
            deep, lossless=True, bitspersample=16
        ),
        "JPEG-LS": imagecodecs.jpegls_encode(deep),
        "TIFF packed 12 bit": in_tiff(deep, bitspersample=12),
        "TIFF lzw float": in_tiff(deep.astype(np.float32), **float_lzw),
        "TIFF tiles": in_tiff(deep, tile=(32, 32), compression="deflate", predictor=2),
        **{
            f"TIFF {name}": in_tiff(pixels, compression=name)
            for name, pixels in packed.items()
        },
    }


def mutate(files: list[bytes], seed: int, number: int) -> bytes:
    """Damage one file in one to eight places."""
    rng = np.random.default_rng([seed, number])
    data = bytearray(files[number % len(files)])
    early = rng.random() < 0.6  # headers are where the harm is
    for _ in range(rng.integers(1, 9)):
        reach = min(len(data), 600) if early else len(data)
        if reach < 2:
            break
        at, kind = int(rng.integers(0, reach)), rng.integers(8)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at] = int(rng.integers(256))
        elif kind == 2:
            del data[at : at + int(rng.integers(1, 40))]
        elif kind == 3:
            data[at:at] = rng.bytes(int(rng.integers(1, 40)))
        elif kind == 4:
            other = files[rng.integers(len(files))]
            start = int(rng.integers(len(other)))
            data[at : at + 64] = other[start : start + 64]
        elif kind == 5:
            order = "little" if rng.random() < 0.5 else "big"
            size = int(rng.choice([2, 4]))
            value = int(rng.choice(_NUMBERS)) % 256**size
            data[at : at + size] = value.to_bytes(size, order)
        elif kind == 6:
            data[at:at] = data[at : at + int(rng.integers(1, 200))]
        elif rng.random() < 0.3:
            del data[at:]
    return bytes(data)


def work(seed: int, start: int, count: int, read=None) -> dict:
    """Read mutated files and tell what became of them."""
    read = read or read_picture
    files = list(corpus().values())
    outcomes, findings = Counter(), []
    slowest = 0.0
    for number in range(start, start + count):
        data = mutate(files, seed, number)
        began = time.process_time()
        try:
            picture = read(data)
            assert picture.pixels.dtype == np.uint8
            assert max(picture.pixels.shape) <= DISPLAY_SIDE
            outcomes["read"] += 1
        except ImageError as error:
            outcomes[error.reason] += 1
        except Exception:
            findings.append({"number": number, "what": traceback.format_exc()})
        took = time.process_time() - began
        slowest = max(slowest, took)
        if took > SLOW_SECONDS:
            findings.append({"number": number, "what": f"took {took:.1f} s"})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        **{"outcomes": outcomes, "findings": findings},
        **{"slowest_s": slowest, "peak_mib": peak},
    }


def run_batch(seed: int, start: int, count: int) -> list[dict]:
    """Run a batch elsewhere; of one that dies, find the file."""
    command = [sys.executable, __file__, "--seed", str(seed), "--batch"]
    done = subprocess.run(
        [*command, str(start), str(count)], capture_output=True, text=True
    )
    if done.returncode == 0:
        return [json.loads(done.stdout.splitlines()[-1])]
    if count == 1:
        what = f"the process died with {done.returncode}: {done.stderr[-2000:]}"
        return [{"findings": [{"number": start, "what": what}]}]
    half = count // 2
    return run_batch(seed, start, half) + run_batch(seed, start + half, count - half)


def fuzz(count: int, seed: int = 0, report: Path | None = None) -> dict:
    """Run `count` mutations and sum up."""
    total = {"files": 0, "seed": seed, "outcomes": Counter(), "findings": []}
    total |= {"slowest_s": 0.0, "peak_mib": 0.0, "formats": list(corpus())}
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        for part in run_batch(seed, start, size):
            total["outcomes"] += Counter(part.get("outcomes", {}))
            total["findings"] += part["findings"]
            for name in ("slowest_s", "peak_mib"):
                total[name] = max(total[name], part.get(name, 0))
        total["files"] += size
        if report:
            report.write_text(json.dumps(total, indent=2) + "\n")
    return total


def main() -> None:
    """Fuzz from the command line; status 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--only", type=int, metavar="N")
    parser.add_argument(
        "--isolated", action="store_true", help="in workers, as the apps read; slower"
    )
    parser.add_argument("--batch", type=int, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.batch:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        print(json.dumps(work(args.seed, *args.batch)))
        return
    if args.only is not None:
        print(json.dumps(work(args.seed, args.only, 1), indent=2))
        return
    if args.isolated:
        reader = IsolatedReader(1)
        total = work(args.seed, 0, args.count, reader.read)
        reader.close()
        print(json.dumps(total, indent=2))
        raise SystemExit(bool(total["findings"]))
    total = fuzz(args.count, args.seed, args.report)
    print(json.dumps(total, indent=2))
    raise SystemExit(bool(total["findings"]))


if __name__ == "__main__":
    main()
