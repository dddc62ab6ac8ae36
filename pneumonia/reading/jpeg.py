"""JPEG files: what kind they are, whether they are whole, and those of other decoders.

Pillow decodes the usual kind. Given another, it may break off, or even end the process;
so the kind is known before it sees the file.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .picture import ImageError, check_size, damaged, needs_worker

START = b"\xff\xd8"
_END = b"\xff\xd9"
_SCAN = b"\xff\xda"
_LOSSLESS, _LS = 0xC3, 0xF7
_FRAMES = {*range(0xC0, 0xD0), _LS} - {0xC4, 0xC8, 0xCC}
_USUAL = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_SEGMENT = re.compile(rb"\xff+[^\xff\0\1\xd0-\xd8]", re.DOTALL)  # how others begin
_DECODE_ERRORS = (OSError, RuntimeError, SyntaxError, TypeError, ValueError)
_XMP, _ICC = b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
_REST = b"\xaa" * 64  # looks like pixels to a decoder that still wants some
_FEW_ZEROS = 8
_FILLING = bytes(range(255)) * 16  # begins with 0: after 0xFF it would be a marker


class Header(NamedTuple):
    """What a JPEG file says of itself.

    Attributes:
        kind: the marker of its frame; what comes second in it: 0xC0 to 0xCF, 0xF7.
        bits: of a sample.
        size: width and height.
        components: numbers of its colours.
        exif: its EXIF block; empty without.
        xmp: its XMP block; empty without.
        profile: its ICC profile; empty without.
        density: pixels for a length across and down, as JFIF has it; (0, 0) without.
        scan: where its first scan begins.
        ends: it has an end marker.
    """

    kind: int
    bits: int
    size: tuple[int, int]
    components: bytes
    exif: bytes
    xmp: bytes
    profile: bytes
    density: tuple[int, int]
    scan: int
    ends: bool

    @property
    def usual(self) -> bool:
        """It is of the kind that Pillow decodes."""
        return self.kind in _USUAL and self.bits == 8


def header(data: bytes) -> Header | None:
    """Return the header of a file that begins with `START`; None if it has none."""
    at, frames, exif, xmp, density = 2, {}, b"", b"", None
    profile: dict[int, bytes] = {}
    while found := _SEGMENT.search(data, at):
        at = found.end()
        marker, length = data[at - 1], int.from_bytes(data[at : at + 2], "big")
        segment = data[at + 2 : at + length]
        if marker == _SCAN[1]:
            break
        if marker in _FRAMES and len(segment) >= 6:
            frames[marker] = segment
        elif marker == 0xE1 and segment.startswith(b"Exif\0\0"):
            exif = segment
        elif marker == 0xE1 and segment.startswith(_XMP):
            xmp = segment
        elif marker == 0xE2 and segment.startswith(_ICC) and len(segment) > 14:
            profile[segment[12]] = segment[14:]  # its number, and how many there are
        elif marker == 0xE0 and segment.startswith(b"JFIF\0") and not density:
            across, down = (int.from_bytes(segment[i : i + 2], "big") for i in (8, 10))
            density = across, down
        at += length
    else:
        return None
    if not frames:
        return None
    kind = next((kind for kind in frames if kind not in _USUAL), min(frames))
    frame = frames[kind]
    height, width = (int.from_bytes(frame[i : i + 2], "big") for i in (1, 3))
    ends = data.rfind(_END, at) >= 0
    return Header(
        kind,
        frame[0],
        (width, height),
        frame[6::3],
        exif,
        xmp,
        b"".join(part for _, part in sorted(profile.items())),
        density or (0, 0),
        at - 2,
        ends,
    )


def with_its_end(
    data: bytes, head: Header, decode: Callable[[bytes], np.ndarray]
) -> bytes:
    """Return a file without end marker with one, if every pixel is there.

    That is so if none depends on what follows.

    Args:
        data: the file's content.
        head: of it.
        decode: gives its pixels, or raises.

    Raises:
        ImageError: it was cut short.
    """
    body = data.rstrip(b"\0")  # as after a rescue from a broken disk
    bodies = [body]
    if 0 < len(data) - len(body) <= _FEW_ZEROS:  # they may be pixels
        bodies.insert(0, data)
    if body.endswith(b"\xff"):  # half of the marker, or a value that is stuffed by 0
        bodies += [body[:-1], body + b"\0"]
    for body in bodies:
        if has_all_scans(body, head) and _is_whole(body, head, decode):
            return body + _END
    raise damaged()


def looks_cut(pixels: np.ndarray) -> bool:
    """Tell whether a picture ends as one does whose rest its decoder made up.

    That repeats what came last, so the last rows are alike. A black border is so, too:
    `is_cut` tells them apart, at the cost of decoding twice more.

    Args:
        pixels: (H, W) or (H, W, colours), as stored, at any scale.
    """
    half = pixels[-2:, pixels.shape[1] // 2 :]
    return bool((half[0] == half[-1]).all())


def is_cut(data: bytes, decode: Callable[[bytes], np.ndarray]) -> bool:
    """Tell whether pixels are missing before the end marker of a file.

    Args:
        data: the file's content, or a stream of DICOM, with an end marker.
        decode: gives its pixels, or raises.
    """
    body = data[: data.rfind(_END)]
    try:
        one, other = (decode(body + rest + _END) for rest in (b"\0", _FILLING))
        return not np.array_equal(one, other)
    except _DECODE_ERRORS:
        return False  # the decoder does not take more than there should be


def _is_whole(body: bytes, head: Header, decode: Callable[[bytes], np.ndarray]) -> bool:
    try:
        pixels = decode(body + _END)
        # the decoder of JPEG-LS does not make up what is missing
        return head.kind == _LS or np.array_equal(pixels, decode(body + _REST + _END))
    except _DECODE_ERRORS:
        return False


def has_all_scans(data: bytes, head: Header) -> bool:
    """Tell whether every coefficient of every colour came to its last bit."""
    if head.kind not in _USUAL:
        return True
    missing = {component: {*range(64)} for component in head.components}
    at = head.scan
    while at >= 0:
        count = data[at + 4] if at + 4 < len(data) else 0
        ids, rest = data[at + 5 : at + 5 + 2 * count : 2], at + 5 + 2 * count
        first, last, bit = (*data[rest : rest + 3], 0, 0, 1)[:3]
        for component in ids:
            if bit & 15 == 0 and component in missing:
                missing[component] -= {*range(first, last + 1)}
        if not any(missing.values()):  # to look for more would take time
            return True
        at = data.find(_SCAN, at + 2)
    return False


def read(data: bytes, head: Header, risky: bool) -> np.ndarray:
    """Decode a file that isn't of the usual kind.

    Returns:
        uint8 or uint16 (H, W) or (H, W, 3).

    Raises:
        ImageError: it can't be decoded, or not in this process.
    """
    check_size(*head.size)
    if head.kind not in (*_USUAL, _LOSSLESS, _LS) or len(head.components) not in (1, 3):
        raise ImageError(
            "unsupported",
            "This is a JPEG of a kind that is not read here, such as hierarchical or "
            "with inks of more than 8 bits. Save it as PNG, or as usual JPEG.",
        )
    if not risky:
        raise needs_worker("JPEG file")
    import imagecodecs  # the usual kind need not wait for it

    decode = imagecodecs.jpegls_decode if head.kind == _LS else imagecodecs.jpeg8_decode
    try:
        pixels = decode(data if head.ends else with_its_end(data, head, decode))
        # the decoder of JPEG-LS does not make up what is missing
        made_up = head.ends and head.kind != _LS and looks_cut(pixels)
        if made_up and is_cut(data, decode):
            raise damaged()
    except ImageError:
        raise
    except _DECODE_ERRORS as error:
        raise damaged() from error
    if pixels.shape[:2] != head.size[::-1]:
        raise damaged()
    return pixels
