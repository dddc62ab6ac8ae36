"""Requests as users and attackers send them to the two apps, and what should come back.

What should come back is what the package itself says of the same bytes, so any other
answer of a server is wrong.
"""

import abc
import contextlib
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import psutil

from pneumonia import MAX_BYTES, Classifier, ImageError, predict
from pneumonia.web.demo.batch_table import MAX_TOTAL

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 150
_COME_AGAIN = (429, 503)
_FULL = (*_COME_AGAIN, 507)
_BOUNDARY = "pneumonia-traffic"


@dataclass(frozen=True)
class Outcome:
    """What became of one picture.

    Attributes:
        said: a label, the reason of a refusal, or "lost" and why.
        probability: of pneumonia where a label was said.
    """

    said: str
    probability: float | None = None

    @property
    def is_turned_away(self) -> bool:
        """Return whether a server that was full said so."""
        return self.said.startswith("not let in")

    @property
    def is_lost(self) -> bool:
        """Return whether no answer came, rather than a wrong one."""
        return self.is_turned_away or self.said.startswith("lost")

    def agrees(self, other: "Outcome") -> bool:
        """Return whether both say the same; probabilities up to rounding."""
        if None in (self.probability, other.probability):
            return self == other
        return self.said == other.said and (
            abs(self.probability - other.probability) < 1e-4
        )


def lost(why: object, before: str = "lost") -> Outcome:
    """Return the outcome of a request that got no answer."""
    return Outcome(f"{before}: {why}")


not_let_in = partial(lost, before="not let in")  # the server never took it


def expected(classifier: Classifier, read: Callable, data: bytes) -> Outcome:
    """Return what the package says of a file."""
    try:
        prediction = predict(classifier, data, read=read)
    except ImageError as error:
        return Outcome(error.reason)
    return Outcome(prediction.label, prediction.p_pneumonia)


class NoRetryAfterError(http.client.HTTPException):
    """A server was full, and did not say when to come again."""


