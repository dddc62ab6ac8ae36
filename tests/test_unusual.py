"""Files that are whole, but not as usual: read, or refused by their true name."""

import io
import struct
import subprocess
import sys
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from pictures import (
    DEEP,
    GREY,
    PNG,
    STRETCHED,
    TURNS,
    chunk,
    encode,
    in_png,
    rgb,
    tifffile_of,
)
from PIL import Image

from pneumonia import LABELS, ImageError, phantoms
from pneumonia.data import folder
from pneumonia.reading import jpeg, raster
from pneumonia.reading.files import find_files
from pneumonia.reading.image import is_picture, read_picture
from pneumonia.reading.isolated import read_anywhere
from pneumonia.serving import batch

PICTURE = np.ascontiguousarray(GREY)
FLOATS = PICTURE / 255
JPEG = encode(PICTURE, "JPEG", quality=95)
PROGRESSIVE = encode(rgb(PICTURE), "JPEG", quality=95, progressive=True)
RESTARTS = encode(PICTURE, "JPEG", quality=95, restart_marker_rows=1)
NOISE = np.random.default_rng(0).bytes(3_000_000)


def refusal(data: bytes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_anywhere(data)
    return caught.value


# orientation


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize(
    "kind", ["u1", "u2", "i2", "u4", "f2", "f4", "f8", "RGB u2", "lzw f8", "png"]
)
def test_every_tiff_is_turned_upright(kind, turn):
    """As it lies in the file, the picture is what this turn brings upright."""
    undo = {6: 8, 8: 6}.get(turn, turn)  # the others undo themselves
    dtype = kind.split()[-1].replace("png", "u1")
    values = TURNS[undo](FLOATS if dtype[0] == "f" else PICTURE).astype(dtype)
    values = np.ascontiguousarray(rgb(values) if "RGB" in kind else values)
    packed = {"lzw f8": "lzw", "png": "png"}.get(kind)
    tag = [(274, 3, 1, turn, True)]
    found = read_anywhere(tifffile_of(values, compression=packed, extratags=tag)).pixels
    expected = PICTURE if dtype == "u1" else STRETCHED
    assert found.shape == PICTURE.shape
    assert np.abs(found - expected).max() <= 0


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "PNG of 16 bits", "JPEG 12"])
def test_every_format_is_turned_upright(kind, turn):
    undo = {6: 8, 8: 6}.get(turn, turn)
    stored = np.ascontiguousarray(TURNS[undo](PICTURE))
    exif = Image.Exif()
    exif[274] = turn
    if kind == "JPEG 12":
        data = imagecodecs.jpeg_encode(
            stored.astype(np.uint16) * 16, level=98, bitspersample=12
        )
        block = exif.tobytes()
        segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
        data = data[:2] + segment + data[2:]
    elif kind == "PNG of 16 bits":
        data = encode(stored.astype(np.uint16) * 16, exif=exif)
    else:
        options = {"lossless": True} if kind == "WEBP" else {"quality": 95}
        data = encode(stored, kind, exif=exif, **options)
    expected = GREY.astype(float) if kind in ("PNG", "JPEG", "WEBP") else STRETCHED
    found = read_anywhere(data)
    apart = np.abs(found.pixels - expected)
    assert (apart.mean() if kind == "JPEG" else apart.max()) <= 2
    assert found.warnings == ()


# PNG


def spoilt(whole: bytes) -> bytes:
    return whole[:-1] + bytes([whole[-1] ^ 1])


