"""`make quick` fails where a test needs more than it should, and says its marker."""

import os
from pathlib import Path

from servers import ROOT, run

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
    (folder / "keras.py").touch()  # stands for the framework
    for name in names:
        (folder / name).write_text(FILES[name])
    options = f"-c {ROOT / 'pyproject.toml'} --rootdir={folder} -p conftest --quick"
    tests = ROOT / "tests"
    path = {"PYTHONPATH": f"{tests}:{tests / 'helpers'}:{ROOT}:{folder}"}
    environment = {"cwd": folder, "env": os.environ | path}
    command = ("-m", "pytest", "-p", "no:cacheprovider", *options.split(), str(folder))
    done = run(*command, **environment)
    return done.stdout + done.stderr


def test_a_file_that_imports_a_framework_must_say_so(tmp_path):
    said = quick(tmp_path, "test_at_top.py")
    assert "test_at_top.py imports keras: mark it" in said
    assert "1 error" in said


def test_a_quick_test_needs_no_framework_and_no_server(tmp_path):
    said = quick(tmp_path, *sorted(FILES.keys() - {"test_at_top.py"}))
    assert "This imports keras: mark it `keras`." in said
    assert "A quick test started a server: mark it `server`." in said
    assert "A quick test started an app or a browser: mark it `server`." in said
    assert "imported" not in said
    assert "made" not in said
    # one passed as it is, another before its import was seen, and one was left out
    assert "2 failed, 2 passed, 1 deselected, 1 error" in said
