"""Decode in worker processes, so that a hostile file costs one request at most.

A codec that crashes, loops or eats memory ends its worker and nothing else. Both apps
read every upload in a worker. `predict` by itself decodes in its own process, for it is
given files that its caller trusts. What rare decoders of TIFF and JPEG read always goes
to a worker. `answer_files` sends all DICOM to workers, because reading its attributes
holds Python's lock.

This is the side of the server; `worker` is the other one. They speak over two pipes: a
length, what is wished, and the file or its path in; two lengths, a JSON header and
pixels out. A worker that is told a path reads no more of the file than it needs.
No pickle is sent, so a worker that a file took over can't run anything in the server.
"""

import contextlib
import errno
import functools
import json
import logging
import os
import signal
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..safe_path import safe_path
from ..words import READER_WARNINGS
from .image import SHARP_SIDE, read_picture
from .picture import ASKED, ImageError, InstallationError, Picture

WALL_SECONDS = 60
"""Time after which a worker is killed, whatever it does."""

_RETIRE_PEAK = 600 * 2**20  # a worker that once held more than this is replaced
_RETIRE_AFTER = 1000  # files, whatever it held
_CANT_IMPORT = 86  # exit status of a worker
_START = f"""
import sys
sys.path[:] = sys.argv[2:]
import types
package = types.ModuleType("pneumonia")  # without its face: no ONNX Runtime in here
package.__path__ = [sys.argv[1]]
sys.modules["pneumonia"] = package
try:
    from pneumonia.reading.worker import serve
except ImportError:
    sys.exit({_CANT_IMPORT})
serve()
"""
_log = logging.getLogger(__name__)


class IsolatedReader:
    """Reads pictures in worker processes. Threads may share it.

    Workers start when they are needed and end with this process at the latest.
    """

    def __init__(self, workers: int = 2, wall_seconds: float = WALL_SECONDS):
        self._wall_seconds = wall_seconds
        self._slots = threading.BoundedSemaphore(workers)
        self._idle: deque[_Worker] = deque()
        self._owner = os.getpid()

    def read(
        self, data: bytes | Path, sharp: bool = False, coarse: bool = False
    ) -> Picture:
        """Decode a file as `read_picture` does, somewhere else.

        Args:
            data: the file's content, or where it is.
            sharp: as there.
            coarse: as there.

        Raises:
            ImageError: as there; `too_slow` and `damaged`, too, where a worker broke.
            InstallationError: as there.
            OSError: there is no file, or it can't be read.
        """
        asked = _asked(data, sharp, coarse)
        if self._owner != os.getpid():  # forked: the workers belong to the parent
            self._idle, self._owner = deque(), os.getpid()
        with self._slots:
            for fresh in (False, True):  # workers may have been killed from outside
                try:
                    return self._read_once(asked, fresh)
                except _UnreadableError as error:
                    raise OSError(error.why, os.strerror(error.why), data) from None
                except _WorkerDiedError as error:
                    if error.overran:
                        raise _too_slow() from None
        _log.warning("a reader broke down twice on one file")
        raise _broken()

    def _read_once(self, asked: tuple[bytes, ...], fresh: bool) -> Picture:
        try:
            worker = _Worker() if fresh else self._idle.pop()
        except IndexError:
            worker = _Worker()
        try:
            picture = worker.read(asked, self._wall_seconds)
        except (ImageError, _UnreadableError):
            self._put_back(worker)
            raise
        except BaseException:
            worker.end()
            raise
        self._put_back(worker)
        return picture

    def _put_back(self, worker: "_Worker") -> None:
        if worker.worn:
            worker.end()
        else:
            self._idle.append(worker)

    def close(self) -> None:
        """End the idle workers."""
        while self._idle and self._owner == os.getpid():
            self._idle.pop().end()


def read_anywhere(
    data: bytes, coarse: bool = False, reader: IsolatedReader | None = None
) -> Picture:
    """Decode a file here, as `read_picture` does, or in a worker where that is safer.

    Files of strangers belong into `IsolatedReader.read`.

    Args:
        data: the file's content.
        coarse: as in `read_picture`.
        reader: has the workers; None: one that all calls share.

    Raises:
        ImageError: as there, or as `IsolatedReader.read`.
        InstallationError: as there.
    """
    try:
        return read_picture(data, coarse=coarse)
    except ImageError as error:
        if error.reason != "needs_worker":
            raise
    return (reader or _shared_reader()).read(data, coarse=coarse)


@functools.cache
def _shared_reader() -> IsolatedReader:
    return IsolatedReader(1)


