"""Pictures and files of every kind, which tests make for themselves."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pydicom
import pytest
import tifffile
from dicoms import SYNTAXES, make
from PIL import Image
from pydicom.dataset import Dataset

from pneumonia import ImageError
from pneumonia.data.phantom import draw
from pneumonia.reading.image import read_picture
from pneumonia.reading.isolated import read_anywhere


def by_range(pixels: np.ndarray) -> np.ndarray:
    """Stretch pixels to all shades; NaN is black."""
    low, high = np.nanmin(pixels), np.nanmax(pixels)
    return np.nan_to_num(np.rint((pixels.astype(float) - low) * 255 / (high - low)))


GREY = draw(1, size=256)[:, :200].copy()  # upright, so that a rotation shows
DEEP = GREY.astype(np.uint16) * 16 + 8
"""12 bits in 16, from 8 to 4088."""

STRETCHED = by_range(GREY)
STORED = {
    name: make(GREY if name == "JPEG" else DEEP, syntax)
    for name, syntax in SYNTAXES.items()
}

TURNS = {  # EXIF orientation: what brings it upright again
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.T,
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].T,
    8: lambda p: np.rot90(p),
}


def encode(picture: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    picture.save(file, kind, **options)
    return file.getvalue()


def lying(turn: int, pixels: np.ndarray = GREY) -> np.ndarray:
    """Return a picture as it lies in a file that this turn brings upright."""
    undo = {6: 8, 8: 6}.get(turn, turn)  # the others undo themselves
    return np.ascontiguousarray(TURNS[undo](pixels))


def exif_of(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


def rotated_by_exif(orientation: int) -> bytes:
    return encode(lying(orientation), exif=exif_of(orientation))


def palette_with_alpha() -> bytes:
    return encode(Image.fromarray(GREY).convert("P"), transparency=0)


def rgb(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels] * 3)


def chunk(name: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + body))
    return struct.pack(">I", len(body)) + name + body + checksum


def png(pixels: np.ndarray, colour: int, *chunks: bytes) -> bytes:
    """Write uint8 or uint16 (H, W, ...) as PNG; colour as in its header."""
    height, width = pixels.shape[:2]
    bits = 8 * pixels.itemsize
    rows = b"".join(b"\0" + row.astype(f">u{bits // 8}").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    packed = chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), *chunks, packed])


def tiff(
    pixels: np.ndarray,
    *,
    order: str = "<",
    packed: bool = False,
    extra: tuple[int, ...] = (),
    planar: int = 1,
    reduced: int = 0,
    before: bytes = b"",
    photometric: int | None = None,
) -> bytes:
    """Write (H, W) or (H, W, channels) as a page of a TIFF, perhaps behind another."""
    file = io.BytesIO(before)
    colours = pixels.ndim > 2 and pixels.shape[2] > 2
    with tifffile.TiffWriter(file, byteorder=order, append=bool(before)) as writer:
        writer.write(
            np.moveaxis(pixels, -1, 0) if planar == 2 else pixels,
            photometric=1 + colours if photometric is None else photometric,
            planarconfig=planar if pixels.ndim > 2 else None,
            compression="deflate" if packed else None,
            extrasamples=extra,
            subfiletype=reduced,
            metadata=None,
        )
    return file.getvalue()


def tifffile_of(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    kind = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(file, pixels, **{"photometric": kind, "metadata": None} | options)
    return file.getvalue()


def retagged(data: bytes, tag: int, value: int | None) -> bytes:
    """Overwrite the one value of a TIFF's tag; None makes it one that nobody knows."""
    places = (data.find(struct.pack("<HHI", tag, kind, 1)) for kind in (3, 4))
    at = next(place for place in places if place >= 0)
    if value is None:
        return data[:at] + struct.pack("<H", 65001) + data[at + 2 :]
    return data[:at] + struct.pack("<HHII", tag, 4, 1, value) + data[at + 12 :]


def raw(name: str, value: bytes, kind: str) -> Callable[[bytes], bytes]:
    """Put an attribute into a file as bytes that pydicom would not write."""

    def put(data: bytes) -> bytes:
        tag = pydicom.tag.Tag(name)
        padded = value + b" " * (len(value) % 2)
        head = tag.group, tag.element, kind.encode(), len(padded)
        at = data.index(struct.pack("<HH", 0x7FE0, 0x10))
        return data[:at] + struct.pack("<HH2sH", *head) + padded + data[at:]

    return put


def table(first: int, entries: np.ndarray, kind: str = "SS") -> Dataset:
    item = Dataset()
    item.add_new(0x00283002, kind if first < 0 else "US", [len(entries), first, 16])
    item.add_new(0x00283006, "OW", entries.astype("<u2").tobytes())
    return item


def palette(entries: np.ndarray, pixels: np.ndarray = GREY, first: int = 0) -> bytes:
    """Write a DICOM file whose pixels are places in a palette of greys."""
    tables = {}
    for colour in ("Red", "Green", "Blue"):
        name = f"{colour}PaletteColorLookupTable"
        bits = 16 if entries.max() > 255 else 8
        tables[f"{name}Descriptor"] = [len(entries), first, bits]
        tables[f"{name}Data"] = entries.astype(f"<u{bits // 8}").tobytes()
    kind = {"PhotometricInterpretation": "PALETTE COLOR", "PixelRepresentation": 0}
    return make(pixels, **kind, **tables)


def floats(pixels: np.ndarray, **attributes) -> bytes:
    """Write a DICOM file whose pixels are floats (H, W)."""
    name = "FloatPixelData" if pixels.itemsize == 4 else "DoubleFloatPixelData"
    absent = dict.fromkeys(("PixelData", "BitsStored", "HighBit"))
    return make(pixels, **absent, **{name: pixels.tobytes()}, **attributes)


PNG = encode(GREY)


def in_png(*chunks: bytes, before: bytes = b"IDAT", data: bytes = PNG) -> bytes:
    at = data.index(before) - 4
    return data[:at] + b"".join(chunks) + data[at:]


MARK = (slice(3, 9), slice(4, 12))
"""48 of 51,200 pixels, a trace."""


def marked(pixels: np.ndarray, value: float) -> np.ndarray:
    pixels = pixels.copy()
    pixels[MARK] = value
    return pixels


def framed(pixels: np.ndarray, value: float, rows: int = 9) -> np.ndarray:
    """Overwrite the first rows, as a border is."""
    pixels = pixels.copy()
    pixels[:rows] = value
    return pixels


def rows(
    files: dict[str, bytes],
    like: np.ndarray = STRETCHED,
    *,
    off: int = 0,
    warned: tuple[str, ...] = (),
    worker: bool = False,
) -> list:
    """Return parameters of `assert_reads`, each file's by its name."""
    return [pytest.param(f, like, off, warned, worker, id=n) for n, f in files.items()]


def assert_reads(data, like, off, warned, worker):
    """Compare what comes out of a file; where `like` is NaN, anything may."""
    if worker:
        with pytest.raises(ImageError) as caught:
            read_picture(data)
        assert caught.value.reason == "needs_worker"
    found = (read_anywhere if worker else read_picture)(data)
    assert found.pixels.dtype == np.uint8
    assert found.pixels.shape == like.shape
    assert np.nanmax(np.abs(found.pixels - like.astype(float))) <= off
    assert found.warnings == warned
    assert found.chroma == pytest.approx(0, abs=1e-3 * off)
