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

from pneumonia import LABELS, Classifier, Prediction, predict, say_place
from pneumonia.contract import METHODS, TESTED
from pneumonia.outputs import Outputs
from pneumonia.reading.image import read_picture
from pneumonia.reading.picture import Picture
from pneumonia.serving import zones
from pneumonia.serving.overlay import LINE, draw_overlay, enlarge, outline
from pneumonia.serving.rows import answered_row, write_rows
from pneumonia.serving.zones import ZONES
from pneumonia.web.answer import context, render

BOX = np.array([0.25, 0.75, 0.125, 0.875], np.float32)
"""Of `two_lungs`; each of its 8 x 8 cells is 6 pixels of them high and 9 wide."""

PIXELS = np.asarray(Image.linear_gradient("L").resize((400, 320)))


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
    evidence[tuple(zip(*cells, strict=True))] = 1
    return evidence


class _Session:
    """Gives what it is told to, whatever the picture."""

    def __init__(self, evidence: np.ndarray, p_pneumonia: float):
        maps = np.zeros((2, 8, 8), np.float32)
        maps[:, 0, 0] = 1
        logits = np.float32([0, np.log(p_pneumonia / (1 - p_pneumonia))])
        embedding = np.zeros(512, np.float32)
        self.outputs = Outputs(logits, maps, embedding, evidence, two_lungs(), BOX)

    def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        outputs = (getattr(self.outputs, name) for name in names)
        return [np.stack([output] * len(feed["image"])) for output in outputs]


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


def answered(made: Classifier, sides: bool = True, **options) -> Prediction:
    picture = Picture(PIXELS, sides_known=sides)
    return predict(made, b"", read=lambda _: picture, **options)


def answer(*cells: tuple[int, int], label: str = "Pneumonia", **options) -> Prediction:
    """Answer that it is `label`, which some cells speak for."""
    ill = label == "Pneumonia"
    evidence = at(*cells) if ill else -at(*cells)
    found = answered(stand_in(evidence, 0.9 if ill else 0.1), **options)
    assert found.label == label
    return found


@pytest.mark.parametrize("move", [-20, 0, 20])
def test_lungs_come_apart_at_their_gap_wherever_it_is(move):
    lungs = np.roll(two_lungs(), move, axis=1)
    left, right = zones.lungs_apart(lungs)
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
    assert {name: (at.min(), at.max() + 1) for name, at in rows.items()} == {
        **{"right upper": (12, 22), "right middle": (22, 32), "right lower": (32, 42)},
        **{"left upper": (30, 50), "left middle": (50, 70), "left lower": (70, 90)},
    }


PARTLY_LUNG = two_lungs()
PARTLY_LUNG[:, 21:24] = 0  # a third of a cell's width


@pytest.mark.parametrize(
    ("evidence", "lungs", "lower", "outside"),
    [
        (at((7, 1), (7, 4)), two_lungs(), 1 / 2, 1 / 2),  # on the lung, and on the gap
        (at((7, 1)), PARTLY_LUNG, 2 / 3, 1 / 3),
        (-np.ones((8, 8)), two_lungs(), 0, 0),
        (at((1, 1)), np.zeros((96, 96)), 0, 1),
    ],
)
def test_evidence_is_shared_by_the_part_that_is_lung(evidence, lungs, lower, outside):
    inside, beyond = zones.shares(evidence, lungs, BOX)
    assert tuple(inside) == ZONES
    assert inside["right lower"] == sum(inside.values()) == pytest.approx(lower)
    assert beyond == pytest.approx(outside)


def test_shares_are_never_more_than_one():
    rng = np.random.default_rng(0)
    for _ in range(200):
        evidence = rng.normal(size=(8, 8)).astype(np.float32)
        box = np.sort(rng.random((2, 2), np.float32)).ravel()
        inside, outside = zones.shares(evidence, rng.random((96, 96), np.float32), box)
        assert all(0 <= share <= 1 for share in (*inside.values(), outside))


RIGHT = "(the patient's right, left in the picture)"
LEFT = "(the patient's left, right in the picture)"
OUTSIDE = "outside of what was found as lungs"
BOTH = [(7, 1), (7, 6), (6, 1), (6, 6)]
PLACES = {
    f"mostly in the right lower zone {RIGHT}": [(7, 1), (6, 2), (2, 6)],
    f"mostly in the left upper zone {LEFT}": [(0, 5)],
    f"mostly in the left lung {LEFT}": [(0, 5), (4, 6), (7, 5)],
    "mostly in the lower zones of both lungs": [*BOTH, (0, 1)],
    "is spread over both lungs": [(0, 1), (7, 6), (4, 2), (4, 5)],
    f"mostly {OUTSIDE}": [(3, 3), (3, 4), (3, 0), (7, 1)],
    f"partly {OUTSIDE}. Within, it lies mostly in the right lower zone {RIGHT}": [
        (7, 1),
        (7, 4),
    ],
    f"partly {OUTSIDE}. Within, it is spread over both lungs": [(0, 1), (7, 6), (3, 3)],
}
UNSIDED = {
    "mostly in the lower zone of the lung that is left in the picture": [(7, 1)],
    "mostly in the lung that is right in the picture": [(0, 5), (4, 6), (7, 5)],
    "mostly in the lower zones of both lungs": BOTH,
}


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(
    ("sides", "place"), [(True, p) for p in PLACES] + [(False, p) for p in UNSIDED]
)
def test_the_sentence_names_the_place_and_a_side_that_is_known(sides, place, label):
    cells = (PLACES if sides else UNSIDED)[place]
    found = answer(*cells, label=label, sides=sides)
    lies = place if place.startswith("is") else f"lies {place}"
    assert say_place(found) == f"The evidence for {label} {lies}."
    assert found.sides_known == sides


