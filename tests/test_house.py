"""The house rules: who may import whom, and that serving stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pneumonia"
LOWER = {"contract", "kept", "serving"}
MAY_IMPORT = {
    "contract": set(),
    "kept": set(),
    "safe_path": set(),
    "figures": {"contract"},
    "serving": {"contract", "safe_path"},
    "data": LOWER,
    "network": LOWER,
    "training": LOWER | {"data", "network"},
    "evaluation": LOWER | {"figures", "data", "network"},
    "export": LOWER | {"figures", "data", "network", "evaluation"},
    "study": LOWER | {"figures", "data", "network", "training", "evaluation"},
}
"""Which rooms a room may import from, besides itself."""

OPEN = {
    "__init__": LOWER | {"safe_path"},
    "arguments": {"contract", "training"},
    "__main__": {"arguments", *MAY_IMPORT},
}
"""The same for the files that stand beside the rooms."""

LIGHT = {"contract", "kept", "safe_path", "figures", "serving", "__init__", "arguments"}
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


def imports(path: Path) -> tuple[set[str], set[str]]:
    """Return the rooms that a file imports from, and the packages that are not ours.

    Imports inside of functions count. A relative import is followed from where the file
    stands: `..data` in `training/train.py` is the room `data`.
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
    ours = {name.split(".")[1] for name in found if name.startswith("pneumonia.")}
    others = {name.partition(".")[0] for name in found} - {"pneumonia"}
    return ours, others


def test_every_room_has_its_rule():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    beside = {path.stem for path in PACKAGE.glob("*.py")}
    assert rooms | beside == MAY_IMPORT.keys() | OPEN.keys()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_room_imports_only_from_where_it_may(path):
    ours, others = imports(path)
    room = name_of(path).partition("/")[0]
    allowed = MAY_IMPORT.get(room, set()) | OPEN.get(room, set())
    assert ours - {room} <= allowed
    assert not others & {"flask", "gradio", "web"}
    if room in LIGHT:
        assert not others & HEAVY


def test_the_rule_sees_through_relative_imports(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "serving").mkdir()
    path = tmp_path / "serving" / "evil.py"
    for line, room in (
        ("from ..training.train import train", "training"),
        ("from .. import study", "study"),
        ("from . import image", "serving"),
        ("from pneumonia.data import folder", "data"),
        ("import pneumonia.export.int8", "export"),
        ("def f():\n    from ..network import vgg19", "network"),
    ):
        path.write_text(line)
        assert imports(path) == ({room}, set()), line


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_init_of_a_room_is_a_docstring(room):
    path = PACKAGE / room / "__init__.py"
    if path.parent.is_dir():
        code = [n for n in ast.parse(path.read_text()).body if not _is_text(n)]
        assert len(code) == (1 if room == "network" else 0)  # it hands on `load`


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


APPS = [*ROOT.glob("*.py"), *(ROOT / "web").glob("*.py")]


@pytest.mark.parametrize("app", APPS, ids=lambda path: path.stem)
def test_apps_import_only_the_face_and_figures(app):
    names = set()
    for node in ast.walk(ast.parse(app.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
    inside = {name for name in names if name.startswith("pneumonia.")}
    assert {name.split(".")[1] for name in inside} <= {"figures", "safe_path"}


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "figures").glob("*.py")), ids=name_of
)
def test_figures_need_numpy_alone(path):
    assert imports(path)[1] - sys.stdlib_module_names <= {"numpy"}


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
