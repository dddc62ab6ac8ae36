"""The notebooks run from top to bottom, on drawings, and are committed bare."""

import os
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

from pneumonia.data.phantom import draw

pytestmark = pytest.mark.keras

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / name, as_version=4)


def execute(notebook, folder: Path) -> str:
    """Run a notebook in a folder and return all that it printed."""
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env={**os.environ, "PYTHONPATH": search})
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    return "".join(o["text"] for o in outputs if o.output_type == "stream")


def set_parameters(notebook, source: str) -> None:
    """Replace the cell that is tagged as parameters."""
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    cell.source = source


def pictures(notebook) -> int:
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    return sum("image/png" in o.get("data", {}) for o in outputs)


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


def test_both_are_there():
    names = {path.name for path in NOTEBOOKS}
    assert names == {"train_and_evaluate.ipynb", "explain.ipynb"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
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


def test_from_a_folder_to_a_bundle(drawings, tmp_path):
    notebook = read("train_and_evaluate.ipynb")
    set_parameters(
        notebook,
        "from pathlib import Path\n"
        f"SOURCE, OUT = {str(drawings)!r}, Path('out')\n"
        "BACKBONE, FINDER, FULL = None, None, False\n"
        "SMALL = {'epochs': '1', 'images_per_epoch': '16', 'stress_views': '1'}\n"
        "import sys\n"
        f"sys.path.append({str(Path(__file__).parent / 'helpers')!r})\n"
        "import narrow\n"
        "small = narrow.narrow()\n"
        "small.__enter__()\n"
        "from pneumonia.export import export\n"
        "export.CALIBRATION_IMAGES = 16\n"
        "export.SLIM_IMAGES = 8\n",
    )
    printed = execute(notebook, tmp_path)
    assert "patients on both sides: 0" in printed
    assert "auroc" in printed
    for name in ("run/best.weights.h5", "bundle/classifier.onnx", "report/report.json"):
        assert (tmp_path / "out" / name).is_file(), name
    assert pictures(notebook) >= 5


def test_explanations(tmp_path, monkeypatch):
    monkeypatch.delenv("PNEUMONIA_DATA", raising=False)  # so that it draws its own
    notebook = read("explain.ipynb")
    printed = execute(notebook, tmp_path)
    assert "lungs covered" in printed
    assert "Normal or Pneumonia    borders" in printed
    assert "answers are wrong" in printed
    assert "another image, true head" in printed
    assert pictures(notebook) >= 6


def test_a_failing_cell_fails_the_test(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute(notebook, tmp_path)
