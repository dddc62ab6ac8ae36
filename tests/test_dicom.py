"""DICOM: what its codestreams hold, what its header says, nothing of the patient."""

import contextlib
import functools
import logging
import warnings
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicoms import LOSS, SECRET, SHIPPED, SYNTAXES, burned_out, make, shipped, signed
from pictures import DEEP, GREY, STORED
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import JPEG2000

from pneumonia import ImageError
from pneumonia.data.phantom import draw
from pneumonia.reading.dicom import codecs, deflated, jpeg2000
from pneumonia.reading.dicom import decode as dicom
from pneumonia.reading.dicom import header as headers
from pneumonia.reading.dicom.codestream import Codestream, head_of
from pneumonia.reading.dicom.header import Header
from pneumonia.reading.image import read_picture

J2K, NEAR = SYNTAXES["JPEG 2000"], SYNTAXES["JPEG-LS, near"]
HT, XL = SYNTAXES["HTJ2K, lossy"], SYNTAXES["JPEG XL, lossy"]
TWELVE = {"BitsStored": 12, "HighBit": 11}
WINDOW = {"WindowCenter": "2048", "WindowWidth": "4096"}
SIGNED_WINDOW = WINDOW | {"WindowCenter": "0"}
CODED = [name for name in SYNTAXES if "J" in name]
KEPT = {"level": 0, "reversible": True, "codecformat": "J2K"}


