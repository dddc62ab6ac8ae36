"""From a folder to a bundle, on drawings: train, stop, resume, export, evaluate."""

import errno
import json
import os
import shlex
import shutil
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import keras
import narrow
import numpy as np
import pytest
from drawings import data_set
from PIL import Image
from threadpoolctl import threadpool_info, threadpool_limits

from pneumonia import load_classifier, predict
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

DEFAULT = RECIPES["default"]
TINY = ["--set", "images_per_epoch=8", "--set", "batch_size=4"]  # two steps an epoch
FEW = ["--backbone-weights", "random", *TINY]
QUICKER = ["--set", "condition=false", "--set", "stress_views=0"]
QUICK = [*FEW, *QUICKER]


@pytest.fixture(scope="module", autouse=True)
def narrow_network():
    with narrow.narrow():
        yield


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("data") / "drawings"
    return data_set(folder, ill=lambda: [(*rng.uniform(0.3, 0.7, 2), 0.15)])


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
    record = record_of(run)
    record["network"]["blanked"] = False  # as runs before December 2026 say
    (run / "run.json").write_text(json.dumps(record))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "LEAST_AGREEMENT", 0)  # two epochs teach next to nothing
        patch.setattr(export, "CALIBRATION_IMAGES", 16)
        patch.setattr(export, "SLIM_IMAGES", 8)
        # what hardly learned has few channels that others foretell
        main(["export", str(run), "--out", str(out), "--operations", "0.9"])
    return out


def record_of(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


def resume(source, out, *options):
    main(["train", str(source), "--out", str(out), "--resume", *options])


def refused(said: str, command, *words) -> None:
    with pytest.raises(SystemExit, match=said):
        command(*words)


def equal(one, other) -> list[bool]:
    """Tell of each matrix whether it is the same in two models."""
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return [(a == b).all() for a, b in pairs]


def test_run_keeps_what_it_takes_to_repeat_it(run, drawings):
    record = record_of(run)
    begins = f"python -m pneumonia train {drawings} --out"
    assert Plan(**record["plan"]).command.startswith(begins)
    assert record["source"] == str(drawings)
    assert record["versions"]["keras"] == keras.__version__
    assert record["settings"]["epochs"] == 2
    assert record["network"]["aligned"] is True
    assert record["finder_sha256"] == finder.digest(run)
    assert len((run / "history.csv").read_text().splitlines()) == 3
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
        refused("130", train, out, *FEW, "--epochs", "2")
    assert len((out / "history.csv").read_text().splitlines()) == 2
    refused("holds a run already", train, out, *FEW, "--epochs", "2")
    resume(drawings, out)
    assert (out / "history.csv").read_text() == (run / "history.csv").read_text()
    assert all(equal(vgg19.load(run).classifier, vgg19.load(out).classifier))


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
    refused("130", train, out, *few, "--set", "frozen_blocks=4")
    before = vgg19.load(out).classifier
    resume(drawings, out)
    assert seen == [0, 1, 1]  # the first epoch's were there, the third's are theirs
    assert [row["epoch"] for row in runs.read_history(out)] == [0, 1, 2]
    assert not (out / features.FOLDER).exists()
    after = vgg19.load(out).classifier
    for weights, same in zip(after.weights, equal(before, after), strict=True):
        assert same == weights.path.startswith(("block1", "block2", "block3", "block4"))


def batches_of(framed, recipe="default", seed=1, **settings) -> Batches:
    dataset, images = framed
    recipe = adjust(RECIPES[recipe], settings)
    return Batches(images, dataset.labels, recipe, seed)


def test_kept_feature_maps_lead_to_what_the_whole_network_answers(framed):
    few = {"masked": "true", "images_per_epoch": "8", "batch_size": "4"}
    batches = batches_of(framed, "default", **few)
    network = vgg19.build(masked=True, hidden_units=(8,))
    lower, upper = vgg19.split(network, 4)
    parts, wanted = [], []
    for epoch in range(2):
        batches.start(epoch)
        parts.append(features._run(lower, batches))
        shown = [batches[step][0] for step in range(2)]
        wanted += [network.classifier.predict_on_batch(images) for images in shown]
    kept = features.Features(parts, batches)
    answers, orders = [], []
    for _ in range(2):
        answers += [upper.predict_on_batch(kept[step][0]) for step in range(2)]
        orders.append(kept.order)
        kept.on_epoch_end()
    order = np.concatenate(orders)
    assert sorted(order) == list(range(16))  # each view once in two epochs
    expected = np.concatenate(wanted)[order]
    np.testing.assert_allclose(np.concatenate(answers), expected, atol=2e-3)
    assert (kept.order[:8] != orders[0]).any()


def test_full_disk_costs_no_epoch(train, drawings, tmp_path, monkeypatch):
    """The first epoch's state fits nowhere, then the second's."""
    out, save, saved = tmp_path / "full", keras.Model.save_weights, []

    def save_weights(self, path, *args, **options):
        save(self, path, *args, **options)
        saved.append(Path(path).name)
        if saved.count("unfinished-last.weights.h5") in fails:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keras.Model, "save_weights", save_weights)
    fails, two = {1}, [*QUICK, "--epochs", "2"]  # the best is there, its state is not
    refused("No space is left .*run the same command ag", train, out, *two)
    assert (out / "best.weights.h5").exists()
    assert not (out / "last.weights.h5").exists()
    refused("no run to resume", resume, drawings, out)
    fails = {3}  # of the same command, again: its first fits
    refused("epochs before are kept.* and --resume", train, out, *two)
    assert not [*out.glob("unfinished*")]
    history = runs.read_history(out)
    assert [row["epoch"] for row in history] == [0, 1]  # none of the first attempt
    state = vgg19.build(**record_of(out)["network"])
    recipe = runs.recipe_of(record_of(out), out)
    vgg19.freeze(state, recipe.frozen_blocks)
    compile_network(state.classifier, recipe, 4)
    assert callbacks.restore(state.classifier, out, 2) == history[:1]


