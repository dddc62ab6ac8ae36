"""The answer: label, probabilities, map and overlay from the bundle that ships."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from pneumonia import LABELS, BundleError, load_classifier, phantoms, predict, verdict
from pneumonia.__main__ import main
from pneumonia.contract import BUNDLE
from pneumonia.gate import not_chests
from pneumonia.serving import zones
from pneumonia.serving.classifier import softmax
from pneumonia.serving.encode import encode_jpeg, encode_png
from pneumonia.serving.overlay import enlarge, split_evidence
from pneumonia.serving.selfcheck import selftest


def test_an_answer_leaves_no_file_behind(tmp_path):
    program = (
        "import pneumonia as p; "
        "p.predict(p.load_classifier(), p.phantoms()[0].read_bytes())"
    )
    own = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(BUNDLE.parents[1])}
    run = [sys.executable, "-c", program]
    subprocess.run(run, env=os.environ | own, cwd=tmp_path, check=True)
    assert not list(tmp_path.iterdir())  # such as a session of ONNX Runtime's reports


def test_prediction_is_complete_and_repeated(classifier, phantom_bytes):
    prediction, again = (predict(classifier, phantom_bytes) for _ in range(2))
    assert prediction.label in LABELS
    assert tuple(prediction.probabilities) == LABELS
    assert all(type(p) is float for p in prediction.probabilities.values())
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert type(prediction.certain) is bool
    shapes = {"heatmap": (512, 512), "overlay": (512, 512, 3), "evidence": (8, 8)}
    for name, shape in shapes.items():
        assert getattr(prediction, name).shape == shape
        dtype = np.uint8 if name == "overlay" else np.float32
        assert getattr(prediction, name).dtype == dtype
    assert 0 <= prediction.heatmap.min() <= prediction.heatmap.max() <= 1
    assert prediction.warnings == ()
    assert hash(prediction)  # arrays in it do not break it
    assert again.probabilities == prediction.probabilities
    assert (again.overlay == prediction.overlay).all()


def test_label_follows_the_threshold_and_not_the_larger_bar(classifier):
    other = replace(classifier, threshold=0.6, uncertain_band=(0.3, 0.7))
    labels, certain = (0, 0, 0, 1, 1), (True, False, False, False, True)
    found = [other.decide(p) for p in (0.1, 0.35, 0.59, 0.6, 0.9)]
    assert found == list(zip(labels, certain, strict=True))


def test_temperature_softens_and_never_overflows():
    logits = np.array([[0, 4], [-1000, 1000]], np.float32)
    hot, cold = softmax(logits, 4), softmax(logits, 0.5)
    assert 0.5 < hot[0, 1] < cold[0, 1] < 1
    np.testing.assert_allclose(hot[1], [0, 1], atol=1e-12)
    np.testing.assert_allclose(hot.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("p", "certain", "said"),
    [
        (0.001, True, "Normal.*under 1%.*below {low:.0%}"),
        (0.9996, True, "Pneumonia.*over 99%.*above {high:.0%}"),
        (0.964, True, "Pneumonia.*96%"),
        (0.5, False, "Uncertain, needs a radiologist.*50%.*{low:.0%} to {high:.0%}"),
    ],
)
def test_verdict_names_what_was_found(classifier, phantom_bytes, p, certain, said):
    found = replace(
        predict(classifier, phantom_bytes),
        label=LABELS[int(p > 0.5)],
        probabilities={LABELS[0]: 1 - p, LABELS[1]: p},
        certain=certain,
    )
    low, high = classifier.uncertain_band
    assert re.match(said.format(low=low, high=high), verdict(classifier, found))


def test_shipped_bundle_answers_as_when_it_was_made(classifier, capsys):
    assert len(selftest(classifier)) == 3
    main(["selftest"])
    assert "the bundle works here" in capsys.readouterr().out


def test_shipped_bundle_holds_its_published_figures(classifier, held_out, answers):
    logits, maps, embedding, evidence, lungs, box = answers
    p = classifier.probabilities(logits)[:, 1]
    published = classifier.facts["validation"]["clean"]
    accuracy = ((p >= classifier.threshold) == (held_out.labels == 1)).mean()
    assert accuracy == pytest.approx(published["accuracy"]["value"], abs=0.01)
    assert accuracy > 0.9
    shapes = [one.shape[1:] for one in (evidence, lungs, box)]
    assert shapes == [(8, 8), (96, 96), (4,)]
    left = classifier.facts["operations"]["channels"]
    assert embedding.shape[1] == left["block3_conv4"] + left["block4_conv4"]
    for values in (maps, lungs):
        assert 0 <= values.min() <= values.max() <= 1
    assert 0.1 < lungs.mean() < 0.5
    assert (box[:, 1::2] - box[:, ::2]).min() > 0.15
    # what cells add is most of what the answer is; the rest are biases
    added = evidence.sum(axis=(1, 2))
    assert np.corrcoef(added, logits[:, 1] - logits[:, 0])[0, 1] > 0.9


def said_otherwise(**facts):
    return lambda data: json.dumps(json.loads(data) | facts).encode()


@pytest.mark.parametrize(
    ("name", "change", "word"),
    [
        ("classifier.onnx", lambda data: data[:-1] + b"x", "checksum"),
        ("classifier.onnx", lambda data: data[: len(data) // 2], "checksum"),
        ("classifier.onnx", None, "can't be read"),
        ("bundle.json", lambda data: data[:500], "damaged"),
        ("bundle.json", lambda data: b"[]", "damaged"),
        ("bundle.json", lambda data: data.replace(b'"threshold"', b'"x"'), "damaged"),
        ("bundle.json", None, "can't be read"),
        ("bundle.json", said_otherwise(format=1), "has format 1, expected 2"),
        ("bundle.json", said_otherwise(picture_size=160), "160"),
        ("bundle.json", said_otherwise(image_size=160), "160"),
    ],
)
def test_a_changed_bundle_names_the_command_that_mends_it(tmp_path, name, change, word):
    for path in BUNDLE.iterdir():
        shutil.copy(path, tmp_path)
    if change:
        (tmp_path / name).write_bytes(change((tmp_path / name).read_bytes()))
    else:
        (tmp_path / name).unlink()
    with pytest.raises(BundleError, match=word) as caught:
        load_classifier(tmp_path)
    assert f"python -m pneumonia export RUN --out {tmp_path}" in str(caught.value)


def test_command_line_refuses_and_answers_anyway(tmp_path, capsys):
    text = not_chests.KINDS["text"](np.random.default_rng(5))
    (tmp_path / "page.png").write_bytes(encode_png(text))
    main(["predict", str(tmp_path)])
    assert ",refused,,,,not_chest_xray" in capsys.readouterr().out
    main(["predict", str(tmp_path), "--anyway"])
    (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
    assert row["status"] == "ok"
    assert "not_chest_xray" in row["reason"]


def test_command_line_answers_files_and_folders(phantom_bytes, tmp_path, capsys):
    folder = tmp_path / "in" / "deeper"
    folder.mkdir(parents=True)
    (folder / "good.png").write_bytes(phantom_bytes)
    (folder / "bad.jpeg").write_bytes(b"no picture")
    (folder / ".hidden").write_bytes(b"not looked at")
    missing = tmp_path / "missing.png"
    table, overlays = tmp_path / "answers.csv", tmp_path / "overlays"
    command = ["predict", str(tmp_path / "in"), str(missing), "--csv", str(table)]
    main([*command, "--overlays", str(overlays)])
    assert "3 files, 2 not answered" in capsys.readouterr().err
    bad, good, gone = csv.DictReader(table.read_text().splitlines())
    errors = (bad, folder / "bad.jpeg", "not_image"), (gone, missing, "unreadable")
    for row, path, reason in errors:
        told = {"path": str(path), "status": "error", "reason": reason}
        assert row == dict.fromkeys(row, "") | told
    names = "path status label p_pneumonia certain reason place partly_outside"
    assert [*good] == [*names.split(), "sides_known", "valid"]
    assert good["place"] in zones.PLACES
    assert good["path"] == str(folder / "good.png")
    assert (good["status"], good["reason"]) == ("ok", "")
    assert good["label"] in LABELS
    assert 0 <= float(good["p_pneumonia"]) <= 1
    assert {good["certain"], good["partly_outside"]} <= {"true", "false"}
    assert good["sides_known"] == "false"  # a phantom tells no side
    assert (overlays / "deeper" / "good.png.jpg").read_bytes().startswith(b"\xff\xd8")


def test_command_line_says_what_is_wrong_with_an_empty_folder(tmp_path):
    with pytest.raises(SystemExit, match="no file in"):
        main(["predict", str(tmp_path)])


def test_the_method_chooses_the_map_alone(classifier, phantom_bytes, tmp_path):
    plain = predict(classifier, phantom_bytes, method="Grad-CAM")
    other = predict(classifier, phantom_bytes, method="HiResCAM")
    assert other.probabilities == plain.probabilities
    drawn = split_evidence(other.evidence[None])[0, LABELS.index(other.label)]
    expected = enlarge(drawn, other.pixels.shape, other.box)
    np.testing.assert_allclose(other.heatmap, expected, atol=1e-6)
    assert (other.overlay != plain.overlay).any()
    with pytest.raises(ValueError, match="not LIME"):
        predict(classifier, phantom_bytes, method="LIME")

    (tmp_path / "one.png").write_bytes(phantom_bytes)
    command = ["predict", str(tmp_path / "one.png"), "--csv", str(tmp_path / "rows")]
    main([*command, "--overlays", str(tmp_path), "--method", "HiResCAM"])
    written = (tmp_path / "one.png.jpg").read_bytes()
    assert written == encode_jpeg(other.overlay)


def test_a_cell_of_the_evidence_speaks_for_one_label():
    evidence = np.float32([[[3, -1], [0, -6]], [[0, 0], [0, 0]]])
    maps = split_evidence(evidence)
    assert maps.shape == (2, 2, 2, 2)
    np.testing.assert_allclose(maps[0, 0], [[0, 1 / 6], [0, 1]])
    np.testing.assert_allclose(maps[0, 1], [[0.5, 0], [0, 0]])
    assert not maps[1].any()


def test_answer_without_evidence_is_told(classifier):
    answers = [predict(classifier, path.read_bytes()) for path in phantoms()]
    for answer in answers:
        empty = not answer.heatmap.any()
        assert ("empty_heat_map" in answer.warnings) == empty
    assert any(answer.heatmap.any() for answer in answers)
