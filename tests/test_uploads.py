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
import threading
import time
from pathlib import Path

import gradio_client
import pytest
import requests
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from servers import served

from pneumonia.web import words
from pneumonia.web.demo import app as demo
from pneumonia.web.demo import uploads

ROOT = Path(__file__).parent.parent
NOBODY = 65534
HOUR = 3600


def may_unshare(*options: str) -> bool:
    """Return whether this machine lets us play container."""
    with contextlib.suppress(FileNotFoundError):
        done = subprocess.run(["unshare", *options, "true"], capture_output=True)
        return done.returncode == 0
    return False


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root is somebody else")
needs_mounts = pytest.mark.skipif(not may_unshare("-m"), reason="may mount nothing")
needs_containers = pytest.mark.skipif(
    not may_unshare("--pid", "--fork", "--mount-proc"), reason="no namespaces here"
)


@pytest.fixture
def place(monkeypatch, tmp_path):
    """A folder as /tmp is, and the only one."""
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o1777)
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


def keep(cache, name: str = "xray.png") -> Path:
    """Keep a file as Gradio does, which makes the folders that it misses."""
    folder = Path(cache.way, "abc")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"private")
    return folder / name


def is_private(path: Path) -> bool:
    found = path.lstat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o077


def test_uploads_live_in_a_private_folder_for_minutes(place):
    cache = uploads.Cache(keep_seconds=0.2)
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    upload = keep(cache)
    end = time.monotonic() + 60
    while upload.parent.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not upload.exists()
    assert not upload.parent.exists()
    cache.close()
    assert not cache.folder.exists()


def test_sub_folders_and_files_are_private_too(cache):
    keep(cache)
    assert all(is_private(path) for path in cache.folder.rglob("*"))


def vanish(folder: Path, tmp_path: Path):
    shutil.rmtree(folder)


def move_away(folder: Path, tmp_path: Path):
    folder.rename(tmp_path / "moved")


def open_to_others(folder: Path, tmp_path: Path):
    folder.chmod(0o755)


def replace_by_a_link(folder: Path, tmp_path: Path):
    shutil.rmtree(folder)
    folder.symlink_to(tmp_path / "home")


def replace_by_a_folder(folder: Path, tmp_path: Path):
    shutil.rmtree(folder)
    folder.mkdir()
    folder.chmod(0o777)


@pytest.mark.parametrize(
    "mishap",
    [vanish, move_away, open_to_others, replace_by_a_link, replace_by_a_folder],
)
def test_a_folder_that_is_lost_is_made_anew(cache, place, tmp_path, mishap):
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("of somebody")
    keep(cache)
    lost = cache.folder
    mishap(lost, tmp_path)
    cache.ensure()
    assert cache.folder != lost
    keep(cache, "second.png")
    assert is_private(cache.folder)
    assert (cache.folder / "abc" / "second.png").read_bytes() == b"private"
    assert all(is_private(path) for path in cache.folder.rglob("*"))
    for path in tmp_path.rglob("*.png"):
        assert path.is_relative_to(cache.folder)
    cache._keep_seconds = -HOUR
    cache.sweep()
    cache.close()
    assert (home / "thesis.txt").read_text() == "of somebody"


@pytest.mark.parametrize("mishap", [vanish, replace_by_a_link, replace_by_a_folder])
def test_between_two_looks_nothing_is_written_elsewhere(cache, tmp_path, mishap):
    (tmp_path / "home").mkdir()
    mishap(cache.folder, tmp_path)
    with pytest.raises(FileNotFoundError):
        keep(cache)
    assert list(tmp_path.rglob("abc")) == []
    cache.close()
    with pytest.raises((FileNotFoundError, NotADirectoryError)):
        keep(cache)


@pytest.fixture
def without_handles(monkeypatch):
    """As where no folder can be reached through its handle."""
    monkeypatch.setattr(uploads, "_HANDLES", "/nowhere/")
    monkeypatch.setattr(uploads, "_ways", [])


