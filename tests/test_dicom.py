"""DICOM in: the right pixels or a reason, and never a word about the patient."""

import contextlib
import logging
import warnings
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicoms import LOSS, SECRET, SHIPPED, SYNTAXES, make, shipped
from pictures import GREY, STRETCHED
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import JPEG2000, JPEG2000Lossless

from pneumonia import ImageError
from pneumonia.data.phantom import draw
from pneumonia.reading.dicom import codecs, deflated, jpeg2000
from pneumonia.reading.dicom import decode as dicom
from pneumonia.reading.dicom import header as headers
from pneumonia.reading.dicom.codestream import head_of
from pneumonia.reading.dicom.header import Header
from pneumonia.reading.image import read_picture
from pneumonia.reading.isolated import read_anywhere

UNKNOWN = b"1.2.840.10008.1.2.9\0"  # no such transfer syntax
TWELVE = np.ascontiguousarray(GREY).astype(np.uint16) * 16


def differs(data: bytes, expected=STRETCHED) -> float:
    return np.abs(read_picture(data).pixels - expected).max()


@pytest.mark.parametrize("name", SYNTAXES)
def test_every_storage_gives_the_same_pixels(name):
    deep = np.ascontiguousarray(GREY) if name == "JPEG" else TWELVE
    assert differs(make(deep, SYNTAXES[name])) <= LOSS.get(name, 0)


@pytest.mark.parametrize(
    ("compressed", "plain"),
    [
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle.dcm"),  # lossless JPEG
    ],
)
def test_what_others_compressed_is_as_it_was(compressed, plain):
    found, expected = (read_anywhere(shipped(name)) for name in (compressed, plain))
    assert (found.pixels == expected.pixels).all()


@pytest.mark.parametrize("name", SYNTAXES)
def test_damaged_codestreams_get_a_reason(name):
    data = make(TWELVE if name != "JPEG" else GREY.copy(), SYNTAXES[name])
    rng = np.random.default_rng(0)
    for at in rng.integers(len(data) - 2000, len(data) - 8, 20):
        broken = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        with contextlib.suppress(ImageError):
            assert read_picture(broken).pixels.shape == GREY.shape
    assert read_picture(data).pixels.shape == GREY.shape


def frame(header: Header) -> bytes:
    return get_frame(header.content, 0, number_of_frames=1)


def holding(header: Header, stream: bytes) -> Header:
    """Return the header of the same file with another codestream."""
    (pixels,) = header.pixels
    return replace(header, pixels=(pixels._replace(content=encapsulate([stream])),))


@pytest.mark.parametrize("name", [n for n in SYNTAXES if "JPEG" in n or n == "RLE"])
@pytest.mark.parametrize("kept", [0.3, 0.97])
def test_half_a_codestream_is_no_picture(name, kept):
    header = headers.read(
        make(TWELVE if name != "JPEG" else GREY.copy(), SYNTAXES[name])
    )
    stream = frame(header)
    with pytest.raises(ImageError) as caught:
        dicom._decoded(holding(header, stream[: int(len(stream) * kept)]), 1024)
    assert caught.value.reason == "damaged"


@pytest.mark.parametrize(
    "name", ["JPEG", "JPEG of 12 bits", "lossless JPEG", "JPEG-LS"]
)
def test_a_missing_end_marker_is_no_matter(name):
    data = make(TWELVE if name != "JPEG" else GREY.copy(), SYNTAXES[name])
    header = headers.read(data)
    expected = dicom._decoded(header, 1024).raw
    stream = frame(header)
    endless = holding(header, stream[: stream.rindex(b"\xff\xd9")])
    assert (dicom._decoded(endless, 1024).raw == expected).all()


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG-lossy.dcm"])
def test_what_others_wrote_in_jpeg_of_12_bits_is_read(name):
    found = read_picture(shipped(name)).pixels
    assert found.shape == (1024, 256)
    assert np.ptp(found) == 255


@pytest.mark.parametrize("name", ["implicit", "explicit", "big endian"])
def test_a_missing_preamble_is_no_matter(name):
    data = make(TWELVE, SYNTAXES[name])
    meta_length = int.from_bytes(data[140:144], "little")
    assert differs(data[132:]) == 0
    if name == "implicit":  # what old archives wrote: no file meta information at all
        assert differs(data[144 + meta_length :]) == 0


def test_twelve_stored_bits_signed_and_float_pixels():
    assert differs(make(TWELVE, BitsStored=12, HighBit=11)) == 0
    assert differs(make(TWELVE.astype(np.int16) - 2000)) == 0
    data = make(TWELVE, RescaleSlope="0.01", RescaleIntercept="-3.5")
    assert differs(data) <= 1


def test_monochrome1_is_inverted():
    data = make(TWELVE.max() - TWELVE, PhotometricInterpretation="MONOCHROME1")
    assert differs(data) == 0


