"""What a file says of the brightness of its values is followed, in every format."""

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from pictures import GREY, STRETCHED, chunk, encode

from pneumonia.reading import tone
from pneumonia.reading.image import read_picture
from pneumonia.reading.picture import DOUBTS

PICTURE = np.ascontiguousarray(GREY)
EXACT = (PICTURE / 255.0) ** 2.2  # its light
COLOUR = {"grey": 0, "RGB": 2, "palette": 3, "grey and alpha": 4, "RGBA": 6}
APPLE = "Generic Gray Profile, which is the power 1.8"


def stored(light: np.ndarray, bits: int) -> np.ndarray:
    return np.rint(light * (2**bits - 1)).astype(np.uint16)


def png(values: np.ndarray, bits: int, kind: str = "grey", *chunks: bytes) -> bytes:
    """Write (H, W) as PNG, in the layout of `kind`."""
    opaque, order = np.full_like(values, 2**bits - 1), f">u{bits // 8}"
    planes = {
        **{"grey": [values], "palette": [values], "grey and alpha": [values, opaque]},
        **{"RGB": [values] * 3, "RGBA": [values] * 3 + [opaque]},
    }[kind]
    rows = np.stack(planes, -1).astype(order)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    height, width = values.shape
    head = struct.pack(">IIBBBBB", width, height, bits, COLOUR[kind], 0, 0, 0)
    palette = bytes(np.repeat(np.arange(256, dtype=np.uint8), 3))
    parts = [chunk(b"IHDR", head), *chunks]
    parts += [chunk(b"PLTE", palette)] if kind == "palette" else []
    parts += [chunk(b"IDAT", zlib.compress(body, 1)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def profile(curve: bytes, space: bytes = b"GRAY", tag: bytes = b"kTRC") -> bytes:
    head = bytearray(128)
    head[8:12], head[12:24] = b"\4\0\0\0", b"mntr" + space + b"XYZ "
    head[36:40] = b"acsp"
    body = bytes(head) + struct.pack(">I4sII", 1, tag, 144, len(curve)) + curve
    return struct.pack(">I", len(body)) + body[4:]


def power(value: float) -> bytes:
    return struct.pack(">4sxxxxIH", b"curv", 1, round(value * 256))


def steps(light: np.ndarray) -> bytes:
    table = np.rint(light * 65535).astype(">u2").tobytes()
    return struct.pack(">4sxxxxI", b"curv", len(light)) + table


def formula(kind: int, *numbers: float) -> bytes:
    fixed = (round(number * 65536) for number in numbers)
    return struct.pack(f">4sxxxxHxx{len(numbers)}i", b"para", kind, *fixed)


LINEAR = profile(struct.pack(">4sxxxxI", b"curv", 0))
SRGB = formula(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def gama(value: int) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", value))


def cicp(*values: int) -> bytes:
    return chunk(b"cICP", bytes(values))


def iccp(icc: bytes) -> bytes:
    return chunk(b"iCCP", b"of a test\0\0" + zlib.compress(icc))


def apart(data: bytes, expected: np.ndarray) -> float:
    picture = read_picture(data)
    assert picture.warnings == ()
    return np.abs(picture.pixels - expected).max()


@pytest.mark.parametrize("kind", COLOUR)
@pytest.mark.parametrize("bits", [8, 16])
def test_linear_light_is_shown_as_a_viewer_shows_it(kind, bits):
    if (kind, bits) == ("palette", 16):
        pytest.skip("there is none")
    values = stored(EXACT, bits)
    data = png(values, bits, kind, gama(100_000))
    shown = np.rint(255 * (values / (2**bits - 1)) ** (1 / 2.2))
    if bits == 16:
        shown = STRETCHED  # by its own range, after the gamma and not before
    assert apart(data, shown) <= 1
    plain = read_picture(png(values, bits, kind))
    assert np.abs(plain.pixels - shown).max() > 40  # it does make a difference


@pytest.mark.parametrize("gamma", [0.25, 0.5556, 0.8, 1.0])
def test_gamma_is_undone(gamma):
    values = stored(EXACT**gamma, 16)
    assert apart(png(values, 16, "grey", gama(round(gamma * 1e5))), STRETCHED) <= 1


SAYS_NOTHING = {
    "the gamma of a screen": gama(45455),
    "nearly the same": gama(45000),
    "sRGB": chunk(b"sRGB", b"\0"),
    "cICP of sRGB": cicp(1, 13, 0, 1),
    "cICP of television": cicp(1, 1, 0, 1),
    "cICP, HLG": cicp(9, 18, 0, 1),
    "profile of sRGB": iccp(profile(SRGB)),
    "profile of sRGB, colour": iccp(profile(SRGB, b"RGB ", b"gTRC")),
    "profile of Adobe RGB": iccp(profile(power(2.2), b"RGB ", b"gTRC")),
    "profile of the power 2.2": iccp(profile(power(2.2))),
    "the same as formula": iccp(profile(formula(0, 2.2))),
    "the same as table": iccp(profile(steps(np.linspace(0, 1, 1024) ** 2.2))),
    APPLE: iccp(profile(power(1.8))),
    "profile by Little CMS": iccp(imagecodecs.cms_profile("srgb")),
    "profile of inks": iccp(profile(power(1), b"CMYK")),
    "profile of tables alone": iccp(profile(power(1), b"RGB ", b"A2B0")),
}


@pytest.mark.parametrize("what", SAYS_NOTHING)
def test_values_of_a_screen_stay_as_they_are(what):
    for kind in ("grey", "RGB"):
        data = png(PICTURE.astype(np.uint16), 8, kind, SAYS_NOTHING[what])
        assert apart(data, PICTURE) == 0


def table_of(function) -> np.ndarray:
    return function(np.linspace(0, 1, 4096))


LIGHT = {  # what is stored for the picture's light, and what says so
    "profile, linear": (lambda v: v, iccp(LINEAR)),
    "profile, linear, by Little CMS": (
        lambda v: v,
        iccp(imagecodecs.cms_profile("gray", gamma=1.0)),
    ),
    "profile, linear, colour": (
        lambda v: v,
        iccp(profile(power(1), b"RGB ", b"gTRC")),
    ),
    "profile, a power": (lambda v: v ** (1 / 1.4), iccp(profile(power(1.4)))),
    "profile, a table": (
        lambda v: 1 - np.sqrt(1 - v),
        iccp(profile(steps(table_of(lambda x: 1 - (1 - x) ** 2)))),
    ),
    "profile, formula 0": (lambda v: v ** (1 / 1.4), iccp(profile(formula(0, 1.4)))),
    "profile, formula 1": (
        lambda v: (v ** (1 / 1.5) + 0.1) / 1.1,
        iccp(profile(formula(1, 1.5, 1.1, -0.1))),
    ),
    "profile, formula 2": (
        lambda v: ((v + 0.02) ** (1 / 1.5) - 0.05) / 0.96329,
        iccp(profile(formula(2, 1.5, 0.96329, 0.05, -0.02))),
    ),
    "profile, formula 3": (
        lambda v: np.where(v < 0.1, v, v),
        iccp(profile(formula(3, 1.0, 1.0, 0.0, 1.0, 0.1))),
    ),
    "profile, formula 4": (
        lambda v: np.sqrt(v),
        iccp(profile(formula(4, 2.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0))),
    ),
    "cICP, linear": (lambda v: v, cicp(1, 8, 0, 1)),
    "cICP, the power 2.8": (lambda v: v ** (1 / 2.8), cicp(5, 5, 0, 1)),
    "cICP, PQ": (
        lambda v: (
            (
                (0.8359375 + 18.8515625 * (v * 0.0203) ** 0.1593017578125)
                / (1 + 18.6875 * (v * 0.0203) ** 0.1593017578125)
            )
            ** 78.84375
        ),
        cicp(9, 16, 0, 1),
    ),
}


@pytest.mark.parametrize("what", LIGHT)
def test_curves_are_undone(what):
    store, says = LIGHT[what]
    data = png(stored(np.clip(store(EXACT), 0, 1), 16), 16, "grey", says)
    assert apart(data, STRETCHED) <= 1


ORDER = (cicp(1, 8, 0, 1), iccp(LINEAR), chunk(b"sRGB", b"\0"), gama(100_000))
SCREENS = (cicp(1, 13, 0, 1), iccp(profile(SRGB)), ORDER[2], gama(45455))


@pytest.mark.parametrize("first", [0, 1, 3])
def test_the_stronger_word_counts(first):
    """CICP before iCCP before sRGB before gAMA, wherever they stand."""
    values = stored(EXACT, 16)
    for chunks in (
        (ORDER[first], *SCREENS[first + 1 :]),
        (*reversed(SCREENS[first + 1 :]), ORDER[first]),
    ):
        assert apart(png(values, 16, "grey", *chunks), STRETCHED) <= 1
    if first < 3:
        screen = stored(PICTURE / 255, 16)
        data = png(screen, 16, "grey", SCREENS[first], *ORDER[first + 1 :])
        assert apart(data, STRETCHED) == 0
    named = png(stored(PICTURE / 255, 16), 16, "grey", gama(100_000), ORDER[2])
    assert apart(named, STRETCHED) == 0


def in_colours(values: np.ndarray, kind: str, icc: bytes) -> bytes:
    colours = np.dstack([values] * 3)
    if kind == "PNG, 16 bits":
        says = [iccp(icc)] if icc else []
        return png(values.astype(np.uint16) * 257, 16, "RGB", *says)
    if kind == "TIFF, 16 bits":
        return tiff(colours.astype(np.uint16) * 257, icc)
    return encode(colours, kind, icc_profile=icc, **LOSSLESS.get(kind, {}))


LOSSLESS = {"WebP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}


@pytest.mark.parametrize(
    "kind", ["PNG", "PNG, 16 bits", "JPEG", "WebP", "TIFF, 16 bits"]
)
def test_a_profile_of_grey_counts_for_nothing_where_there_are_colours(kind):
    """Chromium follows one of colours on grey pixels, and none of grey on colours."""
    values = stored(EXACT, 8).astype(np.uint8)
    plain, grey, colour = (
        read_picture(in_colours(values, kind, icc))
        for icc in (b"", LINEAR, profile(power(1), b"RGB ", b"gTRC"))
    )
    assert (grey.pixels == plain.pixels).all()
    assert (plain.warnings, grey.warnings) == ((), ("tone_ignored",))
    assert np.abs(colour.pixels.astype(int) - plain.pixels).max() > 40
    assert colour.warnings == ()
    screen = read_picture(in_colours(values, kind, profile(SRGB)))
    assert screen.warnings == ()


NONSENSE = {
    "gamma of 0": gama(0),
    "a screen's 2.2 in place of a file's": gama(220_000),
    "gamma out of all bounds": gama(2**32 - 1),
    "gamma of no length": chunk(b"gAMA", b""),
    "gamma of three bytes": chunk(b"gAMA", b"\1\x86\xa0"),
    "cICP of YCbCr": cicp(1, 8, 1, 1),
    "cICP of the range of television": cicp(1, 8, 0, 0),
    "cICP of a code that is reserved": cicp(1, 3, 0, 1),
    "cICP of three bytes": cicp(1, 8, 0),
    "profile of noise": iccp(np.random.default_rng(0).bytes(400)),
    "profile that is cut": iccp(LINEAR[:120]),
    "profile that can't be unpacked": chunk(b"iCCP", b"a\0\0" + b"noise" * 9),
    "profile, packed, and cut": chunk(b"iCCP", b"a\0\0" + zlib.compress(LINEAR)[:-9]),
    "curve of an unknown kind": iccp(profile(b"sf32" + bytes(20))),
    "curve that is cut": iccp(profile(struct.pack(">4sxxxxI", b"curv", 99))),
    "curve of black alone": iccp(profile(steps(np.zeros(9)))),
    "formula 1 that divides by 0": iccp(profile(formula(1, 1.5, 0.0, 1.0))),
    "formula 7": iccp(profile(formula(7, 1.0))),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_ignored_with_a_warning(what):
    found = read_picture(png(PICTURE.astype(np.uint16), 8, "grey", NONSENSE[what]))
    assert (found.pixels == PICTURE).all()
    assert found.warnings == ("tone_ignored",)
    assert "tone_ignored" in DOUBTS


def test_after_nonsense_the_next_word_counts():
    values = stored(EXACT, 16)
    data = png(values, 16, "grey", cicp(1, 3, 0, 1), gama(100_000))
    found = read_picture(data)
    assert np.abs(found.pixels - STRETCHED).max() <= 1
    assert found.warnings == ("tone_ignored",)


def tiff(values: np.ndarray, icc: bytes) -> bytes:
    file = io.BytesIO()
    kind = "minisblack" if values.ndim == 2 else "rgb"
    tifffile.imwrite(file, values, photometric=kind, iccprofile=icc)
    return file.getvalue()


def in_jp2(data: bytes, icc: bytes) -> bytes:
    """Put a profile into a JPEG 2000 file in place of the name of its colours."""
    start = data.index(b"colr") - 4
    box = struct.pack(">I4s3B", 11 + len(icc), b"colr", 2, 0, 0) + icc
    head = data.index(b"jp2h") - 4
    grown = int.from_bytes(data[head : head + 4], "big") + len(box) - 15
    data = data[:start] + box + data[start + 15 :]
    return data[:head] + struct.pack(">I", grown) + data[head + 4 :]


EIGHT = stored(EXACT, 8).astype(np.uint8)
RGB = np.dstack([EIGHT] * 3)
OTHERS = {
    "JPEG": lambda icc: encode(EIGHT, "JPEG", quality=100, icc_profile=icc),
    "WebP": lambda icc: encode(RGB, "WEBP", lossless=True, icc_profile=icc),
    "TIFF": lambda icc: tiff(EIGHT, icc),
    "TIFF, RGB": lambda icc: tiff(RGB, icc),
    "TIFF of 16 bits": lambda icc: tiff(stored(EXACT, 16), icc),
    "TIFF of 16 bits, RGB": lambda icc: tiff(np.dstack([stored(EXACT, 16)] * 3), icc),
    "TIFF of floats": lambda icc: tiff(EXACT.astype(np.float32), icc),
    "JPEG 2000": lambda icc: in_jp2(encode(EIGHT, "JPEG2000"), icc),
    "JPEG 2000 of 16 bits": lambda icc: in_jp2(
        encode(stored(EXACT, 16), "JPEG2000"), icc
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_profile_counts_in_other_formats_too(kind):
    shown = np.rint(255 * (EIGHT / 255) ** (1 / 2.2))
    if "16" in kind or "floats" in kind:
        shown = STRETCHED
    of = (b"RGB ", b"gTRC") if kind == "WebP" or "RGB" in kind else (b"GRAY", b"kTRC")
    found = read_picture(OTHERS[kind](profile(power(1), *of)))
    assert found.warnings == ()
    # next to black one step of what is stored is many of what is shown
    clear = shown > 60 if kind == "JPEG" else shown >= 0
    assert np.abs(found.pixels - shown)[clear].max() <= (3 if kind == "JPEG" else 1)
    plain = read_picture(OTHERS[kind](profile(power(2.2), *of))).pixels
    assert np.abs(plain - shown).max() > 40
    assert read_picture(OTHERS[kind](b"noise" * 40)).warnings == ("tone_ignored",)


@pytest.mark.parametrize("gamma", [1.0, 1.4, 3.0])
def test_curves_agree_with_little_cms(gamma):
    """But for the straight piece of sRGB next to black; our screen has none."""
    ramp = np.linspace(0, 1, 4096)
    icc, screen = imagecodecs.cms_profile("gray", gamma=gamma), "srgb"
    theirs = imagecodecs.cms_transform(
        ramp[None].astype(np.float32),  # whole numbers go through a coarse table there
        icc,
        imagecodecs.cms_profile(screen),
        colorspace="gray",
        outcolorspace="rgb",
        outdtype="float32",
    )[0, :, 1]
    apart = np.abs(tone.of_profile(icc)(ramp) - theirs)
    assert apart.max() < 9 / 255
    assert apart[ramp**gamma > 0.03].max() < 4 / 255


def test_gamma_behind_the_pixels_is_ignored_with_a_warning():
    data = encode(GREY)
    late = data[:-12] + chunk(b"gAMA", struct.pack(">I", 100_000)) + data[-12:]
    found = read_picture(late)
    assert found.warnings == ("tone_ignored",)
    assert np.array_equal(found.pixels, read_picture(data).pixels)
