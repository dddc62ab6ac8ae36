"""The data-set folder: layout, patients, duplicates, split."""

import errno
import io
import re
import shlex
import shutil
from pathlib import Path

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


@pytest.mark.parametrize("below", ["", "train"])
def test_images_are_what_serving_sees(tmp_path, folder, below):
    if below:
        for name in ("NORMAL", "PNEUMONIA"):
            shutil.move(folder / name, folder / below / name)
    dataset = data.load(folder, progress=False)
    assert dataset.images.shape == (12, 224, 224, 1)
    assert dataset.labels.tolist() == [0] * 6 + [1] * 6
    served = to_input(read_image((folder / dataset.names[7]).read_bytes()))
    assert (dataset.inputs()[7:8] == served).all()


def test_unreadable_files_are_listed_and_left_out(folder):
    (folder / "NORMAL" / "broken.jpeg").write_bytes(b"no picture")
    (folder / "NORMAL" / "notes.txt").write_text("not looked at")
    dataset = data.load(folder, progress=False)
    assert len(dataset.labels) == 12
    assert dataset.unreadable == (("NORMAL/broken.jpeg", "not_image"),)
    assert "unreadable files: 1" in data.summarise(dataset)
    assert "NORMAL/broken.jpeg: not_image" in data.summarise(dataset)


def test_what_is_left_out_is_said(folder, capsys):
    """Files are known by their content, and sub-folders of a class count."""
    names = ["sub/IM-0007-0001.png", "IM-0008-0001", "IM-0009-0001.jfif"]
    for number, name in enumerate(names):
        path = folder / "NORMAL" / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(draw(70 + number, size=96)).save(
            path, "JPEG" if name.endswith("jfif") else "PNG"
        )
    (folder / "NORMAL" / "scan").write_bytes(make_dicom(draw(80, size=96)))
    (folder / "NORMAL" / "notes").write_text("no picture")
    (folder / "NORMAL" / "gone.png").symlink_to(folder / "nowhere")
    (folder / "PNEUMONIA" / "x.png").mkdir()
    (folder / "COVID").mkdir()
    (folder / "test").mkdir()
    dataset = data.load(folder)
    assert len(dataset.labels) == 12 + 4
    assert {f"NORMAL/{name}" for name in [*names, "scan"]} <= set(dataset.names)
    assert dataset.unreadable == (("NORMAL/gone.png", "unreadable"),)
    assert dataset.left_out == ("NORMAL/notes", "COVID/", "test/")
    assert "NORMAL/notes, COVID/, test/" in capsys.readouterr().err
    assert "  COVID/" in data.summarise(dataset)


def test_train_is_taken_and_its_siblings_are_named(tmp_path, folder):
    for name in ("NORMAL", "PNEUMONIA"):
        shutil.move(folder / name, folder / "train" / name)
    for name in ("val", "train/Viral"):
        (folder / name).mkdir()
    dataset = data.load(folder, progress=False)
    assert len(dataset.labels) == 12
    assert dataset.left_out == ("train/Viral/", "val/")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("Normal", "Rename 'Normal' to NORMAL"),
        ("normal", "Rename 'normal' to NORMAL"),
        ("NORMAL ", "Rename 'NORMAL ' to NORMAL"),
        ("healthy", "Found 'PNEUMONIA', 'healthy'."),
    ],
)
def test_folders_of_other_names_are_named(folder, name, advice):
    (folder / "NORMAL").rename(folder / name)
    with pytest.raises(data.DataError) as caught:
        data.load(folder, progress=False)
    assert advice in str(caught.value)
    assert f"Found 'PNEUMONIA', '{name}'" in str(
        caught.value
    ) or f"Found '{name}', 'PNEUMONIA'" in str(caught.value)


@pytest.mark.parametrize("what", ["missing", "empty class", "all broken", "no arrays"])
def test_what_is_no_data_set_says_what_is_expected(tmp_path, what):
    source = tmp_path
    if what == "no arrays":
        source = tmp_path / "x.npz"
        source.write_bytes(b"nothing")
    elif what != "missing":
        (tmp_path / "NORMAL").mkdir()
        (tmp_path / "PNEUMONIA").mkdir()
        if what == "all broken":
            (tmp_path / "NORMAL" / "a.png").write_bytes(b"x")
            (tmp_path / "PNEUMONIA" / "b.png").write_bytes(b"x")
    with pytest.raises(data.DataError, match=r"(?i)expected|can be read|arrays"):
        data.load(source, progress=False)