def refusal(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        read_picture(data)
    return caught.value.reason


def decoded(header: Header, side: int = 1024) -> np.ndarray:
    return dicom._decoded(header, side).raw


def frame(header: Header) -> bytes:
    return get_frame(header.content, 0, number_of_frames=1)


def holding(header: Header, stream: bytes) -> Header:
    """Return the header of the same file with another codestream."""
    (pixels,) = header.pixels
    return replace(header, pixels=(pixels._replace(content=encapsulate([stream])),))


# codestreams


@pytest.mark.parametrize("name", SYNTAXES)
def test_damaged_codestreams_get_a_reason(name):
    data = STORED[name]
    rng = np.random.default_rng(0)
    for at in rng.integers(len(data) - 2000, len(data) - 8, 20):
        broken = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        with contextlib.suppress(ImageError):
            assert read_picture(broken).pixels.shape == GREY.shape


@pytest.mark.parametrize("name", [n for n in SYNTAXES if "JPEG" in n or n == "RLE"])
@pytest.mark.parametrize("kept", [0.3, 0.97])
def test_half_a_codestream_is_no_picture(name, kept):
    header = headers.read(STORED[name])
    stream = frame(header)
    with pytest.raises(ImageError) as caught:
        decoded(holding(header, stream[: int(len(stream) * kept)]))
    assert caught.value.reason == "damaged"


@pytest.mark.parametrize(
    "name", ["JPEG", "JPEG of 12 bits", "lossless JPEG", "JPEG-LS"]
)
def test_a_missing_end_marker_is_no_matter(name):
    header = headers.read(STORED[name])
    stream = frame(header)
    endless = holding(header, stream[: stream.rindex(b"\xff\xd9")])
    assert (decoded(endless) == decoded(header)).all()


@pytest.mark.parametrize("name", CODED)
def test_a_stream_of_another_size_is_refused_before_it_is_decoded(name, monkeypatch):
    wide = np.zeros((80, 97), np.uint8 if name == "JPEG" else np.uint16) + 9
    wide[:, 40] = 77
    data = make(wide, SYNTAXES[name], Columns=96)
    if "XL" not in name:
        fail = lambda *_: pytest.fail("decoded")  # noqa: E731
        monkeypatch.setattr(codecs, "_by_imagecodecs", fail)
    assert refusal(data) == "damaged"


@pytest.mark.parametrize("name", CODED)
def test_what_a_codestream_is_its_content_says(name):
    """Some files name another compression than the one that they hold."""
    header = replace(headers.read(STORED[name]), syntax=SYNTAXES["JPEG"])
    pixels, span = (GREY, 255) if name == "JPEG" else (DEEP, 4095)
    apart = np.abs(decoded(header).astype(int) - pixels).max()
    assert apart <= LOSS.get(name, 0) * span / 255 * 1.5


@pytest.mark.parametrize(
    "name", [n for n in SYNTAXES if n not in ("JPEG of 12 bits", "big endian")]
)
def test_colours_come_back(name):
    """Of big endian their bytes would be swapped in pairs."""
    colours = np.dstack([GREY, GREY // 2, 255 - GREY])
    kind = "YBR_FULL_422" if name == "JPEG" else "RGB"
    asked = {"SamplesPerPixel": 3, "PhotometricInterpretation": kind}
    header = headers.read(deflated.inflated(make(colours, SYNTAXES[name], **asked)))
    apart = np.abs(decoded(header).astype(int) - colours)
    assert apart.max() == 0 or name in LOSS
    assert apart.mean() < 8


def test_run_lengths_that_would_fill_more_than_the_picture_are_refused():
    runs = bytes([129, 7] * 400_000)  # each 128 bytes
    head = np.array([1, 64, *[0] * 14], "<u4").tobytes()
    data = make(GREY, SYNTAXES["RLE"], stream=head + runs)
    assert refusal(data) in ("damaged", "no_contrast")


def test_heads_are_read_or_nothing_is_said():
    for stream in (b"", b"\xff\xd8\xff", b"\xff\x4f\xff\x51\0"):
        assert head_of(stream) is None
    jpeg = imagecodecs.jpeg8_encode(GREY, level=90)
    assert head_of(jpeg) == Codestream("JPEG", 200, 256, 1, 8, lossy=True)
    lossless = imagecodecs.ljpeg_encode(DEEP, bitspersample=12)
    assert head_of(lossless) == Codestream("JPEG", 200, 256, 1, 12)
    close = head_of(imagecodecs.jpegls_encode(DEEP, level=2))
    assert (close.coding, close.near, close.lossy) == ("JPEG-LS", 2, True)
    for at in range(0, len(jpeg), 7):
        head_of(jpeg[:at])


# which bits count, and that white stays white


def jpeg_ls(pixels: np.ndarray, near: int = 0) -> bytes:
    return imagecodecs.jpegls_encode(pixels.view(np.uint16), level=near)


def lossy_2000(pixels: np.ndarray) -> bytes:
    coarse = {"level": 62, "reversible": False, "codecformat": "J2K"}
    return imagecodecs.jpeg2k_encode(pixels, **coarse)


def lossy_htj2k(pixels: np.ndarray) -> bytes:
    return imagecodecs.htj2k_encode(pixels, level=0.0005, reversible=False)


FILM, SIGNED = burned_out(), signed()
OVERSHOT = {
    "JPEG-LS, near": (jpeg_ls(FILM, 3), NEAR, FILM),
    "JPEG-LS, very near": (jpeg_ls(FILM, 30), NEAR, FILM),
    "JPEG-LS, near, signed": (jpeg_ls(SIGNED, 3), NEAR, SIGNED),
    "JPEG 2000": (lossy_2000(FILM), JPEG2000, FILM),
    "JPEG 2000, signed": (lossy_2000(SIGNED), JPEG2000, SIGNED),
    "JPEG 2000, its stream signed": (lossy_2000(FILM.astype(np.int16)), JPEG2000, FILM),
    "HTJ2K": (lossy_htj2k(FILM), HT, FILM),
    "HTJ2K, signed": (lossy_htj2k(SIGNED), HT, SIGNED),
    "JPEG XL": (imagecodecs.jpegxl_encode(FILM, distance=0.3), XL, FILM),
}


@pytest.mark.parametrize("kind", OVERSHOT)
def test_white_does_not_become_black_nor_black_white(kind):
    stream, syntax, pixels = OVERSHOT[kind]
    low, window = (0, WINDOW) if pixels is FILM else (-2048, SIGNED_WINDOW)
    data = make(pixels, syntax, stream=stream, **TWELVE, **window)
    expected = read_picture(make(pixels, **TWELVE, **window)).pixels.astype(int)
    assert np.abs(read_picture(data).pixels - expected).max() < 40
    raw = decoded(headers.read(data))
    if "very" not in kind:  # or this tries nothing
        raw = raw.astype(int) if pixels is FILM else raw.view(np.int16)
        assert raw.max() > low + 4095 or raw.min() < low


def test_a_lossy_codec_keeps_overlays_out_all_the_same():
    """What lies far beyond the range is no overshoot."""
    planes = np.zeros_like(DEEP)
    planes[60:120, 50:90] = 1
    data = make(DEEP | planes << 15, SYNTAXES["HTJ2K, lossy"], **TWELVE, **WINDOW)
    expected = read_picture(make(DEEP, **TWELVE, **WINDOW)).pixels.astype(int)
    apart = np.abs(read_picture(data).pixels - expected)
    assert apart[70:110, 60:80].max() < 20


WHOLE_CELLS = {
    "lossless JPEG": lambda cells: imagecodecs.ljpeg_encode(
        cells.view(np.uint16), bitspersample=16
    ),
    "JPEG-LS": jpeg_ls,
    "JPEG 2000": lambda cells: imagecodecs.jpeg2k_encode(cells, **KEPT),
}


@pytest.mark.parametrize("name", [*WHOLE_CELLS, "RLE"])
@pytest.mark.parametrize("pixels", [DEEP, SIGNED])
@pytest.mark.parametrize("high", [11, 13, 15])
def test_high_bit_counts_where_whole_cells_were_coded(name, pixels, high):
    cells = pixels << (high - 11)
    window = WINDOW if pixels is DEEP else SIGNED_WINDOW
    said = {"BitsStored": 12, "HighBit": high} | window
    stream = WHOLE_CELLS[name](cells) if name in WHOLE_CELLS else None
    data = make(cells, SYNTAXES[name], stream=stream, **said)
    expected = read_picture(make(pixels, **TWELVE, **window)).pixels
    for one in (data, make(cells, **said)):
        assert (read_picture(one).pixels == expected).all()


@pytest.mark.parametrize(
    ("syntax", "stream"),
    [
        (J2K, imagecodecs.jpeg2k_encode(SIGNED, bitspersample=12, **KEPT)),
        (
            SYNTAXES["lossless JPEG, SV1"],
            imagecodecs.ljpeg_encode(SIGNED.view(np.uint16) & 0xFFF, bitspersample=12),
        ),
    ],
)
def test_high_bit_does_not_count_where_the_codec_was_given_fewer_bits(syntax, stream):
    said = {"BitsStored": 12, "HighBit": 15} | SIGNED_WINDOW
    expected = read_picture(make(SIGNED, **TWELVE, **SIGNED_WINDOW)).pixels
    found = read_picture(make(SIGNED, syntax, stream=stream, **said)).pixels
    assert (found == expected).all()


@pytest.mark.parametrize("said", [0, 255, 65535])
def test_a_codestream_is_read_whatever_the_file_says_of_its_memory(said):
    found, plain = (
        read_picture(make(GREY, SYNTAXES["JPEG"], BitsAllocated=bits)).pixels
        for bits in (said, 8)
    )
    assert (found == plain).all()
    colours = np.dstack([GREY, GREY // 2, 255 - GREY])
    asked = {"SamplesPerPixel": 3, "BitsAllocated": said}
    assert np.ptp(read_picture(make(colours, J2K, **asked)).pixels) > 100


# JPEG 2000, no finer than it is looked at


@functools.cache
def large(noise: int = 40) -> np.ndarray:
    """Draw a chest of 2101 x 2500 pixels and 12 bits, with a white plate and a hole."""
    pixels = draw(3, size=2500)[:2101].astype(np.int32) * 16
    pixels += np.random.default_rng(0).integers(-noise, noise + 1, pixels.shape)
    pixels = np.clip(pixels, 0, 4095).astype(np.uint16)
    pixels[100:300, 100:400] = 4095
    pixels[180:220, 200:300] = 0
    return pixels


def coarse(header: Header, side: int) -> np.ndarray | None:
    stream = frame(header)
    return jpeg2000.coarse(header, stream, head_of(stream), side)


@pytest.mark.parametrize("syntax", [JPEG2000, J2K])
def test_large_jpeg_2000_is_decoded_no_finer_than_needed(syntax, monkeypatch):
    data = bytearray(make(large(), syntax, **TWELVE))
    whole = read_picture(make(large(), **TWELVE)).pixels.astype(int)
    in_full = "pneumonia.reading.dicom.codecs._by_imagecodecs"
    monkeypatch.setattr(in_full, lambda *_: pytest.fail("in full"))
    found = read_picture(bytes(data))
    assert found.pixels.shape == whole.shape
    assert found.warnings == ()
    assert np.abs(found.pixels - whole).mean() < 1.5
    assert found.pixels[50:70, 50:80].min() > 200  # no overshoot turns black
    with pytest.raises(pytest.fail.Exception, match="in full"):
        read_picture(bytes(data), sharp=True)  # wants 2048
    at = data.index(b"\xff\x4f\xff\x51") + 8
    data[at : at + 8] = (60_000).to_bytes(4) * 2  # width and height
    assert refusal(bytes(data)) == "damaged"


@pytest.mark.parametrize("said", [{"PixelPaddingValue": 0}, {"PixelRepresentation": 1}])
def test_other_jpeg_2000_is_decoded_in_full(said):
    header = headers.read(make(large(), J2K, **TWELVE, **said))
    assert coarse(header, 1024) is None


def test_jpeg_2000_of_thirteen_bits_keeps_its_numbers():
    name = "J2K_pixelrep_mismatch.dcm"
    dataset = pydicom.dcmread(SHIPPED / name)
    dataset.PixelRepresentation = 0
    whole = pixel_array(dataset, decoding_plugin="pillow").astype(int)
    header = replace(headers.read(shipped(name)), signed=False)
    found = coarse(header, 128)
    averaged = whole.reshape(128, 4, 128, 4).mean(axis=(1, 3))
    assert found.shape == averaged.shape
    # it holds signed numbers, which jump from end to end where unsigned ones are read
    assert np.median(np.abs(found - averaged)) < 0.01 * np.ptp(whole)
    assert coarse(header, 512) is None


def test_a_lossy_wavelet_turns_no_white_black():
    data = make(large(noise=400)[:700, :700], JPEG2000, **TWELVE)
    assert decoded(headers.read(data), 9999).max() > 4095
    assert read_picture(data).pixels[110:170, 110:390].min() > 200


# files

DEEP_FILE = make(DEEP)
UNKNOWN = DEEP_FILE.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0")
DEFLATED = STORED["deflated"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (DEEP_FILE[:5000], "damaged"),
        (UNKNOWN, "unsupported"),
        (DEEP_FILE[:300] + b"1.2.840.10008.1.2.1.99" + bytes(99), "no_pixels"),
        (DEFLATED[:-500], "damaged"),
        (DEFLATED[:-500] + bytes(500), "damaged"),
        (DEFLATED.replace(b"\2\0\0\0UL", b"\2\0\1\0UL"), "unsupported"),
    ],
)
def test_broken_files_get_a_reason(data, reason):
    assert refusal(data) == reason


def test_a_file_that_is_compressed_as_a_whole_is_bounded_while_it_unpacks(monkeypatch):
    large = make(np.tile(DEEP, (4, 4)), SYNTAXES["deflated"])
    room = 16 * DEEP.nbytes
    monkeypatch.setattr(deflated, "_MOST_BYTES", room + 2000)
    read_picture(large)
    monkeypatch.setattr(deflated, "_MOST_BYTES", room)
    assert refusal(large) == "too_many_pixels"


def test_no_word_about_the_patient_leaves_the_reader(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    assert SECRET.encode() in DEEP_FILE
    files = [
        DEEP_FILE,
        DEEP_FILE[:-4000],
        DEEP_FILE.replace(b"CR", SECRET[:2].encode()),
        make(DEEP, Modality="CT"),
        STORED["JPEG 2000"][:-3000],
        shipped("MR_small_jpeg_ls_lossless.dcm")[:-800],
        make(DEEP, BitsStored=99),
    ]
    heard = []
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        for data in files:
            try:
                heard.append(repr(read_picture(data).warnings))
            except ImageError as error:
                heard += [str(error), repr(error.__cause__), repr(error.__context__)]
    heard += [str(complaint.message) for complaint in complaints]
    heard += [caplog.text, *capfd.readouterr()]
    assert len(heard) > len(files)
    for part in (SECRET, "Mustermann", "Erika"):
        assert part not in "".join(heard)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.dcm")), ids=lambda p: p.name)
def test_files_of_others_are_read_or_refused(path):
    try:
        assert read_picture(path.read_bytes()).pixels.dtype == np.uint8
    except ImageError as error:
        assert error.reason


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG-lossy.dcm"])
def test_what_others_wrote_in_jpeg_of_12_bits_is_read(name):
    found = read_picture(shipped(name)).pixels
    assert found.shape == (1024, 256)
    assert np.ptp(found) == 255


# the header


@pytest.mark.parametrize(
    ("said", "counts"),
    [(12, 12), (1, 1), (16, 16), (0, 16), (17, 16), (65535, 16), (None, 16)],
)
def test_bits_are_judged_once(said, counts):
    header = headers.read(make(DEEP, BitsStored=said))
    assert (header.allocated, header.stored, header.signed) == (16, counts, False)
    with pytest.raises(FrozenInstanceError):
        header.stored = 8


def test_reading_leaves_bytes_and_header_as_they_were():
    header = headers.read(make(DEEP, BitsStored=0, PhotometricInterpretation=None))
    before = (header.content, header.photometric, header.stored)
    decoded(header)
    assert (header.content, header.photometric, header.stored) == before
    assert header.photometric == "MONOCHROME2"
    assert "values_assumed" in header.warnings


def test_the_header_alone_reads_a_data_set():
    """So that nothing has to be written into one for another reader to read right."""
    for path in Path(headers.__file__).parent.glob("*.py"):
        if path.name not in ("header.py", "attributes.py"):
            code = path.read_text()
            assert "Dataset" not in code, path
            assert "attributes." not in code.replace("attributes.PARSE_ERRORS", "")
