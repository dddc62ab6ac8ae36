"""Many files from the command line: every file gets one row, whatever its name."""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest
from dicoms import LOSS, SYNTAXES, make
from PIL import Image

from pneumonia import phantoms
from pneumonia.__main__ import main
from pneumonia.reading.files import find_files
from pneumonia.reading.picture import MAX_BYTES
from pneumonia.serving import batch, lock, rows
from pneumonia.serving.rows import write_rows

PICTURE = phantoms()[0].read_bytes()


@pytest.fixture(scope="module")
def serving(classifier):
    def answer(paths, overlays=None):
        files = find_files(paths)
        return list(batch.answer_files(classifier, files, overlays))

    return answer


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def test_a_name_that_is_no_utf8_gets_a_row_that_a_csv_can_hold(
    serving, folder, tmp_path
):
    try:
        (folder / os.fsdecode(b"x-\xff.png")).write_bytes(PICTURE)
    except OSError:
        pytest.skip("this file system takes no such name")
    (folder / "y.png").write_bytes(PICTURE)
    found = serving([folder], tmp_path / "overlays")
    with (tmp_path / "rows.csv").open("w", encoding="utf-8") as file:
        assert write_rows(found, file) == (2, 0)
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        names = [row["path"] for row in csv.DictReader(file)]
    assert names == [f"{folder}/x-\\udcff.png", f"{folder}/y.png"]
    assert len(list((tmp_path / "overlays").iterdir())) == 2


def test_the_longest_names_get_overlays_of_their_own(serving, folder, tmp_path):
    names = ["a" * 253, "a" * 252 + "b", "ä" * 126 + "c"]
    for name in names:
        (folder / name).write_bytes(PICTURE)
    found = serving([folder], tmp_path / "overlays")
    assert [row.status for row in found] == ["ok"] * 3
    assert len(list((tmp_path / "overlays").iterdir())) == 3


def test_equal_names_of_two_folders_get_overlays_of_their_own(serving, tmp_path):
    places = [tmp_path / "one", tmp_path / "two", tmp_path / "three" / "x.png"]
    for place in places:
        file = place if place.suffix else place / "x.png"
        file.parent.mkdir()
        file.write_bytes(PICTURE)
    (tmp_path / "two" / "x-2.png").write_bytes(PICTURE)
    found = serving(places, tmp_path / "overlays")
    assert [row.status for row in found] == ["ok"] * 4
    names = sorted(path.name for path in (tmp_path / "overlays").iterdir())
    assert names == ["x-2.png.jpg", "x-3.png.jpg", "x-4.png.jpg", "x.png.jpg"]


def test_a_file_that_is_too_large_is_not_read(serving, tmp_path, monkeypatch):
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(3 * 2**30)  # takes no room
    monkeypatch.setattr(type(large), "read_bytes", lambda path: pytest.fail("read"))
    (row,) = serving([large])
    assert (row.status, row.reason) == ("error", "too_large")
    assert large.stat().st_size > MAX_BYTES


