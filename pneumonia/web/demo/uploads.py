"""Where Gradio keeps uploads: in memory where there is room, private, soon gone.

To be imported before Gradio, which asks for its folder while it is imported.
"""

import atexit
import contextlib
import errno
import math
import os
import secrets
import shutil
import stat
import tempfile
import threading
import time
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from .. import words

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

KEEP_SECONDS = 120
"""Age at which a file is deleted, looked for every quarter of it."""

MOST = 2**30
"""How many bytes of uploads are kept at once."""

_MEMORY = Path("/dev/shm")  # a file system that never reaches a disk
_AMPLE = MOST  # room in memory; with less of it, a disk comes first
_LEAST = 8 * 2**20  # room that is worth a start
_PREFIX, _SUFFIX = "pneumonia-", "-uploads"
_HANDLES = f"{Path('/proc/self').resolve()}/fd/"  # by number: children can use it, too
_GRADIO, _LINK = "/gradio_api/", "/deep_link"  # what comes there may be kept
_SMALL = 2**16  # a body that asks about uploads and is none
_VANISHED = {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EROFS, errno.ESTALE}


class NoRoomError(OSError):
    """There is no room for uploads; `said` is what a visitor is told."""

    def __init__(self, said: str):
        super().__init__(errno.ENOSPC, said)
        self.said = said


