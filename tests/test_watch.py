"""A watched folder: each film answered once, whatever ends the watch in between."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from dicoms import make
from PIL import Image

from pneumonia import phantoms
from pneumonia.__main__ import main
from pneumonia.serving import batch, stopping
from pneumonia.serving.rows import Lines

PICTURE, OTHER, *_ = (path.read_bytes() for path in phantoms())


@pytest.fixture
def places(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    return tmp_path / "in", tmp_path / "out"


def answers(out: Path) -> list[dict]:
    try:
        content = (out / "answers.jsonl").read_text()
    except OSError:
        return []
    return [json.loads(line) for line in content.split("\n")[:-1]]


def wait_for(what, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def start(folder: Path, out: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "pneumonia", "watch", str(folder), "--out"]
    return subprocess.Popen(
        [*command, str(out), "--every", "0.1", *options],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@contextmanager
def watched(folder: Path, out: Path, *options: str):
    """Watch until the block ends; then the watch must end well by itself."""
    process = start(folder, out, *options)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert "stopped:" in said
    finally:
        process.kill()


def test_each_film_is_answered_when_it_is_whole(places):
    folder, out = places
    (folder / "old.png").write_bytes(PICTURE)
    with watched(folder, out, "--patience", "2"):
        (folder / "half.png").write_bytes(PICTURE[:3000])
        (folder / ".moved").write_bytes(PICTURE)
        (folder / "x.png.part").write_bytes(PICTURE)
        (folder / "note.txt").write_text("no picture")
        (folder / "sub" / "deep.png").write_bytes(OTHER)
        (folder / ".moved").rename(folder / "moved.png")
        wait_for(lambda: len(answers(out)) == 3)
        with (folder / "half.png").open("ab") as file:
            file.write(PICTURE[3000:])
        wait_for(lambda: len(answers(out)) == 5)
        (folder / "old.png").write_bytes(OTHER)  # another film of the same name
        wait_for(lambda: len(answers(out)) == 6)
    found = answers(out)
    assert Counter(Path(row["path"]).name for row in found) == {
        "old.png": 2, "moved.png": 1, "deep.png": 1, "half.png": 1, "note.txt": 1
    }  # fmt: skip
    assert {row["status"] for row in found} == {"ok", "error"}
    (refused,) = [row for row in found if row["status"] == "error"]
    assert refused["reason"] == "not_image"
    assert refused["message"]
    assert {"band", "zone", "box", "checksum", "time", "size"} <= found[0].keys()


def start_on(count, folder, out):
    """Start a watch on so many pictures, and wait for its first answer."""
    for number in range(count):
        (folder / f"{number:02}.png").write_bytes(PICTURE)
    process = start(folder, out)
    wait_for(lambda: answers(out))
    return process


def test_a_kill_in_the_middle_loses_and_doubles_nothing(places):
    folder, out = places
    process = start_on(60, folder, out)
    process.kill()
    process.communicate()
    with (out / "answers.jsonl").open("ab") as table:
        table.write(b'{"path": "/cut sh')
    with watched(folder, out):
        wait_for(lambda: len(answers(out)) >= 60)
        time.sleep(0.5)  # for one too many
    times = Counter(row["path"] for row in answers(out))
    assert times == {str(path): 1 for path in folder.glob("*.png")}


def test_a_stop_writes_down_what_is_under_way(places):
    folder, out = places
    process = start_on(40, folder, out)
    for _ in range(2):  # as `timeout` does
        process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert f"stopped: {len(answers(out))} files got a line, 0 of" in said
    assert "Traceback" not in said


def test_what_does_not_fit_is_said(places, tmp_path):
    folder, out = places
    command = ["watch", str(folder), "--out"]
    with pytest.raises(SystemExit, match="is no folder that can be watched"):
        main(["watch", str(tmp_path / "none"), "--out", str(out)])
    with pytest.raises(SystemExit, match="a folder of their own"):
        main([*command, str(folder / "sub" / "..")])
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="^error: .*file"):
        main([*command, str(tmp_path / "file")])
    out.mkdir()
    with (
        closing(Lines(out / "answers.jsonl")),
        pytest.raises(SystemExit, match="another process writes"),
    ):
        main([*command, str(out)])


@pytest.mark.parametrize("way", ["full", "gone"])
def test_a_watch_ends_with_a_sentence_where_no_line_can_be_kept(
    places, monkeypatch, way
):
    folder, out = places
    (folder / "a.png").write_bytes(PICTURE)

    def add(table, row):
        raise OSError(28, "No space left on device", "answers.jsonl")

    def in_place(table):
        return False

    patched = {"full": ("add", add), "gone": ("in_place", in_place)}[way]
    monkeypatch.setattr(Lines, *patched)
    said = {"full": "No space left on device: answers.jsonl. 0 files", "gone": "taken"}
    with pytest.raises(SystemExit, match=said[way]):
        main(["watch", str(folder), "--out", str(out), "--every", "0"])
    assert not answers(out)


def test_answers_below_the_watched_folder_are_no_films(places):
    pytest.importorskip("highdicom")
    folder, _ = places
    pixels = np.asarray(Image.open(io.BytesIO(PICTURE)).convert("L"))
    uids = {f"{what}InstanceUID": "1.2.3" for what in ("Study", "Series", "SOP")}
    (folder / "sub" / "a.dcm").write_bytes(make(pixels, **uids))
    out = folder / "out"
    with watched(folder, out, "--patience", "0", "--dicom"):
        wait_for(lambda: answers(out))
        time.sleep(0.5)
    assert len(answers(out)) == 1
    written = {path.name.split(".")[-2] for path in (out / "dicom").rglob("*.dcm")}
    assert written == {"report", "heatmap", "lungs"}


def test_no_film_is_decoded_in_the_watching_process(places, monkeypatch):
    folder, out = places
    (folder / "a.png").write_bytes(PICTURE)
    monkeypatch.setattr(batch, "read_anywhere", lambda *_: os.abort())

    def stop() -> None:
        wait_for(lambda: answers(out))
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    main(["watch", str(folder), "--out", str(out), "--every", "0.1"])
    assert [row["status"] for row in answers(out)] == ["ok"]


def test_a_second_signal_ends_at_once_unless_both_are_one_wish(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    raised = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    with stopping.asked() as numbers:
        for later in (0, 0, 60):
            now = time.monotonic() + later
            monkeypatch.setattr(stopping.time, "monotonic", lambda now=now: now)
            os.kill(os.getpid(), signal.SIGTERM)
        assert numbers == [signal.SIGTERM]
    assert raised == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) == before
