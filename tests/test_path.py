"""Nothing is imported from the working directory; a failed import is told as one."""

import os
import sys

import numpy as np
import pytest
from dicoms import SYNTAXES, make
from pictures import GREY, encode
from servers import ROOT, run

from pneumonia import IsolatedReader
from pneumonia.reading import image, isolated
from pneumonia.reading.picture import InstallationError
from pneumonia.safe_path import safe_path

NAMES = ("gdcm", "numpy", "PIL", "json", "web", "pydicom", "imagecodecs", "hashlib")
NAMES += ("onnxruntime", "tifffile", "tqdm", "struct", "dataclasses", "isal", "csv")
NAMES += ("argparse", "queue")
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
    (tmp_path / "set" / "NORMAL").mkdir(parents=True)
    for path in (tmp_path / "film.dcm", tmp_path / "set" / "NORMAL" / "film.dcm"):
        path.write_bytes(FILM)
    return tmp_path


def inside(trap, *command: str, path=str(ROOT)):
    return run(*command, cwd=trap, env=os.environ | {"PYTHONPATH": path})


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


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["-m", "pneumonia", "predict", "film.dcm", "--anyway"], "film.dcm,ok,"),
        (["-m", "pneumonia", "yours", "set", "--out", "mine.html"], "mine.html"),
        (["-m", "pneumonia", "serve", "flask", "--help"], "usage: "),
        (["-P", "-c", READ], str(GREY.shape)),  # a worker
    ],
)
def test_nothing_is_imported_from_the_working_directory(trap, command, said):
    path = f"{ROOT}{os.pathsep}"  # its empty part: the working directory
    done = inside(trap, *command, path=path if "predict" in command else str(ROOT))
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert not (trap / "mark").exists()


def test_the_path_keeps_what_was_installed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", ".", str(tmp_path), "/else", str(ROOT)])
    assert safe_path() == ["/else", str(ROOT)]
    monkeypatch.chdir(ROOT)  # its own folder is a last resort, wherever it is
    assert safe_path() == [str(tmp_path), "/else", str(ROOT)]


def test_a_failed_import_is_told_as_one(monkeypatch):
    decode = "pneumonia.reading.dicom.decode"
    monkeypatch.delattr(decode, raising=False)  # imported before
    monkeypatch.setitem(sys.modules, decode, None)
    with pytest.raises(InstallationError, match=r"pip install -r requirements\.txt"):
        image.read_picture(FILM)
    assert image.read_picture(encode(GREY)).pixels.shape == GREY.shape


@pytest.mark.parametrize("name", ["pydicom", "PIL"])  # when a file asks, and at once
def test_a_failed_import_in_a_worker_is_told_as_one(monkeypatch, name):
    broken = f"import types; sys.modules[{name!r}] = None"
    start = isolated._START.replace("import types", broken)
    monkeypatch.setattr(isolated, "_START", start)
    reader = IsolatedReader(1)
    with pytest.raises(InstallationError, match="can't be imported"):
        reader.read(FILM)
    reader.close()


MAIN = """
import sys; sys.modules["pydicom"] = None
from pneumonia.__main__ import main
from pneumonia.reading import isolated
broken = "import types; sys.modules['pydicom'] = None"
isolated._START = isolated._START.replace("import types", broken)
main(["predict", "film.dcm"])
"""


def test_the_command_line_says_it_in_one_sentence(trap):
    done = inside(trap, "-P", "-c", MAIN)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: No file was looked")
    assert "Traceback" not in done.stderr
