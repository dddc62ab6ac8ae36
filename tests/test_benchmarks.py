"""The benchmarks: every script starts, and their clients speak as the apps do."""

import importlib
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pneumonia.reading.image import read_picture

pytestmark = [pytest.mark.keras, pytest.mark.server]  # as its scripts do

FOLDER = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = [p.stem for p in FOLDER.glob("*.py") if "ArgumentParser(" in p.read_text()]


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_start(name, monkeypatch, capsys):
    if name == "cluster":
        pytest.importorskip("ray")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(name).main()
    assert not ended.value.code
    assert "usage: " in capsys.readouterr().out


@pytest.mark.parametrize("app", ["flask", "gradio"])
@pytest.mark.parametrize("what", ["a drawing", "no picture"])
def test_clients_understand_the_apps(app, what, request, classifier, phantom_bytes):
    requests = importlib.import_module("app_requests")
    port = urlsplit(request.getfixturevalue(f"{app}_url")).port
    client = requests.APPS[app](port)
    data = {"a drawing": phantom_bytes, "no picture": b"none"}[what]
    expected = requests.expected(classifier, read_picture, data)
    assert client.send(data).agrees(expected), client.send(data)
