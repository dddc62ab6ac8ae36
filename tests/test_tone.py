"""What a file says of the brightness of its values is followed, in every format."""

import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from pictures import GREY, STRETCHED, assert_reads, chunk, encode, in_png, rgb, rows
from pictures import png as png_of
from pictures import tifffile_of as tiff

from pneumonia.reading import tone
from pneumonia.reading.image import read_picture
from pneumonia.reading.picture import DOUBTS

EXACT = (GREY / 255.0) ** 2.2  # its light
COLOUR = {"grey": 0, "RGB": 2, "palette": 3, "grey and alpha": 4, "RGBA": 6}
PALETTE = chunk(b"PLTE", bytes(np.repeat(np.arange(256, dtype=np.uint8), 3)))
OF_COLOURS = b"RGB ", b"gTRC"


def stored(light: np.ndarray, bits: int) -> np.ndarray:
    return np.rint(light * (2**bits - 1)).astype(f"u{bits // 8}")


def png(values: np.ndarray, *chunks: bytes, kind: str = "grey") -> bytes:
    """Write (H, W) as PNG of so many bits, in the layout of `kind`."""
    planes = [values] * (3 if "RGB" in kind else 1)
    if kind in ("grey and alpha", "RGBA"):
        planes.append(np.full_like(values, np.iinfo(values.dtype).max))
    chunks += (PALETTE,) * (kind == "palette")
    return png_of(np.stack(planes, -1), COLOUR[kind], *chunks)


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


def icc(*of: bytes) -> bytes:
    return iccp(profile(*of))


def shows(data: bytes, like: np.ndarray, off: int = 1, warned: tuple[str, ...] = ()):
    assert_reads(data, like, off, warned, worker=False)


@pytest.mark.parametrize(
    ("kind", "bits"),
    [(kind, 8) for kind in COLOUR]
    + [(kind, 16) for kind in COLOUR if kind != "palette"],
)
def test_linear_light_is_shown_as_a_viewer_shows_it(kind, bits):
    """Deep values are stretched by their own range after the gamma, not before."""
    values = stored(EXACT, bits)
    shown = np.rint(255 * (values / 255) ** (1 / 2.2)) if bits == 8 else STRETCHED
    shows(png(values, gama(100_000), kind=kind), shown)
    plain = read_picture(png(values, kind=kind))
    assert np.abs(plain.pixels - shown).max() > 40  # it does make a difference


SAYS_NOTHING = {
    "the gamma of a screen": gama(45455),
    "nearly the same": gama(45000),
    "sRGB": chunk(b"sRGB", b"\0"),
    "cICP of sRGB": cicp(1, 13, 0, 1),
    "cICP of television": cicp(1, 1, 0, 1),
    "cICP, HLG": cicp(9, 18, 0, 1),
    "profile of sRGB": icc(SRGB),
    "profile of sRGB, colour": icc(SRGB, *OF_COLOURS),
    "profile of Adobe RGB": icc(power(2.2), *OF_COLOURS),
    "profile of the power 2.2": icc(power(2.2)),
    "the same as formula": icc(formula(0, 2.2)),
    "the same as table": icc(steps(np.linspace(0, 1, 1024) ** 2.2)),
    "Apple's Generic Gray Profile": icc(power(1.8)),
    "profile by Little CMS": iccp(imagecodecs.cms_profile("srgb")),
    "profile of inks": icc(power(1), b"CMYK"),
    "profile of tables alone": icc(power(1), b"RGB ", b"A2B0"),
}
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
    "curve of an unknown kind": icc(b"sf32" + bytes(20)),
    "curve that is cut": icc(struct.pack(">4sxxxxI", b"curv", 99)),
    "curve of black alone": icc(steps(np.zeros(9))),
    "formula 1 that divides by 0": icc(formula(1, 1.5, 0.0, 1.0)),
    "formula 7": icc(formula(7, 1.0)),
}


def perceptual_quantizer(light: np.ndarray) -> np.ndarray:
    part = (light * 0.0203) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * part) / (1 + 18.6875 * part)) ** 78.84375


