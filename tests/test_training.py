"""From a folder to a bundle, on drawings: train, stop, resume, export, evaluate."""

import errno
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import keras
import narrow
import numpy as np
import pytest
from PIL import Image
from threadpoolctl import threadpool_info, threadpool_limits

from pneumonia import BundleError, load_classifier, predict
from pneumonia.__main__ import main
from pneumonia.arguments import build
from pneumonia.contract import BUNDLE
from pneumonia.data import stress
from pneumonia.data.folder import load, split
from pneumonia.data.phantom import draw
from pneumonia.export import export
from pneumonia.network import finder, heatmaps, layers, vgg19
from pneumonia.network.finder import Framed
from pneumonia.serving.selfcheck import selftest
from pneumonia.study.card import commands
from pneumonia.training import ancestry, augment, callbacks, features, runs
from pneumonia.training import train as training
from pneumonia.training.plan import Plan
from pneumonia.training.recipe import RECIPES, RecipeError
from pneumonia.training.sampling import Batches
from pneumonia.training.settings import adjust, choose, like_its_start
from pneumonia.training.train import compile_network

pytestmark = pytest.mark.keras

FEW = ["--backbone-weights", "random", "--set", "images_per_epoch=8"]
FEW += ["--set", "batch_size=4"]  # two steps an epoch
QUICK = [*FEW, "--set", "condition=false", "--set", "stress_views=0"]


@pytest.fixture(scope="module", autouse=True)
def narrow_network():
    with narrow.narrow():
        yield


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
def finds(tmp_path_factory):
    """A folder of a finder that finds something, and nothing in particular."""
    folder = tmp_path_factory.mktemp("finder")
    keras.utils.set_random_seed(2)  # others find the whole picture
    finder.save(finder.build(), folder)
    return folder


@pytest.fixture(scope="module")
def train(drawings, finds):
    """Train on the drawings, with that finder."""

    def train(out: Path, *options: str) -> Path:
        command = ["train", str(drawings), "--out", str(out), "--finder", str(finds)]
        main([*command, *options])
        return out

    return train


@pytest.fixture(scope="module")
def framed(drawings, finds):
    """The drawings with their labels, and the same with what was found."""
    dataset = load(drawings, progress=False)
    return dataset, Framed.by(finder.load(finds), dataset.images)


@pytest.fixture(scope="module")
def run(train, tmp_path_factory):
    """A run of two epochs without a stop."""
    out = tmp_path_factory.mktemp("straight") / "run"
    return train(out, "--epochs", "2", *FEW)


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    place = tmp_path_factory.mktemp("exported")
    run, out = shutil.copytree(run, place / "run"), place / "bundle"
    record = json.loads((run / "run.json").read_text())
    record["network"]["blanked"] = False  # as runs before December 2026 say
    (run / "run.json").write_text(json.dumps(record))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "LEAST_AGREEMENT", 0)  # two epochs teach next to nothing
        patch.setattr(export, "CALIBRATION_IMAGES", 16)
        patch.setattr(export, "SLIM_IMAGES", 8)
        # what hardly learned has few channels that others foretell
        main(["export", str(run), "--out", str(out), "--operations", "0.9"])
    return out


def test_run_keeps_what_it_takes_to_repeat_it(run, drawings):
    record = json.loads((run / "run.json").read_text())
    assert Plan(**record["plan"]).command.startswith(
        f"python -m pneumonia train {drawings} --out"
    )
    assert record["source"] == str(drawings)
    assert record["versions"]["keras"] == keras.__version__
    assert record["settings"]["epochs"] == 2
    assert record["network"]["aligned"] is True
    assert record["finder_sha256"] == finder.digest(run)
    history = (run / "history.csv").read_text().splitlines()
    assert len(history) == 3
    assert Image.open(run / "curves.png").size[0] > 500


def test_stopped_and_resumed_training_ends_where_it_would_have(
    run, train, drawings, tmp_path, monkeypatch
):
    out, save = tmp_path / "stopped", callbacks.SaveState.on_epoch_end

    def save_and_stop(self, epoch, logs=None):
        save(self, epoch, logs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.SaveState, "on_epoch_end", save_and_stop)
        with pytest.raises(SystemExit, match="130"):
            train(out, *FEW, "--epochs", "2")
    assert len((out / "history.csv").read_text().splitlines()) == 2
    with pytest.raises(SystemExit, match="holds a run already"):
        train(out, *FEW, "--epochs", "2")
    main(["train", str(drawings), "--out", str(out), "--resume"])
    assert (out / "history.csv").read_text() == (run / "history.csv").read_text()
    one, other = (vgg19.load(folder).classifier.get_weights() for folder in (run, out))
    assert all((a == b).all() for a, b in zip(one, other, strict=True))


