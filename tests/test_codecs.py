"""Codestreams in DICOM files: which bits count, and that white stays white."""

import io
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
from dicoms import JPEG_XL, LOSS, SYNTAXES, make
from pydicom import dcmread, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSNearLossless,
    RLELossless,
)

from pneumonia import ImageError
from pneumonia.data.phantom import draw
from pneumonia.reading.dicom import codecs
from pneumonia.reading.dicom import decode as dicom
from pneumonia.reading.dicom import header as headers
from pneumonia.reading.dicom.codestream import Codestream, head_of
from pneumonia.reading.dicom.deflated import inflated
from pneumonia.reading.image import read_picture

TWELVE = {"BitsStored": 12, "HighBit": 11}
CHEST = draw(3, size=300)[:, :260].astype(np.uint16) * 16
WINDOW = {"WindowCenter": "2048", "WindowWidth": "4096"}
SIGNED_WINDOW = {"WindowCenter": "0", "WindowWidth": "4096"}


def burned_out() -> np.ndarray:
    """Return 12 bits, the noise of a detector around both ends."""
    noise = np.random.default_rng(3).normal(0, 40, CHEST.shape)
    return np.clip(CHEST * 1.4 - 700 + noise, 0, 4095).astype(np.uint16)


def signed() -> np.ndarray:
    return (burned_out().astype(int) - 2048).astype(np.int16)


def packed(stream: bytes, like: np.ndarray, syntax: str, **attributes) -> bytes:
    """Write a file around a codestream; the sign is that of `like`."""
    stands_in = dcmread(io.BytesIO(make(like, **(TWELVE | attributes))))
    stands_in.PixelData = encapsulate([stream])
    stands_in["PixelData"].VR = "OB"
    stands_in["PixelData"].is_undefined_length = True
    stands_in.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    explicit = {"implicit_vr": False, "little_endian": True}
    dcmwrite(file, stands_in, enforce_file_format=True, **explicit)
    return file.getvalue()


def lossy_2000(pixels: np.ndarray, bits: int = 16) -> bytes:
    return imagecodecs.jpeg2k_encode(
        pixels, level=62, reversible=False, codecformat="J2K", bitspersample=bits
    )


OVERSHOT = {
    "JPEG-LS, near": (
        lambda: imagecodecs.jpegls_encode(burned_out(), level=3),
        *(JPEGLSNearLossless, burned_out),
    ),
    "JPEG-LS, very near": (
        lambda: imagecodecs.jpegls_encode(burned_out(), level=30),
        *(JPEGLSNearLossless, burned_out),
    ),
    "JPEG-LS, near, signed": (
        lambda: imagecodecs.jpegls_encode(signed().view(np.uint16), level=3),
        *(JPEGLSNearLossless, signed),
    ),
    "JPEG 2000": (lambda: lossy_2000(burned_out()), JPEG2000, burned_out),
    "JPEG 2000, signed": (lambda: lossy_2000(signed()), JPEG2000, signed),
    "JPEG 2000, unsigned, but its stream signed": (
        lambda: lossy_2000(burned_out().astype(np.int16)),
        *(JPEG2000, burned_out),
    ),
    "HTJ2K": (
        lambda: imagecodecs.htj2k_encode(burned_out(), level=0.0005, reversible=False),
        *(HTJ2K, burned_out),
    ),
    "HTJ2K, signed": (
        lambda: imagecodecs.htj2k_encode(signed(), level=0.0005, reversible=False),
        *(HTJ2K, signed),
    ),
    "JPEG XL": (
        lambda: imagecodecs.jpegxl_encode(burned_out(), distance=0.3),
        *(JPEG_XL[2], burned_out),
    ),
}


@pytest.mark.parametrize("kind", OVERSHOT)
def test_white_does_not_become_black_nor_black_white(kind):
    encode, syntax, original = OVERSHOT[kind]
    pixels, stream = original(), encode()
    window = WINDOW if pixels.dtype.kind == "u" else SIGNED_WINDOW
    data = renamed(packed(stream, pixels, HTJ2K, **window), syntax)
    found = read_picture(data).pixels
    expected = read_picture(make(pixels, **TWELVE, **window)).pixels.astype(int)
    assert np.abs(found - expected).max() < 40
    raw = dicom._decoded(headers.read(data), 1024).raw
    if "very" not in kind:  # or this tries nothing
        raw = raw.view(pixels.dtype) if pixels.dtype.kind == "i" else raw.astype(int)
        low, high = (-2048, 2047) if pixels.dtype.kind == "i" else (0, 4095)
        assert raw.max() > high or raw.min() < low


def renamed(data: bytes, syntax: str) -> bytes:
    """Change the transfer syntax HTJ2K of a file, for one that pydicom may not know."""
    name, other = HTJ2K.encode(), syntax.encode()
    return data.replace(name.ljust(24, b"\0"), other.ljust(24, b"\0"))


def test_a_lossy_codec_keeps_overlays_out_all_the_same():
    """What lies far beyond the range is no overshoot."""
    planes = np.zeros_like(CHEST)
    planes[60:120, 50:90] = 1
    data = make(CHEST | planes << 15, SYNTAXES["HTJ2K, lossy"], **TWELVE, **WINDOW)
    expected = read_picture(make(CHEST, **TWELVE, **WINDOW)).pixels.astype(int)
    apart = np.abs(read_picture(data).pixels - expected)
    assert apart[70:110, 60:80].max() < 20


