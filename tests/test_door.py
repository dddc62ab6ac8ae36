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
import platform
import re
import select
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests
from servers import in_thread, run, served

from pneumonia import ImageError, phantoms
from pneumonia.reading.image import read_picture
from pneumonia.web import door
from pneumonia.web.demo import asgi
from pneumonia.web.form import app as flask_app
from pneumonia.web.form import server

PICTURE = phantoms()[0].read_bytes()


def form(data: bytes = PICTURE, name: str = "x.png") -> dict:
    return {"data": {"image": (io.BytesIO(data), name)}}


@pytest.fixture
def make_web(classifier):
    return lambda **options: flask_app.create_app(
        classifier, read=read_picture, **options
    ).test_client()


@pytest.fixture
def parser(monkeypatch):
    monkeypatch.setenv("PNEUMONIA_AUTH", "ann:b:c")
    with_password, parser = argparse.ArgumentParser(), argparse.ArgumentParser()
    door.add_arguments(with_password, 1)
    assert with_password.parse_args([]).auth == door.Credentials("ann", "b:c")
    monkeypatch.delenv("PNEUMONIA_AUTH")
    door.add_arguments(parser, 1)
    parser.add_argument("--share", action="store_true")
    return parser


@pytest.mark.parametrize(
    ("arguments", "stops"),
    [
        ("", False),
        ("--host localhost", False),
        ("--host ::1", False),
        ("--host 0.0.0.0", True),
        ("--host ::", True),
        ("--host 192.168.1.2", True),
        ("--host 0.0.0.0 --public", False),
        ("--host 0.0.0.0 --auth a:b", False),
        ("--share", True),
        ("--share --public", False),
    ],
)
def test_strangers_come_in_where_somebody_said_so(parser, arguments, stops, capsys):
    args = parser.parse_args(arguments.split())
    with pytest.raises(SystemExit) if stops else contextlib.nullcontext():
        door.check_access(parser, args, args.share)
    said = capsys.readouterr().err
    assert ("--auth USER:PASSWORD, or say --public" in said) == stops


@pytest.mark.parametrize(
    ("option", "expected", "wrong"),
    [
        ("--auth", "USER:PASSWORD", ("nobody", ":secret", "user:")),
        ("--embed", "an origin", ("example.org", "https://a b", "https://a;x", "*")),
    ],
)
def test_what_an_option_takes_is_said(parser, option, expected, wrong, capsys):
    for text in wrong:
        with pytest.raises(SystemExit):
            parser.parse_args([option, text])
        assert f"expected {expected}" in capsys.readouterr().err


def test_flask_lets_in_who_knows_the_password(make_web):
    web = make_web(auth=door.Credentials("ann", "säcret"))

    def status(path="/", user=None, password="", scheme="Basic", **sent):
        word = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers = {} if user is None else {"Authorization": f"{scheme} {word}"}
        answer = web.open(path, headers=headers, **sent)
        refused = answer.headers.get("WWW-Authenticate", "").startswith("Basic")
        assert refused == (answer.status_code == 401)
        return answer.status_code

    for path in ("/", "/static/style.css", "/api/predict", "/none"):
        assert status(path) == 401
    for user, password in (("ann", "x"), ("x", "säcret"), ("", ""), ("ann", "säcre")):
        assert status("/", user, password) == 401
    assert status("/", "ann", "säcret", scheme="Bearer") == 401
    assert status("/api/predict", method="POST", **form()) == 401
    assert status("/", "ann", "säcret") == 200
    assert status("/api/predict", "ann", "säcret", method="POST", **form()) == 200
    assert status("/healthz") == 200  # for watchdogs, says nothing


def test_a_client_that_sends_too_much_waits_and_others_do_not(make_web):
    web = make_web(rate=2)

    def post(client):
        return web.post("/api/predict", environ_overrides={"REMOTE_ADDR": client})

    codes = [post("203.0.113.7").status_code for _ in range(3)]
    assert codes == [400, 400, 429]
    answer = post("203.0.113.7")
    assert 1 <= int(answer.headers["Retry-After"]) <= 30
    assert answer.json["error"]["reason"] == "too_many_requests"
    sender = {"environ_overrides": {"REMOTE_ADDR": "203.0.113.7"}}
    assert web.get("/", **sender).status_code == 200
    assert post("203.0.113.8").status_code == 400
    assert all(post("127.0.0.1").status_code == 400 for _ in range(9))


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
    app = make_web().application

    def ask():
        return app.test_client().post("/api/predict", **form())

    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(ask) for _ in range(2)]
        while turnstile._places._value:  # until one works and one waits
            time.sleep(0.01)
        answer = ask()
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == str(door.RETRY_SECONDS)
        assert answer.json["error"]["reason"] == "service_unavailable"
        assert not any(one.done() for one in asked)
        leave.set()
    assert [one.result().status_code for one in asked] == [422, 422]
    assert ask().status_code == 422