def test_window_is_applied_and_an_impossible_one_ignored():
    window = {"WindowCenter": "1600", "WindowWidth": "801"}
    clipped = np.clip(TWELVE.astype(float), 1199.5, 1999.5)
    expected = (clipped - 1199.5) * 255 / 800
    assert differs(make(TWELVE, **window), expected) <= 1
    assert differs(make(TWELVE, WindowCenter="1600", WindowWidth="0")) == 0
    assert differs(make(TWELVE, WindowCenter="-9000", WindowWidth="5")) == 0


def test_of_several_windows_the_first_is_taken():
    one = make(TWELVE, WindowCenter="1600", WindowWidth="800")
    two = make(TWELVE, WindowCenter=["1600", "99"], WindowWidth=["800", "5"])
    assert (read_picture(one).pixels == read_picture(two).pixels).all()


def test_voi_table_is_applied():
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.LUTData = (np.arange(4096, dtype=np.uint16)[::-1] * 8).tobytes()
    table["LUTData"].VR = "OW"
    data = make(TWELVE, VOILUTSequence=[table], BitsStored=12, HighBit=11)
    assert differs(data, 255 - STRETCHED) <= 1


def test_padding_does_not_squeeze_the_range():
    padded = TWELVE.copy()
    padded[:30] = 65535
    pixels = read_picture(make(padded, PixelPaddingValue=65535)).pixels
    assert not pixels[:30].any()
    assert pixels[30:].max() == 255


def large(noise: int = 40) -> np.ndarray:
    """Draw a chest of 2101 x 2500 pixels and 12 bits, with a white plate and a hole."""
    pixels = draw(3, size=2500)[:2101].astype(np.int32) * 16
    pixels += np.random.default_rng(0).integers(-noise, noise + 1, pixels.shape)
    pixels = np.clip(pixels, 0, 4095).astype(np.uint16)
    pixels[100:300, 100:400] = 4095
    pixels[180:220, 200:300] = 0
    return pixels


@pytest.mark.parametrize("syntax", [JPEG2000, JPEG2000Lossless])
def test_large_jpeg_2000_is_decoded_no_finer_than_needed(syntax, monkeypatch):
    data = make(large(), syntax, BitsStored=12, HighBit=11)
    whole = read_picture(make(large(), BitsStored=12, HighBit=11)).pixels.astype(int)
    in_full = "pneumonia.reading.dicom.codecs._by_imagecodecs"
    monkeypatch.setattr(in_full, lambda *_: pytest.fail("in full"))
    found = read_picture(data)
    assert found.pixels.shape == whole.shape
    assert found.warnings == ()
    assert np.abs(found.pixels - whole).mean() < 1.5
    assert found.pixels[50:70, 50:80].min() > 200  # no overshoot turns black
    with pytest.raises(pytest.fail.Exception, match="in full"):
        read_picture(data, sharp=True)  # wants 2048


def coarse(header: Header, side: int):
    stream = frame(header)
    return jpeg2000.coarse(header, stream, head_of(stream), side)


@pytest.mark.parametrize(
    "attributes", [{"PixelPaddingValue": 0}, {"PixelRepresentation": 1}]
)
def test_other_jpeg_2000_is_decoded_in_full(attributes):
    stored = {"BitsStored": 12, "HighBit": 11} | attributes
    header = headers.read(make(large(), JPEG2000Lossless, **stored))
    assert coarse(header, 1024) is None
    assert coarse(header, 3000) is None


def test_jpeg_2000_that_claims_to_be_huge_is_refused():
    data = bytearray(make(large(), JPEG2000Lossless))
    at = data.index(b"\xff\x4f\xff\x51") + 8
    data[at : at + 8] = (60_000).to_bytes(4) * 2  # width and height
    with pytest.raises(ImageError) as caught:
        read_picture(bytes(data))
    assert caught.value.reason == "damaged"


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
    pixels = large(noise=400)[:700, :700]
    data = make(pixels, JPEG2000, BitsStored=12, HighBit=11)
    decoded = codecs.decode(headers.read(data), 9999)
    assert decoded.raw.max() > 4095
    assert read_picture(data).pixels[110:170, 110:390].min() > 200


