"""Pictures that are no DICOM: by Pillow where they are plain, else by imagecodecs.

Each format has its own file for what Pillow does not know of it. What comes back from
there is turned, toned and made grey here, for all formats and depths alike.
"""

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from PIL import AvifImagePlugin, ExifTags, Image, PngImagePlugin, UnidentifiedImageError
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ..words import READER_WARNINGS
from . import deep, jpeg, png, square, tiff, tone, unread
from .picture import Detail, ImageError, check_size, damaged, too_many_pixels
from .tone import Tone

_FILE_TYPES = {
    "PNG": (PngImageFile, (".png",)),
    "JPEG": (JpegImageFile, (".jpeg", ".jpg", ".jpe", ".jfif")),
    "BMP": (BmpImageFile, (".bmp",)),
    "TIFF": (TiffImageFile, (".tif", ".tiff")),
    "WebP": (WebPImageFile, (".webp",)),
    "GIF": (GifImageFile, (".gif",)),
    "JPEG 2000": (Jpeg2KImageFile, (".jp2", ".j2k", ".j2c", ".jph", ".jhc")),
    "AVIF": (AvifImageFile, (".avif",)),
}
PngImagePlugin.MAX_TEXT_CHUNK = 2**24  # an editor's history may take a million bytes
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # others would each take stack and time
FORMATS = tuple(str(plugin.format) for plugin, _ in _FILE_TYPES.values())
"""Pillow's names of the formats that are opened; everything else is refused."""

SUFFIXES = (
    *(suffix for _, suffixes in _FILE_TYPES.values() for suffix in suffixes),
    *(".jls", ".dcm", ".dicom"),
)
"""What the names of such files end in. What a file is, its content says."""

READABLE = f"{', '.join(_FILE_TYPES)}, JPEG-LS or DICOM"
"""The formats that are read, in words."""