def test_arrays_give_the_data_set_back(folder, tmp_path):
    dataset = data.load(folder, progress=False)
    data.save(dataset, tmp_path / "all.npz")
    again = data.load(tmp_path / "all.npz")
    for field in ("images", "labels", "names", "patients", "groups"):
        assert (getattr(again, field) == getattr(dataset, field)).all()


def test_duplicates_bring_their_patients_to_one_side(folder):
    shutil.copy(
        folder / "PNEUMONIA" / "person2_virus_1.png",
        folder / "PNEUMONIA" / "person900_virus_7.png",
    )
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
    with pytest.raises(data.DataError, match="lacks a class"):
        data.split(data.load(folder, progress=False).subset(np.arange(3)))


def test_download_without_a_network_says_so_in_one_sentence(monkeypatch, tmp_path):
    import kagglehub

    def fail(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr(kagglehub, "dataset_download", fail)
    with pytest.raises(data.DataError, match=r"^The data set can't be downloaded"):
        data.download(tmp_path)


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
    """Kaggle's client, which unpacks the zip where it is asked to."""
    import kagglehub

    calls = []

    def dataset_download(handle, output_dir=None, force_download=False):
        calls.append(handle)
        pack_as_kaggle_does(Path(output_dir))
        return output_dir

    monkeypatch.setattr(kagglehub, "dataset_download", dataset_download)
    return calls


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
    assert {path.name for path in (tmp_path / "chest_xray").iterdir()} == {
        "train",
        "val",
        "test",
    }
    main(shlex.split(download))
    assert len(kaggle) == 1


def test_an_interrupted_download_is_never_taken_for_whole(tmp_path, monkeypatch):
    import kagglehub

    asked = []

    def dataset_download(handle, output_dir=None, force_download=False):
        asked.append(force_download)
        pack_as_kaggle_does(Path(output_dir))
        if len(asked) == 1:
            raise ConnectionError("cut off")
        return output_dir

    monkeypatch.setattr(kagglehub, "dataset_download", dataset_download)
    with pytest.raises(data.DataError, match="run the same command again"):
        data.download(tmp_path / "out")
    assert not (tmp_path / "out" / "train").exists()
    data.download(tmp_path / "out")
    assert asked == [False, True]  # its client refuses a folder that is not empty
    assert (tmp_path / "out" / "train").exists()


@pytest.mark.parametrize("there", ["train", "chest_xray/train"])
def test_download_leaves_alone_what_is_there(kaggle, folder, there):
    out = folder / "out"
    for name in ("NORMAL", "PNEUMONIA"):
        shutil.move(folder / name, out / there / name)
    with pytest.raises(data.DataError, match=f"{there} is there already"):
        data.download(out)
    assert not kaggle


def test_download_onto_a_full_disk_says_so(monkeypatch, tmp_path):
    import kagglehub

    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kagglehub, "dataset_download", fail)
    with pytest.raises(SystemExit, match=r"(?i)no space"):
        main(["download", "--out", str(tmp_path)])


def test_a_zip_unpacked_by_hand_is_found(tmp_path):
    pack_as_kaggle_does(tmp_path)
    for place in (tmp_path, tmp_path / "chest_xray"):
        found = look(place)
        assert found.root == tmp_path / "chest_xray" / "train"
        assert len(found.images) == 4
        assert not any("MACOSX" in name for name in found.left_out)
    with pytest.raises(data.DataError, match="one in .*/chest_xray/test: name that"):
        look(tmp_path / "test")
    with pytest.raises(data.DataError, match="holds no image"):
        look(tmp_path / "chest_xray" / "__MACOSX" / "chest_xray")
    shutil.move(tmp_path / "chest_xray", tmp_path / "one" / "chest_xray")
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    with pytest.raises(data.DataError, match="Found 'one', 'other'"):
        look(tmp_path)


def test_real_xrays_are_read_whole(all_xrays):
    assert np.bincount(all_xrays.labels).tolist() == [1341, 3875]
    assert not all_xrays.unreadable
    training, validation = data.split(all_xrays)
    assert not set(training.groups) & set(validation.groups)
    shared = {i.tobytes() for i in training.images} & {
        i.tobytes() for i in validation.images
    }
    assert not shared


def test_every_suffix_can_be_decoded():
    dicom = make_dicom(draw(0, size=96))
    assert read_image(dicom).shape == (96, 96)
    kinds = Image.registered_extensions() | dict.fromkeys((".jph", ".jhc"), "JPEG2000")
    for suffix in set(SUFFIXES) - {".dcm", ".dicom", ".jls"}:
        kind = kinds[suffix]
        file = io.BytesIO()
        Image.fromarray(draw(0, size=96)).save(file, kind)
        assert read_image(file.getvalue()).shape == (96, 96)
