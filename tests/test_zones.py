"""Where the evidence lies: through the box onto the picture, and in words by zone."""

import csv
import io
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pneumonia import LABELS, Classifier, predict, say_place
from pneumonia.contract import METHODS, TESTED
from pneumonia.outputs import Outputs
from pneumonia.reading.image import read_picture
from pneumonia.reading.picture import Picture
from pneumonia.serving import zones
from pneumonia.serving.overlay import LINE, draw_overlay, enlarge, outline
from pneumonia.serving.rows import answered_row, write_rows
from pneumonia.serving.zones import ZONES
from pneumonia.web.answer import context

BOX = np.array([0.25, 0.75, 0.125, 0.875], np.float32)
"""Of `two_lungs`; each of its 8 x 8 cells is 6 pixels of them high and 9 wide."""


def two_lungs() -> np.ndarray:
    """Return lungs of 18 pixels' width each, with six cells' width around and between.

    A lung is two cells wide and, like the box, eight cells high.
    """
    lungs = np.zeros((96, 96), np.float32)
    lungs[24:72, 21:39] = lungs[24:72, 57:75] = 0.9
    return lungs


def at(*cells: tuple[int, int]) -> np.ndarray:
    """Return evidence for pneumonia in some cells, and more against it elsewhere."""
    evidence = np.full((8, 8), -2, np.float32)
    for cell in cells:
        evidence[cell] = 1
    return evidence


class _Session:
    """Gives what it is told to, whatever the picture."""

    def __init__(self, evidence: np.ndarray, p_pneumonia: float):
        maps = np.zeros((2, 8, 8), np.float32)
        maps[:, 0, 0] = 1
        logit = np.log(p_pneumonia / (1 - p_pneumonia))
        self.outputs = {
            "logits": np.array([0, logit], np.float32),
            "maps": maps,
            "embedding": np.zeros(512, np.float32),
            "evidence": evidence,
            "lungs": two_lungs(),
            "box": BOX,
        }
        assert sorted(self.outputs) == sorted(Outputs._fields)

    def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [np.stack([self.outputs[name]] * len(feed["image"])) for name in names]


def stand_in(evidence: np.ndarray, p_pneumonia: float = 0.9) -> Classifier:
    band = {"error_inside": 0.5, "error_outside": 0.0}
    stressed = {"clean_and_stressed": {"ece": {"value": 0.0}}}
    return Classifier(
        temperature=2.0,
        threshold=0.5,
        uncertain_band=(0.4, 0.6),
        sha256="",
        facts={"uncertain_band_measured": band, "validation": stressed},
        folder=Path("none"),
        _session=_Session(evidence, p_pneumonia),
    )


def answer(evidence: np.ndarray, p_pneumonia: float = 0.9, **options):
    return answered(stand_in(evidence, p_pneumonia), **options)


def answered(made: Classifier, sides: bool = True, **options):
    pixels = np.asarray(Image.linear_gradient("L").resize((400, 320)))

    def read(_: bytes) -> Picture:
        return Picture(pixels, sides_known=sides)

    return predict(made, b"", read=read, **options)


def test_lungs_come_apart_at_their_gap_wherever_it_is():
    lungs = two_lungs()
    for move in (-20, 0, 20):
        left, right = zones.lungs_apart(np.roll(lungs, move, axis=1))
        assert left.sum() == right.sum() == (lungs > 0).sum() / 2
        assert np.nonzero(left)[1].max() < np.nonzero(right)[1].min()


def test_lungs_that_touch_come_apart_where_they_are_narrowest():
    lungs = two_lungs()
    lungs[60:66, 39:57] = 1
    left, right = zones.lungs_apart(lungs)
    assert abs(int(left.sum()) - int(right.sum())) <= 6


@pytest.mark.parametrize(("columns", "side"), [((15, 40), 0), ((50, 85), 1)])
def test_one_lung_is_not_cut(columns, side):
    lungs = np.zeros((96, 96), np.float32)
    lungs[20:70, slice(*columns)] = 1
    found = zones.lungs_apart(lungs)
    assert found[side].sum() == lungs.sum()
    assert not found[1 - side].any()


def test_zones_are_thirds_of_each_lungs_own_height():
    lungs = np.zeros((96, 96), np.float32)
    lungs[12:42, 10:30] = lungs[30:90, 50:70] = 1
    lungs[0, 12] = 1  # a speck above, which is no lung's top
    found = zones.zones(lungs)
    assert ((found < len(ZONES)) == (lungs > 0)).all()
    rows = {name: np.nonzero(found[1:] == n)[0] + 1 for n, name in enumerate(ZONES)}
    ends = {name: (at.min(), at.max() + 1) for name, at in rows.items()}
    assert ends == {
        **{"right upper": (12, 22), "right middle": (22, 32), "right lower": (32, 42)},
        **{"left upper": (30, 50), "left middle": (50, 70), "left lower": (70, 90)},
    }


