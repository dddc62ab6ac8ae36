"""Ctrl-C and a polite kill end a command in its own words, without a traceback."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_ONE_WISH = 1.0  # seconds within which two signals are one


class Stopped(KeyboardInterrupt):
    """This process was asked to end; the argument is the number of the signal."""


@contextmanager
def asked() -> Iterator[list[int]]:
    """Give a list that gets the number of a signal that asks this process to end.

    Nothing is raised: what is under way can be brought to its end. A second signal ends
    the process at once, but not within a second: `timeout` and others send two. One
    that is ignored, as after nohup, stays so.
    """
    numbers: list[int] = []
    begun = 0.0

    def stop(number: int) -> None:
        nonlocal begun
        if not numbers:
            begun = time.monotonic()
            numbers.append(number)
        elif time.monotonic() - begun > _ONE_WISH:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    with _caught(stop, once=False):
        yield numbers


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` where a signal asks this process to end.

    The second one ends it at once. A signal that is ignored, as after nohup, stays so.
    """

    def stop(number: int) -> None:
        raise Stopped(number)

    with _caught(stop, once=True):
        yield


@contextmanager
def _caught(stop: Callable[[int], None], once: bool) -> Iterator[None]:
    before: dict[signal.Signals, Any] = {}

    def handle(number: int, frame: object) -> None:
        if once:
            for caught in before:
                signal.signal(caught, signal.SIG_DFL)
        stop(number)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def status(stop: KeyboardInterrupt) -> int:
    """Return what a shell gives a command that a signal ended: 130, or 143."""
    return 128 + (stop.args[0] if isinstance(stop, Stopped) else signal.SIGINT)
