"""The apps as users start them, in processes or threads of their own."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pneumonia"
FORM = ("-m", "pneumonia", "serve", "form")


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


def run(*command: str, python=sys.executable, **options):
    """Run Python to its end, from the root, and return what it said."""
    usual = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 300}
    return subprocess.run([python, *command], **usual | options)


@contextlib.contextmanager
def served(*command: str, python=sys.executable, inside: tuple = (), **options):
    """Start an app and stop it; gives its address and process.

    Args:
        *command: what Python is started with.
        python: another one, of an environment of its own.
        inside: what the whole is run by.
        **options: of `Popen`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*inside, python, *command, "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        **{"cwd": ROOT} | options,
    )
    try:
        assert f":{port}" in process.stdout.readline()
        while not answers(port):  # gunicorn says so before it listens
            assert process.poll() is None
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/", process
    finally:
        process.terminate()
        process.wait(120)


@contextlib.contextmanager
def in_thread(server):
    """Let a server of the standard library serve; gives its address."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
