"""What Pillow keeps to itself of deep pictures and of TIFF: low bytes, sign, polarity.

Pillow hands out colours of 16 bits as their high bytes alone, reads unsigned numbers
as signed ones and the other way round, and inverts WhiteIsZero only where it has 8
bits. Its own decoders do the work here, too.
"""

import io
import sys

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, features
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from .picture import ImageError, damaged
from .tiff import (
    FLOAT,
    PAGES,
    PARSE_ERRORS,
    PLANAR,
    SIGNED,
    SUBFILE,
    UNSIGNED,
    WHITE_IS_ZERO,
    first,
    is_part,
)

_COLOURS = ("LA", "RGB", "RGBA", "CMYK", "LAB", "YCbCr")
_LUMA = np.array([299, 587, 114], np.float32) / 1000
# Pillow opens such grey TIFFs in one order of bytes, or with black as zero, alone.
for _key, _modes in {
    (b"MM", 1, (UNSIGNED,), 1, (32,), ()): ("I", "I;32BS"),
    (b"MM", 0, (UNSIGNED,), 1, (16,), ()): ("I;16B", "I;16B"),
    (b"II", 0, (UNSIGNED,), 1, (32,), ()): ("I", "I;32S"),
    (b"MM", 0, (UNSIGNED,), 1, (32,), ()): ("I", "I;32BS"),
    (b"II", 0, (SIGNED,), 1, (16,), ()): ("I", "I;16S"),
    (b"MM", 0, (SIGNED,), 1, (16,), ()): ("I", "I;16BS"),
    (b"II", 0, (SIGNED,), 1, (32,), ()): ("I", "I;32S"),
    (b"MM", 0, (SIGNED,), 1, (32,), ()): ("I", "I;32BS"),
}.items():
    TiffImagePlugin.OPEN_INFO.setdefault(_key, _modes)
_NATIVE = {
    **{"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"},
    "I;16B": "I;16N",
}
_NUMBERS = {
    UNSIGNED: "whole numbers",
    SIGNED: "signed numbers",
    FLOAT: "floating-point numbers",
}
_CODESTREAM = b"\xff\x4f\xff\x51"  # how that of JPEG 2000 begins
_ARCHIVES = {  # how they begin
    **dict.fromkeys((b"PK\x03\x04", b"PK\x05\x06"), "a zip archive"),
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x1f\x8b": "a gzip archive",
    b"MZ": "a program, perhaps an archive that unpacks itself",
}
_BRANDS = {  # of a file that begins with an `ftyp` box
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"), "HEIC"),
}


def first_page(picture: TiffImageFile) -> tuple[int, bool]:
    """Go to the first page of a TIFF that is neither a thumbnail nor a mask.

    Returns:
        Its number, and whether other such pages were passed over.
    """
    full = []
    for page in range(PAGES):
        try:
            picture.seek(page)
        except EOFError:
            break
        if not is_part(picture.tag_v2.get(SUBFILE, 0)):
            full.append(page)
    page = full[0] if full else 0
    picture.seek(page)
    # what libtiff inflates is in this machine's order, which Pillow forgets
    picture.tile = [
        tile._replace(args=(_NATIVE.get(tile.args[0], tile.args[0]), *tile.args[1:]))
        if tile.codec_name == "libtiff"
        else tile
        for tile in picture.tile
    ]
    return page, len(full) > 1


def numbers(picture: Image.Image) -> tuple[np.ndarray, bool] | None:
    """Return the numbers of a grey picture that Pillow reads in another way than meant.

    Args:
        picture: opened; it is decoded.

    Returns:
        (H, W) of whole numbers or floats as they stand in the file, and whether the
        largest is black; None where Pillow's own conversion to grey is right.
    """
    tags = getattr(picture, "tag_v2", {})
    kind = first(tags.get(TiffImagePlugin.SAMPLEFORMAT, UNSIGNED))
    bits = first(tags.get(TiffImagePlugin.BITSPERSAMPLE, 8))
    if picture.mode[0] in "IF":
        deep = np.asarray(picture)
        if (bits, kind, picture.mode) == (32, UNSIGNED, "I"):
            deep = deep.view(np.uint32)
        photometric = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION)
        return deep, photometric == WHITE_IS_ZERO
    if (bits, kind, picture.mode) == (8, SIGNED, "L"):
        return np.asarray(picture).view(np.int8), False
    return None


