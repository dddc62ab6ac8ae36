"""The files that are named, and those below folders that are."""

from collections.abc import Iterable, Iterator
from pathlib import Path


def find_files(paths: Iterable[str | Path]) -> list[tuple[Path, Path]]:
    """List files, and all files below folders but the hidden ones.

    Links are followed, each folder once. A link that leads nowhere is listed like a
    file, so that it gets a row that says so.

    Args:
        paths: files and folders.

    Returns:
        (file, its name relative to the folder that was named), folders sorted. No two
        names are alike: of equal ones the later get a number.
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            found += [(file, file.relative_to(path)) for file in files_below(path)]
        else:
            found.append((path, Path(path.name)))
    return _told_apart(found)


def files_below(folder: Path, seen: set[Path] | None = None) -> Iterator[Path]:
    """Yield the files below a folder but the hidden ones, each folder's sorted.

    Args:
        folder: links in it are followed; a dangling one counts as a file.
        seen: folders that are not entered again, as links in a ring would have it.
    """
    seen = set() if seen is None else seen
    place = folder.resolve()
    if place in seen:
        return
    seen.add(place)
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from files_below(path, seen)
        elif path.is_file() or path.is_symlink():
            yield path


def _told_apart(found: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Give each file a name of its own, under which its overlay can be kept."""
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
