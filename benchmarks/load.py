"""Many clients at once against the form under gunicorn and against the demo's queue.

    python benchmarks/load.py DIR [--clients 32] [--seconds 120] [--plots FOLDER]

DIR holds X-rays in original size. Each client sends the next one as soon as it has its
answer. Then more clients than the form has places ask at once: who gets no place must
be told so at once. Clients and server share this machine's cores.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import machine, read_folder, table

ROOT = Path(__file__).parent.parent
CROWD = 96  # clients, more than the form has places


class Server:
    """A server in a process of its own, ended at the end."""

    def __init__(self, command: list[str], port: int):
        self.port = port
        self._process = subprocess.Popen(
            [sys.executable, *command, "--port", str(port), "--rate", "0"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self):
        for _ in range(600):
            try:
                status, _, _ = ask(self.port, "GET", "/")
                if status == 200:
                    return self
            except OSError:
                time.sleep(0.1)
        raise SystemExit("error: the server did not start.")

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()

    def memory(self) -> float:
        """Return MiB of the server and its children; what they share counts once."""
        waiting, total = [self._process.pid], 0
        while waiting:
            process = Path(f"/proc/{waiting.pop()}")
            try:
                for tasks in process.glob("task/*/children"):
                    waiting += [int(child) for child in tasks.read_text().split()]
                text = (process / "smaps_rollup").read_text()
            except OSError:  # ended in the meantime
                continue
            total += int(text.partition("\nPss:")[2].split()[0])
        return total / 1024


def ask(port: int, method: str, path: str, body=None, headers=None):
    """Return status, header Retry-After and content of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=180)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Retry-After"), answer.read()
    finally:
        connection.close()


def ask_form(port: int, files: list[bytes]) -> Callable[[int], int]:
    """Return what asks the form's API; it returns the status."""
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    path = "/api/predict?anyway=1&overlay=1"

    def client(number: int) -> int:
        body = head + files[number % len(files)] + b"\r\n--x--\r\n"
        status, again, _ = ask(port, "POST", path, body, headers)
        return -status if status == 503 and not again else status

    return client


def ask_demo(port: int, files: list[bytes]) -> Callable[[int], int]:
    """Return what asks the demo through its queue, as the page does."""
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpeg"\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}

    def client(number: int) -> int:
        body = head + b"\r\n" + files[number % len(files)] + b"\r\n--x--\r\n"
        status, _, answer = ask(port, "POST", "/gradio_api/upload", body, headers)
        if status != 200:
            return status
        file = {"path": json.loads(answer)[0], "meta": {"_type": "gradio.FileData"}}
        body = json.dumps({"data": [file, True, False]})
        path, plain = "/gradio_api/call/predict", {"Content-Type": "application/json"}
        status, _, answer = ask(port, "POST", path, body, plain)
        if status != 200:
            return status
        event = json.loads(answer)["event_id"]
        _, _, answer = ask(port, "GET", f"{path}/{event}")
        return 200 if b"event: complete" in answer else 500

    return client


def press(
    client: Callable[[int], int], clients: int, seconds: float, memory: Callable
) -> tuple[list[tuple[int, float]], list[float]]:
    """Let clients ask for some seconds; 0: each once, all at the same time.

    Returns:
        Status and seconds of each request; MiB of the server every second.
    """
    done, held = [], []
    end = time.perf_counter() + seconds
    together = threading.Barrier(clients)

    def work(first: int) -> None:
        together.wait()
        number = first
        while True:
            begun = time.perf_counter()
            try:
                status = client(number)
            except OSError:
                status = 0
            done.append((status, time.perf_counter() - begun))
            number += clients
            if time.perf_counter() > end:
                return

    threads = [threading.Thread(target=work, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        held.append(memory())
        time.sleep(1)
    return done, held


def summarise(name: str, clients: int, done: list, held: list, seconds: float) -> list:
    """Return the cells of one row."""
    good = [taken for status, taken in done if status == 200]
    others = Counter(status for status, _ in done if status != 200)
    p50, p95 = np.quantile(good, [0.5, 0.95])
    fifth = max(1, len(held) // 5)
    return [
        name,
        clients,
        len(done),
        ", ".join(f"{n} x {status}" for status, n in others.items()) or "none",
        f"{len(good) / seconds:.1f}",
        f"{p50:.2f}",
        f"{p95:.2f}",
        f"{max(held[fifth : 2 * fifth] or held):.0f}, {max(held[-fifth:]):.0f}",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="DIR")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--port", type=int, default=5081)
    parser.add_argument("--plots", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    print(f"{machine()}\n")
    files = read_folder(args.source, 20)
    rows, curve = [], []
    with Server(["-m", "web.serve"], args.port) as server:
        form = ask_form(args.port, files)
        for clients in (1, 2, 4, 8, 16):
            taken = max(5.0, args.seconds / 8)
            done, held = press(form, clients, taken, server.memory)
            rows.append(summarise("form", clients, done, held, taken))
            curve.append((clients, float(rows[-1][4]), float(rows[-1][6])))
        done, held = press(form, args.clients, args.seconds, server.memory)
        rows.append(summarise("form", args.clients, done, held, args.seconds))
        curve.append((args.clients, float(rows[-1][4]), float(rows[-1][6])))
        crowd, _ = press(form, CROWD, 0, server.memory)
    with Server(["demo.py"], args.port + 1) as server:
        demo = ask_demo(args.port + 1, files)
        done, held = press(demo, args.clients, args.seconds, server.memory)
        rows.append(summarise("demo's queue", args.clients, done, held, args.seconds))
    head = ["server", "clients", "requests", "not answered", "answers/s"]
    head += ["s, median", "s, 95 %", "MiB: early, late"]
    print(table(head, rows))
    full = [taken for status, taken in crowd if status == 503]
    answered = sum(status == 200 for status, _ in crowd)
    print(
        f"\n{CROWD} clients at once against the form: {answered} answered, "
        f"{len(full)} got 503 with Retry-After, the slowest of these after "
        f"{max(full, default=0):.2f} s; anything else: "
        f"{len(crowd) - answered - len(full)}."
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
