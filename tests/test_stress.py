"""Validation under shift: changes that are always the same and share no code."""

import ast
import inspect
import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pneumonia.data import stress, subgroups
from pneumonia.data.folder import Dataset
from pneumonia.data.phantom import draw
from pneumonia.study import ablation, ablation_rows, ablation_table
from pneumonia.training import sampling
from pneumonia.training.augment import DEFAULT
from pneumonia.training.plan import Plan
from pneumonia.training.recipe import RECIPES
from pneumonia.training.runs import RunError
from pneumonia.training.settings import adjust

LABELS = np.arange(16) % 2


@pytest.fixture(scope="module")
def drawings() -> np.ndarray:
    return np.stack([draw(number, size=128) for number in range(16)])[..., None]


@pytest.mark.parametrize("family", stress.FAMILIES)
def test_family_changes_every_image_and_always_in_the_same_way(family, drawings):
    before = drawings.copy()
    once, again = (stress.changed(drawings, LABELS, family) for _ in range(2))
    assert (drawings == before).all()
    assert (once == again).all()
    assert once.shape == drawings.shape
    assert once.dtype == np.uint8
    changed = (once != drawings).mean(axis=(1, 2, 3))
    assert (changed > 0.01).all()
    assert (stress.changed(drawings, LABELS, family, seed=1) != once).any()


def test_tone_and_frame_come_from_the_other_class():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (6, 128, 128, 1)).astype(np.uint8)
    labels = np.array([0, 0, 0, 1, 1, 1])
    images[labels == 1] += 150
    tone = stress.changed(images, labels, "other class's tone")
    assert (tone[labels == 0] >= 150).all()
    assert (tone[labels == 1] < 60).all()
    framed = stress.changed(images, labels, "other class's frame")
    assert (framed[labels == 0, :12] >= 150).all()
    assert (framed[labels == 0, 12:-12, 12:-12] < 60).all()
    both = stress.changed(images, labels, "other class's tone and frame")
    assert (both[labels == 0] >= 150).all()


def test_mixed_copies_show_every_family_equally_often(drawings):
    one, other = (
        list(stress.mixed_copies(drawings, LABELS, 2, seed=3)) for _ in range(2)
    )
    assert (np.stack(one) == np.stack(other)).all()
    assert (one[0] != one[1]).any()
    names = stress.mixed_families(len(drawings), 2, seed=3)
    _, counts = np.unique(names[: len(drawings)], return_counts=True)
    assert len(counts) == len(stress.FAMILIES)
    assert counts.max() - counts.min() <= 1
    assert not list(stress.mixed_copies(drawings, LABELS, 0))


def test_stress_shares_no_code_with_the_training():
    tree = ast.parse(inspect.getsource(stress))
    ours = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]
    assert not ours


def test_training_that_used_a_kind_of_change_is_told():
    used = DEFAULT + "+transfer"
    assert all(stress.seen_in_training(name, used) for name in stress.FAMILIES)
    assert not stress.seen_in_training("other class's tone", DEFAULT)
    assert not any(stress.seen_in_training(name, "mirror") for name in stress.FAMILIES)
    assert stress.seen_in_training("rotation", "mirror+geometry")
    assert not stress.seen_in_training("gamma", "mirror+geometry")


def _dataset(images, labels, names) -> Dataset:
    patients = np.array([name.partition("_")[0] for name in names])
    return Dataset(images, np.array(labels), np.array(names), patients, patients)


def test_groups_are_chosen_by_name_and_brightness():
    names = ["IM-1_1", "NORMAL2-IM-2_1", "person1_virus_1", "person2_bacteria_1"]
    images = np.zeros((4, 128, 128, 1), np.uint8)
    images[[0, 2]] = 100
    dataset = _dataset(images, [0, 0, 1, 1], names)
    found = {
        name: subgroups.mask(dataset, name).tolist() for name in subgroups.SUBGROUPS
    }
    assert found == {
        "normal IM": [True, False, False, False],
        "normal NORMAL2": [False, True, False, False],
        "bacteria": [False, False, False, True],
        "virus": [False, False, True, False],
        "darkest quarter": [False, True, False, True],
        "brightest quarter": [True, False, True, False],
    }
    chosen = subgroups.with_other_class(dataset, "virus")
    assert chosen.tolist() == [True, True, True, False]


def test_overlap_weights_leave_the_thumbnail_at_chance():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    images = rng.integers(0, 40, (400, 128, 128, 1)).astype(np.uint8)
    tone = rng.normal(100 + 12 * labels, 12)  # the shortcut: pneumonias are brighter
    images = (images + tone[:, None, None, None]).clip(0, 255).astype(np.uint8)
    weights = sampling.overlap_weights(images, labels, np.arange(400))
    assert weights.min() >= sampling.LEAST
    assert weights.max() <= 1
    plain = roc_auc_score(labels, tone)
    weighted = roc_auc_score(labels, tone, sample_weight=weights)
    assert plain > 0.7
    assert abs(weighted - 0.5) < (plain - 0.5) / 2


