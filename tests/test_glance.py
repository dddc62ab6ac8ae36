"""What both apps show in a browser at first sight, after a refusal, and on paper."""

import re

import numpy as np
import pytest
import visits
from dicoms import make
from PIL import Image
from playwright.sync_api import expect
from visits import DRAWING, choose, download, on_desktop, plate, press, tab

from pneumonia import LABELS, examples, percent, predict
from pneumonia.contract import METHODS
from pneumonia.web import answer, shipped, words

GLANCE = 40
"""Words of prose at most that are read beside picture, verdict, number and bar."""

PROSE = """card => [...card.querySelectorAll("p, summary")]
  .filter(part => part.checkVisibility() && part.matches("p"))
  .map(part => part.innerText).join(" ").split(/\\s+/).filter(Boolean).length"""

TOPS = "tools => tools.map(tool => tool.getBoundingClientRect().top)"


@pytest.fixture
def photo(photograph, tmp_path):
    (tmp_path / "photo.png").write_bytes(photograph)
    return tmp_path / "photo.png"


@pytest.fixture(scope="module")
def first(classifier):
    return predict(classifier, examples()[0].path.read_bytes())


def overrule(page):
    press(page, words.ANYWAY)
    page.locator("answer-card.invalid").wait_for()
    visits.shown(page)


def test_the_first_page_answers_an_example_at_one_glance(page, gradio_url, first):
    sent = visits.posts(page)
    page.goto(gradio_url)
    visits.shown(page)
    card = page.locator("answer-card")
    expect(card.get_by_role("heading", level=2)).to_have_text(answer.heading(first))
    named = f"{words.AN_EXAMPLE}: {words.EXAMPLE.format(number=1)}"
    expect(plate(page)).to_have_text(named)
    for part in ("h2", ".scale", ".scale .number", ".stage"):
        box = card.locator(part).bounding_box()
        bottom = box["y"] + box["height"]
        assert 0 <= box["y"] < bottom <= page.viewport_size["height"], part
    assert card.evaluate(PROSE) <= GLANCE
    assert page.locator("one-xray .example").count() == 1 + 6
    tools = card.locator(".tools button")
    assert tools.count() >= 9
    assert len({*tools.evaluate_all(TOPS)}) == 1
    for tool in tools.all():
        assert tool.inner_text() == ""
        assert tool.get_attribute("aria-label")
        assert tool.locator("svg path").count() == 1
    assert not [one for one in sent if "ask" in one.url]
    assert visits.fits(page)


def test_where_the_network_is_wrong_the_page_says_so(classifier):
    said = set()
    for name in shipped.offered():
        truth, found = (
            shipped.truths()[name],
            predict(classifier, shipped.content(name)),
        )
        wrong = found.certain and found.label != truth
        page = shipped.answered(classifier, name)
        assert words.TRUTH.format(truth=truth) in page
        assert (words.WRONG_HERE in page) == wrong
        said.add(wrong)
    assert said == {True, False}


@on_desktop
def test_numbers_stand_where_the_bands_of_the_bar_meet(
    page, gradio_url, classifier, first
):
    page.goto(gradio_url)
    visits.shown(page)
    bar = page.locator("answer-card .scale")
    low, high = (f"{100 * edge:.0f}" for edge in classifier.uncertain_band)
    assert bar.locator(".edge").all_text_contents() == ["0", low, high, "100"]
    for text, band in ((low, ".in"), (high, ".above")):
        edge = bar.locator(".edge", has_text=re.compile(f"^{text}$")).bounding_box()
        middle = edge["x"] + edge["width"] / 2
        assert middle == pytest.approx(bar.locator(band).bounding_box()["x"], abs=2)
    expect(bar.locator(".number")).to_have_text(percent(first.p_pneumonia))
    number, marker = (bar.locator(p).bounding_box() for p in (".number", ".marker"))
    assert abs(number["x"] + number["width"] - marker["x"] - marker["width"] / 2) < 12


