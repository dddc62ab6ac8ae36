"""The audit on pictures whose shortcuts are known, because they were drawn so."""

import json
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import onnx
import pytest
from drawings import data_set, stack
from PIL import Image
from scipy.stats import spearmanr

from pneumonia.__main__ import main
from pneumonia.contract import BUNDLE, METHODS
from pneumonia.data import folder
from pneumonia.network import finder, framing, graph, heatmaps, vgg19
from pneumonia.outputs import Outputs
from pneumonia.serving.classifier import softmax
from pneumonia.study import interventions, map_checks, shortcuts
from pneumonia.study.audit import audit, behind_the_crop
from pneumonia.study.card import map_verdict
from pneumonia.study.map_checks import Answers

pytestmark = pytest.mark.keras

LEAST, MOST = 0.3, 0.7
"""Where the AUROC of guessing lies for the numbers of images drawn here."""


def noise(count: int = 120) -> folder.Dataset:
    """Images of noise, two for each patient, every second patient with pneumonia."""
    rng = np.random.default_rng(0)
    patients = np.arange(count) // 2
    labels = patients % 2
    kinds = np.array(["IM-{:04}-0001", "person{}_virus_1"])[labels]
    names = [kind.format(p) for kind, p in zip(kinds, patients, strict=True)]
    groups = patients.astype(str)
    images = rng.integers(60, 190, (count, 224, 224, 1)).astype(np.uint8)
    return folder.Dataset(images, labels, np.array(names), groups, groups)


def from_pixels(dataset: folder.Dataset) -> list[dict]:
    """Measure images beside the 128 pixels in their middle."""
    return shortcuts.from_pixels(dataset, dataset.images[:, 48:176, 48:176])


def found(dataset: folder.Dataset, *names: str) -> list[float]:
    measured = []
    for name in names:
        features = shortcuts.FEATURES[name][1](dataset.images)
        row = shortcuts.predictability(features, dataset.labels, dataset.groups)
        measured.append(row["auroc"]["value"])
    return measured


def test_what_the_frame_gives_away_is_gone_from_the_crop():
    dataset = noise()
    dataset.images[dataset.labels == 1, :14] //= 2
    rows = from_pixels(dataset)
    assert [row["name"] for row in rows] == list(shortcuts.FEATURES)
    assert [row["features"] for row in rows] == [240, 144, 256, 18, 3]
    for row in rows[:3]:  # borders, corners, thumbnail
        assert row["task"] == "Normal or Pneumonia"
        assert row["auroc"]["value"] == 1
        assert row["auroc_cropped"]["value"] < MOST
    boxes = np.tile([0.1, 0.9, 0.1, 0.9], (120, 1)) + 0.1 * dataset.labels[:, None]
    (row,) = shortcuts.from_boxes(dataset, boxes)
    assert (row["auroc"]["value"], row["features"]) == (1, 4)
    rng = np.random.default_rng(0)
    (row,) = shortcuts.from_boxes(dataset, rng.uniform(size=(120, 4)))
    assert LEAST < row["auroc"]["value"] < MOST


