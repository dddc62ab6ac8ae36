"""`make quick` fails where a test needs more than it should, and says its marker."""

import os
import re

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


def test_a_quick_test_needs_no_framework_and_no_server(tmp_path):
    (tmp_path / "keras.py").touch()  # stands for the framework
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    tests = ROOT / "tests"
    path = {"PYTHONPATH": f"{tests}:{tests / 'helpers'}:{ROOT}:{tmp_path}"}
    options = ["-p", "conftest", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"]
    options += ["-c", str(ROOT / "pyproject.toml"), "--continue-on-collection-errors"]
    command = ("-m", "pytest", "--quick", *options, str(tmp_path))
    said = run(*command, cwd=tmp_path, env=os.environ | path).stdout
    # pytest's own summary repeats a message where it does not cut lines, as under CI=1
    said = re.sub("(?m)^(FAILED|ERROR) .*", "", said)
    assert said.count("A quick test imports keras: mark it `keras`, a whole file") == 2
    assert "A quick test started a server: mark it `server`." in said
    assert "A quick test started an app or a browser: mark it `server`." in said
    assert "imported" not in said
    assert "made" not in said
    # one passed as it is, one was left out, and one stands in a file that did not load
    assert "3 failed, 1 passed, 1 deselected, 1 error" in said
