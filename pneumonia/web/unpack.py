"""Files and those inside of zips, as programs of every system pack them."""

import contextlib
import io
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath

from pneumonia import MAX_BYTES, ImageError
from pneumonia.contract import ZIPS

from . import words

SHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")
"""Suffixes of spreadsheets: zips within, which are not opened, nor read."""

_ENTRIES = 10_000  # of a zip, what is left out included
_PLAIN = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED  # others may ask for any memory
_ENCRYPTED, _SAYS_UTF8 = 0x1, 0x800  # flags of a member
_DOS_FOLDER = 0x10  # among the attributes of a file


def unpack(
    files: Iterable[tuple[str, bytes]],
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """List files and those inside of zips, without reading them yet.

    Args:
        files: name and content of each.

    Yields:
        The name, and what returns the content or raises an ImageError. Names out of a
        zip begin with that zip's where several zips came. No two are alike.
    """
    files, used = list(files), Counter()
    several = sum(data.startswith(ZIPS) for _, data in files) > 1
    for name, data in files:
        for member, content in _unpack_one(name, data):
            full = f"{name}/{member}" if several and member != name else member
            alone, full = full, full
            while full in used:
                used[alone] += 1
                full = f"{alone} ({used[alone]})"
            used[full] = 1
            yield full, content


def _unpack_one(name: str, data: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
    if not data.startswith(ZIPS) or name.lower().endswith(SHEETS):
        yield name, lambda: data
        return
    try:
        if data.count(b"PK\x01\x02") > _ENTRIES:  # each costs memory to list
            yield name, _refuses("too_large", words.CROWDED_ZIP.format(limit=_ENTRIES))
            return
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = _files(archive)
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        yield name, _refuses("damaged", words.BAD_ZIP)
        return
    for path, member in members:
        yield path, lambda m=member: _extract(archive, m)
    if not members:
        yield name, _refuses("empty", words.EMPTY_ZIP)


def _files(archive: zipfile.ZipFile) -> list[tuple[str, zipfile.ZipInfo]]:
    """Return the files of a zip but the hidden ones, with their names.

    Folders are told by a slash or backslash at the end, by their attributes, or by what
    lies in them: programs write all three.
    """
    named = [(_name(member), member) for member in archive.infolist()]
    folders = {
        str(parent) for name, _ in named for parent in PurePosixPath(name).parents
    }
    return [
        (name, member)
        for name, member in named
        if not (
            name.endswith("/")
            or (not member.file_size and _is_folder(member))
            or (not member.file_size and str(PurePosixPath(name)) in folders)
            or _is_hidden(name)
        )
    ]


def _is_folder(member: zipfile.ZipInfo) -> bool:
    mode = member.external_attr >> 16
    return stat.S_ISDIR(mode) or bool(member.external_attr & _DOS_FOLDER)


def _name(member: zipfile.ZipInfo) -> str:
    """Return a member's name, its folders parted by slashes.

    Some programs of Windows write backslashes. Some of other systems write UTF-8 and do
    not say so, and what is read instead would match no name in a table.
    """
    name = member.filename
    if not member.flag_bits & _SAYS_UTF8:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _is_hidden(name: str) -> bool:
    return any(
        part == "__MACOSX" or (part.startswith(".") and part != "..")
        for part in PurePosixPath(name).parts
    )


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Read one file of a zip, never more than could be answered."""
    if member.flag_bits & _ENCRYPTED:
        raise ImageError("unsupported", words.LOCKED_ZIP)
    if member.compress_type not in _PLAIN:
        number = member.compress_type
        method = zipfile.compressor_names.get(number, number)
        raise ImageError("unsupported", words.ODD_ZIP.format(method=method))
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ImageError("unsupported", words.LINK_IN_ZIP)
    try:
        with archive.open(member) as file:
            content = file.read(MAX_BYTES + 1)
    except (
        zipfile.BadZipFile,
        zipfile.zlib.error,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,
    ):
        raise ImageError("damaged", words.BAD_ZIP) from None
    if content.startswith(ZIPS):
        raise ImageError("archive", words.NESTED_ZIP)
    return content


def _refuses(reason: str, message: str) -> Callable[[], bytes]:
    def refuse() -> bytes:
        raise ImageError(reason, message)

    return refuse
