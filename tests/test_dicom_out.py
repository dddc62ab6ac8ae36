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
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless

from pneumonia import ImageError, examples, load_classifier, predict
from pneumonia.__main__ import main
from pneumonia.contract import NOTICE, VERSION

hd = pytest.importorskip("highdicom")
from pneumonia.archive import film as films  # noqa: E402
from pneumonia.archive.capture import captioned  # noqa: E402
from pneumonia.archive.folder import KINDS, Folder  # noqa: E402
from pneumonia.archive.lungs import lungs_of  # noqa: E402

CHEST = np.asarray(Image.open(examples()[0].path).convert("L"))
WHOSE = {
    **{"PatientName": "Mustermann^Erika", "PatientID": "4711", "PatientSex": "F"},
    **{"PatientBirthDate": "20210203", "StudyDate": "20260102", "StudyTime": "1112"},
    **{"StudyID": "S1", "AccessionNumber": "A1", "StudyDescription": "Thorax"},
    **{"ReferringPhysicianName": "Dr^No", "PatientAge": "005Y"},
}
"""Of patient and study, valid as the standard wants it."""

UIDS = {
    "StudyInstanceUID": "1.2.3.4",
    "SeriesInstanceUID": "1.2.3.4.5",
    "SOPInstanceUID": "1.2.3.4.5.6",
}
UPRIGHT = {"PatientOrientation": ["L", "F"]}


def film(pixels=CHEST, syntax="1.2.840.10008.1.2.1", **attributes) -> bytes:
    said = {"PatientComments": None, **UIDS, **WHOSE, **UPRIGHT, **attributes}
    made = ("PatientComments", "SOPInstanceUID", "SOPClassUID")  # without being asked
    said = {k: v for k, v in said.items() if v is not None or k in made}
    whole = None not in (said["SOPInstanceUID"], said.get("SOPClassUID", ""))
    return make(np.ascontiguousarray(pixels), syntax, whole, **said)


