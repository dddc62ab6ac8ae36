"""The notebooks run from top to bottom, on drawings, and are committed bare."""

import os
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image
from servers import ROOT

from pneumonia.data.phantom import draw

pytestmark = pytest.mark.keras


def execute(name: str, folder: Path, parameters: str = "") -> tuple[str, int]:
    """Run a notebook in a folder; return what it printed and how many pictures."""
    notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
    if parameters:
        tagged = [
            c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])
        ]
        (cell,) = tagged
        cell.source = parameters
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    where = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources=where
    )
    client.execute(env={**os.environ, "PYTHONPATH": search})
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    printed = "".join(o["text"] for o in outputs if o.output_type == "stream")
    return printed, sum("image/png" in o.get("data", {}) for o in outputs)


@pytest.fixture
def drawings(tmp_path) -> Path:
    folder = tmp_path / "drawings"
    rng = np.random.default_rng(0)
    for label, name in (("NORMAL", "IM-{:04}-0001"), ("PNEUMONIA", "person{}_virus_1")):
        (folder / label).mkdir(parents=True)
        for number in range(30):
            spots = [(*rng.uniform(0.3, 0.7, 2), 0.15)] if label == "PNEUMONIA" else []
            picture = Image.fromarray(draw(number, tuple(spots), size=128))
            picture.save(folder / label / f"{name.format(number)}.png")
    return folder


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")))
def test_committed_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    for cell in code:
        assert cell.outputs == []
        assert cell.execution_count is None
        # the package does the work, the notebook calls it
        assert "def " not in cell.source
        assert "class " not in cell.source
    assert not any(cell.get("attachments") for cell in notebook.cells)
    assert "image/png" not in path.read_text(encoding="utf-8")


PARAMETERS = """
from pathlib import Path
import sys
SOURCE, OUT = {drawings!r}, Path("out")
BACKBONE, FINDER, FULL = None, None, False
SMALL = {{"epochs": "1", "images_per_epoch": "16", "stress_views": "1"}}
sys.path.append({helpers!r})
import narrow
small = narrow.narrow()
small.__enter__()
from pneumonia.export import export
export.CALIBRATION_IMAGES = 16
export.SLIM_IMAGES = 8
"""


def test_from_a_folder_to_a_bundle(drawings, tmp_path):
    helpers = str(ROOT / "tests" / "helpers")
    parameters = PARAMETERS.format(drawings=str(drawings), helpers=helpers)
    printed, pictures = execute("train_and_evaluate.ipynb", tmp_path, parameters)
    assert "patients on both sides: 0" in printed
    assert "auroc" in printed
    for name in ("run/best.weights.h5", "bundle/classifier.onnx", "report/report.json"):
        assert (tmp_path / "out" / name).is_file(), name
    assert pictures >= 5


def test_explanations(tmp_path, monkeypatch):
    monkeypatch.delenv("PNEUMONIA_DATA", raising=False)  # so that it draws its own
    printed, pictures = execute("explain.ipynb", tmp_path)
    assert "lungs covered" in printed
    assert "Normal or Pneumonia    borders" in printed
    assert "answers are wrong" in printed
    assert "another image, true head" in printed
    assert pictures >= 6