def test_name_families_are_told_apart_where_there_are_two():
    dataset = noise()
    odd = (dataset.labels == 1) & (np.arange(120) // 4 % 2 == 1)
    bacteria = np.char.replace(dataset.names, "virus", "bacteria")
    dataset.images[odd] = 80
    dataset = replace(dataset, names=np.where(odd, bacteria, dataset.names))
    rows = [row for row in from_pixels(dataset) if row["task"].startswith("bact")]
    assert [row["name"] for row in rows] == ["borders", "thumbnail"]
    for row in rows:
        assert row["n"] == 60
        assert row["auroc"]["value"] == row["auroc_cropped"]["value"] == 1
    assert shortcuts.from_names(noise(8)) == {
        "IM-": {"Normal": 4, "Pneumonia": 0},
        "virus": {"Normal": 0, "Pneumonia": 4},
    }


@pytest.mark.parametrize(
    ("place", "seen_by"),
    [
        (np.s_[:7, 70:140], "borders thumbnail"),
        (np.s_[16:40, 16:40], "corners thumbnail"),
        (np.s_[90:140, 90:140], "thumbnail"),
    ],
)
def test_a_planted_mark_is_found_where_it_stands(place, seen_by):
    dataset = noise()
    marked = dataset.images[dataset.labels == 1]
    marked[:, *place] = np.where(marked[:, *place] < 125, 60, 189)  # no mean changes
    marked[:, *place] = np.clip(marked[:, *place].astype(int) + 25, 0, 255)
    dataset.images[dataset.labels == 1] = marked
    places = ("borders", "corners", "thumbnail")
    for name, auroc in zip(places, found(dataset, *places), strict=True):
        low, high = (0.95, 1.01) if name in seen_by else (LEAST, MOST)
        assert low < auroc < high, name


def test_brightness_and_sharpness_are_told_apart():
    dataset = noise()
    sick = dataset.labels == 1
    brighter = replace(dataset, images=dataset.images + np.uint8(20) * cells(sick))
    brightness, sharpness = found(brighter, "brightness", "sharpness")
    assert brightness > 0.95
    assert LEAST < sharpness < MOST
    smooth = dataset.images[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2)
    images = np.where(cells(sick), smooth, dataset.images)
    assert found(replace(dataset, images=images), "sharpness")[0] > 0.95


def cells(values: np.ndarray) -> np.ndarray:
    return values[:, None, None, None]


def test_a_patient_is_never_on_both_sides():
    """Features that name the patient, and labels that no other patient explains."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 5)
    labels = np.repeat(rng.permutation(40) % 2, 5)
    features = np.repeat(rng.normal(size=(40, 200)), 5, axis=0)
    honest = shortcuts.predictability(features, labels, groups)
    leaking = shortcuts.predictability(features, labels, np.arange(200))
    assert leaking["auroc"]["value"] == 1
    assert honest["auroc"]["value"] < 0.75
    low, high = honest["auroc"]["ci95"]
    assert low < honest["auroc"]["value"] < high
    assert honest["patients"] == 40
    few = features[:4], np.array([0, 1, 1, 1]), np.arange(4)
    assert shortcuts.predictability(*few) is None


def test_size_of_the_originals_is_read(tmp_path):
    for label, width in (("NORMAL", 90), ("PNEUMONIA", 130)):
        (tmp_path / label).mkdir()
        for number in range(12):
            picture = Image.new("L", (width + number, 100 + number % 3))
            picture.save(tmp_path / label / f"{number}.png")
    originals = shortcuts.from_originals(tmp_path)
    assert [row["name"] for row in originals["rows"]] == ["aspect ratio", "size"]
    assert all(row["auroc"]["value"] == 1 for row in originals["rows"])
    assert originals["percentiles"]["Pneumonia"]["width"][1] == 135.5


BOXES = np.tile(np.array([0.2, 0.8, 0.15, 0.85], np.float32), (40, 1))


def test_interventions_change_what_they_say():
    dataset = noise(40)
    pictures = interventions.Pictures(dataset.images, dataset.labels, BOXES)
    rng = np.random.default_rng(0)
    before = dataset.images.copy()
    for name, (_, change) in interventions.INTERVENTIONS.items():
        after = change(pictures, rng)
        assert (dataset.images == before).all(), name
        assert (after.shape, after.dtype) == (before.shape, np.uint8)
        assert (after == before).all() == (name == "nothing")
        inner = np.s_[:, 53:158, 53:158]
        touched = name in ("lungs covered", "mirrored")
        assert (after[inner] != before[inner]).any() == touched, name
    covered = interventions.INTERVENTIONS["lungs covered"][1](pictures, rng)
    inside = interventions.box_masks(BOXES)
    assert (covered[inside] == covered[inside][0]).all()
    assert (covered[~inside] == before[~inside]).all()
    swapped = interventions.swap_borders(pictures, rng)
    for image, label in zip(swapped, dataset.labels, strict=True):
        others = before[dataset.labels != label]
        assert (others[:, 0] == image[0]).all(axis=(1, 2)).any()


class Corner:
    """A stand-in for a classifier that looks at the upper left corner alone."""

    threshold = 0.5

    def run(self, inputs):
        maps = np.zeros((len(inputs), 2, 8, 8), np.float32)
        maps[:, 1, 0, 0] = 1  # and for Normal it shows nothing
        bright = inputs[:, :42, :42].mean(axis=(1, 2, 3))
        return self.outputs(np.stack([0 * bright, 40 * (bright - 0.4)], axis=1), maps)

    def outputs(self, logits, maps) -> Outputs:
        lungs = np.zeros((len(maps), 96, 96), np.float32)
        lungs[:, 24:72, 12:84] = 1
        return Outputs(
            logits=logits.astype(np.float32),
            maps=maps,
            embedding=np.zeros((len(maps), 512)),
            evidence=3 * maps[:, 1] - 3 * maps[:, 0],
            lungs=lungs,
            box=np.tile(framing.WHOLE, (len(maps), 1)),
        )

    def probabilities(self, logits):
        p = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
        return np.stack([1 - p, p], axis=1)

    def p_pneumonia(self, logits):
        return self.probabilities(logits)[:, 1]


@pytest.fixture
def corner_data() -> folder.Dataset:
    dataset = noise(40)
    dataset.images[dataset.labels == 0, :42, :42] = 50
    return dataset


def test_a_network_that_looks_at_a_corner_is_caught(corner_data):
    rows = interventions.intervene(Corner(), corner_data, BOXES)
    rows = {row["name"]: row for row in rows}
    assert rows["nothing"]["auroc"]["value"] == 1
    assert rows["nothing"]["Pneumonia"]["mean_change"] == 0
    caught = rows["corners covered"]
    assert caught["auroc"]["value"] == 0.5
    assert caught["Pneumonia"]["labels_changed"] == 1
    assert caught["Pneumonia"]["mean_shift"] < -0.9
    assert caught["Normal"]["labels_changed"] == 0
    assert caught["Normal"]["n"] == 20
    # a mark in another corner and the other side of the lungs are nothing to it
    for name in ("R, upper right", "R, lower left", "lungs covered"):
        assert rows[name]["Pneumonia"]["labels_changed"] == 0, name


def test_maps_outside_the_lungs_and_empty_maps_are_counted(corner_data):
    answers = Answers.to(corner_data, Corner())
    measured, mean_maps = map_checks.look(answers, "Grad-CAM", answers.outputs.lungs)
    assert measured["Pneumonia"]["share"]["value"] == 0
    assert measured["Pneumonia"]["even"]["value"] == pytest.approx(0.5 * 0.75)
    assert measured["Pneumonia"]["empty"] == 0
    assert measured["Normal"] == {"n": 20, "empty": 20, "share": None, "even": None}
    assert mean_maps[1, 0, 0] == 1


def test_share_on_the_lungs_is_taken_through_the_box():
    maps = np.zeros((4, 8, 8), np.float32)
    maps[0, 3, 3], maps[1, 0, 0], maps[2] = 0.5, 1, 1  # the third is everywhere
    lungs = np.zeros((4, 96, 96), np.float32)
    lungs[:, 24:72, 24:48] = 1
    for place, expected in (
        ((0.25, 0.75, 0.25, 0.75), [1, 1, 0.5, np.nan]),
        (framing.WHOLE, [1, 0, 0.125, np.nan]),
    ):
        box = np.tile(np.array(place, np.float32), (4, 1))
        np.testing.assert_allclose(map_checks.on_lungs(maps, lungs, box), expected)


PLACES = (0, 0), (0, 96), (96, 96), (96, 0)  # the opposite one is two further on


class Texture(Corner):
    """It looks for texture in the four corners; its map shows the place, or lies."""

    def __init__(self, honest: bool):
        self.turn = 0 if honest else 2

    def rough(self, shown: np.ndarray) -> np.ndarray:
        corners = [shown[:, y : y + 32, x : x + 32] for y, x in PLACES]
        return np.stack([corner.std(axis=(1, 2, 3)) for corner in corners], axis=1)

    def logits(self, shown: np.ndarray) -> np.ndarray:
        most = self.rough(shown).max(axis=1)
        return np.stack([0 * most, 40 * (most - 0.05)], axis=1)

    def run(self, inputs):
        maps = np.zeros((len(inputs), 2, 8, 8), np.float32)
        rough = self.rough(inputs)
        for heat, place in zip(maps[:, 1], rough.argmax(axis=1), strict=True):
            y, x = (side // 16 for side in PLACES[(place + self.turn) % 4])
            heat[y : y + 2, x : x + 2] = rough.max() > 0
        return self.outputs(self.logits(inputs), maps)


@pytest.mark.parametrize("method", METHODS)
def test_covering_tells_maps_that_show_the_evidence_from_others(method):
    # as the network is shown them, of 128 pixels: nothing is cropped here
    images = np.full((60, 128, 128, 1), 100, np.uint8)
    rng = np.random.default_rng(0)
    for image, (y, x) in zip(images, rng.permutation(PLACES * 15), strict=True):
        image[y : y + 32, x : x + 32] = rng.integers(0, 200, (32, 32, 1))
    textured = replace(noise(60), images=images)

    def cover(classifier: Texture) -> dict:
        answers = Answers.to(textured, classifier)
        shown = images.astype(np.float32) / 255
        return map_checks.cover_hottest(answers, shown, classifier.logits, method)

    honest = cover(Texture(honest=True))
    assert honest["Normal"] is None  # nothing was called so
    shows = honest["Pneumonia"]
    assert shows["n"] == 60
    assert shows["own"]["value"] > 3 * shows["elsewhere"]["value"]
    assert map_verdict(method, "Pneumonia", shows)[0]

    lie = cover(Texture(honest=False))["Pneumonia"]
    assert lie["own"]["value"] < 0.1 < lie["another"]["value"]
    faithful, sentence = map_verdict(method, "Pneumonia", lie)
    assert not faithful
    assert "no place that matters" in sentence


def test_rank_correlations_are_spearmans():
    rng = np.random.default_rng(0)
    one, other = np.maximum(rng.normal(size=(2, 5, 8, 8)), 0)  # many ties
    pairs = zip(one, other, strict=True)
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in pairs]
    np.testing.assert_allclose(map_checks.rank_correlations(one, other), expected)
    assert np.isnan(map_checks.rank_correlations(one[:1], 0 * one[:1])).all()


def pictures(count: int = 6) -> np.ndarray:
    return stack(count).astype(np.float32) / 255


def test_shuffling_changes_the_order_of_the_last_layers_weights_alone():
    head = vgg19.build(None).head
    before = [layer.get_weights() for layer in heatmaps.dense_layers(head)]
    assert len(before) == 3
    for count in range(4):
        shuffled = map_checks.shuffle_head(head, count, np.random.default_rng(0))
        layers = heatmaps.dense_layers(shuffled)
        for number, (layer, old) in enumerate(zip(layers, before, strict=True)):
            for new, kept in zip(layer.get_weights(), old, strict=True):
                assert (np.sort(new, axis=None) == np.sort(kept, axis=None)).all()
                if new.ndim == 2 or number < 3 - count:  # a shuffle may keep two biases
                    assert (new != kept).any() == (number >= 3 - count)
    for layer, old in zip(heatmaps.dense_layers(head), before, strict=True):
        for now, kept in zip(layer.get_weights(), old, strict=True):
            assert (now == kept).all()  # the network itself is left as it is


def test_a_masked_network_is_asked_with_the_lungs_where_they_were(tmp_path):
    keras.utils.set_random_seed(3)
    network, finds = vgg19.build(masked=True), finder.load(BUNDLE)
    images = stack(3)
    shown = finder.Framed.by(finds, images).shown(network)
    lungs = shown.copy()
    vgg19.condition(network, shown)
    model = graph.build_graph(network, finds)
    onnx.save(model, tmp_path / "classifier.onnx")
    facts = {"weights": {"file": "classifier.onnx"}, "network": {"masked": True}}
    ask = behind_the_crop(SimpleNamespace(folder=tmp_path, facts=facts))
    outputs = graph.run_graph(model, pictures(3))
    np.testing.assert_allclose(ask(shown), outputs.logits, atol=2e-3)
    shown[..., 1] = 0  # without lungs nothing reaches the head
    blind = ask(shown)
    np.testing.assert_allclose(blind, blind[:1].repeat(3, axis=0), atol=1e-6)

    made = SimpleNamespace(probabilities=softmax)
    answers = Answers(made, folder.Dataset(images, *[np.arange(3)] * 4), outputs)
    seen = []

    def answer(shown):
        seen.append(shown)
        return outputs.logits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(map_checks, "_given", lambda *_: np.ones(3, int))
        map_checks.cover_hottest(answers, lungs, answer, "HiResCAM")
    for changed in seen:
        np.testing.assert_array_equal(changed[..., 1], lungs[..., 1])
    assert any((changed[..., 0] != lungs[..., 0]).any() for changed in seen)


@pytest.fixture(scope="module")
def shipped(classifier):
    """The Keras network that ships, what it gives for drawings and their features."""
    network, outputs = vgg19.load(), classifier.run(pictures(12))
    shown = finder.Framed.by(finder.load(BUNDLE), stack(12)).shown(network)
    logits = behind_the_crop(classifier)(shown)
    np.testing.assert_allclose(logits, outputs.logits, atol=0.05)  # as the whole does
    return network, outputs, network.features.predict(shown, verbose=0)


@pytest.mark.parametrize("method", METHODS)
def test_maps_of_a_random_head_fall_apart(classifier, shipped, monkeypatch, method):
    network, _, features = shipped
    asked = classifier, network, features, method
    measured = map_checks.randomised_heads(*asked)
    assert measured["n"] == len(features)
    assert [len(level["layers"]) for level in measured["levels"]] == [1, 2, 3]
    for level in measured["levels"]:
        assert len(level["draws"]) == map_checks.HEAD_DRAWS
        assert level["correlation"] < 0.4
        assert len(set(level["draws"])) > 1
    # the same comparison does see when nothing was changed
    monkeypatch.setattr(map_checks, "shuffle_head", lambda head, count, rng: head)
    unchanged = map_checks.randomised_heads(*asked)
    assert all(level["correlation"] > 0.999 for level in unchanged["levels"])


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    return data_set(tmp_path_factory.mktemp("drawings"))


def test_command_writes_report_and_figures(drawings, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(map_checks, "HEAD_DRAWS", 2)
    out, data = tmp_path / "audit", str(drawings)
    options = ["--originals", data, "--against", str(BUNDLE), "--validation-only"]
    main(["audit", data, "--out", str(out), *options])
    text = (out / "audit.json").read_text()
    assert data not in text  # no machine's paths
    report = json.loads(text)
    assert report["data"]["images"] == 60
    assert 0 < report["asked"]["images"] < 60
    heat_map = report["heat_map"]
    assert heat_map["against"]["Normal"] == heat_map["bundle"]["Normal"]
    assert heat_map["masks_drawn"] == 0
    assert report["shortcuts"]["rows"][0]["name"] == "lungs' box"
    assert report["shortcuts"]["originals"]["rows"][0]["auroc"]["value"] == 0.5
    changed = {row["name"] for row in report["interventions"]}
    assert changed == interventions.INTERVENTIONS.keys()
    for name in ("shortcuts.png", "heat_map.png"):
        assert Image.open(out / name).size[0] > 500
    finer = report["hirescam"]
    assert finer["heat_map"] != heat_map["bundle"]
    assert finer["hottest_covered"].keys() == report["hottest_covered"].keys()
    said = capsys.readouterr().out
    assert "lungs covered" in said and "HiResCAM" in said


def test_masks_that_people_drew_are_taken(drawings, tmp_path, monkeypatch):
    monkeypatch.setattr(map_checks, "HEAD_DRAWS", 1)
    monkeypatch.setattr("pneumonia.study.audit.MAP_IMAGES", 8)
    monkeypatch.setattr(interventions, "INTERVENTIONS", {})
    masks = tmp_path / "masks"
    masks.mkdir()
    lungs = Image.fromarray(np.repeat(np.uint8([255, 0]), 48 * 96).reshape(96, 96))
    for number in range(29):
        lungs.save(masks / f"IM-{number:04}-0001.png")
    heat_map = audit(drawings, tmp_path / "out", masks=masks)["heat_map"]
    assert heat_map["masks_drawn"] == 29
    assert (
        heat_map["bundle"]["Normal"]["even"] != heat_map["bundle"]["Pneumonia"]["even"]
    )