LIGHT = {  # what is stored for the picture's light, and what says so
    **{
        f"gamma {gamma}": (lambda v, g=gamma: v**g, gama(round(gamma * 1e5)))
        for gamma in (0.25, 0.5556, 0.8, 1.0)
    },
    "linear": (lambda v: v, iccp(LINEAR)),
    "Little CMS's": (
        lambda v: v,
        iccp(imagecodecs.cms_profile("gray", gamma=1.0)),
    ),
    "linear, colour": (lambda v: v, icc(power(1), *OF_COLOURS)),
    "a power": (lambda v: v ** (1 / 1.4), icc(power(1.4))),
    "a table": (
        lambda v: 1 - np.sqrt(1 - v),
        icc(steps(1 - (1 - np.linspace(0, 1, 4096)) ** 2)),
    ),
    "type 0": (lambda v: v ** (1 / 1.4), icc(formula(0, 1.4))),
    "type 1": (
        lambda v: (v ** (2 / 3) + 0.1) / 1.1,
        icc(formula(1, 1.5, 1.1, -0.1)),
    ),
    "type 2": (
        lambda v: ((v + 0.02) ** (2 / 3) - 0.05) / 0.96329,
        icc(formula(2, 1.5, 0.96329, 0.05, -0.02)),
    ),
    "type 3": (lambda v: v, icc(formula(3, 1.0, 1.0, 0.0, 1.0, 0.1))),
    "type 4": (np.sqrt, icc(formula(4, 2.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0))),
    "cICP, linear": (lambda v: v, cicp(1, 8, 0, 1)),
    "cICP, the power 2.8": (lambda v: v ** (1 / 2.8), cicp(5, 5, 0, 1)),
    "cICP, PQ": (perceptual_quantizer, cicp(9, 16, 0, 1)),
}
SIXTEEN = stored(EXACT, 16)
CURVES = {
    what: png(stored(np.clip(store(EXACT), 0, 1), 16), says)
    for what, (store, says) in LIGHT.items()
}
IGNORED = {what: png(GREY, says) for what, says in NONSENSE.items()}
IGNORED["gamma behind the pixels"] = in_png(gama(100_000), before=b"IEND")
TONES = [
    *rows({what: png(GREY, says) for what, says in SAYS_NOTHING.items()}, GREY),
    *rows({f"{w}, C": png(GREY, s, kind="RGB") for w, s in SAYS_NOTHING.items()}, GREY),
    *rows(CURVES, off=1),
    *rows(IGNORED, GREY, warned=("tone_ignored",)),
    *rows(
        {"after nonsense": png(SIXTEEN, cicp(1, 3, 0, 1), gama(100_000))},
        off=1,
        warned=("tone_ignored",),
    ),
]


@pytest.mark.parametrize(("data", "like", "off", "warned", "worker"), TONES)
def test_curves_are_undone_where_a_file_says_one(data, like, off, warned, worker):
    assert_reads(data, like, off, warned, worker)
    assert "tone_ignored" in DOUBTS


ORDER = (cicp(1, 8, 0, 1), iccp(LINEAR), chunk(b"sRGB", b"\0"), gama(100_000))
SCREENS = (cicp(1, 13, 0, 1), icc(SRGB), ORDER[2], gama(45455))


@pytest.mark.parametrize("first", [0, 1, 3])
def test_the_stronger_word_counts(first):
    """CICP before iCCP before sRGB before gAMA, wherever they stand."""
    weaker = SCREENS[first + 1 :]
    for chunks in ((ORDER[first], *weaker), (*reversed(weaker), ORDER[first])):
        shows(png(SIXTEEN, *chunks), STRETCHED)
    screen = stored(GREY / 255, 16)
    if first < 3:
        shows(png(screen, SCREENS[first], *ORDER[first + 1 :]), STRETCHED, off=0)
    shows(png(screen, gama(100_000), ORDER[2]), STRETCHED, off=0)


