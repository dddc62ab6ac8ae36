"""PNG, chunk by chunk: what pixels depend on, and what says how bright they are."""

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple, cast

from isal import isal_zlib

from . import tone
from .deep import Numbers, on_black
from .picture import check_size, damaged
from .tone import Tone

START = b"\x89PNG\r\n\x1a\n"
_DEPTH, _COLOUR = 24, 25  # where the header has them
_PALETTE = 3
_COLOURS = (2, 3, 6)  # kinds whose pixels are colours
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the kind of colour
_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT"}
_FRAMES = {b"acTL", b"fcTL", b"fdAT"}
_LIES = {b"eXIf", b"pHYs"}  # how the picture is turned, and how high its pixels are
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_TURNS = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")  # texts with a turn
_ISAL_ERROR = cast(type[Exception], isal_zlib.error)  # typed as one of them there
_BLOCK = 65535  # bytes that a block without compression holds at most
_MOST_PROFILE = 2**24  # bytes of a profile that is unpacked


Buffer = bytes | memoryview


class Parts(NamedTuple):
    """What of a PNG file counts.

    Attributes:
        data: the file without the rest, and with its end.
        tone: what its values mean, by the first that can be understood of cICP, iCCP,
            sRGB and gAMA, as the third edition of PNG has it.
        deep: it has 16 bits.
        notes: codes of `READER_WARNINGS`: what was passed over.
    """

    data: bytes
    tone: Tone | None
    deep: bool
    notes: set[str]


def parts(data: bytes) -> Parts:
    """Take apart a file that begins with `START`.

    Raises:
        ImageError: what says its size is damaged, or pixels are.
    """
    view = memoryview(data)
    kept: list[bytes | memoryview] = []
    early: dict[bytes, memoryview] = {}
    tones: dict[bytes, bytes] = {}
    notes: set[str] = set()
    at, ended, broken = 8, False, False
    while at + 8 <= len(data) and not ended:
        length = int.from_bytes(view[at : at + 4], "big")
        name = bytes(view[at + 4 : at + 8])
        chunk = view[at : at + 12 + length]
        at += 12 + length
        if name == b"IDAT" and not _is_whole(chunk, length):
            kept.append(_chunk(name, bytes(chunk[8 : 8 + length])))
            broken = True
        elif name in _PIXELS:
            if name != b"PLTE" or data[_COLOUR] == _PALETTE:  # else a suggestion
                kept.append(chunk)
        elif not _is_whole(chunk, length):
            notes.add("parts_skipped")
        elif name in _LIES or (
            name in _TEXTS and chunk[8:-4].tobytes().startswith(_TURNS)
        ):
            early.setdefault(bytes(chunk[8:12]) if name in _TEXTS else name, chunk)
        elif name in _FRAMES:
            kept.append(chunk)
        elif name in _MEANT:
            if any(bytes(chunk[4:8]) == b"IDAT" for chunk in kept):
                notes.add("tone_ignored")  # it has to come before the pixels
            else:
                tones.setdefault(name, bytes(chunk[8:-4]))
        ended = name == b"IEND"
    header = _header(data)
    deep = data[_DEPTH : _DEPTH + 1] == b"\x10"
    if broken or deep:
        kept = (_mended if broken else _unpacked)(header, kept)
    if broken or not ended:
        notes.add("parts_skipped")
    meant = _tone(tones, data[_COLOUR] in _COLOURS, notes)
    # what says how it is turned is looked for before pixels
    found = [view[:8], *kept[:1], *early.values(), *kept[1:], _chunk(b"IEND", b"")]
    return Parts(b"".join(found), meant, deep, notes)


def decode(data: bytes) -> Numbers:
    """Decode a PNG of 16 bits, what is transparent laid on black.

    Raises:
        RuntimeError: it can't be decoded.
    """
    import imagecodecs  # pictures of 8 bits need not wait for it

    stored = imagecodecs.png_decode(data)
    stored = stored.reshape(*stored.shape[:2], -1)
    count = stored.shape[2]
    pixels = stored[..., :3] if count > 2 else stored[..., 0]
    if count % 2 == 0:
        pixels = on_black(pixels, stored[..., -1], 65535)
    return Numbers(pixels, 65535)


def _header(data: bytes) -> bytes:
    """Return what stands in the header, which has to be right: all depends on it."""
    chunk = data[8:33]
    if chunk != _chunk(b"IHDR", chunk[8:21]):
        raise damaged()
    return chunk[8:21]


