"""The worker process that decodes files for `isolated`, within limits of its own."""

import contextlib
import errno
import json
import mmap
import os
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .image import allow_risky_decoders, read_picture
from .picture import ASKED, ImageError, InstallationError, Picture

CPU_SECONDS = 10
"""Processor time that one file may take; ends a loop on a busy machine, too."""

MEMORY = 3 * 2**30
"""Address space of a worker, in bytes."""


def serve(read: Callable[..., Picture] = read_picture) -> None:
    """Answer files from standard input on standard output until it closes."""
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what a codec prints may quote the file
        os.dup2(nowhere, stream)
    allow_risky_decoders()
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle
    usage = _limit()
    while head := asked.read(struct.calcsize(ASKED)):
        length, sharp, coarse, by_path = struct.unpack(ASKED, head)
        data = asked.read(length)
        usage.start()
        body = b""
        header: dict[str, Any]
        try:
            content = _content(os.fsdecode(data)) if by_path else data
            picture = read(content, sharp, **({"coarse": True} if coarse else {}))
        except ImageError as error:
            header = {"reason": error.reason, "message": str(error)}
        except _UnreadableError as error:
            header = {"errno": error.errno}
        except InstallationError as error:
            header = {"missing": error.package}
        except Exception as error:  # told to the server by its kind alone
            header = {"bug": type(error).__name__}
        else:
            header = {
                "shape": picture.pixels.shape,
                "chroma": picture.chroma,
                "warnings": picture.warnings,
                "sides_known": picture.sides_known,
            }
            body = picture.pixels.tobytes()
        text = json.dumps(header | {"peak": usage.peak()}).encode()
        answers.write(struct.pack("<II", len(text), len(body)) + text + body)
        answers.flush()


class _UnreadableError(OSError):
    """A file can't be opened; what decoders raise is another matter."""


def _content(path: str) -> bytes | mmap.mmap:
    """Return a file as a memory map, of which only what is looked at is read."""
    try:
        with Path(path).open("rb") as file:
            try:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError):  # empty, or on a file system without
                return file.read()
    except OSError as error:
        raise _UnreadableError(error.errno or errno.EIO, "") from None


class _Unlimited:
    """A system without limits for a process: `WALL_SECONDS` alone ends a file."""

    def start(self) -> None:
        """Begin a file."""

    def peak(self) -> int:
        """Return the most memory held so far, in bytes; 0 where unknown."""
        return 0


def _limit() -> _Unlimited:
    """Limit memory, open files and writing to disk for this process."""
    try:
        import resource
    except ImportError:  # Windows
        return _Unlimited()

    class Limited(_Unlimited):
        def start(self) -> None:
            used = resource.getrusage(resource.RUSAGE_SELF)
            seconds = int(used.ru_utime + used.ru_stime) + 1 + CPU_SECONDS
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))

        def peak(self) -> int:
            with contextlib.suppress(OSError, IndexError):  # rusage counts the parent
                status = Path("/proc/self/status").read_text()
                return int(status.partition("VmHWM:")[2].split()[0]) * 1024
            return 0

    limits = {"AS": MEMORY, "FSIZE": 0, "CORE": 0, "NOFILE": 64}
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS: no limit on memory
            resource.setrlimit(kind, (allowed, hard))
    return Limited()
