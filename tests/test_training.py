"""From a folder to a bundle, on drawings: train, stop, resume, export, evaluate."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from pneumonia import (
    BundleError,
    augment,
    export,
    gradcam,
    load_classifier,
    network,
    predict,
    selftest,
)
from pneumonia.__main__ import main
from pneumonia.data import as_input, load, split
from pneumonia.phantom import draw
from pneumonia.recipe import RECIPES
from pneumonia.sampling import Batches, changed_copies

FEW = ["--backbone-weights", "random", "--images-per-epoch", "32"]


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    """A data set of drawings, about twenty patients a class."""
    folder = tmp_path_factory.mktemp("drawings")
    rng = np.random.default_rng(0)
    for label, name in (("NORMAL", "IM-{:04}-0001"), ("PNEUMONIA", "person{}_virus_1")):
        (folder / label).mkdir()
        for number in range(30):
            spots = [(*rng.uniform(0.3, 0.7, 2), 0.15)] if label == "PNEUMONIA" else []
            picture = Image.fromarray(draw(number, tuple(spots), size=128))
            picture.save(folder / label / f"{name.format(number)}.png")
    return folder


@pytest.fixture(scope="module")
def run(drawings, tmp_path_factory):
    """A run of two epochs without a stop."""
    out = tmp_path_factory.mktemp("straight") / "run"
    main(["train", str(drawings), "--out", str(out), "--epochs", "2", *FEW])
    return out


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "LEAST_AGREEMENT", 0.5)  # two epochs teach little
        main(["export", str(run), "--out", str(out)])
    return out


def test_run_keeps_what_it_takes_to_repeat_it(run, drawings):
    record = json.loads((run / "run.json").read_text())
    assert record["command"].startswith(f"python -m pneumonia train {drawings} --out")
    assert record["source"] == str(drawings)
    assert record["versions"]["keras"] == keras.__version__
    assert record["settings"]["epochs"] == 2
    history = (run / "history.csv").read_text().splitlines()
    assert len(history) == 3
    assert Image.open(run / "curves.png").size[0] > 500


def test_stopped_and_resumed_training_ends_where_it_would_have(
    run, drawings, tmp_path, capsys
):
    out = tmp_path / "stopped"
    command = ["train", str(drawings), "--out", str(out), *FEW]
    main([*command, "--epochs", "1"])
    with pytest.raises(SystemExit, match="holds a run already"):
        main([*command, "--epochs", "2"])
    main(["train", str(drawings), "--out", str(out), "--epochs", "2", "--resume"])
    assert (out / "history.csv").read_text() == (run / "history.csv").read_text()
    for name in ("last", "best"):
        one, other = (
            network.load(folder / f"{name}.weights.h5").classifier.get_weights()
            for folder in (run, out)
        )
        assert all((a == b).all() for a, b in zip(one, other, strict=True))


def test_nothing_to_resume_is_said(drawings, tmp_path):
    with pytest.raises(SystemExit, match="no run to resume"):
        main(["train", str(drawings), "--out", str(tmp_path / "none"), "--resume"])


def test_missing_starting_weights_are_said(drawings, tmp_path):
    command = ["train", str(drawings), "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit, match="No weights file at"):
        main([*command, "--backbone-weights", str(tmp_path / "none.h5")])
    (tmp_path / "text.weights.h5").write_text("no weights")
    with pytest.raises(SystemExit, match="no weights that fit"):
        main([*command, "--backbone-weights", str(tmp_path / "text.weights.h5")])
    assert not (tmp_path / "run").exists()


def test_seed_recipe_trains_the_head_alone(drawings, tmp_path):
    out = tmp_path / "seed"
    command = ["train", str(drawings), "--out", str(out), "--recipe", "seed"]
    main([*command, "--epochs", "1", *FEW, "--precision", "mixed_bfloat16"])
    keras.utils.set_random_seed(0)
    start = network.build(None, standardize=False)
    trained = network.load(out / "best.weights.h5", standardize=False)
    for before, after in zip(
        start.features.get_weights(), trained.features.get_weights(), strict=True
    ):
        assert (before == after).all()
    assert not any(
        isinstance(layer, network.Standardize) for layer in trained.features.layers
    )


def test_maps_of_a_trained_network_equal_automatic_differentiation(run, drawings):
    import tensorflow as tf

    trained = network.load(run / "best.weights.h5")
    images = load(drawings, progress=False).inputs()[::6]
    feature_map = tf.convert_to_tensor(trained.features(images))
    _, maps = gradcam.explain(trained, images)
    for label in range(2):
        with tf.GradientTape() as tape:
            tape.watch(feature_map)
            logit = trained.head(feature_map, training=False)[:, label]
        alpha = tf.reduce_mean(tape.gradient(logit, feature_map), (1, 2), keepdims=True)
        expected = tf.nn.relu(tf.reduce_sum(alpha * feature_map, axis=-1)).numpy()
        expected /= np.maximum(expected.max(axis=(1, 2), keepdims=True), 1e-14)
        np.testing.assert_allclose(maps[:, label], expected, atol=1e-4)


def test_exported_bundle_is_whole_and_answers(bundle, drawings):
    classifier = load_classifier(bundle)
    assert {p.name for p in bundle.iterdir()} == {"classifier.onnx", "bundle.json"}
    facts = classifier.facts
    assert facts["labels"] == ["Normal", "Pneumonia"]
    assert facts["validation"]["clean"].keys() >= {"auroc", "ece", "accuracy"}
    assert facts["training"]["settings"]["augmentation"] == "default"
    low, high = classifier.uncertain_band
    assert 0 <= low <= classifier.threshold <= high <= 1
    picture = next((drawings / "PNEUMONIA").iterdir()).read_bytes()
    prediction = predict(classifier, picture)
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert len(selftest(classifier)) == 3


def test_int8_graph_follows_the_keras_network(run, bundle, drawings):
    trained = network.load(run / "best.weights.h5")
    _, validation = split(load(drawings, progress=False))
    logits, _ = gradcam.explain(trained, validation.inputs())
    classifier = load_classifier(bundle)
    small_logits, _, _ = classifier.run(validation.inputs())
    small_logits -= np.array(classifier.facts["logit_shift"])
    assert np.abs(logits - small_logits).max() < 0.25  # hardly trained, so noisy


def test_export_refuses_a_graph_that_disagrees(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "LEAST_AGREEMENT", 1.01)
    with pytest.raises(SystemExit, match="Nothing was written"):
        main(["export", str(run), "--out", str(tmp_path / "bundle")])
    assert not (tmp_path / "bundle").exists()


def test_export_without_a_run_is_said(tmp_path):
    with pytest.raises(SystemExit, match="holds no trained network"):
        main(["export", str(tmp_path), "--out", str(tmp_path / "bundle")])


def test_evaluation_writes_report_and_plots(bundle, drawings, tmp_path, capsys):
    out = tmp_path / "report"
    main(["evaluate", str(drawings), "--out", str(out), "--bundle", str(bundle)])
    report = json.loads((out / "report.json").read_text())
    assert report["n"] == 60
    for name in ("accuracy", "sensitivity", "specificity", "auroc", "auprc"):
        value, (low, high) = report[name]["value"], report[name]["ci95"]
        assert 0 <= low <= value <= high <= 1
        assert name in capsys.readouterr().out or name != "accuracy"
    assert sum(report["confusion"].values()) == 60
    assert report["bundle_sha256"] == load_classifier(bundle).sha256
    for name in ("roc", "precision_recall", "confusion", "reliability"):
        assert Image.open(out / f"{name}.png").size[0] > 300
    assert len((out / "predictions.csv").read_text().splitlines()) == 61


@pytest.mark.parametrize("name", ["default", "seed"])
def test_augmentation_is_a_function_of_its_seed(name):
    images = np.stack([draw(i, size=128) for i in range(4)])[..., None] / np.float32(
        255
    )
    change = {"default": augment.default, "seed": augment.seed}[name]
    once, again = (change(images, np.random.default_rng(5)) for _ in range(2))
    other = change(images, np.random.default_rng(6))
    assert (once == again).all()
    assert (once != other).any()
    assert once.shape == images.shape
    assert once.dtype == np.float32
    assert once.min() >= 0
    assert once.max() <= 1


def test_default_never_turns_a_chest_upside_down():
    image = np.zeros((1, 128, 128, 1), np.float32)
    image[:, :40] = 1  # the upper part is bright
    for seed in range(40):
        changed = augment.warp(
            image, np.random.default_rng(seed), rotation=12, shift=0.08
        )
        assert changed[0, :30].mean() > 0.8
        assert changed[0, -30:].mean() < 0.2


def test_warp_without_changes_gives_the_image_back():
    image = draw(3, size=128)[None, :, :, None] / np.float32(255)
    same = augment.warp(
        image, np.random.default_rng(0), rotation=0, shift=0, flip_horizontal=False
    )
    np.testing.assert_allclose(same, image, atol=1e-5)


def test_epochs_are_balanced_and_differ(drawings):
    dataset = load(drawings, progress=False)
    dataset = dataset.subset(np.r_[0:10, 30:60])  # one normal to three pneumonias
    batches = Batches(dataset, RECIPES["default"], seed=1)
    first = batches.order
    assert abs(dataset.labels[first].mean() - 0.5) < 0.01
    batches.on_epoch_end()
    assert (batches.order != first).any()
    resumed = Batches(dataset, RECIPES["default"], seed=1, epoch=1)
    assert (resumed.order == batches.order).all()
    assert (resumed[0][0] == batches[0][0]).all()


def test_changed_copies_are_always_the_same(drawings):
    images = as_input(load(drawings, progress=False).images[:20])
    one, other = (list(changed_copies(images, "default", 2)) for _ in range(2))
    assert len(one) == 2
    assert (np.stack(one) == np.stack(other)).all()
    assert (one[0] != one[1]).any()


def test_damaged_bundle_stops_with_the_mending_command(bundle, tmp_path):
    def copy(change):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for path in bundle.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        change(folder)
        return folder

    def flip(folder):
        weights = bytearray((folder / "classifier.onnx").read_bytes())
        weights[len(weights) // 2] ^= 1
        (folder / "classifier.onnx").write_bytes(weights)

    def cut(folder):
        whole = (folder / "bundle.json").read_text()
        (folder / "bundle.json").write_text(whole[: len(whole) // 2])

    def age(folder):
        facts = json.loads((folder / "bundle.json").read_text())
        (folder / "bundle.json").write_text(json.dumps({**facts, "format": 0}))

    for change in (
        flip,
        cut,
        age,
        lambda folder: (folder / "classifier.onnx").unlink(),
        lambda folder: (folder / "bundle.json").unlink(),
        lambda folder: (folder / "bundle.json").write_text("[]"),
    ):
        with pytest.raises(BundleError, match="pneumonia export RUN --out"):
            load_classifier(copy(change))
