"""Where uploads are kept: nobody else reads them, nobody deletes them too early."""

import asyncio
import base64
import contextlib
import errno
import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gradio_client
import pytest
import requests
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from servers import served

from pneumonia import predict, verdict
from pneumonia.web import words
from pneumonia.web.demo import app as demo
from pneumonia.web.demo import uploads
from pneumonia.web.demo.uploads import NoRoomError

HOUR, MIB = 3600, 2**20


def may_unshare(*options: str) -> bool:
    """Return whether this machine lets us play container."""
    with contextlib.suppress(FileNotFoundError):
        done = subprocess.run(["unshare", *options, "true"], capture_output=True)
        return done.returncode == 0
    return False


needs_mounts = pytest.mark.skipif(not may_unshare("-m"), reason="may mount nothing")


def shared(folder: Path) -> Path:
    """A folder as /tmp is."""
    (folder / "shared").mkdir()
    (folder / "shared").chmod(0o1777)
    return folder / "shared"


@pytest.fixture
def place(monkeypatch, tmp_path):
    """The only place for uploads."""
    place = shared(tmp_path)
    monkeypatch.setattr(uploads, "_MEMORY", place)
    monkeypatch.setattr(uploads, "_AMPLE", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def cache(place):
    before = os.umask(0o022)
    cache = uploads.Cache(keep_seconds=HOUR)
    yield cache
    cache.close()
    os.umask(before)


@pytest.fixture
def thesis(tmp_path):
    """Somebody's file, in a folder called home."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("of somebody")
    return tmp_path / "home" / "thesis.txt"


def keep(cache, name: str = "xray.png") -> Path:
    """Keep a file as Gradio does, which makes the folders that it misses."""
    folder = Path(cache.way, "abc")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"private")
    return folder / name


def is_private(path: Path) -> bool:
    found = path.lstat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o077


def sweep_all(cache) -> None:
    cache._keep_seconds = -HOUR
    cache.sweep()


def test_uploads_live_in_a_private_folder_for_minutes(place):
    cache = uploads.Cache(keep_seconds=0.2)
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    upload = keep(cache)
    end = time.monotonic() + 60
    while upload.parent.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not upload.parent.exists()
    cache.close()
    assert not cache.folder.exists()


def replace_by_a_link(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to(folder.parents[1] / "home")


def replace_by_a_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    folder.chmod(0o777)


def move_away(folder: Path) -> None:
    folder.rename(folder.parents[1] / "moved")


def open_to_others(folder: Path) -> None:
    folder.chmod(0o755)


GONE = [shutil.rmtree, replace_by_a_link, replace_by_a_folder]


@pytest.mark.parametrize("mishap", [*GONE, move_away, open_to_others])
def test_a_folder_that_is_lost_is_made_anew(cache, tmp_path, thesis, mishap):
    keep(cache)
    lost = cache.folder
    assert all(is_private(path) for path in lost.rglob("*"))
    mishap(lost)
    if mishap in GONE:  # until somebody looks, nothing is written elsewhere
        with pytest.raises(FileNotFoundError):
            keep(cache)
        assert list(tmp_path.rglob("abc")) == []
    cache.ensure()
    assert cache.folder != lost
    keep(cache, "second.png")
    assert (cache.folder / "abc" / "second.png").read_bytes() == b"private"
    assert all(is_private(path) for path in (cache.folder, *cache.folder.rglob("*")))
    assert all(path.is_relative_to(cache.folder) for path in tmp_path.rglob("*.png"))
    sweep_all(cache)
    cache.close()
    with pytest.raises((FileNotFoundError, NotADirectoryError)):
        keep(cache)
    assert thesis.read_text() == "of somebody"


def test_without_handles_a_lost_folder_is_made_by_its_name(monkeypatch, place, thesis):
    monkeypatch.setattr(uploads, "_HANDLES", "/nowhere/")
    monkeypatch.setattr(uploads, "_ways", [])
    cache = uploads.Cache(keep_seconds=HOUR)
    keep(cache)
    assert cache.way == str(cache.folder)
    shutil.rmtree(cache.folder)
    cache.ensure()
    assert is_private(cache.folder)
    for mishap in (replace_by_a_link, replace_by_a_folder):
        mishap(cache.folder)
        for _ in range(2):
            with pytest.raises(NoRoomError):
                cache.ensure()
        sweep_all(cache)
        cache.folder.unlink() if cache.folder.is_symlink() else cache.folder.rmdir()
        cache.ensure()
    cache.close()
    assert list(place.iterdir()) == []
    assert thesis.exists()


def test_only_what_nobody_holds_is_a_leftover(monkeypatch, place):
    held, left = (place / f"pneumonia-{pid}-a-uploads" for pid in (99999999, 1))
    others = place / "pneumonia-notes-uploads", place / "pneumonia-2024-data"
    for folder in (held, left, *others):
        folder.mkdir()
        (folder / "file").write_bytes(b"x")
    link = place / "pneumonia-2-a-uploads"
    link.symlink_to(others[0])
    usage = shutil.disk_usage(place)

    def usage_now(path):  # the leftover leaves no room
        return usage._replace(free=0 if left.exists() else 2**30)

    monkeypatch.setattr(uploads.shutil, "disk_usage", usage_now)
    handle = os.open(held, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    uploads.Cache().close()
    os.close(handle)
    assert not left.exists()
    assert all((folder / "file").exists() for folder in (held, link, *others))
    uploads.Cache().close()
    assert not held.exists()


def test_a_folder_taken_for_a_leftover_before_it_is_held_is_made_again(
    monkeypatch, place
):
    made, make = [], tempfile.mkdtemp

    def make_and_lose(*args):
        made.append(make(*args))
        if len(made) < 3:  # two other programs have just started
            uploads._remove_leftovers(place)
        return made[-1]

    monkeypatch.setattr(uploads.tempfile, "mkdtemp", make_and_lose)
    cache = uploads.Cache()
    assert [str(cache.folder)] == made[2:]
    assert keep(cache).exists()
    cache.close()


def test_a_sweep_goes_on_where_something_is_gone(monkeypatch, cache):
    for name in ("one", "two", "three"):
        (cache.folder / name / "deep").mkdir(parents=True)
        (cache.folder / name / "deep" / "file").write_bytes(b"x")
    listed, scan = [], os.scandir

    def scan_late(path):  # one folder vanishes before it is looked into
        listed.append(path)
        if len(listed) == 3:
            shutil.rmtree(path)
        return scan(path)

    monkeypatch.setattr(uploads.os, "scandir", scan_late)
    sweep_all(cache)
    monkeypatch.undo()
    assert len(listed) > 3
    assert list(cache.folder.iterdir()) == []
    cache.close()
    cache.sweep()  # as one that had begun before


def test_memory_comes_first_and_the_working_directory_last(monkeypatch, tmp_path):
    memory, system = tmp_path / "memory", tmp_path / "system"
    memory.mkdir()
    system.mkdir()
    monkeypatch.setattr(uploads, "_MEMORY", memory)
    monkeypatch.setattr(tempfile, "tempdir", str(system))
    usage, free = shutil.disk_usage(memory), {system: 2**31}

    def usage_now(path):
        return usage._replace(free=free[path])

    monkeypatch.setattr(uploads.shutil, "disk_usage", usage_now)
    for folder, bytes_free, places in (
        (tmp_path, 2**31, [memory, system, memory]),
        (tmp_path, 64 * MIB, [system, memory]),
        (system, 64 * MIB, [memory, system]),
        (system, MIB, [system]),
    ):
        monkeypatch.chdir(folder)
        free[memory] = bytes_free
        assert uploads._places() == places
    free[system] = 0
    assert uploads._places() == []
    with pytest.raises(NoRoomError) as error:
        uploads.Cache()
    assert "docker run --tmpfs /tmp" in error.value.said


async def take(scope, receive, send):
    scope.setdefault("came", []).append(scope["path"])


def guard(cache, app=take, path="/gradio_api/upload", length: int | None = 10) -> None:
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    asyncio.run(uploads.Guard(app, cache=cache)(scope, None, None))
    assert app is not take or scope["came"] == [path]


def test_what_has_no_room_is_refused_before_it_comes(monkeypatch, cache):
    monkeypatch.setattr(uploads, "MOST", 20 * MIB)
    guard(cache, length=20 * MIB)
    with pytest.raises(NoRoomError) as error:
        guard(cache, length=20 * MIB + 1)
    assert "room for 20 MB" in error.value.said
    assert "this has 21 MB" in error.value.said
    keep(cache)
    with pytest.raises(NoRoomError):  # what is kept counts
        guard(cache, length=20 * MIB)
    assert cache.room() == 20 * MIB - len(b"private")
    monkeypatch.setattr(uploads, "MOST", 0)
    guard(cache, path="/gradio_api/queue/join", length=500)  # keeps nothing
    guard(cache, path="/ask", length=20 * MIB)


def test_what_comes_at_the_same_time_counts(monkeypatch, cache):
    monkeypatch.setattr(uploads, "MOST", MIB)

    async def app(scope, receive, send):
        if scope["path"].endswith("first"):
            await both(scope | {"path": "/gradio_api/upload"}, receive, send)

    both = uploads.Guard(app, cache=cache)
    headers = [(b"content-length", str(MIB // 2 + 1).encode())]
    scope = {"type": "http", "method": "POST", "headers": headers}
    with pytest.raises(NoRoomError):
        asyncio.run(both(scope | {"path": "/gradio_api/first"}, None, None))
    asyncio.run(both(scope | {"path": "/gradio_api/upload"}, None, None))


def test_an_upload_whose_folder_vanishes_is_refused_in_words(cache):
    async def lose(scope, receive, send):
        shutil.rmtree(cache.folder)
        keep(cache)

    async def fail(scope, receive, send):
        raise OSError(errno.EIO, "something else")

    for _ in range(2):  # and the next one has a folder again
        with pytest.raises(NoRoomError) as error:
            guard(cache, lose)
        assert error.value.said == words.NO_ROOM
    with pytest.raises(OSError, match="something else"):
        guard(cache, fail)


def test_half_an_upload_takes_no_room(cache):
    async def break_off(scope, receive, send):
        part.write(b"x" * MIB)
        part.flush()
        raise ConnectionError

    whole = keep(cache)
    with Path(cache.way, "tmp123").open("wb") as part:
        with pytest.raises(ConnectionError):
            guard(cache, break_off, length=None)
        assert os.fstat(part.fileno()).st_size == 0
    assert not Path(cache.way, "tmp123").exists()
    assert whole.exists()


def ask(url: str, picture: Path, place: Path) -> str:
    """Ask the demo's API as a program does; returns the label."""
    client = gradio_client.Client(url, verbose=False, download_files=place)
    upload = gradio_client.handle_file(picture)
    bars, overlay, _ = client.predict(upload, api_name="/predict")
    assert Path(overlay).stat().st_size
    return bars["label"]


def ask_as_a_tool(url: str, *pictures: bytes) -> list:
    """Ask as a language model does; returns each answer."""
    texts = [base64.b64encode(picture).decode() for picture in pictures]
    paths = [f"data:image/png;base64,{text}" for text in texts]

    async def use():
        async with (
            streamablehttp_client(f"{url}gradio_api/mcp/") as (receive, send, _),
            ClientSession(receive, send) as session,
        ):
            await session.initialize()
            (tool,) = (await session.list_tools()).tools
            assert tool.name == "predict"
            return [await session.call_tool("predict", {"path": p}) for p in paths]

    return asyncio.run(use())


def kept_by(pid: int, place: Path) -> Path:
    """Where a process keeps files: they are private, to the eyes of others, too."""
    places = (Path("/dev/shm"), place)
    (folder,) = (p for each in places for p in each.glob(f"pneumonia-{pid}-*"))
    kept = [folder, *folder.rglob("*")]
    assert any(path.is_file() for path in kept)
    assert all(is_private(path) for path in kept)
    if os.getuid() == 0:
        assert seen_by_others(Path("/")) == "/\n"
        assert seen_by_others(*kept) == ""
    return folder


def seen_by_others(*paths: Path) -> str:
    """Return what another user can list, read or write to."""
    look = '{ ls "$each" || cat "$each" || touch "$each"; } >&2 && echo "$each"'
    look = f"for each; do {look}; done"
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    command = [*nobody, "sh", "-c", look, "sh", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True).stdout


@pytest.mark.server
def test_nobody_else_sees_what_the_demo_keeps(classifier, phantom_bytes, tmp_path):
    place, picture = shared(tmp_path), tmp_path / "private.png"
    picture.write_bytes(phantom_bytes)
    options = {"umask": 0o022, "env": os.environ | {"TMPDIR": str(place)}}
    with served("demo.py", "--mcp", **options) as (url, process):
        assert ask(url, picture, tmp_path) == "Pneumonia"
        first = kept_by(process.pid, place)
        assert list(first.rglob("private.png"))
        shutil.rmtree(first)  # as at the end of a session, or of a cleaner
        assert ask(url, picture, tmp_path) == "Pneumonia"
        second = kept_by(process.pid, place)
        assert second != first
        shutil.rmtree(second)
        answer, refusal = ask_as_a_tool(url, phantom_bytes, b"Dear doctor")
        expected = verdict(classifier, predict(classifier, phantom_bytes))
        assert expected in answer.content[0].text
        assert refusal.isError
        assert "not a picture" in refusal.content[0].text
        third = kept_by(process.pid, place)
        shutil.rmtree(third)
        third.mkdir(mode=0o777)  # somebody wants to see what comes
        sent = {"files": ("a.png", phantom_bytes)}
        upload = requests.post(f"{url}gradio_api/upload", files=sent)
        assert upload.status_code == 200
        assert list(third.iterdir()) == []
        third.rmdir()
        last = kept_by(process.pid, place)
        assert all(path.is_relative_to(last) for path in place.rglob("*"))
    assert not last.exists()


READ_ONLY = """
mount -t tmpfs -o size=$1,mode=1777 tmpfs /dev/shm
for each in $(findmnt -rno TARGET); do
    case $each in
        /proc*|/sys*|/dev|/dev/pts|/) ;;
        /dev/shm) test $1 != 4k || mount -o remount,ro,bind $each ;;
        *) mount -o remount,ro,bind $each ;;
    esac
done
mount -o remount,ro,bind /
! touch /tmp/x 2>/dev/null || exit 1
shift
exec "$@"
"""


def read_only(memory: str) -> tuple:
    return ("unshare", "-m", "bash", "-c", READ_ONLY, "bash", memory)


@needs_mounts
@pytest.mark.server
def test_the_demo_runs_read_only_with_little_memory(phantom_bytes, tmp_path):
    picture = tmp_path / "x.png"
    picture.write_bytes(phantom_bytes)
    with served("demo.py", inside=read_only("64m")) as (url, _):
        send = {"url": f"{url}gradio_api/upload"}
        large = {"files": ("large.png", b"x" * (63 * MIB))}
        assert requests.post(**send, files={"files": b"x" * 2**25}).status_code == 200
        refused = requests.post(**send, files=large)
        assert refused.status_code == 507
        assert "There is room for 3" in refused.json()["detail"]
        body, kind = requests.models.RequestEncodingMixin._encode_files(large, {})
        parts = (body[i : i + MIB] for i in range(0, len(body), MIB))
        dripped = requests.post(**send, data=parts, headers={"Content-Type": kind})
        assert (dripped.status_code, dripped.json()["detail"]) == (507, words.NO_ROOM)
        assert ask(url, picture, tmp_path) == "Pneumonia"
        assert requests.post(f"{url}ask", data=phantom_bytes).status_code == 200


@needs_mounts
@pytest.mark.parametrize("command", ["-m pneumonia serve form", "flask_app.py"])
@pytest.mark.server
def test_the_form_runs_where_nothing_can_be_written(command, phantom_bytes):
    with served(*command.split(), inside=read_only("4k")) as (url, _):
        sent = {"image": ("x.png", phantom_bytes)}
        for path in ("", "api/predict"):
            assert requests.post(f"{url}{path}", files=sent).status_code == 200


def test_the_demo_says_what_to_mount(monkeypatch, classifier):
    monkeypatch.setattr(demo.startup, "load", lambda args: classifier)
    monkeypatch.setattr(demo.signal, "signal", lambda *args: None)
    monkeypatch.setattr(uploads, "_places", list)
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    with pytest.raises(SystemExit) as end:
        demo.main()
    assert end.value.code == f"error: {words.NO_PLACE.format(least=8)}"
