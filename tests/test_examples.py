"""The real X-rays that ship: of held-out patients, small, chosen by a rule."""

import io
from pathlib import Path

import numpy as np
import pytest
from drawings import data_set
from pictures import encode
from PIL import Image

from pneumonia import examples, predict
from pneumonia.contract import EXAMPLES, LABELS
from pneumonia.study import choose_examples
from pneumonia.study.choose_examples import BYTES, EACH, SIDE, SOURCE, choose, reduced


def test_those_that_ship_are_in_the_table_and_small():
    found = examples()
    assert {one.path for one in found} == {*EXAMPLES.glob("*.jpeg")}
    assert 20 <= len(found) <= 30
    assert {one.truth for one in found} == {*LABELS}
    for one in found:
        assert one.source == SOURCE
        assert "CC BY 4.0" in SOURCE
        assert one.path.stat().st_size <= BYTES
        with Image.open(one.path) as picture:
            assert max(picture.size) <= SIDE
    assert [one.shown for one in found] == [True] * 6 + [False] * (len(found) - 6)


def test_the_demo_offers_a_wrong_and_an_uncertain_one(classifier):
    kinds = []
    for one in examples():
        answer = predict(classifier, one.path.read_bytes())
        right = "right" if answer.label == one.truth else "wrong"
        kinds.append(f"{right if answer.certain else 'uncertain'} {one.truth}")
    offered = sorted(kinds[:6])
    assert offered[:4] == ["right Normal"] * 2 + ["right Pneumonia"] * 2
    assert {kind.split()[0] for kind in offered[4:]} == {"uncertain", "wrong"}
    assert max(kinds.count(kind) for kind in kinds) <= EACH


def test_no_patient_was_learned_from(held_out):
    named = zip(held_out.names, held_out.groups, strict=True)
    names = {Path(name).name: group for name, group in named}
    groups = [names[one.original] for one in examples()]
    assert len(set(groups)) == len(groups)


def test_the_rule_takes_some_of_each_stratum():
    strata = {
        f"{kind} {label}": [f"{kind}-{label}-{i}" for i in range(9)]
        for kind in ("right", "wrong", "uncertain")
        for label in LABELS
    }
    strata["wrong Normal"] = ["only-one"]
    chosen = choose(strata)
    assert len(chosen) == 5 * EACH + 1
    assert [shown for _, shown in chosen] == [True] * 6 + [False] * 20
    kinds = [name.split("-")[0] for name, _ in chosen[:6]]
    assert kinds.count("right") == 4
    assert kinds.count("uncertain") == 1


@pytest.mark.parametrize("size", [(900, 700), (300, 200)])
def test_large_files_are_reduced(size):
    noise = np.random.default_rng(0).integers(0, 255, size, np.uint8)
    small = reduced(encode(noise))
    assert len(small) <= BYTES
    with Image.open(io.BytesIO(small)) as picture:
        assert picture.format == "JPEG"
        assert max(picture.size) == min(SIDE, max(size))
    assert reduced(small) == small


def test_the_command_writes_pictures_and_table(tmp_path, classifier):
    data_set(tmp_path / "train", 40)
    rows = choose_examples.write(tmp_path, tmp_path / "out")
    table = (tmp_path / "out" / "examples.csv").read_text().splitlines()
    assert len(table) == 1 + len(rows)
    for row in rows:
        assert (tmp_path / "out" / row["file"]).stat().st_size <= BYTES
        begins = {"Normal": "IM", "Pneumonia": "person"}[row["truth"]]
        assert row["original"].startswith(begins)
    letter = np.zeros((300, 300), np.uint8)
    letter[50:250, 140:160] = 255
    letters = {"letter": ("Normal", encode(letter))}
    assert choose_examples.sort(letters, classifier) == {}
