"""Many clients at once against the form under gunicorn and against the demo's queue.

    python benchmarks/load.py DIR [--clients 32] [--seconds 120] [--plots FOLDER]

DIR holds X-rays in original size. Each client sends the next one as soon as it has its
answer, and every answer is compared with what the package says. Then more clients than
the form has places ask at once: who gets no place must be told so at once, and when to
come again. Clients and server share this machine's cores.
"""

import argparse
import contextlib
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from app_requests import App, GradioApp, GunicornApp, Outcome, begin, expected
from measure import machine, read_folder, table

from pneumonia import load_classifier
from pneumonia.reading.image import read_picture

CROWD = 96  # clients, more than the form has places
STEPS = (1, 2, 4, 8, 16)  # clients, on the way to all of them


@dataclass(frozen=True)
class Asked:
    """One request: what was right, what was said, and after how many seconds."""

    right: Outcome
    said: Outcome
    seconds: float


def press(
    app: App, files: Sequence[tuple[bytes, Outcome]], clients: int, seconds: float
) -> tuple[list[Asked], list[float]]:
    """Let clients ask for some seconds; 0: each once, all at the same time.

    Returns:
        Each request, and MiB that the server and its workers hold, every second.
    """
    asked, held = [], []
    end = time.perf_counter() + seconds
    together = threading.Barrier(clients)

    def work(number: int) -> None:
        together.wait()
        while True:
            data, right = files[number % len(files)]
            begun = time.perf_counter()
            said = app.send(data)
            asked.append(Asked(right, said, time.perf_counter() - begun))
            number += clients
            if time.perf_counter() > end:
                return

    threads = begin(partial(work, number) for number in range(clients))
    while any(thread.is_alive() for thread in threads):
        held.append(sum(app.memory()))
        time.sleep(1)
    return asked, held


def summarise(
    name: str, clients: int, asked: list[Asked], held: list[float], seconds: float
) -> list:
    """Return the cells of one row."""
    good = [each.seconds for each in asked if each.said.agrees(each.right)]
    others = Counter(e.said.said for e in asked if not e.said.agrees(e.right))
    fifth = max(1, len(held) // 5)
    return [
        name,
        clients,
        len(asked),
        ", ".join(f"{n} x {said}" for said, n in others.items()) or "none",
        f"{len(good) / seconds:.1f}",
        *(f"{x:.2f}" for x in np.quantile(good or [np.nan], [0.5, 0.95])),
        f"{max(held[fifth : 2 * fifth] or held):.0f}, {max(held[-fifth:]):.0f}",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="DIR")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--plots", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    print(f"{machine()}\n")
    classifier = load_classifier()
    files = [
        (data, expected(classifier, read_picture, data))
        for data in read_folder(args.source, 20)
    ]
    rows, curve = [], []
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        form = GunicornApp.run("--rate", "0", folder=place)
        stack.callback(form.close)
        for clients in (*STEPS, args.clients):
            few = max(5.0, args.seconds / 8)
            long = args.seconds if clients == args.clients else few
            row = summarise("form", clients, *press(form, files, clients, long), long)
            rows.append(row)
            curve.append((clients, float(row[4]), float(row[6])))
        crowd, _ = press(form, files, CROWD, 0)
        form.close()
        demo = GradioApp.run("--rate", "0", folder=place)
        stack.callback(demo.close)
        asked, held = press(demo, files, args.clients, args.seconds)
    rows.append(summarise("demo's queue", args.clients, asked, held, args.seconds))
    head = ["server", "clients", "requests", "not answered", "answers/s"]
    head += ["s, median", "s, 95 %", "MiB: early, late"]
    print(table(head, rows))
    away = [each.seconds for each in crowd if each.said.is_turned_away]
    answered = sum(each.said.agrees(each.right) for each in crowd)
    print(
        f"\n{CROWD} clients at once against the form: {answered} answered, "
        f"{len(away)} got 503 with Retry-After, the slowest of these after "
        f"{max(away, default=0):.2f} s; anything else: "
        f"{len(crowd) - answered - len(away)}."
    )
    if args.plots:
        draw(curve, args.plots / "clients.png")


def draw(curve: list[tuple[int, float, float]], path: Path) -> None:
    """Draw answers a second and the 95th percentile by the number of clients."""
    from matplotlib import pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    clients, rates, slow = zip(*curve, strict=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.plot(clients, rates, "o-")
    left.set(xlabel="clients", ylabel="answers a second", ylim=0)
    right.plot(clients, slow, "o-")
    right.set(xlabel="clients", ylabel="s, 95th percentile", ylim=0)
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
