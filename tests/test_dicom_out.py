"""Answers as DICOM: what is written into a film's study, and what never is."""

import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicoms import SECRET, make
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from pneumonia import ImageError, examples, load_classifier, predict
from pneumonia.__main__ import main
from pneumonia.contract import NOTICE, VERSION

hd = pytest.importorskip("highdicom")
from pneumonia.archive import film as films  # noqa: E402
from pneumonia.archive.folder import KINDS, Folder  # noqa: E402
from pneumonia.archive.lungs import lungs_of  # noqa: E402

XRAYS = [np.asarray(Image.open(one.path).convert("L")) for one in examples()]
CHEST = XRAYS[0]
REFUSED = np.pad(np.full((100, 100), 200, np.uint8), 100, constant_values=60)
STUDY, SERIES, INSTANCE = "1.2.3.4", "1.2.3.4.5", "1.2.3.4.5.6"
WHOSE = {
    **{"PatientName": "Mustermann^Erika", "PatientID": "4711", "PatientSex": "F"},
    **{"PatientBirthDate": "20210203", "StudyDate": "20260102", "StudyTime": "1112"},
    **{"StudyID": "S1", "AccessionNumber": "A1", "StudyDescription": "Thorax"},
    **{"ReferringPhysicianName": "Dr^No", "PatientAge": "005Y"},
}
"""Of patient and study, valid as the standard wants it."""


