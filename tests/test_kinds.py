"""One picture in many unusual files: the same pixels out of each, or the true reason.

Every row makes its file from one drawing. What is expected is the drawing stretched to
the whole range, unless the row says otherwise.
"""

import struct
import zlib

import numpy as np
import pytest
from dicoms import SYNTAXES, make, shipped
from pictures import (
    DEEP,
    GREY,
    STRETCHED,
    encode,
    floats,
    palette,
    png,
    raw,
    rgb,
    table,
    tiff,
)
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset

from pneumonia import ImageError, examples, predict
from pneumonia.data.phantom import draw
from pneumonia.reading.image import read_picture
from pneumonia.reading.isolated import read_anywhere
from pneumonia.reading.picture import DOUBTS
from pneumonia.serving import gate as gates

SIGNED = (DEEP.astype(np.int32) - 2048).astype(np.int16)
FLOATS = GREY.astype(np.float32) / 255
OPAQUE = np.full_like(DEEP, 65535)
MARK = (slice(3, 9), slice(4, 12))  # 48 of 51,200 pixels, a trace
FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
TWELVE = {"BitsStored": 12, "HighBit": 11}
EXACT = {"quality": 100, "subsampling": "4:4:4"}  # of AVIF
WHOLE = {"WindowCenter": "2048", "WindowWidth": "4096"}


def thumbnail_first() -> bytes:
    small = np.asarray(Image.fromarray(GREY).resize((96, 100)))
    return tiff(GREY, before=tiff(small, reduced=1))


def marked(pixels: np.ndarray, value: int) -> np.ndarray:
    pixels = pixels.copy()
    pixels[MARK] = value
    return pixels


def framed(pixels: np.ndarray, value: int, rows: int = 9) -> np.ndarray:
    """Overwrite the first rows, as a border is."""
    pixels = pixels.copy()
    pixels[:rows] = value
    return pixels


def overlaid() -> np.ndarray:
    planes = np.zeros_like(DEEP)
    planes[60:120, 50:90] = planes[::37] = 1
    return DEEP | planes << 12


def inks(colours: np.ndarray, black: np.ndarray) -> np.ndarray:
    return np.dstack([colours, black])


def exposure(sign: int = 1) -> np.ndarray:
    linear = 65535 * np.exp(GREY / -255.0 * 4)
    return np.rint(linear if sign == 1 else 65535 - linear).astype(np.uint16)


def processing(**attributes) -> bytes:
    intent = {"SOPClassUID": FOR_PROCESSING, "PresentationIntentType": "FOR PROCESSING"}
    linear = {"PixelIntensityRelationship": "LIN", "PixelIntensityRelationshipSign": 1}
    pixels = attributes.pop("pixels", exposure())
    return make(pixels, **(intent | linear | attributes))