def in_jp2(data: bytes, icc: bytes) -> bytes:
    """Put a profile into a JPEG 2000 file in place of the name of its colours."""
    start = data.index(b"colr") - 4
    box = struct.pack(">I4s3B", 11 + len(icc), b"colr", 2, 0, 0) + icc
    head = data.index(b"jp2h") - 4
    grown = int.from_bytes(data[head : head + 4], "big") + len(box) - 15
    data = data[:start] + box + data[start + 15 :]
    return data[:head] + struct.pack(">I", grown) + data[head + 4 :]


EIGHT = stored(EXACT, 8)
OTHERS = {
    "PNG": lambda icc: encode(EIGHT, icc_profile=icc),
    "JPEG": lambda icc: encode(EIGHT, "JPEG", quality=100, icc_profile=icc),
    "TIFF": lambda icc: tiff(EIGHT, iccprofile=icc),
    "TIFF of 16 bits": lambda icc: tiff(SIXTEEN, iccprofile=icc),
    "TIFF of floats": lambda icc: tiff(EXACT.astype(np.float32), iccprofile=icc),
    "JPEG 2000": lambda icc: in_jp2(encode(EIGHT, "JPEG2000"), icc),
    "JPEG 2000 of 16 bits": lambda icc: in_jp2(encode(SIXTEEN, "JPEG2000"), icc),
    "RGB, PNG": lambda icc: encode(rgb(EIGHT), icc_profile=icc),
    "RGB, PNG of 16 bits": lambda icc: png(SIXTEEN, iccp(icc), kind="RGB"),
    "RGB, JPEG": lambda icc: encode(
        rgb(EIGHT), "JPEG", quality=100, subsampling=0, icc_profile=icc
    ),
    "RGB, WebP": lambda icc: encode(rgb(EIGHT), "WEBP", lossless=True, icc_profile=icc),
    "RGB, TIFF": lambda icc: tiff(rgb(EIGHT), iccprofile=icc),
    "RGB, TIFF of 16 bits": lambda icc: tiff(rgb(SIXTEEN), iccprofile=icc),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_profile_counts_in_other_formats_too(kind):
    """But one of grey counts for nothing where there are colours, as in Chromium."""
    deep = "16" in kind or "floats" in kind
    shown = STRETCHED if deep else np.rint(255 * (EIGHT / 255) ** (1 / 2.2))
    of = OF_COLOURS if "RGB" in kind else ()
    found = read_picture(OTHERS[kind](profile(power(1), *of)))
    assert found.warnings == ()
    # next to black one step of what is stored is many of what is shown
    clear = shown > 60 if "JPEG" in kind else shown >= 0
    off = 3 if kind[-4:] == "JPEG" else 1
    assert np.abs(found.pixels - shown)[clear].max() <= off
    plain = read_picture(OTHERS[kind](profile(power(2.2), *of)))
    assert np.abs(plain.pixels - shown).max() > 40
    assert plain.warnings == ()
    ignored = [b"noise" * 40, *[LINEAR] * ("RGB" in kind)]
    for one in ignored:
        found = read_picture(OTHERS[kind](one))
        assert (found.pixels == plain.pixels).all()
        assert found.warnings == ("tone_ignored",)


@pytest.mark.parametrize("gamma", [1.0, 1.4, 3.0])
def test_curves_agree_with_little_cms(gamma):
    """But for the straight piece of sRGB next to black; our screen has none."""
    ramp = np.linspace(0, 1, 4096)
    of_grey, screen = imagecodecs.cms_profile("gray", gamma=gamma), "srgb"
    theirs = imagecodecs.cms_transform(
        ramp[None].astype(np.float32),  # whole numbers go through a coarse table there
        of_grey,
        imagecodecs.cms_profile(screen),
        colorspace="gray",
        outcolorspace="rgb",
        outdtype="float32",
    )[0, :, 1]
    apart = np.abs(tone.of_profile(of_grey)(ramp) - theirs)
    assert apart.max() < 9 / 255
    assert apart[ramp**gamma > 0.03].max() < 4 / 255
