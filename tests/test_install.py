"""What is shipped runs in an empty environment: the Space, the image, the wheel.

A file of its own, since it waits for packages more than it computes.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile

import pytest
from gradio_client import Client, handle_file
from servers import PACKAGE, ROOT
from test_serve import served_alone

from pneumonia.web.demo import space


@pytest.fixture
def empty(tmp_path):
    """Make an environment that holds nothing, and return its Python."""
    if not os.environ.get("PNEUMONIA_INSTALL"):
        pytest.skip("PNEUMONIA_INSTALL is not set: nothing is fetched")
    venv.create(tmp_path / "empty")  # pip of its own would take five seconds
    return tmp_path / "empty" / "bin" / "python"


def install(python, folder, *arguments):
    subprocess.run([*pip_of(python, "install"), *arguments], cwd=folder, check=True)


def pip_of(python, command):
    """Return the start of a command of this environment's pip for another one."""
    quiet = ["--quiet", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "--python", str(python), command, *quiet]
    return [*pip, "--no-compile"] if command == "install" else pip


def ask(url, data):
    """Ask the demo by Gradio's own client; return what it says in words."""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(data)
        file.flush()
        client = Client(url, verbose=False)
        return client.predict(handle_file(file.name), api_name="/predict")[2]


def test_a_space_runs_in_an_empty_environment(empty, tmp_path, phantom_bytes):
    out = tmp_path / "space"
    space.write(out)
    install(empty, out, "-r", "requirements.txt")
    with served_alone(empty, ["app.py"], out, tmp_path) as url:
        assert "robability of pneumonia" in ask(url, phantom_bytes)


def test_the_images_steps_run_in_an_empty_environment(empty, tmp_path, phantom_bytes):
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    steps = [line.partition(" ")[::2] for line in text.splitlines() if line]
    out = tmp_path / "app"
    out.mkdir()
    for name, what in steps:
        if name == "COPY":
            *sources, place = what.split()
            for source in sources:
                if (ROOT / source).is_dir():
                    ignore = shutil.ignore_patterns("__pycache__", "*.h5")
                    shutil.copytree(ROOT / source, out / place, ignore=ignore)
                else:
                    shutil.copy(ROOT / source, out / place)
    (pip,) = [what for name, what in steps if what.startswith("pip install")]
    install(empty, out, *shlex.split(pip)[2:])
    steps = dict(steps)
    start = json.loads(steps["ENTRYPOINT"]) + json.loads(steps["CMD"])
    start[start.index("0.0.0.0")] = "127.0.0.1"
    place = start.index("--port")
    del start[place : place + 2]
    health = json.loads(steps["HEALTHCHECK"].partition("CMD ")[2])
    with served_alone(empty, start[1:], out, tmp_path, look=False) as url:
        assert "robability of pneumonia" in ask(url, phantom_bytes)
        port = url.rstrip("/").rpartition(":")[2]
        probe = [part.replace("7860", port) for part in health[1:]]
        subprocess.run([empty, *probe], check=True)


SHIPPED = ("bundle", "phantoms", "examples", "web/templates", "web/static")


def test_the_wheel_holds_what_serving_reads_and_no_keras_weights(empty, tmp_path):
    source = tmp_path / "source"  # setuptools leaves its build beside it
    shutil.copytree(PACKAGE, source / "pneumonia")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    wheel = [*pip_of(empty, "wheel"), "--no-deps", "-w", tmp_path, source]
    subprocess.run(wheel, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in SHIPPED:
        shipped = {f"pneumonia/{folder}/{p.name}" for p in (PACKAGE / folder).iterdir()}
        left_out = {name for name in shipped if name.endswith(".h5")}
        assert shipped - names == left_out
    code = {str(p.relative_to(ROOT)) for p in PACKAGE.rglob("*.py")}
    assert code | {"pneumonia/py.typed"} <= names