class App(abc.ABC):
    """One of the apps, as its clients know it.

    Args:
        port: of this machine, at which it answers.
        process: what runs it, where `run` started it.
    """

    start = ()  # what Python is started with, from the project's folder
    field = ""
    upload = ""
    limit = 0  # bytes of an upload

    def __init__(self, port: int, process: subprocess.Popen | None = None):
        self.port, self.process = port, process

    @classmethod
    def run(cls, *arguments: str, folder: Path) -> Self:
        """Start it as a process of its own, and wait until it answers.

        Args:
            *arguments: of its command line.
            folder: where it works, and keeps temporary files.
        """
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, *cls.start, "--port", str(port), *arguments],
            cwd=folder,
            env=os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        app, end = cls(port, process), time.monotonic() + 120
        while not app.ready():
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"error: {cls.start[-1]} does not start")
            time.sleep(0.02)
        return app

    def ready(self) -> bool:
        """Return whether it answers."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/")[0] == 200
        return False

    def close(self) -> None:
        """Stop it, and wait until it has stopped."""
        self.process.terminate()
        self.process.wait()

    def send(self, data: bytes) -> Outcome:
        """Send a picture; return what was said of it."""
        try:
            return self.ask(data)
        except (OSError, http.client.HTTPException) as error:
            return lost(type(error).__name__)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            return lost(f"an answer that makes no sense: {error!r}")

    @abc.abstractmethod
    def ask(self, data: bytes) -> Outcome:
        """Send a picture, as `send` does; raise what goes wrong on the way."""

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body."""
        return self.talk("GET", path, b"", {})

    def post(self, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
        """Return status and body."""
        return self.talk("POST", path, body, {"Content-Type": kind})

    def talk(self, method, path, body, headers) -> tuple[int, bytes]:
        """Return status and body of a request over a connection of its own.

        Raises:
            NoRetryAfterError: a full server did not say when to come again.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, TIMEOUT)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            if response.status in _COME_AGAIN and not response.getheader("Retry-After"):
                raise NoRetryAfterError
            return response.status, response.read()

    def workers(self) -> list[psutil.Process]:
        """Return the processes that decode for it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def memory(self) -> tuple[float, float]:
        """Return MiB that the server holds, and that its workers hold besides."""
        own = psutil.Process(self.process.pid).memory_info().rss
        rest = 0
        for worker in self.workers():
            with contextlib.suppress(psutil.NoSuchProcess):
                rest += worker.memory_info().rss
        return own / 2**20, rest / 2**20


class FlaskApp(App):
    """The form."""

    start = (ROOT / "flask_app.py",)
    field, upload, limit = "image", "/api/predict", MAX_BYTES

    def ask(self, data: bytes) -> Outcome:
        """Send a picture; return what was said of it."""
        try:
            status, body = self.post(self.upload, *multipart(self.field, data))
        except ConnectionRefusedError:
            return not_let_in("connection refused")
        if status in _FULL:
            return not_let_in(status)
        if status >= 500:
            return lost(status)
        answer = json.loads(body)
        if status == 200:
            return Outcome(answer["label"], answer["probabilities"]["Pneumonia"])
        return Outcome(answer["error"]["reason"])


class GunicornApp(FlaskApp):
    """The form as it runs in production."""

    start = ("-m", "pneumonia", "serve", "form")


class GradioApp(App):
    """The demo."""

    start = (ROOT / "demo.py",)
    field, upload, limit = "files", "/gradio_api/upload", MAX_TOTAL

    def ask(self, data: bytes) -> Outcome:
        """Send a picture; return what was said of it."""
        try:
            status, body = self.post(self.upload, *multipart(self.field, data))
        except OSError as error:  # nothing was begun before the upload is there
            return not_let_in(type(error).__name__)
        if status in _FULL:
            return not_let_in(status)
        if status != 200:
            return lost(status)
        picture = {"path": json.loads(body)[0], "meta": {"_type": "gradio.FileData"}}
        call = "/gradio_api/call/v2/predict"  # by name, and the rest as by default
        asked = json.dumps({"path": picture}).encode()
        status, body = self.post(call, asked, "application/json")
        if status != 200:
            return lost(status)
        status, body = self.get(f"{call}/{json.loads(body)['event_id']}")
        return self.understand(body.decode())

    @staticmethod
    def understand(events: str) -> Outcome:
        """Return what the last of the server's events says."""
        lines = [line for line in events.splitlines() if line]
        name, data = lines[-2], json.loads(lines[-1].removeprefix("data: "))
        if name == "event: complete":
            bars = {bar["label"]: bar["confidence"] for bar in data[0]["confidences"]}
            return Outcome(data[0]["label"], bars["Pneumonia"])
        title = data.get("title") or ""
        if title.startswith("No answer ("):
            return Outcome(title.removeprefix("No answer (").removesuffix(")"))
        return lost(data.get("error") or "an error without words")


APPS = {"flask": FlaskApp, "gradio": GradioApp}


def multipart(field: str, data: bytes, name: str = "x") -> tuple[bytes, str]:
    """Return a body that carries one file, and its content type."""
    head = (
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; "
        f'name="{field}"; filename="{name}"\r\n\r\n'
    )
    body = head.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return body, f"multipart/form-data; boundary={_BOUNDARY}"


def begin(deeds: Iterable[Callable[[], object]]) -> list[threading.Thread]:
    """Do several things at once, in threads of their own."""
    threads = [threading.Thread(target=deed) for deed in deeds]
    for thread in threads:
        thread.start()
    return threads


def end(threads: Iterable[threading.Thread]) -> None:
    """Wait for threads."""
    for thread in threads:
        thread.join()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def hostile(app: App, rng: random.Random) -> tuple[str, bool, str]:
    """Do one thing to a server that no user would.

    Returns:
        What was done, whether the server took it rightly, and what it answered.
    """
    name = rng.choice(list(_HOSTILE))
    deed, allowed = _HOSTILE[name]
    try:
        status = deed(app, rng)
    except NoRetryAfterError:
        status = "no Retry-After"
    except (OSError, http.client.HTTPException, ValueError) as error:
        # cut off in the middle of a body, or of nonsense: that, too, is an answer
        status = None if app.process.poll() is None else type(error).__name__
    return name, status in allowed, str(status)


def _send(app: App, data: bytes, field: str = "", name: str = "x") -> int:
    return app.post(app.upload, *multipart(field or app.field, data, name))[0]


def _leaves(app: App, rng: random.Random) -> int | None:
    body, kind = multipart(app.field, rng.randbytes(5000))
    head = (
        f"POST {app.upload} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", app.port), TIMEOUT) as client:
        client.sendall(head.encode() + body[: rng.randrange(len(body))])


def _raw(app: App, text: str) -> int | None:
    """Send text as it is; return the status that comes, None where none does."""
    with socket.create_connection(("127.0.0.1", app.port), TIMEOUT) as client:
        client.sendall(text.encode("latin-1"))
        client.shutdown(socket.SHUT_WR)
        line = client.makefile("rb").readline(200).split()
    return int(line[1]) if len(line) > 1 and line[1].isdigit() else None


_ODD_NAMES = ("../../etc/passwd", "<script>.png", "a" * 5000, "\u202egpj.exe")
_ODD_PATHS = ("/../../etc/passwd", "/%00", "/gradio_api/file=/etc/passwd", "/aaaaaaaaa")
_FALSE = "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 1099511627776\r\n\r\n"
_HOSTILE = {
    "a body beyond the limit": (
        lambda app, rng: _send(app, bytes(app.limit + 2**20)),
        {413, None},
    ),
    "a false length": (
        lambda app, rng: _raw(app, _FALSE.format(app.upload)),
        {400, 408, 413, None},
    ),
    "leaving in the middle": (_leaves, {None}),
    "no HTTP": (
        lambda app, rng: _raw(app, rng.randbytes(400).decode("latin-1") + "\r\n\r\n"),
        {400, 505, None},
    ),
    "an odd file name": (
        lambda app, rng: _send(app, b"no picture", name=rng.choice(_ODD_NAMES)),
        {200, 400, 413, 422},
    ),
    "another field": (lambda app, rng: _send(app, b"x", "else"), {200, 400, 422}),
    "a body of nonsense": (
        lambda app, rng: app.post(
            app.upload, rng.randbytes(300), "multipart/form-data"
        )[0],
        {400, 422},
    ),
    "a strange address": (
        lambda app, rng: app.get(rng.choice(_ODD_PATHS))[0],
        {400, 403, 404},
    ),
}
