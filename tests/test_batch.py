"""Many files from the command line: every file gets one row, whatever its name."""

import csv
import os
import subprocess
import sys

import pytest

from pneumonia import phantoms
from pneumonia.serving import batch
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
    rows = serving([folder], tmp_path / "overlays")
    with (tmp_path / "rows.csv").open("w", encoding="utf-8") as file:
        assert batch.write_rows(rows, file) == (2, 0)
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        names = [row["path"] for row in csv.DictReader(file)]
    assert names == [f"{folder}/x-\\udcff.png", f"{folder}/y.png"]
    assert len(list((tmp_path / "overlays").iterdir())) == 2


def test_the_longest_names_get_overlays_of_their_own(serving, folder, tmp_path):
    names = ["a" * 253, "a" * 252 + "b", "ä" * 126 + "c"]
    for name in names:
        (folder / name).write_bytes(PICTURE)
    rows = serving([folder], tmp_path / "overlays")
    assert [row.status for row in rows] == ["ok"] * 3
    assert len(list((tmp_path / "overlays").iterdir())) == 3


def test_equal_names_of_two_folders_get_overlays_of_their_own(serving, tmp_path):
    places = [tmp_path / "one", tmp_path / "two", tmp_path / "three" / "x.png"]
    for place in places:
        file = place if place.suffix else place / "x.png"
        file.parent.mkdir()
        file.write_bytes(PICTURE)
    (tmp_path / "two" / "x-2.png").write_bytes(PICTURE)
    rows = serving(places, tmp_path / "overlays")
    assert [row.status for row in rows] == ["ok"] * 4
    names = sorted(path.name for path in (tmp_path / "overlays").iterdir())
    assert names == ["x-2.png.png", "x-3.png.png", "x-4.png.png", "x.png.png"]


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
    rows = serving([folder])
    assert [(row.path, row.reason) for row in rows] == [
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