def test_frozen_blocks_see_their_images_once_and_a_stop_loses_none(
    train, drawings, tmp_path, monkeypatch
):
    out, run, seen = tmp_path / "kept", features._run, []
    few = [*QUICK, "--epochs", "3", "--set", "kept_epochs=2", "--set", "masked=true"]

    def run_once(lower, batches):
        seen.append(batches.epoch)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return run(lower, batches)

    monkeypatch.setattr(features, "_run", run_once)
    with pytest.raises(SystemExit, match="130"):
        train(out, *few, "--set", "frozen_blocks=4")
    before = vgg19.load(out).classifier.get_weights()
    main(["train", str(drawings), "--out", str(out), "--resume"])
    assert seen == [0, 1, 1]  # the first epoch's were there, the third's are theirs
    assert [row["epoch"] for row in runs.read_history(out)] == [0, 1, 2]
    assert not (out / features.FOLDER).exists()
    network = vgg19.load(out)
    after = [
        (w.path, (v == w.numpy()).all())
        for v, w in zip(before, network.classifier.weights, strict=True)
    ]
    for path, same in after:
        assert same == (path.startswith("block") and not path.startswith("block5"))


def test_kept_feature_maps_lead_to_what_the_whole_network_answers(framed):
    dataset, images = framed
    recipe = adjust(
        RECIPES["short"],
        {"masked": "true", "images_per_epoch": "8", "batch_size": "4"},
    )
    batches = Batches(images, dataset.labels, recipe, seed=3)
    network = vgg19.build(masked=True, hidden_units=(8,))
    lower, upper = vgg19.split(network, 4)
    parts = []
    for epoch in range(2):
        batches.start(epoch)
        parts.append(features._run(lower, batches))
    shown = features.Features(parts, batches)
    wanted = []
    for epoch in range(2):
        batches.start(epoch)
        for step in range(2):
            wanted.append(network.classifier.predict_on_batch(batches[step][0]))
    answers, orders = [], []
    for _ in range(2):
        answers += [upper.predict_on_batch(shown[step][0]) for step in range(2)]
        orders.append(shown.order)
        shown.on_epoch_end()
    order = np.concatenate(orders)
    assert sorted(order) == list(range(16))  # each view once in two epochs
    np.testing.assert_allclose(
        np.concatenate(answers), np.concatenate(wanted)[order], atol=2e-3
    )
    assert (shown.order[:8] != orders[0]).any()


def test_full_disk_costs_no_epoch(train, drawings, tmp_path, monkeypatch):
    """The first epoch's state fits nowhere, then the second's."""
    out, save, saved = tmp_path / "full", keras.Model.save_weights, []

    def save_weights(self, path, *args, **options):
        save(self, path, *args, **options)
        saved.append(Path(path).name)
        if saved.count("unfinished-last.weights.h5") in fails:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keras.Model, "save_weights", save_weights)
    fails = {1}  # the first epoch's best is there, its state is not
    with pytest.raises(SystemExit, match="No space is left .*run the same command ag"):
        train(out, *QUICK, "--epochs", "2")
    assert (out / "best.weights.h5").exists()
    assert not (out / "last.weights.h5").exists()
    with pytest.raises(SystemExit, match="no run to resume"):
        main(["train", str(drawings), "--out", str(out), "--resume"])
    fails = {3}  # of the same command, again: its first fits
    with pytest.raises(SystemExit, match="epochs before are kept.* and --resume"):
        train(out, *QUICK, "--epochs", "2")
    assert not [*out.glob("unfinished*")]
    history = runs.read_history(out)
    assert [row["epoch"] for row in history] == [0, 1]  # none of the first attempt
    state = vgg19.build(**json.loads((out / "run.json").read_text())["network"])
    recipe = runs.recipe_of(json.loads((out / "run.json").read_text()), out)
    vgg19.freeze(state, recipe.frozen_blocks)
    compile_network(state.classifier, recipe, 4)
    assert callbacks.restore(state.classifier, out, 2) == history[:1]


def test_room_for_a_run_is_asked_for_first(train, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 10**6})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SystemExit, match="MB are needed, and 1 MB are free"):
        train(tmp_path / "run", *QUICK, "--epochs", "1")
    assert not (tmp_path / "run" / "best.weights.h5").exists()


@pytest.fixture
def again(run, tmp_path):
    """A copy of the run, and what resumes it on a data set."""
    out = shutil.copytree(run, tmp_path / "again", copy_function=os.link)  # 650 MB

    def resume(source, *options):
        main(["train", str(source), "--out", str(out), "--resume", *options])

    return out, resume


def test_a_run_goes_on_with_the_xrays_that_it_began_with(drawings, again, tmp_path):
    out, resume = again
    record = (out / "run.json").read_text()
    data = shutil.copytree(drawings, tmp_path / "moved")
    resume(data)  # elsewhere, the same
    resume(drawings, "--epochs", "2", "--seed", "0", "--set", "batch_size=4")
    picture = Image.fromarray(draw(77, size=128))
    for change, said in (
        (lambda: picture.save(data / "NORMAL" / "IM-0001-0001.png"), "other pixels"),
        (
            lambda: picture.save(data / "NORMAL" / "IM-0777-0001.png"),
            r"then and \d+ now",
        ),
        (lambda: [p.unlink() for p in data.glob("*/*7*")], r"images then and \d+ now"),
    ):
        change()
        with pytest.raises(SystemExit, match=f"not those that.*{said}"):
            resume(data)
    assert (out / "run.json").read_text() == record


