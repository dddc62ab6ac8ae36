"""TIFF: which page counts, and the numbers of those that Pillow does not read.

Pillow reads pixels of up to 8 bits, with palettes, fax and odd colours. What has more,
a sign or floats is tifffile's; so are compressions that Pillow does not have. Their
decoders are those of imagecodecs. Some of them are large and see few files; they run in
a worker alone.
"""

import io
import logging
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .deep import Numbers, on_black
from .picture import MAX_PIXELS, ImageError, check_size, damaged, needs_worker

if TYPE_CHECKING:
    import tifffile

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_PAGES = 16  # how many are looked at for one that is no thumbnail
_THUMBNAIL_OR_MASK = 1 | 4
_MOST_BYTES = 8 * MAX_PIXELS  # of a whole picture, and of a tile
_LEAST_SIDE = 16  # of a tile
_UNSIGNED, _VOID = 1, 4  # kinds of samples
_WHITE_IS_ZERO, _CMYK, _YCBCR = 0, 5, 6
_COLOURS = {_WHITE_IS_ZERO: 1, 1: 1, 2: 3, _CMYK: 4, _YCBCR: 3}
_JPEG = (6, 7, 33007, 34892)
# What Pillow never has: JPEG 2000, LERC, PNG, JPEG XR, WebP, JPEG XL.
_NOT_PILLOWS = (*range(33003, 33006), 34712, 34887, 34933, 22610, 34934, 50001, 50002)
# None, LZW, Deflate, PackBits, LZMA, Zstandard: they give bytes, and can't overrun.
_HARMLESS = (1, 5, 8, 32946, 32773, 34925, 50000)
_ALPHA = (2,)  # alpha that the colours are not multiplied with yet
_NUMBERS = {1: "whole numbers", 2: "signed numbers", 3: "floating-point numbers"}
_ICC, _ORIENTATION, _PHOTOMETRIC, _XMP = 34675, 274, 262, 700
_TURN_IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
_ACROSS, _DOWN = 282, 283


class Page(NamedTuple):
    """The page of a TIFF that is read.

    Attributes:
        number: which of the file's pages it is.
        several: there are others that are pictures.
        pillows: Pillow can be asked for it.
        turn: orientation as in EXIF, 1 to 8.
        profile: ICC; empty where there is none.
        density: pixels for a length across and down, 0 for what it does not say.
        inner: as tifffile has it.
    """

    number: int
    several: bool
    pillows: bool
    turn: int
    profile: bytes
    density: tuple[float, float]
    inner: "tifffile.TiffPage"


def page_of(data: bytes) -> Page:
    """Return the first page of a TIFF that is neither a thumbnail nor a mask.

    Args:
        data: begins with one of `STARTS`.

    Raises:
        ImageError: it has no page.
    """
    import tifffile  # other formats need not wait for it

    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # it quotes files
    plain: dict[str, Any] = dict.fromkeys(("is_lsm", "is_ndpi", "is_scanimage"), False)
    pages: list[tifffile.TiffPage] = []
    try:
        file = tifffile.TiffFile(io.BytesIO(data), _multifile=False, **plain)
        for number in range(_PAGES):
            page = file.pages[number]
            if not isinstance(page, tifffile.TiffPage):
                raise IndexError  # never: frames are of a series that was asked for
            if page.offset in {one.offset for one in pages}:
                break  # round in a circle
            pages.append(page)
    except IndexError:
        pass  # no more
    except Exception as error:  # whatever damage leads to: nothing is checked there
        if not pages:
            raise damaged() from error
    full = [
        (number, page)
        for number, page in enumerate(pages)
        if not page.subfiletype & _THUMBNAIL_OR_MASK
    ]
    if not pages:
        raise damaged()
    number, page = (full or [(0, pages[0])])[0]
    small = isinstance(page.bitspersample, tuple) or page.bitspersample <= 8
    usual = small and page.sampleformat in (_UNSIGNED, _VOID)
    pillows = usual and page.compression not in _NOT_PILLOWS
    profile = page.tags.valueof(_ICC)
    return Page(
        number,
        len(full) > 1,
        pillows,
        _turn_of(page),
        profile if isinstance(profile, bytes) else b"",
        (_density(page, _ACROSS), _density(page, _DOWN)),
        page,
    )


def _turn_of(page: "tifffile.TiffPage") -> int:
    """Return the orientation that the page's tag says, or else its XMP, as Pillow."""
    said = page.tags.valueof(_ORIENTATION)
    if isinstance(said, int):
        return said
    xmp = page.tags.valueof(_XMP)
    found = _TURN_IN_XMP.search(xmp) if isinstance(xmp, bytes) else None
    return int(found[1]) if found else 1


def _density(page: "tifffile.TiffPage", tag: int) -> float:
    try:
        numerator, denominator = page.tags.valueof(tag)
        return numerator / denominator
    except (TypeError, ValueError, ArithmeticError):
        return 0.0


