"""Who may come in, how often, what answers carry, and what never leaves."""

import argparse
import asyncio
import base64
import contextlib
import errno
import hashlib
import http.client
import io
import logging
import os
import platform
import re
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests
from servers import served

from pneumonia import ImageError, phantoms, predict
from pneumonia.reading.image import read_picture
from pneumonia.web import door
from pneumonia.web.demo import asgi
from pneumonia.web.form import app as flask_app
from pneumonia.web.form import server

KEY = door.Credentials("ann", "säcret")
PICTURE = phantoms()[0].read_bytes()


def form(data: bytes = PICTURE, name: str = "x.png") -> dict:
    return {"data": {"image": (io.BytesIO(data), name)}}


def basic(user: str, password: str) -> dict:
    word = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"headers": {"Authorization": f"Basic {word}"}}


@pytest.fixture
def make_web(classifier):
    return lambda **options: flask_app.create_app(
        classifier, read=read_picture, **options
    ).test_client()


@pytest.mark.parametrize(
    ("arguments", "open_to_strangers"),
    [
        ([], False),
        (["--host", "localhost"], False),
        (["--host", "::1"], False),
        (["--host", "0.0.0.0"], True),
        (["--host", "::"], True),
        (["--host", "192.168.1.2"], True),
        (["--host", "0.0.0.0", "--public"], False),
        (["--host", "0.0.0.0", "--auth", "a:b"], False),
        (["--share"], True),
        (["--share", "--public"], False),
    ],
)
def test_strangers_come_in_only_where_somebody_said_so(
    arguments, open_to_strangers, capsys, monkeypatch
):
    monkeypatch.delenv("PNEUMONIA_AUTH", raising=False)
    parser = argparse.ArgumentParser()
    door.add_arguments(parser, 1)
    parser.add_argument("--share", action="store_true")
    args = parser.parse_args(arguments)
    if not open_to_strangers:
        door.check_access(parser, args, args.share)
        return
    with pytest.raises(SystemExit):
        door.check_access(parser, args, args.share)
    assert "--auth USER:PASSWORD, or say --public" in capsys.readouterr().err


def test_the_password_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("PNEUMONIA_AUTH", "ann:b:c")
    parser = argparse.ArgumentParser()
    door.add_arguments(parser, 1)
    assert parser.parse_args([]).auth == door.Credentials("ann", "b:c")


@pytest.mark.parametrize("wrong", ["nobody", ":secret", "user:"])
def test_apps_want_user_and_password(wrong, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["flask_app.py", "--auth", wrong])
    with pytest.raises(SystemExit):
        flask_app.main()
    assert "expected USER:PASSWORD" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["example.org", "https://a b", "https://a;x", "*"])
def test_only_an_origin_may_embed(wrong):
    with pytest.raises(argparse.ArgumentTypeError):
        door.origin(wrong)


def test_flask_lets_in_who_knows_the_password(make_web):
    web = make_web(auth=KEY)
    for place in ("/", "/static/style.css", "/api/predict", "/none"):
        answer = web.get(place)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    for user, password in (("ann", "x"), ("x", "säcret"), ("", ""), ("ann", "säcre")):
        assert web.get("/", **basic(user, password)).status_code == 401
    assert web.get("/", headers={"Authorization": "Bearer x"}).status_code == 401
    assert web.post("/api/predict", **form()).status_code == 401
    good = basic("ann", "säcret")
    assert web.get("/", **good).status_code == 200
    assert web.post("/api/predict", **good, **form()).status_code == 200
    assert web.get("/healthz").status_code == 200  # for watchdogs, says nothing


def test_a_client_that_sends_too_much_waits_and_others_do_not(make_web):
    web = make_web(rate=2)
    sender = {"environ_overrides": {"REMOTE_ADDR": "203.0.113.7"}}
    codes = [web.post("/api/predict", **sender).status_code for _ in range(3)]
    assert codes == [400, 400, 429]
    answer = web.post("/api/predict", **sender)
    assert 1 <= int(answer.headers["Retry-After"]) <= 30
    assert answer.json["error"]["reason"] == "too_many_requests"
    assert web.get("/", **sender).status_code == 200
    other = {"environ_overrides": {"REMOTE_ADDR": "203.0.113.8"}}
    assert web.post("/api/predict", **other).status_code == 400
    assert all(web.post("/api/predict").status_code == 400 for _ in range(9))


