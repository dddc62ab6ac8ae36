"""Where Gradio keeps uploads: in memory where there is a place, private, soon gone."""

import atexit
import contextlib
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

KEEP_SECONDS = 120
"""Age at which a file is deleted, looked for every quarter of it."""

_MEMORY = Path("/dev/shm")  # a file system that never reaches a disk
_MEMORY_NEEDED = 2**30
_PREFIX = "pneumonia-"


class Cache:
    """A private folder whose files live for minutes and never beyond the program."""

    def __init__(self, keep_seconds: float = KEEP_SECONDS):
        place = _place()
        _remove_leftovers(place or Path(tempfile.gettempdir()))
        prefix = f"{_PREFIX}{os.getpid()}-"
        self.folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        self._keep_seconds = keep_seconds
        self._closed = threading.Event()
        atexit.register(self.close)
        threading.Thread(target=self._sweep_for_ever, daemon=True).start()

    def sweep(self) -> None:
        """Delete files that are old enough, and folders that became empty."""
        limit = time.time() - self._keep_seconds
        for place, folders, files in os.walk(self.folder, topdown=False):
            for file in (Path(place, name) for name in files):
                with contextlib.suppress(OSError):  # gone already
                    if file.stat().st_ctime < limit:
                        file.unlink()
            for folder in (Path(place, name) for name in folders):
                with contextlib.suppress(OSError):  # gone already, or not empty
                    if folder.stat().st_mtime < limit:
                        folder.rmdir()

    def _sweep_for_ever(self) -> None:
        while not self._closed.wait(self._keep_seconds / 4):
            self.sweep()

    def close(self) -> None:
        """Delete everything."""
        self._closed.set()
        shutil.rmtree(self.folder, ignore_errors=True)


def _remove_leftovers(place: Path) -> None:
    """Delete the folders of programs that were killed before they could."""
    if os.name != "posix":  # elsewhere nobody can be asked whether they live
        return
    for path in place.glob(f"{_PREFIX}*-*"):
        owner = path.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if owner.isdigit() and path.stat().st_uid == os.getuid():
                try:
                    os.kill(int(owner), 0)  # sends nothing, only asks
                except ProcessLookupError:
                    shutil.rmtree(path, ignore_errors=True)


def _place() -> Path | None:
    """Return where a folder lies in memory; None: where the system keeps such files."""
    with contextlib.suppress(OSError):
        room = shutil.disk_usage(_MEMORY).free
        if room >= _MEMORY_NEEDED and os.access(_MEMORY, os.W_OK):
            return _MEMORY
    return None