@pytest.mark.parametrize(
    "options",
    [
        ["--seed", "3"],
        ["--recipe", "published"],
        ["--set", "dropout=0.1"],
        ["--leave-out", "virus"],
        ["--precision", "mixed_bfloat16"],
        ["--backbone-weights", "other.h5"],
        ["--from-run", "before"],
        ["--finder", str(BUNDLE)],
        ["--extra", "adults"],
    ],
    ids=" ".join,
)
def test_a_run_goes_on_as_it_began(again, options):
    """Nothing that was asked for is passed over in silence."""
    _, resume = again
    with pytest.raises(SystemExit, match=f"{options[0]}.* was begun with"):
        resume("not looked at", *options)


def test_a_run_goes_on_with_its_library(again, monkeypatch):
    _, resume = again
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(SystemExit, match="begun on tensorflow.*KERAS_BACKEND=tensorf"):
        resume("not looked at")
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(SystemExit, match="can't train on numpy"):
        resume("not looked at")


def test_a_damaged_record_is_said(again):
    out, resume = again
    (out / "run.json").unlink()  # a link to that of the run
    (out / "run.json").write_text('{"settings": ')
    with pytest.raises(SystemExit, match=r"run\.json can't be read"):
        resume("not looked at")


def test_nothing_to_resume_is_said(drawings, tmp_path):
    with pytest.raises(SystemExit, match="no run to resume"):
        main(["train", str(drawings), "--out", str(tmp_path / "none"), "--resume"])


def test_a_run_of_another_version_is_not_resumed(run, tmp_path):
    record = json.loads((run / "run.json").read_text())
    record["settings"]["margin"] = 5
    (tmp_path / "run.json").write_text(json.dumps(record))
    (tmp_path / "last.weights.h5").touch()
    with pytest.raises(SystemExit, match="another version.*margin.*--from-run"):
        main(["train", "any", "--out", str(tmp_path), "--resume"])


def test_missing_starting_weights_are_said(train, drawings, tmp_path, monkeypatch):
    """Before an image is read."""
    monkeypatch.setattr(training, "_gather", lambda *_: pytest.fail("too late"))
    out, quick = tmp_path / "run", ["--set", "stress_views=0", "--backbone-weights"]
    with pytest.raises(SystemExit, match="No weights file at"):
        train(out, *quick, str(tmp_path / "none.h5"))
    (tmp_path / "text.weights.h5").write_text("no weights")
    with pytest.raises(SystemExit, match="no weights that fit"):
        train(out, *quick, str(tmp_path / "text.weights.h5"))
    with pytest.raises(SystemExit, match="holds no trained finder"):
        main(["train", str(drawings), f"--out={out}", "--finder", str(tmp_path)])
    assert not out.exists()


def test_weights_of_another_network_are_said(tmp_path):
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(vgg19.WeightsError, match="no weights that fit"):
        vgg19.build(tmp_path / "other.weights.h5")


@narrow.whole()
def test_published_recipe_trains_the_head_alone(train, tmp_path):
    """VGG19 itself, for once."""
    options = ["--recipe", "published", "--epochs", "1", *FEW]
    options += ["--precision", "mixed_bfloat16"]
    out = train(tmp_path / "published", *options)
    keras.utils.set_random_seed(0)
    start = vgg19.build(None, standardize=False)
    trained = vgg19.load(out)
    assert not trained.aligned
    for before, after in zip(
        start.features.get_weights(), trained.features.get_weights(), strict=True
    ):
        assert (before == after).all()
    assert not any(
        isinstance(layer, layers.Standardize) for layer in trained.features.layers
    )


def test_maps_of_a_trained_network_equal_automatic_differentiation(run, framed):
    import tensorflow as tf

    trained = vgg19.load(run)
    images = framed[1].shown(trained)[::6]
    feature_map = tf.convert_to_tensor(trained.features(images))
    _, maps, _ = heatmaps.explain(trained, images)
    drawn = []
    for label in range(2):
        with tf.GradientTape() as tape:
            tape.watch(feature_map)
            logit = trained.head(feature_map, training=False)[:, label]
        alpha = tf.reduce_mean(tape.gradient(logit, feature_map), (1, 2), keepdims=True)
        drawn.append(tf.nn.relu(tf.reduce_sum(alpha * feature_map, axis=-1)).numpy())
    expected = np.stack(drawn, axis=1)
    expected /= np.maximum(expected.max(axis=(1, 2, 3), keepdims=True), 1e-14)
    np.testing.assert_allclose(maps, expected, atol=1e-4)