def test_the_rate_limit_fills_up_again_and_forgets(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(door.time, "monotonic", lambda: now[0])
    limit = door.RateLimit(60, clients=3)
    assert [limit.wait("192.0.2.1") for _ in range(61)] == [0] * 60 + [1]
    now[0] = 2.5
    assert [limit.wait("192.0.2.1") for _ in range(3)] == [0, 0, 1]
    same = [limit.wait(f"2001:db8::{i}") for i in range(61)]  # one owner, one bucket
    assert same[-1] == 1
    for i in range(9):
        limit.wait(f"192.0.2.{i}")
    assert len(limit._buckets) == 3


def test_a_full_queue_is_said_at_once(make_web, monkeypatch):
    leave = threading.Event()

    def slow(*args, **kwargs):
        leave.wait(300)
        raise ImageError("not_image", "It took its time.")

    monkeypatch.setattr(flask_app, "predict", slow)
    turnstile = door.Turnstile(1, 1, patience=300)
    monkeypatch.setattr(door, "Turnstile", lambda *args: turnstile)
    web, codes = make_web(), []

    def ask():
        client = web.application.test_client()
        codes.append(client.post("/api/predict", **form()).status_code)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    while turnstile._places._value:  # until one works and one waits
        time.sleep(0.01)
    answer = web.post("/api/predict", **form())
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == str(door.RETRY_SECONDS)
    assert answer.json["error"]["reason"] == "service_unavailable"
    assert codes == []
    leave.set()
    for thread in threads:
        thread.join()
    assert codes == [422, 422]
    assert web.post("/api/predict", **form()).status_code == 422


def test_waiting_has_an_end():
    turnstile = door.Turnstile(1, 1, patience=0.05)
    with turnstile.turn(), pytest.raises(door.BusyError), turnstile.turn():
        pass
    with turnstile.turn():
        pass  # both places are free again


def test_every_answer_carries_its_headers_and_a_new_id(make_web):
    web = make_web(embed=["https://clinic.example"])
    answers = [
        web.get("/"),
        web.get("/none"),
        web.get("/static/style.css"),
        web.post("/", **form()),
        web.post("/api/predict", **form(b"text")),
    ]
    for answer in answers:
        for name, value in door.HEADERS.items():
            assert answer.headers[name] == value
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy  # files of ours, none in a page
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'self' https://clinic.example" in policy
        assert "unsafe" not in policy
        for script in re.findall(r"<script.*", answer.text):
            assert re.fullmatch(
                r'<script type="module" src="\./static/\w+.js"></script>', script
            )
        assert not re.search(r"\son\w+=", answer.text)
    ids = {answer.headers["X-Request-Id"] for answer in answers}
    assert len(ids) == len(answers)
    assert answers[-1].json["error"]["request_id"] in ids


def test_pages_of_others_may_not_send(make_web):
    web = make_web()
    for path in ("/", "/api/predict"):
        cross = web.post(path, headers={"Sec-Fetch-Site": "cross-site"}, **form())
        assert cross.status_code == 403
        own = web.post(path, headers={"Sec-Fetch-Site": "same-origin"}, **form())
        assert own.status_code == 200


def test_file_names_are_not_logged_and_shown_to_their_sender_alone(
    make_web, caplog, capfd
):
    caplog.set_level(logging.DEBUG)
    web, name = make_web(), "Mustermann<script>evil(1)</script>.png"
    for data in (PICTURE, b"no picture"):
        for path in ("/", "/api/predict?overlay=1"):
            answer = web.post(path, **form(data, name))
            heard = answer.text + str(answer.headers)
            assert "<script>evil(" not in heard
            shown = (
                path == "/" and data is PICTURE
            )  # without JavaScript nothing else can
            assert ("Mustermann&lt;script&gt;" in heard) == shown
            assert "Mustermann" not in heard.replace("Mustermann&lt;script&gt;", "")
    assert answer.headers["X-Request-Id"] in caplog.text
    heard = caplog.text + "".join(capfd.readouterr())
    assert "Mustermann" not in heard
    assert "127.0.0.1" not in heard


@pytest.fixture
def live(make_web, monkeypatch):
    monkeypatch.setattr(server, "IDLE_SECONDS", 1)
    monkeypatch.setattr(server, "REQUEST_SECONDS", 1)
    monkeypatch.setattr(server.Handler, "timeout", 1)
    monkeypatch.setattr(server, "CONNECTIONS", 2)
    live = server.Server("127.0.0.1", 0, make_web().application)
    thread = threading.Thread(target=live.serve_forever)
    thread.start()
    yield live
    live.shutdown()
    thread.join()


def ask(live) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", live.server_port, timeout=60)
    connection.request("GET", "/healthz")
    return connection.getresponse().status


HEAD = (
    b"POST /api/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
)


@pytest.mark.parametrize("start", [b"", b"GET / HT", HEAD])
def test_a_silent_client_is_dropped(live, start):
    with socket.create_connection(("127.0.0.1", live.server_port), 60) as client:
        client.sendall(start)
        while client.recv(1000):
            pass  # whatever is said, the connection ends
    assert ask(live) == 200


def test_a_dripping_client_is_cut_off(live):
    with socket.create_connection(("127.0.0.1", live.server_port), 60) as client:
        client.sendall(HEAD)
        with pytest.raises(OSError):  # noqa: PT011
            for _ in range(600):
                client.sendall(b"x")
                time.sleep(0.1)


def test_connections_have_a_bound(live):
    held = [
        socket.create_connection(("127.0.0.1", live.server_port), 60) for _ in range(2)
    ]
    with socket.create_connection(("127.0.0.1", live.server_port), 60) as third:
        answer = third.recv(1000)
    for client in held:
        client.close()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 5" in answer
    live.drain(30)


def test_a_thread_that_can_not_start_costs_no_seat(live, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", out_of_memory)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            live.process_request(socket.socket(), ("203.0.113.7", 1))
    monkeypatch.undo()
    assert ask(live) == 200


def out_of_memory(*args):
    raise RuntimeError("can't start new thread")


@pytest.mark.server
def test_who_stands_in_line_when_it_ends_is_answered(make_web):
    ending = server.Server("127.0.0.1", 0, make_web().application)
    with socket.create_connection(("127.0.0.1", ending.server_port), 60) as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        ending.server_close()
        ending.drain(30)
        assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_a_body_is_bounded_while_it_is_read(live):
    with socket.create_connection(("127.0.0.1", live.server_port), 60) as client:
        head = HEAD.replace(b"Content-Length: 9000", b"Transfer-Encoding: chunked")
        client.sendall(head)
        client.setblocking(False)
        answer, left = b"", 100  # MiB, three times the limit
        while left and b"\r\n" not in answer:
            writable = select.select([client], [client], [], 60)
            if client in writable[0]:
                answer += client.recv(1000)
            elif client in writable[1]:
                client.setblocking(True)
                client.sendall(b"100000\r\n" + bytes(2**20) + b"\r\n")
                client.setblocking(False)
                left -= 1
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert left


def run_asgi(
    app,
    body=(b"",),
    headers=(),
    client="203.0.113.7",
    path="/",
    limit=9,
    attendance=None,
):
    """Send one POST through the door and return its status, headers and body."""
    around = asgi.Door(
        app,
        limit=door.RateLimit(limit),
        max_body=1000,
        embed=["https://e.example"],
        attendance=attendance,
    )
    parts = [{"type": "http.request", "body": part, "more_body": True} for part in body]
    parts[-1]["more_body"] = False
    sent = []

    async def receive():
        if not parts:
            await asyncio.sleep(3600)
        return parts.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "client": (client, 1)}
    scope["headers"] = [(k.encode(), v.encode()) for k, v in headers]
    asyncio.run(around(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], found, body


def page_of(html: bytes, status: int = 200, kind: bytes = b"text/html; charset=utf-8"):
    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", kind), (b"Cache-Control", b"public")]
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await send(start)
        part = {"type": "http.response.body"}
        await send(part | {"body": html[:20], "more_body": True})
        await send(part | {"body": html[20:]})

    return app


def test_gradios_pages_run_no_script_but_their_own():
    html = (
        b"<script>one()</script><script src='./a.js'></script><script a>two\n</script>"
    )
    status, headers, body = run_asgi(page_of(html))
    assert (status, body) == (200, html)
    policy = headers["content-security-policy"]
    for script in (b"one()", b"two\n"):
        digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.count("sha256") == 2
    assert "script-src 'self' 'sha256" in policy
    assert "frame-ancestors 'self' https://e.example" in policy
    assert headers["cache-control"] == "no-store"
    assert len(headers["x-request-id"]) == 16


def test_gradios_other_answers_may_do_nothing():
    _, headers, _ = run_asgi(page_of(b"x" * 30, kind=b"image/svg+xml"))
    assert headers["content-security-policy"].startswith("default-src 'none';")
    _, headers, _ = run_asgi(page_of(b"x" * 30, 503, b"application/json"))
    assert headers["retry-after"] == "5"
    _, headers, _ = run_asgi(page_of(b"x" * 30, 200, b"text/css"), path="/assets/a.css")
    assert "no-store" not in headers.values()


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, 200),
        ({"body": (b"x" * 600, b"x" * 600)}, 413),
        ({"headers": [("content-length", "1001")]}, 413),
        ({"headers": [("content-length", "-1")]}, 413),
        ({"headers": [("sec-fetch-site", "cross-site")]}, 403),
        ({"limit": 0}, 200),
    ],
)
def test_gradios_door_refuses(options, status):
    assert run_asgi(page_of(b"x" * 30), **options)[0] == status


