"""The door around Gradio's server: bounds on what comes, headers on what goes."""

import asyncio
import base64
import contextlib
import errno
import hashlib
import json
import logging
import re
import time
from collections.abc import Iterator

from . import door, words

READ_SECONDS = 60
"""Time in which a request's body must have come, however lively its client drips."""

_ASSETS = ("/assets/", "/static/", "/svelte/")  # the same for everybody: may be cached
_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_QUIET_SECONDS = 1.0  # a client's next step comes sooner
_log = logging.getLogger("pneumonia.web")


class Attendance:
    """Who is being answered, and whether others may still come in."""

    def __init__(self):
        self.closing = False
        self.present = 0

    @contextlib.contextmanager
    def of(self, path: str) -> Iterator[None]:
        """Count a request; not an open page's heartbeat, which asks for nothing."""
        counts = "/heartbeat/" not in path
        self.present += counts
        try:
            yield
        finally:
            self.present -= counts

    def drain(self, seconds: float) -> None:
        """Take no new uploads, and wait until what was begun is answered."""
        self.closing = True
        end = time.monotonic() + seconds
        quiet_since = time.monotonic()
        while (now := time.monotonic()) < min(end, quiet_since + _QUIET_SECONDS):
            if self.present:
                quiet_since = now
            time.sleep(0.05)


class _RefusedError(Exception):
    def __init__(self, status: int, message: str, wait: int = 0):
        super().__init__(message)
        self.status = status
        self.wait = wait


class Door:
    """ASGI middleware.

    Args:
        app: what stands behind it.
        limit: how often a client may send.
        max_body: largest body that is read, in bytes.
        embed: origins whose pages may embed these.
        attendance: kept up to date; None: nobody wants to know.
    """

    def __init__(
        self,
        app,
        *,
        limit: door.RateLimit,
        max_body: int,
        embed: list[str],
        attendance: Attendance | None = None,
    ):
        self._app = app
        self._attendance = attendance or Attendance()
        self._limit = limit
        self._max_body = max_body
        self._ancestors = door.frame_ancestors(embed)

    async def __call__(self, scope, receive, send) -> None:
        """Answer one request, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send, self._ancestors)
        try:
            self._check(scope)
            bounded = _bounded(receive, self._max_body, time.monotonic())
            with self._attendance.of(scope["path"]):
                await self._app(scope, bounded, answer.send)
        except _RefusedError as error:
            if not answer.started:
                await answer.refuse(error)
        except OSError as error:
            if answer.started or error.errno not in _NO_ROOM:
                raise
            full = _RefusedError(507, words.NO_ROOM, door.RETRY_SECONDS)
            await answer.refuse(full)

    def _check(self, scope) -> None:
        if scope["method"] != "POST":
            return
        if self._attendance.closing and scope["path"].endswith("/upload"):
            raise _RefusedError(503, words.STOPPING, door.RETRY_SECONDS)
        headers = dict(scope["headers"])
        client = scope["client"][0] if scope.get("client") else None
        seconds = self._limit.wait(client)
        if seconds:
            raise _RefusedError(429, words.TOO_OFTEN, seconds)
        if headers.get(b"sec-fetch-site") == b"cross-site":
            raise _RefusedError(403, words.FOREIGN)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._max_body:
            raise _too_large(self._max_body)


def _too_large(max_body: int) -> _RefusedError:
    message = words.UPLOAD_TOO_LARGE.format(limit=max_body // 2**20)
    return _RefusedError(413, message)


def _bounded(receive, max_body: int, began: float):
    """Return `receive`, ended where a body grows too large or takes too long."""
    state = {"bytes": 0, "open": True}

    async def receive_bounded():
        if not state["open"]:  # the body is there: wait for the client to leave
            return await receive()
        left = began + READ_SECONDS - time.monotonic()
        try:
            message = await asyncio.wait_for(receive(), max(0, left))
        except TimeoutError:
            raise _RefusedError(408, words.TOO_SLOWLY) from None
        state["bytes"] += len(message.get("body", b""))
        state["open"] = message.get("more_body", False)
        if state["bytes"] > max_body:
            raise _too_large(max_body)
        return message

    return receive_bounded


class _Answer:
    """One answer on its way out."""

    def __init__(self, scope, send, ancestors: str):
        self.started = False
        self._id = door.request_id()
        self._cached = scope["path"].startswith(_ASSETS)
        self._send = send
        self._ancestors = ancestors
        self._held: dict | None = None  # a page's start, until its scripts are known
        self._page = b""

    async def send(self, message: dict) -> None:
        """Pass a message on, with headers; hold pages back until they are whole."""
        self.started = True
        if message["type"] == "http.response.start":
            kind = dict(message["headers"]).get(b"content-type", b"")
            if kind.startswith(b"text/html"):
                self._held = message
            else:
                await self._send(self._dressed(message, "default-src 'none'"))
        elif self._held and message["type"] == "http.response.body":
            self._page += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send(self._dressed(self._held, _page_policy(self._page)))
                await self._send({"type": message["type"], "body": self._page})
        else:
            await self._send(message)

    async def refuse(self, error: _RefusedError) -> None:
        """Answer a request that is not let through."""
        body = json.dumps({"detail": str(error), "request_id": self._id}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        if error.wait:
            headers.append((b"retry-after", str(error.wait).encode()))
        start = {"type": "http.response.start", "headers": headers}
        await self.send(start | {"status": error.status})
        await self.send({"type": "http.response.body", "body": body})

    def _dressed(self, message: dict, policy: str) -> dict:
        ours = dict(door.HEADERS)
        ours["Content-Security-Policy"] = f"{policy}; {self._ancestors}"
        ours["X-Request-Id"] = self._id
        if self._cached:
            del ours["Cache-Control"]
        if message["status"] == 503:
            ours["Retry-After"] = str(door.RETRY_SECONDS)
        new = [(name.lower().encode(), value.encode()) for name, value in ours.items()]
        names = {name for name, _ in new}
        kept = [pair for pair in message["headers"] if pair[0].lower() not in names]
        if message["status"] >= 400:
            _log.info("%s %s", self._id, message["status"])
        return message | {"headers": kept + new}


def _page_policy(page: bytes) -> str:
    """Allow a page what Gradio's needs: its own files, and the scripts written in it.

    The scripts are named by their hashes, so that none that is slipped in can run.
    """
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
        for script in _SCRIPT.findall(page)
    ]
    scripts = " ".join(["'self'", *hashes])
    return (
        f"default-src 'none'; script-src {scripts}; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "font-src 'self' data:; connect-src 'self'; media-src 'self' blob:; "
        "worker-src 'self' blob:; manifest-src 'self'; base-uri 'self'; "
        "form-action 'self'"
    )