def test_exported_bundle_is_whole_and_answers(bundle, drawings):
    classifier = load_classifier(bundle)
    assert {path.name for path in bundle.iterdir()} == {
        "bundle.json",
        "classifier.onnx",
        finder.WEIGHTS,
        vgg19.KERAS_WEIGHTS,
    }
    facts = classifier.facts
    assert facts["labels"] == ["Normal", "Pneumonia"]
    assert facts["validation"]["clean"].keys() >= {"auroc", "ece", "accuracy"}
    assert facts["training"]["settings"]["augmentation"] == augment.DEFAULT
    (asked,) = facts["training"]["ancestry"]
    assert (asked["command"], asked["start"], asked["finder"]) == ("train", None, True)
    assert commands(facts["training"])[0].startswith("python -m pneumonia train DIR/")
    assert str(drawings) not in json.dumps(facts)
    low, high = classifier.uncertain_band
    assert 0 <= low <= classifier.threshold <= high <= 1
    picture = next((drawings / "PNEUMONIA").iterdir()).read_bytes()
    prediction = predict(classifier, picture)
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert len(selftest(classifier)) == 3


def test_int8_graph_follows_the_keras_network(run, bundle, drawings):
    trained, found_by = vgg19.load(run), finder.load(run)
    _, validation = split(load(drawings, progress=False))
    seen = Framed.by(found_by, validation.images).shown(trained)
    logits, _, _ = heatmaps.explain(trained, seen)
    classifier = load_classifier(bundle)
    small_logits, *_ = classifier.run(validation.inputs())
    small_logits -= np.array(classifier.facts["logit_shift"])
    margins, small = (np.diff(x)[:, 0] for x in (logits, small_logits))
    assert np.corrcoef(margins, small)[0, 1] > 0.75  # hardly trained, so noisy


def test_export_refuses_a_graph_that_disagrees(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "LEAST_AGREEMENT", 1.01)
    monkeypatch.setattr(export, "quantise", lambda graph, *_: graph)
    options = ["--out", str(tmp_path / "bundle"), "--operations", "1"]
    with pytest.raises(SystemExit, match="Nothing was written"):
        main(["export", str(run), *options])
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


def test_workers_make_the_batches_that_training_makes_alone(framed):
    dataset, images = framed
    settings = {"images_per_epoch": "24", "batch_size": "6"}
    recipe = adjust(RECIPES["default"], settings)
    losses = []
    for workers in (0, 2):  # over two epochs, whose images differ
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.layers.AveragePooling2D(8),
                keras.layers.Flatten(),
                keras.layers.Dense(2, activation="softmax"),
            ]
        )
        model.compile("sgd", "categorical_crossentropy")
        batches = Batches(images, dataset.labels, recipe, 3, workers=workers)
        done = model.fit(batches, epochs=2, shuffle=False, verbose=0)
        losses.append(done.history["loss"])
    assert losses[0] == losses[1]
    assert losses[0][0] != losses[0][1]


def test_batches_leave_the_other_cores_to_the_network(framed):
    def threads(*_):
        pools = threadpool_info()
        return {p["num_threads"] for p in pools if p["user_api"] == "blas"}

    dataset, images = framed
    batches = Batches(images, dataset.labels, RECIPES["default"])
    seen = []
    batches.change = lambda images, rng: (seen.append(threads()), images)[1]
    with threadpool_limits(2, user_api="blas"):
        batches[0]
        assert threads() == {2}  # as before
    assert seen == [{1}]


def test_epochs_are_balanced_and_differ(framed):
    dataset, images = framed
    few = np.r_[0:10, 30:60]  # one normal to three pneumonias
    labels = dataset.labels[few]
    part = Framed(images.images[few], images.boxes[few])
    batches = Batches(part, labels, RECIPES["default"], seed=1)
    first = batches.order
    assert abs(labels[first].mean() - 0.5) < 0.01
    for start in range(0, len(first), batches.recipe.batch_size):
        of_batch = labels[first[start : start + batches.recipe.batch_size]]
        assert (np.diff(of_batch) >= 0).all()  # both ends lend to each other
    batches.on_epoch_end()
    assert (batches.order != first).any()
    resumed = Batches(part, labels, RECIPES["default"], seed=1)
    resumed.start(1)
    assert (resumed.order == batches.order).all()
    one, other = resumed[0], batches[0]
    assert all((a == b).all() for a, b in zip(one, other, strict=True))


def test_looks_tell_no_class_where_both_are_shown_alike_in_them(framed):
    dataset, images = framed
    pictures = images.images.copy()
    bright = np.r_[0:20, 30:35]  # 20 of 30 normals, 5 of 30 pneumonias
    pictures[bright] = pictures[bright] // 3 + 160
    part = Framed(pictures, images.boxes)
    recipe = adjust(RECIPES["default"], {"looks": "2"})
    order = Batches(part, dataset.labels, recipe, seed=1).order
    in_bright = np.isin(order, bright)
    for look in (in_bright, ~in_bright):
        assert dataset.labels[order[look]].mean() == pytest.approx(0.5, abs=0.01)
    counts = np.bincount(order[dataset.labels[order] == 0])[:20]
    assert np.ptp(counts) <= 1  # alike within look and class, give or take one