def test_a_plain_picture_tells_no_side(phantom_bytes):
    assert not read_picture(phantom_bytes).sides_known


def test_without_evidence_the_sentence_says_so():
    found = answered(stand_in(-np.ones((8, 8), np.float32)))
    assert found.place == "nowhere"
    assert say_place(found) == "No place speaks for Pneumonia."


def test_the_sentence_is_of_the_map_that_is_drawn():
    fine, coarse = (answer((7, 1), method=method) for method in METHODS)
    assert fine.place == "right lower"
    assert coarse.place == "outside"  # its cell is in the crop's corner
    assert fine.evidence_outside < coarse.evidence_outside


def measured(*own_more: float) -> dict:
    """Return how much more a map's own cells count than others': ends of intervals."""
    gains = {c: {"ci95": [low, 9]} for c, low in zip("ab", own_more, strict=True)}
    return {"more_than": gains} | dict.fromkeys(("own", "elsewhere"), {"value": 1.0})


COARSE = {"Normal": measured(2, 1), "Pneumonia": measured(3, 3)}


@pytest.mark.parametrize(
    ("label", "covered", "sha256", "method"),
    [
        ("Normal", COARSE, "", "Grad-CAM"),
        ("Pneumonia", COARSE, "", "HiResCAM"),
        ("Normal", {"Normal": measured(1, -1)}, "", None),
        ("Pneumonia", {"Normal": measured(1, -1)}, "", "HiResCAM"),
        ("Pneumonia", COARSE, "other", METHODS[0]),  # measured of other weights
    ],
)
def test_each_label_shows_the_map_that_passed(label, covered, sha256, method, tmp_path):
    fine = {"Normal": measured(-1, 1), "Pneumonia": measured(1, 1)}
    audit = {"hottest_covered": covered, "hirescam": {"hottest_covered": fine}}
    (tmp_path / "audit.json").write_text(json.dumps({"bundle_sha256": "", **audit}))
    made = stand_in(at((7, 1)) - at((0, 5)), 0.9 if label == "Pneumonia" else 0.1)
    made = replace(made, folder=tmp_path, sha256=sha256)
    found = answered(made, method=TESTED)
    assert (found.label, found.method) == (label, method)
    said = '<details class="why" open>' in render(made, found, keep=True)
    assert said == (method is None)  # why there is no map is not folded away
    if method is None:
        assert not found.coarse.any()
        assert found.place == "untested"
        assert not found.warnings
        assert json.loads(context(made, found)["look"])["strength"] == 0
    else:
        same = answered(made, method=method)
        assert (found.coarse == same.coarse).all()
        assert found.place == same.place


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_laid_through_the_box(method):
    found = answer((0, 0), method=method)
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
    for box in itertools.product([0, 0.001, 0.4, 0.999, 1], repeat=4):
        fine = enlarge(np.ones((8, 8), np.float32), shape, box)
        assert fine.shape == shape
        assert fine.max() == pytest.approx(1)


def lined(lungs: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Draw the line around lungs, and nothing else."""
    return draw_overlay(np.zeros(shape, np.uint8), np.zeros(shape), lungs=lungs)


def test_a_line_runs_around_the_lungs():
    ends = np.sort(outline(two_lungs()).reshape(-1, 2).round(6), axis=0)
    assert (ends[::2] == ends[1::2]).all()  # each begins where another ends
    # the middle of a line that rises from 0 to 0.9 over one pixel
    edge = 0.5 / 0.9 - 0.5
    assert ends[0, 0] * 96 == pytest.approx(24 + edge, abs=1e-3)
    assert ends[-1, 1] * 96 == pytest.approx(75 - edge, abs=1e-3)
    overlay = lined(two_lungs(), (320, 400))
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
    overlay = lined(lungs, (64, 80))
    assert overlay[0].any() == overlay[-1].any() == lungs.any()
    assert not overlay[3:-3, 3:-3].any()


def test_lungs_that_meet_at_a_corner_have_two_lines_there():
    assert len(outline(np.pad(np.eye(2), 1))) == 8


def test_page_and_row_say_the_place():
    found = answer((7, 1))
    shown = context(stand_in(at((7, 1))), found)
    assert shown["where"] == say_place(found)
    assert re.fullmatch(r"(M\d+ \d+L\d+ \d+)+", json.loads(shown["look"])["lungs"])
    file = io.StringIO()
    write_rows([answered_row("x.png", found)], file)
    (row,) = csv.DictReader(io.StringIO(file.getvalue()))
    assert row["place"] == "right lower"
    assert (row["partly_outside"], row["sides_known"]) == ("false", "true")
