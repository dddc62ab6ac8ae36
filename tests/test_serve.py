"""Ways to start the apps: the command, the link, the folder of a Space."""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import requests
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from servers import ROOT, served

from pneumonia import phantoms, predict, verdict
from pneumonia.contract import BUNDLE
from pneumonia.reading.image import read_picture
from pneumonia.web import measurements, startup
from pneumonia.web.demo import app as demo
from pneumonia.web.demo import space


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["gradio", "--help"], "--share"),
        (["flask", "--help"], "upload form and JSON API"),
        (["form", "--help"], "usage: python -m pneumonia serve form"),
        (["flask", "--host", "0.0.0.0"], "--auth USER:PASSWORD, or say --public"),
        (["gradio", "--share"], "--auth USER:PASSWORD, or say --public"),
        (["gradio", "--mcp", "--auth", "ann:secret"], "--mcp can't ask for a password"),
    ],
)
@pytest.mark.server
def test_one_command_serves_either_app(arguments, expected, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pneumonia", "serve", *arguments],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "PNEUMONIA_AUTH"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert expected in re.sub(r"\s+", " ", done.stdout + done.stderr)


@pytest.mark.parametrize(
    "command", ["demo.py", "flask_app.py", "-m pneumonia serve form"]
)
@pytest.mark.server
def test_a_bundle_that_is_not_there_is_said(command, tmp_path):
    wanted = ["--bundle", str(tmp_path / "none"), "--port", "0"]
    done = subprocess.run(
        [sys.executable, *command.split(), *wanted],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode
    assert f"error: The bundle in {tmp_path / 'none'} can't be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bundle_of_ones_own_shows_what_was_measured_of_it(tmp_path, caplog):
    mine = tmp_path / "mine"
    shutil.copytree(BUNDLE, mine, ignore=shutil.ignore_patterns("*.h5", "report.json"))
    facts = json.loads((mine / "bundle.json").read_text())
    del facts["gate"]
    (mine / "bundle.json").write_text(json.dumps(facts))
    args = argparse.Namespace(bundle=mine)
    classifier = startup.load(args)
    assert "has no gate" in caplog.text
    assert measurements.load(classifier, "report.json") is None
    shutil.copy(BUNDLE / "report.json", mine)
    assert measurements.load(classifier, "report.json")["n"] > 400


@pytest.fixture
def share(monkeypatch, classifier):
    """Run the demo's main function with --share, and with a tunnel's answer."""

    class Page:
        def block_thread(self):
            """Nobody waits."""

        def close(self, verbose=False):
            """Nothing to close."""

        def drain(self, seconds):
            """Nobody is there."""

    def run(public):
        monkeypatch.setattr(demo.startup, "load", lambda args: classifier)
        monkeypatch.setattr(
            demo, "build_demo", lambda *args: demo.Demo(Page(), Page(), Page(), [])
        )
        monkeypatch.setattr(demo, "launch", lambda *a, **k: ("http://here", public))
        monkeypatch.setattr(demo.signal, "signal", lambda *args: None)
        monkeypatch.setattr(demo.startup, "warm_up", lambda *args: None)
        monkeypatch.setattr(sys, "argv", ["demo.py", "--share", "--public"])
        demo.main()

    return run


def test_a_drawing_is_answered_before_anybody_asks(classifier):
    seen = []

    def read(data):
        seen.append(data)
        return read_picture(data)

    startup.warm_up(classifier, read).join(60)
    assert seen == [phantoms()[0].read_bytes()]


def test_the_public_link_is_printed_with_its_code(share, capsys):
    share("https://example.org/abc")
    said = capsys.readouterr().out
    assert "public link https://example.org/abc" in said
    assert said.count("█") > 50 or said.count("▀") > 50


def test_a_tunnel_that_does_not_open_says_what_to_do(share):
    with pytest.raises(SystemExit, match="start without --share"):
        share(None)


@pytest.mark.server
def test_the_demo_is_a_tool_for_language_models(classifier, phantom_bytes):
    app = demo.build_demo(classifier, read_picture)
    url, _ = demo.launch(app, mcp_server=True)
    letter = "data:text/plain;base64," + base64.b64encode(b"Dear doctor").decode()
    drawing = "data:image/png;base64," + base64.b64encode(phantom_bytes).decode()

    async def ask():
        async with (
            streamablehttp_client(f"{url}gradio_api/mcp/") as (receive, send, _),
            ClientSession(receive, send) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            answers = [
                await session.call_tool(tools[0].name, {"path": picture})
                for picture in (drawing, letter)
            ]
            return [tool.name for tool in tools], answers

    try:
        names, (answer, refusal) = asyncio.run(ask())
    finally:
        app.close()
    assert names == ["predict"]
    expected = verdict(classifier, predict(classifier, phantom_bytes))
    assert expected in answer.content[0].text
    assert refusal.isError
    assert "not a picture" in refusal.content[0].text


@contextlib.contextmanager
def served_alone(python, command, folder, home, look=True, inside=(), env=()):
    """Start an app from its folder, knowing nothing of this environment."""
    env = {"PATH": os.environ["PATH"], "HOME": str(home)} | dict(env)
    with served(*command, python=python, inside=inside, cwd=folder, env=env) as (
        url,
        _,
    ):
        if look:
            policy = requests.get(url).headers["Content-Security-Policy"]
            assert "https://huggingface.co" in policy
            assert "xray-viewer" in requests.get(f"{url}look/viewer.js").text
        yield url


@pytest.mark.server
def test_a_space_runs_as_it_is(tmp_path):
    out = tmp_path / "space"
    space.write(out)
    space.write(out)  # again, over itself
    assert not list(out.rglob("*.h5"))
    wanted = (out / "requirements.txt").read_text()
    assert "gradio" in wanted
    assert "tensorflow" not in wanted
    with served_alone(sys.executable, ["app.py"], out, tmp_path):
        pass


def test_a_space_is_never_written_over_something_else(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="something else"):
        space.write(tmp_path)
    (tmp_path / "app.py").write_text("import flask")  # another project
    with pytest.raises(FileExistsError, match="something else"):
        space.write(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_space_keeps_its_repository(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main")
    space.write(tmp_path)
    for part in ("pneumonia", "web"):  # the latter stood beside it in 0.1
        (tmp_path / part).mkdir(exist_ok=True)
        (tmp_path / part / "gone.py").write_text("of a version before")
    space.write(tmp_path)
    assert (tmp_path / ".git" / "HEAD").exists()
    assert not (tmp_path / "pneumonia" / "gone.py").exists()
    assert not (tmp_path / "web").exists()


def test_the_image_copies_what_is_there_and_runs_as_nobody():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    for line in lines:
        if line.startswith("COPY") and "--from" not in line:
            for name in line.split()[1:-1]:
                assert (ROOT / name).exists(), name
    assert lines.index("USER 1000") < next(
        i for i, line in enumerate(lines) if line.startswith("ENTRYPOINT")
    )
