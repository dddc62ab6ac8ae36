"""What one process alone may write to: a lock that is held, and ends with its holder.

A number in a file would lie after a crash, and in another container. So the system's
own locks are used, of files that stay open.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_HELD = {errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK, errno.EAGAIN}
_FAR = 2**31 - 2  # the byte that Windows locks, which nobody reads or writes
_NAME = ".predict.lock"


class HeldError(RuntimeError):
    """Another process writes there."""


def hold(file: int) -> bool:
    """Lock an open file, until it is closed, for this process alone.

    Over NFS the lock holds on all machines.

    Args:
        file: its descriptor, open for writing.

    Returns:
        Whether it is locked; some file systems have no locks.

    Raises:
        HeldError: another process holds it.
    """
    try:
        if sys.platform == "win32":
            os.lseek(file, _FAR, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            raise HeldError("another process writes there") from None
        return False
    return True


@contextlib.contextmanager
def hold_folder(folder: Path | None, held: str) -> Iterator[None]:
    """Keep other processes that ask from writing into a folder, which is made.

    Args:
        folder: None for none.
        held: what to say if another process holds it.

    Raises:
        HeldError: another process holds it.
    """
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / _NAME
    while True:
        file = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            hold(file)
            ours = os.path.samestat(os.fstat(file), place.stat())
        except FileNotFoundError:
            ours = False
        except HeldError:
            os.close(file)
            raise HeldError(held) from None
        except BaseException:
            os.close(file)
            raise
        if ours:
            break
        os.close(file)  # its holder took it away in between
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows: not while it is open
            place.unlink()
        os.close(file)
