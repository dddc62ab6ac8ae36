"""What is refused, with which reason, and what is offered instead."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from pictures import encode
from PIL import Image

from pneumonia import (
    BundleError,
    ImageError,
    explain,
    load_classifier,
    phantoms,
    predict,
)
from pneumonia.__main__ import main
from pneumonia.contract import BUNDLE
from pneumonia.data import phantom
from pneumonia.data.folder import Dataset, save
from pneumonia.data.patients import validation_mask
from pneumonia.gate import fit, not_chests, rules
from pneumonia.gate import pictures as gate_pictures
from pneumonia.outputs import Outputs
from pneumonia.reading.image import read_picture, to_input
from pneumonia.reading.picture import Picture
from pneumonia.serving import gate as gates
from pneumonia.serving import gate_features
from pneumonia.web.form import app as flask_app

SHIPPED = BUNDLE


def dataset(images: list[np.ndarray]) -> Dataset:
    """Uint8 pictures as a data set in which everybody is another patient."""
    inputs = np.concatenate([to_input(image) for image in images])
    names = np.array([f"p{i}" for i in range(len(images))])
    return Dataset(
        images=np.rint(inputs * 255).astype(np.uint8),
        labels=np.zeros(len(images), int),
        names=names,
        patients=names,
        groups=names,
    )


def child(seed: int) -> np.ndarray:
    return phantom.draw(1000 + seed, size=128)


def adult(seed: int) -> np.ndarray:
    """A drawn chest with another outline: what is around the shoulders is bright."""
    drawn = phantom.draw(5000 + seed, size=128).astype(int)
    drawn[:30] = np.maximum(drawn[:30], 150)
    return drawn.astype(np.uint8)


def mask(*places: tuple[int, int, int, int]) -> np.ndarray:
    """Lungs as rectangles (first row, last row, first column, last column) of 96."""
    found = np.zeros((96, 96), np.float32)
    for top, bottom, left, right in places:
        found[top:bottom, left:right] = 0.9
    return found


LEFT, RIGHT = (20, 80, 12, 40), (20, 80, 56, 84)


def run(inputs: np.ndarray) -> Outputs:
    """Stand in for a network: lungs in place, brightness on a grid of 16 x 32."""
    n = len(inputs)
    return Outputs(
        logits=np.zeros((n, 2), np.float32),
        maps=np.zeros((n, 2, 8, 8), np.float32),
        embedding=inputs.reshape(n, 16, 14, 32, 7).mean(axis=(2, 4)).reshape(n, 512),
        evidence=np.zeros((n, 8, 8), np.float32),
        lungs=np.stack([mask(LEFT, RIGHT)] * n),
        box=np.array([[0.15, 0.9, 0.05, 0.95]] * n, np.float32),
    )


@pytest.fixture(scope="module")
def fitted():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_pictures, "PICTURES", 120)
        patch.setattr(fit, "_AXES", 8)
        patch.setattr(rules, "_AXES", 8)
        return fit.fit(
            run,
            dataset([child(i) for i in range(80)]),
            dataset([child(i) for i in range(80, 110)]),
            {"one": dataset([adult(i) for i in range(60)])},
        )


@pytest.fixture
def judge(fitted):
    gate = gates.from_facts(fitted)

    def judge(pixels: np.ndarray) -> tuple[str, ...]:
        inputs = to_input(np.ascontiguousarray(pixels))
        return gate.judge(inputs, run(inputs))

    return judge


def test_chests_come_in_and_changed_ones_are_named(judge):
    for seed in range(200, 210):
        pixels = child(seed)
        assert judge(pixels) == ()
        assert judge(255 - pixels) == ("negative",)
        assert judge(pixels[::-1, ::-1]) == ("upside_down",)
        assert judge(np.rot90(pixels)) == ("rotated",)
        assert judge(np.rot90(pixels, 3)) == ("rotated",)
        assert "outside_population" in judge(adult(seed))


@pytest.mark.parametrize("kind", not_chests.KINDS)
def test_other_things_are_refused(judge, kind):
    rng = np.random.default_rng(99)
    codes = [judge(not_chests.KINDS[kind](rng)) for _ in range(10)]
    assert sum(bool(set(found) & gates.REFUSALS.keys()) for found in codes) >= 9


def test_the_figures_are_of_pictures_that_had_no_part(fitted):
    figures = fitted["measured"]
    assert figures["children_let_in"] == {"n": 30, "share": 1.0}
    unseen = sum(validation_mask(np.array([f"one p{i}" for i in range(60)]), 0.4))
    assert figures["adults_outside"]["n"] == unseen
    assert figures["adults_answered_without_a_word"]["one"]["n"] == unseen
    assert figures["adults_outside"]["share"] > 0.9
    assert figures["other_pictures_refused"]["share"] > 0.9
    assert not set(figures["kinds_learned"]) & set(figures["kinds_held_out"])
    assert figures["kinds_held_out"]


def test_each_hospital_is_measured_by_a_gate_that_never_saw_it(monkeypatch):
    """What only one hospital shows is unknown where it is left out."""
    asked = []
    parts = fit._parts

    def follow(old):
        for name, of in parts(old):
            asked.append((name, set(old.sources[of]), set(old.sources[~of])))
            yield name, of

    monkeypatch.setattr(fit, "_parts", follow)
    monkeypatch.setattr(gate_pictures, "PICTURES", 30)
    monkeypatch.setattr(fit, "_AXES", 8)
    monkeypatch.setattr(rules, "_AXES", 8)
    children = dataset([child(i) for i in range(40)])
    labels = np.arange(40) % 2
    adults = {
        "a": dataset([adult(i) for i in range(20)]),
        "b": dataset([adult(i) for i in range(20, 35)]),
    }
    facts = fit.fit(run, replace(children, labels=labels), children, adults)
    assert asked == [("a", {"a"}, {"b"}), ("b", {"b"}, {"a"})]
    answered = facts["measured"]["adults_answered_without_a_word"]
    assert {name: of["n"] for name, of in answered.items()} == {"a": 20, "b": 15}
    assert facts["measured"]["training_adults"] == 35


def test_the_gate_survives_its_json(fitted):
    gate = gates.from_facts(json.loads(json.dumps(fitted)))
    features = gate_features.shape(to_input(child(1)))
    again = gates.from_facts(gates.to_facts(gate))
    assert gate.chest.score(features) == pytest.approx(again.chest.score(features))
    assert len(json.dumps(fitted)) < 300_000
    seen = gates.seen_inside(to_input(child(1)), run(to_input(child(1))))
    assert gate.child.score(seen) == pytest.approx(again.child.score(seen))
    without = {name: value for name, value in fitted.items() if name != "child"}
    assert gates.from_facts(without).child is None
    before = fitted | {"child": {"weights": "", "bias": 0, "least": 0}, "inside": {}}
    assert gates.from_facts(before).child is None
    assert gates.from_facts(None) is None


def test_without_adults_nobody_is_taken_for_one(monkeypatch):
    monkeypatch.setattr(gate_pictures, "PICTURES", 40)
    monkeypatch.setattr(fit, "_AXES", 8)
    children = dataset([child(i) for i in range(40)])
    facts = fit.fit(run, children, children)
    assert "child" not in facts
    assert "adults_outside" not in facts["measured"]
    inputs = to_input(adult(7))
    found = gates.from_facts(facts).judge(inputs, run(inputs))
    assert "outside_population" not in found


TWO = mask(LEFT, RIGHT)
CUT = mask((0, 50, 12, 40), (50, 96, 56, 84))


@pytest.mark.parametrize(
    ("lungs", "codes"),
    [
        (TWO, ()),
        (mask(), ("no_lungs",)),
        (mask((50, 53, 50, 53), (10, 13, 10, 13)), ("no_lungs",)),
        (mask(LEFT), ("one_lung",)),
        (mask(RIGHT), ("one_lung",)),
        (mask(LEFT, (50, 53, 60, 63)), ("one_lung",)),
        (CUT, ("cut_off_above", "cut_off_below")),
        (CUT[::-1], ("cut_off_above", "cut_off_below")),
        (CUT.T, ("cut_off_left", "cut_off_right", "one_lung")),
        (mask((20, 80, 0, 40), RIGHT), ("cut_off_left",)),
        (mask(LEFT, (20, 80, 56, 96)), ("cut_off_right",)),
        (mask((0, 80, 12, 40)), ("cut_off_above", "one_lung")),
        (mask((0, 80, 12, 15), RIGHT), ("one_lung",)),
    ],
)
def test_the_lungs_say_what_is_missing(lungs, codes):
    judge = gates.Lungs(0.03, 0.4, (0.5, 0.25, 0.5, 0.5)).judge
    assert judge(lungs) == codes


def test_without_lungs_there_is_no_answer(fitted):
    gate, inputs = gates.from_facts(fitted), to_input(child(3))
    empty = run(inputs)._replace(lungs=mask()[None])
    assert gate.judge(inputs, empty) == ("no_lungs",)
    cut = run(inputs)._replace(lungs=CUT[None])
    assert {"cut_off_above", "cut_off_below"} <= {*gate.judge(inputs, cut)}


@pytest.mark.parametrize("wrong", [{}, {"chest": 1}, {"near": {"mean": "%%"}}])
def test_a_damaged_gate_stops_at_the_start(tmp_path, wrong):
    for path in SHIPPED.iterdir():
        shutil.copy(path, tmp_path)
    facts = json.loads((tmp_path / "bundle.json").read_text())
    (tmp_path / "bundle.json").write_text(json.dumps(facts | {"gate": wrong}))
    with pytest.raises(BundleError, match="damaged"):
        load_classifier(tmp_path)


def test_every_code_has_a_sentence_for_a_layman():
    for code in gates.SENTENCES:
        assert explain(code).endswith(".")
        assert "_" not in explain(code)
    assert gates.refuse("negative").offers == ("invert", "anyway")
    assert gates.refuse("upside_down").offers == ("upright", "anyway")


def coloured() -> bytes:
    rng = np.random.default_rng(0)
    hues = Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8))
    return encode(np.asarray(hues.resize((200, 200))))


def other() -> bytes:
    return encode(not_chests.KINDS["text"](np.random.default_rng(5)))


@pytest.mark.parametrize(
    ("make", "reason"), [(coloured, "colour_photograph"), (other, "not_chest_xray")]
)
def test_predict_refuses_and_answers_anyway(classifier, make, reason):
    with pytest.raises(ImageError) as caught:
        predict(classifier, make())
    assert caught.value.reason == reason
    assert "anyway" in caught.value.offers
    assert reason in predict(classifier, make(), anyway=True).warnings


def test_a_negative_is_answered_when_it_is_inverted(classifier, phantom_bytes):
    pixels = read_picture(phantom_bytes).pixels
    negative = encode(255 - pixels)
    with pytest.raises(ImageError) as caught:
        predict(classifier, negative)
    assert caught.value.reason == "negative"
    inverted = predict(classifier, negative, invert=True)
    assert inverted.probabilities == predict(classifier, phantom_bytes).probabilities
    assert "negative" in predict(classifier, negative, anyway=True).warnings


@pytest.mark.parametrize(("turns", "reason"), [(1, "rotated"), (2, "upside_down")])
def test_a_turned_picture_is_answered_when_it_is_turned_back(
    classifier, phantom_bytes, turns, reason
):
    pixels = read_picture(phantom_bytes).pixels
    turned = encode(np.rot90(pixels, -turns))
    with pytest.raises(ImageError) as caught:
        predict(classifier, turned)
    assert caught.value.reason == reason
    upright = predict(classifier, turned, upright=True)
    assert upright.turned == 90 * turns
    assert (upright.pixels == pixels).all()
    plain = predict(classifier, phantom_bytes, upright=True)
    assert plain.turned == 0
    assert upright.probabilities == plain.probabilities


def test_what_lies_around_a_chest_is_told(classifier, phantom_bytes):
    pixels = read_picture(phantom_bytes).pixels
    side = len(pixels)
    border = np.pad(pixels, side // 2, constant_values=255)
    beside = np.concatenate([pixels, pixels], axis=1)
    for picture, reason in ((border, "surrounded"), (beside, "two_pictures")):
        with pytest.raises(ImageError) as caught:
            predict(classifier, encode(picture))
        assert caught.value.reason == reason
        assert caught.value.offers == ("anyway",)


def test_two_xrays_side_by_side_are_told_from_one(classifier, held_out):
    """Also where they look like a chest as a whole, as one of thirty pairs does."""
    images = held_out.images[::4, ..., 0]
    pairs = np.concatenate([images, np.roll(images, 1, axis=0)], axis=2)
    inputs = np.concatenate([to_input(pair) for pair in (*pairs, *images)])
    outputs = classifier.run(inputs)
    found = [
        classifier.gate.judge(
            inputs[i : i + 1], Outputs(*(o[i : i + 1] for o in outputs))
        )
        for i in range(len(inputs))
    ]
    told = ["two_pictures" in codes for codes in found]
    assert np.mean(told[: len(pairs)]) > 0.98
    assert not any(told[len(pairs) :])


def test_a_black_border_changes_little(classifier, phantom_bytes):
    """The network sees the lungs, wherever they lie in the picture."""
    pixels = read_picture(phantom_bytes).pixels
    plain = predict(classifier, phantom_bytes, anyway=True)
    for share in (0.1, 0.2):
        around = np.pad(pixels, round(share * len(pixels)))
        framed = predict(classifier, encode(around), anyway=True)
        assert framed.p_pneumonia == pytest.approx(plain.p_pneumonia, abs=0.1)


def test_a_bundle_without_a_gate_answers_all_but_colour(classifier):
    bare = replace(classifier, gate=None)
    assert set(predict(bare, other()).warnings) <= {"empty_heat_map"}
    with pytest.raises(ImageError, match="colour"):
        predict(bare, coloured())


def test_warnings_of_the_reader_come_last(fitted):
    inputs = to_input(child(3)[::-1, ::-1].copy())
    picture = Picture(child(3), warnings=("first_frame",))
    gate = gates.from_facts(fitted)
    found = gates.judge(gate, picture, inputs, run(inputs))
    assert found == ("upside_down", "first_frame")


def test_flask_refuses_with_422_and_answers_anyway(classifier):
    web = flask_app.create_app(classifier, read=read_picture).test_client()

    def ask(path: str, **fields):
        data = {"image": (io.BytesIO(other()), "x.png"), **fields}
        return web.post(path, data=data)

    refused = ask("/api/predict")
    assert refused.status_code == 422
    assert refused.json["error"]["reason"] == "not_chest_xray"
    assert refused.json["error"]["offers"] == ["anyway"]
    for answer in (ask("/api/predict?anyway=1"), ask("/api/predict", anyway="1")):
        assert answer.status_code == 200
        assert "not_chest_xray" in answer.json["warnings"]
        assert "does not look like" in answer.json["explanations"]["not_chest_xray"]
    page = ask("/")
    assert page.status_code == 422
    assert 'name="anyway" value="1"' in page.text
    assert "checked" not in page.text  # who wants it ticks it
    assert "does not look like" in ask("/", anyway="1").text


def test_the_shipped_gate_knows_drawings_from_chests(classifier):
    for path in phantoms():
        found = predict(classifier, path.read_bytes()).warnings
        assert set(found) <= {"empty_heat_map"}
    pictures, _ = not_chests.draw(40, seed=77)
    refused = 0
    for picture in pictures:
        inputs = to_input(picture)
        found = classifier.gate.judge(inputs, classifier.run(inputs))
        refused += bool(set(found) & gates.REFUSALS.keys())
    assert refused >= 38


def test_the_shipped_gate_lets_children_in(classifier, held_out, answers):
    inputs = held_out.inputs()
    found = []
    for i in range(len(inputs)):
        one = Outputs(*(output[i : i + 1] for output in answers))
        found.append(classifier.gate.judge(inputs[i : i + 1], one))
    let_in = [not set(codes) & gates.REFUSALS.keys() for codes in found]
    assert np.mean(let_in) >= 0.98


def test_the_command_writes_a_gate_into_a_bundle(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gate_pictures, "PICTURES", 30)
    monkeypatch.setattr(fit, "_AXES", 8)
    bundle = tmp_path / "bundle"
    shutil.copytree(SHIPPED, bundle)
    before = json.loads((bundle / "bundle.json").read_text())
    children = dataset([child(i) for i in range(60)])
    labels = np.arange(60) % 2
    save(replace(children, labels=labels), tmp_path / "children.npz")
    save(dataset([adult(i) for i in range(30)]), tmp_path / "adults.npz")
    adults = ["--adults", str(tmp_path / "adults.npz")]
    main(["gate", str(tmp_path / "children.npz"), *adults, "--bundle", str(bundle)])
    printed = capsys.readouterr().out
    assert "children_let_in" in printed
    assert "adults_outside" in printed
    after = json.loads((bundle / "bundle.json").read_text())
    assert after.pop("gate")["measured"]["training_adults"] == 30
    before.pop("gate")
    assert after == before
    assert predict(load_classifier(bundle), encode(child(400))).label
