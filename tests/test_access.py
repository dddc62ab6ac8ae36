"""Pages that everybody can use: axe-core finds nothing serious in them."""

import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from test_pages import large, shown

from pneumonia import examples, phantoms
from pneumonia.web import words


@pytest.fixture(params=["light", "dark"])
def page(request, browser):
    page = browser.new_page(color_scheme=request.param)
    page.set_default_timeout(30_000)
    yield page
    page.close()


def serious(page) -> list[str]:
    """What axe-core calls serious or critical, each with its first place."""
    options = {"rules": {"target-size": {"enabled": True}}}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:300]}"
        for rule in found
        for node in rule["nodes"]
        if rule["impact"] in ("serious", "critical")
    ]


def test_gradio_is_accessible(page, gradio_url, tmp_path):
    page.goto(gradio_url)
    page.locator("input[type=file]").first.set_input_files(phantoms()[0])
    shown(page)
    page.wait_for_timeout(1000)  # what fades in has no contrast yet
    assert serious(page) == []
    tab = page.get_by_role("tab", name=words.TAB_ONE)  # axe can't tell its contrast
    accent = page.locator("label.drop").evaluate(
        """field => {
          field.style.color = "var(--accent)";
          return getComputedStyle(field).color;
        }"""
    )
    expect(tab).to_have_css("color", accent)
    page.get_by_role("tab", name=words.TAB_MANY).click()
    page.locator("[role=tabpanel]:visible input[multiple]").set_input_files(phantoms())
    expect(page.locator("batch-table tbody tr")).to_have_count(3)
    page.wait_for_timeout(1000)
    assert serious(page) == []
    page.set_viewport_size({"width": 390, "height": 844})  # rows become cards
    page.wait_for_timeout(300)
    assert serious(page) == []
    page.locator("[role=tabpanel]:visible input[multiple]").set_input_files(
        [large(tmp_path, "x")] * 2
    )
    expect(page.get_by_role("alert")).to_be_visible()
    assert serious(page) == []
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("tab", name=words.TAB_MEANING).click()
    expect(page.locator("number-meaning .people")).to_be_visible()
    page.wait_for_timeout(1000)
    assert serious(page) == []
    page.get_by_role("tab", name=words.TAB_READING).click()
    page.get_by_role("button", name=words.READING["begin"]).click()
    page.locator("reading-room fieldset").wait_for()
    assert serious(page) == []
    page.get_by_role("tab", name=words.TAB_YOURS).click()
    page.get_by_text(words.DROP_YOURS[:30]).wait_for()
    assert serious(page) == []
    for number, one in enumerate(examples()):
        folder = tmp_path / "set" / one.truth
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpeg").write_bytes(one.path.read_bytes())
    pack = shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set")
    page.locator("yours-room input").set_input_files(pack)
    expect(page.locator("yours-room .wrong img").first).to_be_visible()
    assert serious(page) == []
    page.get_by_role("tab", name=words.TAB_COMPARE).click()
    page.locator("compare-two input").first.set_input_files(phantoms()[:2])
    for side in page.locator("compare-two .side").all():
        side.locator("canvas[data-label]:not([data-label=''])").wait_for()
    assert serious(page) == []
    page.locator("compare-two .stage").first.focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert serious(page) == []


def test_flask_is_accessible(page, flask_url, tmp_path):
    (tmp_path / "letter.txt").write_text("Dear doctor")
    page.goto(flask_url)
    assert serious(page) == []
    page.get_by_label("Chest X-ray").set_input_files(tmp_path / "letter.txt")
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert serious(page) == []
    page.get_by_label("Chest X-ray").set_input_files(phantoms()[0])
    page.get_by_role("button", name="Predict").click()
    shown(page)
    assert serious(page) == []
    page.get_by_role("link", name="API").click()
    expect(page.get_by_role("heading", name="API", exact=True)).to_be_visible()
    assert serious(page) == []
