"""What a report says of answers under stress."""

from types import SimpleNamespace

import numpy as np
import pytest

from pneumonia.data import stress
from pneumonia.data.folder import Dataset
from pneumonia.evaluation import stressed

FEW = ("cut above 10 %", "gamma", "framed like the other class")


@pytest.fixture
def measured(monkeypatch) -> dict:
    """Measure what looks for a white bar at the upper border of normals alone."""
    few = {name: stress.FAMILIES[name] for name in FEW}
    monkeypatch.setattr(stressed.stress, "FAMILIES", few)
    images = np.full((8, 224, 224, 1), 90, np.uint8)
    labels = np.arange(8) % 2
    images[labels == 0, :20] = 255
    images[labels == 1, 100:120] = 200
    names = np.array([f"person{number}_virus_1" for number in range(8)])
    dataset = Dataset(images, labels, names, names, names)
    boxes = np.tile([0.25, 0.75, 0.2, 0.8], (8, 1))
    boxes[2, 0] = 0.05  # a normal of which the cut takes a lung away

    def answer(images: np.ndarray) -> np.ndarray:
        return np.where(images[:, :10].mean(axis=(1, 2, 3)) > 200, 0.1, 0.9)

    classifier = SimpleNamespace(
        threshold=0.5,
        uncertain_band=(0.4, 0.6),
        facts={"training": {"settings": {"augmentation": "tone"}}},
    )
    return stressed.measure_stress(dataset, answer, answer(images), classifier, boxes)


def test_report_counts_the_answers_that_a_family_changes(measured):
    families = measured["families"]
    assert families.keys() == set(FEW)
    cut, gamma = families["cut above 10 %"], families["gamma"]
    counts = ("normals_changed", "normals_left_whole", "normals_left_whole_changed")
    assert [cut[name] for name in counts] == [1, 3, 1]
    assert gamma["normals_changed"] == 0
    assert "normals_left_whole" not in gamma
    assert (cut["specificity"]["value"], gamma["specificity"]["value"]) == (0, 1)
    assert measured["worst"]["specificity"] == "cut above 10 %"
    assert gamma["seen_in_training"]
    table = "\n".join(stressed.lines(measured))
    assert all(f"\n{name} " in table for name in (*FEW, "all families"))
