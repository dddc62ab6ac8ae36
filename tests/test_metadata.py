"""What the served graph says of itself; and that it computes the same all the same."""

import json
import re
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest

from pneumonia import BundleError, load_classifier
from pneumonia.contract import BUNDLE, LABELS, NOTICE
from pneumonia.export import metadata

SHIPPED = BUNDLE / "classifier.onnx"


def test_what_ships_describes_itself(classifier):
    said = onnxruntime.InferenceSession(SHIPPED).get_modelmeta()
    found = said.custom_metadata_map
    expected = metadata.describe(classifier.facts)
    written_by = found.pop("version")
    assert re.fullmatch(r"\d+\.\d+\.\d+", written_by)
    del expected["version"]
    for key, value in expected.items():  # beside what quantisation left
        assert found[key] == value, "pneumonia export pneumonia/bundle --out the same"
    assert said.producer_name == "pneumonia-xray"
    assert NOTICE in said.description
    point = json.loads(found["operating_point"])
    assert point["threshold"] == classifier.threshold
    assert point["temperature"] == classifier.temperature
    assert tuple(point["uncertain_band"]) == classifier.uncertain_band
    (takes,) = onnxruntime.InferenceSession(SHIPPED).get_inputs()
    told = json.loads(found["input"])
    assert (takes.name, takes.shape) == (told["name"], told["shape"])
    assert json.loads(found["labels"]) == list(LABELS)


def test_what_ships_is_valid_and_its_nodes_have_names():
    model = onnx.load(SHIPPED)
    onnx.checker.check_model(model, full_check=True)
    names = [node.name for node in model.graph.node]
    assert len({*names}) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_.]+(_\w*Linear)?", name) for name in names)


def test_another_description_changes_no_answer(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(metadata, "VERSION", "9.9.9")
    for _ in range(2):  # the second time in place of the first
        metadata.renew(tmp_path if list(tmp_path.iterdir()) else BUNDLE, tmp_path)
    shutil.copy(BUNDLE / "audit.json", tmp_path)
    other = load_classifier(tmp_path)
    model = onnx.load(tmp_path / "classifier.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert model.producer_version == "9.9.9"
    assert [one.key for one in model.metadata_props].count("version") == 1
    assert other.sha256 == classifier.sha256
    assert other.passed == classifier.passed  # what was measured still holds
    inputs = np.random.default_rng(0).random((2, 224, 224, 1), np.float32)
    for one, same in zip(classifier.run(inputs), other.run(inputs), strict=True):
        assert one.tobytes() == same.tobytes()
    with (tmp_path / "classifier.onnx").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    with pytest.raises(BundleError, match="do not match their checksum"):
        load_classifier(tmp_path)
