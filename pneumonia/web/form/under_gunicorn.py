"""The form under gunicorn: one process, one loaded network, many threads.

Threads and not processes, because decoding and the network leave Python's lock while
they work: a second process would hold a second network and answer nothing sooner.
Slow clients are a reverse proxy's to bear; put one in front where strangers come in.
"""

import argparse
import os
from collections.abc import Sequence

from gunicorn.app.base import BaseApplication
from gunicorn.errors import AppImportError
from gunicorn.workers import base
from gunicorn.workers.workertmp import WorkerTmp

from ...contract import NOTICE
from .. import door, startup
from .app import create_app

THREADS = 64
"""The form lets a few requests work at once and some thirty wait; the other threads are
there to read uploads, and to say at once that all places are taken."""


class Heartbeat(WorkerTmp):
    """A worker's sign of life, in memory: the form writes no file, not even this."""

    def __init__(self, cfg):
        self._tmp = os.fdopen(os.memfd_create("heartbeat"), "w+b", 0)


class Application(BaseApplication):
    """Gunicorn with settings from here instead of a file."""

    def __init__(self, args: argparse.Namespace):
        self._args = args
        super().__init__()

    def load_config(self) -> None:
        """Hand the settings to gunicorn."""
        host = f"[{self._args.host}]" if ":" in self._args.host else self._args.host
        settings = {
            "bind": f"{host}:{self._args.port}",
            "worker_class": "gthread",
            "workers": 1,
            "threads": THREADS,
            "graceful_timeout": door.DRAIN_SECONDS,
            "timeout": 120,
            "keepalive": 5,
            "loglevel": "warning",
            "control_socket_disable": True,  # it would lie in the user's home
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self):
        """Build the app inside the worker, where its threads will live."""
        args = self._args
        try:
            classifier = startup.load(args)
        except SystemExit as end:  # at any other end gunicorn begins again, for ever
            raise AppImportError(end.code) from end
        return create_app(
            classifier,
            auth=args.auth,
            rate=args.rate,
            embed=args.embed,
            root_path=args.root_path,
        )


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Serve the form.

    Args:
        arguments: the command line; None: of this process.
        prog: what the command is called.
    """
    parser = argparse.ArgumentParser(prog, description=__doc__.splitlines()[0])
    door.add_arguments(parser, port=5000)
    args = parser.parse_args(arguments)
    startup.check(parser, args)
    if hasattr(os, "memfd_create"):  # Linux
        base.WorkerTmp = Heartbeat
    print(f"form at http://{args.host}:{args.port}\n{NOTICE}", flush=True)
    Application(args).run()
