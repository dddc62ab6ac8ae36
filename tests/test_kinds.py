"""One picture in many files: the same pixels out of each, or the true reason.

What is expected is the drawing stretched to the whole range, unless a table says
otherwise.
"""

import struct

import numpy as np
import pictures as made
import pytest
from dicoms import LOSS, SYNTAXES, make, shipped
from pictures import DEEP, GREY, STRETCHED, encode, framed, marked, png, rgb, rows, tiff
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset

from pneumonia import ImageError, examples, predict, predict_batch
from pneumonia.reading.image import read_picture
from pneumonia.reading.isolated import read_anywhere
from pneumonia.reading.picture import DOUBTS
from pneumonia.serving.gate import REFUSALS

SIGNED = (DEEP.astype(np.int32) - 2048).astype(np.int16)
CUT_SIGN = (SIGNED & 0xFFF).astype(np.int16)
FLOATS = GREY.astype(np.float32) / 255
EXPOSURE = np.rint(65535 * np.exp(GREY / -255.0 * 4)).astype(np.uint16)
ENTRIES, SHORT = np.arange(4096), np.arange(256)
OPAQUE, CLEAR = np.full_like(DEEP, 65535), np.zeros_like(DEEP)
FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
J2K, RLE = SYNTAXES["JPEG 2000"], SYNTAXES["RLE"]
TWELVE = {"BitsStored": 12, "HighBit": 11}
INVERTED = {"PhotometricInterpretation": "MONOCHROME1"}
WINDOW = {"WindowCenter": "2048", "WindowWidth": "4096"}
COLOURS = {"SamplesPerPixel": 3}
FRAMED, UNMARKED = made.by_range(framed(GREY / 1.0, np.nan)), marked(STRETCHED, np.nan)


def overlaid() -> np.ndarray:
    planes = np.zeros_like(DEEP)
    planes[60:120, 50:90] = planes[::37] = 1
    return DEEP | planes << 12


def processing(pixels: np.ndarray, **attributes) -> bytes:
    intent = {"SOPClassUID": FOR_PROCESSING, "PresentationIntentType": "FOR PROCESSING"}
    linear = {"PixelIntensityRelationship": "LIN", "PixelIntensityRelationshipSign": 1}
    return make(pixels, **(intent | linear | attributes))


def windowed(center, width, pixels: np.ndarray = DEEP, **attributes) -> bytes:
    return make(pixels, WindowCenter=center, WindowWidth=width, **attributes)


def padded(pixels: np.ndarray, value: int, kind: str = "US", **attributes) -> bytes:
    stored = struct.pack("<h" if value < 0 else "<H", value)
    return made.raw("PixelPaddingValue", stored, kind)(make(pixels, **attributes))


def shaped(pixels: np.ndarray, *entries: Dataset, **attributes) -> bytes:
    return make(pixels, PresentationLUTSequence=[*entries], **attributes)


def voi(pixels: np.ndarray, *entries: Dataset, **attributes) -> bytes:
    return make(pixels, VOILUTSequence=[*entries], **attributes)


def without_meta() -> bytes:
    """Return what old archives wrote: no file meta information at all."""
    data = make(DEEP, SYNTAXES["implicit"])
    return data[144 + int.from_bytes(data[140:144], "little") :]


