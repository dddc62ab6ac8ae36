"""Many files from the command line: every file gets one row, whatever its name."""

import csv
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager

import numpy as np
import pytest
from dicoms import LOSS, SYNTAXES, make
from PIL import Image

from pneumonia import phantoms
from pneumonia.__main__ import main
from pneumonia.reading.files import find_files
from pneumonia.serving import batch, lock, rows

PICTURE = phantoms()[0].read_bytes()
DEEP = np.asarray(Image.open(phantoms()[0]).convert("L"), np.uint16) * 16
NAMES = [f"{letter}.png" for letter in "abcdefgh"]


@pytest.fixture(scope="module")
def serving(classifier):
    def answer(*paths, overlays=None):
        return list(batch.answer_files(classifier, find_files(paths), overlays))

    return answer


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


@pytest.fixture
def overlays(tmp_path):
    return tmp_path / "overlays"


@pytest.fixture
def table(tmp_path):
    return tmp_path / "rows.csv"


@pytest.fixture
def many(folder):
    for name in NAMES:
        (folder / name).write_bytes(PICTURE)
    return folder


@pytest.fixture
def command(many, table):
    return ["predict", str(many), "--csv", str(table)]


@contextmanager
def where_it_can_be():
    """Skip a test whose names or links the file system does not take."""
    try:
        yield
    except OSError:
        pytest.skip("this file system has no such thing")


def paths(table) -> list[str]:
    with table.open(newline="", encoding="utf-8") as file:
        return [row["path"] for row in csv.DictReader(file)]


def all_of(folder) -> list[str]:
    return [str(folder / name) for name in NAMES]


# names


ODD = {
    "no UTF-8": [os.fsdecode(b"x-\xff.png"), "y.png"],
    "the longest": ["a" * 253, "a" * 252 + "b", "ä" * 126 + "c"],
    "line ends": ["Icon\r", "two\nlines.png"],
}


@pytest.mark.parametrize("kind", ODD)
def test_every_name_gets_a_row_and_an_overlay_of_its_own(kind, folder, table, overlays):
    for name in ODD[kind]:
        with where_it_can_be():
            (folder / name).write_bytes(PICTURE)
    where = ["--csv", str(table), "--overlays", str(overlays)]
    for _ in range(2):
        main(["predict", str(folder), *where, "--resume"])
    written = (n.encode(errors="backslashreplace").decode() for n in ODD[kind])
    assert paths(table) == [f"{folder}/{name}" for name in written]
    assert len([*overlays.iterdir()]) == len(ODD[kind])


