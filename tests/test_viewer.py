"""The viewer in a real browser: by finger, by keys, in full screen, two at a time."""

import base64
import io
import re
import time
from pathlib import Path

import numpy as np
import pytest
import visits
from PIL import Image
from playwright.sync_api import expect
from visits import DRAWN, choose, fits, on_desktop, press, tab

from pneumonia import examples, phantoms
from pneumonia.web import words

VIEWER = words.VIEWER
LOOK = "zoom", "width", "level", "inverted", "tool"


@pytest.fixture
def demo(page, gradio_url):
    page.goto(gradio_url)
    return page


def answered(page):
    """Show an example's answer, and return the picture's frame."""
    visits.example(page)
    page.locator(f"one-xray {DRAWN}").wait_for()
    return page.locator("one-xray .stage")


def until(page, condition: str) -> None:
    """Wait for a condition in JavaScript; Playwright's own way the page forbids."""
    end = time.monotonic() + 30
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(50)


def keys(page, *names: str) -> None:
    for name in names:
        page.keyboard.press(name)


def divider_slider(page):
    return page.get_by_role("slider", name="Compare")


def look_of(viewer) -> dict:
    return viewer.evaluate(
        "(viewer, names) => Object.fromEntries(names.map((n) => [n, viewer.stage[n]]))",
        LOOK,
    )


def swipe(page, x: float, y: float, right: float, down: float) -> None:
    line = page.context.new_cdp_session(page)
    for n in range(10):
        kind = "touchStart" if n == 0 else "touchMove" if n < 9 else "touchEnd"
        touches = [{"x": x + right * n / 8, "y": y + down * n / 8}] if n < 9 else []
        line.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})


def test_a_swipe_down_scrolls_and_leaves_the_divider(visit, gradio_url):
    page = visit(gradio_url, "phone", has_touch=True)
    frame, slider = answered(page), divider_slider(page)
    slider.fill("30")
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    before = page.evaluate("scrollY")
    swipe(page, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 12, -160)
    until(page, f"scrollY > {before + 40}")
    assert slider.input_value() == "30"
    box = frame.bounding_box()
    y = max(box["y"] + box["height"] / 2, 40)
    swipe(page, box["x"] + box["width"] * 0.3, y, box["width"] * 0.4, 5)
    expect(slider).to_have_value(re.compile(r"^(69|70|71)"))


HANDLE = """(divider) => {
  const { left, marginLeft, width } = getComputedStyle(divider, "::after");
  return [left, marginLeft, width].map(parseFloat);
}"""


@on_desktop
def test_divider_and_handle_stand_where_the_pointer_is(demo):
    frame = answered(demo)
    frame.scroll_into_view_if_needed()
    for share in (0.02, 0.3, 0.97):
        box = frame.bounding_box()
        x = box["x"] + share * box["width"]
        demo.mouse.click(x, box["y"] + 60)
        line = frame.locator(".divider").bounding_box()
        assert line["x"] + line["width"] / 2 == pytest.approx(x, abs=1)
        left, margin, width = frame.locator(".divider").evaluate(HANDLE)
        assert left + margin + width / 2 == pytest.approx(line["width"] / 2, abs=0.5)


@on_desktop
def test_full_screen_takes_tools_focus_and_keys_along(demo):
    answered(demo)
    viewer = demo.locator("one-xray xray-viewer")
    viewer.get_by_role("button", name=VIEWER["full"]).click()
    until(demo, "Boolean(document.fullscreenElement)")
    for name in ("larger", "window_tool", "full", "keys"):
        expect(viewer.get_by_role("button", name=VIEWER[name])).to_be_in_viewport()
    keys(demo, "i", "w", "ArrowRight", "ArrowDown")  # nothing was clicked in it
    now = look_of(viewer)
    assert now["inverted"]
    assert now["level"] > 0.5
    assert now["width"] > 1
    level, width = (round(255 * now[name]) for name in ("level", "width"))
    shades = VIEWER["shades"].format(level=level, width=width)
    expect(viewer.locator("output")).to_have_text(shades)

    keys(demo, "?")
    dialog = demo.get_by_role("dialog", name=VIEWER["keys"])
    expect(dialog).to_be_visible()
    said = dialog.inner_text()
    for name in ("compare_tool", "move_tool", "invert", "pixel", "fit", "full"):
        assert VIEWER[name] in said
    dialog.get_by_role("button", name=VIEWER["close"]).click()
    keys(demo, "f")
    until(demo, "!document.fullscreenElement")
    keys(demo, "0")  # the keys go on
    assert not look_of(viewer)["inverted"]
    expect(viewer.locator("output")).to_be_visible()  # while it is the window's tool
    keys(demo, "m")
    expect(viewer.locator("output")).to_be_hidden()


