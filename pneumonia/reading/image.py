"""Image bytes to pixels, pixels to network input.

Serving and training both go through this module, so the network meets the same pixels
in both. DICOM is decoded next door; what comes back is treated alike.
"""

import mmap

import numpy as np
from PIL import Image

from ..contract import PICTURE_SIZE
from . import raster
from .picture import (
    ANSWER_SIDE,
    Detail,
    ImageError,
    InstallationError,
    Picture,
    check_bytes,
    too_many_pixels,
)
from .raster import FORMATS

DISPLAY_SIDE = 1024
"""Longest side of what `read_image` returns, in pixels: enough to look at."""

SHARP_SIDE = 2048
"""The same of a picture that is to be sharp, for looking closely."""

_ANSWER = Detail(ANSWER_SIDE, ANSWER_SIDE, DISPLAY_SIDE, ANSWER_SIDE)
_DISPLAY = Detail(ANSWER_SIDE, DISPLAY_SIDE, DISPLAY_SIDE)
_SHARP = Detail(SHARP_SIDE, SHARP_SIDE, SHARP_SIDE)
_risky_decoders = False


def read_image(data: bytes) -> np.ndarray:
    """Return the pixels alone of `read_picture`, uint8 (H, W)."""
    return read_picture(data).pixels


def read_picture(
    data: bytes | mmap.mmap, sharp: bool = False, coarse: bool = False
) -> Picture:
    """Decode an image file into upright greyscale pixels.

    The format is recognised by content. EXIF rotation is applied, transparency is laid
    on black, colours become luma, and pixels of more than 8 bits are scaled by their
    own range. Of several frames the first is read. Large pictures come out reduced,
    sides in proportion, to what a screen needs.

    Args:
        data: the file's content, DICOM or one of `FORMATS`, at most `MAX_BYTES` long.
            A memory map is copied, too, if it is no DICOM.
        sharp: keep up to `SHARP_SIDE` pixels a side, for looking closely; that takes
            longer. An answer never rests on it.
        coarse: keep no more than an answer needs, about `ANSWER_SIDE`, of what can be
            averaged while it is decoded; for pictures that nobody looks at.

    Returns:
        The picture, with warnings where something was passed over.

    Raises:
        ImageError: the bytes are no picture that can be read, or one that is too large,
            too small or blank; the message says what to do.
        InstallationError: a package that is needed for it can't be imported.
    """
    check_bytes(data)
    sides_known = False  # no other format than DICOM tells the patient's right
    try:
        detail = _SHARP if sharp else _ANSWER if coarse else _DISPLAY
        if is_dicom(data):
            grey, chroma, warnings, sides_known = _read_dicom(data, detail)
        else:
            grey, chroma, warnings = raster.read(data[:], detail, _risky_decoders)
        grey.thumbnail((detail.most, detail.most), Image.Resampling.BOX)
        pixels = np.asarray(grey)
    except MemoryError as error:
        raise too_many_pixels("more") from error
    except ImportError as error:  # readers are imported when they are first needed
        raise InstallationError(error.name or "a package of the reader") from error
    if pixels.min() == pixels.max():
        raise ImageError(
            "no_contrast",
            "This picture is blank: every pixel has the same brightness. "
            "Choose the X-ray itself.",
        )
    return Picture(pixels, chroma, warnings, sides_known)


def allow_risky_decoders() -> None:
    """Let this process decode what may end it: for workers, which are replaced."""
    global _risky_decoders
    _risky_decoders = True


def is_picture(head: bytes) -> bool:
    """Tell by a file's first 132 bytes whether it is of a format that is read here."""
    known = (Image.OPEN[name][1] for name in FORMATS)
    return is_dicom(head) or any(a is not None and a(head) is True for a in known)


def is_dicom(data: bytes | mmap.mmap) -> bool:
    """Recognise DICOM by its mark, or by a plausible first element without preamble."""
    if data[128:132] == b"DICM":
        return True
    kind = data[4:6]  # of the element, in explicit files; else its length begins here
    known = kind.isalpha() and kind.isupper()
    if data[:2] in (b"\x02\0", b"\x08\0"):
        return known or int.from_bytes(data[4:8], "little") < 1024
    return known and data[:2] == b"\0\x08"


def _read_dicom(
    data: bytes | mmap.mmap, detail: Detail
) -> tuple[Image.Image, float, tuple[str, ...], bool]:
    from .dicom import decode as dicom  # half a second that others need not wait for

    pixels, sides_known, warnings = dicom.decode(data, detail)
    picture = Image.fromarray(pixels)
    return picture.convert("L"), raster.spread_of_colour(picture), warnings, sides_known


def to_input(pixels: np.ndarray, size: int = PICTURE_SIZE) -> np.ndarray:
    """Resize pixels to the network's input, squashed and never cropped.

    Nothing is cut off, so a map over the input lies on the picture by plain resizing.

    Args:
        pixels: uint8 (H, W) in [0, 255].
        size: height and width of the result.

    Returns:
        float32 (1, size, size, 1) in [0, 1], each value a multiple of 1/255.
    """
    small = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(small, np.float32)[None, :, :, None] / 255
