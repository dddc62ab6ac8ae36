"""Hostile decoding elsewhere: a crash, a loop or a glutton costs one request."""

import os
import resource
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pictures import GREY, encode
from test_image import BAD

from pneumonia import ImageError
from pneumonia.reading import isolated
from pneumonia.reading.image import read_picture

PICTURE = encode(GREY)
EVIL = """
def evil(data, sharp):
    import ctypes, os, time
    from pneumonia.reading.image import read_picture
    if data == b"crash":
        ctypes.string_at(0)
    if data == b"loop":
        while True:
            pass
    if data == b"sleep":
        time.sleep(3600)
    if data == b"eat":
        return [bytes(2**30) for _ in range(99)]
    if data == b"print":
        os.system("echo noise; echo noise >&2")
        print("noise", flush=True)
    if data == b"bug":
        raise KeyError("Mustermann")
    if data.startswith(b"write"):
        with open(data[5:], "wb") as file:
            file.write(bytes(9))
    return read_picture(data, sharp)
"""


@pytest.fixture
def reader():
    reader = isolated.IsolatedReader(workers=1)
    yield reader
    reader.close()


@pytest.fixture
def evil(monkeypatch, reader):
    limited = "import pneumonia.reading.worker as w\nw.CPU_SECONDS = 1\n"
    served = isolated._START.replace("serve()", f"{limited}{EVIL}\nserve(evil)")
    monkeypatch.setattr(isolated, "_START", served)
    return reader


def answers(reader) -> bool:
    return reader.read(PICTURE).pixels.shape == GREY.shape


def kill(worker) -> None:
    os.kill(worker._process.pid, signal.SIGKILL)


def test_a_sharp_picture_keeps_more_pixels(reader):
    large = np.random.default_rng(0).integers(0, 255, (2400, 1200), np.uint8)
    for kind in ("PNG", "JPEG"):
        data = encode(large, kind)
        plain, sharp = reader.read(data), reader.read(data, sharp=True)
        assert sharp.pixels.shape == (2048, 1024)
        assert plain.pixels.shape[0] <= 1200
        assert (sharp.pixels == read_picture(data, sharp=True).pixels).all()


def test_pixels_warnings_and_reasons_are_those_of_the_plain_reader(reader):
    hues = np.random.default_rng(0).integers(0, 255, (90, 80, 3), dtype=np.uint8)
    for data in (PICTURE, encode(hues)):
        here, there = read_picture(data), reader.read(data)
        assert (here.pixels == there.pixels).all()
        assert (here.chroma, here.warnings) == (there.chroma, there.warnings)
    for kind in ("text", "truncated PNG", "4 gigapixels", "black", "empty DICOM"):
        with pytest.raises(ImageError) as caught:
            reader.read(BAD[kind][0])
        assert caught.value.reason == BAD[kind][1]
    assert len(reader._idle) == 1  # one worker did it all


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"crash", "damaged"),
        (b"loop", "too_slow"),
        (b"eat", "too_many_pixels"),
        (b"bug", "damaged"),
        (b"print", "not_image"),
    ],
)
def test_after_a_hostile_file_the_next_is_answered(evil, data, reason, caplog):
    with pytest.raises(ImageError) as caught:
        evil.read(data)
    # MemoryError may come outside of the reader's own care
    assert caught.value.reason in {reason, "damaged" if data == b"eat" else reason}
    assert "Mustermann" not in caplog.text + str(caught.value)
    assert answers(evil)


def test_a_decoder_can_write_no_file(evil, tmp_path):
    with pytest.raises(ImageError):
        evil.read(b"write" + str(tmp_path / "x").encode())
    assert (tmp_path / "x").stat().st_size == 0


def test_a_decoder_that_sleeps_is_killed(evil):
    evil.read(PICTURE)  # the worker is up
    evil._wall_seconds = 0.5
    with pytest.raises(ImageError) as caught:
        evil.read(b"sleep")
    assert caught.value.reason == "too_slow"
    evil._wall_seconds = 60
    assert answers(evil)


def test_a_worker_killed_from_outside_loses_no_request(reader):
    reader.read(PICTURE)
    for _ in range(2):
        kill(reader._idle[-1])
        assert answers(reader)
    reader._idle.append(isolated._Worker())
    for worker in reader._idle:
        kill(worker)
    assert answers(reader)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux")
def test_a_worker_short_of_memory_loses_no_request(reader):
    reader.read(PICTURE)
    worker = reader._idle[-1]._process.pid
    pages = int(Path(f"/proc/{worker}/statm").read_text().split()[0])
    few = pages * resource.getpagesize() + 2**20
    resource.prlimit(worker, resource.RLIMIT_AS, (few, few))
    assert reader.read(encode(np.tile(GREY, (30, 30)))).pixels.size > 2**19


def test_threads_share_the_workers(reader):
    expected = read_picture(PICTURE).pixels
    with ThreadPoolExecutor(8) as threads:
        read = [*threads.map(reader.read, [PICTURE] * 8)]
    assert all((picture.pixels == expected).all() for picture in read)
    assert len(reader._idle) == 1


def test_a_worn_worker_is_replaced_and_a_closed_reader_leaves_none(reader, monkeypatch):
    monkeypatch.setattr(isolated, "_RETIRE_AFTER", 1)
    reader.read(PICTURE)
    assert not reader._idle
    monkeypatch.setattr(isolated, "_RETIRE_AFTER", 1000)
    reader.read(PICTURE)
    process = reader._idle[0]._process
    reader.close()
    assert process.poll() is not None


def test_nonsense_from_a_worker_is_no_answer(monkeypatch):
    nonsense = "import os, time\nos.write(1, b'\\xff' * 64)\ntime.sleep(9)\n"
    monkeypatch.setattr(isolated, "_START", nonsense)
    reader = isolated.IsolatedReader()
    began = time.monotonic()
    with pytest.raises(ImageError, match="damaged"):
        reader.read(PICTURE)
    assert time.monotonic() - began < 50