def read(found: Page, risky: bool) -> Numbers:
    """Decode a page by tifffile.

    Args:
        found: from `page_of`.
        risky: decoders that may end the process may be used.

    Raises:
        ImageError: it can't be read, or not in this process.
    """
    import imagecodecs  # noqa: F401 - else tifffile takes a codec for a damaged file

    page = found.inner
    try:
        _check(page)
        if not risky and page.compression not in _HARMLESS:
            raise needs_worker("TIFF")
        stored = page.asarray(squeeze=False, maxworkers=1)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # tifffile and its codecs raise nearly everything
        raise damaged() from error
    if page.planarconfig == 2:
        stored = np.moveaxis(stored, 0, -1)[..., 0, :]
    stored = stored.reshape(page.imagelength, page.imagewidth, -1)
    top = 1.0 if stored.dtype.kind == "f" else 2.0**page.bitspersample - 1
    if stored.dtype == np.float16:
        stored = stored.astype(np.float32)  # whose range is wide enough to reckon with
    elif page.bitspersample < 8:
        stored, top = np.rint(stored * (255 / top)).astype(np.uint8), 255.0
    colours = _COLOURS[page.photometric]
    if page.photometric == _CMYK:
        pixels, top = _from_cmyk(stored, top)
    else:
        pixels = stored[..., 0] if colours == 1 else stored[..., :3]
        if page.samplesperpixel > colours and page.extrasamples[:1] == _ALPHA:
            pixels = on_black(pixels, stored[..., colours], top)
    said = _PHOTOMETRIC in page.tags  # else tifffile takes white for 0
    return Numbers(pixels, top, said and page.photometric == _WHITE_IS_ZERO)


def _check(page: "tifffile.TiffPage") -> None:
    """Refuse a page that is too large, damaged or not read, before it is decoded."""
    import tifffile

    if not page.imagewidth * page.imagelength:
        raise damaged()
    check_size(page.imagewidth, page.imagelength)
    colours = _COLOURS.get(page.photometric, 99)
    if (
        page.dtype is None
        or isinstance(page.bitspersample, tuple)
        or page.dtype.kind not in "buif"
        or (page.dtype.kind == "i" and page.samplesperpixel > 1)
        or page.samplesperpixel < colours
        or (page.photometric == _YCBCR and page.compression not in _JPEG)
        or page.imagedepth * page.tiledepth != 1
    ):
        raise refused(page)
    if page.compression != 1 and page.compression not in tifffile.TIFF.DECOMPRESSORS:
        raise ImageError(
            "unsupported",
            f"This TIFF is compressed in a way (number {int(page.compression)}) that "
            "is not read here. Save it as grey PNG or TIFF with 8 or 16 bits.",
        )
    size = math.prod(page.shaped) * page.dtype.itemsize
    tile = page.tilewidth * page.tilelength * page.samplesperpixel * page.dtype.itemsize
    if max(size, tile) > _MOST_BYTES:
        raise ImageError(
            "too_many_pixels",
            f"The pixels of this picture take more than {_MOST_BYTES // 10**6} million "
            "bytes. Save it smaller, or as grey PNG with 16 bits.",
        )
    if page.is_tiled and min(page.tilewidth, page.tilelength) < _LEAST_SIDE:
        raise damaged()
    if page.compression == 1 and not page.is_tiled:
        page.databytecounts = _sizes(page)  # what the file says is often wrong
    counts = len(page.dataoffsets), len(page.databytecounts)
    if min(counts) < math.prod(page.chunked) or 0 in page.databytecounts:
        raise damaged()


def _sizes(page: "tifffile.TiffPage") -> tuple[int, ...]:
    """Return how many bytes each strip has that is not compressed."""
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    bits = page.imagewidth * page.bitspersample * page.samplesperpixel // planes
    tops = range(0, page.imagelength, page.rowsperstrip)
    rows = [min(page.rowsperstrip, page.imagelength - top) for top in tops]
    return tuple(-(-bits // 8) * count for count in rows * planes)


def refused(page: "tifffile.TiffPage") -> ImageError:
    """Return what refuses pixels of an unusual kind, in fixed words."""
    kind = _NUMBERS.get(page.sampleformat)
    channels = {1: "", 2: "grey and alpha as ", 3: "colours as ", 4: "colours as "}
    what = "pixels of an unusual kind"
    if kind and page.bitspersample in (8, 16, 32, 64):
        what = channels.get(page.samplesperpixel, "many channels as ")
        what += f"{kind} of {page.bitspersample} bits"
    return ImageError(
        "unsupported",
        f"This TIFF holds {what}, which are not read here. Save it as grey PNG or "
        "TIFF with 8 or 16 bits.",
    )


def _from_cmyk(inks: np.ndarray, top: float) -> tuple[np.ndarray, float]:
    """Return colours (H, W, 3) of inks (H, W, 4 or more), and their full scale."""
    deep = top > 255 or inks.dtype.kind == "f"
    colours = np.empty((*inks.shape[:2], 3), np.float32 if deep else np.uint8)
    for row, part in enumerate(inks):
        white = 1 - part[:, :4] / np.float32(top)
        colours[row] = white[:, :3] * white[:, 3:] * (1 if deep else 255)
    return colours, 1.0 if deep else 255.0
