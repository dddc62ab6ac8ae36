"""The door around Gradio's server: bounds on what comes, headers on what goes."""

import asyncio
import base64
import contextlib
import errno
import gzip
import hashlib
import json
import logging
import posixpath
import re
import sys
import time
import types
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from .. import door, words

READ_SECONDS = 60
"""Time in which a request's body must have come, however lively its client drips."""

_ASSETS = ("/assets/", "/static/", "/svelte/")  # the same for everybody: may be cached
_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
_BEGIN = ("/upload", "/ask")  # after the server was told to end, nothing begins
_PAGES = ("/", "/gradio_api/runs", "/gradio_api/runs/")
_CONFIGS = ("/config", "/config/")
_EXAMPLES = ("/gradio_api/info", "/gradio_api/info/")
_HERE = "http://here.invalid"  # Gradio writes it where the page's own address belongs
_HOSTS = (b"host", b"x-forwarded-host")
_HEAD = b"""<head><link rel="icon" href="./favicon.ico"><script>
if (!location.pathname.endsWith("/")) location.pathname += "/";
</script>
"""
"""Without the slash, relative addresses would lead out of the proxy's path."""
_PREVIEW = re.compile(rb'<meta\s+(?:property|name)="(?:og|twitter):[^>]*>')  # Gradio's

_SMALL = 1024  # bytes of a page that is sent as it is
_EFFORT = 5  # of gzip: a page of 70 KiB takes two milliseconds
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_QUIET_SECONDS = 1.0  # a client's next step comes sooner
_log = logging.getLogger("pneumonia.web")


def log_without_files() -> None:
    """Let Gradio log of an unforeseen error where it was, and not what it held.

    Its tracebacks quote requests, with the names of uploads in them.
    """
    import gradio  # after `uploads`, which tells it where to write

    for module in (gradio.queueing, gradio.routes, gradio.route_utils):
        module.traceback = types.SimpleNamespace(print_exc=_log_error)


def _log_error() -> None:
    kind, _, trace = sys.exc_info()
    while trace and trace.tb_next:
        trace = trace.tb_next
    if kind and trace:
        place = f"{trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}"
        _log.error("an unforeseen %s in %s", kind.__name__, place)


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
        head: what begins the page's head, such as scripts before Gradio's.
        root_path: below which a proxy shows the app, for the API's examples; "": what
            the proxy says. Everything else is told relative addresses.
    """

    def __init__(
        self,
        app,
        *,
        limit: door.RateLimit,
        max_body: int,
        embed: list[str],
        attendance: Attendance | None = None,
        head: str = "",
        root_path: str = "",
    ):
        self._app = app
        self._attendance = attendance or Attendance()
        self._limit = limit
        self._max_body = max_body
        self._ancestors = door.frame_ancestors(embed)
        self._root_path = root_path
        self._head = _HEAD + head.encode()

    async def __call__(self, scope, receive, send) -> None:
        """Answer one request, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _placed(scope, self._root_path)
        answer = _Answer(scope, send, self._ancestors, self._head)
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
            said = getattr(error, "said", words.NO_ROOM)
            await answer.refuse(_RefusedError(507, said, door.RETRY_SECONDS))

    def _check(self, scope) -> None:
        if scope["method"] != "POST":
            return
        if self._attendance.closing and scope["path"].endswith(_BEGIN):
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


def _placed(scope: dict, root_path: str) -> dict:
    """Tell Gradio where the app stands, as far as that can be known.

    Pages get a mark for their own address, which `_Answer` makes relative. Examples of
    the API need whole addresses: with the host and the prefix that the proxy names.
    """
    path, headers = scope["path"], dict(scope["headers"])
    if path in _PAGES + _CONFIGS:
        scope = scope | {"root_path": _HERE}
    if path in _EXAMPLES:  # else Gradio tells all the address that the first one sent
        scope = scope | {"query_string": b"page=&" + scope["query_string"]}
    said = headers.get(door.PREFIX_HEADER.lower().encode(), b"").decode("latin-1")
    prefix = door.prefix(root_path, said)
    if not prefix or not (path == "/" or path.startswith("/gradio_api/")):
        return scope
    host = headers.get(b"x-forwarded-host") or headers.get(b"host", b"")
    address = b"http://" + host.split(b",")[0].strip() + prefix.encode()
    kept = [pair for pair in scope["headers"] if pair[0] != b"x-forwarded-host"]
    return scope | {"headers": [(b"x-gradio-server", address), *kept]}


