"""The data-set folder: layout, patients, duplicates, split."""

import errno
import io
import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from dicoms import make as make_dicom
from PIL import Image

from pneumonia.__main__ import main
from pneumonia.data import folder as data
from pneumonia.data.layout import look
from pneumonia.data.patients import link_duplicates, validation_mask
from pneumonia.data.phantom import draw
from pneumonia.reading.image import read_image, to_input
from pneumonia.reading.raster import SUFFIXES


def write(path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw(seed, size=96)).save(path)


@pytest.fixture
def folder(tmp_path):
    for number in range(6):
        write(tmp_path / "NORMAL" / f"IM-{number:04}-0001.png", number)
        write(tmp_path / "PNEUMONIA" / f"person{number}_virus_1.png", 50 + number)
    return tmp_path


def move(folder: Path, below: str) -> None:
    for label in ("NORMAL", "PNEUMONIA"):
        shutil.move(folder / label, folder / below / label)


def refused(said: str):
    return pytest.raises(data.DataError, match=said)


def test_images_are_what_serving_sees(folder):
    for below in ("", "train"):
        if below:
            move(folder, below)
            (folder / "val").mkdir()
            (folder / "train" / "Viral").mkdir()
        dataset = data.load(folder, progress=False)
        assert dataset.images.shape == (12, 224, 224, 1)
        assert dataset.labels.tolist() == [0] * 6 + [1] * 6
        served = to_input(read_image((folder / dataset.names[7]).read_bytes()))
        assert (dataset.inputs()[7:8] == served).all()
        assert dataset.left_out == (("train/Viral/", "val/") if below else ())


def test_what_is_left_out_is_said(folder, capsys):
    """Files are known by their content, and sub-folders of a class count."""
    names = ["sub/IM-0007-0001.png", "IM-0008-0001", "IM-0009-0001.jfif"]
    normal = folder / "NORMAL"
    (normal / "sub").mkdir()
    for number, name in enumerate(names):
        kind = "JPEG" if name.endswith("jfif") else "PNG"
        Image.fromarray(draw(70 + number, size=96)).save(normal / name, kind)
    (normal / "scan").write_bytes(make_dicom(draw(80, size=96)))
    (normal / "notes").write_text("no picture")
    (normal / "notes.txt").write_text("not looked at")
    (normal / "broken.jpeg").write_bytes(b"no picture")
    (normal / "gone.png").symlink_to(folder / "nowhere")
    for place in ("PNEUMONIA/x.png", "COVID", "test"):
        (folder / place).mkdir()
    dataset = data.load(folder)
    assert len(dataset.labels) == 12 + 4
    assert {f"NORMAL/{name}" for name in [*names, "scan"]} <= set(dataset.names)
    unreadable = {"NORMAL/gone.png": "unreadable", "NORMAL/broken.jpeg": "not_image"}
    assert dict(dataset.unreadable) == unreadable
    left_out = ("NORMAL/notes", "NORMAL/notes.txt", "COVID/", "test/")
    assert dataset.left_out == left_out
    assert ", ".join(left_out) in capsys.readouterr().err
    summary = data.summarise(dataset)
    for said in ("unreadable files: 2", "NORMAL/broken.jpeg: not_image", "  COVID/"):
        assert said in summary


@pytest.mark.parametrize("name", ["Normal", "normal", "NORMAL ", "healthy"])
def test_folders_of_other_names_are_named(folder, name):
    (folder / "NORMAL").rename(folder / name)
    advice = f"Rename '{name}' to NORMAL" if name != "healthy" else "expected"
    found = f"Found ('PNEUMONIA', '{name}'|'{name}', 'PNEUMONIA')"
    with refused(f"(?is)({advice}.*{found}|{found}.*{advice})"):
        data.load(folder, progress=False)


def test_what_is_no_data_set_says_what_is_expected(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"nothing")
    with refused("arrays"):
        data.load(tmp_path / "x.npz", progress=False)
    with refused("(?i)expected"):
        data.load(tmp_path, progress=False)
    for label in ("NORMAL", "PNEUMONIA"):
        (tmp_path / label).mkdir()
    with refused("holds no image"):
        data.load(tmp_path, progress=False)
    for label in ("NORMAL", "PNEUMONIA"):
        (tmp_path / label / "a.png").write_bytes(b"x")
    with refused("can be read"):
        data.load(tmp_path, progress=False)


def test_arrays_give_the_data_set_back(folder, tmp_path):
    dataset = data.load(folder, progress=False)
    data.save(dataset, tmp_path / "all.npz")
    again = data.load(tmp_path / "all.npz")
    for field in ("images", "labels", "names", "patients", "groups"):
        assert (getattr(again, field) == getattr(dataset, field)).all()


def test_duplicates_bring_their_patients_to_one_side(folder):
    ill = folder / "PNEUMONIA"
    shutil.copy(ill / "person2_virus_1.png", ill / "person900_virus_7.png")
    dataset = data.load(folder, progress=False)
    groups = dict(zip(dataset.patients, dataset.groups, strict=True))
    assert groups["person900"] == groups["person2"] == "person2"
    assert len(set(dataset.groups)) == 12
    assert dataset.duplicates() == 1


def test_groups_are_linked_through_others():
    patients = np.array(["a", "b", "b", "c", "c", "d"])
    images = [b"1", b"1", b"2", b"2", b"3", b"4"]
    assert link_duplicates(patients, images).tolist() == ["a"] * 5 + ["d"]