def changed(data: bytes, change) -> bytes:
    """Write a film once more, after a function has changed it."""
    dataset, file = pydicom.dcmread(io.BytesIO(data)), io.BytesIO()
    change(dataset)
    with films.quietly():
        dataset.save_as(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def alone():
    return load_classifier(threads=1)


@pytest.fixture
def write(alone, tmp_path):
    """Answer a film into a folder, and read what is there then, by its kind."""

    def write(data: bytes, name="film.dcm", **asked):
        folder = Folder(tmp_path / "out")
        try:
            answer = predict(alone, data, **asked)
        except ImageError as error:
            answer = error
        folder.keep(alone, (Path(name), Path(name)), data, answer)
        places = folder.places(Path(name))
        there = {k: place for k, place in places.items() if place.exists()}
        return answer, {k: pydicom.dcmread(place) for k, place in there.items()}

    return write


def test_three_files_join_the_study(write, tmp_path, alone):
    answer, found = write(film())
    assert [*found] == [*KINDS]
    kinds = [one.SOPClassUID.keyword for one in found.values()]
    assert kinds == [
        "ComprehensiveSRStorage",
        "SecondaryCaptureImageStorage",
        "SegmentationStorage",
    ]
    for one in found.values():
        assert {name: str(one[name].value) for name in WHOSE} == WHOSE
        assert one.StudyInstanceUID == UIDS["StudyInstanceUID"]
        assert one.SoftwareVersions == VERSION
        assert one.DeviceSerialNumber == alone.sha256
        assert "InstitutionName" not in one  # of the equipment, and not of the study
        assert UIDS["SOPInstanceUID"] in str(one)  # which film it is of
    own = {str(one[name].value) for one in found.values() for name in [*UIDS][1:]}
    assert len(own) == 6
    capture = found["heatmap"]
    assert capture.BurnedInAnnotation == "YES"
    overlay = captioned(answer.overlay, [])
    height = overlay.shape[0] - round(1.4 * overlay.shape[1] / 40)
    assert (capture.pixel_array[:height] == overlay[:height]).all()
    below = capture.pixel_array[height:]  # words, and more of them than one line's
    assert (below == 255).any(axis=(1, 2)).mean() > 0.4
    segmentation = hd.seg.segread(tmp_path / "out" / "film.dcm.lungs.dcm")
    coded = [
        (
            segment.SegmentedPropertyTypeCodeSequence[0].CodeValue,
            segment.SegmentedPropertyTypeCodeSequence[0]
            .SegmentedPropertyTypeModifierCodeSequence[0]
            .CodeValue,
        )
        for segment in segmentation.SegmentSequence
    ]
    assert coded == [("39607008", "24028007"), ("39607008", "7771000")]


def items(report) -> dict[str, list]:
    """Return what a report says under each name, as strings and numbers."""
    (group,) = report.content.get_image_measurement_groups()
    said: dict[str, list] = {}
    for item in group[0].ContentSequence:
        value = getattr(item.value, "value", item.value)
        if item.value_type == hd.sr.ValueTypeValues.NUM:
            assert item.unit.value == "%"
        said.setdefault(item.name.meaning, []).append(value)
    return said


def test_a_report_says_the_answer_and_what_gave_it(write, tmp_path, alone):
    answer, _ = write(film())
    report = hd.sr.srread(tmp_path / "out" / "film.dcm.report.dcm")
    flags = report.CompletionFlag, report.PreliminaryFlag, report.VerificationFlag
    assert flags == ("COMPLETE", "PRELIMINARY", "UNVERIFIED")
    said = items(report)
    assert said["Finding"] == ["233604007"]
    assert said["Probability of pneumonia"] == [
        pytest.approx(100 * answer.p_pneumonia, abs=0.01)
    ]
    edges = [said[f"{end} probability of pneumonia called uncertain"][0] for end in
             ("Lowest", "Highest")]  # fmt: skip
    assert edges == pytest.approx([100 * edge for edge in alone.uncertain_band], abs=1)
    assert said["Band of the answer"] == ["band-pneumonia"]
    assert said["Comment"][-1] == NOTICE
    assert said["Algorithm Version"] == [VERSION]
    assert alone.sha256 in said["Algorithm Parameters"][0]


@pytest.mark.parametrize("verdict", ["normal", "uncertain"])
def test_a_report_says_every_verdict(verdict, write, tmp_path, alone):
    for shipped in examples():
        data = film(np.asarray(Image.open(shipped.path).convert("L")))
        answer = predict(alone, data)
        if answer.verdict == verdict:
            break
    write(data)
    said = items(hd.sr.srread(tmp_path / "out" / "film.dcm.report.dcm"))
    code = {"normal": "17621005", "uncertain": "82334004"}[verdict]
    assert said["Finding"] == [code]
    assert said["Band of the answer"] == [f"band-{verdict}"]


REFUSED = np.full((300, 300), 60, np.uint8)
REFUSED[100:200, 100:200] = 200


@pytest.mark.parametrize("anyway", [False, True])
def test_a_refused_film_gets_a_report_without_an_answer(anyway, write, tmp_path):
    answer, found = write(film(REFUSED), anyway=anyway)
    assert [*found] == ["report"]
    report = hd.sr.srread(tmp_path / "out" / "film.dcm.report.dcm")
    said = items(report)
    assert report.CompletionFlag == "PARTIAL"
    assert said["CAD Processing and Findings Summary"] == ["111245"]
    reason = answer.refused_for[0] if anyway else answer.reason
    assert said["Why there is no answer"] == [reason]
    assert said["Comment"][0].startswith("No answer.")
    assert not {"Finding", "Probability of pneumonia"} & said.keys()


STORED = {
    "L\\F": lambda upright: upright,
    "R\\F": lambda upright: upright[:, ::-1],
    "L\\H": lambda upright: upright[::-1],
    "R\\H": lambda upright: np.rot90(upright, 2),
    "F\\L": lambda upright: upright.T,
    "F\\R": lambda upright: np.rot90(upright, 1),
    "H\\L": lambda upright: np.rot90(upright, -1),
    "H\\R": lambda upright: np.rot90(upright, 2).T,
}
"""How a film whose rows run to L and columns to F is stored, if they run elsewhere."""


@pytest.mark.parametrize("orientation", STORED)
def test_lungs_lie_where_the_film_has_them(orientation, write):
    tall = np.pad(CHEST, ((0, 40), (7, 0)))  # rectangular, and with a border
    stored = STORED[orientation](tall)
    said = {"PatientOrientation": orientation.split("\\")}
    answer, found = write(film(stored, **said))
    assert answer.pixels.shape == tall.shape
    lungs = found["lungs"]
    assert (lungs.Rows, lungs.Columns) == stored.shape
    assert list(lungs.PatientOrientation) == said["PatientOrientation"]
    # the finder's mask laid onto the film by other means: nearest, then as it is stored
    rows, columns = (np.arange(n) * 96 // n for n in tall.shape)
    nearest = STORED[orientation](answer.lungs[np.ix_(rows, columns)] >= 0.5)
    frames = lungs.pixel_array
    both = frames.any(axis=0)
    assert (both & nearest).sum() / (both | nearest).sum() > 0.95
    assert not (frames[0] & frames[1]).any()
    across = STORED[orientation](np.broadcast_to(np.arange(tall.shape[1]), tall.shape))
    right, left = (across[frame == 1] for frame in frames)
    assert right.max() < left.min()  # the patient's right, left in an upright picture


def test_lungs_fit_pixels_that_are_not_square_and_turned_films(write, alone):
    squeezed = np.repeat(CHEST, 2, axis=0)
    _, plain = write(film(), "plain.dcm")
    _, found = write(film(squeezed, PixelSpacing=[0.1, 0.2]), "squeezed.dcm")
    a, b = plain["lungs"].pixel_array, found["lungs"].pixel_array
    assert b.shape[1:] == squeezed.shape
    assert (a == b[:, ::2]).mean() > 0.99
    answer, found = write(
        film(np.rot90(CHEST), PatientOrientation=None), "turned.dcm", upright=True
    )
    assert answer.turned == 270
    assert (np.rot90(found["lungs"].pixel_array, -1, axes=(1, 2)) == a).mean() > 0.99


def test_sides_are_coded_only_where_the_film_says_which(write):
    _, found = write(film(PatientOrientation=None))
    labels = [segment.SegmentLabel for segment in found["lungs"].SegmentSequence]
    assert labels == [
        f"Lung on the {side} of the picture" for side in ("left", "right")
    ]
    assert "SegmentedPropertyTypeModifierCodeSequence" not in str(found["lungs"])
    assert found["heatmap"].PatientOrientation in ("", None)


@pytest.mark.parametrize(
    "there", [(0, 1), (0,), (1,), ()], ids=["both", "left", "right", "none"]
)
def test_a_lung_is_on_its_side_or_missing(there):
    lungs = np.zeros((96, 96), np.float32)
    for side in there:
        lungs[20:80, 10 + 45 * side : 40 + 45 * side] = 1
    assert [*lungs_of(lungs, (200, 300)).any(axis=(1, 2)).nonzero()[0]] == [*there]


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
    def rename(dataset):
        if charset:
            dataset.SpecificCharacterSet = charset
        dataset.PatientName = name

    data = changed(film(), rename)
    before = pydicom.dcmread(io.BytesIO(data))
    for one in write(data)[1].values():
        raw = [dataset.get_item("PatientName").value for dataset in (one, before)]
        assert raw[0] == raw[1]
        assert str(one.PatientName) == name


def test_odd_and_missing_attributes_are_left_as_they_are(write, capfd):
    odd = {
        **{"PatientName": "x" * 200, "PatientSex": "Male", "StudyDate": "2020-13-45"},
        **{"PatientBirthDate": SECRET, "AccessionNumber": "A" * 40, "StudyTime": "99"},
    }

    def spoil(dataset):
        for name, value in odd.items():
            setattr(dataset, name, value)
        del dataset.PatientID, dataset.PatientAge
        other = Dataset()
        other.PatientID = "77"
        for place in (dataset, other):
            place.private_block(0x11, "ACME", create=True).add_new(1, "LO", "private")
        dataset.OtherPatientIDsSequence = [other]

    with films.quietly():
        dataset = pydicom.dcmread(io.BytesIO(film()))
        spoil(dataset)
        file = io.BytesIO()
        dataset.save_as(file)
    capfd.readouterr()
    _, found = write(file.getvalue())
    assert capfd.readouterr() == ("", "")  # nobody complains of a value
    assert [*found] == [*KINDS]
    for one in found.values():
        assert {name: str(one.get(name)) for name in odd} == odd
        assert not one.PatientID
        assert one.OtherPatientIDsSequence[0].PatientID == "77"
        assert "private" not in str(one)


@pytest.mark.parametrize(
    "data",
    [
        film(syntax=DeflatedExplicitVRLittleEndian),
        film(syntax=JPEG2000Lossless),
        film(NumberOfFrames=1),
        film(SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1"),
    ],
    ids=["deflated", "JPEG 2000", "one frame", "DX"],
)
def test_every_kind_of_film_gets_all_three(data, write):
    assert [*write(data)[1]] == [*KINDS]


BAD = {
    "study": (film(StudyInstanceUID=None), "no StudyInstanceUID"),
    "series": (film(SeriesInstanceUID=None), "no SeriesInstanceUID"),
    "instance": (film(SOPInstanceUID=None), "no SOPInstanceUID"),
    "class": (film(SOPClassUID=None), "no SOPClassUID"),
    "no uid": (film(StudyInstanceUID="../../x"), "no StudyInstanceUID"),
    "private class": (film(SOPClassUID="1.2.3.99"), "none of the standard"),
    "frames": (film(np.stack([CHEST, CHEST])), "holds 2 pictures"),
    "PNG": (examples()[0].path.read_bytes(), "is no DICOM"),
    "CT": (film(Modality="CT"), "computed tomography"),
    "cut": (film()[:20_000], "damaged"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_can_not_be_written_is_said_in_one_line(kind, write, capsys, tmp_path):
    data, said = BAD[kind]
    _, found = write(data)
    error = capsys.readouterr().err
    assert found == {}
    assert not (tmp_path / "out").exists()
    assert re.fullmatch(r"film\.dcm: no DICOM is written: .*\.\n", error)
    assert said in error
    assert SECRET not in error and "4711" not in error


def test_a_rerun_replaces_and_doubles_nothing(write, tmp_path):
    _, first = write(film())
    _, again = write(film())
    assert {k: one.SOPInstanceUID for k, one in first.items()} == {
        k: one.SOPInstanceUID for k, one in again.items()
    }
    assert len([*(tmp_path / "out").iterdir()]) == len(KINDS)
    _, other = write(film(SOPInstanceUID="1.2.9"), "other.dcm")
    uids = {one.SOPInstanceUID for one in [*first.values(), *other.values()]}
    assert len(uids) == 2 * len(KINDS)


@pytest.mark.parametrize("content", [b"mine", film(SOPInstanceUID="1.2.9")])
def test_no_other_file_is_written_over(content, alone, tmp_path, capsys):
    place = tmp_path / "out" / "film.dcm.heatmap.dcm"
    place.parent.mkdir()
    place.write_bytes(content)
    folder, data = Folder(place.parent), film()
    folder.keep(alone, (Path("film.dcm"), Path("film.dcm")), data, predict(alone, data))
    assert place.read_bytes() == content
    assert [*place.parent.iterdir()] == [place]
    assert "is there already" in capsys.readouterr().err


def test_a_full_disk_leaves_nothing_half_written(write, tmp_path, monkeypatch):
    def full(self, *args, **kwargs):
        if self.Modality == "SEG":
            raise OSError(28, "No space left on device")
        return plain(self, *args, **kwargs)

    plain = pydicom.Dataset.save_as
    monkeypatch.setattr(pydicom.Dataset, "save_as", full)
    with pytest.raises(RuntimeError, match="No space"):
        write(film())
    assert not (tmp_path / "out").exists()


def test_predict_writes_what_it_is_asked_for(tmp_path, capsys):
    folder = tmp_path / "films"
    (folder / "ward").mkdir(parents=True)
    (folder / "ward" / "film.dcm").write_bytes(film())
    shutil.copy(examples()[0].path, folder)
    for _ in range(2):  # the second time, its own files are among those it is given
        main(["predict", str(folder), "--dicom", str(folder / "answers")])
        said = capsys.readouterr()
        assert "2 files, 0 not answered" in said.err
        assert said.err.count("no DICOM is written") == 1
        assert not any(value in said.err + said.out for value in WHOSE.values())
    answers = sorted((folder / "answers" / "ward").iterdir())
    assert [path.name for path in answers] == sorted(f"film.dcm.{k}.dcm" for k in KINDS)


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda out: out.write_text("mine"), "is no folder"),
        (None, r"needs highdicom.*pip install 'pneumonia-xray\[dicom\]'"),
    ],
    ids=["unwritable", "not installed"],
)
def test_what_stops_all_of_it_is_said_first(prepare, said, tmp_path, monkeypatch):
    path, out = tmp_path / "film.dcm", tmp_path / "out"
    path.write_bytes(film())
    if prepare:
        prepare(out)
    else:
        for name in [name for name in sys.modules if ".archive" in name]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(SystemExit, match=said):
        main(["predict", str(path), "--dicom", str(out)])


@pytest.mark.differential
@pytest.mark.parametrize(
    "data",
    [film(), film(REFUSED), film(PatientOrientation=None, LossyImageCompression="01")],
    ids=["answered", "refused", "sides unknown"],
)
def test_dciodvfy_finds_no_error(data, write, tmp_path):
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("no dciodvfy (Debian's dicom3tools)")
    write(data)
    for path in (tmp_path / "out").iterdir():
        done = subprocess.run([tool, path], capture_output=True, text=True)
        complaints = [line for line in done.stderr.splitlines() if "99PNEU" not in line]
        assert not [line for line in complaints if line.startswith("Error")]