def test_waiting_has_an_end():
    turnstile = door.Turnstile(1, 1, patience=0.05)
    with turnstile.turn(), pytest.raises(door.BusyError), turnstile.turn():
        pass
    with turnstile.turn():
        pass  # both places are free again


def test_every_answer_carries_its_headers_and_a_new_id(make_web):
    web = make_web(embed=["https://clinic.example"])
    answers = [web.get(path) for path in ("/", "/none", "/static/style.css")]
    answers += [web.post("/", **form()), web.post("/api/predict", **form(b"text"))]
    for answer in answers:
        assert door.HEADERS.items() <= dict(answer.headers).items()
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy  # files of ours, none in a page
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'self' https://clinic.example" in policy
        assert "unsafe" not in policy
        ours = r'<script type="module" src="\./static/\w+.js"></script>'
        for script in re.findall(r"<script.*", answer.text):
            assert re.fullmatch(ours, script)
        assert not re.search(r"\son\w+=", answer.text)
    ids = {answer.headers["X-Request-Id"] for answer in answers}
    assert len(ids) == len(answers)
    assert answers[-1].json["error"]["request_id"] in ids


@pytest.mark.parametrize("path", ["/", "/api/predict"])
def test_pages_of_others_may_not_send(make_web, path):
    web = make_web()
    for site, status in (("cross-site", 403), ("same-origin", 200)):
        answer = web.post(path, headers={"Sec-Fetch-Site": site}, **form())
        assert answer.status_code == status


@pytest.mark.parametrize("data", [PICTURE, b"no picture"])
@pytest.mark.parametrize("path", ["/", "/api/predict?overlay=1"])
def test_file_names_are_not_logged_and_shown_to_their_sender_alone(
    make_web, caplog, capfd, data, path
):
    caplog.set_level(logging.DEBUG)
    answer = make_web().post(
        path, **form(data, "Mustermann<script>evil(1)</script>.png")
    )
    heard = answer.text + str(answer.headers)
    assert "<script>evil(" not in heard
    shown = path == "/" and data is PICTURE  # without JavaScript nothing else can
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
    with in_thread(live):
        yield live


def client_of(live) -> socket.socket:
    return socket.create_connection(("127.0.0.1", live.server_port), 60)


def is_healthy(live) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", live.server_port, timeout=60)
    connection.request("GET", "/healthz")
    return connection.getresponse().status == 200


HEAD = (
    b"POST /api/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
)


@pytest.mark.parametrize("start", [b"", b"GET / HT", HEAD])
def test_a_silent_client_is_dropped(live, start):
    with client_of(live) as client:
        client.sendall(start)
        while client.recv(1000):
            pass  # whatever is said, the connection ends
    assert is_healthy(live)


def test_a_dripping_client_is_cut_off(live):
    with client_of(live) as client, pytest.raises(OSError):  # noqa: PT011
        client.sendall(HEAD)
        for _ in range(600):
            client.sendall(b"x")
            time.sleep(0.1)


def test_connections_have_a_bound(live):
    with client_of(live), client_of(live), client_of(live) as third:
        answer = third.recv(1000)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 5" in answer
    live.drain(30)


def test_a_thread_that_can_not_start_costs_no_seat(live, monkeypatch):
    def fail(*args):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            live.process_request(socket.socket(), ("203.0.113.7", 1))
    monkeypatch.undo()
    assert is_healthy(live)


@pytest.mark.server
def test_who_stands_in_line_when_it_ends_is_answered(make_web):
    ending = server.Server("127.0.0.1", 0, make_web().application)
    with client_of(ending) as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        ending.server_close()
        ending.drain(30)
        assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_a_body_is_bounded_while_it_is_read(live):
    with client_of(live) as client:
        head = HEAD.replace(b"Content-Length: 9000", b"Transfer-Encoding: chunked")
        client.sendall(head)
        answer, left = b"", 100  # MiB, three times the limit
        while left and b"\r\n" not in answer:
            readable, writable, _ = select.select([client], [client], [], 60)
            if readable:
                answer += client.recv(1000)
            elif writable:
                client.sendall(b"100000\r\n" + bytes(2**20) + b"\r\n")
                left -= 1
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert left


