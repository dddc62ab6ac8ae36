"""The reading room: one reads alone, then aided, by keyboard, in one page."""

import csv
import re
from pathlib import Path

from playwright.sync_api import expect

from pneumonia import LABELS, examples
from pneumonia.web import words


def test_xrays_are_read_by_keyboard_and_scored(browser, gradio_url):
    truths = {one.path.name: one.truth for one in examples()}
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(gradio_url)
    page.get_by_role("tab", name=words.TAB_READING).click()
    page.get_by_role("button", name=words.READING["begin"]).focus()
    page.keyboard.press("Enter")
    room = page.locator("reading-room")
    for number in (1, 2, 3):
        expect(room.get_by_text(f"X-ray {number} of {len(truths)}")).to_be_visible()
        expect(room.locator("answer-card")).to_have_count(0)  # not before one commits
        for label in LABELS:
            said = words.READING["truth"].format(truth=label)
            expect(room.get_by_text(said, exact=True)).to_have_count(0)
        page.keyboard.press("5")
        expect(room.get_by_text(words.READING["aided"])).to_be_visible()
        expect(room.locator("xray-viewer")).to_be_visible()
        expect(room.locator(".truth")).to_have_count(0)
        page.keyboard.press("1")
        expect(room.locator(".truth")).to_be_visible()
        count = "one X-ray" if number == 1 else f"{number} X-rays"
        expect(room.get_by_text(f"after {count}")).to_be_visible()
        page.keyboard.press("Enter")
    with page.expect_download() as download:
        room.get_by_role("button", name=words.READING["save"]).click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert len(rows) == 3
    for row in rows:
        assert (row["alone"], row["aided"]) == ("5", "1")
        assert row["truth"] == truths[row["file"]]
        assert 0 <= float(row["p"]) <= 1
    ill = sum(row["truth"] == LABELS[1] for row in rows)
    changed = words.READING["changed"].format(mended=3 - ill, spoilt=ill)
    expect(room.get_by_text(changed)).to_be_visible()
    host = re.escape(gradio_url)
    assert all(re.match(f"{host}|data:|blob:", url) for url in asked)
    page.close()