def test_rows_of_the_ablation_are_recipes():
    for row in ablation_rows.ALL.values():
        changed = adjust(RECIPES[row.recipe], row.settings)
        assert (changed != RECIPES[row.recipe]) == bool(row.settings)
        assert set(row.mean_of) <= ablation_rows.ROWS.keys()
    assert len({str(row) for row in ablation_rows.ALL.values()}) == len(
        ablation_rows.ALL
    )


def test_row_trains_what_it_goes_on_from(tmp_path, monkeypatch):
    trained = []

    def train_one(plan):
        trained.append((plan.out.name, plan.start and plan.start.name))
        plan.out.mkdir(parents=True)
        (plan.out / "curves.png").touch()
        return plan.out

    monkeypatch.setattr(ablation.train, "train", train_one)
    monkeypatch.setattr(ablation, "measure_run", lambda *_: measured(0.9))
    monkeypatch.setattr(ablation.folder, "load", lambda _: None)
    monkeypatch.setattr(ablation.folder, "split", lambda _: (None, None))
    monkeypatch.setitem(
        ablation_rows.ALL, "after", ablation_rows.Row("", start="mixup")
    )
    plan = Plan("data", tmp_path, extra="adults")
    for _ in range(2):  # the second time nothing is left to do
        table = ablation.ablate(plan, ["mixup", "after"], (0, 1))
    first = ("ablation-start-0", None)
    rows = [("mixup-0", "ablation-start-0"), ("mixup-1", "ablation-start-0")]
    assert trained == [first, *rows, ("after-0", "mixup-0"), ("after-1", "mixup-1")]
    assert [row["name"] for row in table["rows"]] == ["mixup"]
    del trained[:]
    ablation.ablate(plan, ["wide head"])
    assert trained == [("wide head-0", "bundle")]
    with pytest.raises(RunError, match=f"transfer goes on from default.*{tmp_path}"):
        ablation.ablate(plan, ["tone-transfer"])
    with pytest.raises(RunError, match="no row none; expected one of published, "):
        ablation.ablate(plan, ["none"])


def measured(auroc: float, adults: float = 0.5, right: float = 0.9) -> dict:
    of_group = {"images": 9, "auroc": auroc, "right": right}
    return {
        **dict.fromkeys(ablation_table.RANKED, auroc),
        "adult_auroc": adults,
        "families": dict.fromkeys(stress.FAMILIES, auroc),
        "groups": dict.fromkeys(subgroups.SUBGROUPS, of_group),
    }


def put_run(folder, name, seed, figures):
    run = folder / f"{name}-{seed}"
    run.mkdir(parents=True)
    (run / "measured.json").write_text(json.dumps(figures))


def test_table_says_what_an_unseen_group_costs(tmp_path):
    put_run(tmp_path, "ablation-start", 0, measured(0.9))
    put_run(tmp_path, "ablation-start", 1, measured(0.8))
    put_run(tmp_path, "without virus", 0, measured(0.6, right=0.5))
    (row,) = ablation_table.collect(tmp_path, tmp_path / "none.json")["left_out"]
    assert row["group"] == "virus"
    assert row["seen"]["auroc"]["mean"] == pytest.approx(0.85)
    assert row["unseen"]["auroc"]["mean"] == pytest.approx(0.6)
    assert row["unseen"]["right"]["mean"] == pytest.approx(0.5)
    assert "--rows 'without virus'" in row["command"]


def test_ranking_compares_rows_that_saw_no_adults(tmp_path):
    names = ["published", "ablation-start", "mirror", "ours", "mixup"]
    for place, name in enumerate(names):
        put_run(tmp_path, name, 0, measured(0.5 + place / 10, adults=0.9 - place / 10))
    put_run(tmp_path, "ours+adults", 0, measured(0.99, adults=0.99))
    ranking = ablation_table.collect(tmp_path, tmp_path / "none.json")["ranking"]
    assert ranking["rows"] == len(names)
    assert ranking["figures"]["stress_auroc"] == pytest.approx(-1)


def test_table_shows_mean_and_spread_over_seeds(tmp_path):
    table = {}
    for seed, value in enumerate((0.9, 0.8)):  # one after the other, into one table
        figures = measured(value)
        figures["families"]["JPEG"] = value / 2
        put_run(tmp_path / str(seed), "ours", seed, figures)
        table = ablation_table.collect(tmp_path / str(seed), tmp_path / "ablation.json")
        (tmp_path / "ablation.json").write_text(json.dumps(table))
    (row,) = table["rows"]
    assert row["worst_family"] == "JPEG"
    assert row["seeds"] == [0, 1]
    assert row["stress_auroc"]["mean"] == pytest.approx(0.85)
    assert row["stress_auroc"]["spread"] == pytest.approx(0.1)
    assert "0.850 (0.100)" in ablation_table.summarise(table)
