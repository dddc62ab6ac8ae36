"""Image bytes to pixels, pixels to network input, heat map to picture.

This is the only module that decodes, resizes or encodes an image. Serving and training
both go through `read_image` and `to_input`, so the network meets the same pixels in
both.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

IMAGE_SIZE = 128
"""Height and width of the network's input, in pixels."""

MAX_BYTES = 32 * 2**20
"""Largest file that is read, in bytes."""

MAX_PIXELS = 50_000_000
"""Largest picture that is decoded, in pixels; checked before any pixel is decoded."""

MIN_SIDE = 64
"""Shortest side that is accepted, in pixels: half of what the network looks at."""

DISPLAY_SIDE = 1024
"""Longest side of what `read_image` returns, in pixels: enough to look at."""

FORMATS = tuple(
    kind.format
    for kind in (
        *(PngImageFile, JpegImageFile, BmpImageFile),
        *(TiffImageFile, WebPImageFile, GifImageFile, Jpeg2KImageFile),
    )
)
"""Pillow's names of the formats that are opened; everything else is refused."""

_JPEG_SIDE = 512  # a JPEG is decoded at the smallest scale that keeps this much
_READABLE = "PNG, JPEG, BMP, TIFF, WebP, GIF or JPEG 2000"

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

# Seventeen points of matplotlib's perceptually uniform colour map "inferno" (CC0).
_INFERNO = """
000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754
d24644 e45a31 f1731d f98e09 fcac11 f9cb35 f2ea69 fcffa4
"""
_POINTS = np.array([list(bytes.fromhex(point)) for point in _INFERNO.split()])
_COLOURS = np.stack(
    [
        np.interp(np.arange(256), np.linspace(0, 255, len(_POINTS)), channel)
        for channel in _POINTS.T
    ],
    axis=-1,
).astype(np.float32)


class ImageError(ValueError):
    """The caller's image is at fault, not the installation.

    Attributes:
        reason: stable code for programs: `empty`, `too_large`, `too_many_pixels`,
            `too_small`, `not_image`, `dicom`, `damaged` or `no_contrast`.
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


def read_image(data: bytes) -> np.ndarray:
    """Decode an image file into upright greyscale pixels.

    EXIF rotation is applied, transparency is laid on black, colours become luma, and
    pixels of more than 8 bits are scaled by their own range. Of several frames the
    first is read. Large pictures come out reduced, sides in proportion, to what a
    screen needs.

    Args:
        data: the file's content, in one of `FORMATS`, at most `MAX_BYTES` long.

    Returns:
        uint8 (H, W) in [0, 255], with H and W at most `DISPLAY_SIDE`.

    Raises:
        ImageError: the bytes are no picture that can be read, or one that is too large,
            too small or blank; the message says what to do.
    """
    _check_bytes(data)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            _check_size(*picture.size)
            picture.draft("L", (_JPEG_SIDE, _JPEG_SIDE))
            grey = _to_grey(ImageOps.exif_transpose(picture))
    except ImageError:
        raise
    except Image.UnidentifiedImageError as error:
        raise ImageError(
            "not_image",
            f"This file is not a picture that can be read here. Expected {_READABLE}.",
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels("far more") from error
    except _DECODE_ERRORS as error:
        raise ImageError(
            "damaged",
            "This picture is damaged or incomplete and can't be read to its end. "
            "Save or download it once more and try again.",
        ) from error
    grey.thumbnail((DISPLAY_SIDE, DISPLAY_SIDE), Image.Resampling.BOX)
    pixels = np.asarray(grey)
    if pixels.min() == pixels.max():
        raise ImageError(
            "no_contrast",
            "This picture is blank: every pixel has the same brightness. "
            "Choose the X-ray itself.",
        )
    return pixels


def _check_bytes(data: bytes) -> None:
    if not data:
        raise ImageError("empty", "No image came in: the file is empty. Choose one.")
    if len(data) > MAX_BYTES:
        raise ImageError(
            "too_large",
            f"This file has {len(data) / 2**20:.0f} MiB; at most "
            f"{MAX_BYTES // 2**20} MiB are read. Save the picture smaller.",
        )
    if data[128:132] == b"DICM":
        raise ImageError(
            "dicom",
            "This is a DICOM file, which can't be read yet. "
            "Export the picture from your viewer as PNG and drop that in.",
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


def _to_grey(picture: Image.Image) -> Image.Image:
    """Return `picture` as mode L, deep pixels scaled by their own range."""
    if picture.mode[0] in "IF":  # I, I;16, I;16B, I;16L, F: convert("L") would clip
        return Image.fromarray(_scale_by_range(np.asarray(picture)))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        black = Image.new("RGBA", picture.size, "black")
        picture = Image.alpha_composite(black, picture)
    if picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGB")  # CMYK and Lab go through RGB
    return picture.convert("L")


def _scale_by_range(deep: np.ndarray) -> np.ndarray:
    """Map numbers (H, W) of any dtype linearly onto uint8, their minimum to 0."""
    deep = deep.astype(np.float64)
    finite = np.isfinite(deep)
    if not finite.any():
        return np.zeros(deep.shape, np.uint8)
    low, high = deep[finite].min(), deep[finite].max()
    deep = np.nan_to_num(deep, nan=low, posinf=high, neginf=low)
    return np.rint((deep - low) * (255 / ((high - low) or 1))).astype(np.uint8)


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


def enlarge(heatmap: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize a coarse map smoothly to a picture's size.

    Args:
        heatmap: float32 (h, w) in [0, 1].
        shape: (H, W) of the picture.

    Returns:
        float32 (H, W) in [0, 1].
    """
    height, width = shape
    smooth = Image.fromarray(heatmap).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth), 0, 1)


def draw_overlay(
    pixels: np.ndarray, heatmap: np.ndarray, strength: float = 0.6
) -> np.ndarray:
    """Lay a heat map over an X-ray; where it is zero, the X-ray shows untouched.

    Args:
        pixels: uint8 (H, W) in [0, 255].
        heatmap: float32 (H, W) in [0, 1].
        strength: opacity of the colour where the map is 1, in [0, 1].

    Returns:
        uint8 (H, W, 3) RGB, coloured with the perceptually uniform map "inferno".
    """
    colour = _COLOURS[np.rint(heatmap * 255).astype(np.uint8)]
    opacity = (strength * heatmap)[..., None]
    mixed = pixels[..., None] * (1 - opacity) + colour * opacity
    return np.rint(mixed).astype(np.uint8)


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode pixels as a PNG file.

    Args:
        pixels: uint8 (H, W) grey or (H, W, 3) RGB.

    Returns:
        The file's bytes.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
