"""The command on a GPU: a session stands in for one, since tests have none."""

import csv

import onnxruntime
import pytest

from pneumonia import load_classifier, phantoms
from pneumonia.__main__ import main
from pneumonia.serving.classifier import DeviceError

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
GOOD, *_ = (path.read_bytes() for path in phantoms())


class Session:
    """ONNX Runtime's on the CPU, which says what it was asked for."""

    started = (CUDA, CPU)
    opened: list["Session"] = []
    real = onnxruntime.InferenceSession

    def __init__(self, weights, options, providers, **more):
        self.asked, self.batches = providers, []
        if self.started is None:
            raise RuntimeError("CUDA failure 100: no CUDA-capable device\nat line 1")
        self._session = self.real(weights, options, providers=[CPU])
        self.opened.append(self)

    def get_providers(self):
        return [*self.started]

    def run(self, names, inputs):
        self.batches.append(len(inputs["image"]))
        return self._session.run(names, inputs)


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(Session, "opened", [])
    return Session


def test_a_gpu_answers_64_files_at_once(gpu, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(70):
        content = b"none" if number == 3 else GOOD
        (folder / f"{number:02}.png").write_bytes(content)
    tables = {name: tmp_path / f"{name}.csv" for name in ("cuda", "cpu")}
    for device, table in tables.items():
        main(["predict", str(folder), "--csv", str(table), "--device", device])
    on_gpu, on_cpu = gpu.opened
    assert (on_gpu.asked, on_cpu.asked) == ([CUDA, CPU], [CPU])
    assert sorted(on_gpu.batches) == [6, 63]
    assert max(on_cpu.batches) <= 4
    rows = []
    for table in tables.values():
        with table.open(newline="") as file:
            rows.append([*csv.DictReader(file)])
    assert rows[0] == rows[1]
    assert [row["status"] for row in rows[0]].count("ok") == 69


@pytest.mark.parametrize("started", [(CPU,), None], ids=["falls back", "fails"])
def test_what_does_not_start_on_the_gpu_never_runs_elsewhere(
    gpu, monkeypatch, started, tmp_path
):
    monkeypatch.setattr(Session, "started", started)
    with pytest.raises(DeviceError, match="could not start on it here"):
        load_classifier(device="cuda")
    assert not any(session.batches for session in gpu.opened)


def test_without_a_gpu_it_is_refused_before_a_table_is_begun(tmp_path):
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime-gpu is installed")
    table = tmp_path / "rows.csv"
    command = ["predict", str(phantoms()[0]), "--csv", str(table), "--device", "cuda"]
    with pytest.raises(SystemExit) as end:
        main(command)
    said = str(end.value)
    assert said.startswith("error: cuda was asked for, and this onnxruntime ")
    assert CPU in said
    assert "onnxruntime-gpu instead of onnxruntime" in said
    assert "\n" not in said
    assert not table.exists()
