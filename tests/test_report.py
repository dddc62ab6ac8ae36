"""The case report: one page, what the answer rests on, nothing of a person."""

import base64
import dataclasses
import json
import re

import markupsafe
import pytest

from pneumonia import LABELS, describe_map, percent, predict, say_place
from pneumonia.contract import METHODS, NOTICE
from pneumonia.serving.overlay import by_method
from pneumonia.web import answer, measurements, report, words


@pytest.fixture(scope="module")
def prediction(classifier, phantom_bytes):
    return predict(classifier, phantom_bytes)


@pytest.fixture(scope="module")
def page(classifier, prediction) -> str:
    return report.write_html(report.gather(classifier, prediction)).decode()


def test_report_says_what_the_answer_rests_on(classifier, prediction, page):
    place = str(markupsafe.escape(say_place(prediction)))
    found = measurements.load(classifier, "report.json")["specificity"]["value"]
    for text in (NOTICE, place, classifier.sha256, f"{found:.1%} ("):
        assert text in page
    assert page.count("data:image/jpeg;base64,") == 2
    assert not re.search(r"(src|href)=\"(?!data:)", page)  # it needs no other file
    assert "<script" not in page
    low, high = (f"{100 * edge:.0f}" for edge in classifier.uncertain_band)
    edges = re.findall(r'<text class="edge"[^>]*>([^<]*)<', page)
    assert edges == ["0", low, high, "100"]
    number = percent(prediction.p_pneumonia)
    assert re.findall(r'<text class="number"[^>]*>([^<]*)<', page) == [number]


def test_report_shows_the_map_that_was_chosen(classifier, phantom_bytes):
    for method in METHODS:
        chosen = predict(classifier, phantom_bytes, method=method)
        page = report.write_html(report.gather(classifier, chosen)).decode()
        shown = [other for other in METHODS if f"Heat map ({other})" in page]
        assert shown == [method]


def test_report_fits_on_one_page_of_pdf_with_every_warning(classifier, prediction):
    warnings = ("outside_population", "first_frame", "empty_heat_map")
    worst = dataclasses.replace(prediction, warnings=warnings)
    for one in (prediction, worst):
        pdf = report.write_pdf(report.gather(classifier, one))
        assert pdf.startswith(b"%PDF-")
        assert len(re.findall(rb"/Type /Page\b", pdf)) == 1
    offered = report.links(classifier, prediction)
    assert [link["name"] for link in offered] == ["report.html", "report.pdf"]
    page, pdf = (base64.b64decode(x["address"].partition(",")[2]) for x in offered)
    assert words.REPORT_TITLE.encode() in page
    assert pdf.startswith(b"%PDF-")


def test_captions_say_what_was_measured_of_these_weights(classifier, tmp_path):
    audit = measurements.load(classifier, "audit.json")
    fails = {"more_than": {"a control": {"ci95": [-0.1, 0.1]}}}
    audit["hirescam"]["hottest_covered"] = dict.fromkeys(LABELS, fails)
    moved = dataclasses.replace(classifier, folder=tmp_path)
    (tmp_path / "audit.json").write_text(json.dumps(audit))
    ours, changed = measurements.captions(classifier), measurements.captions(moved)
    assert ours["Grad-CAM"] == changed["Grad-CAM"]
    failed = words.MAP_PASSED[False, False].format(method="HiResCAM")
    assert failed in changed["HiResCAM"]
    assert failed not in ours["HiResCAM"]

    other = dataclasses.replace(moved, sha256="0" * 64)
    captions = measurements.captions(other)
    assert tuple(captions) == METHODS
    for method, caption in captions.items():
        assert words.MAP_NOT_TESTED.format(method=method) in caption


def test_report_shows_the_label_that_is_looked_at(classifier, prediction):
    (other,) = {*LABELS} - {prediction.label}
    own = report.gather(classifier, prediction)
    looked_at = report.gather(classifier, prediction, other)
    maps = by_method(prediction.maps[None], prediction.evidence[None])
    coarse = maps[prediction.method][0, LABELS.index(other)]
    said = describe_map(other, coarse, prediction)
    assert dict(looked_at["rows"])[words.REPORT_PLACE] == said != say_place(prediction)
    drawn = words.VIEWER["map"].format(method=prediction.method, label=other)
    assert looked_at["pictures"][1][1] == drawn
    assert looked_at["pictures"][1][0] != own["pictures"][1][0]
    assert looked_at["heading"] == own["heading"]  # the answer is the same


@pytest.mark.parametrize(
    ("band", "numbers"),
    [((0.03, 0.5), ["3", "50", "100"]), ((0.4, 0.98), ["0", "40", "98"])],
)
def test_numbers_that_would_touch_are_left_out(classifier, prediction, band, numbers):
    narrow = dataclasses.replace(classifier, uncertain_band=band)
    shown = answer.in_words(narrow, prediction)
    assert [edge["text"] for edge in shown["edges"]] == numbers