def through(app, body=(b"",), headers=(), path="/", limit=9, attendance=None):
    """Send one POST through the demo's door and return status, headers and body."""
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

    scope = {"type": "http", "method": "POST", "path": path}
    scope["client"] = ("203.0.113.7", 1)
    scope["headers"] = [(k.encode(), v.encode()) for k, v in headers]
    asyncio.run(around(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], found, body


def page_of(html=b"x" * 30, status=200, kind=b"text/html; charset=utf-8"):
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


async def slow(scope, receive, send):
    for _ in range(2):
        await receive()
        await asyncio.sleep(0.1)


def failing(number: int):
    async def app(scope, receive, send):
        raise OSError(number, "something of '/secret'")

    return app


def test_gradios_pages_run_no_script_but_their_own():
    html = (
        b"<script>one()</script><script src='./a.js'></script><script a>two\n</script>"
    )
    status, headers, body = through(page_of(html))
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
    _, headers, _ = through(page_of(kind=b"image/svg+xml"))
    assert headers["content-security-policy"].startswith("default-src 'none';")
    _, headers, _ = through(page_of(status=503, kind=b"application/json"))
    assert headers["retry-after"] == "5"
    _, headers, _ = through(page_of(kind=b"text/css"), path="/assets/a.css")
    assert "no-store" not in headers.values()


@pytest.mark.parametrize(
    ("app", "options", "status", "wait"),
    [
        (page_of(), {}, 200, None),
        (page_of(), {"body": (b"x" * 600, b"x" * 600)}, 413, None),
        (page_of(), {"headers": [("content-length", "1001")]}, 413, None),
        (page_of(), {"headers": [("content-length", "-1")]}, 413, None),
        (page_of(), {"headers": [("sec-fetch-site", "cross-site")]}, 403, None),
        (page_of(), {"limit": 0}, 200, None),
        (page_of(), {"limit": 0.5}, 429, "60"),
        (slow, {"body": (b"x", b"y")}, 408, None),
        (failing(errno.ENOSPC), {"path": "/gradio_api/upload"}, 507, "5"),
    ],
)
def test_gradios_door_refuses(monkeypatch, app, options, status, wait):
    monkeypatch.setattr(asgi, "READ_SECONDS", 0.05)
    found, headers, body = through(app, **options)
    assert (found, headers.get("retry-after")) == (status, wait)
    assert b"secret" not in body


def test_gradios_door_hands_on_other_errors():
    with pytest.raises(OSError, match="something"):
        through(failing(errno.EIO))


def test_gradios_door_ends_what_was_begun_and_begins_nothing():
    attendance = asgi.Attendance()
    seen = []

    async def app(scope, receive, send):
        seen.append(attendance.present)
        await page_of()(scope, receive, send)

    begun = time.monotonic()
    attendance.drain(30)
    assert time.monotonic() - begun < 20
    for path, status in (
        ("/gradio_api/upload", 503),
        ("/ask", 503),
        ("/gradio_api/call/predict", 200),
        ("/gradio_api/heartbeat/1", 200),
    ):
        assert through(app, path=path, attendance=attendance)[0] == status
    assert seen == [1, 0]
    assert attendance.present == 0
    attendance.present = 1
    begun = time.monotonic()
    attendance.drain(1.5)
    assert time.monotonic() - begun >= 1.5


HELD = """
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_goes_back_to_the_system():
    assert int(run("-c", HELD).stdout) < 24


@pytest.mark.server
def test_the_form_ends_in_order_and_leaves_no_process():
    with served("flask_app.py", stderr=subprocess.PIPE) as (url, process):
        answer = requests.post(f"{url}api/predict", files={"image": ("x", PICTURE)})
        assert "probabilities" in answer.json()
        workers = psutil.Process(process.pid).children()
        assert workers
    assert process.returncode == 0
    heard = process.stderr.read()
    assert answer.headers["X-Request-Id"] in heard
    assert "Traceback" not in heard
    assert not any(worker.is_running() for worker in workers)
