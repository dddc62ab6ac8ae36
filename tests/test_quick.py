"""`make quick` fails where a test needs more than it should, and says its marker."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

FILES = {
    "test_at_top.py": "import keras\ndef test(): pass\n",
    "test_inside.py": "def test():\n    import keras\n",
    "test_marked.py": (
        "import pytest\npytestmark = pytest.mark.keras\nraise SystemExit('imported')\n"
    ),
    "test_server.py": (
        "import socket\n"
        "def test_here(): socket.create_server(('127.0.0.1', 0)).close()\n"
    ),
    "test_app.py": (
        "import subprocess, sys\n"
        "def test_beside(): subprocess.Popen([sys.executable, 'demo.py', '--none'])\n"
    ),
    "test_fixture.py": (
        "import pytest\n"
        "@pytest.fixture\n"
        "def flask_url(): raise SystemExit('made')\n"
        "def test_left_out(flask_url): pass\n"
        "def test_kept(): pass\n"
    ),
}


def quick(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).write_text(FILES[name])
    arguments = ["-c", str(ROOT / "pyproject.toml"), f"--rootdir={folder}"]
    arguments += ["-p", "conftest", "-p", "no:cacheprovider", "--quick"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, str(folder)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}:{folder}"},
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_a_file_that_imports_a_framework_must_say_so(tmp_path):
    (tmp_path / "keras.py").touch()  # stands for the framework
    said = quick(tmp_path, "test_at_top.py")
    assert "test_at_top.py imports keras: mark it" in said
    assert "1 error" in said


def test_a_quick_test_needs_no_framework_and_no_server(tmp_path):
    (tmp_path / "keras.py").touch()  # stands for the framework
    names = FILES.keys() - {"test_at_top.py"}
    said = quick(tmp_path, *sorted(names))
    assert "This imports keras: mark it `keras`." in said
    assert "A quick test started a server: mark it `server`." in said
    assert "A quick test started an app or a browser: mark it `server`." in said
    assert "imported" not in said
    assert "made" not in said
    # one passed as it is, another before its import was seen, and one was left out
    assert "2 failed, 2 passed, 1 deselected, 1 error" in said
