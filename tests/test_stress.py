"""Validation under shift: changes that are always the same and share no code."""

import ast
import inspect
from dataclasses import replace

import numpy as np
import pytest
from drawings import stack

from pneumonia.data import reframing, stress, subgroups
from pneumonia.data.folder import Dataset
from pneumonia.training.augment import FAMILIES

pytestmark = pytest.mark.keras

LABELS = np.arange(16) % 2
LIKE_OTHER = "framed like the other class"

NUMBERED = f"""aspect and crop|letterbox|corners and marker|collimator|window|gamma|
low contrast|resolution|JPEG|sharpening|rotation|shading|other class's tone|
other class's frame|other class's tone and frame|cut all around 6 %|
cut all around 12 %|cut below 15 %|cut above 10 %|cut at both sides 8 %|{LIKE_OTHER}"""
NUMBERED = {n: i for i, n in enumerate(NUMBERED.replace("\n", "").split("|"))}
"""What seeds each family; a new one gets a number that no other has."""

EDGES = (0.1, 0.2), (0.75, 0.9), (0.1, 0.2), (0.8, 0.9)
NUMBERS = np.random.default_rng(0)
BOXES = np.stack([NUMBERS.uniform(*edge, 16) for edge in EDGES], axis=1)


@pytest.fixture(scope="module")
def drawings() -> np.ndarray:
    return stack(16)


@pytest.mark.parametrize("family", stress.FAMILIES)
def test_family_changes_every_image_and_always_in_the_same_way(family, drawings):
    before = drawings.copy()

    def change(seed: int) -> np.ndarray:
        return stress.changed(drawings, LABELS, family, seed, boxes=BOXES)

    once, again = change(0), change(0)
    assert (drawings == before).all()
    assert (once == again).all()
    assert (once.shape, once.dtype) == (drawings.shape, np.uint8)
    changed = (once != drawings).mean(axis=(1, 2, 3))
    assert (changed > 0.01).all()
    assert (change(1) != once).any() == (family not in reframing.CUTS)


def draws(family: str) -> list[float]:
    """Return the first number that a family draws for each of four pictures."""
    drawn = []

    def watch(case):
        drawn.append(float(case.rng.random()))
        return case.picture

    few = np.zeros((4, 224, 224, 1), np.uint8)
    stress.changed(few, LABELS[:4], family, 5, watch, BOXES[:4])
    return drawn


def test_draws_follow_from_the_number_of_a_family_and_not_from_its_place(monkeypatch):
    assert {n: f.number for n, f in stress.FAMILIES.items()} == NUMBERED
    mixed = stress.mixed_families(50, 2, with_boxes=True)
    turned = dict(reversed(stress.FAMILIES.items()))
    monkeypatch.setattr(stress, "FAMILIES", turned)
    assert (stress.mixed_families(50, 2, with_boxes=True) == mixed).all()
    new = replace(turned["gamma"], number=99)
    monkeypatch.setattr(stress, "FAMILIES", {"new": new, **turned})
    for name, number in {**NUMBERED, "new": 99}.items():
        expected = []
        for index in range(4):
            rng = np.random.default_rng((5, number, index))
            rng.choice(2)  # the picture of the other class
            expected.append(rng.random())
        assert draws(name) == expected


def rank(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values))


@pytest.mark.parametrize("family", stress.FAMILIES)
def test_a_family_moves_masks_if_it_moves_pixels(family):
    # Squares of 8 x 8 pixels keep the order of their greys where only tone changes.
    # Away from the corners, which a marker covers, and from their own borders.
    rng = np.random.default_rng(0)
    squares = rng.integers(60, 190, (8, 28, 28)).astype(np.uint8)
    images = np.kron(squares, np.ones((8, 8), np.uint8))[..., None]
    shown = stress.changed(images, LABELS[:8], family, boxes=BOXES[:8])
    centres = shown.reshape(8, 28, 8, 28, 8)[:, :, 2:6, :, 2:6].mean(axis=(2, 4))
    kept = np.zeros((28, 28), bool)
    kept[6:22] = kept[:, 6:22] = True
    alike = [
        np.corrcoef(rank(old[kept]), rank(new[kept]))[0, 1]
        for old, new in zip(squares, centres, strict=True)
    ]
    moves = stress.FAMILIES[family].moves is not None
    assert max(alike) < 0.8 if moves else min(alike) > 0.8


