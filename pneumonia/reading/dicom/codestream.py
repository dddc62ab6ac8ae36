"""What a compressed picture in a DICOM file says of itself, before it is decoded.

A decoder makes room for the picture that its codestream names, not for the one that
the DICOM file names. So the codestream's own size is read here, and compared first.
"""

import struct
from dataclasses import dataclass

_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # markers SOF of JPEG
_LOSSLESS_FRAMES = {0xC3, 0xC7, 0xCB, 0xCF}
_JPEG_LS = 0xF7
_WITHOUT_LENGTH = {0x01, 0xFF, *range(0xD0, 0xDA)}
_J2K_START = b"\xff\x4f\xff\x51"
_JP2 = b"\0\0\0\x0cjP  "  # a file around the codestream, which DICOM does not allow
_JXL = (b"\xff\x0a", b"\0\0\0\x0cJXL ")


@dataclass(frozen=True)
class Codestream:
    """The head of a codestream.

    Attributes:
        coding: "JPEG", "JPEG-LS", "JPEG 2000", "HTJ2K" or "JPEG XL".
        width: in pixels; 0 for JPEG XL, whose decoder is told the size.
        height: likewise.
        colours: numbers for each pixel; 0 for JPEG XL.
        precision: bits of each number; 0 for JPEG XL.
        signed: whether they have a sign; JPEG 2000 alone can say so.
        near: by how much JPEG-LS may miss a number; 0 for the others.
        lossy: whether numbers come back changed, so far as the head tells.
        tagged: a marker of Adobe's says what the colours are.
        halvings: how often JPEG 2000 keeps the picture at half the size before; 0 for
            the others.
    """

    coding: str
    width: int = 0
    height: int = 0
    colours: int = 0
    precision: int = 0
    signed: bool = False
    near: int = 0
    lossy: bool = False
    tagged: bool = False
    halvings: int = 0


def head_of(stream: bytes) -> Codestream | None:
    """Read the head of a codestream; None where it is none of those, or broken."""
    try:
        if stream[:3] == b"\xff\xd8\xff":
            return _jpeg(stream)
        if stream[:4] == _J2K_START or stream[:8] == _JP2:
            return _jpeg2000(stream, stream.index(_J2K_START) + 2)
    except (struct.error, IndexError, ValueError):
        return None
    return Codestream("JPEG XL") if stream.startswith(_JXL) else None


def _jpeg(stream: bytes) -> Codestream | None:
    """Walk the segments of a JPEG up to its first scan (ITU T.81 B.2, T.87 C.2)."""
    found, tagged, at = None, False, 2
    while True:
        if stream[at] != 0xFF:
            return None
        marker = stream[at + 1]
        if marker in _WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2  # filled up with 0xFF
            continue
        (length,) = struct.unpack_from(">H", stream, at + 2)
        if marker == 0xEE:
            tagged = stream[at + 4 : at + 9] == b"Adobe"
        if marker in _FRAMES:
            found = marker, *struct.unpack_from(">BHHB", stream, at + 4)
        if marker == 0xDA:
            break
        at += 2 + length
    if found is None:
        return None
    frame, precision, height, width, colours = found
    near = stream[at + 5 + 2 * stream[at + 4]] if frame == _JPEG_LS else 0
    return Codestream(
        "JPEG-LS" if frame == _JPEG_LS else "JPEG",
        width,
        height,
        colours,
        precision,
        near=near,
        lossy=near > 0 if frame == _JPEG_LS else frame not in _LOSSLESS_FRAMES,
        tagged=tagged,
    )


def _jpeg2000(stream: bytes, at: int) -> Codestream | None:
    """Read SIZ, and COD for the kind of wavelet (ITU T.800 A.5, A.6)."""
    features, right, bottom, left, top = struct.unpack_from(">HIIII", stream, at + 4)
    (colours,) = struct.unpack_from(">H", stream, at + 38)
    kinds = {stream[at + 40 + 3 * n : at + 43 + 3 * n] for n in range(colours)}
    if len(kinds) != 1:
        return None
    size, across, down = kinds.pop()
    if (across, down) != (1, 1):
        return None
    while stream[at + 1] != 0x52:  # COD
        if stream[at] != 0xFF or stream[at + 1] == 0x90:  # a tile: there was none
            return None
        at += 2 + struct.unpack_from(">H", stream, at + 2)[0]
    return Codestream(
        "HTJ2K" if features & 0x4000 else "JPEG 2000",
        right - left,
        bottom - top,
        colours,
        (size & 0x7F) + 1,
        signed=size >= 0x80,
        lossy=stream[at + 13] == 0,  # the wavelet 9-7
        halvings=stream[at + 9],
    )