def film(pixels=CHEST, change=lambda dataset: None, **attributes) -> bytes:
    """Write a film; None leaves an attribute out, `change` spoils what is written."""
    uids = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES}
    said = {"SOPInstanceUID": INSTANCE, "PatientOrientation": ["L", "F"]} | uids | WHOSE
    said |= {"PatientComments": ""} | attributes
    left_out = [name for name, value in said.items() if value is None]
    said = {name: value for name, value in said.items() if value is not None}
    dataset = pydicom.dcmread(io.BytesIO(make(np.ascontiguousarray(pixels), **said)))
    for name in {*left_out} & {*dataset.dir()}:
        del dataset[name]
    file = io.BytesIO()
    with films.quietly():
        change(dataset)
        dataset.save_as(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def alone():
    return load_classifier(threads=1)


@pytest.fixture
def write(alone, tmp_path):
    """Answer a film into a folder, and read what is there then, by its kind."""

    def write(data: bytes, name="film", **asked):
        folder = Folder(tmp_path / "out")
        try:
            answer = predict(alone, data, **asked)
        except ImageError as error:
            answer = error
        folder.keep(alone, (Path(name), Path(name)), data, answer)
        places = folder.places(Path(name))
        return answer, {k: pydicom.dcmread(p) for k, p in places.items() if p.exists()}

    return write


def items(place: Path) -> dict[str, list]:
    """Return what a report says under each name, as strings and numbers."""
    (group,) = hd.sr.srread(place).content.get_image_measurement_groups()
    said: dict[str, list] = {}
    for item in group[0].ContentSequence:
        value = getattr(item.value, "value", item.value)
        said.setdefault(item.name.meaning, []).append(value)
        if item.value_type == hd.sr.ValueTypeValues.NUM:
            assert item.unit.value == "%"
    return said


def test_three_files_join_the_study(write, tmp_path, alone):
    answer, found = write(film())
    kinds = {kind: one.SOPClassUID.keyword for kind, one in found.items()}
    assert kinds == {
        "report": "ComprehensiveSRStorage",
        "heatmap": "SecondaryCaptureImageStorage",
        "lungs": "SegmentationStorage",
    }
    for one in found.values():
        assert {name: str(one[name].value) for name in WHOSE} == WHOSE
        assert (one.StudyInstanceUID, one.SoftwareVersions) == (STUDY, VERSION)
        assert one.DeviceSerialNumber == alone.sha256
        assert "InstitutionName" not in one  # of the equipment, and not of the study
        assert INSTANCE in str(one)  # which film it is of
    uids = {u for x in found.values() for u in (x.SeriesInstanceUID, x.SOPInstanceUID)}
    assert len(uids - {SERIES, INSTANCE}) == 6
    capture, times = found["heatmap"], 3  # it is enlarged for the words
    assert capture.BurnedInAnnotation == "YES"
    big = answer.overlay.repeat(times, axis=0).repeat(times, axis=1)
    assert (capture.pixel_array[: len(big)] == big).all()
    words = capture.pixel_array[len(big) :]
    assert (words == 255).any(axis=(1, 2)).mean() > 0.4
    coded = [
        (kind.CodeValue, kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue)
        for segment in hd.seg.segread(tmp_path / "out/film.lungs.dcm").SegmentSequence
        for kind in segment.SegmentedPropertyTypeCodeSequence
    ]
    assert coded == [("39607008", "24028007"), ("39607008", "7771000")]


@pytest.mark.parametrize(
    ("verdict", "code"),
    [("pneumonia", "233604007"), ("normal", "17621005"), ("uncertain", "82334004")],
)
def test_a_report_says_the_answer_and_what_gave_it(
    verdict, code, write, tmp_path, alone
):
    answers = ((film(pixels), predict(alone, film(pixels))) for pixels in XRAYS)
    data, answer = next(one for one in answers if one[1].verdict == verdict)
    one = write(data)[1]["report"]
    flags = one.CompletionFlag, one.PreliminaryFlag, one.VerificationFlag
    assert flags == ("COMPLETE", "PRELIMINARY", "UNVERIFIED")
    said = items(tmp_path / "out/film.report.dcm")
    assert said["Finding"] == [code]
    assert said["Band of the answer"] == [f"band-{verdict}"]
    numbers = [values for name, values in said.items() if "robability" in name]
    expected = [answer.p_pneumonia, *alone.uncertain_band]
    assert np.allclose(np.ravel(numbers), 100 * np.array(expected), atol=0.01)
    assert said["Comment"][-1] == NOTICE
    assert said["Algorithm Version"] == [VERSION]
    assert alone.sha256 in said["Algorithm Parameters"][0]


@pytest.mark.parametrize("anyway", [False, True])
def test_a_refused_film_gets_a_report_without_an_answer(anyway, write, tmp_path):
    answer, found = write(film(REFUSED), anyway=anyway)
    assert [*found] == ["report"]
    said = items(tmp_path / "out/film.report.dcm")
    assert found["report"].CompletionFlag == "PARTIAL"
    assert said["CAD Processing and Findings Summary"] == ["111245"]
    reason = answer.refused_for[0] if anyway else answer.reason
    assert said["Why there is no answer"] == [reason]
    assert not {"Finding", "Probability of pneumonia"} & said.keys()


def lie(upright, orientation):
    """Store a film, whose rows run to L and columns to F, as others run."""
    row, column = orientation.split("\\")
    stored = upright.T if row in "FH" else upright
    return stored[:: -1 if column in "HR" else 1, :: -1 if row in "HR" else 1]


LIES = ["L\\F", "R\\F", "L\\H", "R\\H", "F\\L", "F\\R", "H\\L", "H\\R"]


@pytest.mark.parametrize("orientation", LIES)
def test_lungs_lie_where_the_film_has_them(orientation, write):
    tall = np.pad(CHEST, ((0, 40), (7, 0)))  # rectangular, and with a border
    stored = lie(tall, orientation)
    said = orientation.split("\\")
    answer, found = write(film(stored, PatientOrientation=said))
    lungs, frames = found["lungs"], found["lungs"].pixel_array
    assert (lungs.Rows, lungs.Columns) == stored.shape
    assert list(lungs.PatientOrientation) == said
    # the finder's mask laid onto the film by other means: nearest, then as it is stored
    rows, columns = (np.arange(n) * 96 // n for n in tall.shape)
    nearest = lie(answer.lungs[np.ix_(rows, columns)] >= 0.5, orientation)
    both = frames.any(axis=0)
    assert (both & nearest).sum() / (both | nearest).sum() > 0.95
    across = lie(np.broadcast_to(np.arange(tall.shape[1]), tall.shape), orientation)
    right, left = (across[frame == 1] for frame in frames)
    assert right.max() < left.min()  # the patient's right, left in an upright picture


def test_lungs_fit_pixels_that_are_not_square_and_turned_films(write):
    _, plain = write(film(), "plain")
    squeezed = film(np.repeat(CHEST, 2, axis=0), PixelSpacing=[0.1, 0.2])
    _, found = write(squeezed, "squeezed")
    expected = plain["lungs"].pixel_array
    assert (found["lungs"].pixel_array[:, ::2] == expected).mean() > 0.99
    lying = film(np.rot90(CHEST), PatientOrientation=None)
    answer, found = write(lying, "turned", upright=True)
    assert answer.turned == 270
    turned = np.rot90(found["lungs"].pixel_array, -1, axes=(1, 2))
    assert (turned == expected).mean() > 0.99


@pytest.mark.parametrize(
    ("pixels", "said", "sides"),
    [
        (CHEST, {"PatientOrientation": None}, ("left", "right")),
        (CHEST[:, ::-1], {"PatientOrientation": ["R", "F"]}, ("right", "left")),
        (CHEST.T, {"PatientOrientation": ["F", "L"]}, ("upper", "lower")),
    ],
)
def test_sides_are_coded_only_where_the_film_says_which(pixels, said, sides, write):
    doubt = {"ImageLaterality": "L"}  # a chest has both
    _, found = write(film(pixels, **said, **doubt))
    labels = [segment.SegmentLabel for segment in found["lungs"].SegmentSequence]
    assert labels == [f"Lung on the {side} side of the picture" for side in sides]
    assert "Modifier Code" not in str(found["lungs"])
    assert not found["heatmap"].PatientOrientation
    assert not found["lungs"].PatientOrientation


@pytest.mark.parametrize("there", [(0, 1), (0,), (1,), ()])
def test_a_lung_is_on_its_side_or_missing(there):
    lungs = np.zeros((96, 96), np.float32)
    for side in there:
        lungs[20:80, 10 + 45 * side : 40 + 45 * side] = 1
    found = lungs_of(lungs, (200, 300)).any(axis=(1, 2))
    assert [*np.flatnonzero(found)] == [*there]


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (None, "Plain^Ascii"),
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_a_name_stays_byte_for_byte_as_the_film_has_it(charset, name, write):
    data = film(SpecificCharacterSet=charset, PatientName=name)
    before = pydicom.dcmread(io.BytesIO(data)).get_item("PatientName").value
    for one in write(data)[1].values():
        assert one.get_item("PatientName").value == before
        assert str(one.PatientName) == name


def test_odd_and_missing_attributes_are_left_as_they_are(write, capfd):
    odd = {
        **{"PatientName": "x" * 200, "PatientSex": "Male", "StudyDate": "2020-13-45"},
        **{"PatientBirthDate": SECRET, "AccessionNumber": "A" * 40, "StudyTime": "99"},
    }

    def spoil(dataset):
        other = Dataset()
        other.PatientID = "77"
        for name, value in odd.items():
            setattr(dataset, name, value)
        for place in (dataset, other):
            place.private_block(0x11, "ACME", create=True).add_new(1, "LO", "private")
        dataset.OtherPatientIDsSequence = [other]

    data = film(change=spoil, PatientID=None)
    capfd.readouterr()
    _, found = write(data)
    assert capfd.readouterr() == ("", "")  # nobody complains of a value
    assert [*found] == [*KINDS]
    for one in found.values():
        assert {name: str(one.get(name)) for name in odd} == odd
        assert one.PatientID in ("", None)
        assert one.OtherPatientIDsSequence[0].PatientID == "77"
        assert "private" not in str(one)


SAID = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES}


@pytest.mark.parametrize(
    "data",
    [
        make(CHEST, DeflatedExplicitVRLittleEndian, **SAID),
        make(CHEST, JPEG2000Lossless, **SAID),
        make(CHEST, ExplicitVRBigEndian, **SAID),
        make(CHEST, ImplicitVRLittleEndian, preamble=False, **SAID),
        film(NumberOfFrames=1),
        film(SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1"),
        film(SOPInstanceUID="1.2.840.00113.0001"),
    ],
    ids=["deflated", "JPEG 2000", "big endian", "implicit", "one", "DX", "zeros"],
)
def test_every_kind_of_film_gets_all_three(data, write):
    assert [*write(data)[1]] == [*KINDS]


BAD = {
    "study": (film(StudyInstanceUID=None), "no StudyInstanceUID"),
    "series": (film(SeriesInstanceUID=None), "no SeriesInstanceUID"),
    "instance": (film(SOPInstanceUID=None), "no SOPInstanceUID"),
    "no uid": (film(StudyInstanceUID="../../x"), "no StudyInstanceUID"),
    "class": (film(SOPClassUID="1.2.3.99"), "none of the standard's images"),
    "frames": (film(np.stack([CHEST, CHEST])), "holds 2 pictures"),
    "PNG": (examples()[0].path.read_bytes(), "is no DICOM"),
    "CT": (film(Modality="CT"), "computed tomography"),
    "cut": (film()[:20_000], "damaged"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_can_not_be_written_is_said_in_one_line(kind, write, capsys, tmp_path):
    data, said = BAD[kind]
    assert write(data)[1] == {}
    error = capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert re.fullmatch(r"film: no DICOM is written: .*[^.]\.\n", error)
    assert said in error
    assert not any(value in error for value in WHOSE.values())


def test_a_rerun_replaces_and_doubles_nothing(write, tmp_path):
    def uids(found):
        return {kind: one.SOPInstanceUID for kind, one in found.items()}

    assert uids(write(film())[1]) == uids(write(film())[1])
    assert len([*(tmp_path / "out").iterdir()]) == len(KINDS)
    first, other = (
        uids(write(film())[1]),
        uids(write(film(SOPInstanceUID="1.2"), "b")[1]),
    )
    assert not {*first.values()} & {*other.values()}


@pytest.mark.parametrize("content", [b"mine", film()])
def test_no_other_file_is_written_over(content, alone, tmp_path, capsys):
    place = tmp_path / "out" / "film.lungs.dcm"
    place.parent.mkdir()
    place.write_bytes(content)
    answer = predict(alone, film())
    Folder(place.parent).keep(alone, (Path("film"), Path("film")), film(), answer)
    assert place.read_bytes() == content
    assert [*place.parent.iterdir()] == [place]
    assert "is there already" in capsys.readouterr().err


def test_a_full_disk_leaves_nothing_half_written(write, tmp_path, monkeypatch):
    def full(self, *args, **kwargs):
        if self.get("Modality") == "SEG":
            raise OSError(28, "No space left on device")
        return plain(self, *args, **kwargs)

    plain, data = pydicom.Dataset.save_as, film()
    monkeypatch.setattr(pydicom.Dataset, "save_as", full)
    with pytest.raises(RuntimeError, match="No space"):
        write(data)
    assert not (tmp_path / "out").exists()


def test_predict_writes_what_it_is_asked_for(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "films"
    (folder / "ward").mkdir(parents=True)
    (folder / "ward" / "film.dcm").write_bytes(film())
    shutil.copy(examples()[0].path, folder)
    monkeypatch.chdir(folder)
    for _ in range(2):  # the second time, its own files are among those it is given
        main(["predict", ".", "--dicom", str(folder / "answers")])
        said = capsys.readouterr()
        assert "2 files, 0 not answered" in said.err
        assert said.err.count("no DICOM is written") == 1
        assert not any(value in said.err + said.out for value in WHOSE.values())
    answers = {path.name for path in (folder / "answers" / "ward").iterdir()}
    assert answers == {f"film.dcm.{kind}.dcm" for kind in KINDS}


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        (True, "is no folder"),
        (False, r"needs highdicom.*pip install 'pneumonia-xray\[dicom\]'"),
    ],
)
def test_what_stops_all_of_it_is_said_first(installed, said, tmp_path, monkeypatch):
    path, out = tmp_path / "film.dcm", tmp_path / "out"
    path.write_bytes(film())
    out.write_text("mine")
    if not installed:
        for name in [name for name in sys.modules if ".archive" in name]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(SystemExit, match=said):
        main(["predict", str(path), "--dicom", str(out)])


@pytest.fixture(scope="module")
def standard():
    pytest.importorskip("dicom_validator")
    from standard import tables

    return tables({f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("7", "66.4", "88.33")})


LOST = {"LossyImageCompression": "01", "LossyImageCompressionRatio": 8}
LOST |= {"LossyImageCompressionMethod": "ISO_10918_1"}
WRITTEN = [film(), film(REFUSED), film(PatientOrientation=None, **LOST)]


@pytest.mark.differential
@pytest.mark.parametrize("data", WRITTEN, ids=["answered", "refused", "sides unknown"])
def test_others_find_no_error(data, write, standard, tmp_path):
    from dicom_validator.validator.dicom_file_validator import DicomFileValidator

    write(data)
    found = DicomFileValidator(standard).validate(tmp_path / "out")
    assert len(found) == (1 if data == film(REFUSED) else 3)
    assert {path: one.module_errors for path, one in found.items() if one.errors} == {}
    if not shutil.which("dciodvfy"):
        pytest.skip("no dciodvfy (Debian's dicom3tools)")
    for path in found:
        done = subprocess.run(["dciodvfy", path], capture_output=True, text=True)
        assert "Error" not in done.stderr, done.stderr