def test_links_are_followed_and_dangling_ones_are_named(serving, folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.png").write_bytes(PICTURE)
    try:
        (folder / "linked").symlink_to(elsewhere)
        (folder / "nowhere").symlink_to(tmp_path / "gone")
        (elsewhere / "ring").symlink_to(folder)
    except OSError:
        pytest.skip("this system makes no links")
    found = serving([folder])
    assert [(row.path, row.reason) for row in found] == [
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


def test_a_stopped_table_is_gone_on_with(folder, tmp_path, capsys):
    for name in "abc":
        (folder / f"{name}.png").write_bytes(PICTURE)
    (folder / "two\nlines.png").write_bytes(b"no picture")
    table = tmp_path / "rows.csv"
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


def test_a_table_is_not_written_over(folder, tmp_path):
    (folder / "a.png").write_bytes(PICTURE)
    table = tmp_path / "rows.csv"
    table.write_text("name,age\nx,1\n")
    command = ["predict", str(folder), "--csv", str(table)]
    with pytest.raises(SystemExit, match="is there already. Add --resume"):
        main(command)
    with pytest.raises(SystemExit, match="no table of answers: it begins with 'name,"):
        main([*command, "--resume"])
    assert table.read_text() == "name,age\nx,1\n"
    for text in ("x", "name,age", "\n", "path,status,label\nx,ok,Normal\n", '"' * 9):
        table.write_text(text)
        with pytest.raises(SystemExit, match="no table of answers: it begins with"):
            main([*command, "--resume"])
        assert table.read_text() == text
    with pytest.raises(SystemExit, match="--resume goes on with"):
        main(["predict", str(folder), "--resume"])


def test_dicom_is_decoded_outside_of_this_process(
    serving, folder, tmp_path, monkeypatch
):
    pixels = np.asarray(Image.open(io.BytesIO(PICTURE)).convert("L"), np.uint16) * 16
    syntaxes = {k: v for k, v in SYNTAXES.items() if k != "JPEG"}  # takes 8 bits
    for name, syntax in syntaxes.items():
        (folder / f"{name}.dcm").write_bytes(make(pixels, syntax))
    (folder / "broken.dcm").write_bytes(make(pixels)[:-3000])
    monkeypatch.setitem(
        sys.modules, "pneumonia.reading.dicom.decode", None
    )  # can't be here
    found = {row.path.rpartition("/")[2]: row for row in serving([folder])}
    assert found.pop("broken.dcm").reason == "damaged"
    assert {row.status for row in found.values()} == {"ok"}
    lossless = [f"{name}.dcm" for name in syntaxes if name not in LOSS]
    (p,) = {found[name].p_pneumonia for name in lossless}
    assert all(abs(float(row.p_pneumonia) - float(p)) < 0.01 for row in found.values())


NAMES = [f"{letter}.png" for letter in "abcdefgh"]


@pytest.fixture
def many(folder):
    for name in NAMES:
        (folder / name).write_bytes(PICTURE)
    return folder


def paths(table) -> list[str]:
    with table.open(newline="", encoding="utf-8") as file:
        return [row["path"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("spelling", ["rows.csv", "folder/../rows.csv", "link", "hard"])
def test_a_second_writer_of_a_table_is_refused(many, tmp_path, spelling):
    table = tmp_path / "rows.csv"
    with closing(rows.Table(table)) as first:
        (tmp_path / "link").symlink_to(table)
        (tmp_path / "hard").hardlink_to(table)
        for resume in ([], ["--resume"]):
            with pytest.raises(SystemExit, match="another process writes .* Wait"):
                main(["predict", str(many), "--csv", str(tmp_path / spelling), *resume])
        first.add(rows.Row(str(many / "a.png"), "ok"))
    assert paths(table) == [str(many / "a.png")]
    main(["predict", str(many), "--csv", str(tmp_path / spelling), "--resume"])
    assert paths(table) == [str(many / name) for name in NAMES]


def test_a_place_without_locks_is_said(many, tmp_path, monkeypatch, capsys):
    def none(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", none)
    main(["predict", str(many), "--csv", str(tmp_path / "rows.csv")])
    assert "lies where nothing can be locked" in capsys.readouterr().err


def test_a_second_writer_of_overlays_is_refused(many, tmp_path):
    overlays = tmp_path / "overlays"
    command = ["predict", str(many), "--overlays", str(overlays)]
    with lock.hold_folder(overlays, "held"), pytest.raises(SystemExit, match="another"):
        main(command)
    main(command)
    assert sorted(p.name for p in overlays.iterdir()) == [f"{n}.jpg" for n in NAMES]


def test_no_overlay_is_written_over_an_xray(many, tmp_path):
    (many / "a.png.jpg").write_bytes(PICTURE)
    command = ["predict", str(many), "--csv", str(many / "rows.csv")]
    with pytest.raises(SystemExit, match="would be written over .*a.png.jpg. Name"):
        main([*command, "--overlays", str(many)])
    assert (many / "a.png.jpg").read_bytes() == PICTURE


def test_what_predict_writes_is_not_answered_when_it_goes_on(many):
    command = ["predict", str(many), "--csv", str(many / "rows.csv"), "--overlays",
               str(many), "--resume"]  # fmt: skip
    main(command)
    main(command)
    assert paths(many / "rows.csv") == [str(many / name) for name in NAMES]


def test_going_on_knows_files_however_they_are_spelled(many, tmp_path, monkeypatch):
    table = tmp_path / "rows.csv"
    main(["predict", str(many), "--csv", str(table)])
    monkeypatch.chdir(tmp_path)
    main(["predict", many.name, "--csv", "rows.csv", "--resume"])
    assert len(paths(table)) == len(NAMES)


def interrupted(number: int, after: int):
    """An `answer_files` in the middle of which the system asks to end."""

    def answer(classifier, files, overlays=None, **options):
        for done, (path, _) in enumerate(files):
            if done == after:
                os.kill(os.getpid(), number)
            yield rows.Row(str(path), "ok")

    return answer


@pytest.mark.parametrize(("number", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_stop_ends_with_a_sentence(
    many, tmp_path, monkeypatch, capsys, number, status
):
    table = tmp_path / "rows.csv"
    command = ["predict", str(many), "--csv", str(table)]
    with monkeypatch.context() as patch:
        stop = interrupted(getattr(signal, number), 3)
        patch.setattr(batch, "answer_files", stop)
        with pytest.raises(SystemExit) as end:
            main(command)
    assert end.value.code == status
    *_, said = capsys.readouterr().err.splitlines()
    assert said == (
        "stopped: 3 of 8 files have a row. The same command with --resume goes on."
    )
    assert paths(table) == [str(many / name) for name in NAMES[:3]]
    main([*command, "--resume"])
    assert paths(table) == [str(many / name) for name in NAMES]


def test_a_real_stop_shows_no_traceback(many, tmp_path):
    pixels = np.asarray(Image.open(io.BytesIO(PICTURE)).convert("L"), np.uint16) * 16
    for number in range(40):
        (many / f"{number:02}.dcm").write_bytes(make(pixels))
    table = tmp_path / "rows.csv"
    command = [sys.executable, "-m", "pneumonia", "predict", many, "--csv", table]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while process.poll() is None and not (table.exists() and paths(table)):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, workers included
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert f"stopped: {len(paths(table))} of 48 files have a row." in said


def test_a_full_disk_leaves_whole_rows(many, tmp_path):
    resource = pytest.importorskip("resource")
    table = tmp_path / "rows.csv"
    added = [rows.Row(str(many / name), "ok", place="left upper") for name in NAMES]

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


def test_a_full_disk_ends_with_a_sentence(many, tmp_path, monkeypatch):
    overlays, table = tmp_path / "overlays", tmp_path / "rows.csv"
    command = ["predict", str(many), "--csv", str(table), "--overlays", str(overlays)]

    def half(prediction, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pneumonia.serving.prediction.Prediction.save_overlay", half)
        said = (
            r"error: No space left on device: .*\.jpg\. 0 of 8 files have a row\. The"
        )
        with pytest.raises(SystemExit, match=said):
            main(command)
    assert not [*overlays.iterdir()]
    main([*command, "--resume"])
    assert len([*overlays.iterdir()]) == len(paths(table)) == 8


def test_a_name_with_a_carriage_return_is_gone_on_with(folder, tmp_path):
    try:
        (folder / "Icon\r").write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes no such name")
    table = tmp_path / "rows.csv"
    command = ["predict", str(folder), "--csv", str(table), "--resume"]
    main(command)
    main(command)
    assert paths(table) == [str(folder / "Icon\r")]


def test_a_device_takes_rows_as_well(many):
    main(["predict", str(many / "a.png"), "--csv", os.devnull])