def test_of_several_frames_the_first_is_read_with_a_warning():
    frames = np.stack([TWELVE, TWELVE[::-1], TWELVE // 2])
    for name in ("explicit", "JPEG 2000", "RLE"):
        data = make(frames, SYNTAXES[name])
        assert differs(data) == 0
        assert read_picture(data).warnings == ("first_frame",)


@pytest.mark.parametrize(
    ("attributes", "warning"),
    [
        ({"Modality": "DX"}, ()),
        ({"Modality": "RG"}, ()),
        ({"Modality": None}, ()),  # the SOP class says what it is
        ({"Modality": "", "SOPClassUID": "1.2.3"}, ("unknown_modality",)),
        ({"ViewPosition": "LATERAL"}, ("lateral_view",)),
        ({"ViewPosition": "PA"}, ()),
    ],
)
def test_plain_radiographs_are_read(attributes, warning):
    assert read_picture(make(TWELVE, **attributes)).warnings == warning


@pytest.mark.parametrize(
    ("modality", "word"),
    [
        ("CT", "computed tomography"),
        ("MG", "mammography"),
        ("PX", "panoramic"),
        ("OT", "unspecified"),
        ("<script>", "another modality"),
    ],
)
def test_other_modalities_are_refused_by_name(modality, word):
    with pytest.raises(ImageError, match=word) as caught:
        read_picture(make(TWELVE, Modality=modality))
    assert caught.value.reason == "modality"
    assert "<" not in str(caught.value)


DEFLATED = make(TWELVE, SYNTAXES["deflated"])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (make(TWELVE, PixelData=None), "no_pixels"),
        (make(TWELVE)[:5000], "damaged"),
        (bytes(128) + b"DICM" + bytes(300), "no_pixels"),
        (make(TWELVE, Rows=60_000, Columns=60_000), "too_many_pixels"),
        (make(TWELVE, Rows=0), "too_small"),
        (make(TWELVE, Rows=None), "damaged"),
        (make(TWELVE, PhotometricInterpretation="PALETTE COLOR"), "unsupported"),
        (make(TWELVE * 0), "no_contrast"),
        (make(TWELVE).replace(b"1.2.840.10008.1.2.1\0", UNKNOWN), "unsupported"),
        (make(TWELVE)[:300] + b"1.2.840.10008.1.2.1.99" + bytes(99), "no_pixels"),
        (DEFLATED[:-500], "damaged"),
        (DEFLATED[:-500] + bytes(500), "damaged"),
        (DEFLATED.replace(b"\2\0\0\0UL", b"\2\0\1\0UL"), "unsupported"),
    ],
)
def test_bad_files_get_a_reason(data, reason):
    with pytest.raises(ImageError) as caught:
        read_picture(data)
    assert caught.value.reason == reason


def test_no_word_about_the_patient_leaves_the_reader(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    good = make(TWELVE)
    assert SECRET.encode() in good
    files = [
        good,
        good[:-4000],
        good.replace(b"CR", SECRET[:2].encode()),
        make(TWELVE, Modality="CT"),
        make(TWELVE, SYNTAXES["JPEG 2000"])[:-3000],
        shipped("MR_small_jpeg_ls_lossless.dcm")[:-800],
        make(TWELVE, BitsStored=99),
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


@pytest.mark.parametrize(
    ("said", "counts"),
    [(12, 12), (1, 1), (16, 16), (0, 16), (17, 16), (65535, 16), (None, 16)],
)
def test_bits_are_judged_once(said, counts):
    """What a file says of its bits is a fact of its header, whoever asks."""
    header = headers.read(make(TWELVE, BitsStored=said))
    assert (header.allocated, header.stored, header.signed) == (16, counts, False)
    with pytest.raises(FrozenInstanceError):
        header.stored = 8


@pytest.mark.parametrize("said", [0, 255, 65535])
def test_a_codestream_is_read_whatever_the_file_says_of_its_memory(said):
    pixels = [
        read_picture(make(GREY.copy(), SYNTAXES["JPEG"], BitsAllocated=bits)).pixels
        for bits in (8, said)
    ]
    assert (pixels[0] == pixels[1]).all()
    colours = np.dstack([GREY, GREY // 2, 255 - GREY])
    asked = {"SamplesPerPixel": 3, "BitsAllocated": said}
    assert np.ptp(read_picture(make(colours, JPEG2000Lossless, **asked)).pixels) > 100


def test_the_header_alone_reads_a_data_set():
    """So that nothing has to be written into one for another reader to read right."""
    folder = Path(headers.__file__).parent
    readers = {"header.py", "attributes.py"}
    for path in folder.glob("*.py"):
        if path.name not in readers:
            code = path.read_text()
            assert "Dataset" not in code, path
            assert "attributes." not in code.replace("attributes.PARSE_ERRORS", "")


def test_reading_leaves_bytes_and_header_as_they_were():
    data = make(TWELVE, BitsStored=0, PhotometricInterpretation=None)
    header = headers.read(data)
    before = (header.content, header.photometric, header.stored)
    dicom._decoded(header, 1024)
    assert (header.content, header.photometric, header.stored) == before
    assert header.photometric == "MONOCHROME2"
    assert "values_assumed" in header.warnings


def test_a_file_that_is_compressed_as_a_whole_is_bounded_while_it_unpacks(monkeypatch):
    large = make(np.tile(TWELVE, (4, 4)), SYNTAXES["deflated"])
    room = 16 * TWELVE.nbytes
    monkeypatch.setattr(deflated, "_MOST_BYTES", room + 2000)
    read_picture(large)
    monkeypatch.setattr(deflated, "_MOST_BYTES", room)
    with pytest.raises(ImageError, match="unpacks to more than") as caught:
        read_picture(large)
    assert caught.value.reason == "too_many_pixels"
