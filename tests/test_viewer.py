"""The viewer in a real browser: by finger, by keys, in full screen, two at a time."""

import base64
import io
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from pneumonia import examples, phantoms
from pneumonia.web import words

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
VIEWER = words.VIEWER
DRAWN = "xray-viewer canvas[data-label]:not([data-label=''])"


@pytest.fixture
def visit(browser, gradio_url):
    """Open the demo, as wide as asked, and fail on an error that nobody caught."""
    pages, errors = [], []

    def visit(size=DESKTOP, **options):
        page = browser.new_page(viewport=size, **options)
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(gradio_url)
        pages.append(page)
        return page

    yield visit
    for page in pages:
        page.close()
    assert errors == []


def answered(page, number: int = 1):
    """Show an example's answer, and return the picture's frame."""
    page.get_by_role("button", name=words.EXAMPLE.format(number=number)).click()
    page.locator(f"one-xray {DRAWN}").wait_for()
    return page.locator("one-xray .stage")


def until(page, condition: str) -> None:
    """Wait for a condition in JavaScript; Playwright's own way the page forbids."""
    end = time.monotonic() + 30
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(50)


def divider_slider(page):
    return page.get_by_role("slider", name="Compare")


def tab(page, name: str):
    page.get_by_role("tab", name=name).click()


def stage_of(page, selector: str, *names: str) -> dict:
    """Return how a picture is looked at."""
    return page.locator(selector).evaluate(
        "(viewer, names) => Object.fromEntries(names.map((n) => [n, viewer.stage[n]]))",
        names,
    )


def swipe(page, at: tuple[float, float], right: float, down: float) -> None:
    """Move one finger over the screen."""
    line = page.context.new_cdp_session(page)
    x, y = at
    points = [(x + right * n / 8, y + down * n / 8) for n in range(9)]
    for number, (to_x, to_y) in enumerate(points):
        kind = "touchMove" if number else "touchStart"
        touches = [{"x": to_x, "y": to_y}]
        line.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
    line.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_swipe_down_scrolls_and_leaves_the_divider(visit):
    page = visit(PHONE, has_touch=True)
    frame = answered(page)
    slider = divider_slider(page)
    slider.fill("30")
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = page.evaluate("scrollY")
    swipe(page, middle, 12, -160)
    until(page, f"scrollY > {before + 40}")
    assert slider.input_value() == "30"
    box = frame.bounding_box()
    y = max(box["y"] + box["height"] / 2, 40)
    swipe(page, (box["x"] + box["width"] * 0.3, y), box["width"] * 0.4, 5)
    expect(slider).to_have_value(re.compile(r"^(69|70|71)"))


def test_divider_and_handle_stand_where_the_pointer_is(visit):
    page = visit()
    frame = answered(page)
    divider = frame.locator(".divider")
    frame.scroll_into_view_if_needed()
    for share in (0.02, 0.3, 0.97):
        box = frame.bounding_box()
        x = box["x"] + share * box["width"]
        page.mouse.click(x, box["y"] + 60)
        line = divider.bounding_box()
        assert line["x"] + line["width"] / 2 == pytest.approx(x, abs=1)
        handle = divider.evaluate(
            """(divider) => {
              const { left, marginLeft, width } = getComputedStyle(divider, "::after");
              return [left, marginLeft, width].map(parseFloat);
            }"""
        )
        left, margin, width = handle
        assert left + margin + width / 2 == pytest.approx(line["width"] / 2, abs=0.5)


def test_full_screen_takes_tools_focus_and_keys_along(visit):
    page = visit()
    answered(page)
    viewer = page.locator("one-xray xray-viewer")
    viewer.get_by_role("button", name=VIEWER["full"]).click()
    until(page, "Boolean(document.fullscreenElement)")
    for name in ("larger", "window_tool", "full", "keys"):
        expect(viewer.get_by_role("button", name=VIEWER[name])).to_be_in_viewport()
    page.keyboard.press("i")  # nothing was clicked in the picture
    page.keyboard.press("w")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    now = stage_of(page, "one-xray xray-viewer", "inverted", "level", "width")
    assert now["inverted"]
    told = VIEWER["shades"].format(
        level=round(255 * now["level"]), width=round(255 * now["width"])
    )
    assert now["level"] > 0.5
    assert now["width"] > 1
    expect(viewer.locator("output")).to_have_text(told)

    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name=VIEWER["keys"])
    expect(keys).to_be_visible()
    said = keys.inner_text()
    for name in ("compare_tool", "move_tool", "invert", "pixel", "fit", "full"):
        assert VIEWER[name] in said
    keys.get_by_role("button", name=VIEWER["close"]).click()
    page.keyboard.press("f")
    until(page, "!document.fullscreenElement")
    page.keyboard.press("0")  # the keys go on
    assert not stage_of(page, "one-xray xray-viewer", "inverted")["inverted"]
    expect(viewer.locator("output")).to_be_visible()  # while it is the window's tool
    page.keyboard.press("m")
    expect(viewer.locator("output")).to_be_hidden()


