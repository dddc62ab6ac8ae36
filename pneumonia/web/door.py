"""What both apps do at the door: who may come in, how often, what answers carry."""

import argparse
import contextlib
import hmac
import ipaddress
import math
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""What every answer carries, whatever it is."""

WORKING = max(2, min(4, os.cpu_count() or 2))
"""How many pictures are worked on at once."""

WAITING = 32
"""How many more may wait; others are told to come again."""

DRAIN_SECONDS = 30
"""How long what is under way may take to end once a server is told to stop."""

BODY_OVERHEAD = 64 * 1024
"""What a request's body may hold besides its file, in bytes."""

RETRY_SECONDS = 5
"""When to come again after the queue was full."""

PREFIX_HEADER = "X-Forwarded-Prefix"
"""Where a proxy says below which path it shows an app; others may send it, too."""

_AUTH_VARIABLE = "PNEUMONIA_AUTH"
_ROOT_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]{1,64}){1,8}")


@dataclass(frozen=True)
class Credentials:
    """The one user who may come in."""

    user: str
    password: str

    def match(self, user: str, password: str) -> bool:
        """Compare both in constant time, and both always."""
        pairs = ((user, self.user), (password, self.password))
        alike = [hmac.compare_digest(a.encode(), b.encode()) for a, b in pairs]
        return all(alike)


def credentials(text: str) -> Credentials:
    """Parse USER:PASSWORD."""
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise argparse.ArgumentTypeError("expected USER:PASSWORD, both not empty")
    return Credentials(user, password)


def origin(text: str) -> str:
    """Parse an origin that may embed the page, as in https://example.org."""
    scheme, _, rest = text.partition("://")
    if scheme not in ("http", "https") or not rest or set(rest) & set(" ;,/'\""):
        raise argparse.ArgumentTypeError("expected an origin like https://example.org")
    return text


def root_path(text: str) -> str:
    """Parse the path below which a proxy shows an app, as in /xray; / is none."""
    path = text.removesuffix("/")
    if path and not _ROOT_PATH.fullmatch(path):
        raise argparse.ArgumentTypeError("expected a path like /xray")
    return path


def prefix(root_path: str, header: str | None) -> str:
    """Return the path that addresses need which can't be relative, as in an example.

    Args:
        root_path: from the command line; it wins.
        header: `PREFIX_HEADER` of the request; anything but a plain path is ignored.
    """
    path = root_path or (header or "").removesuffix("/")
    return path if _ROOT_PATH.fullmatch(path) else ""


def add_arguments(parser: argparse.ArgumentParser, port: int) -> None:
    """Add the arguments that both apps take."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument(
        "--bundle",
        type=Path,
        metavar="DIR",
        help="of your own, from `python -m pneumonia export` (default: what ships)",
    )
    parser.add_argument(
        "--auth",
        type=credentials,
        default=os.environ.get(_AUTH_VARIABLE),
        metavar="USER:PASSWORD",
        help=f"let in nobody else; ${_AUTH_VARIABLE} keeps it out of the process list",
    )
    parser.add_argument(
        "--public", action="store_true", help="let in everybody who can reach this host"
    )
    parser.add_argument(
        "--rate",
        type=int,
        default=120,
        metavar="N",
        help="requests that a client may send in a minute, 0 for any number; this "
        "machine itself is not counted (default: %(default)s)",
    )
    parser.add_argument(
        "--embed",
        type=origin,
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let pages of this origin embed the app; may be repeated",
    )
    parser.add_argument(
        "--root-path",
        type=root_path,
        default="",
        metavar="PATH",
        help="below which a proxy shows the app, for the examples of its API "
        f"(default: what the proxy says in {PREFIX_HEADER}); pages need none",
    )


def check_access(
    parser: argparse.ArgumentParser, args: argparse.Namespace, shared: bool = False
) -> None:
    """End the program where strangers could come in and nobody said that they may."""
    if args.auth or args.public or not (shared or not is_loopback(args.host)):
        return
    parser.error(
        f"others could reach this {'through the link' if shared else 'host'}. "
        "Ask for a password with --auth USER:PASSWORD, or say --public."
    )


def is_loopback(host: str) -> bool:
    """Return whether only this machine itself stands behind a host's name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def frame_ancestors(embed: list[str]) -> str:
    """Return the rule on who may embed a page, for a Content-Security-Policy."""
    return " ".join(["frame-ancestors 'self'", *embed])


def request_id() -> str:
    """Return a new name for one request, for its answer and the log."""
    return secrets.token_hex(8)


class RateLimit:
    """A bucket of tokens for each client, refilled evenly. Threads may share it."""

    def __init__(self, per_minute: int, clients: int = 10_000):
        self._size = float(per_minute)
        self._clients = clients
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, client: str | None) -> int:
        """Take a token.

        Args:
            client: its address. This machine itself is let through.

        Returns:
            0, or in how many seconds the next token comes.
        """
        if not self._size or (client and is_loopback(client)):
            return 0
        key, now = _network(client), time.monotonic()
        with self._lock:
            tokens, then = self._buckets.pop(key, (self._size, now))
            tokens = min(self._size, tokens + (now - then) * self._size / 60)
            come_in = tokens >= 1
            self._buckets[key] = (tokens - come_in, now)
            while len(self._buckets) > self._clients:
                self._buckets.popitem(last=False)
        return 0 if come_in else math.ceil((1 - tokens) * 60 / self._size)


def _network(client: str | None) -> str:
    """Return an IPv4 address, or the /64 that one IPv6 client owns whole."""
    try:
        address = ipaddress.ip_address(client or "")
    except ValueError:
        return ""
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


class BusyError(RuntimeError):
    """All places are taken; come again in `RETRY_SECONDS`."""


class Turnstile:
    """Lets some requests work and some wait, and turns the others away at once."""

    def __init__(self, working: int, waiting: int, patience: float):
        self._places = threading.BoundedSemaphore(working + waiting)
        self._working = threading.BoundedSemaphore(working)
        self._patience = patience

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn and hold it.

        Raises:
            BusyError: too many wait already, or the turn did not come in time.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError
        try:
            if not self._working.acquire(timeout=self._patience):
                raise BusyError
            try:
                yield
            finally:
                self._working.release()
        finally:
            self._places.release()