@on_desktop
def test_an_answer_after_a_refusal_is_not_vouched_for(page, app, photo):
    app.open()
    app.give(photo)
    overrule(page)
    card = page.locator("answer-card")
    heading = card.get_by_role("heading", level=2)
    expect(heading).to_contain_text(words.NOT_VALID.format(why=""))
    expect(card.locator(".scale, .bands, .trust, [data-go]")).to_have_count(0)
    assert card.locator(".stage path").first.get_attribute("d") == ""  # no lungs
    saved = download(page, words.REPORT_HTML).read_text()
    assert heading.inner_text() in saved
    assert not any(name in saved for name in words.REPORT_MEASURED.values())
    with Image.open(download(page, words.VIEWER["save"])) as picture:
        assert picture.height > 300 + 2 * 1.5 * 14 - 2  # two lines


@on_desktop
def test_the_meaning_of_a_number_is_told_of_valid_ones_alone(page, gradio_url, photo):
    page.goto(gradio_url)
    press(page, words.TAB_MEANING)  # an answer leads to it
    meaning = page.get_by_role("tab", name=words.TAB_MEANING)
    expect(meaning).to_have_attribute("aria-selected", "true")
    said = page.locator("number-meaning .said p").first
    own = page.locator("number-meaning .own")
    expect(said).to_be_visible()
    expect(own).to_have_count(0)  # nobody asked for this example
    for path, count in ((DRAWING, 1), (photo, 0)):
        tab(page, words.TAB_ONE)
        choose(page, path)
        expect(plate(page)).to_have_text(path.name)
        if not count:
            overrule(page)
        tab(page, words.TAB_MEANING)
        expect(said).to_be_visible()
        expect(own).to_have_count(count)


@on_desktop
def test_a_report_is_of_the_map_that_is_shown(page, app, classifier):
    found = predict(classifier, DRAWING.read_bytes())
    (other,) = {*LABELS} - {found.label}
    app.open()
    app.give(DRAWING)
    expect(plate(page)).to_have_text(DRAWING.name)
    visits.shown(page)
    page.get_by_role("combobox", name=words.VIEWER["evidence"]).select_option(other)
    for method in METHODS:
        page.get_by_label(words.VIEWER["method"]).select_option(method)
        page.locator(f"canvas[data-method={method}][data-label={other}]").wait_for()
        saved = download(page, words.REPORT_HTML).read_text()
        assert page.locator("xray-viewer .where").text_content() in saved
        assert words.VIEWER["map"].format(method=method, label=other) in saved


@on_desktop
def test_an_answer_prints_on_one_sheet(page, app, photo):
    for path in (DRAWING, photo):
        app.open()
        app.give(path)
        if path == photo:
            overrule(page)
        expect(plate(page)).to_have_text(path.name)
        visits.shown(page)
        printed = page.pdf(prefer_css_page_size=True)
        assert len(re.findall(rb"/Type /Page\b", printed)) == 1
        page.emulate_media(media="print")
        expect(page.locator("answer-card h2")).to_be_visible()
        expect(page.locator("xray-viewer .where")).to_be_visible()  # what was folded
        for button in page.get_by_role("button").all():
            expect(button).to_be_hidden()
        page.emulate_media(media="null")  # as it was


@on_desktop
def test_a_refused_file_that_no_browser_draws_shows_its_picture(page, app, tmp_path):
    path = tmp_path / "negative.dcm"
    with Image.open(DRAWING) as drawing:
        path.write_bytes(make(255 - np.asarray(drawing.convert("L"))))
    app.open()
    app.give(path)
    expect(page.locator(".plate").last).to_contain_text("negative.dcm")
    picture = page.locator(".plate img").last
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 100


@on_desktop
def test_a_refusal_shows_on_demand_what_is_unlike(page, app, photo):
    unlike = page.locator(".unlike")
    app.open()
    app.give(photo)
    press(page, words.UNLIKE["button"])
    visits.shown(page)
    drawn = unlike.locator(".stage canvas")
    expect(drawn).to_have_attribute("aria-label", words.UNLIKE["viewer"]["map"])
    expect(unlike.locator(".where")).to_contain_text(words.UNLIKE["label"])
    caption, captions = unlike.locator(".caption"), words.UNLIKE["captions"]
    expect(caption).to_have_text(captions["shapes"])
    method = page.get_by_label(words.UNLIKE["viewer"]["method"])
    method.select_option(words.UNLIKE["methods"]["whole"])
    expect(caption).to_have_text(captions["whole"])
    expect(page.get_by_role("button", name=words.ANYWAY)).to_be_visible()
