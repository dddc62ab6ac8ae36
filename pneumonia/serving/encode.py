"""Pixels as the bytes of an image file."""

import io
import struct
from typing import BinaryIO

import numpy as np
from isal import isal_zlib
from PIL import Image

_QUALITY = 92  # of a JPEG, on libjpeg's scale


def encode_jpeg(pixels: np.ndarray) -> bytes:
    """Encode pixels as a JPEG file, for looking at: much smaller than a PNG.

    Args:
        pixels: uint8 (H, W) grey or (H, W, 3) RGB; or uint32 (H, W), as
            `draw_overlay` gives words.

    Returns:
        The file's bytes.
    """
    file = io.BytesIO()
    save_jpeg(pixels, file)
    return file.getvalue()


def save_jpeg(pixels: np.ndarray, file: BinaryIO) -> None:
    """Write what `encode_jpeg` returns.

    If the file lies on a disk, Pillow lets other threads run meanwhile.
    """
    if pixels.dtype == np.uint32:  # Pillow takes such words as they lie in memory
        size = pixels.shape[::-1]
        image = Image.frombuffer("RGBX", size, pixels, "raw", "RGBX", 0, 1)
    else:
        image = Image.fromarray(pixels)
    image.save(file, "JPEG", quality=_QUALITY)


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode pixels as a PNG file.

    Each row is stored as its difference to the row above, which is quick and packs
    X-rays well (filter 2 of the PNG specification, W3C 2003).

    Args:
        pixels: uint8 (H, W) grey or (H, W, 3) RGB.

    Returns:
        The file's bytes.
    """
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    colours = 2 if pixels.ndim == 3 else 0
    header = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    chunks = {b"IHDR": header, b"IDAT": isal_zlib.compress(filtered, 1), b"IEND": b""}
    file = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in chunks.items():
        checksum = isal_zlib.crc32(data, isal_zlib.crc32(kind))
        file += [len(data).to_bytes(4), kind, data, checksum.to_bytes(4)]
    return b"".join(file)