def test_what_training_needs_is_asked_for_first(train, tmp_path, monkeypatch):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        usage = type("Usage", (), {"free": 10**6})
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        refused("MB are needed, and 1 MB are free", train, out, *QUICK, "--epochs", "1")
        assert not (out / "best.weights.h5").exists()
    out = tmp_path / "another"
    monkeypatch.setattr(training, "_gather", lambda *_: pytest.fail("too late"))
    (tmp_path / "text.weights.h5").write_text("no weights")
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(vgg19.WeightsError, match="no weights that fit"):
        vgg19.build(tmp_path / "other.weights.h5")
    for name, said in (
        ("none.h5", "No weights file at"),
        ("text.weights.h5", "no weights that fit"),
    ):
        refused(said, train, out, *QUICKER, "--backbone-weights", str(tmp_path / name))
    refused("holds no trained finder", train, out, *QUICK, "--finder", str(tmp_path))
    monkeypatch.undo()
    refused("no group adults", train, out, *QUICK, "--leave-out", "adults")
    assert not out.exists()


@pytest.fixture
def again(run, tmp_path):
    return shutil.copytree(run, tmp_path / "again", copy_function=os.link)  # 650 MB


def test_a_run_goes_on_with_the_xrays_that_it_began_with(drawings, again, tmp_path):
    record = (again / "run.json").read_text()
    data = shutil.copytree(drawings, tmp_path / "moved")
    resume(data, again)  # elsewhere, the same
    resume(drawings, again, "--epochs", "2", "--seed", "0", "--set", "batch_size=4")
    picture = Image.fromarray(draw(77, size=128))
    for path, said in (
        (data / "NORMAL" / "IM-0001-0001.png", "other pixels"),
        (data / "NORMAL" / "IM-0777-0001.png", r"then and \d+ now"),
    ):
        picture.save(path)
        refused(f"not those that.*{said}", resume, data, again)
    for path in data.glob("*/*7*"):
        path.unlink()
    refused(r"images then and \d+ now", resume, data, again)
    assert (again / "run.json").read_text() == record


OTHERWISE = f"""--seed 3|--recipe published|--set dropout=0.1|--leave-out virus|
--precision mixed_bfloat16|--backbone-weights other.h5|--from-run before|
--finder {BUNDLE}|--extra adults"""


