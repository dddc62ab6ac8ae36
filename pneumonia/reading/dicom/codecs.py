"""Compressed pixels of DICOM files to numbers, by imagecodecs and partly by Pillow.

What a codestream is, its first bytes say, for some files name another compression than
the one that they hold. A codec that loses something may carry a number a little over
the ends of its range; how far is handed on, so that white does not become black.
"""

import functools
from dataclasses import dataclass
from typing import Any

import imagecodecs  # loads a codec when it is first asked for
import numpy as np
from pydicom.encaps import get_frame
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from .. import jpeg
from . import jpeg2000
from .codestream import Codestream, head_of
from .header import GREY, Header

_SPECTRAL, _PROGRESSIVE = "1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"  # retired
_JPEG_XL = tuple(f"1.2.840.10008.1.2.4.{last}" for last in (110, 111, 112))
_BY_CONTENT = {
    *(JPEGBaseline8Bit, JPEGExtended12Bit, _SPECTRAL, _PROGRESSIVE),
    *(JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless),
    *(JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K),
    *_JPEG_XL,
}
COMPRESSED = {RLELossless, *_BY_CONTENT}
"""Transfer syntaxes that are read here."""

_MAY_LOSE = {JPEG2000, HTJ2K, *_JPEG_XL[1:]}  # the wavelet 5-3, too: it is cut short
_END = b"\xff\xd9"  # of an image, in JPEG
# Of the largest number: so far wavelets swing over beside edges. At coarser scales they
# do it without any loss, too.
_OVERSHOOT = 0.5


@dataclass(frozen=True)
class Decoded:
    """The numbers of a picture.

    Attributes:
        raw: (H, W) or (H, W, 3), whole numbers as they were decoded; smaller than in
            the file where that was quicker.
        precision: bits that each has, its sign included.
        beyond: how far they may lie beyond the ends of their range, as a share of the
            largest number; and as a number of steps. Both 0 where nothing was lost.
        rgb: whether the codec has turned colours into RGB, whatever the file says.
    """

    raw: np.ndarray
    precision: int
    beyond: tuple[float, int] = (0.0, 0)
    rgb: bool = False

    @property
    def lossy(self) -> bool:
        """Whether numbers may lie beyond the ends of their range."""
        return any(self.beyond)


def decode(header: Header, side: int) -> Decoded | None:
    """Decode the first frame of a file in one of `COMPRESSED`.

    Args:
        header: of the file.
        side: how long the longer side has to be at least.

    Returns:
        The numbers; None where the codestream is damaged or of another size.

    Raises:
        Exception: one of `attributes.PARSE_ERRORS`, for damaged ones.
    """
    height, width, colours = header.rows, header.columns, header.samples
    shape = (height, width) if colours == 1 else (height, width, colours)
    if header.content is None:
        return None
    stream = get_frame(
        bytes(header.content),
        0,
        number_of_frames=header.frames,
        extended_offsets=header.offsets,
    )
    if header.syntax == RLELossless:
        return _run_lengths(stream, shape, header.allocated)
    head = head_of(stream)
    if head is None:
        return None
    said = head.width, head.height, head.colours
    if head.coding != "JPEG XL" and said != (width, height, colours):
        return None
    beyond = (0.0, head.near)
    if head.coding != "JPEG-LS" and (head.lossy or header.syntax in _MAY_LOSE):
        beyond = (_OVERSHOOT, 0)
    if head.coding in ("JPEG 2000", "HTJ2K") and header.photometric in GREY:
        exact = not any(beyond)
        scaled = jpeg2000.coarse(header, stream, head, side, exact)
        if scaled is not None and _fits(header, scaled):
            return Decoded(scaled, head.precision, (_OVERSHOOT, 0))
    raw, rgb = _by_imagecodecs(header, stream, head, shape)
    if raw.shape != shape:
        return None
    return Decoded(raw, head.precision or 8 * raw.itemsize, beyond, rgb)


def _fits(header: Header, scaled: np.ndarray) -> bool:
    """Tell whether no bits above those that count were averaged with them."""
    if header.padding is not None:
        scaled = scaled[scaled != np.asarray(header.padding[0]).astype(scaled.dtype)]
    reach = 2**header.stored * (1 + _OVERSHOOT) * (0.5 if header.signed else 1)
    return not scaled.size or (-reach <= scaled.min() and scaled.max() < reach)


def _run_lengths(stream: bytes, shape: tuple[int, ...], allocated: int) -> Decoded:
    """Unpack RLE (PS3.5 G), which keeps colours plane by plane."""
    if allocated % 8 or not 8 <= allocated <= 64:
        raise ValueError("RLE of unusual bits")
    dtype = np.dtype(f"<u{allocated // 8}")
    planes = shape if len(shape) == 2 else (shape[2], *shape[:2])
    # of this size and no larger, whatever the runs say
    room = bytearray(dtype.itemsize * int(np.prod(planes)))
    filled = imagecodecs.dicomrle_decode(stream, dtype, out=room)
    if len(filled) != len(room):
        raise ValueError("RLE ends early")
    raw = np.frombuffer(room, dtype).reshape(planes)
    raw = raw if len(shape) == 2 else np.moveaxis(raw, 0, -1)
    return Decoded(raw, allocated)


def _by_imagecodecs(
    header: Header, stream: bytes, head: Codestream, shape: tuple[int, ...]
) -> tuple[np.ndarray, bool]:
    """Return what a codec gives, and whether it has turned colours into RGB."""
    if head.coding == "JPEG-LS":
        if _END not in stream[-64:]:  # without one CharLS takes seconds to give up
            stream += _END
        return imagecodecs.jpegls_decode(stream), False
    if head.coding == "JPEG XL":
        return _jpeg_xl(stream, shape, deep=header.stored > 8), True
    if head.coding == "JPEG":
        raw = _jpeg(stream, head, header.photometric)
        return raw, head.lossy and head.colours > 1
    # OpenJPEG for HTJ2K, too: OpenJPH gives half a picture where the other half is lost
    raw = imagecodecs.jpeg2k_decode(stream, numthreads=1)
    return raw, header.photometric in ("YBR_ICT", "YBR_RCT")


def _jpeg(stream: bytes, head: Codestream, kind: str) -> np.ndarray:
    """Decode a JPEG of up to 16 bits, colours as RGB where it lost something.

    The codec fills up what is missing. Whether something is, another filling tells.
    """
    spaces: dict[str, Any] = {}
    if head.colours > 1:
        rgb = imagecodecs.JPEG8.CS.RGB
        spaces["outcolorspace"] = rgb
        if not head.lossy:  # then it changes no colours
            spaces["colorspace"] = rgb
        elif not head.tagged:  # else the codec knows what the marker says
            spaces["colorspace"] = rgb if kind == "RGB" else imagecodecs.JPEG8.CS.YCbCr
    decode = functools.partial(imagecodecs.jpeg8_decode, **spaces)
    ends = _END in stream[-64:]
    if not ends:
        stream += _END
    raw = decode(stream)
    if (not ends or jpeg.looks_cut(raw)) and jpeg.is_cut(stream, decode):
        raise ValueError("JPEG ends early")
    return raw


def _jpeg_xl(stream: bytes, shape: tuple[int, ...], deep: bool) -> np.ndarray:
    """Decode into room of the right size, which the codec compares before it begins."""
    for dtype in (np.uint16, np.uint8) if deep else (np.uint8, np.uint16):
        room = np.empty(shape, dtype)
        try:
            return imagecodecs.jpegxl_decode(stream, numthreads=1, out=room)
        except ValueError:  # the numbers have another size
            continue
    raise ValueError("JPEG XL of another size")
