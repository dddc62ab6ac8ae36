"""A threaded HTTP server with bounds: connections, time for a request, idle time."""

import contextlib
import socket
import threading
import time

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

CONNECTIONS = 64
"""How many may be open at once; the next is told to come again."""

IDLE_SECONDS = 20
"""Silence after which a client is dropped."""

REQUEST_SECONDS = 120
"""Time after which a request is cut off, however lively its client drips."""

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 24\r\n\r\nBusy. Try again shortly.\n"
)


class Handler(WSGIRequestHandler):
    """One connection; the app itself logs its requests."""

    timeout = IDLE_SECONDS
    server_version = "pneumonia"  # no versions: they tell an attacker where to begin
    sys_version = ""

    def handle_one_request(self) -> None:
        """Handle one request, or cut it off when its time is over."""
        timer = threading.Timer(IDLE_SECONDS + REQUEST_SECONDS, self._cut)
        timer.daemon = True
        timer.start()
        try:
            super().handle_one_request()
        finally:
            timer.cancel()

    def _cut(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_request(self, *args) -> None:
        """Do not log: the app logs requests, without addresses and queries."""

    def log(self, *args) -> None:
        """Do not log clients that leave or send no HTTP."""


class Server(ThreadedWSGIServer):
    """Threads for at most `CONNECTIONS` clients."""

    def __init__(self, host: str, port: int, app):
        self._seats = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(host, port, app, handler=Handler)

    def process_request(self, request, client_address) -> None:
        """Start a thread for a connection, or send it away at once."""
        if self._seats.acquire(blocking=False):
            try:
                super().process_request(request, client_address)
            except BaseException:  # no thread could start: memory is short
                self._seats.release()
                raise
            return
        with contextlib.suppress(OSError):
            request.setblocking(False)
            request.send(_FULL)
        self.shutdown_request(request)

    def process_request_thread(self, request, client_address) -> None:
        """Serve a connection and free its seat."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._seats.release()

    def server_close(self) -> None:
        """Accept the connections that already wait, and then no more."""
        self.socket.setblocking(False)
        with contextlib.suppress(OSError):  # the line is empty
            while True:
                client, address = self.get_request()
                client.setblocking(True)
                self.process_request(client, address)
        super().server_close()

    def drain(self, seconds: float) -> None:
        """Wait until the open connections are answered."""
        end = time.monotonic() + seconds
        for _ in range(CONNECTIONS):
            if not self._seats.acquire(timeout=max(0, end - time.monotonic())):
                return
