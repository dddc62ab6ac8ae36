"""DICOM file to pixels, by pydicom and its decoders, and nothing about the patient.

What a file says of its pixels stands in its `Header`. What the pixels' numbers mean is
told by `grayscale`.
"""

import mmap
import threading
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import UID

from ..picture import Detail
from . import attributes, codecs, colour, deflated, geometry, grayscale
from . import header as headers
from .codecs import Decoded
from .header import Header

_one_at_a_time = threading.Lock()  # `warnings.catch_warnings` is not made for threads


def decode(
    data: bytes | mmap.mmap, detail: Detail
) -> tuple[np.ndarray, bool, tuple[str, ...]]:
    """Decode the first frame of a DICOM file as it is meant to be seen.

    Args:
        data: the file's content; the preamble may be missing.
        detail: how fine the picture has to be; it comes out smaller than it is stored
            where that is quicker.

    Returns:
        uint8 (H, W), bright where much was absorbed, or uint8 (H, W, 3) for the rare
        colour image, upright; whether the patient's right is known to be on the left of
        it; and codes of warnings.

    Raises:
        ImageError: no plain radiograph, or one that can't be read; says why.
    """
    data = deflated.inflated(data)
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = headers.read(data)
        decoded = _decoded(header, detail.scale)
        if header.photometric not in headers.GREY:
            shown = colour.colours(header, decoded)
            if shown is None:
                raise headers.unsupported("holds colours in an unusual form")
        else:
            shown = grayscale.shades(header, decoded, detail.averaged)
        pixels, of_pixels = shown
        pixels, sides_known, of_lie = geometry.upright(header, pixels, detail.most)
        found = dict.fromkeys([*header.warnings, *of_pixels, *of_lie])
        return pixels, sides_known, tuple(found)


def _decoded(header: Header, least: int) -> Decoded:
    """Return the first frame's numbers, (H, W) or (H, W, 3), as their decoder says."""
    compressed = header.syntax in codecs.COMPRESSED
    if header.syntax not in headers.PLAIN and not compressed:
        raise headers.unsupported("is compressed in a way", "uncompressed or as PNG")
    try:
        decoded = codecs.decode(header, least) if compressed else _plain(header)
        if decoded is not None:
            return _in_rgb(header, decoded)
    except attributes.PARSE_ERRORS:
        pass  # what it says may quote the file
    raise headers.damaged()


def _plain(header: Header) -> Decoded | None:
    """Return numbers that are not compressed; None where it is open which they are."""
    if len(header.pixels) != 1:
        return None
    keyword, kind, content = header.pixels[0]
    if content is None:
        return None
    said: dict[str, Any] = {
        "correct_unused_bits": False,  # before it is known which ones count
        "view_only": True,  # where they lie: nothing is copied
        "pixel_keyword": keyword,
        "pixel_vr": kind,
        "number_of_frames": header.frames,
        "photometric_interpretation": header.photometric,
        "samples_per_pixel": header.samples,
        "planar_configuration": header.planar,
        "rows": header.rows,
        "columns": header.columns,
        "bits_allocated": header.allocated,
        "bits_stored": header.stored,
        "pixel_representation": int(header.signed),
    }
    decoder = get_decoder(UID(header.syntax))
    raw, _ = decoder.as_array(content, index=0, raw=True, **said)
    return Decoded(raw, 8 * raw.itemsize)


def _in_rgb(header: Header, decoded: Decoded) -> Decoded:
    """Turn colours of 8 bits into RGB, where their codec has not."""
    differ = header.photometric.startswith("YBR_FULL") and not decoded.rgb
    if not differ or decoded.raw.dtype != np.uint8:
        return decoded
    return replace(decoded, raw=convert_color_space(decoded.raw, "YBR_FULL", "RGB"))
