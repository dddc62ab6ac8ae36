"""The answer: label, probabilities, map and overlay from the bundle that ships."""

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from pneumonia import (
    LABELS,
    BundleError,
    ImageError,
    Prediction,
    explain,
    load_classifier,
    phantoms,
    predict,
    verdict,
)
from pneumonia.__main__ import main
from pneumonia.contract import BUNDLE
from pneumonia.gate import not_chests
from pneumonia.serving import zones
from pneumonia.serving.classifier import softmax
from pneumonia.serving.encode import encode_jpeg, encode_png
from pneumonia.serving.overlay import enlarge, split_evidence
from pneumonia.serving.selfcheck import selftest

SHIPPED = BUNDLE


def test_an_answer_leaves_no_file_behind(tmp_path):
    program = (
        "import pneumonia as p; "
        "p.predict(p.load_classifier(), p.phantoms()[0].read_bytes())"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ
        | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(SHIPPED.parents[1])},
        cwd=tmp_path,
        check=True,
    )
    assert not list(tmp_path.iterdir())  # such as a session of ONNX Runtime's reports


def test_prediction_is_complete(classifier, phantom_bytes):
    prediction = predict(classifier, phantom_bytes)
    assert prediction.label in LABELS
    assert tuple(prediction.probabilities) == LABELS
    assert all(type(p) is float for p in prediction.probabilities.values())
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert type(prediction.certain) is bool
    assert prediction.heatmap.shape == (512, 512)
    assert prediction.heatmap.dtype == np.float32
    assert 0 <= prediction.heatmap.min() <= prediction.heatmap.max() <= 1
    assert prediction.overlay.shape == (512, 512, 3)
    assert prediction.overlay.dtype == np.uint8
    assert prediction.warnings == ()
    assert prediction.evidence.shape == (8, 8)
    assert prediction.evidence.dtype == np.float32
    assert hash(prediction)  # arrays in it do not break it


def test_same_bytes_same_answer(classifier, phantom_bytes):
    one, other = (predict(classifier, phantom_bytes) for _ in range(2))
    assert one.probabilities == other.probabilities
    assert (one.overlay == other.overlay).all()


def test_bad_image_is_refused(classifier):
    with pytest.raises(ImageError, match="No image came in"):
        predict(classifier, b"")


@pytest.mark.parametrize(
    ("p", "label", "certain"),
    [
        (0.1, 0, True),
        (0.35, 0, False),
        (0.59, 0, False),
        (0.6, 1, False),
        (0.9, 1, True),
    ],
)
def test_label_follows_the_threshold_and_not_the_larger_bar(
    classifier, p, label, certain
):
    other = replace(classifier, threshold=0.6, uncertain_band=(0.3, 0.7))
    assert other.decide(p) == (label, certain)


def test_temperature_softens_and_never_overflows():
    logits = np.array([[0, 4], [-1000, 1000]], np.float32)
    hot, cold = softmax(logits, 4), softmax(logits, 0.5)
    assert 0.5 < hot[0, 1] < cold[0, 1] < 1
    np.testing.assert_allclose(hot[1], [0, 1], atol=1e-12)
    np.testing.assert_allclose(hot.sum(axis=1), 1)


def test_verdict_names_label_probability_and_band(classifier, phantom_bytes):
    certain = replace(predict(classifier, phantom_bytes), certain=True)
    low, high = classifier.uncertain_band
    for label, side in (
        ("Normal", f"below {low:.0%}"),
        ("Pneumonia", f"above {high:.0%}"),
    ):
        sentence = verdict(classifier, replace(certain, label=label))
        assert sentence.startswith(f"{label}. The probability of pneumonia is ")
        assert side in sentence
    unsure = verdict(classifier, replace(certain, certain=False))
    assert unsure.startswith("Uncertain, needs a radiologist.")
    assert f"From {low:.0%} to {high:.0%}" in unsure


def test_shipped_bundle_answers_as_when_it_was_made(classifier, capsys):
    assert len(selftest(classifier)) == 3
    main(["selftest"])
    assert "the bundle works here" in capsys.readouterr().out


def test_shipped_bundle_holds_its_published_validation_figures(
    classifier, held_out, answers
):
    logits, maps, embedding, evidence, lungs, box = answers
    p = classifier.probabilities(logits)[:, 1]
    published = classifier.facts["validation"]["clean"]
    accuracy = ((p >= classifier.threshold) == (held_out.labels == 1)).mean()
    assert accuracy == pytest.approx(published["accuracy"]["value"], abs=0.01)
    assert accuracy > 0.9
    assert np.isfinite(maps).all()
    assert maps.min() >= 0
    assert maps.max() <= 1
    assert embedding.shape == (len(p), 512)
    assert evidence.shape == (len(p), 8, 8)
    assert lungs.shape == (len(p), 96, 96)
    assert 0 <= lungs.min() <= lungs.max() <= 1
    assert 0.1 < lungs.mean() < 0.5
    assert box.shape == (len(p), 4)
    assert (box[:, 1::2] - box[:, ::2]).min() > 0.15
    # what cells add is most of what the answer is; the rest are biases
    added = evidence.sum(axis=(1, 2))
    assert np.corrcoef(added, logits[:, 1] - logits[:, 0])[0, 1] > 0.9


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
    ],
)
def test_a_changed_bundle_stops_with_the_command_that_mends_it(
    tmp_path, name, change, word
):
    for path in SHIPPED.iterdir():
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
    head, bad, good, gone = table.read_text().splitlines()
    assert head.endswith(",certain,reason,place,partly_outside,sides_known")
    rest = "," * (head.count(",") - 5)
    assert bad == f"{folder / 'bad.jpeg'},error,,,,not_image{rest}"
    assert gone == f"{missing},error,,,,unreadable{rest}"
    ((path, status, label, p, certain, reason, place, *sides),) = csv.reader([good])
    assert place in zones.PLACES
    assert sides[0] in ("true", "false")
    assert sides[1] == "false"  # a phantom tells no side
    assert (path, status, reason) == (str(folder / "good.png"), "ok", "")
    assert label in LABELS
    assert 0 <= float(p) <= 1
    assert certain in ("true", "false")
    assert (overlays / "deeper" / "good.png.jpg").read_bytes().startswith(b"\xff\xd8")
    assert "3 files, 2 not answered" in capsys.readouterr().err