def saved(page) -> np.ndarray:
    """Save what is seen, and return it without the lines below, (H, W, 3)."""
    with page.expect_download() as download:
        page.get_by_role("button", name=VIEWER["save"]).click()
    with Image.open(download.value.path()) as picture:
        return np.asarray(picture.convert("RGB"))[: picture.width].astype(int)


def test_a_saved_view_is_what_is_seen(visit):
    page = visit()
    frame = answered(page)
    whole = saved(page)

    def colours(pixels):
        """How much colour there is in each column."""
        return (pixels.max(axis=2) - pixels.min(axis=2)).mean(axis=0)

    divider_slider(page).fill("50")
    half = saved(page)
    middle = half.shape[1] // 2
    assert colours(half)[: middle - 2].max() == 0
    assert colours(half)[middle + 2 :] == pytest.approx(colours(whole)[middle + 2 :])
    assert (half[:, middle] > 250).all()  # the divider
    divider_slider(page).fill("0")
    frame.focus()
    page.keyboard.press("+")
    assert stage_of(page, "one-xray xray-viewer", "zoom")["zoom"] == 1.25
    zoomed = Image.fromarray(saved(page).astype(np.uint8))
    side = whole.shape[0]
    inner = Image.fromarray(whole.astype(np.uint8)).crop(
        [round(edge * side) for edge in (0.1, 0.1, 0.9, 0.9)]
    )
    apart = np.subtract(zoomed.resize((64, 64)), inner.resize((64, 64)), dtype=float)
    assert np.abs(apart).mean() < 6


def enlarged(folder: Path, side: int, kind: str) -> Path:
    path = folder / f"large.{kind}"
    with Image.open(phantoms()[0]) as drawing:
        drawing.convert("L").resize((side, side)).save(path, quality=60)
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("jpeg", VIEWER["fewer"].format(side="2,048", all="2,721")),
        ("tiff", VIEWER["perhaps_fewer"].format(side="2,048")),
    ],
)
def test_pixel_by_pixel_says_how_many_it_shows(visit, tmp_path, kind, said):
    page = visit()
    page.locator("one-xray input[type=file]").set_input_files(
        enlarged(tmp_path, 2721, kind)
    )
    page.locator("one-xray .plate", has_text="large").wait_for()
    sharp = "document.querySelector('one-xray xray-viewer')?.stage?.pixels === 2048"
    until(page, sharp)
    readout = page.locator("one-xray .readout")
    expect(readout).to_be_hidden()
    page.get_by_role("button", name=VIEWER["pixel"]).click()
    expect(readout).to_have_text(said)


def test_a_second_file_may_come_while_the_sharp_picture_loads(visit, tmp_path):
    page = visit()  # an error that nobody caught fails the test
    large = enlarged(tmp_path, 2000, "jpeg")
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    slow = {"offline": False, "latency": 0, "uploadThroughput": -1}
    zone = page.locator("one-xray input[type=file]")
    zone.wait_for(state="attached")
    zone.set_input_files(large)
    page.locator("one-xray answer-card .plate", has_text="large").wait_for()
    line.send("Network.emulateNetworkConditions", slow | {"downloadThroughput": 2**16})
    with page.expect_response("**/picture?*"):
        zone.set_input_files(large)
    zone.set_input_files(phantoms()[1])
    line.send("Network.emulateNetworkConditions", slow | {"downloadThroughput": -1})
    name = phantoms()[1].name
    page.locator("one-xray answer-card .plate", has_text=name).wait_for()
    page.locator(f"one-xray {DRAWN}").wait_for()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_reading_room_shows_picture_and_choices_at_once(visit, size):
    page = visit(size)
    tab(page, words.TAB_READING)
    page.get_by_role("button", name=words.READING["begin"]).click()
    room = page.locator("reading-room")
    room.locator(".stage img").wait_for()
    picture, frame = (
        room.locator(part).bounding_box() for part in (".stage img", ".stage")
    )
    assert picture["width"] == pytest.approx(frame["width"], abs=1)
    assert picture["height"] == pytest.approx(frame["height"], abs=1)
    assert frame["width"] > 0.5 * size["width"] or frame["height"] > 500
    steps = room.locator("[data-step]")
    for part in (room.locator(".stage"), *steps.all()):
        expect(part).to_be_in_viewport(ratio=0.99)
    page.keyboard.press("2")
    room.locator("answer-card").wait_for()
    for part in (room.locator("answer-card h2"), *steps.all()):
        expect(part).to_be_in_viewport(ratio=0.99)
    page.keyboard.press("3")
    following = room.get_by_role("button", name=words.READING["next"])
    expect(following).to_be_in_viewport()
    expect(room.locator(".score h3")).to_have_text(words.READING["score_one"])
    following.click()
    expect(room.locator("answer-card")).not_to_be_visible()
    expect(room.locator(".stage img")).to_be_visible()
    page.keyboard.press("5")
    expect(room.locator("answer-card")).to_be_visible()
    page.keyboard.press("5")
    said = words.READING["score"].format(count=2)
    expect(room.locator(".score h3")).to_have_text(said)
    assert page.evaluate("document.body.scrollWidth <= window.innerWidth")


