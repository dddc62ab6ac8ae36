"""Files that can't be opened, named for what they are."""

from PIL import features

from ..contract import ZIPS
from .picture import ImageError, damaged

_ARCHIVES = {  # how they begin
    **dict.fromkeys(ZIPS, "a zip archive"),
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x1f\x8b": "a gzip archive",
    b"MZ": "a program, perhaps an archive that unpacks itself",
}
_BRANDS = {  # of a file that begins with an `ftyp` box
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"), "HEIC"),
}
_FORMATS = {  # how other pictures begin
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"II\xbc": "JPEG XR",
    b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI": "PNG of Apple's own kind (CgBI)",
    b"8BPS": "Photoshop (PSD)",
    b"\x76\x2f\x31\x01": "OpenEXR",
}


def not_read(name: str) -> ImageError:
    """Return what refuses a picture in a format of that name."""
    return ImageError(
        "unsupported",
        f"This is a picture in the format {name}, which is not read here. Save it as "
        "PNG or JPEG.",
    )


def named(data: bytes) -> ImageError | None:
    """Return what refuses a known kind of file that can't be opened here."""
    brand = _BRANDS.get(data[8:12]) if data[4:8] == b"ftyp" else None
    if brand == "AVIF" and features.check("avif"):
        return damaged()
    for start, name in _FORMATS.items():
        if data.startswith(start):
            brand = name
    if brand:
        return not_read(brand)
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
    return None