_CHROMA_SIDE = 96  # colour is measured on a picture reduced to this
_CODESTREAM = b"\xff\x4f\xff\x51"  # how that of JPEG 2000 begins
_DENSITY = (ExifTags.Base.XResolution, ExifTags.Base.YResolution)
_ON_ITS_SIDE = (5, 6, 7, 8)  # turns that make rows of columns
_TURNS = {  # EXIF's orientation: what brings it upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_HEIGHT_BEHIND = b"\xff\xdc\0\4"
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


class _Lie(NamedTuple):
    """How a picture lies in its file.

    Attributes:
        turn: orientation as in EXIF, 1 to 8.
        height: of a pixel, for its width.
    """

    turn: int = 1
    height: float = 1.0


def read(
    data: bytes, detail: Detail, risky: bool
) -> tuple[Image.Image, float, tuple[str, ...]]:
    """Decode a file that is no DICOM.

    Args:
        data: the file's content.
        detail: how fine the picture has to be.
        risky: decoders that may end the process may be used.

    Returns:
        The picture, upright, of mode L; how much its colour varies, as in `Picture`;
        and codes of `READER_WARNINGS`.

    Raises:
        ImageError: it can't be read.
    """
    notes: set[str] = set()
    try:
        if data.startswith(png.START):
            picture, lie = _read_png(data, detail, notes)
        elif data.startswith(jpeg.START):
            picture, lie = _read_jpeg(data, detail, risky, notes)
        elif data.startswith(tiff.STARTS):
            picture, lie = _read_tiff(data, detail, risky, notes)
        else:
            picture, lie = _by_pillow(_open(data, notes), detail, notes)
    except (ImageError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise unread.named(data) or ImageError(
            "not_image",
            f"This file is not a picture that can be read here. Expected {READABLE}.",
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_many_pixels("far more") from error
    except _DECODE_ERRORS as error:
        raise damaged() from error
    chroma = spread_of_colour(picture)
    if picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGB")  # CMYK and Lab go through RGB
    if picture.mode != "L":  # else it would be copied
        picture = picture.convert("L")
    if lie.height != 1:
        notes.add("not_square")
        picture = square.squared(picture, lie.height, detail.most)
    if lie.turn in _TURNS:  # here, for all formats and depths alike
        picture = picture.transpose(_TURNS[lie.turn])
    return picture, chroma, tuple(code for code in READER_WARNINGS if code in notes)


def _read_png(data: bytes, detail: Detail, notes: set[str]) -> tuple[Image.Image, _Lie]:
    if refused := unread.named(data):
        raise refused
    parts = png.parts(data)
    notes |= parts.notes
    picture = _open(parts.data, notes)
    if not parts.deep:
        return _by_pillow(picture, detail, notes, parts.tone)
    lie = _lie_of(picture, notes, Image.Image.getexif)  # PNG's own decodes the pixels
    return _shown(png.decode(parts.data), parts.tone, detail, notes), lie


def _read_jpeg(
    data: bytes, detail: Detail, risky: bool, notes: set[str]
) -> tuple[Image.Image, _Lie]:
    head = jpeg.header(data)
    if head and not head.size[1] and _HEIGHT_BEHIND in data:
        raise unread.not_read("JPEG with its height behind the pixels (DNL)")
    if head and not head.usual:
        pixels = jpeg.read(data, head, risky)
        if not head.ends:
            notes.add("parts_skipped")
        bare = Image.new("L", (1, 1))
        bare.info |= {"exif": head.exif, "xmp": head.xmp}
        bare.info |= {"jfif_density": head.density}
        numbers = deep.Numbers(pixels, 2**head.bits - 1)
        meant = _tone_of(head.profile, pixels.ndim == 3, notes)
        return _shown(numbers, meant, detail, notes), _lie_of(bare, notes)
    if head and not head.ends:
        check_size(*head.size)
        data = jpeg.with_its_end(data, head, _pixels_of)
        notes.add("parts_skipped")
    picture = _open(data, notes)
    if head:  # else nobody knows what it is, and some kinds crash when reduced
        picture.draft(picture.mode, (detail.jpeg, detail.jpeg))
        if head.ends and not jpeg.has_all_scans(data, head):
            raise damaged()
        last_rows = picture.crop((0, max(picture.height - 2, 0), *picture.size))
        looks_cut = head.ends and jpeg.looks_cut(np.asarray(last_rows))
        if looks_cut and jpeg.is_cut(data, _pixels_of):
            raise damaged()
    return _by_pillow(picture, detail, notes)


def _read_tiff(
    data: bytes, detail: Detail, risky: bool, notes: set[str]
) -> tuple[Image.Image, _Lie]:
    page = tiff.page_of(data)
    lie = _Lie(page.turn, _height_of(page.density))
    if page.several:
        notes.add("first_frame")
    if page.pillows:
        with contextlib.suppress(UnidentifiedImageError):
            picture, _ = _by_pillow(_open(data, notes, page.number), detail, notes)
            on_its_side = lie.turn in _ON_ITS_SIDE  # Pillow has turned it already
            return picture, _Lie(1, 1 / lie.height if on_its_side else lie.height)
    numbers = tiff.read(page, risky)
    meant = _tone_of(page.profile, numbers.pixels.ndim == 3, notes)
    return _shown(numbers, meant, detail, notes), lie


def _open(data: bytes, notes: set[str], page: int | None = None) -> Image.Image:
    """Open a file without decoding it, at a page if it has such."""
    picture = Image.open(io.BytesIO(data), formats=FORMATS)
    check_size(*picture.size)
    if page is not None:
        picture.seek(page)
        check_size(*picture.size)
    elif getattr(picture, "is_animated", False):
        notes.add("first_frame")
    return picture


def _pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(_open(data, set()))


def _by_pillow(
    picture: Image.Image, detail: Detail, notes: set[str], meant: Tone | None = None
) -> tuple[Image.Image, _Lie]:
    """Decode, apply a tone, lay on black; also return how it lies."""
    profile = picture.info.get("icc_profile")
    if picture.format == "JPEG2000":
        # `_open` gave it the file
        data = picture.fp.getvalue()  # type: ignore[attr-defined]
        profile = _profile_of_jp2(data)
        if len(picture.getbands()) > 1 and _precision_of_jp2(data) > 8:
            raise ImageError(
                "unsupported",
                "This picture has colours of more than 8 bits in a layout that is not "
                "read here. Save it as grey PNG with 8 or 16 bits.",
            )
    picture.load()
    lie = _lie_of(picture, notes)
    meant = meant or _tone_of(profile, picture.mode[0] not in "1LIF", notes)
    if picture.mode[0] in "IF":
        numbers = deep.Numbers(np.asarray(picture), 65535)
        return _shown(numbers, meant, detail, notes), lie
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if meant:
            table = deep.eight_bits(meant).tolist()
            picture = picture.point([*table * 3, *range(256)])
        if not picture.getchannel("A").getbbox():  # it would leave nothing
            return picture.convert("RGB"), lie
        black = Image.new("RGBA", picture.size, "black")
        return Image.alpha_composite(black, picture), lie
    if meant and picture.mode != "CMYK":
        picture = picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
        table = deep.eight_bits(meant).tolist()
        picture = picture.point(table * len(picture.getbands()))
    return picture, lie


def _shown(
    numbers: deep.Numbers, meant: Tone | None, detail: Detail, notes: set[str]
) -> Image.Image:
    pixels, clipped = deep.shown(numbers, meant, detail.averaged)
    if clipped:
        notes.add("outliers_clipped")
    return Image.fromarray(pixels)


def _tone_of(profile: bytes | None, colours: bool, notes: set[str]) -> Tone | None:
    try:
        return tone.of_profile(profile, colours) if profile else None
    except ValueError:
        notes.add("tone_ignored")
        return None


def _lie_of(
    picture: Image.Image,
    notes: set[str],
    exif_of: Callable[[Image.Image], Image.Exif] = lambda picture: picture.getexif(),
) -> _Lie:
    said = [picture.info.get(name) for name in ("aspect", "jfif_density", "dpi")]
    turn = 1
    try:
        exif = exif_of(picture)
        turn = exif.get(ExifTags.Base.Orientation, 1)
        said.append([exif.get(tag) for tag in _DENSITY])
    except _DECODE_ERRORS:
        notes.add("parts_skipped")
    return _Lie(turn, _height_of(*said))


def _height_of(*said: Any) -> float:
    """Return how high a pixel is for its width, by the first that says so.

    Args:
        *said: pixels for a length, across and down; or what is none of this.
    """
    for density in said:
        try:
            across, down = map(float, density)
            height = square.height_of_pixel(across, down)
        except (TypeError, ValueError, ArithmeticError):
            continue
        if height != 1:
            return height
    return 1.0


def spread_of_colour(picture: Image.Image) -> float:
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
    ranges = (small.getchannel(name).getextrema() for name in ("Cb", "Cr"))
    if all(low == high for low, high in ranges):
        return 0.0  # grey, stored as colours
    y, *colours = np.moveaxis(np.asarray(small, np.float64) / 255, -1, 0)
    y = y - y.mean()
    slope_base = (y**2).sum() or 1.0
    rest = [c - c.mean() - y * (y * c).sum() / slope_base for c in colours]
    return float(np.sqrt(np.mean(np.square(rest))))


def _precision_of_jp2(data: bytes) -> int:
    """Return the bits of the first component."""
    start = data.find(_CODESTREAM)
    depth = data[start + 42 : start + 43]
    return (depth[0] & 127) + 1 if start >= 0 and depth else 8


def _profile_of_jp2(data: bytes) -> bytes:
    """Return the ICC profile, which begins with its length; empty without."""
    _, box, rest = data[: data.find(_CODESTREAM)].partition(b"colr\2")
    return rest[2 : 2 + int.from_bytes(rest[2:6], "big")] if box else b""