def _relative(location: str, scope: dict) -> str:
    """Return where a redirect of this app leads, as seen from what was asked for."""
    to, headers = urlsplit(location), dict(scope["headers"])
    own = [headers.get(name, b"").split(b",")[0].decode("latin-1") for name in _HOSTS]
    if to.netloc not in ["", *own]:
        return location
    there, name = posixpath.split(to.path or "/")
    up = posixpath.relpath(there, posixpath.dirname(scope["path"]))
    return urlunsplit(("", "", f"./{up}/{name}", to.query, ""))


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

    def __init__(self, scope, send, ancestors: str, head: bytes):
        self.started = False
        self._id = door.request_id()
        self._scope = scope
        self._cached = scope["path"].startswith(_ASSETS)
        self._send = send
        self._ancestors = ancestors
        self._head = head
        self._held: dict | None = None  # a page's start, until its scripts are known
        self._page = b""

    async def send(self, message: dict) -> None:
        """Pass a message on, with headers; hold pages back until they are whole."""
        self.started = True
        if message["type"] == "http.response.start":
            kind = dict(message["headers"]).get(b"content-type", b"")
            self._is_page = kind.startswith(b"text/html")
            if self._is_page or self._scope["path"] in _CONFIGS:
                self._held = message
            else:
                await self._send(self._dressed(message, "default-src 'none'"))
        elif self._held and message["type"] == "http.response.body":
            self._page += message.get("body", b"")
            if not message.get("more_body", False):
                page = self._placed_page()
                policy = _page_policy(page) if self._is_page else "default-src 'none'"
                packed, page = self._packed(page)
                size = str(len(page)).encode()
                headers = packed + [
                    (name, size if name == b"content-length" else value)
                    for name, value in self._held["headers"]
                ]
                start = self._held | {"headers": headers}
                await self._send(self._dressed(start, policy))
                await self._send({"type": message["type"], "body": page})
        else:
            await self._send(message)

    def _placed(self, name: bytes, value: bytes) -> bytes:
        """Return a header's value without the app's own address in it."""
        if name == b"location":
            return _relative(value.decode("latin-1"), self._scope).encode("latin-1")
        if name == b"set-cookie" and self._scope["path"] in ("/login", "/logout"):
            return re.sub(rb"; Path=/(?=;|$)", b"", value)  # the folder of the address
        return value

    def _placed_page(self) -> bytes:
        """Return the page with relative addresses.

        A page finds itself by them; who reads the configuration knows where he got it.
        """
        path = self._scope["path"]
        if not self._is_page:
            return self._page.replace(_HERE.encode(), b"")
        up = "/".join([".."] * (path.count("/") - 1)) or "."
        page = self._page.replace(_HERE.encode(), up.encode())
        page = page.replace(b'href="/manifest.json"', b'href="./manifest.json"')
        if path != "/":
            return page
        return _PREVIEW.sub(b"", page).replace(b"<head>", self._head, 1)

    def _packed(self, page: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Return a page as small as its reader takes it, with the headers for that."""
        asked = dict(self._scope["headers"]).get(b"accept-encoding", b"")
        given = dict(self._held["headers"] if self._held else [])
        if b"gzip" not in asked or b"content-encoding" in given or len(page) < _SMALL:
            return [], page
        headers = [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
        return headers, gzip.compress(page, _EFFORT)

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
        kept = [
            (name, self._placed(name.lower(), value))
            for name, value in message["headers"]
            if name.lower() not in names
        ]
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
