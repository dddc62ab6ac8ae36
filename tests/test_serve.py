"""Ways to start the apps: the command, the link, the folder of a Space."""

import argparse
import contextlib
import dataclasses
import json
import os
import re
import shutil
import sys
from unittest.mock import MagicMock

import pytest
import requests
from servers import ROOT, run, served

from pneumonia import phantoms
from pneumonia.contract import BUNDLE
from pneumonia.reading.image import read_picture
from pneumonia.web import measurements, startup
from pneumonia.web.demo import app as demo
from pneumonia.web.demo import space


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("gradio --help", "--share"),
        ("flask --help", "upload form and JSON API"),
        ("form --help", "usage: python -m pneumonia serve form"),
        ("flask --host 0.0.0.0", "--auth USER:PASSWORD, or say --public"),
        ("gradio --share", "--auth USER:PASSWORD, or say --public"),
        ("gradio --mcp --auth ann:secret", "--mcp can't ask for a password"),
    ],
)
@pytest.mark.server
def test_one_command_serves_either_app(arguments, expected):
    env = {k: v for k, v in os.environ.items() if k != "PNEUMONIA_AUTH"}
    done = run("-m", "pneumonia", "serve", *arguments.split(), env=env)
    assert expected in re.sub(r"\s+", " ", done.stdout + done.stderr)


@pytest.mark.parametrize(
    "command", ["demo.py", "flask_app.py", "-m pneumonia serve form"]
)
@pytest.mark.server
def test_a_bundle_that_is_not_there_is_said(command, tmp_path):
    wanted = ("--bundle", str(tmp_path / "none"), "--port", "0")
    done = run(*command.split(), *wanted)
    assert done.returncode
    assert f"error: The bundle in {tmp_path / 'none'} can't be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bundle_of_ones_own_shows_what_was_measured_of_it(tmp_path, caplog):
    mine = tmp_path / "mine"
    shutil.copytree(BUNDLE, mine, ignore=shutil.ignore_patterns("*.h5", "report.json"))
    facts = json.loads((mine / "bundle.json").read_text())
    del facts["gate"]
    (mine / "bundle.json").write_text(json.dumps(facts))
    classifier = startup.load(argparse.Namespace(bundle=mine))
    assert "has no gate" in caplog.text
    assert measurements.load(classifier, "report.json") is None
    shutil.copy(BUNDLE / "report.json", mine)
    assert measurements.load(classifier, "report.json")["n"] > 400
    other = dataclasses.replace(classifier, sha256="0" * 64)  # the report is not of it
    assert measurements.load(other, "report.json") is None


def test_a_drawing_is_answered_before_anybody_asks(classifier):
    seen = []

    def read(data):
        seen.append(data)
        return read_picture(data)

    startup.warm_up(classifier, read).join(60)
    assert seen == [phantoms()[0].read_bytes()]


@pytest.mark.parametrize("link", ["https://example.org/abc", None])
def test_the_public_link_is_printed_with_its_code(
    monkeypatch, classifier, capsys, link
):
    monkeypatch.setattr(demo.startup, "load", lambda args: classifier)
    monkeypatch.setattr(demo, "build_demo", MagicMock())
    monkeypatch.setattr(demo, "launch", lambda *a, **k: ("http://here", link))
    monkeypatch.setattr(demo.signal, "signal", MagicMock())
    monkeypatch.setattr(demo.startup, "warm_up", MagicMock())
    monkeypatch.setattr(sys, "argv", ["demo.py", "--share", "--public"])
    if link is None:
        with pytest.raises(SystemExit, match="start without --share"):
            demo.main()
        return
    demo.main()
    said = capsys.readouterr().out
    assert f"public link {link}" in said
    assert said.count("█") > 50 or said.count("▀") > 50


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


def test_a_space_replaces_its_own_files_alone(tmp_path):
    for name, text in (("thesis.txt", "mine"), ("app.py", "import flask")):
        (tmp_path / name).write_text(text)  # another project's
        with pytest.raises(FileExistsError, match="something else"):
            space.write(tmp_path)
    assert (tmp_path / "thesis.txt").exists()
    mine = tmp_path / "mine"
    kept, *gone = (mine / ".git/HEAD", mine / "pneumonia/gone.py", mine / "web/gone.py")
    kept.parent.mkdir(parents=True)
    kept.touch()
    space.write(mine)
    for path in gone:  # of a version before; `web` stood beside the package in 0.1
        path.parent.mkdir(exist_ok=True)
        path.touch()
    space.write(mine)
    assert kept.exists()
    assert not any(path.exists() for path in gone)
    assert not (mine / "web").exists()


def test_the_image_copies_what_is_there_and_runs_as_nobody():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    for line in lines:
        if line.startswith("COPY") and "--from" not in line:
            for name in line.split()[1:-1]:
                assert (ROOT / name).exists(), name
    (start,) = (line for line in lines if line.startswith("ENTRYPOINT"))
    assert lines.index("USER 1000") < lines.index(start)