def picture_of(image) -> bytes:
    """Return what an element shows, as a PNG file."""
    address = image.evaluate(
        """(image) => {
          const { naturalWidth: width, naturalHeight: height } = image;
          const canvas = document.createElement("canvas");
          Object.assign(canvas, { width, height });
          canvas.getContext("2d").drawImage(image, 0, 0);
          return canvas.toDataURL();
        }"""
    )
    return base64.b64decode(address.partition(",")[2])


def sides(page):
    return page.locator("compare-two .side")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_two_are_compared_with_linked_zoom_and_window(visit, size):
    page = visit(size)
    tab(page, words.TAB_COMPARE)
    page.locator("compare-two input").first.set_input_files(
        [one.path for one in examples()[:2]]
    )
    first, second = sides(page).all()
    for side, one in ((first, examples()[0]), (second, examples()[1])):
        side.locator(DRAWN).wait_for()
        expect(side.locator(".plate")).to_contain_text(one.path.name)
        expect(side.get_by_role("heading")).to_be_visible()
    places = [side.locator(".stage").bounding_box() for side in (first, second)]
    assert places[0]["y"] == pytest.approx(places[1]["y"], abs=2)  # side by side
    assert places[0]["x"] + places[0]["width"] <= places[1]["x"]
    first.locator(".stage").focus()
    for keys in ("+", "ArrowRight", "w", "ArrowRight", "i"):
        page.keyboard.press(keys)
    names = "zoom", "width", "level", "inverted", "tool"
    looks = [
        stage_of(page, f"compare-two .side >> nth={n} >> xray-viewer", *names)
        for n in (0, 1)
    ]
    assert looks[0] == looks[1]
    assert looks[0]["zoom"] == 1.25
    assert looks[0]["inverted"]
    second.locator(".stage").focus()  # and the other way
    page.keyboard.press("0")
    whole = stage_of(page, "compare-two .side >> nth=0 >> xray-viewer", *names)
    assert (whole["zoom"], whole["inverted"]) == (1, False)
    page.get_by_label(words.COMPARE_LINKED).uncheck()
    page.keyboard.press("+")
    alone = stage_of(page, "compare-two .side >> nth=0 >> xray-viewer", "zoom")
    assert alone["zoom"] == 1
    assert page.evaluate("document.body.scrollWidth <= window.innerWidth")


def test_an_answer_is_compared_with_itself(visit):
    page = visit()
    answered(page)
    page.get_by_role("button", name=words.COMPARE_WITH).click()
    expect(sides(page)).to_have_count(2)  # its script comes with the tab
    first, second = sides(page).all()
    first.locator(DRAWN).wait_for()
    page.get_by_role("button", name=words.COMPARE["selves"]["mirror"]).click()
    second.locator(DRAWN).wait_for()
    pictures = [
        picture_of(each) for each in page.locator("compare-two .stage img").all()
    ]
    one, other = (
        np.asarray(Image.open(io.BytesIO(data)).convert("L"), float)
        for data in pictures
    )
    assert np.abs(one - other[:, ::-1]).mean() < 2
    assert np.abs(one - other).mean() > 5
    # a refused one is shown as well, with what it would take to have it answered
    page.get_by_role("button", name=words.COMPARE["selves"]["invert"]).click()
    expect(second.get_by_role("heading")).to_have_text(words.NO_ANSWER)
    picture = second.locator(".stage img")
    assert picture.evaluate("img => img.decode().then(() => img.naturalWidth)") > 200
    expect(second.get_by_role("button", name=words.INVERT)).to_have_count(0)
    second.get_by_role("button", name=words.ANYWAY).click()
    second.locator(DRAWN).wait_for()
    page.locator("compare-two input").first.set_input_files(phantoms()[:3])
    expect(page.locator("compare-two [role=alert]")).to_have_text(words.COMPARE["two"])


def test_the_decision_curve_ends_where_single_xrays_decide(visit):
    page = visit()
    tab(page, words.TAB_MEANING)
    figure = page.locator("number-meaning figure").nth(2)
    for sick in ("50", "100", "500"):
        page.get_by_label(words.MEANING["prevalence"]).fill(sick)
        curves = {}
        for kind in ("curve", "few"):
            points = figure.locator(f".{kind}").get_attribute("points")
            pairs = [tuple(map(float, pair.split(","))) for pair in points.split()]
            curves[kind] = pairs
        both = curves["curve"] + curves["few"]
        heights = [y for _, y in sorted(both)]
        assert np.diff(heights).min() > -0.1 * 260  # no jump up by a tenth
        assert curves["few"][0] == curves["curve"][-1]
    expect(figure).to_contain_text("dotted")
