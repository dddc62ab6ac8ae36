"""The house rules: who may import whom, and that serving stays light."""

import ast
import sys
from importlib.util import resolve_name
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from servers import PACKAGE, ROOT, run

import pneumonia
from pneumonia import phantoms
from pneumonia.data import phantom

BELOW = {"contract", "kept", "outputs", "reading", "figures", "serving", "data"}
BELOW |= {"network"}
SHOWN = {"the face", "contract", "figures", "serving.overlay", "serving.encode"}
SHOWN |= {"serving.rows", "serving.unlike", "serving.zones"}
MAY_IMPORT = {
    "contract": set(),
    "kept": set(),
    "outputs": set(),
    "safe_path": set(),
    "words": set(),
    "figures": {"contract"},
    "reading": {"contract", "words", "safe_path", "reading.dicom"},
    "reading.dicom": {"contract", "reading"},
    "serving": {"contract", "outputs", "words", "reading"},
    "archive": {"contract", "kept", "words", "reading", "reading.dicom", "serving"},
    "data": {"contract", "kept", "reading"},
    "network": {"contract", "outputs"},
    "training": {"contract", "kept", "data", "network"},
    "evaluation": BELOW,
    "export": BELOW | {"evaluation"},
    "gate": BELOW | {"evaluation"},
    "study": BELOW | {"evaluation", "training"},
    "web": SHOWN,
    "web.yours": SHOWN | {"web"},
    "web.demo": SHOWN | {"web", "web.yours"},
    "web.form": SHOWN | {"web"},
}
"""Which rooms a room may import from, besides itself; of some it is a file alone."""

OPEN = {
    "the face": {"contract", "safe_path", "words", "reading", "serving"},
    "arguments": {"contract", "training"},
    "__main__": {"arguments", *MAY_IMPORT},
}
"""The same for the files that stand beside the rooms."""

HEAVY_ROOMS = {"data", "network", "training", "evaluation", "export", "gate", "study"}
LIGHT = MAY_IMPORT.keys() - HEAVY_ROOMS | {"the face", "arguments"}
FRAMEWORKS = {"flask": {"web.form"}, "gradio": {"web.demo"}, "highdicom": {"archive"}}
"""Which room alone may import a framework of pages, or of files."""

TRAINERS = {"keras", "tensorflow", "jax", "torch", "matplotlib", "scipy"}
HEAVY = TRAINERS | {"sklearn", "onnx"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def room_of(module: str) -> str:
    """Return the room of a dotted name: the longest that it begins with."""
    rooms = MAY_IMPORT.keys() | OPEN.keys()
    found = (room for room in rooms if f"{module}.".startswith(f"{room}."))
    return max(found, key=len, default="the face")


def imports(path: Path) -> tuple[set[str], set[str]]:
    """Return what a file imports: of the package, and what packages besides.

    Imports inside of functions count. A relative import is followed from where the file
    stands: `..data` in `training/train.py` is `data`.
    """
    here = ".".join(["pneumonia", *path.relative_to(PACKAGE).parent.parts])
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), here)
            # of `from . import x` and `from .. import x` it is x that is imported
            found |= {f"{module}.{alias.name}" for alias in node.names}
    ours = {name.partition(".")[2] for name in found if name.startswith("pneumonia.")}
    others = {name.partition(".")[0] for name in found} - {"pneumonia"}
    return ours, others


def strays(path: Path) -> set[str]:
    """Return what a file of the package imports and may not."""
    room = room_of(".".join(path.relative_to(PACKAGE).with_suffix("").parts))
    ours, others = imports(path)
    allowed = MAY_IMPORT.get(room, set()) | OPEN.get(room, set())
    files = tuple(f"{one}." for one in allowed - MAY_IMPORT.keys())
    found = {
        name
        for name in ours
        if room_of(name) not in {room, *allowed} and not f"{name}.".startswith(files)
    }
    found |= {name for name, rooms in FRAMEWORKS.items() if room not in rooms} & others
    return found | (others & HEAVY if room in LIGHT else set())


def test_every_room_has_its_rule():
    inits = set(PACKAGE.rglob("*/__init__.py"))
    rooms = {name_of(path.parent).replace("/", ".") for path in inits}
    beside = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert rooms | beside | {"the face"} == MAY_IMPORT.keys() | OPEN.keys()
    assert {path.parent for path in MODULES} == {p.parent for p in inits} | {PACKAGE}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_room_imports_only_from_where_it_may(path):
    assert strays(path) == set()


@pytest.mark.parametrize(
    ("place", "line", "stray"),
    [
        ("serving/x", "from ..training.train import train", "training.train.train"),
        ("serving/x", "from .. import study", "study"),
        ("serving/x", "import pneumonia.export.int8", "export.int8"),
        ("serving/x", "def f():\n    from pneumonia.data import folder", "data.folder"),
        ("serving/x", "import keras.ops", "keras"),
        ("reading/dicom/x", "from ...serving import gate", "serving.gate"),
        ("web/x", "from ..serving import zones", None),
        ("web/x", "from ..serving.gate import judge", "serving.gate.judge"),
        ("web/demo/x", "from ... import predict", None),
        ("web/demo/x", "from ..form.app import create_app", "web.form.app.create_app"),
        ("web/form/x", "import gradio", "gradio"),
    ],
)
def test_the_rule_sees_through_every_import(tmp_path, monkeypatch, place, line, stray):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    path = tmp_path / f"{place}.py"
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert strays(path) == ({stray} if stray else set())


def code_of(path: Path) -> list[ast.stmt]:
    """Return a file's statements but for its docstring."""
    first, *others = ast.parse(path.read_text()).body
    assert isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return others


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*/__init__.py")), ids=name_of)
def test_init_of_a_room_is_a_docstring(path):
    hands_on_load = path.parent.name == "network"
    assert len(code_of(path)) == (1 if hands_on_load else 0)


@pytest.mark.parametrize("door", ["demo.py", "flask_app.py"])
def test_a_door_only_opens(door):
    first, *others = code_of(ROOT / door)
    assert isinstance(first, ast.ImportFrom)
    assert first.module.startswith("pneumonia.web.")
    assert all(isinstance(node, ast.If | ast.Assign) for node in others)


def test_figures_need_numpy_alone():
    for path in (PACKAGE / "figures").glob("*.py"):
        assert imports(path)[1] - sys.stdlib_module_names <= {"numpy"}, path


def test_the_face_stays_small():
    assert len(pneumonia.__all__) <= 25
    assert all(hasattr(pneumonia, name) for name in pneumonia.__all__)


@pytest.mark.parametrize(
    ("script", "heavy"),
    [
        ("import flask_app", {"gradio", "pydicom", "imagecodecs"} | TRAINERS),
        (
            "import pneumonia as p; c = p.load_classifier(); "
            "p.predict(c, p.phantoms()[0].read_bytes())",
            {"pydicom", "imagecodecs"} | TRAINERS,  # a PNG needs neither
        ),
    ],
)
def test_serving_loads_nothing_that_it_does_not_need(script, heavy):
    done = run("-c", f"import sys; {script}; print(*({heavy!r} & set(sys.modules)))")
    assert done.stdout == "\n", done.stderr


def test_shipped_phantoms_are_what_the_code_draws():
    assert {path.name for path in phantoms()} == phantom.SHIPPED.keys()
    for path in phantoms():
        drawn = phantom.draw(**phantom.SHIPPED[path.name]).astype(int)
        # the font renderer may differ between versions, in the corner with the word
        assert np.abs(np.asarray(Image.open(path)) - drawn)[:470].max() <= 2