def test_split_is_by_patient_and_about_a_tenth():
    groups = np.array([f"person{i // 2}" for i in range(8000)])
    held_out = validation_mask(groups)
    assert 0.08 < held_out.mean() < 0.12
    assert not set(groups[held_out]) & set(groups[~held_out])
    # other images in the folder change nobody's side
    assert (validation_mask(groups[:100]) == held_out[:100]).all()


def test_split_needs_both_classes_on_each_side(folder):
    with refused("lacks a class"):
        data.split(data.load(folder, progress=False).subset(np.arange(3)))


def pack_as_kaggle_does(place):
    """Write the layout of Kaggle's zip: twice the data, and the forks of macOS."""
    for part, label, number in (
        (part, label, number)
        for part in ("train", "val", "test")
        for label in ("NORMAL", "PNEUMONIA")
        for number in range(2)
    ):
        name = f"person{number}_{part}_1.png"
        for tree in ("chest_xray", "chest_xray/chest_xray"):
            write(place / tree / part / label / name, number)
            (place / tree / part / label / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
        forks = place / "chest_xray/__MACOSX/chest_xray" / part / label
        forks.mkdir(parents=True, exist_ok=True)
        (forks / f"._{name}").write_bytes(b"\0\5\x16\7" + bytes(100))


@pytest.fixture
def kaggle(monkeypatch):
    """Kaggle's client, which unpacks the zip where it is asked to, and may fail."""
    import kagglehub

    kaggle = SimpleNamespace(forced=[], fails=None)

    def dataset_download(handle, output_dir=None, force_download=False):
        kaggle.forced.append(force_download)
        pack_as_kaggle_does(Path(output_dir))
        if kaggle.fails:
            raise kaggle.fails
        return output_dir

    monkeypatch.setattr(kagglehub, "dataset_download", dataset_download)
    return kaggle


def test_lines_of_the_docs_run_after_a_download(kaggle, tmp_path, monkeypatch, capsys):
    page = Path(__file__).parent.parent / "docs" / "training.md"
    lines = re.findall(r"^python -m pneumonia (.*?)(?: +#.*)?$", page.read_text(), re.M)
    monkeypatch.chdir(tmp_path)
    (download,) = (line for line in lines if line.startswith("download "))
    main(shlex.split(download))
    assert "training images: chest_xray/train\n" in capsys.readouterr().out
    main(shlex.split(next(line for line in lines if line.startswith("data "))))
    said = capsys.readouterr()
    assert re.search(r"^all +4 ", said.out, re.M)
    assert "left out" not in said.err
    named = {w for line in lines for w in line.split() if w.startswith("chest_xray/")}
    assert named == {"chest_xray/train", "chest_xray/test"}
    for name in named:
        assert len(look(name).images) == 4
    # nothing but the data is left, and what is there is not fetched again
    left = {path.name for path in (tmp_path / "chest_xray").iterdir()}
    assert left == {"train", "val", "test"}
    main(shlex.split(download))
    assert len(kaggle.forced) == 1


def test_an_interrupted_download_is_never_taken_for_whole(kaggle, tmp_path):
    kaggle.fails = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(SystemExit, match=r"(?i)no space"):
        main(["download", "--out", str(tmp_path / "out")])
    kaggle.fails = ConnectionError("no route")
    with refused("^The data set can't be downloaded.*run the same command again"):
        data.download(tmp_path / "out")
    assert not (tmp_path / "out" / "train").exists()
    kaggle.fails = None
    data.download(tmp_path / "out")
    assert kaggle.forced[0] is False
    assert kaggle.forced[-1] is True  # its client refuses a folder that is not empty
    assert (tmp_path / "out" / "train").exists()


@pytest.mark.parametrize("there", ["train", "chest_xray/train"])
def test_download_leaves_alone_what_is_there(kaggle, folder, there):
    move(folder, f"out/{there}")
    with refused(f"{there} is there already"):
        data.download(folder / "out")
    assert not kaggle.forced


def test_a_zip_unpacked_by_hand_is_found(tmp_path):
    pack_as_kaggle_does(tmp_path)
    for place in (tmp_path, tmp_path / "chest_xray"):
        found = look(place)
        assert found.root == tmp_path / "chest_xray" / "train"
        assert len(found.images) == 4
        assert not any("MACOSX" in name for name in found.left_out)
    with refused("one in .*/chest_xray/test: name that"):
        look(tmp_path / "test")
    with refused("holds no image"):
        look(tmp_path / "chest_xray" / "__MACOSX" / "chest_xray")
    shutil.move(tmp_path / "chest_xray", tmp_path / "one" / "chest_xray")
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    with refused("Found 'one', 'other'"):
        look(tmp_path)


def test_real_xrays_are_read_whole(all_xrays):
    assert np.bincount(all_xrays.labels).tolist() == [1341, 3875]
    assert not all_xrays.unreadable
    training, validation = data.split(all_xrays)
    assert not set(training.groups) & set(validation.groups)
    one, other = ({i.tobytes() for i in x.images} for x in (training, validation))
    assert not one & other


def test_every_suffix_can_be_decoded():
    dicom = make_dicom(draw(0, size=96))
    assert read_image(dicom).shape == (96, 96)
    kinds = Image.registered_extensions() | dict.fromkeys((".jph", ".jhc"), "JPEG2000")
    for suffix in set(SUFFIXES) - {".dcm", ".dicom", ".jls"}:
        kind = kinds[suffix]
        file = io.BytesIO()
        Image.fromarray(draw(0, size=96)).save(file, kind)
        assert read_image(file.getvalue()).shape == (96, 96)