def test_tone_and_frame_come_from_the_other_class():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (6, 224, 224, 1)).astype(np.uint8)
    labels = np.array([0, 0, 0, 1, 1, 1])
    images[labels == 1] += 150
    tone = stress.changed(images, labels, "other class's tone")
    assert (tone[labels == 0] >= 150).all()
    assert (tone[labels == 1] < 60).all()
    framed = stress.changed(images, labels, "other class's frame")
    assert (framed[labels == 0, :21] >= 150).all()
    assert (framed[labels == 0, 21:-21, 21:-21] < 60).all()
    both = stress.changed(images, labels, "other class's tone and frame")
    assert (both[labels == 0] >= 150).all()


def filled(boxes: np.ndarray) -> np.ndarray:
    """Return uint8 (n, 224, 224, 1), white in the boxes and black elsewhere."""
    images = np.zeros((len(boxes), 224, 224, 1), np.uint8)
    for image, box in zip(images, np.rint(boxes * 224).astype(int), strict=True):
        top, bottom, left, right = box
        image[top:bottom, left:right] = 255
    return images


def bounds(image: np.ndarray) -> list[float]:
    """Return where the white of an image ends, as fractions of its side."""
    rows, columns = np.nonzero(image[..., 0] > 127)
    ends = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    return [end / 224 for end in ends]


@pytest.mark.parametrize(
    ("name", "left", "expected"),
    [
        ("cut all around 6 %", (1, 1, 0), np.r_[0.19, 0.69, 0.19, 0.44] / 0.88),
        ("cut all around 12 %", (0, 1, 0), np.r_[0.13, 0.63, 0.13, 0.38] / 0.76),
        ("cut below 15 %", (1, 0, 1), (0.25 / 0.85, 0.75 / 0.85, 0.25, 0.5)),
        ("cut above 10 %", (1, 1, 1), (0.15 / 0.9, 0.65 / 0.9, 0.25, 0.5)),
        ("cut at both sides 8 %", (1, 1, 0), (0.25, 0.75, 0.17 / 0.84, 0.42 / 0.84)),
    ],
)
def test_cut_enlarges_what_is_kept_and_says_which_lungs_are_whole(name, left, expected):
    box = np.array([[0.25, 0.75, 0.25, 0.5]] * 2)
    cut = stress.changed(filled(box), np.array([0, 1]), name)
    assert bounds(cut[0]) == pytest.approx(expected, abs=0.006)
    boxes = np.array([[0.11, 0.8, 0.2, 0.8], [0.2, 0.86, 0.2, 0.8], [0.2, 0.8, 0, 1]])
    assert reframing.lungs_whole(boxes, name).tolist() == [*map(bool, left)]


def test_lungs_come_to_lie_where_those_of_the_other_class_lie():
    boxes = np.array([[0.25, 0.75, 0.25, 0.75], [0.1, 0.9, 0.2, 0.85]])
    labels, images = np.array([0, 1]), filled(boxes)
    moved = stress.changed(images, labels, LIKE_OTHER, boxes=boxes)
    for image, box in zip(moved, boxes[::-1], strict=True):
        assert bounds(image) == pytest.approx(box, abs=0.006)
    speck = np.array([[0.5, 0.5, 0.5, 0.5], [0.0, 1.0, 0.0, 1.0]])
    moved = stress.changed(images, labels, LIKE_OTHER, boxes=speck)
    assert moved.shape == images.shape