def test_a_run_goes_on_as_it_began(again, monkeypatch):
    """Nothing that was asked for is passed over in silence."""
    for option in OTHERWISE.replace("\n", "").split("|"):
        name, value = option.split()
        refused(f"{name}.* was begun with", resume, "not looked at", again, name, value)
    for backend, said in (
        ("jax", "begun on tensorflow.*KERAS_BACKEND=tensorf"),
        ("numpy", "can't train on numpy"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(keras.backend, "backend", lambda name=backend: name)
            refused(said, resume, "not looked at", again)
    record = record_of(again)
    record["settings"]["margin"] = 5
    (again / "run.json").unlink()  # a link to that of the run
    for text, said in (
        (json.dumps(record), "another version.*margin.*--from-run"),
        ('{"settings": ', r"run\.json can't be read"),
    ):
        (again / "run.json").write_text(text)
        refused(said, resume, "not looked at", again)


@narrow.whole()
def test_published_recipe_trains_the_head_alone(train, tmp_path):
    """VGG19 itself, for once."""
    options = ["--epochs", "1", *FEW, "--precision", "mixed_bfloat16"]
    trained = vgg19.load(train(tmp_path / "out", "--recipe", "published", *options))
    keras.utils.set_random_seed(0)
    assert not trained.aligned
    start = vgg19.build(None, standardize=False)
    assert all(equal(start.features, trained.features))
    kinds = {type(layer) for layer in trained.features.layers}
    assert layers.Standardize not in kinds


def test_exported_bundle_is_whole_and_answers(run, bundle, drawings, framed):
    classifier = load_classifier(bundle)
    names = {"bundle.json", "classifier.onnx", finder.WEIGHTS, vgg19.KERAS_WEIGHTS}
    assert {path.name for path in bundle.iterdir()} == names
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
    # it follows the Keras network, as far as one that hardly learned can be followed
    trained = vgg19.load(run)
    logits, _, _ = heatmaps.explain(trained, framed[1].shown(trained))
    served = classifier.run(framed[0].inputs()).logits - np.array(facts["logit_shift"])
    margins, small = (np.diff(x)[:, 0] for x in (logits, served))
    assert np.corrcoef(margins, small)[0, 1] > 0.75


def test_export_refuses_what_is_no_run_or_disagrees(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "LEAST_AGREEMENT", 1.01)
    monkeypatch.setattr(export, "quantise", lambda graph, *_: graph)
    monkeypatch.setattr(export.slim, "slim", lambda graph, *_: graph)
    options = ["--out", str(tmp_path / "bundle"), "--operations", "0.9"]
    more = r"Nothing was written\. Leave it more of its work: --operations above 0\.9\."
    for source, said in ((tmp_path, "holds no trained"), (run, more)):
        refused(said, main, ["export", str(source), *options])
    assert not (tmp_path / "bundle").exists()


def test_evaluation_writes_report_and_plots(bundle, drawings, tmp_path, capsys):
    out = tmp_path / "report"
    command = ["evaluate", str(drawings), "--out", str(out), "--bundle", str(bundle)]
    main(command)
    report = json.loads((out / "report.json").read_text())
    assert report["n"] == sum(report["confusion"].values()) == 60
    said = capsys.readouterr().out
    for name in ("accuracy", "sensitivity", "specificity", "auroc", "auprc"):
        value, (low, high) = report[name]["value"], report[name]["ci95"]
        assert 0 <= low <= value <= high <= 1
        assert name in said or name != "accuracy"
    assert report["bundle_sha256"] == load_classifier(bundle).sha256
    assert len((out / "predictions.csv").read_text().splitlines()) == 61

    main([*command, "--validation-only", "--stress"])
    report = json.loads((out / "report.json").read_text())
    assert 0 < report["n"] < 60
    measured = report["stress"]
    assert measured["families"].keys() == stress.FAMILIES.keys()
    found = {n: row["accuracy"]["value"] for n, row in measured["families"].items()}
    assert found[measured["worst"]["accuracy"]] == min(found.values())
    mean = pytest.approx(np.mean(list(found.values())))
    assert measured["all"]["accuracy"]["value"] == mean
    for name in ("roc", "precision_recall", "confusion", "reliability", "stress"):
        assert Image.open(out / f"{name}.png").size[0] > 300


def test_workers_make_the_batches_that_training_makes_alone(framed):
    dataset, images = framed
    recipe = adjust(DEFAULT, {"images_per_epoch": "24", "batch_size": "6"})
    losses = []
    for workers in (0, 2):  # over two epochs, whose images differ
        keras.utils.set_random_seed(0)
        pooled = [keras.layers.AveragePooling2D(8), keras.layers.Flatten()]
        last = keras.layers.Dense(2, activation="softmax")
        model = keras.Sequential([*pooled, last])
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

    batches, seen = batches_of(framed), []
    batches.change = lambda images, rng: (seen.append(threads()), images)[1]
    with threadpool_limits(2, user_api="blas"):
        batches[0]
        assert threads() == {2}  # as before
    assert seen == [{1}]


def test_epochs_are_balanced_and_differ(framed):
    dataset, images = framed
    few = np.r_[0:10, 30:60]  # one normal to three pneumonias
    labels = dataset.labels[few]
    part = dataset.subset(few), images.subset(few)
    batches, resumed = (batches_of(part) for _ in range(2))
    first = batches.order
    assert abs(labels[first].mean() - 0.5) < 0.01
    for start in range(0, len(first), batches.recipe.batch_size):
        of_batch = labels[first[start : start + batches.recipe.batch_size]]
        assert (np.diff(of_batch) >= 0).all()  # both ends lend to each other
    batches.on_epoch_end()
    assert (batches.order != first).any()
    resumed.start(1)
    assert (resumed.order == batches.order).all()
    assert all((a == b).all() for a, b in zip(resumed[0], batches[0], strict=True))


def test_looks_tell_no_class_where_both_are_shown_alike_in_them(framed):
    dataset, images = framed
    pictures = images.images.copy()
    bright = np.r_[0:20, 30:35]  # 20 of 30 normals, 5 of 30 pneumonias
    pictures[bright] = pictures[bright] // 3 + 160
    changed = Framed(pictures, images.boxes, images.lungs)
    order = batches_of((dataset, changed), looks="2").order
    in_bright = np.isin(order, bright)
    for look in (in_bright, ~in_bright):
        assert dataset.labels[order[look]].mean() == pytest.approx(0.5, abs=0.01)
    counts = np.bincount(order[dataset.labels[order] == 0])[:20]
    assert np.ptp(counts) <= 1  # alike within look and class, give or take one


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_images_is_shown_as_it_is(framed, share):
    settings = {"aligned": "false", "unchanged": str(share)}
    batches = batches_of(framed, augmentation="tone", **settings)
    plain = framed[1].shown(batches.recipe)
    steps = range(len(batches))
    shown = np.concatenate([batches[step][0] for step in steps])
    same = (shown == plain[batches.order]).all(axis=(1, 2, 3))
    assert abs(same.mean() - share) < (0.1 if share == 0.5 else 0.01)
    assert (shown[..., 1] == plain[batches.order][..., 1]).all()


def test_extra_images_take_their_share(framed):
    dataset, images = framed
    parts = [
        (images.subset(chosen), dataset.labels[chosen])
        for chosen in (np.arange(0, 60, 2), np.r_[1, 59])
    ]
    recipe = adjust(DEFAULT, {"extra_share": "0.25"})
    batches = Batches(*parts[0], recipe, extra=parts[1])
    assert (batches.order >= 30).mean() == pytest.approx(0.25, abs=0.01)
    assert abs(batches.labels[batches.order].mean() - 0.5) < 0.01


def test_batches_show_the_whole_picture_or_the_lungs_or_both(framed):
    dataset, images = framed
    plain = {"augmentation": "", "batch_size": "8"}
    batches = batches_of(framed, "published", **plain)
    chosen = batches.order[:8]
    shown, targets = batches[0][:2]
    whole = images.shown(batches.recipe)[chosen]
    np.testing.assert_allclose(shown, whole, atol=1e-6)
    assert (targets.argmax(axis=1) == dataset.labels[chosen]).all()
    aligned = batches_of(framed, "published", **plain, aligned="true")[0][0]
    assert np.abs(aligned - whole).max() > 0.05
    both = {"aligned": "true", "masked": "true"}
    masked = batches_of(framed, "published", **plain, **both)[0][0]
    assert masked.shape == (8, 128, 128, 2)
    np.testing.assert_array_equal(masked[..., :1], aligned)


@pytest.mark.parametrize(
    ("settings", "read"),
    [
        ("frozen_blocks=4", 4),
        ("learning_rate=1e-3", 1e-3),
        ("aligned=false", False),
        ("average=none", None),
        ("hidden_units=64,32", (64, 32)),
        ("optimizer=sgd", "sgd"),
        ("epoch=3", "no setting is called epoch"),
        ("epochs=three", "epochs=three: expected"),
        ("standardize=maybe", "standardize=maybe"),
        ("batch_size=none", "batch_size=none"),
        ("optimizer=lion", "sgd or adamw"),
        ("augmentation=tone+snow", "snow"),
        ("margin=5", "no setting is called margin"),
        ("kept_epochs=2 frozen_blocks=0", "frozen_blocks 1 to 4"),
        ("kept_epochs=0", "a number from 1"),
        ("unchanged=1.5", "expected 0 to 1"),
    ],
)
def test_settings_are_read_as_on_a_command_line_or_refused(settings, read):
    settings = dict(setting.split("=") for setting in settings.split())
    if isinstance(read, str) and read not in settings.values():
        with pytest.raises(RecipeError, match=read):
            adjust(DEFAULT, settings)
    else:
        ((name, _),) = settings.items()
        assert getattr(adjust(DEFAULT, settings), name) == read


def parsed(command: str) -> Plan:
    """Return what a command of training asks for."""
    *program, words = *shlex.split(command)[:3], shlex.split(command)[3:]
    assert program == ["python", "-m", "pneumonia"]
    asked = vars(build(defaultdict(lambda: "it runs")).parse_args(words))
    assert asked.pop("run") == "it runs"
    return Plan(**asked)


@pytest.mark.parametrize(
    "plan",
    [
        Plan(Path("some data"), Path("run")),
        Plan(
            Path("data"),
            Path("run"),
            recipe="published",
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
    assert parsed(plan.command) == plan


def as_json(recipe=DEFAULT) -> dict:
    return json.loads(json.dumps(asdict(recipe)))


def test_record_of_a_plan_names_no_place_of_this_machine():
    places = {
        "start": "/here/before",
        "extra": "/here/adults",
        "finder": "/here/finder",
    }
    plan = Plan("/here/data", "/here/run", **places, workers=3)
    start = {"recipe": "default", "seed": 3, "precision": "float32"}
    told = ancestry.of_plan(plan, DEFAULT, start | {"settings": as_json()})
    assert "/here" not in json.dumps(told)
    assert commands({"ancestry": told}) == [
        "python -m pneumonia train DIR/train --out RUN1 --recipe default "
        "--backbone-weights imagenet --seed 3 --precision float32",
        "python -m pneumonia train DIR/train --out RUN --recipe default --from-run "
        "RUN1 --extra EXTRA --finder FINDER --seed 0 --precision float32",
    ]
    assert plan.record["started_from"] == "before"
    assert plan.record["backbone_weights"] is None
    other = Plan("/here/data", "/here/run", backbone_weights="/here/vgg19.h5")
    (told,) = ancestry.of_plan(other, DEFAULT, None)
    assert told["backbone_weights"] == "WEIGHTS"
    assert other.record["backbone_weights"] == "vgg19.h5"


def test_earlier_commands_say_what_their_recipe_says_otherwise_by_now():
    settings = asdict(DEFAULT) | {"augmentation": "tone+turn far", "average": None}
    settings |= {"hidden_units": [64, 32], "balanced": False}
    del settings["label_smoothing"]  # as if there was none when it was trained
    (first,) = ancestry.of_plan(Plan("DIR", "RUN", epochs=3), DEFAULT, None)
    start = {"ancestry": [first | {"settings": settings}]}
    told = ancestry.of_plan(Plan("data", "out", start="it"), DEFAULT, start)
    again = choose(parsed(commands({"ancestry": told})[0]))
    assert as_json(again) == settings | {"epochs": 3, "label_smoothing": 0.0}
    with pytest.raises(RecipeError, match="no recipe best; expected one of published"):
        choose(Plan("data", "run", recipe="best"))


def test_training_goes_on_from_a_run(run, drawings, train, tmp_path):
    options = ["--epochs", "1", "--set", "images_per_epoch=16", *QUICKER[2:]]
    options += ["--set", "frozen_blocks=5", "--extra", str(drawings)]
    after = vgg19.load(train(tmp_path / "on", *options, "--from-run", str(run)))
    before = vgg19.load(run)
    assert all(equal(before.features, after.features))
    assert not any(equal(before.head, after.head))


def test_head_starts_anew_behind_trained_convolutions(run, train, tmp_path):
    out, on = tmp_path / "narrow", ["--from-run", str(run)]
    quick = ["--epochs", "1", *TINY, *QUICKER, "--set", "frozen_blocks=5"]
    eight = ["--set", "hidden_units=8"]
    refused("alone with --new-head", train, out, *quick, *eight, *on)
    refused("--from-run RUN or --from-bundle", train, out, *quick, *eight, "--new-head")
    assert not out.exists()
    train(out, *quick, *eight, *on, "--new-head")
    before, after = vgg19.load(run), vgg19.load(out)
    assert all(equal(before.features, after.features))
    shapes = [w.shape for w in after.head.get_weights()]
    assert shapes == [(4 * 4 * narrow.WIDTHS[-1], 8), (8,), (8, 2), (2,)]
    facts, of_start = record_of(out), record_of(run)
    assert facts["backbone_weights"] == of_start["backbone_weights"]
    *earlier, own = facts["ancestry"]
    assert earlier == of_start["ancestry"]
    assert (own["start"], own["new_head"], own["finder"]) == (0, True, True)
    wide = ["--set", "hidden_units=256,128"]  # as wide as before
    new = vgg19.load(train(tmp_path / "new", *quick, *on, "--new-head", *wide))
    kernels = [network.head.get_weights()[0].ravel() for network in (before, new)]
    assert abs(np.corrcoef(*kernels)[0, 1]) < 0.1


def test_training_goes_on_with_what_its_start_was_shown(run, tmp_path):
    record = record_of(run)
    of_start = {"aligned": False, "hidden_units": [9], "standardize": False}
    record["network"] |= of_start
    (tmp_path / "run.json").write_text(json.dumps(record))

    def chosen(new_head=False, **settings):
        plan = Plan("", "", start=tmp_path, new_head=new_head, settings=settings)
        return like_its_start(adjust(DEFAULT, settings), plan)

    kept = chosen()
    shown = (kept.aligned, kept.hidden_units, kept.standardize)
    assert shown == (False, (9,), False)
    assert kept.augmentation == DEFAULT.augmentation
    assert chosen(aligned="true").aligned
    assert chosen(hidden_units="4,3").hidden_units == (4, 3)
    assert chosen(new_head=True).hidden_units == DEFAULT.hidden_units
    with pytest.raises(vgg19.WeightsError, match="holds no trained network"):
        like_its_start(DEFAULT, Plan("", "", start=tmp_path / "none"))


def test_networks_of_before_are_read_unless_they_blank(tmp_path):
    def read(blanked):
        told = {"network": {"aligned": True, "blanked": blanked}}
        (tmp_path / "bundle.json").write_text(json.dumps(told))
        return vgg19.read_facts(tmp_path)["network"]

    assert read(blanked=False) == {"aligned": True, "masked": False}
    with pytest.raises(vgg19.WeightsError, match="blanks pixels"):
        read(blanked=True)


def test_group_left_out_is_not_trained_on(drawings, train, tmp_path):
    options = ["--epochs", "1", *QUICK, "--leave-out", "darkest quarter"]
    record = record_of(train(tmp_path / "run", *options))
    training, _ = split(load(drawings, progress=False))
    left = len(training.labels) - record["training_images"]
    assert left == pytest.approx(len(training.labels) / 4, abs=2)


def one_more(source: Path, run: Path, out: Path) -> list[np.ndarray]:
    """Copy a run, with weights of another that are 1 higher; return the lower ones."""
    shutil.copytree(run, out)
    changed = vgg19.load(source).classifier
    before = changed.get_weights()
    changed.set_weights([w + 1 for w in before])
    changed.save_weights(out / "best.weights.h5")
    return before


def half_more(mean: Path, before: list[np.ndarray], atol: float) -> None:
    found = vgg19.load(mean).classifier.get_weights()
    for one, half in zip(before, found, strict=True):
        np.testing.assert_allclose(half, one + 0.5, atol=atol)


def average(out: Path, *runs: Path) -> None:
    main(["average", *map(str, runs), "--out", str(out)])


def test_runs_of_one_start_are_averaged(run, tmp_path):
    other, mean = tmp_path / "other", tmp_path / "mean"
    before = one_more(run, run, other)
    refused("at least two runs", average, mean, run)
    average(mean, run, other)
    half_more(mean, before, atol=1e-5)
    record = record_of(mean)
    assert record["averaged"] == [run.name, "other"]
    trained, averaged = commands(record)  # what was done twice stands once
    assert "train DIR/train --out RUN1 " in trained
    assert averaged == "python -m pneumonia average RUN1 RUN1 --out RUN"
    refused("holds a run already", average, mean, run, other)
    refused("holds a run already", main, ["train", "not looked at", "--out", str(mean)])
    assert finder.digest(mean) == record["finder_sha256"]
    for name in ("started_from", "finder_sha256"):
        (other / "run.json").write_text(json.dumps(record | {name: "elsewhere"}))
        refused(f"differ in {name}", average, tmp_path / "no", run, other)


def test_a_run_is_averaged_with_its_start(run, bundle, tmp_path):
    other, mean, none = (tmp_path / name for name in ("other", "mean", "none"))
    before = one_more(bundle, run, other)
    of_bundle = json.loads((bundle / "bundle.json").read_text())["training"]
    plan = Plan("data", other, start=bundle, seed=7)
    told = {"ancestry": ancestry.of_plan(plan, DEFAULT, of_bundle)}
    facts = record_of(run) | told | {"finder_sha256": "of the run that went on"}
    for start in ("elsewhere", "bundle"):
        text = json.dumps(facts | {"started_from": start})
        (other / "run.json").write_text(text)
        if start == "elsewhere":
            refused("differ in started_from", average, none, bundle, other)
            refused("holds no trained network", average, none, tmp_path, other)
    average(mean, bundle, other)
    assert not none.exists()
    half_more(mean, before, atol=1e-2)
    record = record_of(mean)
    assert record["finder_sha256"] == "of the run that went on"
    of_start, on, averaged = commands(record)
    assert "--out RUN1" in of_start
    assert "--out RUN2 --recipe default --from-run RUN1 --seed 7" in on
    assert averaged == "python -m pneumonia average RUN1 RUN2 --out RUN"


def text_of_before(repeat="python -m pneumonia average one START --out RUN") -> dict:
    """Return what a run of November 2026 kept of its commands."""
    train = "python -m pneumonia train DIR --out "
    lines = [
        f"{train}EARLIER --recipe default --backbone-weights random --seed 1",
        f"{train}EARLIER --recipe default --from-run EARLIER --extra EXTRA",
        f"{train}one --recipe default --set 'augmentation=tone+turn far' "
        "--from-run EARLIER --epochs 3",
        f"{train}START --from-run EARLIER --seed 2",
    ]
    facts = {"recipe": "default", "seed": 2, "precision": "float32"}
    told = {"before": "\n".join(lines), "repeat": repeat, "settings": as_json()}
    return told | facts


def goes_on(record: dict) -> list[dict]:
    return ancestry.of_plan(Plan("data", "out", start="RUN"), DEFAULT, record)


def test_commands_of_runs_of_before_are_read():
    """Of two runs that were called alike, the later one counts, as where they ran."""
    steps = ancestry.of(text_of_before())
    assert [step.get("start") for step in steps] == [None, 0, 1, 1, None]
    assert steps[-1] == {"command": "average", "runs": [2, 3]}
    assert steps[2]["changes"] == {"epochs": "3", "augmentation": "tone+turn far"}
    assert (steps[0]["backbone_weights"], steps[1]["extra"]) == ("random", True)
    told = commands({"ancestry": steps})
    assert told == commands(text_of_before())
    names = [command.partition("--out ")[2].split()[0] for command in told]
    assert names == ["RUN1", "RUN2", "RUN3", "RUN4", "RUN"]
    assert told[3].count("--from-run RUN2") == 1
    on = goes_on(text_of_before())
    assert (len(on), on[-1]["start"]) == (6, 4)


@pytest.mark.parametrize(
    "line",
    [
        "train DIR --out RUN --an-option-of-before 3",
        "train DIR --out RUN --from-run a-stranger",
        "distil RUN1",
    ],
)
def test_a_command_that_no_version_reads_now_stays_as_it_was(line):
    line = f"python -m pneumonia {line}"
    record = text_of_before(line)
    assert commands(record)[-1] == line
    assert commands({"ancestry": goes_on(record)})[-2] == line
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
    shutil.copytree(bundle, tmp_path, dirs_exist_ok=True)
    with (tmp_path / vgg19.KERAS_WEIGHTS).open("ab") as file:
        file.write(b"more")
    with pytest.raises(vgg19.WeightsError, match="checksum"):
        vgg19.load(tmp_path)
