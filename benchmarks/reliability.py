"""Soak and faults: both apps under mixed traffic, killed, starved, stopped.

    python benchmarks/reliability.py DIR [--minutes 30] [--report FILE.md]

DIR holds X-rays, in whatever folders; a hundred are taken. Both apps run as their users
run them, each as a process of its own. Every picture that is sent, whole or damaged,
was put to the package first: a server that says anything else is wrong.
"""

import argparse
import contextlib
import platform
import random
import resource
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

HERE = Path(__file__).parent
sys.path[:0] = map(str, (HERE, HERE.parent, HERE.parent / "tests" / "helpers"))

import fuzz  # noqa: E402
from app_requests import APPS, App, Outcome, begin, end, expected, hostile  # noqa: E402
from measure import table  # noqa: E402

from pneumonia import IsolatedReader, load_classifier  # noqa: E402

CLIENTS = 3  # of each app
KILL_SECONDS = 20
SAMPLE_SECONDS = 5
SUFFIXES = {".jpeg", ".jpg", ".png", ".dcm"}
Pool = list[tuple[bytes, Outcome]]


def pool(folder: Path, count: int, damaged: int) -> tuple[Pool, Pool]:
    """Return whole X-rays and damaged files with what the package says of them."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        raise SystemExit(f"error: {folder} holds no {', '.join(sorted(SUFFIXES))}")
    chosen = files[:: max(1, len(files) // count)][:count]
    seeds = list(fuzz.corpus().values())
    wrong = [fuzz.mutate(seeds, 7, number) for number in range(damaged)]
    wrong += [b"", b"GIF89a", bytes(1000), b"PK\x03\x04" + bytes(200)]
    classifier, reader = load_classifier(), IsolatedReader(2)
    with contextlib.closing(reader):
        good, bad = (
            [(data, expected(classifier, reader.read, data)) for data in part]
            for part in ([path.read_bytes() for path in chosen], wrong)
        )
    return good, bad


@dataclass
class Tally:
    """What happened to one app's requests."""

    counts: Counter = field(default_factory=Counter)
    wrong: list[Outcome] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: list[tuple[float, float, float]] = field(default_factory=list)
    killed: int = 0

    def picture(self, app: App, data: bytes, right: Outcome, kind: str) -> None:
        """Send a picture and compare."""
        begun = time.monotonic()
        said = app.send(data)
        if kind == "X-rays":
            self.seconds.append(time.monotonic() - begun)
        self.counts[kind] += 1
        if not said.agrees(right):
            self.wrong.append(said)


def drive(app: App, good: Pool, bad: Pool, end: float, seed: int, tally: Tally) -> None:
    """Be one client until the end: half good, a third damaged, the rest hostile."""
    rng = random.Random(seed)
    while time.monotonic() < end:
        draw = rng.random()
        if draw < 0.5:
            tally.picture(app, *rng.choice(good), "X-rays")
        elif draw < 0.85:
            tally.picture(app, *rng.choice(bad), "damaged files")
        else:
            deed, taken, answer = hostile(app, rng)
            tally.counts["hostile requests"] += 1
            if not taken:
                tally.wrong.append(Outcome(f"{deed}: {answer}"))


def harass(app: App, end: float, begun: float, tally: Tally) -> None:
    """Kill a worker now and then, and write down how much memory is held."""
    rng = random.Random(0)
    next_kill = time.monotonic() + KILL_SECONDS
    while time.monotonic() < end:
        time.sleep(min(SAMPLE_SECONDS, max(0.1, end - time.monotonic())))
        if time.monotonic() > next_kill and (workers := app.workers()):
            with contextlib.suppress(psutil.NoSuchProcess):
                rng.choice(workers).kill()
                tally.killed += 1
            next_kill += KILL_SECONDS
        if app.process.poll() is None:
            tally.memory.append((time.monotonic() - begun, *app.memory()))


def soak(apps: dict[str, App], good: Pool, bad: Pool, minutes: float) -> dict:
    """Drive all apps at once; return a tally of each."""
    tallies = {name: Tally() for name in apps}
    begun = time.monotonic()
    finish = begun + minutes * 60
    deeds = []
    for name, app in apps.items():
        deeds.append(partial(harass, app, finish, begun, tallies[name]))
        for seed in range(CLIENTS):
            deeds.append(partial(drive, app, good, bad, finish, seed, tallies[name]))
    end(begin(deeds))
    return tallies


@contextlib.contextmanager
def limited(processes: list[psutil.Process], what: int, bound: Callable):
    """Lower one limit of running processes, and lift it again."""
    old = [resource.prlimit(process.pid, what) for process in processes]
    for process, (_, hard) in zip(processes, old, strict=True):
        resource.prlimit(process.pid, what, (bound(process), hard))
    try:
        yield
    finally:
        for process, limits in zip(processes, old, strict=True):
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, what, limits)


def more(process: psutil.Process) -> int:
    """Return a limit that leaves a process 8 MiB beyond what it has."""
    return process.memory_info().vms + 8 * 2**20


FAULTS = {
    "no fault": lambda app: contextlib.nullcontext(),
    "disk full: the server can write no byte": lambda app: limited(
        [psutil.Process(app.process.pid)], resource.RLIMIT_FSIZE, lambda process: 0
    ),
    "out of memory in the workers: 8 MiB left": lambda app: limited(
        app.workers(), resource.RLIMIT_AS, more
    ),
    "out of memory in the server: 8 MiB left": lambda app: limited(
        [psutil.Process(app.process.pid)], resource.RLIMIT_AS, more
    ),
}


def send_all(app: App, some: Pool, tally: Tally) -> None:
    """Send X-rays one after the other."""
    for one in some:
        tally.picture(app, *one, "X-rays")