def test_gradios_door_limits_the_rate_and_the_time(monkeypatch):
    monkeypatch.setattr(door.RateLimit, "wait", lambda *args: 7)
    status, headers, _ = run_asgi(page_of(b"x" * 30))
    assert (status, headers["retry-after"]) == (429, "7")
    monkeypatch.undo()
    monkeypatch.setattr(asgi, "READ_SECONDS", 0.05)

    async def waits(scope, receive, send):
        await receive()
        await asyncio.sleep(0.1)
        await receive()

    assert run_asgi(waits, body=(b"x", b"y"))[0] == 408


def test_gradios_door_says_that_a_disk_is_full():
    async def write(scope, receive, send):
        raise OSError(errno.ENOSPC, "No space left on device: '/secret'")

    status, headers, body = run_asgi(write, path="/gradio_api/upload")
    assert (status, headers["retry-after"]) == (507, "5")
    assert b"secret" not in body

    async def fail(scope, receive, send):
        raise OSError(errno.EIO, "something else")

    with pytest.raises(OSError, match="something else"):
        run_asgi(fail)


def test_gradios_door_ends_what_was_begun_and_begins_nothing():
    attendance = asgi.Attendance()
    seen = []

    async def app(scope, receive, send):
        seen.append(attendance.present)
        await page_of(b"x" * 30)(scope, receive, send)

    begun = time.monotonic()
    attendance.drain(30)
    assert time.monotonic() - begun < 20
    for path, status in (
        ("/gradio_api/upload", 503),
        ("/ask", 503),
        ("/gradio_api/call/predict", 200),
    ):
        assert run_asgi(app, path=path, attendance=attendance)[0] == status
    run_asgi(app, path="/gradio_api/heartbeat/1", attendance=attendance)
    assert seen == [1, 0]
    assert attendance.present == 0
    attendance.present = 1
    begun = time.monotonic()
    attendance.drain(1.5)
    assert time.monotonic() - begun >= 1.5


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_goes_back_to_the_system():
    program = """
import threading
from pathlib import Path
from pneumonia.web import memory
memory.return_early()
def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
def work():
    for size in (30, 20, 10) * 5:
        large = [bytearray(size * 2**17) for _ in range(8)]
        kept.append(bytearray(2000))  # lies behind what goes
        del large
kept, before = [], held()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print((held() - before) // 2**20)
"""
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(told.stdout) < 24


def test_answers_are_those_of_the_package(make_web, classifier):
    answer = make_web().post("/api/predict", **form()).json
    assert answer["probabilities"] == predict(classifier, PICTURE).probabilities
    assert os.environ.get("PNEUMONIA_AUTH") is None


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux")
@pytest.mark.server
def test_the_form_ends_in_order_and_leaves_no_process(tmp_path):
    with served("flask_app.py", stderr=subprocess.PIPE) as (url, process):
        answer = requests.post(f"{url}api/predict", files={"image": ("x", PICTURE)})
        assert answer.status_code == 200
        assert "probabilities" in answer.json()
        workers = children_of(process.pid)
        assert workers
    assert process.returncode == 0
    heard = process.stderr.read()
    assert answer.headers["X-Request-Id"] in heard
    assert "Traceback" not in heard
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def children_of(parent: int) -> list[int]:
    """Processes that another one started, as Linux tells it."""
    found = []
    for stat_file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat_file.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found.append(int(stat_file.parent.name))
    return found
