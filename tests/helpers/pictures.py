"""Pictures and files of every kind, which tests make for themselves."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pydicom
import tifffile
from dicoms import make
from PIL import Image
from pydicom.dataset import Dataset

from pneumonia.data.phantom import draw

GREY = draw(1, size=256)[:, :200]  # upright, so that a rotation shows


LOW, HIGH = int(GREY.min()), int(GREY.max())


STRETCHED = np.rint((GREY.astype(float) - LOW) * 255 / (HIGH - LOW))


DEEP = np.ascontiguousarray(GREY).astype(np.uint16) * 16 + 8
"""12 bits in 16, from 8 to 4088."""


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


def rotated_by_exif(orientation: int) -> bytes:
    turn = {3: Image.ROTATE_180, 6: Image.ROTATE_90, 8: Image.ROTATE_270}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(Image.fromarray(GREY).transpose(turn), exif=exif)


def palette_with_alpha() -> bytes:
    grey = Image.fromarray(GREY).convert("P")
    return encode(grey, transparency=0)


def rgb(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels] * 3)


def chunk(name: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + body))
    return struct.pack(">I", len(body)) + name + body + checksum


def png(pixels: np.ndarray, colour: int) -> bytes:
    """Write (H, W, ...) as PNG of 16 bits; colour as in its header."""

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def tiff(
    pixels: np.ndarray,
    *,
    order: str = "<",
    photometric: int | None = None,
    packed: bool | int = False,
    extra: tuple[int, ...] = (),
    planar: int = 1,
    reduced: int = 0,
    before: bytes = b"",
) -> bytes:
    """Write (H, W) or (H, W, channels) as a page of a TIFF, perhaps behind another.

    `packed` deflates; a number is that of a compression that is only claimed.
    """
    height, width = pixels.shape[:2]
    count = pixels.shape[2] if pixels.ndim == 3 else 1
    if photometric is None:
        photometric = 2 if count > 2 else 1
    stored = np.moveaxis(pixels, -1, 0) if planar == 2 else pixels
    plane = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    strips = [plane]
    if planar == 2:
        step = len(plane) // count
        strips = [plane[at : at + step] for at in range(0, len(plane), step)]
    if packed is True:
        strips = [zlib.compress(strip) for strip in strips]
    bits, kind = pixels.dtype.itemsize * 8, {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    starts = np.cumsum([len(before) or 8, *map(len, strips)]).tolist()
    tags = {
        **{254: [reduced], 256: [width], 257: [height], 258: [bits] * count},
        **{
            259: [8 if packed is True else packed or 1],
            262: [photometric],
            273: starts[:-1],
        },
        **{277: [count], 278: [height], 279: [len(strip) for strip in strips]},
        **{284: [planar], 338: [*extra], 339: [kind] * count},
    }
    tags = {tag: values for tag, values in tags.items() if values}
    behind = starts[-1] + 2 + 12 * len(tags) + 4  # where long values are
    entries, tail = struct.pack(f"{order}H", len(tags)), b""
    for tag, values in tags.items():
        packed_values = struct.pack(f"{order}{len(values)}I", *values)
        entries += struct.pack(f"{order}HHI", tag, 4, len(values))
        if len(values) == 1:
            entries += packed_values
        else:
            entries += struct.pack(f"{order}I", behind + len(tail))
            tail += packed_values
    head = (b"II" if order == "<" else b"MM") + struct.pack(
        f"{order}HI", 42, starts[-1]
    )
    if before:
        head = before[:-4] + struct.pack(f"{order}I", starts[-1])
    return head + b"".join(strips) + entries + bytes(4) + tail


def tifffile_of(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    kind = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(file, pixels, **{"photometric": kind} | options)
    return file.getvalue()


def raw(name: str, value: bytes, kind: str) -> Callable[[bytes], bytes]:
    """Put an attribute into a file as bytes that pydicom would not write."""

    def put(data: bytes) -> bytes:
        tag = pydicom.tag.Tag(name)
        padded = value + b" " * (len(value) % 2)
        element = struct.pack("<HH2sH", tag.group, tag.element, kind.encode(), 0)
        element = element[:6] + struct.pack("<H", len(padded)) + padded
        at = data.index(struct.pack("<HH", 0x7FE0, 0x10))
        return data[:at] + element + data[at:]

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


PNG = encode(np.ascontiguousarray(GREY))


def in_png(*chunks: bytes, before: bytes = b"IDAT", data: bytes = PNG) -> bytes:
    at = data.index(before) - 4
    return data[:at] + b"".join(chunks) + data[at:]
