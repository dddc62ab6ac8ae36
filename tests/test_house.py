"""The house rules: who may import whom, and that serving stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pneumonia"
BELOW = {"contract", "kept", "outputs", "reading", "figures", "serving", "data"}
BELOW |= {"network"}
SHOWN = {"the face", "contract", "figures"}
SHOWN |= {
    f"serving.{name}" for name in ("overlay", "encode", "rows", "unlike", "zones")
}
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

HEAVY = {
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "matplotlib",
    "scipy",
    "sklearn",
    "onnx",
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def room_of(module: str) -> str:
    """Return the room of a dotted name: the longest that it begins with."""
    parts = module.split(".")
    for count in range(len(parts), 0, -1):
        if (room := ".".join(parts[:count])) in MAY_IMPORT.keys() | OPEN.keys():
            return room
    return "the face"


def imports(path: Path) -> tuple[set[str], set[str]]:
    """Return what a file imports: of the package, and what packages besides.

    Imports inside of functions count. A relative import is followed from where the file
    stands: `..data` in `training/train.py` is `data`.
    """
    here = ["pneumonia", *path.relative_to(PACKAGE).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
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
        ("serving/x", "from . import image", None),
        ("serving/x", "from pneumonia.data import folder", "data.folder"),
        ("serving/x", "import pneumonia.export.int8", "export.int8"),
        ("serving/x", "def f():\n    from ..network import vgg19", "network.vgg19"),
        ("serving/x", "import keras.ops", "keras"),
        ("reading/dicom/x", "from ..picture import ImageError", None),
        ("reading/dicom/x", "from ...serving import gate", "serving.gate"),
        ("reading/x", "from .dicom import decode", None),
        ("gate/x", "from ..export import slim", "export.slim"),
        ("web/x", "from pneumonia import predict", None),
        ("web/x", "from ..serving.zones import ZONES", None),
        ("web/x", "from ..serving import zones", None),
        ("web/x", "from ..serving.gate import judge", "serving.gate.judge"),
        ("web/x", "from .demo import app", "web.demo.app"),
        ("web/x", "import gradio", "gradio"),
        ("web/demo/x", "from .. import words", None),
        ("web/demo/x", "from ..form.app import create_app", "web.form.app.create_app"),
        ("web/demo/x", "from ... import predict", None),
        ("web/demo/x", "from ...reading import image", "reading.image"),
        ("web/demo/x", "import gradio", None),
        ("web/form/x", "import gradio", "gradio"),
        ("web/form/x", "from pneumonia.web.demo import app", "web.demo.app"),
    ],
)
def test_the_rule_sees_through_every_import(tmp_path, monkeypatch, place, line, stray):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    path = tmp_path / f"{place}.py"
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert strays(path) == ({stray} if stray else set())


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_init_of_a_room_is_a_docstring(room):
    path = PACKAGE / room.replace(".", "/") / "__init__.py"
    if path.parent.is_dir():
        code = [n for n in ast.parse(path.read_text()).body if not _is_text(n)]
        assert len(code) == (1 if room == "network" else 0)  # it hands on `load`


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "figures").glob("*.py")), ids=name_of
)
def test_figures_need_numpy_alone(path):
    assert imports(path)[1] - sys.stdlib_module_names <= {"numpy"}


def test_the_face_stays_small():
    import pneumonia

    assert len(pneumonia.__all__) <= 25
    assert all(hasattr(pneumonia, name) for name in pneumonia.__all__)


@pytest.mark.parametrize("door", ["demo.py", "flask_app.py"])
def test_a_door_only_opens(door):
    code = [n for n in ast.parse((ROOT / door).read_text()).body if not _is_text(n)]
    first, *rest = code
    assert isinstance(first, ast.ImportFrom)
    assert first.module.startswith("pneumonia.web.")
    assert all(isinstance(node, ast.If | ast.Assign) for node in rest)


def test_the_form_needs_no_gradio():
    script = "import sys, flask_app; print('gradio' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "False", done.stderr


def test_answering_loads_no_training_framework(phantom_bytes, tmp_path):
    picture = tmp_path / "phantom.png"
    picture.write_bytes(phantom_bytes)
    script = (
        "import sys, pneumonia\n"
        "c = pneumonia.load_classifier()\n"
        f"pneumonia.predict(c, open({str(picture)!r}, 'rb').read())\n"
        "heavy = {'tensorflow', 'keras', 'jax', 'torch', 'matplotlib', 'scipy'}\n"
        "heavy |= {'pydicom', 'imagecodecs'}  # a PNG needs neither\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_shipped_phantoms_are_what_the_code_draws():
    import numpy as np
    from PIL import Image

    from pneumonia import phantoms
    from pneumonia.data import phantom

    assert {path.name for path in phantoms()} == phantom.SHIPPED.keys()
    for path in phantoms():
        drawn = phantom.draw(**phantom.SHIPPED[path.name]).astype(int)
        # the font renderer may differ between versions, in the corner with the word
        assert np.abs(np.asarray(Image.open(path)) - drawn)[:470].max() <= 2
