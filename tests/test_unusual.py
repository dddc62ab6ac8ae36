"""Files that are whole, but not as usual: read, or refused by their true name."""

import io
import re
import struct
import subprocess
import sys
import zlib

import imagecodecs
import numpy as np
import pictures as made
import pytest
import tifffile
from pictures import DEEP, GREY, PNG, STRETCHED, chunk, encode, in_png, rgb, rows
from pictures import tifffile_of as tiff
from PIL import Image

from pneumonia import LABELS, ImageError, phantoms
from pneumonia.data import folder
from pneumonia.reading import jpeg, raster
from pneumonia.reading.files import find_files
from pneumonia.reading.image import is_picture, read_picture
from pneumonia.reading.isolated import read_anywhere
from pneumonia.serving import batch

FLOATS = GREY / 255
JPEG = encode(GREY, "JPEG", quality=95)
PROGRESSIVE = encode(rgb(GREY), "JPEG", quality=95, progressive=True)
NOISE = np.random.default_rng(0).bytes(3_000_000)


def refusal(data: bytes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_anywhere(data)
    return caught.value


def with_segment(marker: int, body: bytes, data: bytes = JPEG) -> bytes:
    segment = b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body
    return data[:2] + segment + data[2:]


# orientation


@pytest.mark.parametrize("turn", made.TURNS)
@pytest.mark.parametrize(
    "kind", ["u1", "u2", "i2", "u4", "f2", "f4", "f8", "RGB u2", "lzw f8", "png"]
)
def test_every_tiff_is_turned_upright(kind, turn):
    dtype = kind.split()[-1].replace("png", "u1")
    values = made.lying(turn, (FLOATS if dtype[0] == "f" else GREY).astype(dtype))
    values = rgb(values) if "RGB" in kind else values
    packed = {"lzw f8": "lzw", "png": "png"}.get(kind)
    tag = [(274, 3, 1, turn, True)]
    found = read_anywhere(tiff(values, compression=packed, extratags=tag))
    assert (found.pixels == (GREY if dtype == "u1" else STRETCHED)).all()


@pytest.mark.parametrize("turn", made.TURNS)
@pytest.mark.parametrize(
    ("kind", "pixels", "expected", "options"),
    [
        ("PNG", GREY, GREY, {}),
        ("PNG", DEEP, STRETCHED, {}),
        ("JPEG", GREY, GREY, {"quality": 95}),
        ("WEBP", GREY, GREY, {"lossless": True}),
        ("JPEG", DEEP, STRETCHED, {"level": 98, "bitspersample": 12}),
    ],
)
def test_every_format_is_turned_upright(kind, pixels, expected, options, turn):
    stored, exif = made.lying(turn, pixels), made.exif_of(turn)
    if "bitspersample" in options:
        data = imagecodecs.jpeg_encode(stored, **options)
        data = with_segment(0xE1, exif.tobytes(), data)
    else:
        data = encode(stored, kind, exif=exif, **options)
    found = read_anywhere(data)
    apart = np.abs(found.pixels - expected.astype(float))
    assert (apart.mean() if "quality" in options else apart.max()) <= 2
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


PROFILE = imagecodecs.cms_profile("srgb").ljust(2_000_000, b"\0")
LONG = b"ICC profile\0\0" + zlib.compress(PROFILE, 0)
EXIF = made.exif_of(1)
EXIF[37510] = NOISE
IN_PNG = chunk(b"eXIf", EXIF.tobytes()[6:])
XMP = b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x:xmpmeta tiff:Orientation="6"/>'
TURNING = chunk(b"iTXt", XMP.ljust(2_000_000))
TURNED_BY_TEXT = in_png(TURNING, data=encode(made.lying(6)))
SUGGESTED = spoilt(chunk(b"PLTE", bytes(range(30))))
WHOLE_PNG = {
    "a long tEXt": in_png(text(b"tEXt", 2_500_000)),
    "a long zTXt": in_png(text(b"zTXt", 2_500_000)),
    "a long iTXt": in_png(text(b"iTXt", 2_500_000)),
    "many texts": in_png(*[text(b"zTXt", 900_000)] * 9),
    "a long profile": in_png(chunk(b"iCCP", LONG)),
    "a long EXIF": encode(GREY, exif=EXIF),
    "EXIF behind the pixels": in_png(IN_PNG, before=b"IEND"),
    "unknown parts": in_png(chunk(b"prVw", NOISE[:999]), chunk(b"teSt", b"")),
    "something behind the end": PNG + NOISE[:5000],
    "another picture behind the end": PNG + PNG,
    "a turn in a long text": TURNED_BY_TEXT,
    "a turn in the second text": in_png(text(b"tEXt", 1), data=TURNED_BY_TEXT),
    "a suggested palette that is spoilt": in_png(SUGGESTED, data=encode(rgb(GREY))),
}
SPOILT_PNG = {
    "text": in_png(spoilt(text(b"tEXt", 20))),
    "packed text": in_png(spoilt(text(b"zTXt", 20))),
    "gamma": in_png(spoilt(chunk(b"gAMA", struct.pack(">I", 100_000)))),
    "profile": in_png(spoilt(chunk(b"iCCP", LONG))),
    "resolution": in_png(spoilt(chunk(b"pHYs", bytes(9)))),
    "EXIF": in_png(spoilt(IN_PNG)),
    "EXIF that is none": in_png(chunk(b"eXIf", b"noise" * 9)),
    "time": in_png(spoilt(chunk(b"tIME", bytes(7))), before=b"IEND"),
    "animation": in_png(spoilt(chunk(b"acTL", bytes(8)))),
    "the end": PNG[:-1] + b"\0",
    "no end": PNG[:-12],
    "half an end": PNG[:-5],
    "no end, no checksum of the pixels": PNG[:-16],
    "neither, and some pixels' own": PNG[:-20],
    "an end that is cut within a text": PNG[:-12] + text(b"tEXt", 500)[:300],
}
PALETTE = encode(Image.fromarray(GREY).convert("P"))
DAMAGED_PNG = {
    "pixels": PNG[: len(PNG) // 2] + b"\0\0\0" + PNG[len(PNG) // 2 + 3 :],
    "half of the pixels": PNG[: len(PNG) // 2],
    "half, and an end": PNG[: len(PNG) // 2] + PNG[-12:],
    "no pixels": PNG[: PNG.index(b"IDAT") - 4] + PNG[-12:],
    "transparency": in_png(spoilt(chunk(b"tRNS", b"\0\7"))),
    "a palette that counts": PALETTE.replace(b"PLTE\0", b"PLTE\7", 1),
    "the checksum of the header": PNG[:29] + bytes([PNG[29] ^ 0xFF]) + PNG[30:],
}


@pytest.mark.parametrize("what", DAMAGED_PNG)
def test_png_without_all_its_pixels_stays_damaged(what):
    assert refusal(DAMAGED_PNG[what]).reason in ("damaged", "not_image")


@pytest.mark.parametrize("pixels", [GREY, DEEP * 16])
def test_checksums_of_whole_pixels_do_not_matter(pixels):
    data = encode(pixels)
    plain = read_picture(data).pixels
    at = data.index(b"IDAT")
    end = at + 4 + int.from_bytes(data[at - 4 : at], "big")
    changed = data[:end] + bytes(4) + data[end + 4 :]
    for broken in (changed, data[:-12], data[:-17], data[:-20]):
        made.assert_reads(broken, plain, 0, ("parts_skipped",), worker=False)
    wrong = bytearray(changed)
    wrong[at + 4 + (end - at) // 2] ^= 0xFF
    assert refusal(bytes(wrong)).reason == "damaged"


# JPEG

TWO_LARGE = NOISE[:60_000], with_segment(0xEE, NOISE[:60_000])
WHOLE_JPEG = {
    "bytes behind the end": JPEG + NOISE[:70_000],
    "zeros behind the end": JPEG + bytes(70_000),
    "another JPEG behind the end": JPEG + JPEG[: len(JPEG) // 2],
    "a large segment": with_segment(0xE5, NOISE[:65_000]),
    "many large segments": with_segment(0xE2, *TWO_LARGE),
    "bytes between segments": JPEG[:20] + b"\0\0junk" + JPEG[20:],
    "a comment that holds an end": with_segment(0xFE, b"\xff\xd9 not the end"),
    "fill bytes": JPEG[:2] + b"\xff" * 9 + JPEG[2:],
}
OTHER_JPEG = {
    "of 12 bits": imagecodecs.jpeg_encode(DEEP, level=95, bitspersample=12),
    "lossless": imagecodecs.jpeg8_encode(DEEP * 15, lossless=True, bitspersample=16),
    "JPEG-LS": imagecodecs.jpegls_encode(GREY),
    "JPEG-LS of 16 bits": imagecodecs.jpegls_encode(DEEP * 15),
}
JPEGS = OTHER_JPEG | {
    "baseline": JPEG,
    "progressive": PROGRESSIVE,
    "with restarts": encode(GREY, "JPEG", quality=95, restart_marker_rows=1),
    "colour": encode(rgb(GREY), "JPEG", quality=95),
    "EXIF that is none": with_segment(0xE1, b"Exif\0\0" + b"noise" * 9),
}
ENDLESS = {
    "no end": lambda data: data[:-2],
    "half an end": lambda data: data[:-1],
    "no end, and zeros": lambda data: data[:-2] + bytes(3000),
    "half an end, and zeros": lambda data: data[:-1] + bytes(3000),
    "an end in a comment": lambda data: with_segment(0xFE, b"\xff\xd9", data[:-2]),
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("what", ENDLESS)
def test_jpeg_without_its_end_is_read_if_every_pixel_is_there(kind, what):
    found, plain = (read_anywhere(f(JPEGS[kind])) for f in (ENDLESS[what], bytes))
    assert (found.pixels == plain.pixels).all()
    assert found.warnings == ("parts_skipped",)


@pytest.mark.parametrize("kind", JPEGS)
def test_jpeg_that_was_cut_short_stays_damaged(kind):
    data = JPEGS[kind]
    for lost in (4, 40, 400, len(data) // 2):
        for zeros in (0, 5000):
            assert refusal(data[:-lost] + bytes(zeros)).reason == "damaged", lost
    if "LS" not in kind:
        for share in (0.3, 0.4, 0.5):
            cut = data[: int(len(data) * share)] + b"\xff\xd9"
            assert refusal(cut).reason == "damaged", share


def test_progressive_jpeg_without_its_last_scans_stays_damaged():
    """Nothing is cut off within a scan; only the finest bits are missing."""
    _, *scans = re.finditer(b"\xff\xda", PROGRESSIVE)
    assert len(scans) > 4
    for scan in scans:
        assert refusal(PROGRESSIVE[: scan.start()]).reason == "damaged"


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_jpeg_with_a_black_border_below_is_whole(options):
    bordered = GREY.copy()
    bordered[-40:] = 0
    data = encode(bordered, "JPEG", quality=90, **options)
    assert read_picture(data).warnings == ()


def test_lossless_jpeg_whose_pixels_end_in_zeros_may_lack_its_end():
    rngs = map(np.random.default_rng, range(40))
    noise = (rng.integers(0, 4096, (96, 96)).astype(np.uint16) for rng in rngs)
    files = [imagecodecs.ljpeg_encode(pixels, bitspersample=12) for pixels in noise]
    ended = [data for data in files if data.endswith(b"\0\xff\xd9")]
    assert ended
    for data in ended:
        assert "parts_skipped" in read_anywhere(data[:-2]).warnings


@pytest.mark.parametrize("kind", ["baseline", *OTHER_JPEG])
def test_a_profile_and_a_turn_beside_any_kind_of_jpeg_count(kind):
    """The profile stands in two parts, the second first; the turn in XMP alone."""
    plain, profile = JPEGS[kind], imagecodecs.cms_profile("gray", gamma=1.0)
    data = plain
    for number, part in ((1, profile[:200]), (2, profile[200:])):
        data = with_segment(0xE2, b"ICC_PROFILE\0" + bytes([number, 2]) + part, data)
    assert is_picture(plain[:132])
    pixels = read_anywhere(plain).pixels
    expected, found = 255 * (pixels / 255) ** (1 / 2.2), read_anywhere(data)
    assert found.warnings == ()
    # deep ones are scaled by their own range behind the curve
    assert np.abs(found.pixels - expected).max() <= 13
    assert found.pixels.mean() > pixels.mean() + 30
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation="3"/>'
    turned = read_anywhere(with_segment(0xE1, xmp, plain))
    assert (turned.pixels == pixels[::-1, ::-1]).all()


@pytest.mark.parametrize(
    "data",
    [
        imagecodecs.jpegls_encode(rgb(GREY)),
        imagecodecs.jpeg8_encode(rgb(DEEP * 15), lossless=True, bitspersample=16),
        imagecodecs.jpeg_encode(rgb(DEEP), level=98, bitspersample=12),
    ],
)
def test_colours_in_other_kinds_of_jpeg(data):
    found = read_anywhere(data)
    assert found.pixels.shape == GREY.shape
    assert np.abs(found.pixels - STRETCHED).mean() < 6
    assert found.chroma < 0.01


def frame(marker: int, bits: int, width: int = 99, height: int = 99) -> bytes:
    """The header of a JPEG without pixels."""
    body = struct.pack(">BHHB3B", bits, height, width, 1, 0, 0x11, 0)
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


# TIFF

IMAGES = ("jpeg2000", "jpegxl", "lerc", "png", "webp", "jpegxr")
PIXELS = {
    "8 bits": GREY,
    "RGB of 8 bits": rgb(GREY),
    "16 bits": DEEP,
    "RGB of 16 bits": rgb(DEEP),
    "floats": FLOATS.astype(np.float32),
    "float16": FLOATS.astype(np.float16),
    "float64": FLOATS,
}
WHOLE_NUMBERS = list(PIXELS)[:4]
HELD = dict.fromkeys(("lzw", "zstd", "lzma", "packbits", "deflate"), PIXELS)
HELD |= dict.fromkeys(("png", "jpeg2000", "jpegxr"), WHOLE_NUMBERS)
HELD |= {"jpegxl": [*WHOLE_NUMBERS, "floats"], "webp": ["RGB of 8 bits"]}
HELD |= {"lerc": ["8 bits", "16 bits", "floats", "float64"]}
COMPRESSED = []
for name, kinds in HELD.items():
    tile = (64, 64) if name in ("jpeg2000", "zstd") else None
    for kind in kinds:
        data = tiff(PIXELS[kind], compression=name, tile=tile)
        like = GREY if "8 bits" in kind else STRETCHED
        COMPRESSED += rows({f"{name}, {kind}": data}, like, worker=name in IMAGES)
PACKED = {}
for order in "<>":
    big = {"bigtiff": True, "byteorder": order}
    PACKED[f"BigTIFF, {order}"] = tiff(DEEP.astype(f"{order}u2"), **big)
    for predictor, values in ((2, DEEP), (3, FLOATS.astype(np.float32))):
        stored = values.astype(values.dtype.newbyteorder(order))
        for name in ("lzw", "zstd", "deflate"):
            how = {"compression": name, "predictor": predictor, "byteorder": order}
            PACKED[f"{name}, {predictor}, {order}"] = tiff(stored, **how)
for bits in (9, 10, 12, 14, 15):
    values = (GREY.astype(np.uint16) << (bits - 8)) + 1
    PACKED[f"{bits} bits"] = tiff(values, bitspersample=bits)


def pages(*written: tuple[np.ndarray, dict]) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for pixels, options in written:
            writer.write(pixels, photometric="minisblack", **options)
    return file.getvalue()


SMALL = (DEEP[::2, ::2].copy(), {"subfiletype": 1})
PAGES = {
    "a thumbnail first": pages(SMALL, (DEEP, {})),
    "a pyramid": pages((DEEP, {}), SMALL),
    "a picture within a page": pages((DEEP, {"subifds": 1}), SMALL),
}


def in_a_circle() -> bytes:
    data = tiff(DEEP)
    (start,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[start : start + 2])
    end = start + 2 + 12 * count
    return data[:end] + data[4:8] + data[end + 4 :]


UPRIGHT = tiff(DEEP, extratags=[(274, 3, 1, 1, True)])
TAGS = {
    "no byte count": made.retagged(UPRIGHT, 279, None),
    "a byte count of 0": made.retagged(UPRIGHT, 279, 0),
    "a byte count that is too small": made.retagged(UPRIGHT, 279, 100),
    "a byte count beyond the file": made.retagged(UPRIGHT, 279, 10**8),
    "no photometric interpretation": made.retagged(UPRIGHT, 262, None),
    "no number of samples": made.retagged(UPRIGHT, 277, None),
    "no rows in a strip": made.retagged(UPRIGHT, 278, None),
    "more rows in a strip than there are": made.retagged(UPRIGHT, 278, 2**32 - 1),
    "an orientation that there is not": made.retagged(UPRIGHT, 274, 77),
}
for value in (0, 1000, 65535):
    odd = [(tag, 4, 3, (value,) * 3, True) for tag in (33550, 65000, 42113)]
    TAGS[f"odd tags of {value}"] = tiff(DEEP, extratags=odd)
JPEG_12 = {"compression": "jpeg", "bitspersample": 12, "compressionargs": {"level": 98}}
TWO = pages((DEEP, {}), (DEEP[::-1].copy(), {}))
WHOLE_HTJ2K = imagecodecs.htj2k_encode(GREY)
HTJ2K = WHOLE_HTJ2K[WHOLE_HTJ2K.index(b"\xff\x4f\xff\x51") :]
OTHERS = {"HTJ2K, in a file": WHOLE_HTJ2K, "HTJ2K": HTJ2K}
for kind in ("WEBP", "GIF", "BMP", "JPEG2000"):
    plain = encode(GREY, kind, **{"lossless": True} if kind == "WEBP" else {})
    OTHERS |= {f"{kind} and zeros": plain + bytes(5000)}
    OTHERS |= {f"{kind} and noise": plain + NOISE[:5000]}
FILES = [
    *rows(WHOLE_PNG | OTHERS, GREY),
    *rows(SPOILT_PNG, GREY, warned=("parts_skipped",)),
    *rows(WHOLE_JPEG, read_picture(JPEG).pixels),
    *rows({"12-bit JPEG": JPEGS["of 12 bits"]}, off=1, worker=True),
    *rows({"JPEG-LS": JPEGS["JPEG-LS"]}, GREY, worker=True),
    *rows({n: JPEGS[n] for n in ("lossless", "JPEG-LS of 16 bits")}, worker=True),
    *COMPRESSED,
    *rows(PACKED | PAGES | TAGS | {"pages in a circle": in_a_circle()}),
    *rows({"two pages": TWO}, warned=("first_frame",)),
    *rows({"12-bit JPEG in TIFF": tiff(DEEP, **JPEG_12)}, off=2, worker=True),
]


@pytest.mark.parametrize(("data", "like", "off", "warned", "worker"), FILES)
def test_files_that_are_not_as_usual(data, like, off, warned, worker):
    made.assert_reads(data, like, off, warned, worker)


@pytest.mark.parametrize("pixels", [GREY, DEEP, DEEP.astype(np.float32)])
@pytest.mark.parametrize("tagged", [False, True])
def test_a_turn_in_xmp_counts_in_tiff_of_any_depth_unless_a_tag_says_it(pixels, tagged):
    xmp = b"<x:xmpmeta><tiff:Orientation>3</tiff:Orientation></x:xmpmeta>"
    tags = [(700, 7, len(xmp), xmp, True)] + [(274, 3, 1, 1, True)] * tagged
    found = read_picture(tiff(pixels, extratags=tags)).pixels
    plain = GREY if pixels is GREY else STRETCHED
    assert (found == (plain if tagged else plain[::-1, ::-1])).all()


@pytest.mark.parametrize(("kind", "stored"), [(1, DEEP // 2), (2, DEEP)])
def test_alpha_of_tiff_counts_once(kind, stored):
    """Colours that are multiplied with it already are not multiplied again."""
    alpha = np.full_like(DEEP, 32768)
    alpha[:9] = 65535
    pixels = np.dstack([np.where(alpha < 65535, stored, DEEP), alpha])
    options = {"photometric": "minisblack", "extrasamples": [kind], "planarconfig": 1}
    expected = made.by_range(np.where(alpha < 65535, DEEP / 2, DEEP))
    found = read_picture(tiff(pixels, **options)).pixels
    assert np.abs(found - expected).max() <= 1


# refused

LATE = JPEG.replace(struct.pack(">HH", *GREY.shape), struct.pack(">HH", 0, 200))
LATE = LATE[:-2] + b"\xff\xdc\0\4" + struct.pack(">H", GREY.shape[0]) + JPEG[-2:]
STRIP = tiff(DEEP, compression="zlib", rowsperstrip=DEEP.shape[0])
HUGE = {"jpeg": frame(0xC3, 16, 64_999, 64_999)}
for name in ("none", "zstd", "jpeg2000"):
    data = tiff(DEEP, compression=name)
    for tag in (256, 257):
        data = made.retagged(data, tag, 60_000)
    HUGE[f"tiff, {name}"] = data
REFUSED = {
    "unsupported": {
        "compressed in a way": made.retagged(tiff(DEEP), 259, 31337),
        "an unusual kind": tiff(FLOATS.astype(np.complex64)),
        "signed numbers of 16 bits": tiff(rgb(DEEP).astype(np.int16)),
        "format JPEG XL": imagecodecs.jpegxl_encode(GREY),
        "JPEG XL": imagecodecs.jpegxl_encode(GREY, usecontainer=True),
        "JPEG XR": imagecodecs.jpegxr_encode(GREY),
        "HEIC": b"\0\0\0\x18ftypheix" + bytes(900),
        "Photoshop": b"8BPS\0\1" + bytes(900),
        "JPEG with its height behind the pixels": LATE,
        "PNG of Apple's own kind": PNG[:8] + chunk(b"CgBI", b"\x50\0\x20\2") + PNG[8:],
        "OpenEXR": b"\x76\x2f\x31\x01\2\0\0\0" + bytes(900),
    },
    "damaged": {
        "cut short": tiff(DEEP)[:-5000],
        "cut short, deflated": tiff(DEEP, compression="deflate")[:-5000],
        "a header alone": b"II*\0\x08\0\0\0",
        "a page that repeats itself for ever": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "a strip that is missing is not black": made.retagged(STRIP, 279, 0),
    },
    "too_many_pixels": HUGE,
    "too_small": {"jpeg": frame(0xF7, 8, 9)},
}


@pytest.mark.parametrize(
    ("reason", "what"), [(one, what) for one in REFUSED for what in REFUSED[one]]
)
def test_what_is_not_read_is_named(reason, what):
    error = refusal(REFUSED[reason][what])
    assert error.reason == reason
    assert reason != "unsupported" or what in str(error)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_plain_pictures_wait_for_no_large_library(kind):
    script = (
        "import sys, pneumonia\n"
        "pneumonia.read_anywhere(sys.stdin.buffer.read())\n"
        "print(sorted({'imagecodecs', 'tifffile', 'pydicom'} & set(sys.modules)))\n"
    )
    run = [sys.executable, "-c", script]
    done = subprocess.run(run, input=encode(GREY, kind), capture_output=True)
    assert done.stdout.strip() == b"[]", done.stderr


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
    answers = batch.answer_files(classifier, find_files([tmp_path]))
    assert len({(row.status, row.p_pneumonia) for row in answers}) == 1
