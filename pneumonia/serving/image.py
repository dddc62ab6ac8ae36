"""Image bytes to pixels, pixels to network input.

Serving and training both go through this module, so the network meets the same pixels
in both. DICOM is decoded next door; what comes back is treated alike.
"""

import io
import struct
import zlib

import numpy as np
from PIL import AvifImagePlugin, Image, ImageOps
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ..contract import PICTURE_SIZE
from . import depth, scale, tiff
from .picture import (
    ImageError,
    InstallationError,
    Picture,
    check_bytes,
    check_size,
    damaged,
    too_many_pixels,
)

DISPLAY_SIDE = 1024
"""Longest side of what `read_image` returns, in pixels: enough to look at."""

SHARP_SIDE = 2048
"""The same of a picture that is to be sharp, for looking closely."""

_FILE_TYPES = {
    "PNG": (PngImageFile, (".png",)),
    "JPEG": (JpegImageFile, (".jpeg", ".jpg")),
    "BMP": (BmpImageFile, (".bmp",)),
    "TIFF": (TiffImageFile, (".tif", ".tiff")),
    "WebP": (WebPImageFile, (".webp",)),
    "GIF": (GifImageFile, (".gif",)),
    "JPEG 2000": (Jpeg2KImageFile, (".jp2", ".j2k")),
    "AVIF": (AvifImageFile, (".avif",)),
}
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # others would each take stack and time
FORMATS = tuple(plugin.format for plugin, _ in _FILE_TYPES.values())
"""Pillow's names of the formats that are opened; everything else is refused."""

SUFFIXES = (
    *(suffix for _, suffixes in _FILE_TYPES.values() for suffix in suffixes),
    *(".dcm", ".dicom"),
)
"""What the names of such files end in. What a file is, its content says."""

READABLE = f"{', '.join(_FILE_TYPES)} or DICOM"
"""The formats that are read, in words."""

_JPEG_SIDE = 512  # a JPEG is decoded at the smallest scale that keeps this much
_CHROMA_SIDE = 96  # colour is measured on a picture reduced to this

# What Pillow's decoders raise on damaged or hostile files, besides OSError.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
)


def read_image(data: bytes) -> np.ndarray:
    """Return the pixels alone of `read_picture`, uint8 (H, W)."""
    return read_picture(data).pixels


def read_picture(data: bytes, sharp: bool = False) -> Picture:
    """Decode an image file into upright greyscale pixels.

    The format is recognised by content. EXIF rotation is applied, transparency is laid
    on black, colours become luma, and pixels of more than 8 bits are scaled by their
    own range. Of several frames the first is read. Large pictures come out reduced,
    sides in proportion, to what a screen needs.

    Args:
        data: the file's content, DICOM or one of `FORMATS`, at most `MAX_BYTES` long.
        sharp: keep up to `SHARP_SIDE` pixels a side, for looking closely; that takes
            longer. An answer never rests on it.

    Returns:
        The picture, with warnings where something was passed over.

    Raises:
        ImageError: the bytes are no picture that can be read, or one that is too large,
            too small or blank; the message says what to do.
        InstallationError: a package that is needed for it can't be imported.
    """
    check_bytes(data)
    try:
        side = SHARP_SIDE if sharp else DISPLAY_SIDE
        if is_dicom(data):
            grey, chroma, warnings, sides_known = _read_dicom(data, side)
        else:
            sides_known = False  # no other format tells the patient's right
            grey, chroma, warnings = _read_by_pillow(data, sharp)
        grey.thumbnail((side, side), Image.Resampling.BOX)
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


