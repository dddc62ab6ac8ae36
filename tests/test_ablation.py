"""What each step buys: linear layers that never saw a look, and the table of them."""

import json

import keras
import numpy as np
import pytest
from drawings import data_set, stack
from keras import ops

from pneumonia.__main__ import main
from pneumonia.data import looks
from pneumonia.network import vgg19
from pneumonia.network.finder import Framed
from pneumonia.study import ablation, frozen
from pneumonia.study.ablation_rows import BASE, ROWS, Row
from pneumonia.training import augment

pytestmark = pytest.mark.keras

RNG = np.random.default_rng(0)
ADULTS = 12


def small(backbone_weights: str) -> keras.Model:
    """Stand in for VGG19: a few means everywhere, and the same within the lungs."""
    shown = keras.Input((128, 128, 2))
    grey, lungs = shown[..., :1], shown[..., 1:]
    cells = [ops.average_pool(part, 32) for part in (grey, grey * lungs)]
    found = [ops.reshape(part, (-1, 16)) for part in cells]
    return keras.Model(shown, ops.stack(found, axis=1))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[str]:
    """Draw children, adults and donors."""
    folder = tmp_path_factory.mktemp("drawn")

    def ill() -> list[tuple[float, float, float]]:
        return [(*RNG.uniform(0.3, 0.7, 2), 0.15)]

    counts = {"children": 60, "adults": ADULTS // 2, "donors": 5}
    return [str(data_set(folder / name, n, ill)) for name, n in counts.items()]


@pytest.fixture
def command(folders, monkeypatch, tmp_path) -> list[str]:
    monkeypatch.setattr(frozen, "build", small)
    monkeypatch.setattr(looks.Looks, "of", lambda _, all_: np.arange(len(all_)) % 2)
    children, adults, _ = folders
    return ["ablate", children, "--adults", adults, "--out", str(tmp_path)]


def test_rows_differ_in_what_they_say():
    assert len({row.what for row in ROWS.values()}) == len(ROWS)
    for row in ROWS.values():
        augment.compose(row.changes)
    assert {name for name, row in ROWS.items() if row == Row(ROWS[BASE].what)} == {BASE}


def test_every_row_is_measured_and_a_stopped_command_goes_on(
    command, folders, tmp_path, capsys
):
    command += ["--seeds", "0", "1", "--donors", folders[2]]
    main(command)
    table = json.loads((tmp_path / "ablation.json").read_text())
    rows = {row["name"]: row for row in table["rows"]}
    assert rows.keys() == ROWS.keys()
    for name, row in rows.items():
        once = name == "mean" or not ROWS[name].changes
        assert len(row["runs"]) == (1 if once else 2)
        assert (row["stress_auroc"]["spread"] is None) == once
        for run in row["runs"]:
            assert all(0 <= value < 1 + 1e-9 for value in run.values())
    assert rows["ours"]["unseen_auroc"]["mean"] > 0.7
    assert rows["ours"]["runs"][0] != rows["ours"]["runs"][1]
    same = {name for name, row in rows.items() if row["runs"] == rows["ours"]["runs"]}
    assert same <= {"ours", "no looks"}  # the drawings' looks hold as many of each
    said = capsys.readouterr().out
    assert "training: other hospitals lend, too, seed 1" in said
    main(command)
    assert "seed" not in capsys.readouterr().out.partition("row ")[0]
    assert json.loads((tmp_path / "ablation.json").read_text()) == table


def test_what_lacks_is_said(command, monkeypatch):
    with pytest.raises(SystemExit, match="no row none; expected one of floor, ours"):
        main([*command, "--rows", "none"])
    with pytest.raises(SystemExit, match="needs X-rays that lend: --donors DIR"):
        main([*command, "--rows", "donors"])
    monkeypatch.setattr(looks, "alike", lambda *_: None)
    with pytest.raises(SystemExit, match="no look holds 10 training images of each"):
        main(command)


def test_features_are_those_of_the_network_everywhere_and_within_the_lungs():
    keras.utils.set_random_seed(0)
    model = frozen.build(None)
    shown = RNG.uniform(0, 1, (2, 128, 128, 2)).astype(np.float32)
    shown[..., 1] = 0
    shown[:, 48:80, 48:80, 1] = 1  # cells 3 and 4; softened, 2 to 5
    keras.utils.set_random_seed(0)
    network = vgg19.build(None, masked=True)  # the same weights
    pooled = network.between[3][0]
    fifth = network.features.get_layer("within_lungs").input[0]
    maps = keras.Model(network.features.input, [pooled, fifth]).predict_on_batch(shown)
    maps = np.concatenate(maps, axis=-1)
    inside = maps[:, 2:6, 2:6]
    found = model.predict_on_batch(shown) ** 2
    for place, expected in enumerate((maps, inside)):
        means = expected.mean(axis=(1, 2))
        np.testing.assert_allclose(found[:, place], means, rtol=1e-3, atol=1e-5)


def test_a_layer_never_saw_the_look_that_it_answers_for():
    look, labels = np.repeat(np.arange(3), 40), np.tile([0, 1], 60)
    x = RNG.normal(size=(120, 4))
    x[:, 0] += 3 * labels * np.where(look == 2, -1, 1)  # in one look it is reversed
    layer = frozen.Layer(x, labels, look, np.ones(120))
    scores = layer.scores(x, look)
    ill, well = (scores[(look == 2) & (labels == label)].mean() for label in (1, 0))
    assert ill < well - 1
    changed = x.copy()
    changed[look == 2] *= 100  # which nobody who judges it has seen
    other = frozen.Layer(changed, labels, look, np.ones(120))
    before, after = (each.without[2][-1].coef_ for each in (layer, other))
    assert (before == after).all()
    assert (layer.whole[-1].coef_ != other.whole[-1].coef_).any()


def test_changes_are_drawn_by_seed_and_donors_lend():
    images, labels = stack(8), np.arange(8) % 2
    lungs = np.ones((8, 96, 96, 1), np.float16)
    framed = Framed(images, np.tile(np.float32([0.1, 0.9, 0.1, 0.9]), (8, 1)), lungs)
    bright = Framed(np.full_like(images, 250), framed.boxes, lungs)
    model, row = small(""), Row("", changes="histogram")

    def found(seed, donors=None) -> np.ndarray:
        return frozen.features(model, framed, labels, row, "", seed, donors)[:, 0]

    assert (found(1) == found(1)).all()
    assert (found(1) != found(2)).any()
    assert (found(None) == found(None)).all()
    lent = [found(seed, bright).max() for seed in range(6)]
    assert max(lent) > found(None).max() + 0.2


def test_a_crop_gets_a_flat_histogram():
    shown = RNG.uniform(0, 1, (2, 64, 64, 2)).astype(np.float32) ** 1.5
    shown[..., 1] = 0
    shown[:, :, :32, 1] = 1
    shown[:, :, 32:, 0] *= 0.5
    for by, part in (("lungs", np.s_[:, :, :32, 0]), ("crop", np.s_[..., 0])):
        flat = frozen.equalised(shown, by)
        quantiles = np.quantile(flat[part], [0.25, 0.5, 0.75])
        np.testing.assert_allclose(quantiles, [0.25, 0.5, 0.75], atol=0.03)
        assert (flat[..., 1] == shown[..., 1]).all()
        order = np.argsort(shown[0, ..., 0], axis=None)
        assert (np.diff(flat[0, ..., 0].ravel()[order]) >= 0).all()


def test_threshold_where_both_errors_weigh_alike():
    labels = RNG.integers(0, 2, 4000)
    scores = RNG.normal(labels * np.where(RNG.random(4000) < 0.2, 0.2, 2), 1)
    weights = np.where(labels == 1, 0.5 / labels.sum(), 0.5 / (1 - labels).sum())
    called = scores >= ablation.equal_errors(labels, scores, weights)
    missed, alarms = (np.mean(called[labels == i] != i) for i in (1, 0))
    assert missed == pytest.approx(alarms, abs=0.002)
    assert 0.1 < missed < 0.4


def test_table_shows_mean_and_spread_over_seeds():
    runs = [{"stress_auroc": 0.9}, {"stress_auroc": 0.8}]
    row = ablation.tabulate("ours", runs)
    assert row["stress_auroc"]["mean"] == pytest.approx(0.85)
    assert row["stress_auroc"]["spread"] == pytest.approx(0.1)
    alone = ablation.tabulate("floor", runs[:1])
    assert "0.850 (0.100)" in ablation.summarise({"rows": [row, alone]})
    assert alone["stress_auroc"] == {"mean": 0.9, "spread": None}