# what makes a file; how far its pixels may be off, else 0; its warnings, else none
DICOM = {
    # which bits count, after every decoder
    "overlays above 12 bits": lambda: make(overlaid(), **TWELVE),
    "overlays, RLE": lambda: make(overlaid(), SYNTAXES["RLE"], **TWELVE),
    "overlays, JPEG 2000": lambda: make(overlaid(), SYNTAXES["JPEG 2000"], **TWELVE),
    "the highest 12 of 16 bits": lambda: make(DEEP * 16 + 5, BitsStored=12, HighBit=15),
    "a HighBit that is not so": lambda: make(DEEP, BitsStored=12, HighBit=15),
    "12 signed bits without their sign above": lambda: make(
        (SIGNED & 0xFFF).astype(np.int16), **TWELVE
    ),
    "no BitsStored": lambda: make(DEEP, BitsStored=None, HighBit=None),
    # one outlier
    "a marker at 65535": lambda: make(marked(DEEP, 65535)),
    "a marker at 4095 over dim pixels": (
        lambda: make(marked(DEEP // 4, 4095), **TWELVE),
        1,
    ),
    "a pixel at -32768": lambda: make(marked(SIGNED, -32768)),
    # windows and tables
    "window of an empty function": lambda: make(
        marked(DEEP, 65535), VOILUTFunction="", **WHOLE
    ),
    "window of an unknown function": lambda: make(
        marked(DEEP, 65535), VOILUTFunction="FOO", **WHOLE
    ),
    "0/0 before a good window": (
        lambda: make(DEEP, WindowCenter=["0", "2048"], WindowWidth=["0", "4096"]),
        0,
        ("window_ignored",),
    ),
    "window of 8 bits": (
        lambda: make(DEEP, WindowCenter="128", WindowWidth="256"),
        0,
        ("window_ignored",),
    ),
    "window 1/1": (
        lambda: make(DEEP, WindowCenter="1", WindowWidth="1"),
        0,
        ("window_ignored",),
    ),
    "window that is no number": (
        lambda: raw("WindowWidth", b"wide", "DS")(
            raw("WindowCenter", b"2048", "DS")(make(DEEP))
        ),
        0,
        ("window_ignored",),
    ),
    "empty window": lambda: make(DEEP, WindowCenter="", WindowWidth=""),
    "one width for two centers": lambda: make(
        DEEP, WindowCenter=["2048", "1000"], WindowWidth="4096"
    ),
    "table over signed pixels": (
        lambda: make(SIGNED, VOILUTSequence=[table(-2048, np.arange(4096))], **TWELVE),
        1,
    ),
    "the same, its first value written without its sign": (
        lambda: make(SIGNED, VOILUTSequence=[table(63488, np.arange(4096))], **TWELVE),
        1,
    ),
    "table of too few entries": (
        lambda: make(DEEP, VOILUTSequence=[table(0, np.arange(2))]),
        0,
        ("window_ignored",),
    ),
    "table of presentation": (
        lambda: make(
            DEEP, PresentationLUTSequence=[table(0, np.arange(4096) * 16)], **WHOLE
        ),
        1,
    ),
    "table of presentation, falling": (
        lambda: make(
            4095 - DEEP, PresentationLUTSequence=[table(0, 4095 - np.arange(4096))]
        ),
        1,
    ),
    "table of presentation, with padding": (
        lambda: make(
            framed(DEEP, 0),
            PixelPaddingValue=0,
            PresentationLUTSequence=[table(0, np.arange(4096))],
        ),
        "framed",
    ),
    "table of presentation without entries": (
        lambda: make(DEEP, PresentationLUTSequence=[Dataset()]),
        0,
        ("window_ignored",),
    ),
    # polarity and padding
    "MONOCHROME1": lambda: make(4095 - DEEP, PhotometricInterpretation="MONOCHROME1"),
    "monochrome1": lambda: raw("PhotometricInterpretation", b"monochrome1", "CS")(
        make(4095 - DEEP, PhotometricInterpretation=None)
    ),
    "MONOCHROME2, INVERSE": lambda: make(4095 - DEEP, PresentationLUTShape="INVERSE"),
    "MONOCHROME1, INVERSE": lambda: make(
        4095 - DEEP,
        PhotometricInterpretation="MONOCHROME1",
        PresentationLUTShape="INVERSE",
    ),
    "negative slope": lambda: make(
        4095 - DEEP, RescaleSlope="-1", RescaleIntercept="4095"
    ),
    "padding written without its sign": (
        lambda: raw("PixelPaddingValue", struct.pack("<H", 32768), "US")(
            make(framed(SIGNED, -32768))
        ),
        "framed",
    ),
    "padding of all 16 bits": (
        lambda: raw("PixelPaddingValue", struct.pack("<H", 65535), "US")(
            make(framed(DEEP, 65535), **TWELVE)
        ),
        "framed",
    ),
    "padding of 12 bits written with its sign": (
        lambda: raw("PixelPaddingValue", struct.pack("<h", -1), "SS")(
            make(framed((SIGNED & 0xFFF).astype(np.int16), 0x0FFF), **TWELVE)
        ),
        "framed",
    ),
    "padding up to a limit": (
        lambda: raw("PixelPaddingRangeLimit", struct.pack("<H", 65000), "US")(
            raw("PixelPaddingValue", struct.pack("<H", 65535), "US")(
                make(framed(framed(DEEP, 65535), 65100, rows=4))
            )
        ),
        "framed",
    ),
    "padding of floats": (
        lambda: floats(framed(FLOATS, -1e30), FloatPixelPaddingValue=-1e30),
        "framed",
    ),
    "padding of floats up to a limit": (
        lambda: floats(
            framed(framed(FLOATS, 1e30), 2e30, rows=4),
            FloatPixelPaddingValue=2e30,
            FloatPixelPaddingRangeLimit=1e30,
        ),
        "framed",
    ),
    "padding of floats of 64 bits": (
        lambda: floats(
            framed(FLOATS.astype(np.float64), -1e99), DoubleFloatPixelPaddingValue=-1e99
        ),
        "framed",
    ),
    "padding of floats that is no number": (
        lambda: floats(framed(FLOATS, np.nan), FloatPixelPaddingValue=np.nan),
        "framed",
    ),
    "empty padding": lambda: raw("PixelPaddingValue", b"", "US")(make(DEEP)),
    # slope, missing attributes, other spellings
    "slope 0": (
        lambda: make(DEEP, RescaleSlope="0", RescaleIntercept="0"),
        0,
        ("values_assumed",),
    ),
    "empty slope": lambda: make(DEEP, RescaleSlope="", RescaleIntercept=""),
    "slope with a comma, as text": lambda: raw("RescaleSlope", b"-1,0", "LO")(
        make(4095 - DEEP)
    ),
    "no PhotometricInterpretation": (
        lambda: make(DEEP, PhotometricInterpretation=None),
        0,
        ("values_assumed",),
    ),
    "no SamplesPerPixel": (
        lambda: make(DEEP, SamplesPerPixel=None),
        0,
        ("values_assumed",),
    ),
    "no PixelRepresentation": lambda: make(DEEP, PixelRepresentation=None),
    "BitsStored of an unknown type": lambda: make(DEEP).replace(
        b"\x28\0\1\1US", b"\x28\0\1\1QS"
    ),
    "modality DR": lambda: make(DEEP, Modality="DR"),
    # colours
    "palette": (lambda: palette(np.arange(256)), "as it is"),
    "palette of 16 bits": (lambda: palette(np.arange(256) * 257), "as it is"),
    "palette, reversed, for 16 bits": (
        lambda: palette(np.arange(256)[::-1] * 257, 255 - GREY.astype(np.uint16)),
        "as it is",
    ),
    "palette that begins above 0": (
        lambda: palette(np.arange(256), GREY.astype(np.uint16) + 300, first=300),
        "as it is",
    ),
    "RGB of 16 bits": lambda: make(rgb(DEEP), SamplesPerPixel=3),
    "RGB of 12 bits, plane by plane, with others above": lambda: make(
        rgb(overlaid()), SamplesPerPixel=3, PlanarConfiguration=1, **TWELVE
    ),
    "RGB of 16 bits, RLE": lambda: make(rgb(DEEP), SYNTAXES["RLE"], SamplesPerPixel=3),
    # the detector's own numbers
    "linear in the exposure": (processing, 1, ("unprocessed",)),
    "linear, by its class alone": (
        lambda: processing(PresentationIntentType=""),
        1,
        ("unprocessed",),
    ),
    "linear, falling": (
        lambda: processing(pixels=exposure(-1), PixelIntensityRelationshipSign=-1),
        1,
        ("unprocessed",),
    ),
    "logarithmic, rising with the exposure": (
        lambda: processing(pixels=4095 - DEEP, PixelIntensityRelationship="LOG"),
        1,
        ("unprocessed",),
    ),
    "of its class, but for presentation": lambda: make(
        DEEP,
        SOPClassUID=FOR_PROCESSING,
        PresentationIntentType="FOR PRESENTATION",
        PixelIntensityRelationship="LIN",
    ),
}

FILES = {
    "PNG, RGB of 16 bits": (lambda: png(rgb(DEEP), 2), 1),
    "PNG, grey and alpha of 16 bits": (lambda: png(np.dstack([DEEP, OPAQUE]), 4), 1),
    "PNG, RGBA of 16 bits": (lambda: png(np.dstack([rgb(DEEP), OPAQUE]), 6), 1),
    "PNG, alpha of zeros": (
        lambda: encode(np.dstack([GREY, np.zeros_like(GREY)])),
        "as it is",
    ),
    "PNG, alpha of zeros, 16 bits": (
        lambda: png(np.dstack([DEEP, np.zeros_like(DEEP)]), 4),
        1,
    ),
    "PNG, marker at 65535": lambda: png(marked(DEEP, 65535), 0),
    "TIFF, RGB of 16 bits": (lambda: tiff(rgb(DEEP)), 1),
    "TIFF, RGB, big endian": (lambda: tiff(rgb(DEEP), order=">"), 1),
    "TIFF, RGB, deflated": (lambda: tiff(rgb(DEEP), packed=True), 1),
    "TIFF, RGB, deflated, big endian": (
        lambda: tiff(rgb(DEEP), packed=True, order=">"),
        1,
    ),
    "TIFF, RGBA of 16 bits": (
        lambda: tiff(np.dstack([rgb(DEEP), OPAQUE]), extra=(2,)),
        1,
    ),
    "TIFF, marker at 65535": lambda: tiff(marked(DEEP, 65535)),
    "TIFF, int8": lambda: tiff((GREY.astype(np.int16) - 128).astype(np.int8)),
    "TIFF, int16": lambda: tiff(SIGNED),
    "TIFF, uint32 above 2^31": lambda: tiff(DEEP.astype(np.uint32) << 20),
    "TIFF, int32": lambda: tiff((SIGNED.astype(np.int32)) << 18),
    "TIFF, WhiteIsZero, 8 bits": (lambda: tiff(255 - GREY, photometric=0), "as it is"),
    "TIFF, WhiteIsZero, 16 bits": lambda: tiff(65535 - DEEP, photometric=0),
    "TIFF, WhiteIsZero, floats": (
        lambda: tiff(1 - DEEP.astype(np.float32) / 4096, photometric=0),
        1,
    ),
    "TIFF, a thumbnail first": (thumbnail_first, "as it is"),
    # what is laid together here, because Pillow does not read it
    "TIFF, float64": lambda: tiff(GREY / 255.0),
    "TIFF, float64, deflated, big endian": lambda: tiff(
        GREY / 255.0, packed=True, order=">"
    ),
    "TIFF, float64, WhiteIsZero": lambda: tiff(1 - GREY / 255.0, photometric=0),
    "TIFF, float64 with NaN": (lambda: tiff(framed(GREY / 255.0, np.nan)), "framed"),
    "TIFF, float64, a thumbnail first": lambda: tiff(
        GREY / 255.0, before=tiff(GREY[:70, :70] / 255.0, reduced=1)
    ),
    "TIFF, float64, two pages": (
        lambda: tiff(GREY / 255.0, before=tiff(GREY / 255.0)),
        0,
        ("first_frame",),
    ),
    "TIFF, float16": lambda: tiff((GREY / 255.0).astype(np.float16)),
    "TIFF, uint64": lambda: tiff(DEEP.astype(np.uint64) << 50),
    "TIFF, RGB of floats": lambda: tiff(rgb(GREY / 255.0).astype(np.float32)),
    "TIFF, grey and alpha of 16 bits": lambda: tiff(
        np.dstack([DEEP, OPAQUE]), extra=(2,)
    ),
    "TIFF, alpha of zeros, 16 bits": lambda: tiff(
        np.dstack([DEEP, np.zeros_like(DEEP)]), extra=(2,)
    ),
    "TIFF, RGB of 16 bits, plane by plane": lambda: tiff(rgb(DEEP), planar=2),
    "TIFF, the same, deflated, big endian": lambda: tiff(
        rgb(DEEP), planar=2, packed=True, order=">"
    ),
    "TIFF, CMYK of 16 bits": lambda: tiff(
        inks(rgb(np.zeros_like(DEEP)), 4095 - DEEP), photometric=5
    ),
    "TIFF, CMYK of 16 bits, without black": lambda: tiff(
        inks(rgb(65535 - DEEP), np.zeros_like(DEEP)), photometric=5
    ),
    "AVIF": (lambda: encode(GREY, "AVIF", **EXACT), "as it is"),
    "AVIF, RGB": (lambda: encode(rgb(GREY), "AVIF", **EXACT), "nearly as it is"),
}

KINDS = DICOM | FILES


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_picture_comes_out_of_every_file(kind):
    row = KINDS[kind] if isinstance(KINDS[kind], tuple) else (KINDS[kind],)
    build, tolerance, warnings = (*row, *(0, ())[len(row) - 1 :])
    picture = read_picture(build())
    expected = GREY.astype(float) if "as it is" in str(tolerance) else STRETCHED
    apart = np.abs(picture.pixels - expected)
    if "marker" in kind or "a pixel" in kind or "function" in kind:
        apart[MARK] = 0
    if tolerance == "framed":
        assert not picture.pixels[:9].any()
        inside = GREY[9:].astype(float)
        stretched = np.rint((inside - inside.min()) * 255 / np.ptp(inside))
        apart = np.abs(picture.pixels[9:] - stretched)
    allowed = 2 if tolerance == "nearly as it is" else tolerance
    assert apart.max() <= (allowed if isinstance(allowed, int) else 0)
    assert picture.warnings == warnings
    assert picture.chroma == 0


def test_deep_colours_keep_what_their_low_bytes_say():
    deep = DEEP + np.arange(DEEP.size, dtype=np.uint16).reshape(DEEP.shape) % 16
    for data in (png(rgb(deep), 2), tiff(rgb(deep)), tiff(rgb(deep), packed=True)):
        assert (read_picture(data).pixels == read_picture(png(deep, 0)).pixels).all()


def test_deep_transparency_is_black():
    alpha = OPAQUE.copy()
    alpha[:40] = 0
    for data in (
        png(np.dstack([DEEP, alpha]), 4),
        png(np.dstack([rgb(DEEP), alpha]), 6),
    ):
        assert not read_picture(data).pixels[:40].any()


def test_deep_pictures_are_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    block = exif.tobytes()[6:]  # without "Exif" and two zeros
    turned = np.rot90(rgb(DEEP), 1)
    data = png(np.ascontiguousarray(turned), 2)
    body = b"eXIf" + block
    chunk = struct.pack(">I", len(block)) + body + struct.pack(">I", zlib.crc32(body))
    data = data[:33] + chunk + data[33:]
    assert np.abs(read_picture(data).pixels - STRETCHED).max() <= 1


@pytest.mark.parametrize("rows", [1, 2, 30])
def test_what_is_clipped_is_warned_of_unless_it_is_a_trace(rows):
    pixels = DEEP.copy()
    pixels[: rows * 3, :10] = 65535
    share = rows * 30 / DEEP.size
    found = read_picture(png(pixels, 0))
    assert found.warnings == (("outliers_clipped",) if share > 0.001 else ())
    assert np.abs(found.pixels - STRETCHED)[rows * 3 :].max() == 0


UNDECLARED = {
    "low, DICOM": lambda rows: make(framed(SIGNED, -32768, rows)),
    "low, TIFF": lambda rows: tiff(framed(SIGNED, -32768, rows)),
    "high, DICOM": lambda rows: make(framed(DEEP, 65535, rows)),
    "high, PNG": lambda rows: png(framed(DEEP, 65535, rows), 0),
    "low, floats": lambda rows: tiff(framed(FLOATS, -1000, rows)),
    "both": lambda rows: make(framed(framed(SIGNED, -32768, rows), 32767, rows // 2)),
}


@pytest.mark.parametrize("kind", UNDECLARED)
@pytest.mark.parametrize("share", [0.03, 0.2, 0.6])
def test_padding_that_is_not_declared_takes_no_contrast(kind, share):
    rows = int(share * len(DEEP))
    found = read_picture(UNDECLARED[kind](rows))
    assert found.warnings == ("outliers_clipped",)
    inside = GREY[rows:].astype(float)
    stretched = np.rint((inside - inside.min()) * 255 / np.ptp(inside))
    assert (found.pixels[rows:] == stretched).all()


def test_a_drawing_of_few_shades_keeps_them_all():
    shades = np.array([0, 30_000, 30_100, 65_535], np.uint16)
    drawn = shades[np.arange(256 * 200).reshape(256, 200) // 17 % 4]
    assert {*np.unique(read_picture(png(drawn, 0)).pixels)} == {0, 117, 255}


def test_the_brightest_pixels_before_a_gap_are_kept():
    """Few pixels may be the brightest of the lungs; an outlier begins with a gap."""
    pixels = DEEP // 2
    pixels[200, 10:14] = 2200, 2400, 2600, 2800  # four of 51,200
    expected = read_picture(png(pixels, 0)).pixels.astype(int)
    pixels[MARK] = 65535
    apart = np.abs(read_picture(png(pixels, 0)).pixels - expected)
    apart[MARK] = 0
    assert apart.max() == 0


def test_soft_edges_of_text_do_not_rule_the_scale():
    """Antialiased text has pixels of every value up to its own."""
    pixels = DEEP.copy()
    pixels[20:24, :180] = np.linspace(4100, 65535, 720).reshape(4, 180)
    found = read_picture(png(pixels, 0))
    assert found.warnings == ("outliers_clipped",)
    rest = np.delete(np.abs(found.pixels - STRETCHED), range(20, 24), axis=0)
    assert rest.mean() < 16


def test_a_window_that_clips_is_no_outlier():
    data = make(DEEP, WindowCenter="1600", WindowWidth="801")
    found = read_picture(data)
    assert found.warnings == ()
    assert (found.pixels == 255).mean() > 0.2


REFUSED = {
    "float64 in an unknown compression": (
        lambda: tiff(GREY / 255.0, packed=31337),
        *("unsupported", "compressed in a way .number 31337."),
    ),
    "RGB of 16 bits that is not what its LZW says": (
        lambda: tiff(rgb(DEEP), planar=2, packed=5),
        *("damaged", "incomplete"),
    ),
    "colours as signed numbers": (
        lambda: tiff(rgb(SIGNED)),
        *("unsupported", "colours as signed"),
    ),
    "HEIC": (lambda: b"\0\0\0\x18ftypheic" + bytes(900), "unsupported", "HEIC"),
    "HEIC by its container": (
        lambda: b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(900),
        *("unsupported", "HEIC"),
    ),
    "damaged AVIF": (lambda: encode(GREY, "AVIF")[:900], "damaged", "incomplete"),
    "PDF": (lambda: b"%PDF-1.7\n" + bytes(500), "not_image", "PDF"),
    "zip": (lambda: b"PK\x03\x04" + bytes(500), "archive", "zip"),
    "empty zip": (lambda: b"PK\x05\x06" + bytes(18), "archive", "Unpack"),
    "RAR": (lambda: b"Rar!\x1a\x07\x01\0" + bytes(500), "archive", "RAR"),
    "7z": (lambda: b"7z\xbc\xaf\x27\x1c" + bytes(500), "archive", "7z"),
    "gzip": (lambda: b"\x1f\x8b\x08" + bytes(500), "archive", "gzip"),
    "unpacks itself": (lambda: b"MZ\x90\0" + bytes(500), "archive", "program"),
    "palette without a table": (
        lambda: make(GREY.copy(), PhotometricInterpretation="PALETTE COLOR"),
        *("unsupported", "colours in an unusual form"),
    ),
    "a kind of pixels that nobody knows": (
        lambda: make(DEEP, PhotometricInterpretation="FOO"),
        *("unsupported", "unusual kind"),
    ),
    "unprocessed, of no known relation": (
        lambda: processing(PixelIntensityRelationship=""),
        *("unsupported", "further processing"),
    ),
    "no Rows": (lambda: make(DEEP, Rows=None), "damaged", "Rows"),
    "no BitsAllocated": (
        lambda: make(DEEP, BitsAllocated=None),
        *("damaged", "BitsAllocated"),
    ),
    "modality OT": (lambda: make(DEEP, Modality="OT"), "modality", "PNG"),
    "modality SC": (lambda: make(DEEP, Modality="SC"), "modality", "PNG"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_read_is_named(kind):
    build, reason, words = REFUSED[kind]
    with pytest.raises(ImageError, match=words) as caught:
        read_picture(build())
    assert caught.value.reason == reason


def test_deep_colours_in_jpeg_2000_keep_their_depth_or_are_refused():
    deep = DEEP + np.arange(DEEP.size, dtype=np.uint16).reshape(DEEP.shape) % 16
    data = make(rgb(deep), SYNTAXES["JPEG 2000"], SamplesPerPixel=3)
    found = read_picture(data).pixels.astype(int)
    assert np.abs(found - read_picture(png(deep, 0)).pixels).max() <= 1
    with pytest.raises(ImageError, match="more than 8 bits") as caught:
        read_picture(data[data.index(b"\xff\x4f\xff\x51") :])
    assert caught.value.reason == "unsupported"


def test_deep_grey_in_jpeg_2000_keeps_its_depth():
    deep = DEEP + np.arange(DEEP.size, dtype=np.uint16).reshape(DEEP.shape) % 16
    found = read_picture(encode(deep, "JPEG2000", irreversible=False)).pixels
    assert (found == read_picture(png(deep, 0)).pixels).all()


def test_signed_pixels_in_jpeg_ls_stay_signed():
    found, expected = (
        read_anywhere(shipped(name)).pixels
        for name in ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm")
    )
    assert (found == expected).all()


CHEST = draw(3, size=300)


@pytest.mark.parametrize(
    "build",
    [
        lambda: png(rgb(CHEST.astype(np.uint16) * 16), 2),
        lambda: tiff(65535 - CHEST.astype(np.uint16) * 16, photometric=0),
        lambda: make(marked(CHEST.astype(np.uint16) * 16, 65535)),
        lambda: make(CHEST.astype(np.uint16), WindowCenter="1", WindowWidth="1"),
        lambda: tiff(CHEST / 255.0),
        lambda: tiff(rgb(CHEST.astype(np.uint16) * 16), planar=2, packed=True),
        lambda: make(rgb(CHEST.astype(np.uint16) * 16), SamplesPerPixel=3),
        lambda: palette(np.arange(256) * 257, CHEST),
        lambda: encode(CHEST, "AVIF", quality=90),
    ],
)
def test_the_answer_is_that_of_the_plain_picture(classifier, build):
    plain, other = (
        predict(classifier, data, anyway=True) for data in (encode(CHEST), build())
    )
    assert other.p_pneumonia == pytest.approx(plain.p_pneumonia, abs=0.03)
    np.testing.assert_allclose(other.box, plain.box, atol=0.02)  # of the lungs


@pytest.mark.parametrize("panels", [0, 90])
@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_page_around_a_picture_is_refused_or_changes_little(
    classifier, panels, number
):
    """As in a screenshot of a viewer: grey panels, with writing and buttons."""
    xray = Image.open(examples()[number].path).convert("L").resize((300, 300))
    page = Image.new("L", (640, 400), panels)
    pen = ImageDraw.Draw(page)
    for row in range(20, 380, 30):
        pen.text((10, row), "Series 1, image 2", fill=220)
        pen.rectangle((540, row, 620, row + 15), fill=150)
    page.paste(xray, (170, 50))
    plain = predict(classifier, encode(np.asarray(xray)), anyway=True)
    try:
        found = predict(classifier, encode(page))
    except ImageError as error:
        assert error.reason in gates.REFUSALS
    else:
        assert found.p_pneumonia == pytest.approx(plain.p_pneumonia, abs=0.15)


def test_doubtful_reading_is_not_blamed_on_the_patient(classifier):
    """A refusal by the gate says first that the file may have been read wrongly."""
    noise = np.random.default_rng(0).integers(0, 4096, (200, 200), dtype=np.uint16)
    doubted = make(noise, WindowCenter="1", WindowWidth="1")
    for data, reason in ((make(noise), "not_chest_xray"), (doubted, "doubtful")):
        with pytest.raises(ImageError) as caught:
            predict(classifier, data)
        assert caught.value.reason == reason
        assert "anyway" in caught.value.offers
    warned = predict(classifier, doubted, anyway=True).warnings
    assert warned[:2] == ("doubtful", "not_chest_xray")
    assert DOUBTS & set(warned)
