"""Layouts of TIFF that Pillow does not read: pixels of floats, and of 16 bits and more.

Floats of 16 and 64 bits, colours as floats, grey with alpha, CMYK and separate planes
of 16 bits, whole numbers of 64 bits. They are laid together here from strips or tiles
that are stored as they are, or deflated. Other pages, and other compressions, are left
to Pillow, or to be refused by their name.
"""

import io
import math
import struct
import zlib
from typing import NamedTuple

import numpy as np
from PIL import TiffImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from .picture import MAX_PIXELS, ImageError, check_size, damaged

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
WHITE_IS_ZERO = 0
SUBFILE, PLANAR = 254, 284
"""Tags that Pillow has no name for: what a page is, and how its channels lie."""

PAGES = 16
"""How many are looked at for one that is no thumbnail."""

_STARTS = (b"II*\0", b"MM\0*", b"II+\0")
_KINDS = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}
_BLACK_IS_ZERO, _RGB, _CMYK = 1, 2, 5
_COLOURS = {WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _CMYK: 4}
_PLAIN, _DEFLATED = (1,), (8, 32946)
_ALPHA = (1, 2)
_THUMBNAIL_OR_MASK = 1 | 4
_PREDICTOR, _EXTRA = 317, 338
_WIDTH, _LENGTH, _OFFSETS, _COUNTS = 322, 323, 324, 325  # of tiles
_MOST_BYTES = 8 * MAX_PIXELS  # of a whole picture
_LEAST_SIDE = 16  # of a tile

# What damaged directories raise in Pillow and here.
PARSE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    struct.error,
)


class Page(NamedTuple):
    """How the pixels of a page are stored.

    Attributes:
        tags: of the page, by their number, each a tuple.
        size: height, width and channels.
        dtype: of a number, in the file's order of bytes.
        photometric: what the channels mean.
        several: the file has other pages that are pictures.
    """

    tags: dict[int, tuple]
    size: tuple[int, int, int]
    dtype: np.dtype
    photometric: int
    several: bool


def first(value: object) -> object:
    """Return the first of several values, or the only one."""
    return value[0] if isinstance(value, tuple) and value else value


def page_of(data: bytes) -> Page | None:
    """Return the first full page of a TIFF, if it is one that only this file reads."""
    if not data.startswith(_STARTS):
        return None
    try:
        pages = _directories(data)
        full = [tags for tags in pages if not is_part(first(tags.get(SUBFILE, 0)))]
        tags = (full or pages)[0]
        return _page(tags, data[:2] == b"II", len(full) > 1)
    except PARSE_ERRORS:
        return None


def _directories(data: bytes) -> list[dict[int, tuple]]:
    directory = ImageFileDirectory_v2(data[: 16 if data[2:3] == b"+" else 8])
    file = io.BytesIO(data)
    found, seen = [], set()
    while directory.next and directory.next not in seen and len(found) < PAGES:
        seen.add(directory.next)
        file.seek(directory.next)
        directory.load(file)
        tags = {tag: directory[tag] for tag in directory}
        found.append(
            {tag: v if isinstance(v, tuple) else (v,) for tag, v in tags.items()}
        )
    return found


def is_part(kind: object) -> bool:
    """Tell from a page's tag `SUBFILE` whether it is a thumbnail or a mask."""
    return isinstance(kind, int) and bool(kind & _THUMBNAIL_OR_MASK)


def _page(tags: dict[int, tuple], little: bool, several: bool) -> Page | None:
    def tag(name: int, default: int) -> int:
        return first(tags.get(name, default))

    photometric = tags[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION][0]
    count = tag(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    kind = tag(TiffImagePlugin.SAMPLEFORMAT, UNSIGNED)
    bits = {*tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))}
    planar = tag(PLANAR, 1) == 2 and count > 1
    colours = _COLOURS.get(photometric)
    if not colours or not colours <= count <= colours + 1 or len(bits) > 1:
        return None
    if kind not in _KINDS or (kind == FLOAT and bits == {8}):
        return None
    if tag(TiffImagePlugin.COMPRESSION, 1) not in _PLAIN + _DEFLATED:
        return None
    (size,) = bits
    known = (count == 1 and size <= 32 and (kind, size) != (FLOAT, 16)) or (
        (kind, size, photometric, planar) == (UNSIGNED, 16, _RGB, False)
    )
    if known or size not in (16, 32, 64) or (count > 1 and kind == SIGNED):
        return None  # Pillow's, or nobody's
    width, height = (
        tags[name][0]
        for name in (TiffImagePlugin.IMAGEWIDTH, TiffImagePlugin.IMAGELENGTH)
    )
    if not isinstance(width, int) or not isinstance(height, int):
        return None
    dtype = np.dtype(f"{'<' if little else '>'}{_KINDS[kind]}{size // 8}")
    return Page(tags, (height, width, count), dtype, photometric, several)


