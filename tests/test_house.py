"""The house rules: who may import whom, and that serving stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pneumonia"
SERVING = {
    *{"__init__", "batch", "classifier", "cluster", "dicom", "gate", "image"},
    *{"isolated", "overlay", "prediction", "selfcheck"},
}
MAY_IMPORT = {
    "__init__": {
        *{"batch", "classifier", "image", "isolated", "overlay", "prediction"},
        "selfcheck",
    },
    "dicom": set(),
    "image": {"dicom"},
    "isolated": {"image"},
    "overlay": set(),
    "gate": {"image"},
    "classifier": {"gate", "image"},
    "prediction": {"classifier", "gate", "image", "isolated", "overlay"},
    "selfcheck": {"classifier", "prediction"},
    "batch": {"classifier", "image", "overlay", "prediction"},
    "cluster": {"batch", "classifier"},
    "phantom": set(),
    "augment": {"tones"},
    "patients": set(),
    "others": {"image"},
    "rules": {"gate"},
    "gate_fit": {
        *{"classifier", "data", "gate", "image", "others", "patients", "phantom"},
        "rules",
    },
    "recipe": {"augment", "margin"},
    "margin": {"image"},
    "preprocess": {"margin"},
    "network": {"classifier", "image", "preprocess"},
    "gradcam": {"margin", "network"},
    "graph": {*{"classifier", "gradcam", "image", "margin", "network"}, "preprocess"},
    "int8": set(),
    "calibrate": {"classifier"},
    "metrics": {"classifier"},
    "plots": {"classifier", "metrics"},
    "stress": set(),
    "groups": {"data"},
    "balance": {"shortcuts"},
    "cache": {"data", "sampling"},
    "data": {"classifier", "image", "patients"},
    "sampling": {"augment", "classifier", "data", "recipe"},
    "callbacks": {"recipe"},
    "styles": {"network"},
    "tones": set(),
    "train": {
        *{
            "balance",
            "cache",
            "callbacks",
            "classifier",
            "data",
            "devices",
            "groups",
            "network",
            "recipe",
        },
        *{"runs", "sampling", "starting", "stress", "styles"},
    },
    "starting": {"data", "network", "recipe", "runs", "sampling"},
    "devices": set(),
    "runs": set(),
    "evaluate": {
        *{"calibrate", "classifier", "data", "groups", "metrics", "network", "plots"},
        *{"patients", "stress"},
    },
    "steps": {"augment", "groups"},
    "soup": {"margin", "network", "runs"},
    "ablation": {
        *{"ablation_table", "balance", "calibrate", "classifier", "data", "groups"},
        *{"metrics", "network", "patients", "soup", "steps", "stress", "train"},
    },
    "ablation_table": {"steps", "stress"},
    "regions": set(),
    "shortcuts": {"classifier", "data", "metrics", "regions"},
    "interventions": {"classifier", "data", "evaluate", "metrics", "regions"},
    "mapcheck": {
        *{"classifier", "data", "evaluate", "graph", "metrics", "overlay", "regions"},
    },
    "covering": {"classifier", "data", "evaluate", "mapcheck", "metrics", "overlay"},
    "audit": {
        *{"classifier", "covering", "data", "interventions", "mapcheck", "regions"},
        "shortcuts",
    },
    "export": {
        *{"calibrate", "classifier", "data", "gradcam", "graph", "image", "int8"},
        *{"metrics", "network", "prediction", "selfcheck", "stress"},
    },
    "card_words": set(),
    "card_bundle": {"card_words", "classifier"},
    "card_findings": {"card_words", "classifier"},
    "card_audit": {"card_words", "classifier"},
    "card_steps": {"card_words"},
    "card": {
        *{"card_audit", "card_bundle", "card_findings", "card_steps", "card_words"},
        "classifier",
    },
    "arguments": {"classifier"},
    "__main__": {
        "ablation",
        "ablation_table",
        "arguments",
        *{"audit", "batch", "card", "classifier", "cluster", "data", "evaluate"},
        "export",
        *{"gate_fit", "selfcheck", "soup", "train"},
    },
}


def imports(path: Path) -> tuple[set[str], set[str]]:
    """Return what a file imports of the package, and of everything else."""
    ours, others = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            others |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = [node.module] if node.module else [a.name for a in node.names]
            ours |= set(names)
        elif isinstance(node, ast.ImportFrom):
            others.add(node.module)
    return ours, {name.partition(".")[0] for name in others}


def test_every_module_has_its_rule():
    assert {path.stem for path in PACKAGE.glob("*.py")} == MAY_IMPORT.keys()


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_module_imports_only_what_it_may(module):
    ours, others = imports(PACKAGE / f"{module}.py")
    assert ours <= MAY_IMPORT[module]
    assert not others & {"flask", "gradio", "pneumonia"}
    if module in SERVING:
        assert not others & {"keras", "tensorflow", "matplotlib", "scipy", "sklearn"}


APPS = [*ROOT.glob("*.py"), *(ROOT / "web").glob("*.py")]


@pytest.mark.parametrize("app", APPS, ids=lambda path: path.stem)
def test_apps_import_only_the_face(app):
    for node in ast.walk(ast.parse(app.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("pneumonia.")


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
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_files_stay_small():
    for path in [*PACKAGE.glob("*.py"), *APPS]:
        assert len(path.read_text().splitlines()) <= 320, path.name


def test_shipped_phantoms_are_what_the_code_draws():
    import numpy as np
    from PIL import Image

    from pneumonia import phantom, phantoms

    assert {path.name for path in phantoms()} == phantom.SHIPPED.keys()
    for path in phantoms():
        drawn = phantom.draw(**phantom.SHIPPED[path.name]).astype(int)
        # the font renderer may differ between versions, in the corner with the word
        assert np.abs(np.asarray(Image.open(path)) - drawn)[:470].max() <= 2
