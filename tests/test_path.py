"""Nothing is imported from the working directory; a failed import is told as one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dicoms import SYNTAXES, make
from pictures import GREY, encode

from pneumonia import IsolatedReader
from pneumonia.reading import image, isolated
from pneumonia.reading.picture import InstallationError
from pneumonia.safe_path import safe_path

ROOT = Path(__file__).parent.parent
NAMES = ("gdcm", "numpy", "PIL", "json", "web", "pydicom", "imagecodecs")
NAMES += ("onnxruntime", "tifffile", "tqdm", "struct", "dataclasses", "isal")
FILM = make(GREY.astype(np.uint16) * 16, SYNTAXES["lossless JPEG"])


@pytest.fixture
def trap(tmp_path):
    """A folder with modules that leave a mark, called like those that are needed."""
    mark = f"open({str(tmp_path / 'mark')!r}, 'w').close()\nraise ImportError('trap')\n"
    (tmp_path / "dl").mkdir()
    for number, name in enumerate(NAMES):
        if number % 2:
            (tmp_path / f"{name}.py").write_text(mark)
        else:
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text(mark)
    (tmp_path / "film.dcm").write_bytes(FILM)
    return tmp_path


def run(*command: str, folder: Path, **environment: str):
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )


def test_the_command_line_imports_nothing_from_the_working_directory(trap):
    done = run(
        *("-m", "pneumonia", "predict", "film.dcm", "--anyway"),
        folder=trap,
        PYTHONPATH=f"{ROOT}{os.pathsep}",  # its empty part: the working directory
    )
    assert done.returncode == 0, done.stderr
    assert "film.dcm,ok," in done.stdout
    assert not (trap / "mark").exists()


def test_testing_on_yours_imports_nothing_from_the_working_directory(trap):
    for name in ("hashlib", "argparse", "queue", "csv"):
        (trap / f"{name}.py").write_text("raise ImportError('trap')")
    (trap / "mine" / "NORMAL").mkdir(parents=True)
    (trap / "film.dcm").rename(trap / "mine" / "NORMAL" / "film.dcm")
    command = ("-m", "pneumonia", "yours", "mine", "--out", "report.html")
    done = run(*command, folder=trap)
    assert done.returncode == 0, done.stderr
    assert not (trap / "mark").exists()
    assert (trap / "report.html").exists()


READ = """
import sys
from pathlib import Path
from pneumonia import IsolatedReader
for place in ("", ".", str(Path.cwd())):
    sys.path.insert(0, place)  # as in an interactive Python
reader = IsolatedReader(1)
print(reader.read(Path("film.dcm").read_bytes()).pixels.shape)
reader.close()
"""


def test_a_worker_imports_nothing_from_the_working_directory(trap):
    done = run("-P", "-c", READ, folder=trap)
    assert done.stdout.strip() == str(GREY.shape), done.stderr
    assert not (trap / "mark").exists()


def test_apps_import_nothing_from_the_working_directory(trap):
    done = run("-m", "pneumonia", "serve", "flask", "--help", folder=trap)
    assert done.returncode == 0, done.stderr
    assert not (trap / "mark").exists()


def test_the_path_keeps_what_was_installed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", ".", str(tmp_path), "/else", str(ROOT)])
    assert safe_path() == ["/else", str(ROOT)]
    monkeypatch.chdir(ROOT)  # its own folder is a last resort, wherever it is
    assert safe_path() == [str(tmp_path), "/else", str(ROOT)]


def test_a_failed_import_is_told_as_one(monkeypatch):
    monkeypatch.delattr(
        "pneumonia.reading.dicom.decode", raising=False
    )  # imported before
    monkeypatch.setitem(sys.modules, "pneumonia.reading.dicom.decode", None)
    with pytest.raises(InstallationError, match=r"pip install -r requirements\.txt"):
        image.read_picture(FILM)
    assert image.read_picture(encode(GREY)).pixels.shape == GREY.shape


@pytest.mark.parametrize(
    "broken",
    [
        "sys.modules['pydicom'] = None",  # when a file asks for it
        "sys.modules['PIL'] = None",  # at once
    ],
)
def test_a_failed_import_in_a_worker_is_told_as_one(monkeypatch, broken):
    start = isolated._START.replace("import types", f"import types\n{broken}")
    monkeypatch.setattr(isolated, "_START", start)
    reader = IsolatedReader(1)
    with pytest.raises(InstallationError, match="can't be imported"):
        reader.read(FILM)
    reader.close()


def test_the_command_line_says_it_in_one_sentence(trap):
    script = (
        "import sys; sys.modules['pydicom'] = None\n"
        "from pneumonia.__main__ import main\n"
        "from pneumonia.reading import isolated\n"
        "isolated._START = isolated._START.replace('import types', "
        "'import types; sys.modules[\"pydicom\"] = None')\n"
        "main(['predict', 'film.dcm'])"
    )
    done = run("-P", "-c", script, folder=trap)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: No file was looked")
    assert "Traceback" not in done.stderr