def test_a_masked_network_is_shown_the_lungs_beside_the_picture(framed):
    dataset, images = framed
    recipe = adjust(
        RECIPES["published"],
        {"augmentation": "", "aligned": "true", "masked": "true", "batch_size": "8"},
    )
    batches = Batches(images, dataset.labels, recipe, seed=2)
    shown = batches[0][0]
    assert shown.shape == (8, 128, 128, 2)
    plain = adjust(recipe, {"masked": "false"})
    alone = Batches(images, dataset.labels, plain, seed=2)[0][0]
    np.testing.assert_array_equal(shown[..., :1], alone)


def test_extra_images_take_their_share(framed):
    dataset, images = framed
    parts = []
    for chosen in (np.arange(0, 60, 2), np.r_[1, 59]):
        part = Framed(images.images[chosen], images.boxes[chosen])
        parts.append((part, dataset.labels[chosen]))
    recipe = adjust(RECIPES["default"], {"extra_share": "0.25"})
    batches = Batches(*parts[0], recipe, extra=parts[1])
    assert (batches.order >= 30).mean() == pytest.approx(0.25, abs=0.01)
    assert abs(batches.labels[batches.order].mean() - 0.5) < 0.01


def test_batches_show_the_lungs_or_the_whole_picture(framed):
    dataset, images = framed
    recipe = adjust(RECIPES["published"], {"augmentation": "", "batch_size": "8"})
    batches = Batches(images, dataset.labels, recipe)
    whole = images.shown(recipe)[batches.order[:8]]
    np.testing.assert_allclose(batches[0][0], whole, atol=1e-6)
    assert (batches[0][1].argmax(axis=1) == dataset.labels[batches.order[:8]]).all()
    aligned = Batches(images, dataset.labels, adjust(recipe, {"aligned": "true"}))
    assert np.abs(aligned[0][0] - whole).max() > 0.05


def test_settings_are_read_as_on_a_command_line():
    changed = adjust(
        RECIPES["default"],
        {
            "frozen_blocks": "4",
            "learning_rate": "1e-3",
            "aligned": "false",
            "average": "none",
            "hidden_units": "64,32",
            "optimizer": "sgd",
        },
    )
    assert (changed.frozen_blocks, changed.learning_rate) == (4, 1e-3)
    assert changed.aligned is False
    assert changed.average is None
    assert changed.hidden_units == (64, 32)
    assert changed.optimizer == "sgd"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epoch": "3"}, "no setting is called epoch"),
        ({"epochs": "three"}, "epochs=three: expected"),
        ({"standardize": "maybe"}, "standardize=maybe"),
        ({"batch_size": "none"}, "batch_size=none"),
        ({"optimizer": "lion"}, "sgd or adamw"),
        ({"augmentation": "tone+snow"}, "snow"),
        ({"margin": "5"}, "no setting is called margin"),
        ({"kept_epochs": "2", "frozen_blocks": "0"}, "frozen_blocks 1 to 4"),
        ({"kept_epochs": "0"}, "a number from 1"),
    ],
)
def test_wrong_settings_are_said(settings, said):
    with pytest.raises(RecipeError, match=said):
        adjust(RECIPES["default"], settings)


@pytest.mark.parametrize(
    "plan",
    [
        Plan(Path("some data"), Path("run")),
        Plan(
            Path("data"),
            Path("run"),
            recipe="short",
            epochs=3,
            settings={"label_smoothing": "0.1", "hidden_units": "64,32"},
            start=Path("before"),
            new_head=True,
            extra=Path("adults"),
            leave_out="darkest quarter",
            seed=4,
            precision="mixed_float16",
            devices="all",
            finder=Path("finder"),
            workers=3,
        ),
        Plan(Path("data"), Path("run"), backbone_weights="random", resume=True),
    ],
)
def test_command_of_a_plan_asks_for_that_plan(plan):
    words = shlex.split(plan.command)
    assert words[:3] == ["python", "-m", "pneumonia"]
    asked = vars(build(defaultdict(lambda: "it runs")).parse_args(words[3:]))
    assert asked.pop("run") == "it runs"
    assert Plan(**asked) == plan


def test_record_of_a_plan_names_no_place_of_this_machine():
    plan = Plan(
        "/here/data",
        "/here/run",
        start="/here/before",
        extra="/here/adults",
        finder="/here/finder",
        workers=3,
    )
    start = {"recipe": "default", "seed": 3, "precision": "float32"}
    start |= {"settings": json.loads(json.dumps(asdict(RECIPES["default"])))}
    told = ancestry.of_plan(plan, RECIPES["default"], start)
    assert "/here" not in json.dumps(told)
    assert commands({"ancestry": told}) == [
        "python -m pneumonia train DIR/train --out RUN1 --recipe default "
        "--backbone-weights imagenet --seed 3 --precision float32",
        "python -m pneumonia train DIR/train --out RUN --recipe default --from-run "
        "RUN1 --extra EXTRA --finder FINDER --seed 0 --precision float32",
    ]
    assert (plan.record["started_from"], plan.record["backbone_weights"]) == (
        "before",
        None,
    )
    other = Plan("/here/data", "/here/run", backbone_weights="/here/vgg19.h5")
    (told,) = ancestry.of_plan(other, RECIPES["default"], None)
    assert told["backbone_weights"] == "WEIGHTS"
    assert other.record["backbone_weights"] == "vgg19.h5"