def saved(page) -> np.ndarray:
    """Save what is seen, and return it without the lines below, (H, W, 3)."""
    with Image.open(visits.download(page, VIEWER["save"])) as picture:
        return np.asarray(picture.convert("RGB"))[: picture.width].astype(int)


@on_desktop
def test_a_saved_view_is_what_is_seen(demo):
    frame = answered(demo)
    whole = saved(demo)

    def colours(pixels):
        return (pixels.max(axis=2) - pixels.min(axis=2)).mean(axis=0)

    divider_slider(demo).fill("50")
    half = saved(demo)
    middle = half.shape[1] // 2
    assert colours(half)[: middle - 2].max() == 0
    assert colours(half)[middle + 2 :] == pytest.approx(colours(whole)[middle + 2 :])
    assert (half[:, middle] > 250).all()  # the divider
    divider_slider(demo).fill("0")
    frame.focus()
    keys(demo, "+")
    assert look_of(demo.locator("one-xray xray-viewer"))["zoom"] == 1.25
    zoomed = Image.fromarray(saved(demo).astype(np.uint8))
    edges = [round(edge * whole.shape[0]) for edge in (0.1, 0.1, 0.9, 0.9)]
    inner = Image.fromarray(whole.astype(np.uint8)).crop(edges)
    apart = np.subtract(zoomed.resize((64, 64)), inner.resize((64, 64)), dtype=float)
    assert np.abs(apart).mean() < 6


def enlarged(folder: Path, side: int, kind: str) -> Path:
    path = folder / f"large.{kind}"
    with Image.open(phantoms()[0]) as drawing:
        drawing.convert("L").resize((side, side)).save(path, quality=60)
    return path


@on_desktop
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("jpeg", VIEWER["fewer"].format(side="2,048", all="2,721")),
        ("tiff", VIEWER["perhaps_fewer"].format(side="2,048")),
    ],
)
def test_pixel_by_pixel_says_how_many_it_shows(demo, tmp_path, kind, said):
    choose(demo, enlarged(tmp_path, 2721, kind))
    demo.locator("one-xray .plate", has_text="large").wait_for()
    until(
        demo, "document.querySelector('one-xray xray-viewer')?.stage?.pixels === 2048"
    )
    readout = demo.locator("one-xray .readout")
    expect(readout).to_be_hidden()
    press(demo, VIEWER["pixel"])
    expect(readout).to_have_text(said)


@on_desktop
def test_a_second_file_may_come_while_the_sharp_picture_loads(demo, tmp_path):
    large = enlarged(tmp_path, 2000, "jpeg")
    choose(demo, large)
    visits.plate(demo).filter(has_text="large").wait_for()
    visits.slow_down(demo, downloadThroughput=2**16)
    with demo.expect_response("**/picture?*"):
        choose(demo, large)
    choose(demo, phantoms()[1])
    visits.slow_down(demo)
    visits.plate(demo).filter(has_text=phantoms()[1].name).wait_for()
    demo.locator(f"one-xray {DRAWN}").wait_for()


def test_the_reading_room_shows_picture_and_choices_at_once(demo):
    tab(demo, words.TAB_READING)
    press(demo, words.READING["begin"])
    room = demo.locator("reading-room")
    stage, picture = room.locator(".stage"), room.locator(".stage img")
    picture.wait_for()
    inner, frame = picture.bounding_box(), stage.bounding_box()
    assert inner["width"] == pytest.approx(frame["width"], abs=1)
    assert inner["height"] == pytest.approx(frame["height"], abs=1)
    assert frame["width"] > demo.viewport_size["width"] / 2 or frame["height"] > 500
    steps = room.locator("[data-step]").all()
    for part in (stage, *steps):
        expect(part).to_be_in_viewport(ratio=0.99)
    keys(demo, "2")
    card = room.locator("answer-card")
    card.wait_for()
    for part in (card.locator("h2"), *steps):
        expect(part).to_be_in_viewport(ratio=0.99)
    keys(demo, "3")
    following = room.get_by_role("button", name=words.READING["next"])
    expect(following).to_be_in_viewport()
    expect(room.locator(".score h3")).to_have_text(words.READING["score_one"])
    following.click()
    expect(card).not_to_be_visible()
    expect(picture).to_be_visible()
    keys(demo, "5")
    expect(card).to_be_visible()
    keys(demo, "5")
    said = words.READING["score"].format(count=2)
    expect(room.locator(".score h3")).to_have_text(said)
    assert fits(demo)