@pytest.mark.parametrize("name", ["lossless JPEG", "JPEG-LS", "RLE", "JPEG 2000"])
@pytest.mark.parametrize("sign", ["u", "i"])
@pytest.mark.parametrize("high", [11, 13, 15])
def test_high_bit_counts_where_whole_cells_were_coded(name, sign, high):
    cells = CHEST if sign == "u" else (CHEST.astype(int) - 2048).astype(np.int16)
    shifted = cells << (high - 11)
    attributes = {"BitsStored": 12, "HighBit": high}
    attributes |= WINDOW if sign == "u" else SIGNED_WINDOW
    if sign == "i" and name != "RLE":  # these know no sign
        data = packed(
            imagecodecs.ljpeg_encode(shifted.view(np.uint16), bitspersample=16)
            if name == "lossless JPEG"
            else imagecodecs.jpegls_encode(shifted.view(np.uint16))
            if name == "JPEG-LS"
            else imagecodecs.jpeg2k_encode(
                shifted, level=0, reversible=True, codecformat="J2K"
            ),
            *(shifted, SYNTAXES[name]),
            **attributes,
        )
    else:
        data = make(shifted, SYNTAXES[name], **attributes)
    expected = read_picture(make(shifted, **attributes)).pixels
    right = read_picture(make(CHEST, **TWELVE, **WINDOW)).pixels
    assert (read_picture(data).pixels == expected).all()
    assert (expected == right).all()


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEG2000Lossless])
def test_high_bit_does_not_count_where_the_codec_was_given_fewer_bits(syntax):
    pixels = signed()
    if syntax == JPEG2000Lossless:
        kept = {"level": 0, "reversible": True, "codecformat": "J2K"}
        stream = imagecodecs.jpeg2k_encode(pixels, bitspersample=12, **kept)
    else:
        unsigned = pixels.view(np.uint16) & 0xFFF
        stream = imagecodecs.ljpeg_encode(unsigned, bitspersample=12)
    data = packed(stream, pixels, syntax, HighBit=15, **SIGNED_WINDOW)
    expected = read_picture(make(pixels, **TWELVE, **SIGNED_WINDOW)).pixels
    assert (read_picture(data).pixels == expected).all()


@pytest.mark.parametrize("name", [n for n in SYNTAXES if "J" in n])
def test_a_codestream_of_another_size_is_refused_before_it_is_decoded(
    name, monkeypatch
):
    wide = np.zeros((80, 97), np.uint8 if name == "JPEG" else np.uint16) + 9
    wide[:, 40] = 77
    data = make(wide, SYNTAXES[name], Columns=96)
    if "XL" not in name:
        fail = lambda *_: pytest.fail("decoded")  # noqa: E731
        monkeypatch.setattr(codecs, "_by_imagecodecs", fail)
    with pytest.raises(ImageError) as caught:
        read_picture(data)
    assert caught.value.reason == "damaged"


@pytest.mark.parametrize("name", SYNTAXES)
def test_what_a_codestream_is_its_content_says(name):
    """Some files name another compression than the one that they hold."""
    if name in ("implicit", "explicit", "big endian", "deflated", "RLE"):
        return
    pixels = (CHEST // 16).astype(np.uint8) if name == "JPEG" else CHEST
    data = make(pixels, SYNTAXES[name], **WINDOW if name != "JPEG" else {})
    header = replace(headers.read(data), syntax=JPEGBaseline8Bit)
    raw = dicom._decoded(header, 1024).raw
    span = 255 if name == "JPEG" else 4095
    apart = np.abs(raw.astype(int) - pixels).max()
    assert apart <= LOSS.get(name, 0) * span / 255 * 1.5


def test_run_lengths_that_would_fill_more_than_the_picture_are_refused():
    runs = bytes([129, 7] * 400_000)  # each 128 bytes
    head = np.array([1, 64, *[0] * 14], "<u4").tobytes()
    grey = CHEST.astype(np.uint8)
    data = packed(head + runs, grey, RLELossless, BitsStored=8, HighBit=7)
    with pytest.raises(ImageError) as caught:
        read_picture(data)
    assert caught.value.reason in ("damaged", "no_contrast")


@pytest.mark.parametrize("name", SYNTAXES)
def test_colours_come_back(name):
    if name == "JPEG of 12 bits":
        return
    grey = (CHEST // 16).astype(np.uint8)
    colours = np.dstack([grey, grey // 2, 255 - grey])
    kind = "YBR_FULL_422" if name == "JPEG" else "RGB"
    asked = {"SamplesPerPixel": 3, "PhotometricInterpretation": kind}
    if name == "big endian":  # its bytes are swapped in pairs
        return
    header = headers.read(inflated(make(colours, SYNTAXES[name], **asked)))
    raw = dicom._decoded(header, 1024).raw
    apart = np.abs(raw.astype(int) - colours)
    assert apart.max() == 0 or name in LOSS
    assert apart.mean() < 8


def test_heads_are_read_or_nothing_is_said():
    assert head_of(b"") is None
    assert head_of(b"\xff\xd8\xff") is None
    assert head_of(b"\xff\x4f\xff\x51\0") is None
    jpeg = imagecodecs.jpeg8_encode(CHEST.astype(np.uint8), level=90)
    assert head_of(jpeg) == Codestream("JPEG", 260, 300, 1, 8, lossy=True)
    lossless = imagecodecs.ljpeg_encode(CHEST, bitspersample=12)
    assert head_of(lossless) == Codestream("JPEG", 260, 300, 1, 12)
    close = imagecodecs.jpegls_encode(CHEST, level=2)
    found = head_of(close)
    assert (found.coding, found.near, found.lossy) == ("JPEG-LS", 2, True)
    for at in range(0, len(jpeg), 7):
        head_of(jpeg[:at])
