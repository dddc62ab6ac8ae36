"""Which regions are unlike the training X-rays, cell by cell."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from pictures import encode

from pneumonia import ImageError, examples, phantoms
from pneumonia.outputs import FEATURES
from pneumonia.reading.image import read_picture, to_input
from pneumonia.serving import gate
from pneumonia.serving.gate_cells import in_cells
from pneumonia.serving.unlike import MOST, find_unlike
from pneumonia.web import answer, words

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def test_looking_gives_the_same_answer_and_features_besides(classifier):
    pixels = [read_picture(one.path.read_bytes()).pixels for one in examples()[:2]]
    x = np.concatenate([to_input(one) for one in pixels])
    outputs, features = classifier.look(x)
    for seen, answered in zip(outputs, classifier.run(x), strict=True):
        assert np.allclose(seen, answered, atol=1e-5)
    assert features.keys() == FEATURES.keys()
    assert {of.shape[:3] for of in features.values()} == {(2, 8, 8)}
    means = [cells.mean(axis=(1, 2)) for cells in features.values()]
    assert np.allclose(np.hstack(means), outputs.embedding, atol=1e-5)


def test_fine_cells_are_averaged_in_fours():
    values = np.arange(256, dtype=np.float32).reshape(1, 1, 16, 16)
    cells = in_cells(values)
    assert cells.shape == (1, 8, 8, 1)
    assert cells[0, 0, 0, 0] == np.mean([0, 1, 16, 17])
    assert cells[0, 7, 7, 0] == np.mean([238, 239, 254, 255])


def test_most_cells_of_x_rays_that_the_network_knows_are_usual(classifier):
    counts = [
        find_unlike(classifier, one.path.read_bytes(), read=read_picture).counts
        for one in examples()[:8]
    ]
    for name in FEATURES:
        assert np.median([count[name] for count in counts]) <= 8


def test_what_was_pasted_in_is_found(classifier, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import unlike

    rng, hits = np.random.default_rng(1), []
    for one in examples()[:4]:
        pixels = read_picture(one.path.read_bytes()).pixels
        for kind in ("white", "stripes", "noise"):
            data, place = unlike.paste(pixels, kind, 0.18, rng)
            found = find_unlike(classifier, data, read=read_picture)
            assert found.counts["shapes"] > 0
            assert found.maps["shapes"].max() > 0
            hits.append(unlike.is_there(found.distances["shapes"], found.box, place))
    assert sum(hits) >= 10
    del sys.modules["unlike"]


def test_it_is_looked_at_as_it_was_asked_for(classifier):
    pixels = 255 - read_picture(phantoms()[0].read_bytes()).pixels
    asked = {"invert": True, "upright": True, "read": read_picture}
    found = find_unlike(classifier, encode(np.rot90(pixels)), **asked)
    assert found.inverted
    assert found.turned == 270
    assert np.array_equal(found.pixels, 255 - pixels)
    with pytest.raises(ImageError):
        find_unlike(classifier, b"Dear doctor")


def test_the_map_begins_where_it_is_unusual(classifier, phantom_bytes):
    found = find_unlike(classifier, phantom_bytes, read=read_picture)
    far = {"shapes": np.array([[0.5, 1.0], [MOST, 9.0]])}
    found = dataclasses.replace(found, distances=far)
    assert found.maps["shapes"].tolist() == [[0, 0], [1, 1]]
    assert found.counts == {"shapes": 2}


def test_a_bundle_of_before_offers_no_map(classifier, phantom_bytes):
    without = dataclasses.replace(classifier.gate, cells={})
    for old in (without, None):
        one = dataclasses.replace(classifier, gate=old)
        assert not one.can_compare
        with pytest.raises(ValueError, match="pneumonia gate"):
            find_unlike(one, phantom_bytes)
    refusal = gate.refuse("outside_population")
    for compares in (True, False):
        card = answer.render_refusal(refusal, compares=compares)
        assert (words.UNLIKE["button"] in card) == compares


def test_cells_are_kept_in_the_bundle_as_they_are(classifier):
    again = gate.from_facts(gate.to_facts(classifier.gate))
    for name, cells in classifier.gate.cells.items():
        for field, value in vars(cells).items():
            assert np.array_equal(value, getattr(again.cells[name], field))


def test_the_page_draws_both_maps_and_says_what_they_are(classifier, phantom_bytes):
    found = find_unlike(classifier, phantom_bytes, read=read_picture)

    def shown(distance: float) -> str:
        distances = {name: np.full((8, 8), distance) for name in FEATURES}
        return answer.render_unlike(dataclasses.replace(found, distances=distances))

    for said in ("64 of 64 places", *words.UNLIKE["methods"].values()):
        assert said in shown(2.0)
    assert words.VIEWER["evidence"] in shown(2.0)  # the viewer asks for no label
    assert words.UNLIKE["nowhere"] in shown(0.0)


def test_what_is_usual_is_fitted_to_others_than_the_rest():
    unlike_fit = pytest.importorskip("pneumonia.gate.unlike_fit")
    from pneumonia.data.folder import Dataset

    rng, count = np.random.default_rng(0), 300
    features = rng.gamma(2, 1, (count, 8, 8, 40)).astype(np.float32)
    images = np.zeros((count, 224, 224, 1), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 0] = np.divmod(np.arange(count), 256)

    def look(x):
        first, second = np.rint(255 * x[:, 0, :2, 0]).astype(int).T
        return dict.fromkeys(FEATURES, features[256 * first + second])

    groups = np.array([f"p{number}" for number in range(count)])
    blank = {field.name: np.zeros(count, int) for field in dataclasses.fields(Dataset)}
    data = Dataset(**blank | {"images": images, "groups": groups})
    for cells in unlike_fit.fit(look, data).values():
        fresh = rng.gamma(2, 1, (200, 8, 8, 40)).astype(np.float32)
        assert np.mean(cells.distance(fresh) > 1) == pytest.approx(0.05, abs=0.02)
        assert np.mean(cells.distance(3 * fresh) > 1) > 0.9