def fault(app: App, good: Pool, name: str) -> tuple[str, str]:
    """Send X-rays under a fault from four clients, and ten more after it."""
    during, after = Tally(), Tally()
    with FAULTS[name](app):
        parts = (good[start : start + 5] for start in range(0, 20, 5))
        end(begin(partial(send_all, app, part, during) for part in parts))
    send_all(app, good[:10], after)
    refused = Counter(text.said for text in during.wrong if text.is_lost)
    said = ", ".join(f"{count} {kind}" for kind, count in refused.items())
    wrong = [str(text) for text in during.wrong if not text.is_lost]
    alive = "runs on" if app.process.poll() is None else "is dead"
    return (
        f"{20 - len(during.wrong)} of 20 right, not answered: {said or 'none'}, "
        f"wrong: {'; '.join(wrong) or 'none'}",
        f"{10 - len(after.wrong)} of 10 right, it {alive}",
    )


def stop(app: App, good: Pool) -> tuple[str, str]:
    """End a server by SIGTERM under load; tell what became of what it had begun."""
    tally, over = Tally(), threading.Event()

    def client(seed: int) -> None:
        rng = random.Random(seed)
        while not over.is_set():
            data, right = rng.choice(good)
            said = app.send(data)
            if said.said.startswith("not let in"):
                tally.counts["turned away"] += 1
                time.sleep(0.2)
            else:
                tally.counts["taken"] += 1
                if not said.agrees(right):
                    tally.wrong.append(said)

    workers = app.workers()
    threads = begin(partial(client, seed) for seed in range(6))
    time.sleep(3)
    begun = time.monotonic()
    app.process.send_signal(signal.SIGTERM)
    code = app.process.wait(60)
    took = time.monotonic() - begun
    over.set()
    end(threads)
    left = len(psutil.wait_procs(workers, timeout=3)[1])
    cut = Counter(outcome.said for outcome in tally.wrong)
    said = ", ".join(f"{count} {kind}" for kind, count in cut.items()) or "none"
    return (
        f"{tally.counts['taken']} taken, cut off of them: {said}; "
        f"{tally.counts['turned away']} turned away",
        f"ended with {code} after {took:.1f} s, {left} processes left",
    )


def describe(name: str, tally: Tally) -> list[list[object]]:
    """Return the soak's rows of one app."""
    counts = ", ".join(f"{count:,} {kind}" for kind, count in tally.counts.items())
    deciles = statistics.quantiles(tally.seconds, n=20)
    minutes = [sample[0] / 60 for sample in tally.memory]
    rows = [
        [name, "requests", counts],
        ["", "wrong answers, lost requests", len(tally.wrong)],
        ["", "workers killed", tally.killed],
        [
            *("", "answer to an X-ray"),
            f"median {statistics.median(tally.seconds):.2f} s, 95 % "
            f"{deciles[-1]:.2f} s, longest {max(tally.seconds):.2f} s",
        ],
    ]
    for who, at in (("server", 1), ("its workers", 2)):
        held = [sample[at] for sample in tally.memory]
        late = [pair for pair in zip(minutes, held) if pair[0] > minutes[-1] / 2]  # noqa: B905
        slope = statistics.linear_regression(*zip(*late, strict=True)).slope
        said = (
            f"{held[0]:.0f} MiB at first, {statistics.median(m for _, m in late):.0f} "
            f"MiB in the second half ({slope:+.2f} MiB a minute), at most "
            f"{max(held):.0f} MiB"
        )
        rows.append(["", f"memory of {who}", said])
    return rows


def main() -> None:
    """Run all of it and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--report", type=Path)
    args = parser.parse_args()
    good, bad = pool(args.folder, 100, 200)
    folder = Path(tempfile.mkdtemp())
    apps = {name: kind.run("--rate", "0", folder=folder) for name, kind in APPS.items()}
    kept = [folder, *Path("/dev/shm").glob(f"*-{apps['gradio'].process.pid}-*")]
    tallies = soak(apps, good, bad, args.minutes)
    rows, faults = [], []
    for name, tally in tallies.items():
        rows += describe(name, tally)
        for outcome in tally.wrong[:20]:
            print(f"{name}: {outcome}", file=sys.stderr)
    for name, app in apps.items():
        for what in FAULTS:
            faults.append([name, what, *fault(app, good, what)])
        faults.append([name, "SIGTERM under load", *stop(app, good)])
    left = [path for place in kept for path in place.rglob("*") if path.is_file()]
    shutil.rmtree(folder)
    text = "\n".join(
        [
            "# Reliability",
            "",
            f"`python benchmarks/reliability.py DIR --minutes {args.minutes:g}` on "
            f"{platform.system()}, {psutil.cpu_count()} cores, Python "
            f"{platform.python_version()}. Both apps ran at once, {CLIENTS} clients "
            "each: half the requests X-rays, a third damaged files of every format, "
            "the rest no user's (bodies beyond the limit, false lengths, clients that "
            "leave, no HTTP, odd names and addresses). Every "
            f"{KILL_SECONDS} s one decoding worker of each app was killed. Every "
            f"answer was compared with what the package says of the same file "
            f"({len(good)} X-rays, {len(bad)} damaged files).",
            "",
            table(["app", "what", ""], rows),
            "",
            "Then single faults, with four clients and 20 X-rays each, and ten more "
            "X-rays after the fault was over:",
            "",
            table(["app", "fault", "meanwhile", "after it"], faults),
            "",
            f"Files left in the apps' working and temporary folders: {len(left)}.",
            "",
        ]
    )
    print(text)
    if args.report:
        args.report.write_text(text)


if __name__ == "__main__":
    main()