def test_shares_sum_to_one_and_lie_where_the_cells_do():
    evidence = at((7, 1), (7, 4))  # on the right lung, and on the gap
    inside, outside = zones.shares(evidence, two_lungs(), BOX)
    assert tuple(inside) == ZONES
    assert sum(inside.values()) + outside == pytest.approx(1)
    assert inside["right lower"] == pytest.approx(0.5)
    assert outside == pytest.approx(0.5)


def test_a_cell_counts_by_the_part_of_it_that_is_lung():
    lungs = two_lungs()
    lungs[:, 21:24] = 0  # a third of the cell's width
    inside, outside = zones.shares(at((7, 1)), lungs, BOX)
    assert inside["right lower"] == pytest.approx(2 / 3)
    assert outside == pytest.approx(1 / 3)


def test_no_evidence_and_no_lungs_make_no_shares():
    inside, outside = zones.shares(-np.ones((8, 8)), two_lungs(), BOX)
    assert {*inside.values(), outside} == {0}
    inside, outside = zones.shares(at((1, 1)), np.zeros((96, 96)), BOX)
    assert {*inside.values()} == {0}
    assert outside == 1


def test_shares_are_never_more_than_one():
    rng = np.random.default_rng(0)
    for _ in range(200):
        evidence = rng.normal(size=(8, 8)).astype(np.float32)
        box = np.sort(rng.random((2, 2), np.float32)).ravel()
        inside, outside = zones.shares(evidence, rng.random((96, 96), np.float32), box)
        assert all(0 <= share <= 1 for share in (*inside.values(), outside))


RIGHT = "(the patient's right, left in the picture)"
LEFT = "(the patient's left, right in the picture)"
PLACES = {
    f"lies mostly in the right lower zone {RIGHT}": [(7, 1), (6, 2), (2, 6)],
    f"lies mostly in the left upper zone {LEFT}": [(0, 5)],
    f"lies mostly in the left lung {LEFT}": [(0, 5), (4, 6), (7, 5)],
    "lies mostly in the lower zones of both lungs": [
        (7, 1),
        (7, 6),
        (6, 1),
        (6, 6),
        (0, 1),
    ],
    "is spread over both lungs": [(0, 1), (7, 6), (4, 2), (4, 5)],
    "lies mostly outside of what was found as lungs": [(3, 3), (3, 4), (3, 0), (7, 1)],
}


