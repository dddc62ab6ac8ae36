"""From a folder to a bundle, on drawings: train, stop, resume, export, evaluate."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from pneumonia import BundleError, load_classifier, predict, selftest
from pneumonia.__main__ import main
from pneumonia.arguments import build
from pneumonia.data import stress
from pneumonia.data.folder import load, split
from pneumonia.data.phantom import draw
from pneumonia.export import export, int8
from pneumonia.network import heatmaps, layers, vgg19
from pneumonia.training import augment, geometry, styles, tones
from pneumonia.training.cache import CachedBatches
from pneumonia.training.plan import Plan
from pneumonia.training.recipe import FORMER_NAMES, RECIPES, RecipeError, find
from pneumonia.training.sampling import Batches
from pneumonia.training.settings import adjust, choose, like_its_start

FEW = ["--backbone-weights", "random", "--set", "images_per_epoch=8"]
FEW += ["--set", "batch_size=4"]  # two steps an epoch
QUICK = [*FEW, "--set", "condition=false", "--set", "stress_views=0"]
MIX = ["--set", "style_mix=0.5"]  # so that what it draws is the same after a stop, too


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
    main(["train", str(drawings), "--out", str(out), "--epochs", "2", *FEW, *MIX])
    return out


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "LEAST_AGREEMENT", 0.5)  # two epochs teach little
        patch.setattr(int8, "round_weights", lambda *_: None)  # takes minutes
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
    command = ["train", str(drawings), "--out", str(out), *FEW, *MIX]
    main([*command, "--epochs", "1"])
    with pytest.raises(SystemExit, match="holds a run already"):
        main([*command, "--epochs", "2"])
    main(["train", str(drawings), "--out", str(out), "--epochs", "2", "--resume"])
    assert (out / "history.csv").read_text() == (run / "history.csv").read_text()
    one, other = (vgg19.load(folder).classifier.get_weights() for folder in (run, out))
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


def test_published_recipe_trains_the_head_alone(drawings, tmp_path):
    out = tmp_path / "published"
    command = ["train", str(drawings), "--out", str(out), "--recipe", "published"]
    main([*command, "--epochs", "1", *FEW, "--precision", "mixed_bfloat16"])
    keras.utils.set_random_seed(0)
    start = vgg19.build(None, standardize=False)
    trained = vgg19.load(out)
    for before, after in zip(
        start.features.get_weights(), trained.features.get_weights(), strict=True
    ):
        assert (before == after).all()
    assert not any(
        isinstance(layer, layers.Standardize) for layer in trained.features.layers
    )


def test_maps_of_a_trained_network_equal_automatic_differentiation(run, drawings):
    import tensorflow as tf

    trained = vgg19.load(run)
    images = load(drawings, progress=False).inputs()[::6]
    feature_map = tf.convert_to_tensor(trained.features(images))
    _, maps, _ = heatmaps.explain(trained, images)
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
    assert {path.name for path in bundle.iterdir()} == {
        "bundle.json",
        "classifier.onnx",
        vgg19.KERAS_WEIGHTS,
    }
    facts = classifier.facts
    assert facts["labels"] == ["Normal", "Pneumonia"]
    assert facts["validation"]["clean"].keys() >= {"auroc", "ece", "accuracy"}
    assert facts["training"]["settings"]["augmentation"] == augment.DEFAULT
    assert facts["training"]["repeat"].startswith("python -m pneumonia train DIR --out")
    assert str(drawings) not in json.dumps(facts)
    low, high = classifier.uncertain_band
    assert 0 <= low <= classifier.threshold <= high <= 1
    picture = next((drawings / "PNEUMONIA").iterdir()).read_bytes()
    prediction = predict(classifier, picture)
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert len(selftest(classifier)) == 3


def test_int8_graph_follows_the_keras_network(run, bundle, drawings):
    trained = vgg19.load(run)
    _, validation = split(load(drawings, progress=False))
    logits, _, _ = heatmaps.explain(trained, validation.inputs())
    classifier = load_classifier(bundle)
    small_logits, *_ = classifier.run(validation.inputs())
    small_logits -= np.array(classifier.facts["logit_shift"])
    assert np.abs(logits - small_logits).max() < 0.25  # hardly trained, so noisy


def test_export_refuses_a_graph_that_disagrees(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "LEAST_AGREEMENT", 1.01)
    monkeypatch.setattr(export, "quantise", lambda graph, *_: graph)
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


@pytest.mark.parametrize("name", [*augment.FAMILIES, augment.DEFAULT])
def test_augmentation_is_a_function_of_its_seed(name):
    images = np.stack([draw(i, size=128) for i in range(9)])[..., None] / np.float32(
        255
    )
    change = augment.compose(name)
    once, again = (change(images, np.random.default_rng(5)) for _ in range(2))
    other = change(images, np.random.default_rng(6))
    assert (once == again).all()
    assert (once != other).any()
    assert once.shape == images.shape
    assert once.dtype == np.float32
    assert once.min() >= 0
    assert once.max() <= 1


def test_a_frame_cuts_each_axis_for_itself():
    steps = np.linspace(0.2, 0.8, 128, dtype=np.float32)
    across = np.tile(steps[None, None, :, None], (64, 128, 1, 1))
    down = across.transpose(0, 2, 1, 3)
    seen = []
    for ramp in (across, down):
        shown = geometry.reframe(ramp, np.random.default_rng(0), (0.6, 0.9), 1.0)
        spans = np.ptp(shown, axis=(1, 2, 3)) / 0.6
        assert spans.min() >= 0.59
        assert spans.max() <= 0.93  # half a pixel at the border may be half black
        assert shown.min() >= 0.15
        seen.append(spans)
    assert np.abs(seen[0] - seen[1]).max() > 0.15
    kept = geometry.reframe(across, np.random.default_rng(0), probability=0.0)
    np.testing.assert_allclose(kept, across, atol=1e-6)


def test_a_lent_spectrum_changes_sharpness_and_not_shape():
    sharp = np.random.default_rng(0).random((1, 128, 128, 1), np.float32) * 0.2 + 0.4
    smooth = draw(1, size=128)[None, :, :, None] / np.float32(255) * 0.5 + 0.2
    images = np.concatenate([sharp, smooth])

    def detail(image):
        return np.abs(np.diff(image, axis=1)).mean()

    for seed in range(20):
        changed = tones.lend_spectrum(images, np.random.default_rng(seed), 1.0)
        np.testing.assert_allclose(changed.mean((1, 2)), images.mean((1, 2)), atol=0.02)
        if np.abs(changed - images).max() > 0.01:  # each lent to the other
            assert detail(changed[0]) < detail(sharp)
            assert detail(changed[1]) > detail(smooth)
            shapes = np.corrcoef(changed[1].ravel(), smooth.ravel())[0, 1]
            assert shapes > 0.5
            return
    raise AssertionError("no two images were ever exchanged")


def test_sharpening_lifts_detail():
    images = np.stack([draw(i, size=128) for i in range(4)])[..., None] / np.float32(
        255
    )
    changed = tones.sharpen(images, np.random.default_rng(0), 1.0)
    for one, other in zip(images, changed, strict=True):
        assert np.abs(np.diff(other, axis=1)).sum() > np.abs(np.diff(one, axis=1)).sum()


def test_bad_storage_costs_detail_and_keeps_the_picture():
    noise = np.random.default_rng(0).normal(0, 0.04, (4, 128, 128, 1))
    images = np.stack([draw(i, size=128) for i in range(4)])[..., None] / 255
    images = np.clip(images + noise, 0, 1).astype(np.float32)
    changed = tones.compress(images, np.random.default_rng(0), 1.0)
    for one, other in zip(images, changed, strict=True):
        assert np.abs(np.diff(other, axis=1)).sum() < np.abs(np.diff(one, axis=1)).sum()
        assert np.corrcoef(other.ravel(), one.ravel())[0, 1] > 0.95
    assert (tones.compress(images, np.random.default_rng(0), 0.0) == images).all()


def test_default_never_turns_a_chest_upside_down():
    image = np.zeros((1, 128, 128, 1), np.float32)
    image[:, :40] = 1  # the upper part is bright
    for seed in range(40):
        warp = geometry.Warp(rotation=12, shift=0.08)
        changed = warp(image, np.random.default_rng(seed))
        assert changed[0, :30].mean() > 0.8
        assert changed[0, -30:].mean() < 0.2


def test_warp_without_changes_gives_the_image_back():
    image = draw(3, size=128)[None, :, :, None] / np.float32(255)
    warp = geometry.Warp(rotation=0, shift=0, flip_horizontal=False)
    same = warp(image, np.random.default_rng(0))
    np.testing.assert_allclose(same, image, atol=1e-5)


def test_epochs_are_balanced_and_differ(drawings):
    dataset = load(drawings, progress=False)
    dataset = dataset.subset(np.r_[0:10, 30:60])  # one normal to three pneumonias
    batches = Batches(dataset, RECIPES["default"], seed=1)
    first = batches.order
    assert abs(dataset.labels[first].mean() - 0.5) < 0.01
    batches.on_epoch_end()
    assert (batches.order != first).any()
    resumed = Batches(dataset, RECIPES["default"], seed=1)
    resumed.start(1)
    assert (resumed.order == batches.order).all()
    assert (resumed[0][0] == batches[0][0]).all()


def test_extra_images_take_their_share_and_weights_choose(drawings):
    dataset = load(drawings, progress=False)
    own, extra = dataset.subset(np.arange(0, 60, 2)), dataset.subset(np.r_[1, 59])
    recipe = adjust(RECIPES["default"], {"extra_share": "0.25"})
    batches = Batches(own, recipe, extra=extra)
    assert (batches.order >= len(own.labels)).mean() == pytest.approx(0.25, abs=0.01)
    assert abs(batches.labels[batches.order].mean() - 0.5) < 0.01
    weights = np.zeros(len(own.labels))
    weights[[0, -1]] = 1
    assert set(Batches(own, recipe, weights=weights).order) == {0, len(weights) - 1}


def test_mixup_mixes_images_as_it_mixes_targets(drawings):
    dataset = load(drawings, progress=False)
    recipe = adjust(RECIPES["default"], {"mixup": "0.5", "augmentation": ""})
    images, targets = Batches(dataset, recipe)[0]
    assert np.allclose(targets.sum(axis=1), 1)
    mixed = np.abs(targets - 0.5).max(axis=1) < 0.49
    assert mixed.any()
    plain = Batches(dataset, adjust(recipe, {"mixup": "0"}))
    kept = plain[0][0]
    assert np.abs(images - kept).reshape(len(images), -1).max(axis=1)[mixed].all()


def test_mixed_styles_exchange_mean_and_spread_alone():
    rng = np.random.default_rng(0)
    features = rng.normal(rng.normal(size=(6, 1, 1, 4)), size=(6, 8, 8, 4))
    features = features.astype(np.float32)
    changed = np.asarray(styles.MixStyle(1.0)(features, training=True))

    def normal(values):
        mean = values.mean(axis=(1, 2), keepdims=True)
        return (values - mean) / values.std(axis=(1, 2), keepdims=True)

    np.testing.assert_allclose(normal(changed), normal(features), atol=1e-4)
    before, after = features.mean(axis=(1, 2)), changed.mean(axis=(1, 2))
    assert np.abs(after - before).max() > 0.1
    for own, mean in zip(before, after, strict=True):  # on the way to another's
        ways = [(other - own, mean - own) for other in before]
        fits = [np.linalg.lstsq(way[:, None], gone)[:2] for way, gone in ways]
        assert any(gap.sum() < 1e-4 and -1e-3 < share[0] < 1.001 for share, gap in fits)
    for layer, training in (
        (styles.MixStyle(1.0), False),
        (styles.MixStyle(0.0), True),
    ):
        np.testing.assert_allclose(layer(features, training=training), features, 1e-4)


def test_network_answers_alike_with_and_without_mixed_styles(run, drawings):
    built = vgg19.load(run)
    images = load(drawings, progress=False).inputs()[:4]
    mixing = styles.mixing(built, 1.0)
    np.testing.assert_array_equal(mixing(images), built.classifier(images))
    assert np.abs(mixing(images, training=True) - built.classifier(images)).max() > 1e-4


def test_settings_are_read_as_on_a_command_line():
    changed = adjust(
        RECIPES["default"],
        {
            "frozen_blocks": "4",
            "learning_rate": "1e-3",
            "local_contrast": "true",
            "average": "none",
            "hidden_units": "64,32",
            "optimizer": "sgd",
        },
    )
    assert (changed.frozen_blocks, changed.learning_rate) == (4, 1e-3)
    assert changed.local_contrast is True
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
        ({"cached_views": "2", "void_share": "0.1"}, "can't go with"),
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
            recipe="jpeg",
            epochs=3,
            settings={"mixup": "0.1", "hidden_units": "64,32"},
            start=Path("before"),
            new_head=True,
            extra=Path("adults"),
            leave_out="darkest quarter",
            seed=4,
            precision="mixed_float16",
            devices="all",
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
    plan = Plan("/here/data", "/here/run", start="/here/before", extra="/here/adults")
    assert plan.record["repeat"] == (
        "python -m pneumonia train DIR --out RUN --recipe default --from-run START "
        "--extra EXTRA --seed 0 --precision float32"
    )
    assert (plan.record["started_from"], plan.record["backbone_weights"]) == (
        "before",
        None,
    )
    other = Plan("/here/data", "/here/run", backbone_weights="/here/vgg19.h5")
    assert "--backbone-weights WEIGHTS --seed" in other.record["repeat"]
    assert other.record["backbone_weights"] == "vgg19.h5"


def test_former_names_of_recipes_are_known():
    assert len({find(name).augmentation for name in FORMER_NAMES}) > 4
    for former, name in FORMER_NAMES.items():
        assert former not in RECIPES
        assert find(former) is RECIPES[name]
    assert adjust(find("default"), {"augmentation": "seed"}).augmentation == "published"
    with pytest.raises(RecipeError, match="no recipe best; expected one of published"):
        choose(Plan("data", "run", recipe="best"))


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


def test_training_goes_on_from_a_bundle_on_cached_features(bundle, drawings, tmp_path):
    out = tmp_path / "on"
    settings = ["cached_views=2", "images_per_epoch=32", "schedule=cosine"]
    command = ["train", str(drawings), "--out", str(out), "--epochs", "1"]
    for setting in [*settings, "frozen_blocks=5", "stress_views=0"]:
        command += ["--set", setting]
    main([*command, "--from-bundle", str(bundle), "--extra", str(drawings)])
    before, after = vgg19.load(bundle), vgg19.load(out)
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


def test_head_starts_anew_behind_trained_convolutions(bundle, drawings, tmp_path):
    out = tmp_path / "narrow"
    command = ["train", str(drawings), "--out", str(out), "--epochs", "1", *QUICK[2:]]
    command += ["--set", "frozen_blocks=5", "--set", "hidden_units=8"]
    on = ["--from-bundle", str(bundle)]
    with pytest.raises(SystemExit, match="alone with --new-head"):
        main([*command, *on])
    with pytest.raises(SystemExit, match="--from-run RUN or --from-bundle"):
        main([*command, "--new-head"])
    assert not out.exists()
    main([*command, *on, "--new-head"])
    before, after = vgg19.load(bundle), vgg19.load(out)
    for one, other in zip(
        before.features.get_weights(), after.features.get_weights(), strict=True
    ):
        assert (one == other).all()
    shapes = [w.shape for w in after.head.get_weights()]
    assert shapes == [(8192, 8), (8,), (8, 2), (2,)]
    repeat = json.loads((out / "run.json").read_text())["repeat"]
    assert "--from-run START --new-head --seed" in repeat
    new = tmp_path / "new"  # as wide as before
    main([*command, *on, "--new-head", "--set", "hidden_units=256,128", f"--out={new}"])
    kernels = [vgg19.load(folder).head.get_weights()[0] for folder in (bundle, new)]
    assert abs(np.corrcoef(*map(np.ravel, kernels))[0, 1]) < 0.1


def test_training_goes_on_with_what_its_start_was_shown(bundle, tmp_path):
    facts = json.loads((bundle / "bundle.json").read_text())
    facts["network"] |= {"margin": 7, "hidden_units": [9], "standardize": False}
    (tmp_path / "bundle.json").write_text(json.dumps(facts))

    def chosen(new_head=False, **settings):
        plan = Plan("", "", start=tmp_path, new_head=new_head, settings=settings)
        return like_its_start(adjust(RECIPES["reframing"], settings), plan)

    kept = chosen()
    assert (kept.margin, kept.hidden_units, kept.standardize) == (7, (9,), False)
    assert kept.augmentation == RECIPES["reframing"].augmentation
    assert chosen(margin="0").margin == 0
    assert chosen(hidden_units="4,3").hidden_units == (4, 3)
    assert chosen(new_head=True).hidden_units == RECIPES["reframing"].hidden_units
    assert chosen(new_head=True).margin == 7
    with pytest.raises(vgg19.WeightsError, match="holds no trained network"):
        like_its_start(RECIPES["reframing"], Plan("", "", start=tmp_path / "none"))


def test_cached_features_are_those_of_the_changed_images(run, drawings):
    built = vgg19.load(run)
    front, tail = vgg19.cut(built, 3)
    dataset = load(drawings, progress=False).subset(np.arange(0, 60, 8))
    recipe = adjust(RECIPES["default"], {"cached_views": "1", "augmentation": ""})
    batches = CachedBatches(front, dataset, recipe)
    features, targets = batches[0]
    shown = batches.order[: len(features)]
    expected = built.classifier(dataset.inputs()[shown])
    np.testing.assert_allclose(tail(features), expected, atol=2e-3)
    assert (targets.argmax(axis=1) == dataset.labels[shown]).all()


def test_group_left_out_is_not_trained_on(drawings, tmp_path):
    out = tmp_path / "run"
    command = ["train", str(drawings), "--out", str(out), "--epochs", "1", *QUICK]
    with pytest.raises(SystemExit, match="no group adults"):
        main([*command, "--leave-out", "adults"])
    main([*command, "--leave-out", "darkest quarter"])
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
    trained, _, averaged = record["repeat"].splitlines()
    assert re.match(r"python -m pneumonia train .* --out run\b", trained)
    assert averaged == "python -m pneumonia average run other --out RUN"
    with pytest.raises(SystemExit, match="holds a run already"):
        main(["average", str(run), str(other), "--out", str(mean)])
    inside = tmp_path / "inside"
    main(["average", str(run), str(other), "--out", str(inside), "--margin", "5"])
    assert vgg19.load(inside).margin == 5
    again = json.loads((inside / "run.json").read_text())
    assert again["repeat"].endswith("average run other --out RUN --margin 5")
    assert again["network"]["margin"] == again["settings"]["margin"] == 5
    (other / "run.json").write_text(json.dumps(record | {"started_from": "elsewhere"}))
    with pytest.raises(SystemExit, match="differ in started_from"):
        main(["average", str(run), str(other), "--out", str(tmp_path / "no")])


def test_a_run_is_averaged_with_its_start(run, bundle, tmp_path):
    other, mean = tmp_path / "other", tmp_path / "mean"
    shutil.copytree(run, other)
    changed = vgg19.load(bundle)
    before = changed.classifier.get_weights()
    changed.classifier.set_weights([w + 1 for w in before])
    changed.classifier.save_weights(other / "best.weights.h5")
    record = json.loads((run / "run.json").read_text())
    again = "python -m pneumonia train DIR --out RUN --from-run START"
    for start in ("bundle", "elsewhere"):
        facts = record | {"started_from": start, "repeat": again}
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
    trained = json.loads((mean / "run.json").read_text())["repeat"].splitlines()
    assert "--out bundle" in trained[0]
    assert trained[1] == ("python -m pneumonia train DIR --out other --from-run bundle")
    assert trained[2] == "python -m pneumonia average bundle other --out RUN"


def test_keras_network_of_the_bundle_answers_as_the_graph_does(
    bundle, drawings, tmp_path
):
    assert (bundle / vgg19.KERAS_WEIGHTS).stat().st_size < 50e6
    reports = []
    for engine in ("onnx", "keras"):
        out = tmp_path / engine
        command = ["evaluate", str(drawings), "--out", str(out), "--engine", engine]
        main([*command, "--bundle", str(bundle)])
        rows = (out / "predictions.csv").read_text().splitlines()[1:]
        reports.append(np.array([float(row.split(",")[3]) for row in rows]))
    assert np.abs(reports[0] - reports[1]).mean() < 0.06  # hardly trained, so noisy
    assert np.corrcoef(*reports)[0, 1] > 0.8


def test_shipped_keras_network_answers_as_the_shipped_graph_does(all_xrays, classifier):
    chosen = all_xrays.subset(np.arange(0, 5200, 80))
    logits = vgg19.run_logits(vgg19.load(), chosen.inputs())
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