def test_two_are_compared_with_linked_zoom_and_window(demo):
    tab(demo, words.TAB_COMPARE)
    choose(demo, *(one.path for one in examples()[:2]))
    expect(demo.locator("compare-two .side")).to_have_count(2)
    first, second = demo.locator("compare-two .side").all()
    for side, one in zip((first, second), examples(), strict=False):
        side.locator(DRAWN).wait_for()
        expect(side.locator(".plate")).to_contain_text(one.path.name)
        expect(side.get_by_role("heading")).to_be_visible()
    left, right = (side.locator(".stage").bounding_box() for side in (first, second))
    assert left["y"] == pytest.approx(right["y"], abs=2)  # side by side
    assert left["x"] + left["width"] <= right["x"]
    first.locator(".stage").focus()
    keys(demo, "+", "ArrowRight", "w", "ArrowRight", "i")
    one, two = (look_of(side.locator("xray-viewer")) for side in (first, second))
    assert one == two
    assert one["zoom"] == 1.25
    assert one["inverted"]
    second.locator(".stage").focus()  # and the other way
    keys(demo, "0")
    whole = look_of(first.locator("xray-viewer"))
    assert (whole["zoom"], whole["inverted"]) == (1, False)
    demo.get_by_label(words.COMPARE_LINKED).uncheck()
    keys(demo, "+")
    assert look_of(first.locator("xray-viewer"))["zoom"] == 1
    assert fits(demo)


@on_desktop
def test_files_chosen_before_the_script_came_are_compared(demo):
    held = []

    def hold(route):
        held.append(route)

    demo.route("**/look/compare.js*", hold)
    tab(demo, words.TAB_COMPARE)
    choose(demo, *phantoms()[:2])
    end = time.monotonic() + 30
    while not held:
        assert time.monotonic() < end, "the script was never asked for"
        demo.wait_for_timeout(50)
    held[0].continue_()
    expect(demo.locator(f"compare-two {DRAWN}")).to_have_count(2)


SHOWN = """(image) => {
  const { naturalWidth: width, naturalHeight: height } = image;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL();
}"""


def pixels_of(image) -> np.ndarray:
    data = base64.b64decode(image.evaluate(SHOWN).partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"), float)


@on_desktop
def test_an_answer_is_compared_with_itself(demo):
    answered(demo)
    press(demo, words.COMPARE_WITH)
    expect(demo.locator("compare-two .side")).to_have_count(2)  # comes with the tab
    first, second = demo.locator("compare-two .side").all()
    first.locator(DRAWN).wait_for()
    press(demo, words.COMPARE["selves"]["mirror"])
    second.locator(DRAWN).wait_for()
    one, two = (pixels_of(side.locator(".stage img")) for side in (first, second))
    assert np.abs(one - two[:, ::-1]).mean() < 2
    assert np.abs(one - two).mean() > 5
    # a refused one is shown as well, with what it would take to have it answered
    press(demo, words.COMPARE["selves"]["invert"])
    expect(second.get_by_role("heading")).to_have_text(words.NO_ANSWER)
    picture = second.locator(".stage img")
    assert picture.evaluate("img => img.decode().then(() => img.naturalWidth)") > 200
    expect(second.get_by_role("button", name=words.INVERT)).to_have_count(0)
    second.get_by_role("button", name=words.ANYWAY).click()
    second.locator(DRAWN).wait_for()
    choose(demo, *phantoms()[:3])
    expect(demo.locator("compare-two [role=alert]")).to_have_text(words.COMPARE["two"])


@on_desktop
def test_the_decision_curve_ends_where_single_xrays_decide(demo):
    tab(demo, words.TAB_MEANING)
    figure = demo.locator("number-meaning figure").nth(2)
    for sick in ("50", "100", "500"):
        demo.get_by_label(words.MEANING["prevalence"]).fill(sick)
        curve, few = (
            [[*map(float, pair.split(","))] for pair in points.split()]
            for points in (
                figure.locator(kind).get_attribute("points")
                for kind in (".curve", ".few")
            )
        )
        heights = [y for _, y in sorted(curve + few)]
        assert np.diff(heights).min() > -0.1 * 260  # no jump up by a tenth
        assert few[0] == curve[-1]
    expect(figure).to_contain_text("dotted")
