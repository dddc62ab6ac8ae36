"""What both apps show in a browser at first sight, after a refusal, and on paper."""

import re
from pathlib import Path

import numpy as np
import pytest
from dicoms import make
from PIL import Image
from playwright.sync_api import expect
from test_not_valid import photograph
from test_pages import desktop, shown

from pneumonia import LABELS, examples, percent, phantoms, predict
from pneumonia.contract import METHODS
from pneumonia.web import answer, shipped, words

GLANCE = 40
"""Words of prose at most that are read beside picture, verdict, number and bar."""

PROSE = """card => [...card.querySelectorAll("p, summary")]
  .filter(part => part.checkVisibility() && part.matches("p"))
  .map(part => part.innerText).join(" ").split(/\\s+/).filter(Boolean).length"""

TOPS = "tools => tools.map(tool => tool.getBoundingClientRect().top)"


@pytest.fixture(params=["demo", "form"])
def app(request):
    """The address of an app, and how a file is given to it."""
    url = request.getfixturevalue(
        {"demo": "gradio_url", "form": "flask_url"}[request.param]
    )

    def give(page, path):
        page.goto(url)
        if request.param == "demo":
            page.locator("one-xray answer-card").wait_for()
        page.locator("input[type=file]").first.set_input_files(path)
        if request.param == "form":
            page.get_by_role("button", name=words.PREDICT).click()

    return give


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(photograph())
    return path


def overrule(page):
    page.get_by_role("button", name=words.ANYWAY).click()
    page.locator("answer-card.invalid").wait_for()
    shown(page)


def test_the_first_page_answers_an_example_at_one_glance(page, gradio_url, classifier):
    asked = []
    page.on(
        "request", lambda r: r.method == "POST" and "ask" in r.url and asked.append(r)
    )
    page.goto(gradio_url)
    shown(page)
    card = page.locator("answer-card")
    expected = predict(classifier, examples()[0].path.read_bytes())
    expect(card.get_by_role("heading", level=2)).to_have_text(answer.heading(expected))
    named = f"{words.AN_EXAMPLE}: {words.EXAMPLE.format(number=1)}"
    expect(card.locator(".plate")).to_have_text(named)
    height = page.viewport_size["height"]
    for part in ("h2", ".scale", ".scale .number", ".stage"):
        box = card.locator(part).bounding_box()
        assert 0 <= box["y"] < box["y"] + box["height"] <= height, part
    assert card.evaluate(PROSE) <= GLANCE
    assert page.locator("one-xray .example").count() == 1 + 6
    tools = card.locator(".tools button")
    assert tools.count() >= 9
    assert len({*tools.evaluate_all(TOPS)}) == 1
    for tool in tools.all():
        assert tool.inner_text() == ""
        assert tool.get_attribute("aria-label")
        assert tool.locator("svg path").count() == 1
    assert asked == []
    assert page.evaluate("document.body.scrollWidth <= window.innerWidth")


@desktop
def test_an_answer_leads_to_what_its_number_means(page, gradio_url):
    page.goto(gradio_url)
    page.get_by_role("button", name=words.TAB_MEANING, exact=True).click()
    tab = page.get_by_role("tab", name=words.TAB_MEANING)
    expect(tab).to_have_attribute("aria-selected", "true")
    meaning = page.locator("number-meaning")
    expect(meaning.locator(".said p").first).to_be_visible()
    expect(meaning.locator(".own")).to_have_count(0)  # nobody asked for this example


@desktop
def test_where_the_network_is_wrong_the_page_says_so(page, gradio_url, classifier):
    page.goto(gradio_url)
    said = set()
    for number, name in enumerate(shipped.offered(), start=1):
        truth_known = shipped.truths()[name]
        found = predict(classifier, shipped.content(name))
        page.get_by_role("button", name=words.EXAMPLE.format(number=number)).click()
        expect(page.locator(".plate")).to_contain_text(
            words.EXAMPLE.format(number=number)
        )
        wrong = found.certain and found.label != truth_known
        truth = page.locator("answer-card .truth")
        expect(truth).to_contain_text(words.TRUTH.format(truth=truth_known))
        assert (words.WRONG_HERE in truth.inner_text()) == wrong
        said.add(wrong)
    assert said == {True, False}


@desktop
def test_numbers_stand_where_the_bands_of_the_bar_meet(page, gradio_url, classifier):
    page.goto(gradio_url)
    shown(page)
    bar = page.locator("answer-card .scale")
    low, high = (f"{100 * edge:.0f}" for edge in classifier.uncertain_band)
    assert bar.locator(".edge").all_text_contents() == ["0", low, high, "100"]
    for text, band in ((low, ".in"), (high, ".above")):
        number = bar.locator(".edge", has_text=re.compile(f"^{text}$")).bounding_box()
        middle = number["x"] + number["width"] / 2
        assert middle == pytest.approx(bar.locator(band).bounding_box()["x"], abs=2)
    found = predict(classifier, examples()[0].path.read_bytes())
    expect(bar.locator(".number")).to_have_text(percent(found.p_pneumonia))
    number, marker = (
        bar.locator(part).bounding_box() for part in (".number", ".marker")
    )
    assert abs(number["x"] + number["width"] - marker["x"] - marker["width"] / 2) < 12


