"""Files that are whole or not there: what a full disk or a kill leaves is as before."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)


class KeepError(RuntimeError):
    """Nothing can be written where it should be; says what to do."""


class NoRoomError(KeepError):
    """The disk is full; the file that was to be replaced is as it was."""


def check(out: str | Path) -> None:
    """Raise KeepError if files can't be written into a folder; it may be missing.

    Long work asks before it begins.
    """
    place = Path(out).absolute()
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise KeepError(f"{place} is no folder, so {out} can't be one. Name another.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise KeepError(f"{place} can't be written to. Name another folder than {out}.")


def check_room(out: str | Path, needed: int) -> None:
    """Raise NoRoomError if the disk of a folder has less room than `needed` bytes."""
    free = shutil.disk_usage(out).free
    if free < needed:
        raise NoRoomError(
            f"No space is left in {out}: {needed / 1e6:,.0f} MB are needed, and "
            f"{free / 1e6:,.0f} MB are free. Free some, and run the same command again."
        )


@contextmanager
def whole(path: str | Path, needed: int = 0) -> Iterator[Path]:
    """Write a file whole or not at all.

    Args:
        path: the file. A link stays one; its target is replaced.
        needed: bytes that it will have, where they are known. Some writers can't be
            stopped in the middle without complaining of it in words of their own.

    Yields:
        A path beside it to write to, with the same ending. It takes the place of `path`
        when the block ends, and is removed if that raises.

    Raises:
        NoRoomError: the disk is full.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():  # a pipe, or standard output
        with _told(path):
            yield path
        return
    check_room(path.parent, needed)
    unfinished = path.with_name(f"unfinished-{path.name}")
    with _told(path):
        try:
            yield unfinished
            unfinished.replace(path)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise


@contextmanager
def all_of(out: str | Path) -> Iterator[Path]:
    """Write several files of a folder, all of them or none.

    Args:
        out: the folder, which is made if it is missing. Other files in it stay.

    Yields:
        An empty folder to write to. Its files are moved into `out` when the block ends,
        and removed if that raises.

    Raises:
        NoRoomError: the disk is full.
    """
    out = Path(out)
    new = not out.exists()
    with _told(out):
        out.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix="unfinished-", dir=out))
        try:
            yield place
            for file in place.iterdir():
                file.replace(out / file.name)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            if new:
                with suppress(OSError):
                    out.rmdir()
            raise
        place.rmdir()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say of a full disk what could not be written, whatever met it."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise NoRoomError(
            f"No space is left to write {path}. What was there before is as it was. "
            "Free some space, and run the same command again."
        ) from error
