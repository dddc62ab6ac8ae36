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


def child(seed: int) -> np.ndarray:
    return phantom.draw(1000 + seed, size=128)


def adult(seed: int) -> np.ndarray:
    """A drawn chest with another outline: what is around the shoulders is bright."""
    drawn = phantom.draw(5000 + seed, size=128).astype(int)
    drawn[:30] = np.maximum(drawn[:30], 150)
    return drawn.astype(np.uint8)


def people(draw, *numbers: int) -> Dataset:
    """Draw a data set in which everybody is another patient, in turn of both labels."""
    inputs = np.concatenate([to_input(draw(number)) for number in range(*numbers)])
    names = np.array([f"p{i}" for i in range(len(inputs))])
    images = np.rint(inputs * 255).astype(np.uint8)
    return Dataset(images, np.arange(len(inputs)) % 2, names, names, names)


def mask(*places: tuple[int, int, int, int]) -> np.ndarray:
    """Lungs as rectangles (first row, last row, first column, last column) of 96."""
    found = np.zeros((96, 96), np.float32)
    for top, bottom, left, right in places:
        found[top:bottom, left:right] = 0.9
    return found


LEFT, RIGHT = (20, 80, 12, 40), (20, 80, 56, 84)
CUT = mask((0, 50, 12, 40), (50, 96, 56, 84))


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
def small():
    """Fit on few pictures, and with few axes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_pictures, "PICTURES", 40)
        patch.setattr(fit, "_AXES", 8)
        patch.setattr(rules, "_AXES", 8)
        yield patch


@pytest.fixture(scope="module")
def fitted(small):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_pictures, "PICTURES", 120)
        some = people(child, 80), people(child, 80, 110), {"one": people(adult, 60)}
        return fit.fit(run, *some)


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


def test_each_hospital_is_measured_by_a_gate_that_never_saw_it(small, monkeypatch):
    """What only one hospital shows is unknown where it is left out."""
    asked, parts = [], fit._parts

    def follow(old):
        for name, of in parts(old):
            asked.append((name, set(old.sources[of]), set(old.sources[~of])))
            yield name, of

    monkeypatch.setattr(fit, "_parts", follow)
    children = people(child, 40)
    adults = {"a": people(adult, 20), "b": people(adult, 20, 35)}
    measured = fit.fit(run, children, children, adults)["measured"]
    assert asked == [("a", {"a"}, {"b"}), ("b", {"b"}, {"a"})]
    answered = measured["adults_answered_without_a_word"]
    assert {name: of["n"] for name, of in answered.items()} == {"a": 20, "b": 15}
    assert measured["training_adults"] == 35


def test_the_gate_survives_its_json(fitted):
    gate = gates.from_facts(json.loads(json.dumps(fitted)))
    again = gates.from_facts(gates.to_facts(gate))
    inputs = to_input(child(1))
    features = gate_features.shape(inputs)
    assert gate.chest.score(features) == pytest.approx(again.chest.score(features))
    seen = gates.seen_inside(inputs, run(inputs))
    assert gate.child.score(seen) == pytest.approx(again.child.score(seen))
    assert len(json.dumps(fitted)) < 300_000
    without = {name: value for name, value in fitted.items() if name != "child"}
    before = fitted | {"child": {"weights": "", "bias": 0, "least": 0}, "inside": {}}
    assert gates.from_facts(without).child is gates.from_facts(before).child is None
    assert gates.from_facts(None) is None


def test_without_adults_nobody_is_taken_for_one(small):
    children = people(child, 40)
    facts = fit.fit(run, children, children)
    assert "child" not in facts
    assert "adults_outside" not in facts["measured"]
    inputs = to_input(adult(7))
    found = gates.from_facts(facts).judge(inputs, run(inputs))
    assert "outside_population" not in found


@pytest.mark.parametrize(
    ("lungs", "codes"),
    [
        (mask(LEFT, RIGHT), ""),
        (mask(), "no_lungs"),
        (mask((50, 53, 50, 53), (10, 13, 10, 13)), "no_lungs"),
        (mask(LEFT), "one_lung"),
        (mask(RIGHT), "one_lung"),
        (mask(LEFT, (50, 53, 60, 63)), "one_lung"),
        (CUT, "cut_off_above cut_off_below"),
        (CUT[::-1], "cut_off_above cut_off_below"),
        (CUT.T, "cut_off_left cut_off_right one_lung"),
        (mask((20, 80, 0, 40), RIGHT), "cut_off_left"),
        (mask(LEFT, (20, 80, 56, 96)), "cut_off_right"),
        (mask((0, 80, 12, 40)), "cut_off_above one_lung"),
        (mask((0, 80, 12, 15), RIGHT), "one_lung"),
    ],
)
def test_the_lungs_say_what_is_missing(lungs, codes):
    judge = gates.Lungs(0.03, 0.4, (0.5, 0.25, 0.5, 0.5)).judge
    assert judge(lungs) == tuple(codes.split())


def test_without_lungs_there_is_no_answer(fitted):
    gate, inputs = gates.from_facts(fitted), to_input(child(3))
    empty = run(inputs)._replace(lungs=mask()[None])
    assert gate.judge(inputs, empty) == ("no_lungs",)
    cut = run(inputs)._replace(lungs=CUT[None])
    assert {"cut_off_above", "cut_off_below"} <= {*gate.judge(inputs, cut)}


@pytest.mark.parametrize("wrong", [{}, {"chest": 1}, {"near": {"mean": "%%"}}])
def test_a_damaged_gate_stops_at_the_start(tmp_path, wrong):
    shutil.copytree(BUNDLE, tmp_path, dirs_exist_ok=True)
    facts = json.loads((tmp_path / "bundle.json").read_text())
    (tmp_path / "bundle.json").write_text(json.dumps(facts | {"gate": wrong}))
    with pytest.raises(BundleError, match="damaged"):
        load_classifier(tmp_path)


def test_every_code_has_a_sentence_for_a_layman():
    for code in gates.SENTENCES:
        assert explain(code).endswith(".")
        assert "_" not in explain(code)


@pytest.fixture(scope="module")
def pixels(phantom_bytes) -> np.ndarray:
    return read_picture(phantom_bytes).pixels


def coloured() -> np.ndarray:
    rng = np.random.default_rng(0)
    hues = Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8))
    return np.asarray(hues.resize((200, 200)))


def page_of_text() -> np.ndarray:
    return not_chests.KINDS["text"](np.random.default_rng(5))


@pytest.mark.parametrize(
    ("change", "reason", "mended"),
    [
        (lambda _: coloured(), "colour_photograph", None),
        (lambda _: page_of_text(), "not_chest_xray", None),
        (lambda x: 255 - x, "negative", "invert"),
        (lambda x: np.rot90(x, -1), "rotated", "upright"),
        (lambda x: np.rot90(x, -2), "upside_down", "upright"),
        (lambda x: np.pad(x, len(x) // 2, constant_values=255), "surrounded", None),
        (lambda x: np.concatenate([x, x], axis=1), "two_pictures", None),
    ],
)
def test_what_is_refused_is_answered_when_it_is_mended_or_anyway(
    classifier, pixels, change, reason, mended
):
    data = encode(change(pixels))
    with pytest.raises(ImageError) as caught:
        predict(classifier, data)
    assert caught.value.reason == reason
    assert caught.value.offers == ((mended, "anyway") if mended else ("anyway",))
    assert reason in predict(classifier, data, anyway=True).warnings
    if mended:
        found = predict(classifier, data, **{mended: True})
        plain = predict(classifier, encode(pixels), upright=True)
        assert found.probabilities == plain.probabilities
        assert found.turned == {"rotated": 90, "upside_down": 180}.get(reason, 0)
        assert mended == "invert" or (found.pixels == pixels).all()
        assert plain.turned == 0


def judged(classifier, inputs: np.ndarray, outputs: Outputs) -> list[set]:
    alone = [Outputs(*(o[i : i + 1] for o in outputs)) for i in range(len(inputs))]
    judge = classifier.gate.judge
    return [{*judge(inputs[i : i + 1], one)} for i, one in enumerate(alone)]


def test_two_xrays_side_by_side_are_told_from_one(classifier, held_out):
    """Also where they look like a chest as a whole, as one of thirty pairs does."""
    images = held_out.images[::4, ..., 0]
    pairs = np.concatenate([images, np.roll(images, 1, axis=0)], axis=2)
    inputs = np.concatenate([to_input(pair) for pair in (*pairs, *images)])
    found = judged(classifier, inputs, classifier.run(inputs))
    told = ["two_pictures" in codes for codes in found]
    assert np.mean(told[: len(pairs)]) > 0.98
    assert not any(told[len(pairs) :])


def test_a_black_border_changes_little(classifier, pixels):
    """The network sees the lungs, wherever they lie in the picture."""
    plain = predict(classifier, encode(pixels), anyway=True)
    for share in (0.1, 0.2):
        around = np.pad(pixels, round(share * len(pixels)))
        framed = predict(classifier, encode(around), anyway=True)
        assert framed.p_pneumonia == pytest.approx(plain.p_pneumonia, abs=0.1)


def test_a_bundle_without_a_gate_answers_all_but_colour(classifier):
    bare = replace(classifier, gate=None)
    warnings = predict(bare, encode(page_of_text())).warnings
    assert set(warnings) <= {"empty_heat_map"}
    with pytest.raises(ImageError, match="colour"):
        predict(bare, encode(coloured()))


def test_warnings_of_the_reader_come_last(fitted):
    inputs = to_input(child(3)[::-1, ::-1].copy())
    picture = Picture(child(3), warnings=("first_frame",))
    gate = gates.from_facts(fitted)
    found = gates.judge(gate, picture, inputs, run(inputs))
    assert found == ("upside_down", "first_frame")


def test_flask_refuses_with_422_and_answers_anyway(classifier):
    web = flask_app.create_app(classifier, read=read_picture).test_client()

    def ask(path: str, **fields):
        file = io.BytesIO(encode(page_of_text())), "x.png"
        return web.post(path, data={"image": file, **fields})

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
    inputs = np.concatenate([to_input(picture) for picture in pictures])
    found = judged(classifier, inputs, classifier.run(inputs))
    assert sum(bool(codes & gates.REFUSALS.keys()) for codes in found) >= 38


def test_the_shipped_gate_lets_children_in(classifier, held_out, answers):
    found = judged(classifier, held_out.inputs(), answers)
    assert np.mean([not codes & gates.REFUSALS.keys() for codes in found]) >= 0.98


def test_the_command_writes_a_gate_into_a_bundle(tmp_path, small, capsys):
    bundle = shutil.copytree(BUNDLE, tmp_path / "bundle")
    before = json.loads((bundle / "bundle.json").read_text())
    save(people(child, 60), tmp_path / "children.npz")
    save(people(adult, 30), tmp_path / "adults.npz")
    adults = ["--adults", str(tmp_path / "adults.npz"), "--bundle", str(bundle)]
    main(["gate", str(tmp_path / "children.npz"), *adults])
    printed = capsys.readouterr().out
    assert "children_let_in" in printed and "adults_outside" in printed
    after = json.loads((bundle / "bundle.json").read_text())
    assert after["gate"]["measured"]["training_adults"] == 30
    assert after | {"gate": before["gate"]} == before
    assert predict(load_classifier(bundle), encode(child(400))).label
