"""What the benchmarks share: fair rounds, tables, and a line about the machine."""

import contextlib
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import psutil

PAUSE = 0.1  # seconds


def machine() -> str:
    """Say what is measured on, and how busy it was in the last minute."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        name = names[0].partition(":")[2].strip() if names else name
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"{name}, {os.cpu_count()} cores, load average {load:.1f} at the start; "
        f"Python {platform.python_version()}, ONNX Runtime {version('onnxruntime')}"
    )


def take_turns(
    ways: dict[str, Callable[[int], object]], rounds: int, warm_up: int = 2
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Time several ways in turns, so that a busy moment falls on all of them alike.

    Before each turn comes a pause, in which the threads of the way before fall asleep
    (some spin for 30 ms on the cores of the next), and one call that does not count.

    Args:
        ways: by name; each is called with the number of the round.
        rounds: calls of each way that count.
        warm_up: calls of each way before.

    Returns:
        Seconds of each call, by name: on the wall, and of all cores together, which
        depends less on what else the machine does.
    """
    seconds, busy = {name: [] for name in ways}, {name: [] for name in ways}
    for number in range(-warm_up, rounds):
        for name, way in ways.items():
            time.sleep(PAUSE)
            way(max(number, 0))
            begun, begun_busy = time.perf_counter(), time.process_time()
            way(max(number, 0))
            if number >= 0:
                seconds[name].append(time.perf_counter() - begun)
                busy[name].append(time.process_time() - begun_busy)
    return seconds, busy


def spread(values: Sequence[float], scale: float = 1, digits: int = 1) -> list[str]:
    """Return the median and the range of the middle four fifths, as two cells."""
    tenths = statistics.quantiles(values, n=10) if len(values) > 1 else list(values) * 9
    low, middle, high = (x * scale for x in (tenths[0], tenths[4], tenths[8]))
    return [f"{middle:.{digits}f}", f"{low:.{digits}f}-{high:.{digits}f}"]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def peak_memory(process: int) -> float:
    """Return the most memory that a process ever held, in MiB (Linux)."""
    status = Path(f"/proc/{process}/status").read_text()
    found = status.partition("VmHWM:")[2]  # not there once it has ended
    return int(found.split()[0]) / 1024 if found else 0.0


def memory(process: int) -> float:
    """Return the memory that a process and all that it started hold, in MiB.

    Without pages that others share, or that hold a file: the system takes these back.
    """
    held = 0
    with contextlib.suppress(psutil.Error):  # it has ended
        held = psutil.Process(process).memory_full_info().uss
        for child in psutil.Process(process).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                held += child.memory_full_info().uss
    return held / 2**20


def read_folder(folder: Path, most: int | None = None) -> list[bytes]:
    """Return the content of a folder's files, evenly chosen."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if not paths:
        raise SystemExit(f"error: no file in {folder}.")
    step = max(1, len(paths) // most) if most else 1
    return [path.read_bytes() for path in paths[::step][:most]]