def test_equal_names_of_two_folders_get_overlays_each(serving, tmp_path, overlays):
    for name in ("one/x.png", "two/x.png", "two/x-2.png", "three/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PICTURE)
    places = tmp_path / "one", tmp_path / "two", tmp_path / "three" / "x.png"
    found = serving(*places, overlays=overlays)
    assert [row.status for row in found] == ["ok"] * 4
    names = sorted(path.name for path in overlays.iterdir())
    assert names == ["x-2.png.jpg", "x-3.png.jpg", "x-4.png.jpg", "x.png.jpg"]


def test_a_file_that_is_too_large_is_not_read(serving, tmp_path, monkeypatch):
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(3 * 2**30)  # takes no room
    monkeypatch.setattr(type(large), "read_bytes", lambda path: pytest.fail("read"))
    (row,) = serving(large)
    assert (row.status, row.reason) == ("error", "too_large")


def test_links_are_followed_and_dangling_ones_are_named(serving, folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.png").write_bytes(PICTURE)
    with where_it_can_be():
        (folder / "linked").symlink_to(elsewhere)
        (folder / "nowhere").symlink_to(tmp_path / "gone")
        (elsewhere / "ring").symlink_to(folder)
    assert [(row.path, row.reason) for row in serving(folder)] == [
        (str(folder / "linked" / "x.png"), ""),
        (str(folder / "nowhere"), "unreadable"),
    ]


def test_a_terminal_that_lacks_a_letter_ends_nothing(tmp_path):
    name = tmp_path / "肺.png"
    name.write_bytes(PICTURE)
    done = subprocess.run(
        [sys.executable, "-m", "pneumonia", "predict", str(name)],
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        encoding="cp1252",
    )
    assert done.returncode == 0, done.stderr
    assert "\\u80ba.png,ok," in done.stdout


def test_dicom_is_decoded_outside_of_this_process(serving, folder, monkeypatch):
    syntaxes = {k: v for k, v in SYNTAXES.items() if k != "JPEG"}  # takes 8 bits
    for name, syntax in syntaxes.items():
        (folder / f"{name}.dcm").write_bytes(make(DEEP, syntax))
    (folder / "broken.dcm").write_bytes(make(DEEP)[:-3000])
    monkeypatch.setitem(sys.modules, "pneumonia.reading.dicom.decode", None)
    found = {row.path.rpartition("/")[2]: row for row in serving(folder)}
    assert found.pop("broken.dcm").reason == "damaged"
    assert {row.status for row in found.values()} == {"ok"}
    (p,) = {found[f"{name}.dcm"].p_pneumonia for name in syntaxes if name not in LOSS}
    assert all(abs(float(row.p_pneumonia) - float(p)) < 0.01 for row in found.values())


# the table


def test_a_stopped_table_is_gone_on_with(folder, table, capsys):
    for name in "abc":
        (folder / f"{name}.png").write_bytes(PICTURE)
    (folder / "two\nlines.png").write_bytes(b"no picture")
    command = ["predict", str(folder), "--csv", str(table)]
    main(command)
    whole = table.read_bytes()
    for length in range(0, len(whole) + 1, 31):  # a kill may cut it anywhere
        table.write_bytes(whole[:length])
        with closing(rows.Table(table, go_on=True)) as opened:
            done = len(opened)
        assert whole.startswith(table.read_bytes().rstrip(b"\n"))
        assert done == len(rows.answered(table)) <= 4
    for length in (0, 100, 250, len(whole)):
        table.write_bytes(whole[:length])
        main([*command, "--resume"])
        assert table.read_bytes() == whole
    assert "0 files, 0 not answered, 4 were done before" in capsys.readouterr().err
    table.unlink()
    main([*command, "--resume"])
    assert table.read_bytes() == whole


def test_a_table_is_not_written_over(many, command, table):
    other = "name,age\nx,1\n"
    table.write_text(other)
    with pytest.raises(SystemExit, match="is there already. Add --resume"):
        main(command)
    header = "path,status,label\nx,ok,Normal\n"
    for text in (other, "x", "name,age", "\n", header, '"' * 9):
        table.write_text(text)
        with pytest.raises(SystemExit, match="no table of answers: it begins with"):
            main([*command, "--resume"])
        assert table.read_text() == text
    with pytest.raises(SystemExit, match="--resume goes on with"):
        main(["predict", str(many), "--resume"])


@pytest.mark.parametrize("spelling", ["rows.csv", "folder/../rows.csv", "link", "hard"])
def test_a_second_writer_of_a_table_is_refused(many, table, spelling):
    command = ["predict", str(many), "--csv", str(table.parent / spelling)]
    with closing(rows.Table(table)) as first:
        table.with_name("link").symlink_to(table)
        table.with_name("hard").hardlink_to(table)
        for resume in ([], ["--resume"]):
            with pytest.raises(SystemExit, match="another process writes .* Wait"):
                main([*command, *resume])
        first.add(rows.Row(str(many / "a.png"), "ok"))
    assert paths(table) == [str(many / "a.png")]
    main([*command, "--resume"])
    assert paths(table) == all_of(many)


def test_a_place_without_locks_is_said_a_device_does(command, monkeypatch, capsys):
    main([*command[:3], os.devnull])

    def none(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", none)
    main(command)
    assert "lies where nothing can be locked" in capsys.readouterr().err


def test_a_second_writer_of_overlays_is_refused(many, overlays):
    command = ["predict", str(many), "--overlays", str(overlays)]
    with lock.hold_folder(overlays, "held"), pytest.raises(SystemExit, match="another"):
        main(command)
    main(command)
    assert sorted(p.name for p in overlays.iterdir()) == [f"{n}.jpg" for n in NAMES]


def test_no_overlay_is_written_over_an_xray(many, command):
    (many / "a.png.jpg").write_bytes(PICTURE)
    with pytest.raises(SystemExit, match="would be written over .*a.png.jpg. Name"):
        main([*command, "--overlays", str(many)])
    assert (many / "a.png.jpg").read_bytes() == PICTURE


def test_going_on_knows_files_however_spelled_and_what_it_wrote(many, monkeypatch):
    table = many / "rows.csv"
    main(["predict", str(many), "--csv", str(table), "--overlays", str(many)])
    monkeypatch.chdir(many.parent)
    command = ["predict", many.name, "--csv", f"{many.name}/rows.csv"]
    main([*command, "--overlays", many.name, "--resume"])
    assert paths(table) == all_of(many)


# what ends it


@pytest.mark.parametrize(("number", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_stop_ends_with_a_sentence(many, command, table, number, status):
    for name in range(40):
        (many / f"{name:02}.dcm").write_bytes(make(DEEP))
    process = subprocess.Popen(
        [sys.executable, "-m", "pneumonia", *command],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and not (table.exists() and paths(table)):
        time.sleep(0.05)
    os.killpg(process.pid, getattr(signal, number))  # as a terminal, workers included
    _, said = process.communicate()
    assert process.returncode == status, said
    assert "Traceback" not in said
    assert f"stopped: {len(paths(table))} of 48 files have a row." in said
    assert "--resume" in said


def test_a_full_disk_leaves_whole_rows(many, table):
    resource = pytest.importorskip("resource")
    added = [rows.Row(path, "ok", place="left upper") for path in all_of(many)]

    def fill(go_on: bool = False) -> None:
        with closing(rows.Table(table, go_on)) as opened:
            for row in added:
                if row.path not in opened:
                    opened.add(row)

    fill()
    whole = table.read_bytes()
    ends = [n + 1 for n in range(len(whole)) if whole[n : n + 1] == b"\n"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (0, 20, ends[0], ends[0] + 1, ends[3] - 1, ends[3]):
        table.unlink()
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        try:
            with pytest.raises(OSError, match=r"File too large: .*rows.csv"):
                fill()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert table.stat().st_size == max([0, *(end for end in ends if end <= room)])
        fill(go_on=True)
        assert table.read_bytes() == whole


def test_a_full_disk_ends_with_a_sentence(command, table, overlays, monkeypatch):
    def half(prediction, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    command += ["--overlays", str(overlays)]
    with monkeypatch.context() as patch:
        patch.setattr("pneumonia.serving.prediction.Prediction.save_overlay", half)
        said = r"error: No space left on device: .*\.jpg\. 0 of 8 files have a row"
        with pytest.raises(SystemExit, match=said):
            main(command)
    assert not [*overlays.iterdir()]
    main([*command, "--resume"])
    assert len([*overlays.iterdir()]) == len(paths(table)) == 8
