"""Damaged files by the hundred thousand: nothing but ImageError, quickly.

python tests/helpers/fuzz.py 200000 [--seed 0] [--report FILE.json]

File number n is made from the seed and n alone, so a finding is repeated by
`--only n`. Batches run in processes of their own; one that dies is halved until the
file that killed it is found.
"""

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "helpers"), str(TESTS), str(TESTS.parent)]

from dicoms import make, shipped  # noqa: E402
from pictures import GREY, encode, exif_of, floats  # noqa: E402
from test_kinds import KINDS  # noqa: E402
from test_tone import TONES  # noqa: E402
from test_unusual import FILES  # noqa: E402

from pneumonia import IsolatedReader  # noqa: E402
from pneumonia.reading.image import DISPLAY_SIDE, read_picture  # noqa: E402
from pneumonia.reading.picture import ImageError  # noqa: E402

SLOW_SECONDS = 2.0
"""Processor time from which a file is reported."""

MEMORY = 2 * 2**30
BATCH = 10_000
LARGE = 250_000  # bytes
_NUMBERS = [0, 1, 127, 128, 255, 256, 32767, 65535, 2**24, 2**31 - 1, 2**32 - 1]


def corpus() -> dict[str, bytes]:
    """Whole files of every format that is read: those of the tests, but large ones."""
    files = {case.id: case.values[0] for case in KINDS + FILES + TONES}
    rgba = Image.fromarray(GREY).convert("RGBA")
    for kind in ("PNG", "WEBP", "AVIF"):
        files[f"RGBA, {kind}"] = encode(rgba, kind, lossless=True)
    for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        files[f"TIFF, {name}"] = encode(GREY, "TIFF", compression=name)
    files["EXIF"] = encode(GREY, "JPEG", exif=exif_of(6))
    files["float padding"] = floats(GREY / 255.0, DoubleFloatPixelPaddingValue=-1.0)
    files["window"] = make(GREY, WindowCenter="100", WindowWidth="50")
    for name in ("MR_small_jpeg_ls_lossless", "SC_rgb_jpeg_gdcm"):
        files[name] = shipped(f"{name}.dcm")
    return {name: data for name, data in files.items() if len(data) < LARGE}


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
    found = {"outcomes": outcomes, "findings": findings}
    return found | {"slowest_s": slowest, "peak_mib": peak}


def run_batch(seed: int, start: int, count: int) -> list[dict]:
    """Run a batch elsewhere; of one that dies, find the file."""
    command = [sys.executable, __file__, "--seed", str(seed), "--batch"]
    command += [str(start), str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
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
        total = work(args.seed, args.only, 1)
    elif args.isolated:
        with contextlib.closing(IsolatedReader(1)) as reader:
            total = work(args.seed, 0, args.count, reader.read)
    else:
        total = fuzz(args.count, args.seed, args.report)
    print(json.dumps(total, indent=2))
    raise SystemExit(bool(total["findings"]))


if __name__ == "__main__":
    main()