class _WorkerDiedError(RuntimeError):
    """A worker ended in the middle of a file.

    Attributes:
        overran: it took too long, and was ended for it.
    """

    def __init__(self, overran: bool):
        super().__init__("a reader died")
        self.overran = overran


class _UnreadableError(RuntimeError):
    """A file could not be read where its path says that it is.

    Attributes:
        why: a number of `errno`.
    """

    def __init__(self, why: int):
        super().__init__("a file can't be read")
        self.why = why


def _asked(data: bytes | Path, sharp: bool, coarse: bool) -> tuple[bytes, bytes]:
    """Return what a worker is asked, in two parts."""
    by_path = isinstance(data, Path)
    content = os.fsencode(data.absolute()) if isinstance(data, Path) else data
    return struct.pack(ASKED, len(content), sharp, coarse, by_path), content


class _Worker:
    """One process that runs `worker.serve`."""

    def __init__(self) -> None:
        package = Path(__file__).parent.parent
        single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        single["MALLOC_MMAP_THRESHOLD_"] = str(2**20)  # glibc: give pictures back
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, package, *safe_path()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_without_own_path(os.environ) | single,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise OSError("no pipe")  # never: both were asked for
        self._asked, self._answers = self._process.stdin, self._process.stdout
        self._answered = 0
        self.worn = False

    def read(self, asked: tuple[bytes, ...], seconds: float) -> Picture:
        """Ask for one file.

        Raises:
            ImageError: what the worker found.
            _UnreadableError: likewise.
            _WorkerDiedError: it gave no answer, or none that makes sense.
        """
        overran = threading.Event()

        def overrun() -> None:
            overran.set()
            self._process.kill()

        timer = threading.Timer(seconds, overrun)
        timer.daemon = True
        timer.start()
        try:
            for part in asked:
                self._asked.write(part)
            self._asked.flush()
            lengths = struct.unpack("<II", self._receive(8))
            if lengths[0] > 2**16 or lengths[1] > SHARP_SIDE**2:
                raise EOFError
            header = json.loads(self._receive(lengths[0]))
            return self._understand(header, self._receive(lengths[1]))
        except (ImageError, InstallationError, _UnreadableError):
            raise
        except (OSError, EOFError, ValueError, KeyError, TypeError):
            self.end()
            if self._process.returncode == _CANT_IMPORT:
                raise InstallationError("a package of the reader") from None
            out_of_time = -getattr(signal, "SIGXCPU", 0)
            if self._process.returncode == -getattr(signal, "SIGBUS", 0) != 0:
                raise _UnreadableError(errno.EIO) from None  # of a part of the map
            slow = overran.is_set() or self._process.returncode == out_of_time != 0
            raise _WorkerDiedError(slow) from None
        finally:
            timer.cancel()

    def _receive(self, count: int) -> bytes:
        data = self._answers.read(count)
        if len(data) < count:
            raise EOFError
        return data

    def _understand(self, header: dict[str, Any], body: bytes) -> Picture:
        """Return or raise what a worker answered, trusting nothing in it."""
        self._answered += 1
        self.worn = header["peak"] > _RETIRE_PEAK or self._answered >= _RETIRE_AFTER
        if header.get("bug") == "MemoryError":
            raise EOFError  # perhaps not the file's fault: once more, in a new one
        if "bug" in header:
            _log.error("the reader met an unforeseen %s", str(header["bug"])[:50])
            raise _broken()
        if "missing" in header:
            raise InstallationError(str(header["missing"])[:50])
        if "errno" in header:
            raise _UnreadableError(int(header["errno"]))
        if "reason" in header:
            raise ImageError(str(header["reason"]), str(header["message"]))
        height, width = header["shape"]
        pixels = np.frombuffer(body, np.uint8).reshape(height, width)
        warnings = tuple(code for code in header["warnings"] if code in READER_WARNINGS)
        sides_known = header["sides_known"] is True
        return Picture(pixels, float(header["chroma"]), warnings, sides_known)

    def end(self) -> None:
        """End the process and forget it."""
        with contextlib.suppress(OSError):
            self._asked.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)  # it ends by itself when nobody can ask any more
        self._process.kill()  # does nothing to a process that has ended
        self._process.wait()
        self._answers.close()


def _without_own_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out PYTHONPATH, an empty part of which is the working directory, too."""
    return {k: v for k, v in environment.items() if k != "PYTHONPATH"}


def _too_slow() -> ImageError:
    return ImageError(
        "too_slow",
        "This picture takes too long to read. Save it once more, smaller or in "
        "another format, and try again.",
    )


def _broken() -> ImageError:
    return ImageError(
        "damaged",
        "This picture is damaged in a way that stops its reader. "
        "Save or download it once more and try again.",
    )