def _mended(header: bytes, kept: Sequence[Buffer]) -> list[Buffer]:
    """Return chunks with pixels that are packed anew, if all of them are there.

    Checksums of the file may be wrong or missing; pixels may not.

    Raises:
        ImageError: they are damaged, or too many.
    """
    most, interlaced = _length(header)
    others, packed = _apart(kept)
    unpacking = zlib.decompressobj()
    try:
        rows = unpacking.decompress(packed, most + 1)
    except zlib.error:
        raise damaged() from None
    if not unpacking.eof and (interlaced or len(rows) != most):
        raise damaged()
    return [*others, _chunk(b"IDAT", zlib.compress(rows, 1))]


def _is_whole(chunk: memoryview, length: int) -> bool:
    """Tell whether a chunk of this length is all there, and its checksum right."""
    checksum = int.from_bytes(chunk[-4:], "big")
    return len(chunk) == length + 12 and isal_zlib.crc32(chunk[4:-4]) == checksum


def _tells_a_turn(text: memoryview) -> bool:
    return bytes(text[8:-4]).startswith(_TURNS)


def _unpacked(header: bytes, kept: list[Buffer]) -> list[Buffer]:
    """Return chunks with pixels that are packed no more: isal is twice as fast.

    What is not just as it should be stays as it is, for libpng to judge.

    Raises:
        ImageError: there are too many pixels.
    """
    most, interlaced = _length(header)
    others, packed = _apart(kept)
    unpacking = isal_zlib.decompressobj()
    try:
        rows = memoryview(unpacking.decompress(packed, most + 1))
    except _ISAL_ERROR:
        return kept
    if interlaced or not unpacking.eof or len(rows) != most:
        return kept
    body: list[Buffer] = [b"\x78\1"]  # RFC 1950 and 1951: blocks without compression
    for at in range(0, most, _BLOCK):
        block = rows[at : at + _BLOCK]
        last, size = at + _BLOCK >= most, len(block)
        body += [struct.pack("<BHH", last, size, size ^ 0xFFFF), block]
    body.append(isal_zlib.adler32(rows).to_bytes(4, "big"))
    checksum = isal_zlib.crc32(b"IDAT")
    for part in body:
        checksum = isal_zlib.crc32(part, checksum)
    length = sum(map(len, body)).to_bytes(4, "big")
    return [*others, length + b"IDAT", *body, checksum.to_bytes(4, "big")]


def _length(header: bytes) -> tuple[int, bool]:
    """Return how many bytes pixels take at most, and whether they are interlaced."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    check_size(width, height)
    bits = depth * _CHANNELS.get(colour, 4)
    most = height * (1 + (width * bits + 7) // 8)
    # seven pictures of it
    return most + (8 * (width + height) * bits if interlaced else 0), bool(interlaced)


def _apart(kept: Sequence[Buffer]) -> tuple[list[Buffer], bytes]:
    """Return the chunks that hold no pixels, and what the others hold."""
    others = [chunk for chunk in kept if chunk[4:8] != b"IDAT"]
    return others, b"".join(chunk[8:-4] for chunk in kept if chunk[4:8] == b"IDAT")


def _chunk(name: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(name))
    return b"".join(
        [len(body).to_bytes(4, "big"), name, body, checksum.to_bytes(4, "big")]
    )


def _tone(chunks: dict[bytes, bytes], colours: bool, notes: set[str]) -> Tone | None:
    for name, meant in _MEANT.items():
        if name in chunks:
            try:
                return meant(chunks[name], colours)
            except (ValueError, zlib.error):
                notes.add("tone_ignored")
    return None


def _by_transfer(body: bytes, _: bool) -> Tone | None:
    if len(body) != 4 or body[2:] != b"\0\1":
        raise ValueError("no RGB, or not of the full range")
    return tone.of_transfer(body[1])


def _by_profile(body: bytes, colours: bool) -> Tone | None:
    name, _, packed = body.partition(b"\0")
    unpacking = zlib.decompressobj()
    profile = unpacking.decompress(packed[1:], _MOST_PROFILE)
    if not unpacking.eof:
        raise ValueError("too long, or cut short")
    return tone.of_profile(profile, colours)


def _by_name(body: bytes, _: bool) -> None:
    if len(body) != 1:
        raise ValueError("no sRGB")


def _by_gamma(body: bytes, _: bool) -> Tone | None:
    if len(body) != 4:
        raise ValueError("no number")
    return tone.of_gamma(int.from_bytes(body, "big") / 100_000)


_MEANT = {b"cICP": _by_transfer, b"iCCP": _by_profile, b"sRGB": _by_name}
_MEANT[b"gAMA"] = _by_gamma
