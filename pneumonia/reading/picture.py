"""What reading a file gives: a picture with its warnings, or the reason why not."""

import mmap
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

MAX_BYTES = 32 * 2**20
"""Largest file that is read, in bytes."""

ASKED = "<Q???"
"""What a worker is asked, before a file: how many bytes follow; whether it is to be
sharp, or coarse, and whether its path follows instead."""

TOO_LARGE = (
    "This file has {size} MB; at most {limit} MB are read. Save the picture smaller."
)
"""Why a larger one is refused; a page may say so before it is sent."""

MAX_PIXELS = 50_000_000
"""Largest picture that is decoded, in pixels; checked before any pixel is decoded."""

MIN_SIDE = 64
"""Shortest side that is accepted, in pixels: half of what the network looks at."""

DOUBTS = {
    *("outliers_clipped", "window_ignored", "values_assumed"),
    *("tone_ignored", "unprocessed"),
}
"""Codes of warnings with which the picture may have been read wrongly."""


class ImageError(ValueError):
    """The caller's image is at fault, not the installation.

    Attributes:
        reason: stable code for programs, listed in `docs/using.md`.
        offers: arguments of `predict` that answer the image all the same: `anyway`,
            `invert`, `upright`; empty where nothing can be answered.
    """

    def __init__(self, reason: str, message: str, offers: tuple[str, ...] = ()):
        super().__init__(message)
        self.reason = reason
        self.offers = offers


class InstallationError(RuntimeError):
    """A package that reads files can't be imported; no file is at fault.

    Attributes:
        package: its name.
    """

    def __init__(self, package: str):
        super().__init__(
            f"No file was looked at, because {package} can't be imported here. Install "
            "what is needed once more with `pip install -r requirements.txt`."
        )
        self.package = package


ANSWER_SIDE = 512
"""What an answer needs of the longer side: more than twice what the network is shown.
"""


class Detail(NamedTuple):
    """How fine a picture has to be; each is a length of the longer side, in pixels.

    Attributes:
        jpeg: what the scale at which a JPEG is decoded keeps of either side.
        scale: what the scale of other codecs keeps.
        most: a longer one comes out reduced to this.
        averaged: what averaging keeps of numbers that are decoded; None: they are shown
            first.
    """

    jpeg: int
    scale: int
    most: int
    averaged: int | None = None


@dataclass(frozen=True, eq=False)
class Picture:
    """What a file holds.

    Attributes:
        pixels: uint8 (H, W) in [0, 255], upright, at most `DISPLAY_SIDE` a side, or
            `SHARP_SIDE` where it is to be sharp.
        chroma: how much colour varies besides brightness, in [0, 1]; 0 for grey
            pictures and near 0 for evenly tinted ones.
        warnings: codes of what the reader passed over.
        sides_known: whether the file says that the patient's right is on the left of
            the picture. DICOM alone can say so.
    """

    pixels: np.ndarray
    chroma: float = 0.0
    warnings: tuple[str, ...] = ()
    sides_known: bool = False


def check_bytes(data: bytes | mmap.mmap) -> None:
    """Refuse a file that is empty or too large.

    Raises:
        ImageError: it is.
    """
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


def check_size(width: int, height: int) -> None:
    """Refuse a picture that has too many pixels or too few.

    Raises:
        ImageError: it has.
    """
    if width * height > MAX_PIXELS:
        raise too_many_pixels(f"{width * height / 1e6:.0f} million")
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            "too_small",
            f"This picture is {width} x {height} pixels; each side must have at least "
            f"{MIN_SIDE}. Choose a larger copy of the X-ray.",
        )


def too_many_pixels(count: str) -> ImageError:
    """Return what refuses a picture of `count` pixels, a number in words."""
    return ImageError(
        "too_many_pixels",
        f"This picture has {count} pixels; at most {MAX_PIXELS // 10**6} million are "
        "read. Save it smaller.",
    )


def damaged() -> ImageError:
    """Return what refuses a picture that its decoder can't read to its end."""
    return ImageError(
        "damaged",
        "This picture is damaged or incomplete and can't be read to its end. "
        "Save or download it once more and try again.",
    )


def needs_worker(what: str) -> ImageError:
    """Return what refuses a file that is only decoded in a process of its own."""
    return ImageError(
        "needs_worker",
        f"This {what} is compressed in a way that is read only in a process of its "
        "own. Read it with IsolatedReader, or save it uncompressed.",
    )
