"""What is shipped runs in an empty environment: the Space, the wheel, the image.

A file of its own, since it waits for packages more than it computes.
"""

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

import pytest
import requests
from gradio_client import Client, handle_file
from huggingface_hub import SpaceCard
from servers import PACKAGE, ROOT
from test_serve import served_alone
from test_uploads import may_unshare, read_only

from pneumonia import __version__
from pneumonia.web.demo import space

pytestmark = pytest.mark.install

SHIPPED = ("bundle", "phantoms", "examples", "web/templates", "web/static")
LARGEST = 480e6  # bytes that the wheel takes with [apps]
LOCKED = read_only("64m") if may_unshare("-m") else ()


def environment(folder: Path) -> Path:
    """Make an environment that holds nothing, and return its Python."""
    if not os.environ.get("PNEUMONIA_INSTALL"):
        pytest.skip("PNEUMONIA_INSTALL is not set: nothing is fetched")
    venv.create(folder)  # pip of its own would take five seconds
    return folder / "bin" / "python"


def pip(python: Path, *arguments, folder: Path = ROOT):
    """Run this environment's pip for another one."""
    quiet = ["--quiet", "--disable-pip-version-check"]
    run = [sys.executable, "-m", "pip", "--python", str(python), *quiet, *arguments]
    subprocess.run(run, cwd=folder, check=True)


def ask(url, data):
    """Ask the demo by Gradio's own client; return what it says in words."""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(data)
        file.flush()
        client = Client(url, verbose=False)
        return client.predict(handle_file(file.name), api_name="/predict")[2]


def test_a_space_runs_in_an_empty_environment(tmp_path, phantom_bytes):
    python = environment(tmp_path / "empty")
    out = tmp_path / "space"
    space.write(out, "owner/name")
    shown = SpaceCard.load(out / "README.md").data
    assert (shown.sdk, shown.license, shown.models) == ("gradio", "mit", ["owner/name"])
    assert len(shown.to_dict()["short_description"]) <= 60
    assert re.fullmatch(r"\W", shown.emoji)
    assert (out / shown.app_file).is_file()
    pins = (out / "requirements.txt").read_text().split()
    assert f"gradio=={shown.sdk_version}" in pins
    assert all("==" in pin for pin in pins)
    pip(python, "install", "--no-compile", "-r", "requirements.txt", folder=out)
    given = {"SYSTEM": "spaces", "SPACE_ID": "owner/space", "GRADIO_SSR_MODE": "true"}
    with served_alone(
        python, ["app.py"], out, tmp_path, inside=LOCKED, env=given
    ) as url:
        assert "robability of pneumonia" in ask(url, phantom_bytes)


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, str]]:
    """The steps of the image, each a word and what follows it."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and line[0] != "#"]
    return [line.partition(" ")[::2] for line in lines]


@pytest.fixture(scope="module")
def wheel(steps, tmp_path_factory) -> Path:
    """The wheel of the source distribution of what the image copies."""
    place = tmp_path_factory.mktemp("wheel")
    python = environment(place / "builder")
    source = place / "source"
    source.mkdir()
    for name, what in steps:
        if name == "COPY" and "--from" not in what:
            *sources, _ = what.split()
            for each in sources:
                if (ROOT / each).is_dir():
                    ignore = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(ROOT / each, source / each, ignore=ignore)
                else:
                    shutil.copy(ROOT / each, source)
    pip(python, "install", "setuptools>=77")
    make = f"from setuptools import build_meta; build_meta.build_sdist({str(place)!r})"
    subprocess.run([python, "-c", make], cwd=source, check=True, capture_output=True)
    (sdist,) = place.glob("*.tar.gz")
    with tarfile.open(sdist) as file:
        assert not [name for name in file.getnames() if name.endswith(".h5")]
    pip(python, "wheel", "--no-deps", "-w", place, sdist)
    (wheel,) = place.glob("pneumonia_xray-*.whl")
    return wheel


def test_the_wheel_holds_what_serving_reads_and_no_keras_weights(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in SHIPPED:
        shipped = {f"pneumonia/{folder}/{p.name}" for p in (PACKAGE / folder).iterdir()}
        left_out = {name for name in shipped if name.endswith(".h5")}
        assert shipped - names == left_out
    code = {str(p.relative_to(ROOT)) for p in PACKAGE.rglob("*.py")}
    others = {"pneumonia/py.typed", "pneumonia/study/card.md.j2"}
    assert code | others <= names
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"pneumonia", f"pneumonia_xray-{__version__}.dist-info"}


@pytest.fixture(scope="module")
def installed(steps, wheel, tmp_path_factory) -> Path:
    """Python of an environment that the image's step filled, and `pneumonia` in it."""
    python = environment(tmp_path_factory.mktemp("installed") / "venv")
    (install,) = (what for name, what in steps if name == "RUN" and "install" in what)
    words = shlex.split(install.partition(" install ")[2])
    extras = dict(steps)["ARG"].partition("=")[2]
    words[words.index(".[$EXTRAS]")] = f"{wheel}[{extras}]"
    pip(python, "install", *words)
    return python


def listed(python: Path) -> set[Path]:
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    return set(packages.rglob("*"))


def test_an_installed_package_answers_and_writes_nothing_beside_itself(
    installed, tmp_path, phantom_bytes
):
    before = listed(installed)
    taken = [path for path in before if path.suffix != ".pyc" and path.is_file()]
    assert sum(path.stat().st_size for path in taken) < LARGEST
    command = installed.parent / "pneumonia"
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    picture = tmp_path / "drawing.png"
    picture.write_bytes(phantom_bytes)

    def run(*words: str) -> str:
        done = subprocess.run(
            [command, *words], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("--version") == f"pneumonia {__version__}\n"
    assert "the bundle works here" in run("selftest")
    (row,) = csv.DictReader(run("predict", picture.name, "--anyway").splitlines())
    assert row["label"] == "Pneumonia"
    assert "next: hf upload" in run("space", "space")
    serve = [str(command), "serve"]
    with served_alone(
        installed, [*serve, "form"], tmp_path, tmp_path, look=False
    ) as url:
        for path in (picture, next((PACKAGE / "examples").glob("*.jpeg"))):
            sent = requests.post(
                f"{url}api/predict?anyway=1", files={"image": path.read_bytes()}
            )
            assert sent.json()["label"] in ("Normal", "Pneumonia")
    assert {
        p for p in listed(installed) - before if "__pycache__" not in p.parts
    } == set()


def test_the_image_starts_where_nothing_can_be_written(
    installed, steps, tmp_path, phantom_bytes
):
    told = dict(steps)
    start = json.loads(told["ENTRYPOINT"]) + json.loads(told["CMD"])
    start[0] = str(installed.parent / start[0])
    start[start.index("0.0.0.0")] = "127.0.0.1"
    place = start.index("--port")
    del start[place : place + 2]
    health = json.loads(told["HEALTHCHECK"].partition("CMD ")[2])
    with served_alone(
        installed, start, tmp_path, tmp_path, look=False, inside=LOCKED
    ) as url:
        assert "robability of pneumonia" in ask(url, phantom_bytes)
        port = url.rstrip("/").rpartition(":")[2]
        probe = [part.replace("7860", port) for part in health[1:]]
        subprocess.run([installed, *probe], check=True)