def deep_colour(picture: Image.Image, data: bytes, page: int) -> np.ndarray | None:
    """Return the grey of a picture of colours, or of grey and alpha, of 16 bits each.

    Args:
        picture: opened, at the page, not yet decoded.
        data: the file's content.
        page: of it.

    Returns:
        uint16 (H, W), upright, luma, what is transparent laid on black; None where the
        picture is no such.

    Raises:
        ImageError: it is one that Pillow gives no low bytes of.
    """
    raw = _raw_mode(picture)
    if raw == "LA;16B":  # four bytes a pixel, which can be had as they are
        high_grey, low_grey, high_alpha, low_alpha = np.moveaxis(
            _decode(data, page, "RGBA"), -1, 0
        )
        return _on_black(_join(high_grey, low_grey), _join(high_alpha, low_alpha))
    if picture.mode not in _COLOURS or (
        ";16" not in raw and _precision(picture, data) <= 8
    ):
        return None
    planar = getattr(picture, "tag_v2", {}).get(PLANAR) == 2
    kind, _, order = raw.partition(";16")
    if kind not in ("RGB", "RGBX", "RGBA") or planar:
        raise ImageError(
            "unsupported",
            "This picture has colours of more than 8 bits in a layout that is not "
            "read here. Save it as grey PNG with 8 or 16 bits.",
        )
    other = {"L": "B", "B": "L"}[order.replace("N", sys.byteorder[0].upper())]
    high = _decode(data, page, raw)
    low = _decode(data, page, f"{kind};16{other}")
    grey = np.empty(high.shape[:2], np.uint16)
    for row in range(len(grey)):  # floats of the whole picture would take 600 MB
        colours = _join(high[row, :, :3], low[row, :, :3])
        grey[row] = np.rint(colours.astype(np.float32) @ _LUMA)
    if kind == "RGBA":
        return _on_black(grey, _join(high[..., 3], low[..., 3]))
    return grey


def _raw_mode(picture: Image.Image) -> str:
    """Return how Pillow calls the bytes of a picture that isn't decoded; "" if not."""
    args = picture.tile[0].args if picture.tile else ""
    return str(args if isinstance(args, str) else first(args) or "")


def _precision(picture: Image.Image, data: bytes) -> int:
    """Return the bits of each colour of a TIFF or JPEG 2000; 8 for other formats."""
    if picture.format == "TIFF":
        return first(picture.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, 8))
    if picture.format != "JPEG2000":
        return 8
    start = data.find(_CODESTREAM)
    depth = data[start + 42 : start + 43]  # of the first component
    return (depth[0] & 127) + 1 if start >= 0 and depth else 8


def _decode(data: bytes, page: int, raw: str) -> np.ndarray:
    """Decode with another name for the same bytes; uint8 (H, W, 3 or 4), upright."""
    with Image.open(io.BytesIO(data), formats=("PNG", "TIFF")) as picture:
        if page:
            picture.seek(page)
        picture.tile = [
            tile._replace(
                args=raw if isinstance(tile.args, str) else (raw, *tile.args[1:])
            )
            for tile in picture.tile
        ]
        ImageOps.exif_transpose(picture, in_place=True)
        return np.asarray(picture)


def _join(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    return high.astype(np.uint16) << 8 | low


def _on_black(grey: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Lay uint16 (H, W) on black; alpha that is 0 everywhere says nothing."""
    if alpha.min() == 65535 or not alpha.any():
        return grey
    return (grey.astype(np.uint32) * alpha // 65535).astype(np.uint16)


def unknown(data: bytes) -> ImageError | None:
    """Return what refuses a known kind of file that Pillow can't open here."""
    brand = _BRANDS.get(data[8:12]) if data[4:8] == b"ftyp" else None
    if brand == "AVIF" and features.check("avif"):
        return damaged()
    if brand:
        return ImageError(
            "unsupported",
            f"This is a picture in the format {brand}, which is not read here. Save it "
            "as PNG or JPEG.",
        )
    for start, what in _ARCHIVES.items():
        if data.startswith(start):
            return ImageError(
                "archive",
                f"This is {what}, not a picture. Unpack it, and choose the X-rays "
                "in it.",
            )
    if data[:5] == b"%PDF-":
        return ImageError(
            "not_image",
            "This is a PDF document, not a picture. Export the X-ray from it as PNG.",
        )
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        what = _kind_of_tiff(data) or "pixels of an unusual kind"
        return ImageError(
            "unsupported",
            f"This TIFF holds {what}, which are not read here. Save it as grey PNG or "
            "TIFF with 8 or 16 bits.",
        )
    return None


def _kind_of_tiff(data: bytes) -> str | None:
    """Say what the pixels of a TIFF are, in fixed words."""
    try:
        tags = ImageFileDirectory_v2(data[:8] if data[2:3] != b"+" else data[:16])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
        kind = tags.get(TiffImagePlugin.SAMPLEFORMAT, (UNSIGNED,))
        count = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    except PARSE_ERRORS:
        return None
    if first(bits) not in (8, 16, 32, 64) or first(kind) not in _NUMBERS:
        return None
    channels = {1: "", 2: "grey and alpha as ", 3: "colours as ", 4: "colours as "}
    if count not in channels:
        return None
    return f"{channels[count]}{_NUMBERS[first(kind)]} of {first(bits)} bits"