def _read_by_pillow(
    data: bytes, sharp: bool
) -> tuple[Image.Image, float, tuple[str, ...]]:
    if page := tiff.page_of(data):
        return _read_unusual_tiff(data, page)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            check_size(*picture.size)
            if isinstance(picture, TiffImageFile):
                page, several = depth.first_page(picture)
                check_size(*picture.size)
            else:
                page, several = 0, getattr(picture, "is_animated", False)
            deep = depth.deep_colour(picture, data, page)
            picture.draft(picture.mode, 2 * (SHARP_SIDE if sharp else _JPEG_SIDE,))
            ImageOps.exif_transpose(picture, in_place=True)
            chroma = _spread_of_colour(picture)
            grey, clipped = _to_grey(picture, deep)
    except (ImageError, MemoryError):
        raise
    except Image.UnidentifiedImageError as error:
        raise depth.unknown(data) or ImageError(
            "not_image",
            f"This file is not a picture that can be read here. Expected {READABLE}.",
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_many_pixels("far more") from error
    except _DECODE_ERRORS as error:
        raise damaged() from error
    return grey, chroma, _warnings(several, clipped)


def _read_unusual_tiff(
    data: bytes, page: tiff.Page
) -> tuple[Image.Image, float, tuple[str, ...]]:
    numbers, negative = tiff.read(data, page)
    pixels, clipped = scale.by_own_range(
        numbers.reshape(len(numbers), -1), negative and numbers.ndim == 2
    )
    picture = Image.fromarray(pixels.reshape(numbers.shape))
    chroma = _spread_of_colour(picture)
    return picture.convert("L"), chroma, _warnings(page.several, clipped)


def _warnings(several: bool, clipped: bool) -> tuple[str, ...]:
    found = {"first_frame": several, "outliers_clipped": clipped}
    return tuple(code for code, holds in found.items() if holds)


def is_picture(head: bytes) -> bool:
    """Tell by a file's first 132 bytes whether it is of a format that is read here."""
    known = (Image.OPEN[name][1] for name in FORMATS)
    return is_dicom(head) or any(accepts(head) is True for accepts in known)


def is_dicom(data: bytes) -> bool:
    """Recognise DICOM by its mark, or by a plausible first element without preamble."""
    if data[128:132] == b"DICM":
        return True
    kind = data[4:6]  # of the element, in explicit files; else its length begins here
    known = kind.isalpha() and kind.isupper()
    if data[:2] in (b"\x02\0", b"\x08\0"):
        return known or int.from_bytes(data[4:8], "little") < 1024
    return known and data[:2] == b"\0\x08"


def _read_dicom(
    data: bytes, side: int
) -> tuple[Image.Image, float, tuple[str, ...], bool]:
    from . import dicom  # half a second that other formats need not wait for

    pixels, sides_known, warnings = dicom.decode(data, side)
    picture = Image.fromarray(pixels)
    return picture.convert("L"), _spread_of_colour(picture), warnings, sides_known


def _spread_of_colour(picture: Image.Image) -> float:
    """Return the root mean square of colour that brightness does not explain.

    The two colour axes are fitted as straight lines over brightness first, so that a
    film's even tint counts little and a photograph's hues count fully.
    """
    if picture.mode[0] in "1LIF":
        return 0.0
    if picture.mode != "RGB":  # a conversion to the same mode would copy
        picture = picture.convert("RGB")
    size = (_CHROMA_SIDE, _CHROMA_SIDE)
    small = picture.resize(size, Image.Resampling.BOX, reducing_gap=2)
    small = small.convert("YCbCr")
    if all(low == high for low, high in small.getextrema()[1:]):
        return 0.0  # grey, stored as colours
    y, *colours = np.moveaxis(np.asarray(small, np.float64) / 255, -1, 0)
    y = y - y.mean()
    slope_base = (y**2).sum() or 1.0
    rest = [c - c.mean() - y * (y * c).sum() / slope_base for c in colours]
    return float(np.sqrt(np.mean(np.square(rest))))


def _to_grey(picture: Image.Image, deep: np.ndarray | None) -> tuple[Image.Image, bool]:
    """Return mode L, and whether more than a trace was clipped for it.

    Args:
        picture: opened.
        deep: its grey (H, W), if Pillow alone would lose depth. Numbers that aren't
            shades of 8 bits are scaled by their own range.
    """
    numbers = (deep, False) if deep is not None else depth.numbers(picture)
    if numbers is not None:
        pixels, clipped = scale.by_own_range(*numbers)
        return Image.fromarray(pixels), clipped
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if not picture.getchannel("A").getbbox():  # it would leave nothing
            return picture.convert("RGB").convert("L"), False
        black = Image.new("RGBA", picture.size, "black")
        picture = Image.alpha_composite(black, picture)
    if picture.mode == "L":
        picture.load()
        return picture, False
    if picture.mode != "RGB":
        picture = picture.convert("RGB")  # CMYK and Lab go through RGB
    return picture.convert("L"), False


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
