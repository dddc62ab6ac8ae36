"""Metrics, calibration and operating point on numbers worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, roc_auc_score

from pneumonia.evaluation.calibrate import (
    choose_threshold,
    conformal_band,
    fit,
    measure_band,
)
from pneumonia.evaluation.evaluate import summarise
from pneumonia.figures.intervals import by_label, share, wilson
from pneumonia.figures.metrics import METRICS, auroc, confusion_counts, measure
from pneumonia.figures.reliability import reliability
from pneumonia.figures.thresholds import both_rates
from pneumonia.serving.classifier import softmax
from pneumonia.words import percent

LABELS = np.array([0, 0, 0, 1, 1, 1, 1, 1])
P = np.array([0.1, 0.2, 0.7, 0.3, 0.6, 0.8, 0.9, 0.95])


def test_metrics_are_right():
    found = measure(LABELS, P, np.arange(8), 0.5, rounds=200)
    squares = (P - LABELS) ** 2
    # each bin holds one image but the last, which holds two
    normal, ill = [0.1, 0.2, 0.7], [0.7, 0.4, 0.2, 0.15]
    expected = {
        "accuracy": 6 / 8,
        "sensitivity": 4 / 5,
        "specificity": 2 / 3,
        "auroc": 13 / 15,
        "brier": (squares[:3].mean() + squares[3:].mean()) / 2,
        "ece": sum(normal) / 6 + sum(ill) / 10,
    }
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value), name
    for metric in found.values():
        low, high = metric["ci95"]
        assert low <= metric["value"] <= high
    names = "true_negative", "false_positive", "false_negative", "true_positive"
    counts = dict(zip(names, (2, 1, 1, 4), strict=True))
    assert confusion_counts(LABELS, P, 0.5) == counts


def test_areas_of_weighted_samples_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    p = np.round(rng.random(60) * 0.6 + labels * 0.3, 1)  # many of them equal
    weights = rng.integers(0, 4, (20, 60)).astype(float)
    for name, score in {
        "auroc": roc_auc_score,
        "auprc": average_precision_score,
    }.items():
        found = METRICS[name](labels, p, weights, 0.5)
        expected = [score(labels, p, sample_weight=row) for row in weights]
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_intervals_are_by_patient():
    labels, p = np.tile(LABELS, 20), np.tile(P, 20)
    many = measure(labels, p, np.arange(160), 0.5, rounds=300)
    few = measure(labels, p, np.tile(np.arange(8), 20), 0.5, rounds=300)
    for name in ("accuracy", "auroc"):
        assert np.ptp(few[name]["ci95"]) > 2 * np.ptp(many[name]["ci95"])


def test_temperature_is_found_again():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 2)) * 2
    labels = (rng.random(20_000) < softmax(logits)[:, 1]).astype(int)
    for moved in (0, 2):
        temperature, offset = fit(logits * 3 - [0, moved], labels)
        assert temperature == pytest.approx(3, rel=0.05)
        assert offset == pytest.approx(moved, abs=0.3)


def test_an_image_of_weight_two_counts_as_two():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    logits = rng.normal(size=(400, 2)) + np.eye(2)[labels]
    weights = np.where(logits[:, 1] > logits[:, 0], 2, 1)
    twice = np.repeat(np.arange(400), weights)
    expected = fit(logits[twice], labels[twice])
    assert fit(logits, labels, weights) == pytest.approx(expected, abs=1e-3)
    assert fit(logits, labels) != pytest.approx(expected, abs=0.01)


def test_how_frequent_pneumonia_is_moves_no_probability():
    rng = np.random.default_rng(0)
    labels = (rng.random(20_000) < 0.5).astype(int)
    logits = np.stack([np.zeros(20_000), rng.normal(size=20_000) + 2 * labels], axis=1)
    rare = (labels == 0) | (rng.random(20_000) < 0.2)
    temperature, offset = fit(logits[rare], labels[rare])
    assert (temperature, offset) == pytest.approx(fit(logits, labels), abs=0.05)
    p = softmax(logits + [0, offset], temperature)[:, 1]
    for few in (rare, slice(None)):
        measured = measure(labels[few], p[few], np.arange(20_000)[few], 0.5, rounds=2)
        assert measured["ece"]["value"] < 0.02
    band = measure_band(labels[rare], p[rare], np.flatnonzero(rare), 0.5, (0.4, 0.6))
    assert band["bands"]["in"]["pneumonia"] == pytest.approx(0.5, abs=0.05)


def test_threshold_is_in_the_middle_of_the_best_gap_and_weighs_classes_alike():
    labels = np.array([0, 0, 0, 1, 1, 1])
    p = np.array([0.1, 0.2, 0.4, 0.8, 0.9, 0.95])
    assert choose_threshold(labels, p) == pytest.approx(0.6)
    labels = np.r_[np.zeros(10, int), np.ones(1000, int)]
    p = np.r_[np.linspace(0.1, 0.5, 10), np.linspace(0.45, 1, 1000)]
    chosen = choose_threshold(labels, p)
    assert (p[:10] < chosen).mean() == 1
    assert (p[10:] >= chosen).mean() > 0.9


@pytest.mark.parametrize("error", [0.03, 0.1])
def test_band_bounds_certain_errors_of_patients_to_come(error):
    rng = np.random.default_rng(1)
    labels = (rng.random(4000) < 0.7).astype(int)
    p = np.clip(rng.normal(0.35 + 0.3 * labels, 0.15), 0, 1)
    seen, to_come = slice(0, 1000), slice(1000, None)
    patients = np.arange(4000)
    band = conformal_band(labels[seen], p[seen], patients[seen], 0.5, error)
    assert band[0] < 0.5 < band[1]
    found = measure_band(labels[to_come], p[to_come], patients[to_come], 0.5, band)
    for wrong in found["certain_but_wrong"].values():
        assert 0.3 * error < wrong < 2 * error
    assert found["error_inside"] > 2 * found["error_outside"]
    bands = found["bands"]
    assert sum(band["n"] for band in bands.values()) == 3000
    assert bands["in"]["n"] == pytest.approx(3000 * (1 - found["coverage"]))
    shares = [bands[name]["pneumonia"] for name in ("below", "in", "above")]
    assert shares == sorted(shares)


def test_few_patients_bound_no_small_error():
    labels, p = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9])
    assert conformal_band(labels, p, np.arange(4), 0.5, 0.03) == (0.0, 1.0)
    many = np.tile(labels, 500), np.tile(p, 500), np.tile(np.arange(4), 500)
    assert conformal_band(*many, 0.5, 0.03) == (0.0, 1.0)  # they are four all the same


def test_band_of_single_pictures_is_that_of_split_conformal_prediction():
    rng = np.random.default_rng(3)
    for n in (33, 99, 100, 101):  # the rank moves where error * (n + 1) is whole
        labels, p = np.repeat([0, 1], n), rng.random(2 * n)
        low, high = conformal_band(labels, p, np.arange(2 * n), 0.5, 0.05)
        rank = int(0.05 * (n + 1) + 1e-9)
        assert low == min(np.sort(p[n:])[rank - 1], 0.5)
        assert high == max(1 - np.sort(1 - p[:n])[rank - 1], 0.5)


def test_band_holds_for_new_patients_where_few_of_those_seen_have_most_pictures():
    rng, missed = np.random.default_rng(4), []
    for _ in range(300):
        pictures = rng.choice([1, 80], 60, p=[0.9, 0.1])
        # easy ones have many
        middles = rng.normal(0.7, 0.15, 60) - 0.2 * (pictures == 1)
        groups = np.repeat(np.arange(60), pictures)
        p = np.clip(rng.normal(middles[groups], 0.02), 0, 1)
        low, _ = conformal_band(np.ones(len(p), int), p, groups, 1.0, 0.1)
        new = rng.choice([1, 80], 500, p=[0.9, 0.1])
        to_come = rng.normal(rng.normal(0.7, 0.15, 500) - 0.2 * (new == 1), 0.02)
        missed.append((np.clip(to_come, 0, 1) < low).mean())
    assert np.mean(missed) == pytest.approx(0.1, abs=0.02)  # by pictures: 0.44


def test_exchanged_classes_are_asked_about():
    for labels in (LABELS, 1 - LABELS):
        report = {"n": 8, "patients": 8, "threshold": 0.5}
        report["confusion"] = confusion_counts(labels, P, 0.5)
        report |= measure(labels, P, np.arange(8), 0.5, rounds=20)
        assert ("exchanged?" in summarise(report)) == (labels is not LABELS)


def test_a_share_lies_in_its_interval():
    """Wilson's, as scipy has it, and never beyond 0 and 1."""
    for n in (1, 7, 150, 4000):
        for right in {0, 1, n // 3, n}:
            low, high = wilson(right / n, n)
            expected = binomtest(right, n).proportion_ci(0.95, "wilson")
            assert (low, high) == pytest.approx(tuple(expected), abs=1e-4)
            assert 0 <= low <= right / n + 1e-12
            assert right / n - 1e-12 <= high <= 1
    found = share(np.array([True] * 30 + [False] * 10), odds=0.5)  # labels weigh
    assert found["value"] == pytest.approx(15 / 25)
    assert found["ci95"][0] < found["value"] < found["ci95"][1]


def test_probabilities_that_are_right_lie_on_the_diagonal():
    rng = np.random.default_rng(0)
    p = rng.random(40_000)
    labels = (rng.random(40_000) < p).astype(int)
    rows = reliability(labels, p)
    assert sum(row["n"] for row in rows) == 40_000
    for row in rows:
        assert row["predicted"] == pytest.approx(row["observed"], abs=0.03)
        assert row["ci95"][0] < row["observed"] < row["ci95"][1]
    few = (labels == 1) | (rng.random(40_000) < 0.1)  # nine tenths of the normals go
    again = reliability(labels[few], p[few])
    for row, fewer in zip(rows, again, strict=True):
        assert row["observed"] == pytest.approx(fewer["observed"], abs=0.05)
    assert reliability(np.ones(3, int), p[:3]) == []


def test_intervals_by_label_draw_as_many_of_each():
    labels = np.r_[np.zeros(30, int), np.ones(7, int)]
    for weights in by_label(labels, rounds=20):
        assert (weights[:, labels == 0].sum(axis=1) == 30).all()
        assert (weights[:, labels == 1].sum(axis=1) == 7).all()


@pytest.mark.browser
def test_pages_count_as_the_package_does(browser):
    """AUROC, ROC curve, Wilson's interval and shares, in Python and in JavaScript."""
    root = Path(__file__).parent.parent
    code = (root / "pneumonia/web/static/counting.js").read_text()
    rng = np.random.default_rng(0)
    cases = []
    for n in (2, 9, 60):
        for digits in (0, 1, 3):  # many of them equal
            labels = np.r_[0, 1, rng.integers(0, 2, n)]
            cases.append((labels, np.round(rng.random(n + 2), digits)))
    shares = [0, 0.004, 0.01, 0.347, 0.99, 0.991, 1]
    page = browser.new_page()
    said, *found = page.evaluate(
        """async ([code, shares, cases]) => {
          const own = await import(`data:text/javascript,${encodeURIComponent(code)}`);
          return [shares.map(own.probability), ...cases.map(([sick, well]) => ({
            auroc: own.auroc(sick, well), roc: own.roc(sick, well),
            interval: own.interval(own.atLeast(sick, 0.5), sick.length),
            none: own.auroc(sick, []),
          }))];
        }""",
        [code, shares, [[p[y == 1].tolist(), p[y == 0].tolist()] for y, p in cases]],
    )
    page.close()
    assert said == [percent(p) for p in shares]
    for (labels, p), one in zip(cases, found, strict=True):
        assert one["auroc"] == pytest.approx(float(auroc(labels, p)), abs=1e-12)
        ill, spared = both_rates(labels, p, np.unique(p)[::-1])
        places = [[0, 0], *np.column_stack([1 - spared, ill]).tolist()]
        np.testing.assert_allclose(one["roc"], places, atol=1e-12)
        half = (p[labels == 1] >= 0.5).mean()
        expected = wilson(float(half), int(labels.sum()))
        assert one["interval"] == pytest.approx(expected, abs=1e-12)
        assert one["none"] is None
