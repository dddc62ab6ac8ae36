"""What a visitor does in a page of the apps, and what stands there then."""

import pytest
from playwright.sync_api import expect

from pneumonia import phantoms
from pneumonia.web import words

on_desktop = pytest.mark.parametrize("page", ["desktop"], indirect=True)
DRAWING = phantoms()[0]
DRAWN = "canvas[data-label]:not([data-label=''])"
expect.set_options(timeout=30_000)  # a busy machine answers late


class App:
    """One of the apps in a page. The form asks when its button is pressed."""

    def __init__(self, page, url: str, is_form: bool):
        self.page, self.url, self.is_form = page, url, is_form

    def open(self):
        self.page.goto(self.url)
        if not self.is_form:
            self.page.locator("one-xray answer-card").wait_for()

    def give(self, *files):
        choose(self.page, *files)
        if self.is_form:
            press(self.page, words.PREDICT)


def heading(prediction) -> str:
    return prediction.label if prediction.certain else words.UNCERTAIN


def field(page):
    """The field for files of the form, or of the tab that is shown."""
    return page.locator("[role=tabpanel]:visible input[type=file], form input").first


def choose(page, *files):
    field(page).set_input_files(files)


def press(page, name: str):
    page.get_by_role("button", name=name, exact=True).click()


def example(page, number: int = 1):
    press(page, words.EXAMPLE.format(number=number))


def tab(page, name: str):
    wanted = page.get_by_role("tab", name=name)
    wanted.click()
    # `field` looks into the tab that is shown
    expect(wanted).to_have_attribute("aria-selected", "true")
    if name in (words.TAB_MANY, words.TAB_YOURS):
        field(page).wait_for(state="attached")


def shown(page):
    """The heat map, once it is drawn."""
    viewer = page.locator("xray-viewer:visible")
    viewer.locator(DRAWN).wait_for()
    return viewer.locator(".stage canvas")


def plate(page):
    return page.locator("answer-card .plate")


def alert(page):
    return page.locator("[role=alert]:visible")


def let_fall(page, *files, items=()):
    """Drop as a hand does: a page that does not care would open it."""
    data = {"items": [*items], "files": [*map(str, files)], "dragOperationsMask": 1}
    line = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": 200, "y": 30, "data": data}
        line.send("Input.dispatchDragEvent", event)


def slow_down(page, **speeds: float):
    """Give the page a slow line, in bytes a second; none is as fast as it can be."""
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    speeds = {"downloadThroughput": -1, "uploadThroughput": -1} | speeds
    line.send(
        "Network.emulateNetworkConditions", {"offline": False, "latency": 0} | speeds
    )


def posts(page) -> list:
    """What the page sends from now on: a list that grows."""
    sent = []
    page.on("request", lambda r: r.method == "POST" and sent.append(r))
    return sent


def download(page, name: str, role: str = "button"):
    with page.expect_download() as saved:
        page.get_by_role(role, name=name).click()
    return saved.value.path()


def fits(page) -> bool:
    return page.evaluate("document.body.scrollWidth <= window.innerWidth")
