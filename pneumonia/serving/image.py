"""Image bytes to pixels, pixels to network input.

Serving and training both go through this module, so the network meets the same pixels
in both. DICOM is decoded next door; what comes back is treated alike.
"""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ..contract import IMAGE_SIZE

MAX_BYTES = 32 * 2**20
"""Largest file that is read, in bytes."""

TOO_LARGE = (
    "This file has {size} MiB; at most {limit} MiB are read. Save the picture smaller."
)
"""Why a larger one is refused; a page may say so before it is sent."""

MAX_PIXELS = 50_000_000
"""Largest picture that is decoded, in pixels; checked before any pixel is decoded."""

MIN_SIDE = 64
"""Shortest side that is accepted, in pixels: half of what the network looks at."""

DISPLAY_SIDE = 1024
"""Longest side of what `read_image` returns, in pixels: enough to look at."""

_FILE_TYPES = {
    "PNG": (PngImageFile, (".png",)),
    "JPEG": (JpegImageFile, (".jpeg", ".jpg")),
    "BMP": (BmpImageFile, (".bmp",)),
    "TIFF": (TiffImageFile, (".tif", ".tiff")),
    "WebP": (WebPImageFile, (".webp",)),
    "GIF": (GifImageFile, (".gif",)),
    "JPEG 2000": (Jpeg2KImageFile, (".jp2", ".j2k")),
}
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
_risky_decoders = False
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
    struct.error,
    zlib.error,
)

READER_WARNINGS = {
    "first_frame": "This file holds several pictures; only the first was looked at.",
    "unknown_modality": "This DICOM file does not say how the picture was taken.",
    "lateral_view": "This DICOM file says that the chest is seen from the side. The "
    "network knows chests from the front alone.",
}
"""What the reader passes over, by its code, in a layman's words."""


class ImageError(ValueError):
    """The caller's image is at fault, not the installation.

    Attributes:
        reason: stable code for programs, listed in the README.
        offers: arguments of `predict` that answer the image all the same: `anyway`,
            `invert`; empty where nothing can be answered.
    """

    def __init__(self, reason: str, message: str, offers: tuple[str, ...] = ()):
        super().__init__(message)
        self.reason = reason
        self.offers = offers


@dataclass(frozen=True, eq=False)
class Picture:
    """What a file holds, as far as anyone here wants to know.

    Attributes:
        pixels: uint8 (H, W) in [0, 255], upright, at most `DISPLAY_SIDE` a side.
        chroma: how much colour varies besides brightness, in [0, 1]; 0 for grey
            pictures and near 0 for evenly tinted ones.
        warnings: codes of what the reader passed over.
    """

    pixels: np.ndarray
    chroma: float = 0.0
    warnings: tuple[str, ...] = ()


def read_image(data: bytes) -> np.ndarray:
    """Return the pixels alone of `read_picture`, uint8 (H, W)."""
    return read_picture(data).pixels


def read_picture(data: bytes) -> Picture:
    """Decode an image file into upright greyscale pixels.

    The format is recognised by content. EXIF rotation is applied, transparency is laid
    on black, colours become luma, and pixels of more than 8 bits are scaled by their
    own range. Of several frames the first is read. Large pictures come out reduced,
    sides in proportion, to what a screen needs.

    Args:
        data: the file's content, DICOM or one of `FORMATS`, at most `MAX_BYTES` long.

    Returns:
        The picture, with warnings where something was passed over.

    Raises:
        ImageError: the bytes are no picture that can be read, or one that is too large,
            too small or blank; the message says what to do.
    """
    _check_bytes(data)
    try:
        read = _read_dicom if _is_dicom(data) else _read_by_pillow
        grey, chroma, warnings = read(data)
        grey.thumbnail((DISPLAY_SIDE, DISPLAY_SIDE), Image.Resampling.BOX)
        pixels = np.asarray(grey)
    except MemoryError as error:
        raise _too_many_pixels("more") from error
    if pixels.min() == pixels.max():
        raise ImageError(
            "no_contrast",
            "This picture is blank: every pixel has the same brightness. "
            "Choose the X-ray itself.",
        )
    return Picture(pixels, chroma, warnings)


