"""The files that are named, and those below folders that are."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_LINKED = 2 * os.sep  # the end of the name of a link to a folder
_BLOCK = 2**16  # bytes that are read at once; no path is as long


def find_files(paths: Iterable[str | Path]) -> list[tuple[Path, Path]]:
    """List files, and all files below folders but the hidden ones.

    Links are followed, each folder once. A link that leads nowhere and a folder that
    can't be opened are listed like a file, so that they get a row that says so.

    Args:
        paths: files and folders.

    Returns:
        (file, its name relative to the folder that was named), folders sorted. No two
        names are alike: of equal ones the later get a number.
    """
    return _told_apart((Path(path), Path(name)) for path, name in walk(paths))


def walk(paths: Iterable[str | Path]) -> Iterator[tuple[str, str]]:
    """Yield what `find_files` lists, as text and while it is found.

    It costs a folder's names of memory, however many files there are. Names may be
    alike where several folders are named.
    """
    for path in map(str, map(Path, paths)):
        if not os.path.isdir(path):  # noqa: PTH112 (a million times, maybe)
            yield path, os.path.basename(path)  # noqa: PTH119
            continue
        above = len(_prefix(path))
        for file in _below(path):
            # the folder itself, which can't be opened, has no name in itself
            yield file, file[above:] or os.path.basename(path)  # noqa: PTH119


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder but the hidden ones, each folder's sorted.

    Args:
        folder: links in it are followed; a dangling one counts as a file, as does a
            folder that can't be opened.
    """
    return map(Path, _below(str(folder)))


def _below(folder: str) -> Iterator[str]:
    """Yield the files below a folder: by its own stack, for folders may lie deep.

    Only a link can lead to a folder a second time, so only links are resolved.
    """
    resolved = os.path.realpath(folder)
    seen = {resolved}
    try:
        stack = [(_prefix(folder), resolved, _names(folder))]
    except OSError:
        yield folder
        return
    while stack:
        prefix, resolved, names = stack[-1]
        if not names:
            stack.pop()
            continue
        name = names.pop()
        path = prefix + name.rstrip(os.sep)
        if not name.endswith(os.sep):
            yield path
            continue
        linked = os.name == "nt" or name.endswith(_LINKED)
        real = os.path.realpath(path) if linked else _prefix(resolved) + name[:-1]
        if real in seen:
            continue
        seen.add(real)
        try:
            stack.append((_prefix(path), real, _names(path)))
        except OSError:
            yield path


def _prefix(folder: str) -> str:
    """Return what stands before the names in a folder."""
    if folder == os.curdir:
        return ""
    return folder if folder.endswith(os.sep) else folder + os.sep


def _names(folder: str) -> list[str]:
    """Return the names in a folder, the last first.

    Those of folders end in a slash, those of links to folders in two.
    """
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_dir():
                    end = _LINKED if entry.is_symlink() else os.sep
                    names.append(entry.name + end)
                elif entry.is_file() or entry.is_symlink():
                    names.append(entry.name)
            except OSError:  # a link to itself, or into what may not be seen
                names.append(entry.name)
    names.sort(key=_bare, reverse=True)
    return names


def _bare(name: str) -> str:
    return name.rstrip(os.sep)


def _told_apart(files: Iterable[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Give each file a name of its own, under which its overlay can be kept."""
    found = list(files)
    taken, named = {name for _, name in found}, []
    used: set[Path] = set()
    for path, name in found:
        own, number = name, 2
        while own in used or (own != name and own in taken):
            own = name.with_name(f"{name.stem}-{number}{name.suffix}")
            number += 1
        used.add(own)
        named.append((path, own))
    return named


class ListError(ValueError):
    """What should list paths holds something else; says what to do."""


def read_list(file: int, end: bytes = b"\n") -> Iterator[str | None]:
    """Yield the paths that a file lists, each as soon as it is written.

    Args:
        file: its descriptor, such as that of a pipe.
        end: what stands behind each path.

    Yields:
        A path; or None where it is to be seen what comes next.

    Raises:
        ListError: it is no list of paths.
    """
    cut = b""
    while data := os.read(file, _BLOCK):
        *lines, cut = (cut + data).split(end)
        if len(cut) > _BLOCK or (b"\0" in data and end != b"\0"):
            raise ListError(
                "what came in is no list of paths, each on a line of its own. With "
                "`find -print0`, add -0."
            )
        yield from (_in_line(line) for line in lines if line)
        yield None
    if cut:
        yield _in_line(cut)


def _in_line(line: bytes) -> str:
    """Return the path in a line, which a program of Windows may have written."""
    path = os.fsdecode(line)
    if path.endswith("\r") and not os.path.lexists(path):
        path = path[:-1]
    return path