PARTLY = "lies partly outside of what was found as lungs. Within, it"
PLACES |= {
    f"{PARTLY} lies mostly in the right lower zone {RIGHT}": [(7, 1), (7, 4)],
    f"{PARTLY} is spread over both lungs": [(0, 1), (7, 6), (3, 3)],
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("label", LABELS)
def test_the_sentence_names_the_place_on_both_sides(place, label):
    evidence = at(*PLACES[place]) * (1 if label == "Pneumonia" else -1)
    found = answer(evidence, 0.9 if label == "Pneumonia" else 0.1)
    assert found.label == label
    assert say_place(found) == f"The evidence for {label} {place}."


def test_each_label_is_shown_the_map_that_passed_its_test(tmp_path):
    def found(*own_more: float) -> dict:
        gains = {c: {"ci95": [low, 9]} for c, low in zip("ab", own_more, strict=True)}
        lost = dict.fromkeys(("own", "elsewhere"), {"value": 1.0})
        return {"more_than": gains, **lost}

    fine = {"Normal": found(-1, 1), "Pneumonia": found(1, 1)}
    coarse = {"Normal": found(2, 1), "Pneumonia": found(3, 3)}
    evidence = at((7, 1)) - at((0, 5))
    for covered, expected in (
        (coarse, {"Normal": "Grad-CAM", "Pneumonia": "HiResCAM"}),
        ({"Normal": found(1, -1)}, {"Normal": None, "Pneumonia": "HiResCAM"}),
    ):
        audit = {
            "bundle_sha256": "",
            "hottest_covered": covered,
            "hirescam": {"hottest_covered": fine},
        }
        (tmp_path / "audit.json").write_text(json.dumps(audit))
        for label, p in (("Normal", 0.1), ("Pneumonia", 0.9)):
            made = replace(stand_in(evidence, p), folder=tmp_path)
            given = answered(made, method=TESTED)
            assert given.label == label
            assert given.method == expected[label]
            if given.method is None:
                assert not given.coarse.any()
                assert given.place == "untested"
                assert not given.warnings
                assert json.loads(context(made, given)["look"])["strength"] == 0
            else:
                same = answered(made, method=given.method)
                assert (given.coarse == same.coarse).all()
                assert given.place == same.place
    other = replace(made, sha256="other")  # measured of other weights
    assert answered(other, method=TESTED).method == METHODS[0]


def test_the_sentence_is_of_the_map_that_is_drawn():
    fine, coarse = (answer(at((7, 1)), method=method) for method in METHODS)
    assert fine.place == "right lower"
    assert coarse.place == "outside"  # its cell is in the crop's corner
    assert fine.evidence_outside < coarse.evidence_outside


UNSIDED = {
    "lies mostly in the lower zone of the lung that is left in the picture": [(7, 1)],
    "lies mostly in the lung that is right in the picture": [(0, 5), (4, 6), (7, 5)],
    "lies mostly in the lower zones of both lungs": [(7, 1), (7, 6), (6, 1), (6, 6)],
}


@pytest.mark.parametrize("place", UNSIDED)
def test_where_no_side_is_known_the_sentence_names_none_of_the_patients(place):
    found = answer(at(*UNSIDED[place]), sides=False)
    assert say_place(found) == f"The evidence for Pneumonia {place}."
    assert not found.sides_known


def test_a_plain_picture_tells_no_side(phantom_bytes):
    assert not read_picture(phantom_bytes).sides_known


def test_without_evidence_the_sentence_says_so():
    found = answer(-np.ones((8, 8), np.float32))
    assert found.place == "nowhere"
    assert say_place(found) == "No place speaks for Pneumonia."


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_laid_through_the_box(method):
    found = answer(at((0, 0)), method=method)
    assert found.heatmap.shape == found.pixels.shape == (320, 400)
    y, x = np.unravel_index(found.heatmap.argmax(), found.heatmap.shape)
    cells = (y / 320 - 0.25) * 16, (x / 400 - 0.125) * 8 / 0.75
    assert [int(cell) for cell in cells] == [0, 0]
    outside = np.ones((320, 400), bool)
    outside[80:240, 50:350] = False
    assert not found.heatmap[outside].any()
    drawn = draw_overlay(found.pixels, found.heatmap, lungs=found.lungs)
    assert (found.overlay == drawn).all()


@pytest.mark.parametrize("shape", [(64, 300), (3, 5), (1, 1)])
def test_any_box_leaves_a_map_within_the_picture(shape):
    ends = [0, 0.001, 0.4, 0.999, 1]
    for box in itertools.product(ends, repeat=4):
        fine = enlarge(np.ones((8, 8), np.float32), shape, box)
        assert fine.shape == shape
        assert fine.max() == pytest.approx(1)


def test_a_line_runs_around_the_lungs():
    lungs = two_lungs()
    pieces = outline(lungs)
    ends = np.sort(pieces.reshape(-1, 2).round(6), axis=0)
    assert (ends[::2] == ends[1::2]).all()  # each begins where another ends
    # the middle of a line that rises from 0 to 0.9 over one pixel
    edge = 0.5 / 0.9 - 0.5
    assert ends[0, 0] * 96 == pytest.approx(24 + edge, abs=1e-3)
    assert ends[-1, 1] * 96 == pytest.approx(75 - edge, abs=1e-3)

    grey = np.zeros((320, 400), np.uint8)
    overlay = draw_overlay(grey, np.zeros(grey.shape, np.float32), lungs=lungs)
    drawn = overlay.any(axis=2)
    assert (overlay[drawn] == LINE).all()
    assert 500 < drawn.sum() < 1500
    assert drawn[:, 100].any()
    assert not drawn[160, 110:140].any()  # within a lung


@pytest.mark.parametrize("lungs", [np.zeros((96, 96)), np.ones((96, 96))])
def test_no_lungs_have_no_line_and_whole_ones_a_frame(lungs):
    pieces = outline(lungs)
    assert bool(len(pieces)) == bool(lungs.any())
    assert np.isin(pieces, [0, 1]).any(axis=(1, 2)).all()
    grey = np.zeros((64, 80), np.uint8)
    overlay = draw_overlay(grey, np.zeros(grey.shape, np.float32), lungs=lungs)
    assert overlay[0].any() == overlay[-1].any() == lungs.any()
    assert not overlay[3:-3, 3:-3].any()


def test_lungs_that_meet_at_a_corner_have_two_lines_there():
    lungs = np.zeros((4, 4))
    lungs[1, 1] = lungs[2, 2] = 1
    assert len(outline(lungs)) == 8


def test_page_and_row_say_the_place():
    evidence = at((7, 1))
    found = answer(evidence)
    shown = context(stand_in(evidence), found)
    assert shown["where"] == say_place(found)
    assert re.fullmatch(r"(M\d+ \d+L\d+ \d+)+", json.loads(shown["look"])["lungs"])
    file = io.StringIO()
    write_rows([answered_row("x.png", found)], file)
    (row,) = csv.DictReader(io.StringIO(file.getvalue()))
    told = {name: row[name] for name in ("place", "partly_outside", "sides_known")}
    assert told == {
        **{"place": "right lower", "partly_outside": "false", "sides_known": "true"},
    }