def test_outermost_pixels_go_on_where_the_frame_is_wider_than_the_picture():
    boxes = np.array([[0.1, 0.9, 0.2, 0.8], [0.25, 0.75, 0.3, 0.7]])
    rows = np.linspace(50, 200, 224).astype(np.uint8)
    images = np.broadcast_to(rows[:, None, None], (2, 224, 224, 1))
    moved = stress.changed(images, np.array([0, 1]), LIKE_OTHER, boxes=boxes)
    assert (moved[0, :35] == 50).all()
    assert (moved[0, -35:] == 200).all()
    assert (np.diff(moved[0, 45:-45].astype(int), axis=0) >= 0).all()


def test_family_that_needs_boxes_is_refused_or_left_out_without_them(drawings):
    with pytest.raises(ValueError, match="needs the boxes of the lungs"):
        stress.changed(drawings, LABELS, LIKE_OTHER)
    for count, copies in ((16, 9), (3, 40)):  # few images meet every family in time
        names = {*stress.mixed_families(count, copies)}
        assert names == stress.FAMILIES.keys() - {LIKE_OTHER}
    names = stress.mixed_families(16, 9, with_boxes=True)
    assert {*names} == stress.FAMILIES.keys()
    assert len(list(stress.mixed_copies(drawings, LABELS, 2))) == 2


def test_mixed_copies_show_every_family_equally_often(drawings):
    one, other = (
        list(stress.mixed_copies(drawings, LABELS, 2, seed=3, boxes=BOXES))
        for _ in range(2)
    )
    assert (np.stack(one) == np.stack(other)).all()
    assert (one[0] != one[1]).any()
    names = stress.mixed_families(50, 2, seed=3, with_boxes=True)
    found, counts = np.unique(names[:50], return_counts=True)
    assert {*found} == stress.FAMILIES.keys()
    assert np.ptp(counts) <= 1
    assert not list(stress.mixed_copies(drawings, LABELS, 0))


def test_mixed_copies_are_changed_as_their_families_say(drawings):
    (copy,) = stress.mixed_copies(drawings, LABELS, 1, seed=2, boxes=BOXES)
    names = stress.mixed_families(len(LABELS), 1, seed=2, with_boxes=True)
    for index in np.flatnonzero(np.isin(names, list(reframing.CUTS))):
        alone = stress.changed(drawings, LABELS, names[index])
        assert (copy[index] == alone[index]).all()


@pytest.mark.parametrize("module", [stress, reframing])
def test_stress_shares_no_code_with_the_training(module):
    tree = ast.parse(inspect.getsource(module))
    ours = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]
    assert {node.module or node.names[0].name for node in ours} <= {"reframing"}


def test_training_that_used_a_kind_of_change_is_told():
    every = "+".join(FAMILIES)
    assert all(stress.seen_in_training(name, every) for name in stress.FAMILIES)
    kin = set().union(*(family.kin for family in stress.FAMILIES.values()))
    assert kin <= {name.split()[0] for name in FAMILIES}
    assert not any(stress.seen_in_training(name, "mirror") for name in stress.FAMILIES)
    assert stress.seen_in_training("rotation", "mirror+geometry")
    assert not stress.seen_in_training("gamma", "mirror+geometry")


def dataset_of(images, labels, names) -> Dataset:
    patients = np.array([name.partition("_")[0] for name in names])
    return Dataset(images, np.array(labels), np.array(names), patients, patients)


def test_groups_are_chosen_by_name_and_brightness():
    names = ["IM-1_1", "NORMAL2-IM-2_1", "person1_virus_1", "person2_bacteria_1"]
    images = np.zeros((4, 224, 224, 1), np.uint8)
    images[[0, 2]] = 100
    dataset = dataset_of(images, [0, 0, 1, 1], names)
    groups = subgroups.SUBGROUPS
    assert {n: np.flatnonzero(subgroups.mask(dataset, n)).tolist() for n in groups} == {
        **{"normal IM": [0], "normal NORMAL2": [1], "bacteria": [3], "virus": [2]},
        **{"darkest quarter": [1, 3], "brightest quarter": [0, 2]},
    }
    chosen = subgroups.with_other_class(dataset, "virus")
    assert chosen.tolist() == [True, True, True, False]
