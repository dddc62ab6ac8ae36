"""Looks: found by what a machine does, and shown and weighed alike."""

import numpy as np
import pytest
from drawings import stack

from pneumonia.data import looks


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Drawings of three machines, uint8 (36, 224, 224, 1), and which made each."""
    made = np.tile([0, 1, 2], 12)
    tones = (lambda x: x, lambda x: x * 0.4 + 120, lambda x: 255 * (x / 255) ** 2.5)
    pairs = zip(made, stack(36).astype(np.float64), strict=True)
    drawn = [tones[one](picture) for one, picture in pairs]
    return np.rint(drawn).astype(np.uint8), made


def test_what_one_machine_made_is_one_look_whoever_is_on_it(pictures):
    images, made = pictures
    described = looks.describe(images)
    found = looks.Looks.among(described, 3).of(described)
    for machine in range(3):
        assert len(set(found[made == machine])) == 1
    assert len(set(found)) == 3
    again = looks.Looks.among(described, 3).of(looks.describe(images[::-1]))
    assert (again[::-1] == found).all()
    few = looks.Looks.among(described[:2], 14)
    assert len(few.middles) == 2  # no more than pictures


def test_both_classes_weigh_alike_within_each_look():
    labels = np.array([0] * 30 + [1] * 10 + [0] * 5 + [1] * 20)
    of = np.array([0] * 40 + [1] * 25)
    weights = looks.balance(labels, of)
    for look in (0, 1):
        parts = [weights[(of == look) & (labels == label)].sum() for label in (0, 1)]
        assert parts[0] == pytest.approx(parts[1])
    assert weights[labels == 0].sum() == pytest.approx(0.5)


def test_no_image_weighs_much_more_than_another_of_its_class():
    labels = np.array([0] * 1 + [1] * 99 + [0] * 50 + [1] * 50)
    of = np.array([0] * 100 + [1] * 100)
    for most in (1, 5, 12):
        weights = looks.balance(labels, of, most)
        for label in (0, 1):
            own = weights[labels == label]
            assert own.max() <= most * own.min() * (1 + 1e-9)
            assert own.sum() == pytest.approx(0.5)


def test_every_look_counts_alike_and_small_ones_do_not():
    labels = np.array([0] * 100 + [1] * 10 + [0] * 10 + [1] * 300 + [0] * 3 + [1] * 50)
    of = np.array([0] * 110 + [1] * 310 + [2] * 53)
    weights = looks.alike(labels, of, least=10)
    for look, expected in ((0, 0.25), (1, 0.25), (2, 0)):
        for label in (0, 1):
            own = (of == look) & (labels == label)
            assert weights[own].sum() == pytest.approx(expected)
    assert looks.alike(labels, of, least=200) is None


def test_answers_are_measured_look_by_look():
    labels = np.array([0] * 10 + [1] * 20 + [0] * 40 + [1] * 10 + [0] * 9 + [1] * 50)
    of = np.array([0] * 30 + [1] * 50 + [2] * 59)
    answers = labels.copy()
    answers[:4] = 1  # four of ten normals of the first look
    answers[70] = 0  # one of ten pneumonias of the second
    first = {"Normal": 10, "Pneumonia": 20, "sensitivity": 1.0, "specificity": 0.6}
    second = {"Normal": 40, "Pneumonia": 10, "sensitivity": 0.9, "specificity": 1.0}
    assert looks.rates(labels, of, answers, least=10) == [second, first]