def _read_by_pillow(data: bytes) -> tuple[Image.Image, float, tuple[str, ...]]:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            _check_size(*picture.size)
            several = getattr(picture, "is_animated", False)
            picture.draft(picture.mode, (_JPEG_SIDE, _JPEG_SIDE))
            ImageOps.exif_transpose(picture, in_place=True)
            chroma = _spread_of_colour(picture)
            grey = _to_grey(picture)
    except (ImageError, MemoryError):
        raise
    except Image.UnidentifiedImageError as error:
        raise ImageError(
            "not_image",
            f"This file is not a picture that can be read here. Expected {READABLE}.",
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels("far more") from error
    except _DECODE_ERRORS as error:
        raise ImageError(
            "damaged",
            "This picture is damaged or incomplete and can't be read to its end. "
            "Save or download it once more and try again.",
        ) from error
    return grey, chroma, ("first_frame",) if several else ()


def allow_risky_decoders() -> None:
    """Let this process decode what may end it: for workers, which are replaced."""
    global _risky_decoders
    _risky_decoders = True


def is_picture(head: bytes) -> bool:
    """Tell by a file's first 132 bytes whether it is of a format that is read here."""
    known = (Image.OPEN[name][1] for name in FORMATS)
    return _is_dicom(head) or any(accepts(head) is True for accepts in known)


def _is_dicom(data: bytes) -> bool:
    """Recognise DICOM by its mark, or by a plausible first element without preamble."""
    if data[128:132] == b"DICM":
        return True
    kind = data[4:6]  # of the element, in explicit files; else its length begins here
    known = kind.isalpha() and kind.isupper()
    if data[:2] in (b"\x02\0", b"\x08\0"):
        return known or int.from_bytes(data[4:8], "little") < 1024
    return known and data[:2] == b"\0\x08"


def _read_dicom(data: bytes) -> tuple[Image.Image, float, tuple[str, ...]]:
    from . import dicom  # half a second that other formats need not wait for

    try:
        values, warnings = dicom.decode(data, _check_size, _risky_decoders)
    except dicom.DicomError as error:
        raise ImageError(error.reason, str(error)) from None
    if values.ndim == 3:
        colour = Image.fromarray(values)
        return colour.convert("L"), _spread_of_colour(colour), warnings
    return Image.fromarray(_scale_by_range(values)), 0.0, warnings


def _check_bytes(data: bytes) -> None:
    if not data:
        raise ImageError("empty", "No image came in: the file is empty. Choose one.")
    if len(data) > MAX_BYTES:
        raise too_large(len(data))


def too_large(size: int) -> ImageError:
    """Return what refuses a file of `size` bytes."""
    return ImageError(
        "too_large",
        TOO_LARGE.format(size=-(-size // 2**20), limit=MAX_BYTES // 2**20),
    )


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(f"{width * height / 1e6:.0f} million")
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            "too_small",
            f"This picture is {width} x {height} pixels; each side must have at least "
            f"{MIN_SIDE}. Choose a larger copy of the X-ray.",
        )


def _too_many_pixels(count: str) -> ImageError:
    return ImageError(
        "too_many_pixels",
        f"This picture has {count} pixels; at most {MAX_PIXELS // 10**6} million are "
        "read. Save it smaller.",
    )


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


def _to_grey(picture: Image.Image) -> Image.Image:
    """Return `picture` as mode L, deep pixels scaled by their own range."""
    if picture.mode[0] in "IF":  # I, I;16, I;16B, I;16L, F: convert("L") would clip
        return Image.fromarray(_scale_by_range(np.asarray(picture)))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        black = Image.new("RGBA", picture.size, "black")
        picture = Image.alpha_composite(black, picture)
    if picture.mode == "L":
        picture.load()
        return picture
    if picture.mode != "RGB":
        picture = picture.convert("RGB")  # CMYK and Lab go through RGB
    return picture.convert("L")


def _scale_by_range(deep: np.ndarray) -> np.ndarray:
    """Map numbers (H, W) of any dtype linearly onto uint8, their minimum to 0."""
    # block by block, because float64 takes up to eight times a large picture's memory
    blocks = np.array_split(deep, deep.size // 2**20 + 1)
    finite = [values for b in blocks if (values := _range(b)) is not None]
    if not finite:
        return np.zeros(deep.shape, np.uint8)
    low, high = np.min(finite), np.max(finite)
    scaled = np.empty(deep.shape, np.uint8)
    for block, part in zip(blocks, np.array_split(scaled, len(blocks)), strict=True):
        block = np.nan_to_num(
            block.astype(np.float64), nan=low, posinf=high, neginf=low
        )
        part[:] = np.rint((block - low) * (255 / ((high - low) or 1)))
    return scaled


def _range(block: np.ndarray) -> tuple[float, float] | None:
    """Return the lowest and the highest finite number, if there is one."""
    finite = block[np.isfinite(block)].astype(np.float64)
    return (finite.min(), finite.max()) if finite.size else None


def to_input(pixels: np.ndarray, size: int = IMAGE_SIZE) -> np.ndarray:
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