def text(kind: bytes, size: int) -> bytes:
    body = {
        b"tEXt": b"Comment\0" + b"x" * size,
        b"zTXt": b"Raw profile type xmp\0\0" + zlib.compress(NOISE[:size]),
        b"iTXt": b"XML:com.adobe.xmp\0\0\0\0\0" + b"<x:xmpmeta/>" * (size // 12),
    }[kind]
    return chunk(kind, body)


LONG = b"ICC profile\0\0" + zlib.compress(
    imagecodecs.cms_profile("srgb").ljust(2_000_000, b"\0"), 0
)
EXIF = Image.Exif()
EXIF[274], EXIF[37510] = 1, NOISE
WHOLE_PNG = {
    **{f"a long {kind.decode()}": in_png(text(kind, 2_500_000)) for kind in (b"tEXt",)},
    "a long zTXt": in_png(text(b"zTXt", 2_500_000)),
    "a long iTXt": in_png(text(b"iTXt", 2_500_000)),
    "many texts": in_png(*[text(b"zTXt", 900_000)] * 9),
    "a long profile": in_png(chunk(b"iCCP", LONG)),
    "a long EXIF": encode(PICTURE, exif=EXIF),
    "EXIF behind the pixels": in_png(
        chunk(b"eXIf", EXIF.tobytes()[6:]), before=b"IEND"
    ),
    "unknown parts": in_png(chunk(b"prVw", NOISE[:999]), chunk(b"teSt", b"")),
    "something behind the end": PNG + NOISE[:5000],
    "another picture behind the end": PNG + PNG,
}


@pytest.mark.parametrize("what", WHOLE_PNG)
def test_whole_png_is_read(what):
    found = read_picture(WHOLE_PNG[what])
    assert (found.pixels == PICTURE).all()
    assert found.warnings == ()


PALETTE = chunk(b"PLTE", bytes(range(30)))
SPOILT_PNG = {
    "text": in_png(spoilt(text(b"tEXt", 20))),
    "packed text": in_png(spoilt(text(b"zTXt", 20))),
    "gamma": in_png(spoilt(chunk(b"gAMA", struct.pack(">I", 100_000)))),
    "profile": in_png(spoilt(chunk(b"iCCP", LONG))),
    "resolution": in_png(spoilt(chunk(b"pHYs", bytes(9)))),
    "EXIF": in_png(spoilt(chunk(b"eXIf", EXIF.tobytes()[6:]))),
    "EXIF that is none": in_png(chunk(b"eXIf", b"noise" * 9)),
    "time": in_png(spoilt(chunk(b"tIME", bytes(7))), before=b"IEND"),
    "animation": in_png(spoilt(chunk(b"acTL", bytes(8)))),
    "the end": PNG[:-1] + b"\0",
    "no end": PNG[:-12],
    "half an end": PNG[:-5],
    "no end, no checksum of the pixels": PNG[:-16],
    "an end that is cut within a text": PNG[:-12] + text(b"tEXt", 500)[:300],
}


@pytest.mark.parametrize("what", SPOILT_PNG)
def test_damage_that_no_pixel_depends_on_is_passed_over_with_a_warning(what):
    found = read_picture(SPOILT_PNG[what])
    assert (found.pixels == PICTURE).all()
    assert found.warnings == ("parts_skipped",)


def test_a_palette_that_is_only_suggested_may_be_spoilt():
    colour = encode(rgb(PICTURE))
    found = read_picture(in_png(spoilt(PALETTE), data=colour))
    assert (found.pixels == PICTURE).all()


DAMAGED_PNG = {
    "pixels": spoilt(PNG[: PNG.index(b"IEND") - 4])[: len(PNG) // 2] + PNG[-12:],
    "half of the pixels": PNG[: len(PNG) // 2],
    "half, and an end": PNG[: len(PNG) // 2] + PNG[-12:],
    "no pixels": PNG[: PNG.index(b"IDAT") - 4] + PNG[-12:],
    "transparency": in_png(spoilt(chunk(b"tRNS", b"\0\7"))),
    "a palette that counts": encode(Image.fromarray(PICTURE).convert("P")).replace(
        b"PLTE\0", b"PLTE\7", 1
    ),
}


@pytest.mark.parametrize("what", DAMAGED_PNG)
def test_png_without_all_its_pixels_stays_damaged(what):
    assert refusal(DAMAGED_PNG[what]).reason in ("damaged", "not_image")


def test_a_turn_in_a_long_text_counts():
    """Editors write the turn into XMP, in PNG as a text."""
    xmp = b'<x:xmpmeta tiff:Orientation="6"/>'.ljust(2_000_000)
    turned = encode(np.ascontiguousarray(np.rot90(PICTURE, 1)))
    data = in_png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp), data=turned)
    for stored in (data, in_png(chunk(b"tEXt", b"Comment\0x"), data=data)):
        assert (read_picture(stored).pixels == PICTURE).all()


# JPEG


def with_segment(marker: int, body: bytes, data: bytes = JPEG) -> bytes:
    segment = b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body
    return data[:2] + segment + data[2:]


WHOLE_JPEG = {
    "bytes behind the end": JPEG + NOISE[:70_000],
    "zeros behind the end": JPEG + bytes(70_000),
    "another JPEG behind the end": JPEG + JPEG[: len(JPEG) // 2],
    "a large segment": with_segment(0xE5, NOISE[:65_000]),
    "many large segments": with_segment(
        0xE2, NOISE[:60_000], with_segment(0xEE, NOISE[:60_000])
    ),
    "bytes between segments": JPEG[:20] + b"\0\0junk" + JPEG[20:],
    "a comment that holds an end": with_segment(0xFE, b"\xff\xd9 not the end"),
    "fill bytes": JPEG[:2] + b"\xff" * 9 + JPEG[2:],
}


@pytest.mark.parametrize("what", WHOLE_JPEG)
def test_whole_jpeg_is_read(what):
    found = read_picture(WHOLE_JPEG[what])
    assert (found.pixels == read_picture(JPEG).pixels).all()
    assert found.warnings == ()


ENDLESS = {
    "no end": lambda data: data[:-2],
    "half an end": lambda data: data[:-1],
    "no end, and zeros": lambda data: data[:-2] + bytes(3000),
    "half an end, and zeros": lambda data: data[:-1] + bytes(3000),
    "an end in a comment alone": lambda data: with_segment(0xFE, b"\xff\xd9", data)[
        :-2
    ],
}
KINDS_OF_JPEG = {
    "baseline": JPEG,
    "progressive": PROGRESSIVE,
    "with restarts": RESTARTS,
    "colour": encode(rgb(PICTURE), "JPEG", quality=95),
    "EXIF that is none": with_segment(0xE1, b"Exif\0\0" + b"noise" * 9),
    "of 12 bits": imagecodecs.jpeg_encode(DEEP, level=95, bitspersample=12),
    "lossless": imagecodecs.jpeg8_encode(DEEP * 15, lossless=True, bitspersample=16),
    "JPEG-LS": imagecodecs.jpegls_encode(PICTURE),
    "JPEG-LS of 16 bits": imagecodecs.jpegls_encode(DEEP * 15),
}


@pytest.mark.parametrize("kind", KINDS_OF_JPEG)
@pytest.mark.parametrize("what", ENDLESS)
def test_jpeg_without_its_end_is_read_if_every_pixel_is_there(kind, what):
    data = KINDS_OF_JPEG[kind]
    found, expected = read_anywhere(ENDLESS[what](data)), read_anywhere(data)
    assert (found.pixels == expected.pixels).all()
    assert found.warnings == ("parts_skipped",)


@pytest.mark.parametrize("kind", KINDS_OF_JPEG)
@pytest.mark.parametrize("zeros", [0, 5000])
def test_jpeg_that_was_cut_short_stays_damaged(kind, zeros):
    data = KINDS_OF_JPEG[kind]
    for lost in (4, 40, 400, len(data) // 2):
        assert refusal(data[:-lost] + bytes(zeros)).reason == "damaged", lost


def test_progressive_jpeg_without_its_last_scans_stays_damaged():
    """Nothing is cut off within a scan; only the finest bits are missing."""
    scans, at = [], PROGRESSIVE.find(b"\xff\xda")
    while at >= 0:
        scans.append(at)
        at = PROGRESSIVE.find(b"\xff\xda", at + 2)
    assert len(scans) > 5
    for at in scans[1:]:
        assert refusal(PROGRESSIVE[:at]).reason == "damaged"


@pytest.mark.parametrize(
    "kind", ["of 12 bits", "lossless", "JPEG-LS", "JPEG-LS of 16 bits"]
)
def test_other_kinds_of_jpeg_are_read_in_a_worker(kind):
    data = KINDS_OF_JPEG[kind]
    assert is_picture(data[:132])
    with pytest.raises(ImageError) as caught:
        read_picture(data)
    assert caught.value.reason == "needs_worker"
    found = read_anywhere(data)
    expected = PICTURE if kind == "JPEG-LS" else STRETCHED
    assert np.abs(found.pixels - expected).max() <= (1 if "12" in kind else 0)
    assert found.warnings == ()


@pytest.mark.parametrize(
    "kind", ["baseline", "of 12 bits", "lossless", "JPEG-LS", "JPEG-LS of 16 bits"]
)
def test_a_profile_and_a_turn_beside_any_kind_of_jpeg_count(kind):
    """The profile stands in two parts, the second first; the turn in XMP alone."""
    plain, profile = KINDS_OF_JPEG[kind], imagecodecs.cms_profile("gray", gamma=1.0)
    data = plain
    for number, part in ((1, profile[:200]), (2, profile[200:])):
        data = with_segment(0xE2, b"ICC_PROFILE\0" + bytes([number, 2]) + part, data)
    expected = np.asarray(read_anywhere(plain).pixels, float) / 255
    found = read_anywhere(data)
    assert found.warnings == ()
    # deep ones are scaled by their own range behind the curve
    assert np.abs(found.pixels - 255 * expected ** (1 / 2.2)).max() <= 13
    assert found.pixels.mean() > 255 * expected.mean() + 30
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation="3"/>'
    turned = read_anywhere(with_segment(0xE1, xmp, plain))
    assert (turned.pixels == read_anywhere(plain).pixels[::-1, ::-1]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("tagged", [False, True])
def test_a_turn_in_xmp_counts_in_tiff_of_any_depth_unless_a_tag_says_it(dtype, tagged):
    pixels = PICTURE if dtype is np.uint8 else DEEP.astype(dtype)
    xmp = b"<x:xmpmeta><tiff:Orientation>3</tiff:Orientation></x:xmpmeta>"
    tags = [(700, 7, len(xmp), xmp, True)]
    tags += [(274, 3, 1, 1, True)] * tagged
    plain, found = (
        read_anywhere(tifffile_of(pixels, extratags=some, metadata=None)).pixels
        for some in ([], tags)
    )
    assert (found == (plain if tagged else plain[::-1, ::-1])).all()


def test_colours_in_other_kinds_of_jpeg():
    for data in (
        imagecodecs.jpegls_encode(rgb(PICTURE)),
        imagecodecs.jpeg8_encode(rgb(DEEP * 15), lossless=True, bitspersample=16),
        imagecodecs.jpeg_encode(rgb(DEEP), level=98, bitspersample=12),
    ):
        found = read_anywhere(data)
        assert found.pixels.shape == PICTURE.shape
        assert np.abs(found.pixels - STRETCHED).mean() < 6
        assert found.chroma < 0.01


def frame(marker: int, bits: int, width: int = 99, colours: int = 1) -> bytes:
    """The header of a JPEG without pixels."""
    body = struct.pack(">BHHB", bits, 99, width, colours)
    body += b"".join(bytes([n, 0x11, 0]) for n in range(colours))
    return with_segment(marker, body, b"\xff\xd8\xff\xda\0\3\0\xff\xd9")


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC7, 0xCB, 0xCD, 0xF7])
def test_pillow_never_sees_a_jpeg_of_another_kind(marker, monkeypatch):
    """It may end the process."""
    monkeypatch.delattr(raster, "_open")
    usual = with_segment(0xC0, frame(0xC0, 8)[6:15], frame(marker, 8))
    for data in (frame(marker, 8), usual):
        assert not jpeg.header(data).usual
        with pytest.raises(ImageError) as caught:
            read_picture(data)
        assert caught.value.reason in ("needs_worker", "unsupported")


def test_size_is_checked_before_other_kinds_of_jpeg_are_decoded():
    huge = frame(0xC3, 16, 65_000).replace(b"\0\x63\xfd\xe8", b"\xfd\xe8\xfd\xe8")
    assert refusal(huge).reason == "too_many_pixels"
    assert refusal(frame(0xF7, 8, 9)).reason == "too_small"


# TIFF

PACKED = ("lzw", "zstd", "lzma", "packbits", "deflate")
IMAGES = ("jpeg2000", "jpegxl", "lerc", "png", "webp", "jpegxr")
PIXELS = {
    "8 bits": PICTURE,
    "16 bits": DEEP,
    "RGB of 8 bits": rgb(PICTURE),
    "RGB of 16 bits": rgb(DEEP),
    "floats": FLOATS.astype(np.float32),
    "float16": FLOATS.astype(np.float16),
    "float64": FLOATS,
}
KNOWN = {  # what each can hold, besides all
    "webp": {"RGB of 8 bits"},
    "png": {"8 bits", "16 bits", "RGB of 8 bits", "RGB of 16 bits"},
    "jpeg2000": {"8 bits", "16 bits", "RGB of 8 bits", "RGB of 16 bits"},
    "jpegxr": {"8 bits", "16 bits", "RGB of 8 bits", "RGB of 16 bits"},
    "jpegxl": {"8 bits", "16 bits", "RGB of 8 bits", "RGB of 16 bits", "floats"},
    "lerc": {"8 bits", "16 bits", "floats", "float64"},
}


@pytest.mark.parametrize(
    ("compression", "kind"),
    [
        (name, kind)
        for name in PACKED + IMAGES
        for kind in PIXELS
        if kind in KNOWN.get(name, PIXELS)
    ],
)
def test_every_compression_of_tiff(compression, kind):
    pixels = np.ascontiguousarray(PIXELS[kind])
    tile = (64, 64) if compression in ("jpeg2000", "zstd") else None
    data = tifffile_of(pixels, compression=compression, tile=tile)
    found = read_anywhere(data)
    expected = PICTURE if "of 8" in kind or kind == "8 bits" else STRETCHED
    assert np.abs(found.pixels - expected).max() <= 0
    assert found.warnings == ()
    if compression in IMAGES:
        with pytest.raises(ImageError) as caught:
            read_picture(data)
        assert caught.value.reason == "needs_worker"


@pytest.mark.parametrize("predictor", [2, 3])
@pytest.mark.parametrize("order", "<>")
def test_predictors_of_tiff(predictor, order):
    values = DEEP if predictor == 2 else FLOATS.astype(np.float32)
    for packed in ("lzw", "zstd", "deflate"):
        options = {"compression": packed, "predictor": predictor, "byteorder": order}
        found = read_picture(
            tifffile_of(values.astype(f"{order}{values.dtype.str[1:]}"), **options)
        )
        assert (found.pixels == STRETCHED).all()


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 15])
def test_packed_numbers_of_tiff(bits):
    values = (PICTURE.astype(np.uint16) << (bits - 8)) + 1
    found = read_picture(tifffile_of(values, bitspersample=bits))
    assert (found.pixels == STRETCHED).all()


def test_tiff_of_a_12_bit_jpeg():
    data = tifffile_of(
        DEEP, compression="jpeg", bitspersample=12, compressionargs={"level": 98}
    )
    assert np.abs(read_anywhere(data).pixels - STRETCHED).max() <= 2


def test_big_tiff_in_either_order():
    for order in "<>":
        data = tifffile_of(DEEP.astype(f"{order}u2"), bigtiff=True, byteorder=order)
        assert (read_picture(data).pixels == STRETCHED).all()


def test_pages_of_tiff():
    """Thumbnails, pyramids and pictures within pages are passed over."""
    small = np.ascontiguousarray(DEEP[::2, ::2])
    thumbnail, pyramid, inner, several = (io.BytesIO() for _ in range(4))
    grey = {"photometric": "minisblack"}
    with tifffile.TiffWriter(thumbnail) as file:
        file.write(small, subfiletype=1, **grey)
        file.write(DEEP, **grey)
    with tifffile.TiffWriter(pyramid) as file:
        file.write(DEEP, **grey)
        file.write(small, subfiletype=1, **grey)
    with tifffile.TiffWriter(inner) as file:
        file.write(DEEP, subifds=1, **grey)
        file.write(small, subfiletype=1, **grey)
    with tifffile.TiffWriter(several) as file:
        for pixels in (DEEP, DEEP[::-1]):
            file.write(pixels, **grey)
    for file in (thumbnail, pyramid, inner, several):
        found = read_picture(file.getvalue())
        assert (found.pixels == STRETCHED).all()
        assert found.warnings == (("first_frame",) if file is several else ())


@pytest.mark.parametrize("value", [0, 1000, 65535])
def test_odd_tags_of_tiff_change_nothing(value):
    tags = [(tag, 4, 3, (value,) * 3, True) for tag in (33550, 34665, 65000, 42113)]
    data = tifffile_of(DEEP, extratags=tags)
    assert (read_picture(data).pixels == STRETCHED).all()


def retagged(data: bytes, tag: int, value: int | None) -> bytes:
    """Overwrite the one value of a tag; None makes it a tag that nobody knows."""
    at = next(
        at
        for kind in (3, 4)
        if (at := data.find(struct.pack("<HHI", tag, kind, 1))) >= 0
    )
    if value is None:
        return data[:at] + struct.pack("<H", 65001) + data[at + 2 :]
    return data[:at] + struct.pack("<HHII", tag, 4, 1, value) + data[at + 12 :]


ODD = {
    "no byte count": (279, None),
    "a byte count of 0": (279, 0),
    "a byte count that is too small": (279, 100),
    "a byte count beyond the file": (279, 10**8),
    "no photometric interpretation": (262, None),
    "no number of samples": (277, None),
    "no rows in a strip": (278, None),
    "more rows in a strip than the picture has": (278, 2**32 - 1),
    "an orientation that there is not": (274, 77),
}


@pytest.mark.parametrize("what", ODD)
def test_tags_that_other_readers_do_without(what):
    data = tifffile_of(DEEP, extratags=[(274, 3, 1, 1, True)], metadata=None)
    found = read_picture(retagged(data, *ODD[what]))
    assert (found.pixels == STRETCHED).all()
    assert found.warnings == ()


def test_pages_in_a_circle_are_one():
    data = tifffile_of(DEEP, metadata=None)
    (start,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[start : start + 2])
    end = start + 2 + 12 * count
    found = read_picture(data[:end] + data[4:8] + data[end + 4 :])
    assert (found.pixels == STRETCHED).all()
    assert found.warnings == ()


def test_a_strip_that_is_missing_is_not_black():
    data = tifffile_of(
        DEEP, compression="zlib", rowsperstrip=DEEP.shape[0], metadata=None
    )
    assert refusal(retagged(data, 279, 0)).reason == "damaged"


def test_alpha_of_tiff_counts_once():
    """Colours that are multiplied with it already are not multiplied again."""
    alpha = np.full_like(DEEP, 32768)
    alpha[:9] = 65535
    for kind, stored in ((1, DEEP // 2), (2, DEEP)):
        values = np.where(alpha < 65535, stored, DEEP)
        pixels = np.dstack([values, alpha])
        data = tifffile_of(
            pixels, photometric="minisblack", extrasamples=[kind], planarconfig=1
        )
        expected = np.where(alpha < 65535, DEEP / 2, DEEP)
        expected = np.rint((expected - expected.min()) * 255 / np.ptp(expected))
        assert np.abs(read_picture(data).pixels - expected).max() <= 1


REFUSED_TIFF = {
    "an unknown compression": (
        lambda: tifffile_of(DEEP).replace(
            struct.pack("<HHIH", 259, 3, 1, 1), struct.pack("<HHIH", 259, 3, 1, 31337)
        ),
        *("unsupported", "compressed in a way"),
    ),
    "complex numbers": (
        lambda: tifffile_of(FLOATS.astype(np.complex64)),
        *("unsupported", "pixels of an unusual kind"),
    ),
    "colours as signed numbers": (
        lambda: tifffile_of(rgb(DEEP).astype(np.int16)),
        *("unsupported", "colours as signed numbers of 16 bits"),
    ),
    "cut short": (lambda: tifffile_of(DEEP)[:-5000], "damaged", "incomplete"),
    "cut short, deflated": (
        lambda: tifffile_of(DEEP, compression="deflate")[:-5000],
        *("damaged", "incomplete"),
    ),
    "a header alone": (lambda: b"II*\0\x08\0\0\0", "damaged", "incomplete"),
    "a picture that repeats itself for ever": (
        lambda: b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
        *("damaged", "incomplete"),
    ),
}


@pytest.mark.parametrize("what", REFUSED_TIFF)
def test_tiff_that_is_not_read_is_named(what):
    build, reason, words = REFUSED_TIFF[what]
    error = refusal(build())
    assert error.reason == reason
    assert words in str(error)


def test_size_of_tiff_is_checked_before_it_is_decoded():
    for compression in (None, "zstd", "jpeg2000"):
        data = tifffile_of(DEEP, compression=compression)
        for tag in (256, 257):
            old = struct.pack("<HHI", tag, 4, 1)
            at = data.find(old)
            at = at if at >= 0 else data.find(struct.pack("<HHI", tag, 3, 1))
            data = data[:at] + struct.pack("<HHII", tag, 4, 1, 60_000) + data[at + 12 :]
        assert refusal(data).reason == "too_many_pixels"


# other pictures

NAMED = {
    "JPEG XL": (imagecodecs.jpegxl_encode(PICTURE), "JPEG XL"),
    "JPEG XL in its container": (
        imagecodecs.jpegxl_encode(PICTURE, usecontainer=True),
        "JPEG XL",
    ),
    "JPEG XR": (imagecodecs.jpegxr_encode(PICTURE), "JPEG XR"),
    "HEIC": (b"\0\0\0\x18ftypheix" + bytes(900), "HEIC"),
    "Photoshop": (b"8BPS\0\1" + bytes(900), "Photoshop"),
    "JPEG whose height comes late": (
        JPEG.replace(struct.pack(">HH", *PICTURE.shape), struct.pack(">HH", 0, 200))[
            :-2
        ]
        + b"\xff\xdc\0\4"
        + struct.pack(">H", PICTURE.shape[0])
        + JPEG[-2:],
        "JPEG with its height behind the pixels",
    ),
    "Apple's PNG": (
        encode(PICTURE)[:8] + chunk(b"CgBI", b"\x50\0\x20\2") + encode(PICTURE)[8:],
        "PNG of Apple's own kind",
    ),
    "OpenEXR": (b"\x76\x2f\x31\x01\2\0\0\0" + bytes(900), "OpenEXR"),
}


@pytest.mark.parametrize("what", NAMED)
def test_pictures_that_are_not_read_are_named(what):
    data, name = NAMED[what]
    error = refusal(data)
    assert error.reason == "unsupported"
    assert f"the format {name}" in str(error)


def test_high_throughput_jpeg_2000_is_read():
    whole = imagecodecs.htj2k_encode(PICTURE)
    for data in (whole, whole[whole.index(b"\xff\x4f\xff\x51") :]):
        assert (read_picture(data).pixels == PICTURE).all()


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "BMP", "JPEG2000"])
def test_bytes_behind_other_pictures_change_nothing(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(PICTURE, kind, **options)
    for more in (bytes(5000), NOISE[:5000]):
        found = read_picture(data + more)
        assert (found.pixels == PICTURE).all()
        assert found.warnings == ()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_plain_pictures_wait_for_no_large_library(kind, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(encode(PICTURE, kind))
    script = (
        "import sys, pneumonia\n"
        f"pneumonia.read_anywhere(open({str(path)!r}, 'rb').read())\n"
        "print(sorted({'imagecodecs', 'tifffile', 'pydicom'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_folders_and_batches_read_what_needs_a_worker(classifier, tmp_path):
    pixels = np.asarray(Image.open(phantoms()[0]).convert("L")).copy()
    for label in LABELS:
        (tmp_path / label.upper()).mkdir()
        path = tmp_path / label.upper() / "one.jls"
        path.write_bytes(imagecodecs.jpegls_encode(pixels))
    dataset = folder.load(tmp_path, progress=False)
    assert len(dataset.images) == 2
    assert not dataset.unreadable
    (tmp_path / "plain.png").write_bytes(encode(pixels))
    rows = list(batch.answer_files(classifier, find_files([tmp_path])))
    assert len({(row.status, row.p_pneumonia) for row in rows}) == 1


@pytest.mark.parametrize(
    "data",
    {
        "baseline": JPEG,
        "progressive": PROGRESSIVE,
        "restarts": RESTARTS,
        "of 12 bits": imagecodecs.jpeg8_encode(
            PICTURE * np.uint16(16), bitspersample=12
        ),
        "lossless": imagecodecs.jpeg8_encode(PICTURE, lossless=True),
    }.values(),
    ids=["baseline", "progressive", "restarts", "of 12 bits", "lossless"],
)
def test_cut_jpeg_with_an_end_marker_is_damaged(data):
    for share in (0.3, 0.4, 0.5):
        assert refusal(data[: int(len(data) * share)] + b"\xff\xd9").reason == "damaged"
    assert read_anywhere(data).pixels.shape == PICTURE.shape


def test_jpeg_with_a_black_border_below_is_whole():
    bordered = PICTURE.copy()
    bordered[-40:] = 0
    for options in ({}, {"progressive": True}):
        data = encode(bordered, "JPEG", quality=90, **options)
        assert read_picture(data).warnings == ()


def test_lossless_jpeg_whose_pixels_end_in_zeros_may_lack_its_end():
    ended = 0
    for seed in range(40):
        noise = (
            np.random.default_rng(seed).integers(0, 4096, (96, 96)).astype(np.uint16)
        )
        data = imagecodecs.ljpeg_encode(noise, bitspersample=12)
        if data.endswith(b"\0\xff\xd9"):
            ended += 1
            assert "parts_skipped" in read_anywhere(data[:-2]).warnings
    assert ended


@pytest.mark.parametrize("deep", [False, True])
def test_checksums_of_whole_pixels_do_not_matter(deep):
    data = encode(PICTURE.astype(np.uint16) * 257 if deep else PICTURE)
    plain = read_picture(data).pixels
    at = data.index(b"IDAT")
    end = at + 4 + int.from_bytes(data[at - 4 : at], "big")
    changed = data[:end] + bytes(4) + data[end + 4 :]
    for broken in (changed, data[:-12], data[:-17], data[:-20]):
        found = read_picture(broken)
        assert np.array_equal(found.pixels, plain)
        assert found.warnings == ("parts_skipped",)
    wrong = bytearray(changed)
    wrong[at + 4 + (end - at) // 2] ^= 0xFF
    assert refusal(bytes(wrong)).reason == "damaged"
    wrong = bytearray(data)
    wrong[29] ^= 0xFF  # the checksum of the header
    assert refusal(bytes(wrong)).reason == "damaged"