def test_without_handles_a_lost_folder_is_made_by_its_name(
    without_handles, place, tmp_path
):
    cache = uploads.Cache(keep_seconds=HOUR)
    keep(cache)
    assert cache.way == str(cache.folder)
    shutil.rmtree(cache.folder)
    cache.ensure()
    assert is_private(cache.folder)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("of somebody")
    for mishap in (replace_by_a_link, replace_by_a_folder):
        mishap(cache.folder, tmp_path)
        for _ in range(2):
            with pytest.raises(uploads.NoRoomError):
                cache.ensure()
        cache._keep_seconds = -HOUR
        cache.sweep()
        cache.folder.unlink() if cache.folder.is_symlink() else cache.folder.rmdir()
        cache.ensure()
    cache.close()
    assert list(place.iterdir()) == []
    assert (tmp_path / "home" / "thesis.txt").exists()


def test_only_what_nobody_holds_is_a_leftover(place, tmp_path):
    held, left = (place / f"pneumonia-{pid}-a-uploads" for pid in (99999999, 1))
    others = place / "pneumonia-notes-uploads", place / "pneumonia-2024-data"
    for folder in (held, left, *others):
        folder.mkdir()
        (folder / "file").write_bytes(b"x")
    link = place / "pneumonia-2-a-uploads"
    link.symlink_to(others[0])
    handle = os.open(held, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    uploads.Cache().close()
    os.close(handle)
    assert not left.exists()
    assert all((folder / "file").exists() for folder in (held, link, *others))
    uploads.Cache().close()
    assert not held.exists()


def test_leftovers_go_although_they_leave_no_room(monkeypatch, place):
    left = place / "pneumonia-1-a-uploads"
    left.mkdir()
    usage = shutil.disk_usage(place)
    monkeypatch.setattr(
        uploads.shutil,
        "disk_usage",
        lambda path: usage._replace(free=0 if left.exists() else 2**30),
    )
    uploads.Cache().close()
    assert not left.exists()


def test_programs_that_start_at_once_delete_no_folder_of_each_other(place):
    caches = []

    def start():
        caches.append(uploads.Cache(keep_seconds=HOUR))

    for _ in range(10):
        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(keep(cache).exists() for cache in caches)
    assert len({cache.folder for cache in caches}) == 40
    for cache in reversed(caches):
        cache.close()
    assert list(place.iterdir()) == []


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


HOLD = """
import sys, time
from pathlib import Path
from pneumonia.web.demo import uploads
uploads._MEMORY, uploads._AMPLE = Path(sys.argv[1]), 0
print(uploads.Cache().folder, flush=True)
time.sleep(600 if sys.argv[2:] else 0)
"""


def hold(place: Path, *wait: str, inside: tuple = ()) -> subprocess.Popen:
    command = [*inside, sys.executable, "-c", HOLD, str(place), *wait]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@needs_containers
def test_a_second_container_deletes_only_what_is_dead(place):
    container = ("unshare", "--pid", "--fork", "--mount-proc")
    living = hold(place, "wait")
    folder = Path(living.stdout.readline().strip())
    assert folder.is_dir()
    assert hold(place, inside=container).wait(60) == 0
    assert folder.is_dir()
    living.kill()
    living.wait()
    assert folder.is_dir()
    assert hold(place, inside=container).wait(60) == 0
    assert list(place.iterdir()) == []


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
    cache._keep_seconds = -HOUR
    cache.sweep()
    monkeypatch.undo()
    assert len(listed) > 3
    assert list(cache.folder.iterdir()) == []
    cache.close()
    cache.sweep()  # as one that had begun before


def test_memory_comes_first_and_the_working_directory_last(monkeypatch, tmp_path):
    memory, system = tmp_path / "memory", tmp_path / "system"
    for folder in (memory, system):
        folder.mkdir()
    monkeypatch.setattr(uploads, "_MEMORY", memory)
    monkeypatch.setattr(tempfile, "tempdir", str(system))
    usage = shutil.disk_usage(memory)
    free = {memory: 2**31, system: 2**31}
    monkeypatch.setattr(
        uploads.shutil, "disk_usage", lambda path: usage._replace(free=free[path])
    )
    assert uploads._places()[:2] == [memory, system]
    free[memory] = 64 * 2**20
    assert uploads._places() == [system, memory]
    monkeypatch.chdir(system)
    assert uploads._places() == [memory, system]
    free[memory] = 2**20
    assert uploads._places() == [system]
    free[system] = 0
    assert uploads._places() == []
    with pytest.raises(uploads.NoRoomError) as error:
        uploads.Cache()
    assert "docker run --tmpfs /tmp" in error.value.said


def test_what_is_kept_is_bounded(monkeypatch, cache):
    monkeypatch.setattr(uploads, "MOST", 100)
    assert cache.room() == 100
    keep(cache)
    assert cache.room() == 93


def guard(cache, app, *, path="/gradio_api/upload", length: int | None = 10) -> None:
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    asyncio.run(uploads.Guard(app, cache=cache)(scope, None, None))


def test_what_has_no_room_is_refused_before_it_comes(monkeypatch, cache):
    came = []

    async def app(scope, receive, send):
        came.append(scope["path"])

    monkeypatch.setattr(uploads, "MOST", 20 * 2**20)
    guard(cache, app, length=20 * 2**20)
    with pytest.raises(uploads.NoRoomError) as error:
        guard(cache, app, length=20 * 2**20 + 1)
    assert "room for 20 MB" in error.value.said
    assert "this has 21 MB" in error.value.said
    monkeypatch.setattr(uploads, "MOST", 0)
    guard(cache, app, path="/gradio_api/queue/join", length=500)  # keeps nothing
    guard(cache, app, path="/ask", length=20 * 2**20)
    assert len(came) == 3


def test_what_comes_at_the_same_time_counts(monkeypatch, cache):
    monkeypatch.setattr(uploads, "MOST", 2**20)

    async def app(scope, receive, send):
        if scope["path"].endswith("first"):
            scope["path"] = "/gradio_api/upload"
            await both(scope, receive, send)

    both = uploads.Guard(app, cache=cache)
    headers = [(b"content-length", str(2**19 + 1).encode())]
    scope = {"type": "http", "method": "POST", "headers": headers}
    with pytest.raises(uploads.NoRoomError):
        asyncio.run(both(scope | {"path": "/gradio_api/first"}, None, None))
    asyncio.run(both(scope | {"path": "/gradio_api/upload"}, None, None))


def test_an_upload_whose_folder_vanishes_is_refused_in_words(cache):
    async def app(scope, receive, send):
        shutil.rmtree(cache.folder)
        keep(cache)

    for _ in range(2):  # and the next one has a folder again
        with pytest.raises(uploads.NoRoomError) as error:
            guard(cache, app)
        assert error.value.said == words.NO_ROOM

    async def fail(scope, receive, send):
        raise OSError(errno.EIO, "something else")

    with pytest.raises(OSError, match="something else"):
        guard(cache, fail)


def test_half_an_upload_takes_no_room(cache):
    async def app(scope, receive, send):
        app.open = Path(cache.way, "tmp123").open("wb")  # noqa: SIM115
        app.open.write(b"x" * 2**20)
        app.open.flush()
        raise ConnectionError

    whole = keep(cache)
    with pytest.raises(ConnectionError):
        guard(cache, app, length=None)
    assert not Path(cache.way, "tmp123").exists()
    assert os.fstat(app.open.fileno()).st_size == 0
    app.open.close()
    assert whole.exists()


def ask(url: str, picture: Path, place: Path) -> str:
    """Ask the demo's API as a program does; returns the label."""
    client = gradio_client.Client(url, verbose=False, download_files=place)
    upload = gradio_client.handle_file(picture)
    bars, overlay, _ = client.predict(upload, api_name="/predict")
    assert Path(overlay).stat().st_size
    return bars["label"]


def ask_as_a_tool(url: str, data: bytes) -> bool:
    """Ask as a language model does; returns whether there was an answer."""
    drawing = "data:image/png;base64," + base64.b64encode(data).decode()

    async def call():
        async with (
            streamablehttp_client(f"{url}gradio_api/mcp/") as (receive, send, _),
            ClientSession(receive, send) as session,
        ):
            await session.initialize()
            (tool,) = (await session.list_tools()).tools
            return await session.call_tool(tool.name, {"path": drawing})

    return not asyncio.run(call()).isError


def kept_by(pid: int, place: Path) -> Path:
    places = (Path("/dev/shm"), place)
    (folder,) = (p for each in places for p in each.glob(f"pneumonia-{pid}-*"))
    return folder


def check_privacy(folder: Path) -> None:
    """Check what is kept, with the eyes of this user and of another."""
    kept = [folder, *folder.rglob("*")]
    assert any(path.is_file() for path in kept)
    assert all(is_private(path) for path in kept)
    if os.getuid() == 0:
        assert seen_by_others(Path("/")) == "/\n"
        assert seen_by_others(*kept) == ""


def seen_by_others(*paths: Path) -> str:
    """Return what another user can list, read or write to."""
    look = '{ ls "$each" || cat "$each" || touch "$each"; } >&2 && echo "$each"'
    look = f"for each; do {look}; done"
    ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    command = ["setpriv", *ids, "sh", "-c", look, "sh", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True).stdout


@pytest.mark.server
def test_nobody_else_sees_what_the_demo_keeps(phantom_bytes, tmp_path):
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o1777)
    picture = tmp_path / "private.png"
    picture.write_bytes(phantom_bytes)
    outside = {"TMPDIR": str(place)}
    start = served("demo.py", "--mcp", umask=0o022, env=os.environ | outside)
    with start as (url, process):
        assert ask(url, picture, tmp_path) == "Pneumonia"
        first = kept_by(process.pid, place)
        assert list(first.rglob("private.png"))
        check_privacy(first)
        shutil.rmtree(first)  # as at the end of a session, or of a cleaner
        assert ask(url, picture, tmp_path) == "Pneumonia"
        second = kept_by(process.pid, place)
        assert second != first
        shutil.rmtree(second)
        assert ask_as_a_tool(url, phantom_bytes)
        third = kept_by(process.pid, place)
        check_privacy(third)
        shutil.rmtree(third)
        third.mkdir(mode=0o777)  # somebody wants to see what comes
        upload = requests.post(
            f"{url}gradio_api/upload", files={"files": ("a.png", phantom_bytes)}
        )
        assert upload.status_code == 200
        assert list(third.iterdir()) == []
        third.rmdir()
        last = kept_by(process.pid, place)
        check_privacy(last)
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
    """Return what runs a command as in a read-only container, with memory of a size."""
    return ("unshare", "-m", "bash", "-c", READ_ONLY, "bash", memory)