@desktop
def test_an_answer_after_a_refusal_is_not_vouched_for(page, app, photo):
    app(page, photo)
    overrule(page)
    card = page.locator("answer-card")
    heading = card.get_by_role("heading", level=2)
    expect(heading).to_contain_text(words.NOT_VALID.format(why=""))
    expect(card.locator(".scale, .bands, .trust, [data-go]")).to_have_count(0)
    assert card.locator(".stage path").first.get_attribute("d") == ""  # no lungs
    with page.expect_download() as download:
        page.get_by_role("button", name=words.REPORT_HTML).click()
    saved = Path(download.value.path()).read_text()
    assert heading.inner_text() in saved
    assert not any(name in saved for name in words.REPORT_MEASURED.values())
    with page.expect_download() as download:
        page.get_by_role("button", name=words.VIEWER["save"]).click()
    with Image.open(download.value.path()) as picture:
        assert picture.height > 300 + 2 * 1.5 * 14 - 2  # two lines


@desktop
def test_the_meaning_of_a_number_is_told_of_valid_ones_alone(page, gradio_url, photo):
    page.goto(gradio_url)
    field = page.locator("input[type=file]").first
    own = page.locator("number-meaning .own")
    page.locator("one-xray answer-card").wait_for()
    for path, count in ((phantoms()[0], 1), (photo, 0)):
        page.get_by_role("tab", name=words.TAB_ONE).click()
        field.set_input_files(path)
        expect(page.locator("answer-card .plate")).to_have_text(path.name)
        if not count:
            overrule(page)
        page.get_by_role("tab", name=words.TAB_MEANING).click()
        expect(page.locator("number-meaning .said p").first).to_be_visible()
        expect(own).to_have_count(count)


@desktop
def test_a_report_is_of_the_map_that_is_shown(page, app, classifier):
    found = predict(classifier, phantoms()[0].read_bytes())
    (other,) = {*LABELS} - {found.label}
    app(page, phantoms()[0])
    expect(page.locator("answer-card .plate")).to_have_text(phantoms()[0].name)
    shown(page)
    page.get_by_role("combobox", name=words.VIEWER["evidence"]).select_option(other)
    for method in METHODS:
        page.get_by_label(words.VIEWER["method"]).select_option(method)
        drawn = f"canvas[data-method={method}][data-label={other}]"
        page.locator(drawn).wait_for()
        where = page.locator("xray-viewer .where").text_content()
        with page.expect_download() as download:
            page.get_by_role("button", name=words.REPORT_HTML).click()
        saved = Path(download.value.path()).read_text()
        assert where in saved
        assert words.VIEWER["map"].format(method=method, label=other) in saved


@desktop
def test_an_answer_prints_on_one_sheet(page, app, photo):
    for path in (phantoms()[0], photo):
        app(page, path)
        if path == photo:
            overrule(page)
        expect(page.locator("answer-card .plate")).to_have_text(path.name)
        shown(page)
        printed = page.pdf(prefer_css_page_size=True)
        assert len(re.findall(rb"/Type /Page\b", printed)) == 1
        page.emulate_media(media="print")
        expect(page.locator("answer-card h2")).to_be_visible()
        expect(page.locator("xray-viewer .where")).to_be_visible()  # what was folded
        for button in page.get_by_role("button").all():
            expect(button).to_be_hidden()
        page.emulate_media(media="null")  # as it was


@desktop
def test_a_refused_file_that_no_browser_draws_shows_its_picture(page, app, tmp_path):
    path = tmp_path / "negative.dcm"
    with Image.open(phantoms()[0]) as drawing:
        path.write_bytes(make(255 - np.asarray(drawing.convert("L"))))
    app(page, path)
    picture = page.locator(".plate img")
    expect(page.locator(".plate").last).to_contain_text("negative.dcm")
    expect(picture.last).to_be_visible()
    assert picture.last.evaluate("image => image.naturalWidth") > 100


@desktop
def test_a_refusal_shows_on_demand_what_is_unlike(page, app, photo):
    app(page, photo)
    page.get_by_role("button", name=words.UNLIKE["button"]).click()
    shown(page)
    stage = page.locator(".unlike .stage")
    expect(stage.locator("canvas")).to_have_attribute(
        "aria-label", words.UNLIKE["viewer"]["map"]
    )
    expect(page.locator(".unlike .where")).to_contain_text(words.UNLIKE["label"])
    caption, captions = page.locator(".unlike .caption"), words.UNLIKE["captions"]
    expect(caption).to_have_text(captions["shapes"])
    method = page.get_by_label(words.UNLIKE["viewer"]["method"])
    method.select_option(words.UNLIKE["methods"]["embedding"])
    expect(caption).to_have_text(captions["embedding"])
    expect(page.get_by_role("button", name=words.ANYWAY)).to_be_visible()
