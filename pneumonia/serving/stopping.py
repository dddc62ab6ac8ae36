"""Ctrl-C and a polite kill end a command in its own words, without a traceback."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Stopped(KeyboardInterrupt):
    """This process was asked to end; the argument is the number of the signal."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` where a signal asks this process to end.

    The second one ends it at once. A signal that is ignored, as after nohup, stays so.
    """
    before: dict[signal.Signals, Any] = {}

    def stop(number: int, frame: object) -> None:
        for caught in before:
            signal.signal(caught, signal.SIG_DFL)
        raise Stopped(number)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def status(stop: KeyboardInterrupt) -> int:
    """Return what a shell gives a command that a signal ended: 130, or 143."""
    return 128 + (stop.args[0] if isinstance(stop, Stopped) else signal.SIGINT)