BARE = {
    f"{name}, no preamble": make(DEEP, SYNTAXES[name])[132:]
    for name in ("implicit", "explicit", "big endian")
}
FRAMES = {
    f"frames, {name}": make(np.stack([DEEP, DEEP[::-1], DEEP // 2]), SYNTAXES[name])
    for name in ("explicit", "JPEG 2000", "RLE")
}
BITS = {
    "12 bits": make(DEEP, **TWELVE),
    "overlays above 12 bits": make(overlaid(), **TWELVE),
    "overlays, RLE": make(overlaid(), RLE, **TWELVE),
    "overlays, JPEG 2000": make(overlaid(), J2K, **TWELVE),
    "the highest 12 of 16 bits": make(DEEP * 16 + 5, BitsStored=12, HighBit=15),
    "a HighBit that is not so": make(DEEP, BitsStored=12, HighBit=15),
    "signed": make(SIGNED),
    "12 signed bits without their sign above": make(CUT_SIGN, **TWELVE),
    "no BitsStored": make(DEEP, BitsStored=None, HighBit=None),
    "no PixelRepresentation": make(DEEP, PixelRepresentation=None),
    "BitsStored of an unknown type": make(DEEP).replace(b"\x28\0\1\1US", b"(\0\1\1QS"),
    "no file meta information": without_meta(),
    "modality DX": make(DEEP, Modality="DX"),
    "modality DR": make(DEEP, Modality="DR"),
    "modality RG": make(DEEP, Modality="RG"),
    "no modality, but a SOP class": make(DEEP, Modality=None),
    "from the front": make(DEEP, ViewPosition="PA"),
    "RGB of 16 bits": make(rgb(DEEP), **COLOURS),
    "RGB of 12 bits, plane by plane, with others above": make(
        rgb(overlaid()), PlanarConfiguration=1, **COLOURS, **TWELVE
    ),
    "RGB of 16 bits, RLE": make(rgb(DEEP), RLE, **COLOURS),
}
WINDOWS = {
    "empty window": windowed("", ""),
    "one width for two centers": windowed(["2048", "1000"], "4096"),
    "of several windows the first": windowed(["2048", "99"], ["4096", "5"]),
    "MONOCHROME1": make(4095 - DEEP, **INVERTED),
    "monochrome1": made.raw("PhotometricInterpretation", b"monochrome1", "CS")(
        make(4095 - DEEP, PhotometricInterpretation=None)
    ),
    "MONOCHROME2, INVERSE": make(4095 - DEEP, PresentationLUTShape="INVERSE"),
    "both": make(4095 - DEEP, PresentationLUTShape="INVERSE", **INVERTED),
    "negative slope": make(4095 - DEEP, RescaleSlope="-1", RescaleIntercept="4095"),
    "empty slope": make(DEEP, RescaleSlope="", RescaleIntercept=""),
    "slope with a comma": made.raw("RescaleSlope", b"-1,0", "LO")(make(4095 - DEEP)),
    "empty padding": made.raw("PixelPaddingValue", b"", "US")(make(DEEP)),
    "of its class, but for presentation": make(
        DEEP,
        SOPClassUID=FOR_PROCESSING,
        PresentationIntentType="FOR PRESENTATION",
        PixelIntensityRelationship="LIN",
    ),
}
NEARLY = {
    "a small slope": make(DEEP, RescaleSlope="0.01", RescaleIntercept="-3.5"),
    "table, signed pixels": voi(SIGNED, made.table(-2048, ENTRIES), **TWELVE),
    "the same, its first value written without its sign": voi(
        SIGNED, made.table(63488, ENTRIES), **TWELVE
    ),
    "falling table": voi(4095 - DEEP, made.table(0, ENTRIES[::-1] * 8), **TWELVE),
    "table of presentation": shaped(DEEP, made.table(0, ENTRIES * 16), **WINDOW),
    "the same, falling": shaped(4095 - DEEP, made.table(0, ENTRIES[::-1])),
}
IGNORED_WINDOWS = {
    "0/0 before a good window": windowed(["0", "2048"], ["0", "4096"]),
    "window of 8 bits": windowed("128", "256"),
    "window 1/1": windowed("1", "1"),
    "window of no width": windowed("1600", "0"),
    "window that shows nothing": windowed("-9000", "5"),
    "window that is no number": made.raw("WindowWidth", b"wide", "DS")(
        made.raw("WindowCenter", b"2048", "DS")(make(DEEP))
    ),
    "table of too few entries": voi(DEEP, made.table(0, np.arange(2))),
    "table of presentation without entries": shaped(DEEP, Dataset()),
}
DIM = make(marked(DEEP // 4, 4095), **TWELVE)
NAMELESS = make(DEEP, Modality="", SOPClassUID="1.2.3")
ASSUMED = {
    "slope 0": make(DEEP, RescaleSlope="0", RescaleIntercept="0"),
    "no PhotometricInterpretation": make(DEEP, PhotometricInterpretation=None),
    "no SamplesPerPixel": make(DEEP, SamplesPerPixel=None),
}
PADDED = {
    "padding": make(framed(DEEP, 65535), PixelPaddingValue=65535),
    "padding without its sign": padded(framed(SIGNED, -32768), 32768),
    "padding of all 16 bits": padded(framed(DEEP, 65535), 65535, **TWELVE),
    "padding, 16 bits, signed": padded(framed(DEEP, 62536), -3000, "SS", **TWELVE),
    "padding, 12 bits, signed": padded(framed(CUT_SIGN, 0x0FFF), -1, "SS", **TWELVE),
    "padding up to a limit": made.raw("PixelPaddingRangeLimit", b"\xe8\xfd", "US")(
        padded(framed(framed(DEEP, 65535), 65100, rows=4), 65535)
    ),
    "padding, floats": made.floats(framed(FLOATS, -1e30), FloatPixelPaddingValue=-1e30),
    "padding of floats up to a limit": made.floats(
        framed(framed(FLOATS, 1e30), 2e30, rows=4),
        FloatPixelPaddingValue=2e30,
        FloatPixelPaddingRangeLimit=1e30,
    ),
    "padding of floats of 64 bits": made.floats(
        framed(FLOATS.astype(np.float64), -1e99), DoubleFloatPixelPaddingValue=-1e99
    ),
    "NaN padding": made.floats(framed(FLOATS, np.nan), FloatPixelPaddingValue=np.nan),
    "padding and a falling table of presentation": shaped(
        framed(4095 - DEEP, 0),
        made.table(0, ENTRIES[::-1]),
        PixelPaddingValue=0,
    ),
    "TIFF, float64 with NaN": tiff(framed(GREY / 255.0, np.nan)),
}
OUTLIERS = {
    "a marker at 65535": make(marked(DEEP, 65535)),
    "a pixel at -32768": make(marked(SIGNED, -32768)),
    "window, no function": make(marked(DEEP, 65535), VOILUTFunction="", **WINDOW),
    "window, function FOO": make(marked(DEEP, 65535), VOILUTFunction="FOO", **WINDOW),
    "PNG, marker at 65535": png(marked(DEEP, 65535), 0),
    "TIFF, marker at 65535": tiff(marked(DEEP, 65535)),
}
FALLING = {"PixelIntensityRelationshipSign": -1}
LOG = {"PixelIntensityRelationship": "LOG"}
UNPROCESSED = {
    "linear in the exposure": processing(EXPOSURE),
    "linear, by its class alone": processing(EXPOSURE, PresentationIntentType=""),
    "linear, no sign": processing(EXPOSURE, PixelIntensityRelationshipSign=None),
    "linear, falling": processing(65535 - EXPOSURE, **FALLING),
    "logarithmic, rising": processing(4095 - DEEP, **LOG),
    "the same, no sign": processing(DEEP, PixelIntensityRelationshipSign=None, **LOG),
}
EXACTLY = {"quality": 100, "subsampling": "4:4:4"}
AS_IT_IS = {
    "palette, DICOM": made.palette(SHORT),
    "palette of 16 bits": made.palette(SHORT * 257),
    "palette, falling": made.palette(SHORT[::-1] * 257, 255 - GREY.astype(np.uint16)),
    "palette from 300": made.palette(SHORT, GREY.astype(np.uint16) + 300, first=300),
    "AVIF": encode(GREY, "AVIF", **EXACTLY),
    "PNG, alpha of zeros": encode(np.dstack([GREY, np.zeros_like(GREY)])),
    "PNG, palette with alpha": made.palette_with_alpha(),
    "TIFF, WhiteIsZero": tiff(255 - GREY, photometric=0),
    "TIFF, a thumbnail first": tiff(GREY, before=tiff(GREY[::2, ::2], reduced=1)),
}
SMALL = tiff(GREY[:70, :70] / 255.0, reduced=1)
OTHERS = {
    "PNG, alpha of zeros, 16 bits": png(np.dstack([DEEP, CLEAR]), 4),
    "TIFF, alpha of zeros": tiff(np.dstack([DEEP, CLEAR]), extra=(2,)),
    "TIFF, CMYK": tiff(np.dstack([rgb(CLEAR), 4095 - DEEP]), photometric=5),
    "TIFF, CMYK, no black": tiff(np.dstack([rgb(65535 - DEEP), CLEAR]), photometric=5),
    "TIFF, float64, a thumbnail first": tiff(GREY / 255.0, before=SMALL),
}
INKS = Image.fromarray(GREY).convert("CMYK")
ROLLED = [Image.fromarray(np.roll(GREY, 40 * n, axis=1)) for n in range(3)]
SEVERAL = {"save_all": True, "append_images": ROLLED[1:]}
MOVING = {kind: encode(ROLLED[0], kind, **SEVERAL) for kind in ("GIF", "TIFF")}
TWO_PAGES = tiff(GREY / 255.0, before=tiff(GREY / 255.0))

KINDS = [
    *(
        case
        for n in made.STORED
        for case in rows({n: made.STORED[n]}, off=LOSS.get(n, 0))
    ),
    *rows(BARE | BITS | WINDOWS | OTHERS),
    *rows(FRAMES | {"TIFF, two pages of floats": TWO_PAGES}, warned=("first_frame",)),
    *rows(NEARLY, off=1),
    *rows(IGNORED_WINDOWS, warned=("window_ignored",)),
    *rows(ASSUMED, warned=("values_assumed",)),
    *rows(PADDED, FRAMED),
    *rows(OUTLIERS, UNMARKED),
    *rows({"4095 over dim pixels": DIM}, UNMARKED, off=1),
    *rows(UNPROCESSED, off=1, warned=("unprocessed",)),
    *rows({"lateral": make(DEEP, ViewPosition="LATERAL")}, warned=("lateral_view",)),
    *rows({"modality unknown": NAMELESS}, warned=("unknown_modality",)),
    *rows(AS_IT_IS, GREY),
    *rows(MOVING, GREY, warned=("first_frame",)),
    *rows({"AVIF, RGB": encode(rgb(GREY), "AVIF", **EXACTLY)}, GREY, off=2),
    *rows({"JPEG": encode(GREY, "JPEG", quality=95)}, GREY, off=12),
    *rows({"JPEG, CMYK": encode(INKS, "JPEG", quality=95)}, GREY, off=20),
]


@pytest.mark.parametrize(("data", "like", "off", "warned", "worker"), KINDS)
def test_the_same_picture_comes_out_of_every_file(data, like, off, warned, worker):
    made.assert_reads(data, like, off, warned, worker)


def test_a_window_clips():
    found = read_picture(windowed("1600", "801"))
    expected = (np.clip(DEEP.astype(float), 1199.5, 1999.5) - 1199.5) * 255 / 800
    assert (found.pixels == np.rint(expected)).all()
    assert (found.pixels == 255).mean() > 0.2
    assert found.warnings == ()  # what it clips is no outlier


FULL = DEEP + np.arange(DEEP.size, dtype=np.uint16).reshape(DEEP.shape) % 16


@pytest.mark.parametrize(
    "data",
    [
        png(rgb(FULL), 2),
        tiff(rgb(FULL)),
        tiff(rgb(FULL), packed=True),
        encode(FULL, "JPEG2000", irreversible=False),
    ],
)
def test_low_bytes_count(data):
    assert (read_picture(data).pixels == read_picture(png(FULL, 0)).pixels).all()


def test_deep_colours_in_jpeg_2000_keep_their_depth_or_are_refused():
    data = make(rgb(FULL), J2K, **COLOURS)
    found = read_picture(data).pixels.astype(int)
    assert np.abs(found - read_picture(png(FULL, 0)).pixels).max() <= 1
    with pytest.raises(ImageError, match="more than 8 bits") as caught:
        read_picture(data[data.index(b"\xff\x4f\xff\x51") :])
    assert caught.value.reason == "unsupported"


def test_transparent_parts_are_black():
    alpha = framed(OPAQUE, 0, rows=40)
    bright = framed(DEEP, 65535, rows=40)
    eight = np.dstack([rgb(framed(GREY, 255, rows=40)), alpha // 257]).astype(np.uint8)
    for data in (
        png(np.dstack([bright, alpha]), 4),
        png(np.dstack([rgb(bright), alpha]), 6),
        encode(eight),
    ):
        assert not read_picture(data).pixels[:40].any()


@pytest.mark.parametrize("shape", [(3, 10), (6, 10), (90, 10)])
def test_what_is_clipped_is_warned_of_unless_it_is_a_trace(shape):
    pixels = DEEP.copy()
    pixels[: shape[0], : shape[1]] = 65535
    found = read_picture(png(pixels, 0))
    trace = np.prod(shape) <= 0.001 * DEEP.size
    assert found.warnings == (() if trace else ("outliers_clipped",))
    assert (found.pixels == STRETCHED)[shape[0] :].all()


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
    assert (found.pixels[rows:] == made.by_range(GREY[rows:])).all()


def test_a_drawing_of_few_shades_keeps_them_all():
    shades = np.array([0, 30_000, 30_100, 65_535], np.uint16)
    drawn = shades[np.arange(256 * 200).reshape(256, 200) // 17 % 4]
    assert {*np.unique(read_picture(png(drawn, 0)).pixels)} == {0, 117, 255}


def test_the_brightest_pixels_before_a_gap_are_kept():
    """Few pixels may be the brightest of the lungs; an outlier begins with a gap."""
    pixels = DEEP // 2
    pixels[200, 10:14] = 2200, 2400, 2600, 2800  # four of 51,200
    expected = read_picture(png(pixels, 0)).pixels
    found = read_picture(png(marked(pixels, 65535), 0)).pixels
    assert (marked(found, 0) == marked(expected, 0)).all()


def test_soft_edges_of_text_do_not_rule_the_scale():
    """Antialiased text has pixels of every value up to its own."""
    pixels = DEEP.copy()
    pixels[20:24, :180] = np.linspace(4100, 65535, 720).reshape(4, 180)
    found = read_picture(png(pixels, 0))
    assert found.warnings == ("outliers_clipped",)
    rest = np.delete(np.abs(found.pixels - STRETCHED), range(20, 24), axis=0)
    assert rest.mean() < 16


HEIC = b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(900)
REFUSED = {
    "unsupported": {
        "number 31337": made.retagged(tiff(GREY / 255.0), 259, 31337),
        "colours as signed": tiff(rgb(SIGNED)),
        "format HEIC": b"\0\0\0\x18ftypheic" + bytes(900),
        "HEIC": HEIC,
        "an unusual form": make(GREY, PhotometricInterpretation="PALETTE COLOR"),
        "unusual kind": make(DEEP, PhotometricInterpretation="FOO"),
        "further processing": processing(DEEP, PixelIntensityRelationship=""),
    },
    "damaged": {
        "incomplete": made.retagged(tiff(rgb(DEEP), planar=2), 259, 5),
        "damaged or incomplete": encode(GREY, "AVIF")[:900],
        "Rows": make(DEEP, Rows=None),
        "BitsAllocated": make(DEEP, BitsAllocated=None),
    },
    "archive": {
        "zip": b"PK\x03\x04" + bytes(500),
        "Unpack": b"PK\x05\x06" + bytes(18),
        "RAR": b"Rar!\x1a\x07\x01\0" + bytes(500),
        "7z": b"7z\xbc\xaf\x27\x1c" + bytes(500),
        "gzip": b"\x1f\x8b\x08" + bytes(500),
        "program": b"MZ\x90\0" + bytes(500),
    },
    "modality": {
        "computed tomography": make(DEEP, Modality="CT"),
        "mammography": make(DEEP, Modality="MG"),
        "panoramic": make(DEEP, Modality="PX"),
        "unspecified": make(DEEP, Modality="OT"),
        "PNG": make(DEEP, Modality="SC"),
        "^[^<]*another modality[^<]*$": made.raw("Modality", b"<script>", "CS")(
            make(DEEP, Modality=None)
        ),
    },
    "no_pixels": {"no picture": make(DEEP, PixelData=None)},
    "no_contrast": {"blank": make(DEEP * 0)},
    "too_small": {"0": make(DEEP, Rows=0)},
    "too_many_pixels": {"smaller": make(DEEP, Rows=60_000, Columns=60_000)},
}


@pytest.mark.parametrize(
    ("reason", "words"), [(one, words) for one in REFUSED for words in REFUSED[one]]
)
def test_what_is_not_read_is_named(reason, words):
    with pytest.raises(ImageError, match=words) as caught:
        read_picture(REFUSED[reason][words])
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("compressed", "plain"),
    [
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),  # signed
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle.dcm"),  # lossless JPEG
    ],
)
def test_what_others_compressed_is_as_it_was(compressed, plain):
    found, expected = (read_anywhere(shipped(name)) for name in (compressed, plain))
    assert (found.pixels == expected.pixels).all()


@pytest.mark.parametrize("panels", [0, 90])
@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_page_around_it_is_refused_or_changes_little(classifier, panels, number):
    """As in a screenshot of a viewer: grey panels, with writing and buttons."""
    xray = Image.open(examples()[number].path).convert("L").resize((300, 300))
    page = Image.new("L", (640, 400), panels)
    pen = ImageDraw.Draw(page)
    for row in range(20, 380, 30):
        pen.text((10, row), "Series 1, image 2", fill=220)
        pen.rectangle((540, row, 620, row + 15), fill=150)
    page.paste(xray, (170, 50))
    plain = predict(classifier, encode(xray), anyway=True)
    (found,) = predict_batch(classifier, [encode(page)])
    if isinstance(found, ImageError):
        assert found.reason in REFUSALS
    else:
        assert found.p_pneumonia == pytest.approx(plain.p_pneumonia, abs=0.15)


def test_doubtful_reading_is_not_blamed_on_the_patient(classifier):
    """A refusal by the gate says first that the file may have been read wrongly."""
    noise = np.random.default_rng(0).integers(0, 4096, (200, 200), dtype=np.uint16)
    doubted = windowed("1", "1", noise)
    for data, reason in ((make(noise), "not_chest_xray"), (doubted, "doubtful")):
        with pytest.raises(ImageError) as caught:
            predict(classifier, data)
        assert caught.value.reason == reason
        assert "anyway" in caught.value.offers
    warned = predict(classifier, doubted, anyway=True).warnings
    assert warned[:2] == ("doubtful", "not_chest_xray")
    assert DOUBTS & set(warned)
