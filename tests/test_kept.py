"""Files are whole or not there: full disks, kills, links, pipes."""

import errno
import os
from pathlib import Path

import pytest

from pneumonia import kept
from pneumonia.__main__ import main


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "a.weights.h5"
    path.write_text("before")
    with kept.whole(path) as unfinished:
        assert unfinished.name.endswith(".weights.h5")  # by which writers go
        unfinished.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (ValueError("a bug"), ValueError),
        (OSError(errno.EIO, "broken"), OSError),
        (OSError(errno.ENOSPC, "No space left on device"), kept.NoRoomError),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), kept.NoRoomError),
    ],
    ids=repr,
)
def test_what_was_there_stays(tmp_path, stop, expected):
    path, out = tmp_path / "a.json", tmp_path / "out"
    path.write_text("before")
    out.mkdir()
    (out / "one").write_text("before")
    for keep, where in ((kept.whole, path), (kept.all_of, out)):
        with pytest.raises(expected) as caught, keep(where) as place:
            target = place if place.suffix == ".json" else place / "one"
            target.write_text("half")
            raise stop
        if expected is kept.NoRoomError:
            assert "No space is left to write" in str(caught.value)
            assert "Free some" in str(caught.value)
    assert path.read_text() == (out / "one").read_text() == "before"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.json", "one", "out"]


def test_files_of_a_folder_come_together(tmp_path):
    out = tmp_path / "new" / "out"
    with pytest.raises(ValueError, match="bug"), kept.all_of(out):
        raise ValueError("bug")
    assert not out.exists()
    with kept.all_of(out) as place:
        for name in ("one", "two"):
            (place / name).write_text(name)
        assert [*out.iterdir()] == [place]
    assert sorted(p.name for p in out.iterdir()) == ["one", "two"]


def test_room_is_asked_for_before_anything_is_written(tmp_path):
    with (
        pytest.raises(kept.NoRoomError, match=r"[\d,]+ MB are needed, and [\d,]+ MB"),
        kept.whole(tmp_path / "large", 10**15),
    ):
        pytest.fail("it began")
    assert not [*tmp_path.iterdir()]


def test_links_stay_links(tmp_path):
    (tmp_path / "target").write_text("before")
    (tmp_path / "link").symlink_to("target")
    with kept.whole(tmp_path / "link") as path:
        path.write_text("after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "after"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has /dev/full")
def test_a_device_that_is_full_says_so():
    with pytest.raises(kept.NoRoomError), kept.whole("/dev/full") as path:
        path.write_text("more than nothing")
    assert not Path("/dev/full").is_file()


@pytest.mark.keras
def test_where_nothing_can_be_written_is_said_first(tmp_path, monkeypatch):
    kept.check(tmp_path / "not" / "there" / "yet")
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(kept.KeepError, match="is no folder"):
            kept.check(out)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(kept.KeepError, match="can't be written to"):
        kept.check(tmp_path / "out")
    for command in (
        ["evaluate", "no data", "--out", str(tmp_path / "out")],
        ["export", "no run", "--out", str(tmp_path / "out")],
        ["train", "no data", "--out", str(tmp_path / "out")],
        ["data", "no data", "--arrays", str(tmp_path / "out" / "a.npz")],
    ):
        with pytest.raises(SystemExit, match="can't be written to"):
            main(command)


def test_full_disk_ends_a_command_in_one_sentence(tmp_path, monkeypatch, phantom_bytes):
    for label in ("NORMAL", "PNEUMONIA"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.png").write_bytes(phantom_bytes)
    monkeypatch.setattr("numpy.savez_compressed", full)
    for name, said in (
        ("kept.npz", "^error: No space is left to write .*kept.npz"),
        ("kept", "expected a name FILE.npz"),
    ):
        with pytest.raises(SystemExit, match=said):
            main(["data", str(tmp_path), "--arrays", str(tmp_path / name)])
        assert not (tmp_path / name).exists()