def read(data: bytes, page: Page) -> tuple[np.ndarray, bool]:
    """Decode a page.

    Args:
        data: the file's content.
        page: from `page_of`.

    Returns:
        Numbers (H, W) or (H, W, 3), transparent parts black, and whether the largest
        is black.

    Raises:
        ImageError: it is damaged, or larger than what is read.
    """
    height, width, count = page.size
    check_size(width, height)
    if height * width * count * page.dtype.itemsize > _MOST_BYTES:
        raise ImageError(
            "too_many_pixels",
            f"The pixels of this picture take more than {_MOST_BYTES // 10**6} million "
            "bytes. Save it smaller, or as grey PNG with 16 bits.",
        )
    try:
        stored = _stored(data, page)
    except (*PARSE_ERRORS, zlib.error) as error:
        raise damaged() from error
    if page.dtype == np.float16:
        stored = stored.astype(np.float32)  # whose range is wide enough to reckon with
    if page.photometric == _CMYK:
        return _from_cmyk(stored, page.dtype), False
    colours = _COLOURS[page.photometric]
    numbers = stored[..., 0] if colours == 1 else stored[..., :3]
    if count > colours and first(page.tags.get(_EXTRA, 0)) in _ALPHA:
        numbers = _on_black(numbers, stored[..., -1])
    return numbers, page.photometric == WHITE_IS_ZERO


def _stored(data: bytes, page: Page) -> np.ndarray:
    """Lay the strips or tiles together; (H, W, channels) in this machine's order."""
    height, width, count = page.size
    tags = page.tags
    starts = tags.get(_OFFSETS) or tags[TiffImagePlugin.STRIPOFFSETS]
    lengths = tags.get(_COUNTS) or tags[TiffImagePlugin.STRIPBYTECOUNTS]
    tiled = _OFFSETS in tags
    if tiled:
        rows, columns = tags[_LENGTH][0], tags[_WIDTH][0]
        if min(rows, columns) < _LEAST_SIDE:
            raise ValueError("tiles too small")
    else:
        rows = min(first(tags.get(TiffImagePlugin.ROWSPERSTRIP, height)), height)
        columns = width
    planes = count if first(tags.get(PLANAR, 1)) == 2 else 1
    pixels = np.zeros(page.size, page.dtype.newbyteorder("="))
    places = [
        (plane, top, left)
        for plane in range(planes)
        for top in range(0, height, rows)
        for left in range(0, width, columns)
    ]
    for (plane, top, left), start, length in zip(places, starts, lengths, strict=True):
        shape = (
            rows if tiled else min(rows, height - top),
            columns,
            count // planes,
        )
        part = _part(data[start : start + length], shape, page)
        channels = slice(plane, plane + 1) if planes > 1 else slice(None)
        room = pixels[top : top + rows, left : left + columns, channels]
        room[:] = part[: room.shape[0], : room.shape[1]]
    return pixels


def _part(packed: bytes, shape: tuple[int, int, int], page: Page) -> np.ndarray:
    """Unpack a strip or a tile."""
    size = math.prod(shape) * page.dtype.itemsize
    if size > _MOST_BYTES:
        raise ValueError("tiles too large")
    if first(page.tags.get(TiffImagePlugin.COMPRESSION, 1)) in _DEFLATED:
        packed = zlib.decompressobj().decompress(packed, size)
    predictor = first(page.tags.get(_PREDICTOR, 1))
    if predictor == 3 and page.dtype.kind == "f":  # bytes, the highest of each first
        rows, columns, count = shape
        deltas = np.frombuffer(packed, "u1", size).reshape(rows, -1, count)
        whole = np.cumsum(deltas, axis=1, dtype=np.uint8)
        planes = whole.reshape(rows, page.dtype.itemsize, columns, count)
        together = np.ascontiguousarray(np.moveaxis(planes, 1, -1))
        return together.view(page.dtype.newbyteorder(">"))[..., 0]
    part = np.frombuffer(packed, page.dtype, size // page.dtype.itemsize).reshape(shape)
    if predictor == 2 and page.dtype.kind != "f":
        return np.cumsum(part, axis=1, dtype=page.dtype.newbyteorder("="))
    if predictor != 1:
        raise ValueError("unknown predictor")
    return part


def _on_black(numbers: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Lay numbers on black; alpha that is 0 everywhere, or no share, says nothing."""
    top = np.iinfo(alpha.dtype).max if alpha.dtype.kind == "u" else 1
    if not alpha.any() or not (alpha < top).any():
        return numbers
    laid = np.empty(numbers.shape, np.float32)
    for row, part in enumerate(alpha):  # a whole picture of floats would take 600 MB
        share = np.clip(part / np.float32(top), 0, 1)
        laid[row] = numbers[row] * (share if numbers.ndim == 2 else share[:, None])
    return laid


def _from_cmyk(inks: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return colours (H, W, 3) of inks (H, W, 4 or 5)."""
    top = np.float32(np.iinfo(dtype).max if dtype.kind == "u" else 1)
    colours = np.empty((*inks.shape[:2], 3), np.float32)
    for row, part in enumerate(inks):
        white = 1 - part[:, :4] / top
        colours[row] = white[:, :3] * white[:, 3:]
    return colours