def test_earlier_commands_say_what_their_recipe_says_otherwise_by_now():
    settings = asdict(RECIPES["default"]) | {"augmentation": "tone+turn far"}
    settings |= {"hidden_units": [64, 32], "average": None, "balanced": False}
    plan = Plan("DIR", "RUN", epochs=3)
    (first,) = ancestry.of_plan(plan, RECIPES["default"], None)
    start = {"ancestry": [first | {"settings": settings}]}
    on = Plan("data", "out", start="it")
    found = commands({"ancestry": ancestry.of_plan(on, RECIPES["default"], start)})[0]
    words = shlex.split(found.removeprefix("python -m pneumonia "))
    plan = vars(build(defaultdict(lambda: "it runs")).parse_args(words))
    del plan["run"]
    again = json.loads(json.dumps(asdict(choose(Plan(**plan)))))
    assert again == settings | {"epochs": 3}


def test_command_line_is_built_without_a_training_framework():
    script = (
        "import sys, pneumonia.arguments\n"
        "print(sorted({'keras', 'tensorflow', 'sklearn'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_unknown_recipe_is_said():
    with pytest.raises(RecipeError, match="no recipe best; expected one of published"):
        choose(Plan("data", "run", recipe="best"))


def test_training_goes_on_from_a_run(run, drawings, train, tmp_path):
    settings = ["frozen_blocks=5", "stress_views=0", "images_per_epoch=16"]
    options = ["--epochs", "1", "--from-run", str(run), "--extra", str(drawings)]
    for setting in settings:
        options += ["--set", setting]
    before, after = vgg19.load(run), vgg19.load(train(tmp_path / "on", *options))
    for one, other in zip(
        before.features.get_weights(), after.features.get_weights(), strict=True
    ):
        assert (one == other).all()
    moved = [
        np.abs(one - other).max() > 0
        for one, other in zip(
            before.head.get_weights(), after.head.get_weights(), strict=True
        )
    ]
    assert all(moved)


def test_head_starts_anew_behind_trained_convolutions(run, train, tmp_path):
    out, quick = tmp_path / "narrow", ["--epochs", "1", *QUICK[2:]]
    quick += ["--set", "frozen_blocks=5", "--set", "hidden_units=8"]
    on = ["--from-run", str(run)]
    with pytest.raises(SystemExit, match="alone with --new-head"):
        train(out, *quick, *on)
    with pytest.raises(SystemExit, match="--from-run RUN or --from-bundle"):
        train(out, *quick, "--new-head")
    assert not out.exists()
    train(out, *quick, *on, "--new-head")
    before, after = vgg19.load(run), vgg19.load(out)
    for one, other in zip(
        before.features.get_weights(), after.features.get_weights(), strict=True
    ):
        assert (one == other).all()
    shapes = [w.shape for w in after.head.get_weights()]
    assert shapes == [(4 * 4 * narrow.WIDTHS[-1], 8), (8,), (8, 2), (2,)]
    facts = json.loads((out / "run.json").read_text())
    of_start = json.loads((run / "run.json").read_text())
    assert facts["backbone_weights"] == of_start["backbone_weights"]
    *earlier, own = facts["ancestry"]
    assert earlier == of_start["ancestry"]
    assert (own["start"], own["new_head"], own["finder"]) == (0, True, True)
    wide = ["--set", "hidden_units=256,128"]  # as wide as before
    new = train(tmp_path / "new", *quick, *on, "--new-head", *wide)
    kernels = [vgg19.load(folder).head.get_weights()[0] for folder in (run, new)]
    assert abs(np.corrcoef(*map(np.ravel, kernels))[0, 1]) < 0.1


def test_training_goes_on_with_what_its_start_was_shown(run, tmp_path):
    record = json.loads((run / "run.json").read_text())
    of_start = {"aligned": False, "hidden_units": [9]}
    record["network"] |= of_start | {"standardize": False}
    (tmp_path / "run.json").write_text(json.dumps(record))

    def chosen(new_head=False, **settings):
        plan = Plan("", "", start=tmp_path, new_head=new_head, settings=settings)
        return like_its_start(adjust(RECIPES["default"], settings), plan)

    kept = chosen()
    assert not kept.aligned
    assert (kept.hidden_units, kept.standardize) == ((9,), False)
    assert kept.augmentation == RECIPES["default"].augmentation
    assert chosen(aligned="true").aligned
    assert chosen(hidden_units="4,3").hidden_units == (4, 3)
    assert chosen(new_head=True).hidden_units == RECIPES["default"].hidden_units
    with pytest.raises(vgg19.WeightsError, match="holds no trained network"):
        like_its_start(RECIPES["default"], Plan("", "", start=tmp_path / "none"))


@pytest.mark.parametrize("blanked", [False, True])
def test_networks_of_before_are_read_unless_they_blank(tmp_path, blanked):
    told = {"network": {"aligned": True, "blanked": blanked}}
    (tmp_path / "bundle.json").write_text(json.dumps(told))
    if blanked:
        with pytest.raises(vgg19.WeightsError, match="blanks pixels"):
            vgg19.read_facts(tmp_path)
    else:
        assert vgg19.read_facts(tmp_path)["network"] == {
            "aligned": True,
            "masked": False,
        }


def test_group_left_out_is_not_trained_on(drawings, train, tmp_path):
    out, quick = tmp_path / "run", ["--epochs", "1", *QUICK, "--leave-out"]
    with pytest.raises(SystemExit, match="no group adults"):
        train(out, *quick, "adults")
    train(out, *quick, "darkest quarter")
    record = json.loads((out / "run.json").read_text())
    training, _ = split(load(drawings, progress=False))
    left = len(training.labels) - record["training_images"]
    assert left == pytest.approx(len(training.labels) / 4, abs=2)


def test_runs_of_one_start_are_averaged(run, tmp_path):
    other, mean = tmp_path / "other", tmp_path / "mean"
    shutil.copytree(run, other)
    changed = vgg19.load(run)
    changed.classifier.set_weights([w + 1 for w in changed.classifier.get_weights()])
    changed.classifier.save_weights(other / "best.weights.h5")
    with pytest.raises(SystemExit, match="at least two runs"):
        main(["average", str(run), "--out", str(mean)])
    main(["average", str(run), str(other), "--out", str(mean)])
    for one, half in zip(
        vgg19.load(run).classifier.get_weights(),
        vgg19.load(mean).classifier.get_weights(),
        strict=True,
    ):
        np.testing.assert_allclose(half, one + 0.5, atol=1e-5)
    record = json.loads((mean / "run.json").read_text())
    assert record["averaged"] == [run.name, "other"]
    trained, averaged = commands(
        record
    )  # the same was trained twice, so it stands once
    assert "train DIR/train --out RUN1 " in trained
    assert averaged == "python -m pneumonia average RUN1 RUN1 --out RUN"
    with pytest.raises(SystemExit, match="holds a run already"):
        main(["average", str(run), str(other), "--out", str(mean)])
    with pytest.raises(SystemExit, match="holds a run already"):
        main(["train", "not looked at", "--out", str(mean)])
    assert finder.digest(mean) == record["finder_sha256"]
    for name in ("started_from", "finder_sha256"):
        (other / "run.json").write_text(json.dumps(record | {name: "elsewhere"}))
        with pytest.raises(SystemExit, match=f"differ in {name}"):
            main(["average", str(run), str(other), "--out", str(tmp_path / "no")])


def test_a_run_is_averaged_with_its_start(run, bundle, tmp_path):
    other, mean = tmp_path / "other", tmp_path / "mean"
    shutil.copytree(run, other)
    changed = vgg19.load(bundle)
    before = changed.classifier.get_weights()
    changed.classifier.set_weights([w + 1 for w in before])
    changed.classifier.save_weights(other / "best.weights.h5")
    record = json.loads((run / "run.json").read_text())
    of_bundle = json.loads((bundle / "bundle.json").read_text())["training"]
    plan = Plan("data", other, start=bundle, seed=7)
    told = ancestry.of_plan(plan, RECIPES["default"], of_bundle)
    for start in ("bundle", "elsewhere"):
        facts = record | {"started_from": start, "ancestry": told}
        facts["finder_sha256"] = "of the run that went on"
        (other / "run.json").write_text(json.dumps(facts))
        if start == "bundle":
            main(["average", str(bundle), str(other), "--out", str(mean)])
    with pytest.raises(SystemExit, match="differ in started_from"):
        main(["average", str(bundle), str(other), "--out", str(tmp_path / "none")])
    with pytest.raises(SystemExit, match="holds no trained network"):
        main(["average", str(tmp_path), str(other), "--out", str(tmp_path / "none")])
    assert not (tmp_path / "none").exists()
    for one, half in zip(
        before, vgg19.load(mean).classifier.get_weights(), strict=True
    ):
        np.testing.assert_allclose(half, one + 0.5, atol=1e-2)
    record = json.loads((mean / "run.json").read_text())
    assert record["finder_sha256"] == "of the run that went on"
    of_start, on, averaged = commands(record)
    assert "--out RUN1" in of_start
    assert "--out RUN2 --recipe default --from-run RUN1 --seed 7" in on
    assert averaged == "python -m pneumonia average RUN1 RUN2 --out RUN"


def text_of_before(start: str = "") -> dict:
    """Return what a run of November 2026 kept of its commands."""
    train = "python -m pneumonia train DIR --out "
    first = f"{train}EARLIER --recipe default --backbone-weights random --seed 1"
    second = f"{train}EARLIER --recipe default --from-run EARLIER --extra EXTRA"
    third = f"{train}one --recipe default --set 'augmentation=tone+turn far' "
    mean = "python -m pneumonia average one START --out RUN"
    lines = [first, second, f"{third}--from-run EARLIER --epochs 3"]
    lines.append(f"{train}START --from-run EARLIER --seed 2")
    settings = json.loads(json.dumps(asdict(RECIPES["default"])))
    return {
        "before": "\n".join(lines),
        "repeat": start or mean,
        "settings": settings,
        **{"recipe": "default", "seed": 2, "precision": "float32"},
    }


def test_commands_of_runs_of_before_are_read():
    """Of two runs that were called alike, the later one counts, as where they ran."""
    steps = ancestry.of(text_of_before())
    assert [step.get("start") for step in steps] == [None, 0, 1, 1, None]
    assert steps[-1] == {"command": "average", "runs": [2, 3]}
    assert steps[2]["changes"] == {"epochs": "3", "augmentation": "tone+turn far"}
    assert (steps[0]["backbone_weights"], steps[1]["extra"]) == ("random", True)
    told = commands({"ancestry": steps})
    assert told == commands(text_of_before())
    assert [command.partition("--out ")[2].split()[0] for command in told] == [
        *("RUN1", "RUN2", "RUN3", "RUN4", "RUN"),
    ]
    assert told[3].count("--from-run RUN2") == 1
    plan = Plan("data", "out", start="RUN")
    on = ancestry.of_plan(plan, RECIPES["default"], text_of_before())
    assert (len(on), on[-1]["start"]) == (6, 4)


@pytest.mark.parametrize(
    "line",
    [
        "python -m pneumonia train DIR --out RUN --an-option-of-before 3",
        "python -m pneumonia train DIR --out RUN --from-run a-stranger",
        "python -m pneumonia distil RUN1",
    ],
)
def test_a_command_that_no_version_reads_now_stays_as_it_was(line):
    record = text_of_before(line)
    assert commands(record)[-1] == line
    plan = Plan("data", "out", start="RUN")
    on = ancestry.of_plan(plan, RECIPES["default"], record)
    assert commands({"ancestry": on})[-2] == line
    assert ancestry.of_average([record, record])[-1]["runs"] == [4, 4]


@narrow.whole()
def test_keras_network_of_the_bundle_answers_as_the_graph_does(drawings, tmp_path):
    assert (BUNDLE / vgg19.KERAS_WEIGHTS).stat().st_size < 50e6
    reports = []
    for engine in ("onnx", "keras"):
        out = tmp_path / engine
        main(["evaluate", str(drawings), "--out", str(out), "--engine", engine])
        rows = (out / "predictions.csv").read_text().splitlines()[1:]
        reports.append(np.array([float(row.split(",")[3]) for row in rows]))
    assert np.abs(reports[0] - reports[1]).mean() < 0.02
    assert np.corrcoef(*reports)[0, 1] > 0.98


@narrow.whole()
def test_shipped_keras_network_answers_as_the_shipped_graph_does(all_xrays, classifier):
    chosen, network = all_xrays.subset(np.arange(0, 5200, 80)), vgg19.load()
    seen = Framed.by(finder.load(BUNDLE), chosen.images).shown(network)
    logits = vgg19.run_logits(network, seen)
    small_logits, *_ = classifier.run(chosen.inputs())
    one, other = (classifier.probabilities(x)[:, 1] for x in (logits, small_logits))
    assert np.abs(one - other).mean() < 0.01
    assert ((one >= 0.5) == (other >= 0.5)).mean() > 0.96


def test_changed_keras_weights_are_noticed(bundle, tmp_path):
    for path in bundle.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / vgg19.KERAS_WEIGHTS).open("ab") as file:
        file.write(b"more")
    with pytest.raises(vgg19.WeightsError, match="checksum"):
        vgg19.load(tmp_path)


def test_evaluation_under_stress(bundle, drawings, tmp_path):
    out = tmp_path / "report"
    command = ["evaluate", str(drawings), "--out", str(out), "--bundle", str(bundle)]
    main([*command, "--validation-only", "--stress"])
    measured = json.loads((out / "report.json").read_text())["stress"]
    assert measured["families"].keys() == stress.FAMILIES.keys()
    accuracies = {
        name: row["accuracy"]["value"] for name, row in measured["families"].items()
    }
    assert accuracies[measured["worst"]["accuracy"]] == min(accuracies.values())
    assert measured["all"]["accuracy"]["value"] == pytest.approx(
        np.mean(list(accuracies.values()))
    )
    assert Image.open(out / "stress.png").size[0] > 300


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
