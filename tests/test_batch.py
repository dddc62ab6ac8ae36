"""Many files from the command line: every file gets one row, whatever its name."""

import csv
import io
import os
import subprocess
import sys

import numpy as np
import pytest
from dicoms import SYNTAXES, make
from PIL import Image

from pneumonia import phantoms, write_rows
from pneumonia.__main__ import main
from pneumonia.serving import batch, rows
from pneumonia.serving.picture import MAX_BYTES

PICTURE = phantoms()[0].read_bytes()


@pytest.fixture(scope="module")
def serving(classifier):
    def answer(paths, overlays=None):
        files = batch.find_files(paths)
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
        done = rows.go_on(table)
        assert whole.startswith(table.read_bytes().rstrip(b"\n"))
        assert len(done) == len(rows.answered(table)) <= 4
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
    with pytest.raises(SystemExit, match="the table that --csv names"):
        main(["predict", str(folder), "--resume"])


def test_dicom_is_decoded_outside_of_this_process(
    serving, folder, tmp_path, monkeypatch
):
    pixels = np.asarray(Image.open(io.BytesIO(PICTURE)).convert("L"), np.uint16) * 16
    syntaxes = {k: v for k, v in SYNTAXES.items() if k != "JPEG"}  # takes 8 bits
    for name, syntax in syntaxes.items():
        (folder / f"{name}.dcm").write_bytes(make(pixels, syntax))
    (folder / "broken.dcm").write_bytes(make(pixels)[:-3000])
    monkeypatch.setitem(sys.modules, "pneumonia.serving.dicom", None)  # can't be here
    found = {row.path.rpartition("/")[2]: row for row in serving([folder])}
    assert found.pop("broken.dcm").reason == "damaged"
    assert {row.status for row in found.values()} == {"ok"}
    assert len({row.p_pneumonia for row in found.values()}) == 1