def test_the_method_chooses_the_map_and_not_the_answer(
    classifier, phantom_bytes, tmp_path
):
    plain = predict(classifier, phantom_bytes, method="Grad-CAM")
    other = predict(classifier, phantom_bytes, method="HiResCAM")
    assert other.probabilities == plain.probabilities
    drawn = split_evidence(other.evidence[None])[0, LABELS.index(other.label)]
    expected = enlarge(drawn, other.pixels.shape, other.box)
    np.testing.assert_allclose(other.heatmap, expected, atol=1e-6)
    assert (other.overlay != plain.overlay).any()

    (tmp_path / "one.png").write_bytes(phantom_bytes)
    command = ["predict", str(tmp_path / "one.png"), "--csv", str(tmp_path / "rows")]
    main([*command, "--overlays", str(tmp_path), "--method", "HiResCAM"])
    written = (tmp_path / "one.png.jpg").read_bytes()
    assert written == encode_jpeg(other.overlay)


def test_command_line_prints_rows_without_a_file(phantom_bytes, tmp_path, capsys):
    (tmp_path / "one.png").write_bytes(phantom_bytes)
    main(["predict", str(tmp_path / "one.png")])
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_command_line_says_what_is_wrong_with_an_empty_folder(tmp_path):
    with pytest.raises(SystemExit, match="no file in"):
        main(["predict", str(tmp_path)])


def test_a_bundle_of_before_is_refused_with_the_command_that_mends_it(tmp_path):
    for path in SHIPPED.iterdir():
        shutil.copy(path, tmp_path)
    facts = json.loads((SHIPPED / "bundle.json").read_text()) | {"format": 1}
    (tmp_path / "bundle.json").write_text(json.dumps(facts))
    with pytest.raises(BundleError, match="has format 1, expected 2") as caught:
        load_classifier(tmp_path)
    assert f"python -m pneumonia export RUN --out {tmp_path}" in str(caught.value)


@pytest.mark.parametrize("name", ["picture_size", "image_size"])
def test_a_bundle_for_pictures_of_another_size_is_refused(tmp_path, name):
    for path in SHIPPED.iterdir():
        shutil.copy(path, tmp_path)
    facts = json.loads((SHIPPED / "bundle.json").read_text()) | {name: 160}
    (tmp_path / "bundle.json").write_text(json.dumps(facts))
    with pytest.raises(BundleError, match="160"):
        load_classifier(tmp_path)


def test_a_method_that_is_none_is_named(classifier, phantom_bytes):
    with pytest.raises(ValueError, match="not LIME"):
        predict(classifier, phantom_bytes, method="LIME")


def test_a_cell_of_the_evidence_speaks_for_one_label():
    evidence = np.float32([[[3, -1], [0, -6]], [[0, 0], [0, 0]]])
    maps = split_evidence(evidence)
    assert maps.shape == (2, 2, 2, 2)
    np.testing.assert_allclose(maps[0, 0], [[0, 1 / 6], [0, 1]])
    np.testing.assert_allclose(maps[0, 1], [[0.5, 0], [0, 0]])
    assert not maps[1].any()


@pytest.mark.parametrize(
    ("p", "said"), [(0.001, "under 1%"), (0.9996, "over 99%"), (0.964, "96%")]
)
def test_verdict_never_claims_certainty(classifier, p, said):
    picture = np.zeros((8, 8), np.float32)
    answer = Prediction(
        label=LABELS[int(p > 0.5)],
        probabilities={LABELS[0]: 1 - p, LABELS[1]: p},
        certain=True,
        pixels=picture.astype(np.uint8),
        coarse=picture,
        maps=np.zeros((2, 8, 8), np.float32),
        evidence=np.zeros((8, 8), np.float32),
        lungs=np.zeros((96, 96), np.float32),
        box=np.array([0, 1, 0, 1], np.float32),
        evidence_zones={},
        evidence_outside=0.0,
        place="",
    )
    assert said in verdict(classifier, answer)


def test_answer_without_evidence_is_told(classifier):
    answers = [predict(classifier, path.read_bytes()) for path in phantoms()]
    for answer in answers:
        empty = not answer.heatmap.any()
        assert ("empty_heat_map" in answer.warnings) == empty
    assert any(answer.heatmap.any() for answer in answers)
    assert "rests on what speaks against" in explain("empty_heat_map")