class Cache:
    """A private folder whose files live for minutes and never beyond the program.

    On Linux Gradio is told a way through a handle of the folder and not its name. So
    nothing is ever written but to the folder that was made here: once that is deleted,
    writing fails until `ensure` made another. Elsewhere the way is the name.

    Attributes:
        folder: where it lies now; another one after `ensure` had to make it anew.
        way: the path that Gradio is told; it stays.

    Raises:
        NoRoomError: no place can hold it.
    """

    def __init__(self, keep_seconds: float = KEEP_SECONDS):
        self.way = _ways.pop(0) if _ways else _new_way()
        self._keep_seconds = keep_seconds
        self._closed = threading.Event()
        self._making = threading.RLock()
        self._handle: int | None = None
        for place in (_MEMORY, Path(tempfile.gettempdir())):
            _remove_leftovers(place)
        try:
            self._begin()
        except NoRoomError:
            self._give_back()
            raise
        self._umask = os.umask(0o077)  # of sub-folders and files, whoever makes them
        atexit.register(self.close)
        threading.Thread(target=self._sweep_for_ever, daemon=True).start()

    def ensure(self) -> None:
        """Make the folder anew if it is gone, or no longer this program's alone.

        Raises:
            NoRoomError: no place can hold it, or the cache is closed.
        """
        with self._making:
            if self._closed.is_set():
                raise NoRoomError(words.NO_ROOM)
            if not _is_private(self.folder, self._handle):
                self._end()
                self._begin()

    def room(self) -> int:
        """Return how many bytes of uploads may come now."""
        kept = 0
        for place, _, files in os.walk(self.way):
            for file in (Path(place, name) for name in files):
                with contextlib.suppress(OSError):  # gone already
                    kept += file.lstat().st_size
        return min(shutil.disk_usage(self.way).free, MOST - kept)

    def drop_partial(self) -> None:
        """Delete what did not come to its end: whole files lie in sub-folders."""
        with contextlib.suppress(OSError):
            for path in Path(self.way).iterdir():
                if not path.is_dir():
                    os.truncate(path, 0)  # Gradio may still hold it open
                    path.unlink()

    def sweep(self) -> None:
        """Delete files that are old enough, and folders that became empty."""
        with contextlib.suppress(NoRoomError):  # nothing is left there, or all closed
            self.ensure()
            _delete(self.way, time.time() - self._keep_seconds)

    def _sweep_for_ever(self) -> None:
        while not self._closed.wait(self._keep_seconds / 4):
            self.sweep()

    def close(self) -> None:
        """Delete everything."""
        with self._making:
            if not self._closed.is_set():
                self._closed.set()
                self._end()
                self._give_back()
                os.umask(self._umask)

    def _give_back(self) -> None:
        """Let the next one take this way, the one that Gradio remembers first."""
        _ways.insert(0 if self.way == _FIRST else len(_ways), self.way)

    def _begin(self) -> None:
        for place in _places() if self.way.startswith(_HANDLES) else [None]:
            for _ in range(20):
                with contextlib.suppress(OSError):
                    if self._take(_make(place, self.way)):
                        return
        raise NoRoomError(words.NO_PLACE.format(least=_LEAST // 2**20))

    def _take(self, folder: Path) -> bool:
        """Hold a new folder; False: somebody else does, or made it another."""
        if os.name != "posix":
            self.folder = folder
            return True
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            is_free = _lock(handle)
        except OSError:  # nobody can lock here, and so nobody deletes leftovers here
            is_free = True
        if not is_free or not _is_private(folder, handle):
            os.close(handle)
            with contextlib.suppress(OSError):  # who took it deletes it
                folder.rmdir()
            return False
        self._handle, self.folder = handle, folder
        self._lead(handle)
        return True

    def _lead(self, handle: int) -> None:
        """Let the way lead to a handle, if it is no name."""
        if self.way.startswith(_HANDLES):
            number = int(self.way.removeprefix(_HANDLES))
            os.dup2(handle, number, inheritable=False)

    def _end(self) -> None:
        """Let nothing more be written to the folder, and delete it."""
        name, handle, self._handle = self.folder, self._handle, None
        nowhere = os.open(os.devnull, os.O_RDONLY)
        self._lead(nowhere)
        os.close(nowhere)
        if self.way.startswith(_HANDLES):
            _delete(f"{_HANDLES}{handle}", math.inf)
        if _is_ours(name, handle):  # its name means nothing else by now
            _delete(str(name), math.inf)
            with contextlib.suppress(OSError):  # gone already
                name.rmdir()
        if handle is not None:
            os.close(handle)


class Guard:
    """ASGI middleware: Gradio writes only where the folder is private and has room."""

    def __init__(self, app: ASGIApp, *, cache: Cache):
        self._app = app
        self._cache = cache
        self._coming: list[int] = []  # bytes of each request under way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it by a NoRoomError."""
        keeps = scope["type"] == "http" and scope["path"].startswith(_GRADIO)
        if not keeps or (scope["method"] != "POST" and _LINK not in scope["path"]):
            await self._app(scope, receive, send)
            return
        self._cache.ensure()
        length = dict(scope["headers"]).get(b"content-length", b"")
        size = int(length) if length.isdigit() else 0  # unknown: it fails on its way
        if size > _SMALL:
            room = max(0, self._cache.room() - sum(self._coming))
            if size > room:
                said = {"size": math.ceil(size / 2**20), "room": room // 2**20}
                raise NoRoomError(words.NO_ROOM_FOR.format(**said))
        self._coming.append(size)
        try:
            await self._app(scope, receive, send)
        except OSError as error:
            if error.errno in _VANISHED:  # the folder did, while the file came
                raise NoRoomError(words.NO_ROOM) from error
            raise
        finally:
            self._coming.remove(size)
            if not self._coming:
                self._cache.drop_partial()


def _new_way() -> str:
    """Return a path to a folder that is still to be made."""
    nowhere = os.open(os.devnull, os.O_RDONLY)
    way = f"{_HANDLES}{nowhere}"
    if Path(way).exists():
        return way
    os.close(nowhere)
    name = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
    return str(Path(tempfile.gettempdir(), name))


def _make(place: Path | None, way: str) -> Path:
    """Make a folder in a place, or by its name."""
    if place is not None:
        return Path(tempfile.mkdtemp(_SUFFIX, f"{_PREFIX}{os.getpid()}-", place))
    Path(way).mkdir(0o700)
    return Path(way)


def _lock(handle: int) -> bool:
    """Hold a folder while its handle is open; False: somebody else does.

    Such a lock is the kernel's: it is seen from every container, and ends with the
    program however that ends. What cleans temporary folders respects it, too.

    Raises:
        OSError: there are no locks on this file system.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_ours(folder: Path, handle: int | None) -> bool:
    """Return whether a name still means the folder that is held, and it is our own."""
    try:
        there = os.lstat(folder)
        if handle is None:  # nothing is held, or this is Windows
            return os.name != "posix" and stat.S_ISDIR(there.st_mode)
        held = os.fstat(handle)
    except OSError:
        return False
    return os.path.samestat(there, held) and held.st_uid == os.geteuid()


def _is_private(folder: Path, handle: int | None) -> bool:
    """Return whether besides nobody else may open it."""
    is_closed = handle is None or os.fstat(handle).st_mode & 0o777 == 0o700
    return is_closed and _is_ours(folder, handle)


def _delete(way: str, limit: float) -> None:
    """Delete files and empty folders of before a time, in seconds since the epoch."""
    for place, folders, files in os.walk(way, topdown=False):
        for file in (Path(place, name) for name in files):
            with contextlib.suppress(OSError):  # gone already
                if file.lstat().st_ctime < limit:
                    file.unlink()
        for folder in (Path(place, name) for name in folders):
            with contextlib.suppress(OSError):  # gone already, or not empty
                if folder.lstat().st_mtime < limit:
                    folder.rmdir()


def _remove_leftovers(place: Path) -> None:
    """Delete the folders of programs that were killed: those that nobody holds."""
    if fcntl is None:
        return
    for path in place.glob(f"{_PREFIX}[0-9]*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if _is_ours(path, handle) and _lock(handle):
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(handle)


def _places() -> list[Path]:
    """Return where a folder may lie, the best first."""
    system = Path(tempfile.gettempdir())
    choices = [(_MEMORY, _AMPLE), (system, _LEAST), (_MEMORY, _LEAST)]
    if system == Path.cwd():  # Python's last resort: X-rays do not belong there
        choices.append(choices.pop(1))
    places = []
    for place, least in choices:
        with contextlib.suppress(OSError):
            is_open = os.access(place, os.W_OK | os.X_OK)
            if is_open and shutil.disk_usage(place).free >= least:
                places.append(place)
    return places


try:
    tempfile.gettempdir()
except FileNotFoundError:  # all is read-only; Gradio wants to name one all the same
    tempfile.tempdir = str(_MEMORY)
_FIRST = os.environ["GRADIO_TEMP_DIR"] = _new_way()
_ways = [_FIRST]