@needs_mounts
@pytest.mark.server
def test_the_demo_runs_read_only_with_little_memory(phantom_bytes, tmp_path):
    picture = tmp_path / "x.png"
    picture.write_bytes(phantom_bytes)
    with served("demo.py", inside=read_only("64m")) as (url, _):
        send = {"url": f"{url}gradio_api/upload"}
        large = {"files": ("large.png", b"x" * (63 * 2**20))}
        assert requests.post(**send, files={"files": b"x" * 2**25}).status_code == 200
        refused = requests.post(**send, files=large)
        assert refused.status_code == 507
        assert "There is room for 3" in refused.json()["detail"]
        body, kind = requests.models.RequestEncodingMixin._encode_files(large, {})
        parts = (body[i : i + 2**20] for i in range(0, len(body), 2**20))
        dripped = requests.post(**send, data=parts, headers={"Content-Type": kind})
        assert (dripped.status_code, dripped.json()["detail"]) == (507, words.NO_ROOM)
        assert ask(url, picture, tmp_path) == "Pneumonia"
        assert requests.post(f"{url}ask", data=phantom_bytes).status_code == 200


def test_the_demo_says_what_to_mount(monkeypatch, classifier):
    monkeypatch.setattr(demo.startup, "load", lambda args: classifier)
    monkeypatch.setattr(demo.signal, "signal", lambda *args: None)
    monkeypatch.setattr(uploads, "_places", list)
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    with pytest.raises(SystemExit) as end:
        demo.main()
    assert end.value.code == f"error: {words.NO_PLACE.format(least=8)}"


@needs_mounts
@pytest.mark.parametrize("command", ["-m pneumonia serve form", "flask_app.py"])
@pytest.mark.server
def test_the_form_runs_where_nothing_can_be_written(command, phantom_bytes):
    with served(*command.split(), inside=read_only("4k")) as (url, _):
        sent = {"image": ("x.png", phantom_bytes)}
        for path in ("", "api/predict"):
            assert requests.post(f"{url}{path}", files=sent).status_code == 200
