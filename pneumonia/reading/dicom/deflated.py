"""DICOM files that are compressed as a whole, behind their file meta information."""

import mmap
import struct
import zlib
from typing import TypeVar

from ..picture import MAX_PIXELS, ImageError
from . import header

Content = TypeVar("Content", bound=bytes | mmap.mmap)

_SYNTAX = b"1.2.840.10008.1.2.1.99"
_PLAIN = b"1.2.840.10008.1.2.1".ljust(len(_SYNTAX), b"\0")
_SAYS_SO = b"\2\0\x10\0UI\x16\0" + _SYNTAX
_SEARCHED = 4096  # bytes in which the syntax is looked for
_MOST_BYTES = 4 * MAX_PIXELS  # of what comes out: pixels of two bytes, and the rest
_START = 132  # of the file meta information
_LENGTH = b"\2\0\0\0UL\4\0"  # how it begins: with its own length


def inflated(data: Content) -> Content | bytes:
    """Return a file as it is, or as it was before it was deflated (PS3.5 A.5).

    Args:
        data: the file's content.

    Raises:
        ImageError: it is damaged, or far too large.
    """
    if _SAYS_SO not in data[:_SEARCHED]:
        return data
    begins = data[_START : _START + len(_LENGTH)]
    if begins != _LENGTH:
        raise header.unsupported("is compressed as a whole", "uncompressed or as PNG")
    (length,) = struct.unpack_from("<I", data, _START + len(_LENGTH))
    end = _START + len(_LENGTH) + 4 + length
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        rest = unpacking.decompress(data[end:], _MOST_BYTES)
    except zlib.error:
        raise header.damaged() from None
    if unpacking.unconsumed_tail:
        raise ImageError(
            "too_many_pixels",
            "This DICOM file is compressed as a whole, and unpacks to more than "
            f"{_MOST_BYTES // 10**6} million bytes. Export it smaller.",
        )
    if not unpacking.eof:
        raise header.damaged()
    return data[:end].replace(_SYNTAX, _PLAIN) + rest
