"""Pages that everybody can use: axe-core finds nothing serious in them."""

import shutil

import pytest
import visits
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from visits import DRAWING, DRAWN, alert, choose, press, tab

from pneumonia import MAX_BYTES, examples, phantoms
from pneumonia.web import words


@pytest.fixture(params=["light", "dark"])
def page(request, visit):
    return visit(color_scheme=request.param)


def is_accessible(page, after: int = 0) -> bool:
    """Whether axe-core calls nothing serious, after what fades in has its contrast."""
    page.wait_for_timeout(after)
    options = {"rules": {"target-size": {"enabled": True}}}
    for rule in Axe().run(page, options=options).response["violations"]:
        for node in rule["nodes"]:
            told = f"{rule['id']}: {node['html'][:300]}"
            assert rule["impact"] not in ("serious", "critical"), told
    return True


def test_the_demo_is_accessible(page, gradio_url, tmp_path):
    page.goto(gradio_url)
    choose(page, DRAWING)
    visits.shown(page)
    assert is_accessible(page, after=1000)
    one = page.get_by_role("tab", name=words.TAB_ONE)  # axe can't tell its contrast
    accent = page.locator("label.drop").evaluate(
        """field => {
          field.style.color = "var(--accent)";
          return getComputedStyle(field).color;
        }"""
    )
    expect(one).to_have_css("color", accent)
    tab(page, words.TAB_MANY)
    choose(page, *phantoms())
    expect(page.locator("batch-table tbody tr")).to_have_count(3)
    assert is_accessible(page, after=1000)
    page.set_viewport_size({"width": 390, "height": 844})  # rows become cards
    assert is_accessible(page, after=300)
    large = tmp_path / "large.dcm"
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    choose(page, large, large)
    expect(alert(page)).to_be_visible()
    assert is_accessible(page)
    page.set_viewport_size({"width": 1280, "height": 800})
    tab(page, words.TAB_MEANING)
    expect(page.locator("number-meaning .people")).to_be_visible()
    assert is_accessible(page, after=1000)
    tab(page, words.TAB_READING)
    press(page, words.READING["begin"])
    page.locator("reading-room fieldset").wait_for()
    assert is_accessible(page)
    tab(page, words.TAB_YOURS)
    page.get_by_text(words.DROP_YOURS[:30]).wait_for()
    assert is_accessible(page)
    for number, one in enumerate(examples()):
        folder = tmp_path / "set" / one.truth
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(one.path, folder / f"{number}.jpeg")
    choose(page, shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set"))
    expect(page.locator("yours-room .wrong img").first).to_be_visible()
    assert is_accessible(page)
    tab(page, words.TAB_COMPARE)
    choose(page, *phantoms()[:2])
    expect(page.locator(f"compare-two {DRAWN}")).to_have_count(2)
    assert is_accessible(page)
    page.locator("compare-two .stage").first.focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert is_accessible(page)


def test_the_form_is_accessible(page, flask_url, tmp_path):
    (tmp_path / "letter.txt").write_text("Dear doctor")
    page.goto(flask_url)
    assert is_accessible(page)
    choose(page, tmp_path / "letter.txt")
    press(page, words.PREDICT)
    expect(alert(page)).to_be_visible()
    assert is_accessible(page)
    choose(page, DRAWING)
    press(page, words.PREDICT)
    visits.shown(page)
    assert is_accessible(page)
    page.get_by_role("link", name="API").click()
    expect(page.get_by_role("heading", name="API", exact=True)).to_be_visible()
    assert is_accessible(page)
