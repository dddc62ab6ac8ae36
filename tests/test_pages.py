"""Both apps in a real browser: an X-ray in, an answer out, nothing asked of others.

With PNEUMONIA_SCREENSHOTS=docs the pictures of README and docs are taken again.
"""

import base64
import dataclasses
import io
import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from playwright.sync_api import expect

from pneumonia import (
    LABELS,
    MAX_BYTES,
    TOO_LARGE,
    examples,
    percent,
    phantoms,
    predict,
    say_place,
)
from pneumonia.contract import METHODS, NOTICE
from pneumonia.web import measurements, report, words
from pneumonia.web.demo import batch_table

PHOTOGRAPHS = os.environ.get("PNEUMONIA_SCREENSHOTS")
if PHOTOGRAPHS:
    Path(PHOTOGRAPHS).mkdir(parents=True, exist_ok=True)
expect.set_options(timeout=30_000)  # a busy machine answers late


def heading(prediction) -> str:
    return prediction.label if prediction.certain else words.UNCERTAIN


def shown(page):
    """The heat map, once it is drawn."""
    viewer = page.locator("xray-viewer:visible")
    viewer.locator("canvas[data-label]:not([data-label=''])").wait_for()
    return viewer.locator(".stage canvas")


def test_flask_answers(page, flask_url, classifier):
    picture = phantoms()[0]
    expected = predict(classifier, picture.read_bytes())
    page.goto(flask_url)
    expect(page.get_by_text(NOTICE)).to_be_in_viewport()
    page.get_by_label("Chest X-ray").set_input_files(picture)
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("heading", level=2)).to_have_text(heading(expected))
    expect(page.get_by_text(NOTICE)).to_be_visible()
    assert has_colour(shown(page))
    page.locator(".why summary").click()
    expect(page.get_by_text(say_place(expected))).to_be_visible()
    assert page.locator("xray-viewer .stage path").get_attribute("d").startswith("M")
    assert page.evaluate("document.body.scrollWidth <= window.innerWidth")


def test_flask_answers_without_any_script(browser, flask_url):
    page = browser.new_page(java_script_enabled=False)
    page.goto(flask_url)
    page.get_by_label("Chest X-ray").set_input_files(phantoms()[0])
    page.get_by_role("button", name="Predict").click()
    overlay = page.get_by_role("img", name="rough hint")
    expect(overlay).to_be_visible()
    viewer = page.locator("xray-viewer").bounding_box()["width"]
    assert overlay.bounding_box()["width"] == pytest.approx(viewer, abs=2)
    assert viewer > 500
    expect(page.locator(".plate")).to_have_text(phantoms()[0].name)
    expect(page.get_by_text(words.NOT_KEPT)).to_be_visible()
    page.close()


def test_flask_answers_an_example_without_any_script(browser, flask_url):
    page = browser.new_page(java_script_enabled=False)
    page.goto(flask_url)
    page.get_by_role("button", name=words.EXAMPLE.format(number=1)).click()
    truth = words.TRUTH.format(truth=examples()[0].truth)
    expect(page.locator(".truth")).to_contain_text(truth)
    expect(page.locator(".plate")).to_have_text(examples()[0].path.name)
    page.close()


def test_flask_answers_an_example_below_the_form(page, flask_url):
    page.goto(flask_url)
    page.get_by_role("button", name=words.EXAMPLE.format(number=5)).click()
    truth = words.TRUTH.format(truth=examples()[4].truth)
    expect(page.locator("answer-card .truth")).to_contain_text(truth)
    shown(page)
    expect(page).to_have_url(flask_url)  # the form stays


def test_flask_explains_a_wrong_file_and_keeps_the_form(page, flask_url, tmp_path):
    (tmp_path / "letter.txt").write_text("Dear doctor")
    page.goto(flask_url)
    page.get_by_label("Chest X-ray").set_input_files(tmp_path / "letter.txt")
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("alert")).to_contain_text("not a picture")
    expect(page.get_by_role("button", name="Predict")).to_be_visible()


def negative(folder: Path) -> Path:
    path = folder / "negative.png"
    with Image.open(phantoms()[0]) as drawing:
        ImageOps.invert(drawing.convert("L")).save(path)
    return path


def test_flask_keeps_a_refused_file_for_the_second_try(page, flask_url, tmp_path):
    page.goto(flask_url)
    field = page.get_by_label("Chest X-ray")
    field.set_input_files(negative(tmp_path))
    ask = page.get_by_role("button", name="Predict")
    error = page.get_by_role("alert")
    for _ in range(2):
        ask.click()
        expect(error).to_contain_text("negative.png")
        expect(error).not_to_contain_text(words.CHOOSE_AGAIN)
        expect(error.locator("img")).to_be_visible()
        error.evaluate("error => { error.firstChild.remove() }")  # a second one is new
    expect(page.get_by_role("checkbox")).to_have_count(0)
    expect(page.get_by_role("button", name=words.ANYWAY)).to_be_visible()
    page.get_by_role("button", name=words.INVERT).click()
    expect(page.locator("answer-card .plate")).to_have_text("negative.png")
    expect(page.locator("answer-card .done")).to_have_text(words.INVERTED)
    shown(page)
    field.set_input_files(phantoms()[0])
    expect(page.locator("answer-card")).to_have_count(0)
    ask.click()
    expect(page.locator("answer-card .plate")).to_have_text(phantoms()[0].name)
    expect(page.locator("answer-card .done")).to_have_count(0)


def test_flask_without_scripts_says_that_it_kept_nothing(browser, flask_url, tmp_path):
    page = browser.new_page(java_script_enabled=False)
    page.goto(flask_url)
    expect(page.get_by_role("checkbox")).to_have_count(0)
    for tick in (False, True):
        page.get_by_label("Chest X-ray", exact=False).set_input_files(
            negative(tmp_path)
        )
        if tick:
            page.get_by_role("checkbox", name=words.INVERT).check()
        page.get_by_role("button", name="Predict").click()
        if not tick:
            expect(page.get_by_role("alert")).to_contain_text(words.CHOOSE_AGAIN)
            expect(page.get_by_role("checkbox")).to_have_count(2)  # what is offered
    expect(page.locator(".done")).to_have_text(words.INVERTED)
    page.close()


def test_a_drop_never_leaves_the_form(page, flask_url, tmp_path):
    page.goto(flask_url)
    for number in (1, 2):  # also where an answer stands already
        drop(page, marked(tmp_path, number))
        expect(page.get_by_role("img", name=words.PREVIEW)).to_be_visible()
        expect(page.locator("answer-card")).to_have_count(0)
        page.get_by_role("button", name="Predict").click()
        expect(page.locator("answer-card .plate")).to_have_text(f"{number}.png")
    page.get_by_role("link", name="API").click()
    page.get_by_role("heading", name="API", exact=True).wait_for()
    drop(page, marked(tmp_path, 3))
    page.wait_for_timeout(500)
    assert page.url == f"{flask_url}api"


def has_colour(canvas) -> bool:
    return canvas.evaluate(
        """canvas => canvas.getContext("2d")
        .getImageData(0, 0, canvas.width, canvas.height)
        .data.some((value, i) => i % 4 === 3 && value > 20)"""
    )


def picture_of(canvas) -> str:
    return canvas.evaluate("canvas => canvas.toDataURL()")


def test_gradio_answers(page, gradio_url, classifier):
    number, picture = next(
        (number, one.path)
        for number, one in enumerate(examples(), start=1)
        if heading(predict(classifier, one.path.read_bytes())) == one.truth == LABELS[1]
    )
    expected = predict(classifier, picture.read_bytes())
    page.goto(gradio_url)
    expect(page.get_by_text(NOTICE)).to_be_in_viewport()
    page.get_by_role("button", name=words.EXAMPLE.format(number=number)).click()
    expect(
        page.get_by_role("heading", name=heading(expected), exact=True)
    ).to_be_in_viewport()
    expect(page.locator("answer-card").get_by_text(words.RESEARCH)).to_be_in_viewport()
    bar = page.get_by_role("img", name=f"{words.PROBABILITY}: ")
    expect(bar).to_have_accessible_name(
        re.compile(re.escape(percent(expected.p_pneumonia)))
    )
    expect(page.locator("[aria-live]#voice")).to_contain_text(heading(expected))
    assert has_colour(shown(page))
    for text, start in (
        (words.REPORT_PDF, b"%PDF-"),
        (words.REPORT_HTML, b"<!doctype html>"),
    ):
        with page.expect_download() as download:
            page.get_by_role("button", name=text).click()
        assert Path(download.value.path()).read_bytes().startswith(start)
    assert page.evaluate("document.body.scrollWidth <= window.innerWidth")
    take(page, "demo")


def take(page, name: str) -> None:
    """Photograph a wide page, where somebody asked for it."""
    if PHOTOGRAPHS and page.viewport_size["width"] > 1000:
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(1000)
        frame(page).save(Path(PHOTOGRAPHS) / f"{name}.webp", quality=80)


def frame(page) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


@pytest.mark.skipif(not PHOTOGRAPHS, reason="PNEUMONIA_SCREENSHOTS names no folder")
def test_the_readmes_film(browser, gradio_url):
    page = browser.new_page(viewport={"width": 1180, "height": 760})
    page.goto(gradio_url)
    page.get_by_role("button", name=words.EXAMPLE.format(number=1)).wait_for()
    page.wait_for_timeout(1000)
    frames = [frame(page)]
    page.get_by_role("button", name=words.EXAMPLE.format(number=1)).click()
    shown(page)
    page.wait_for_timeout(1000)
    frames.append(frame(page))
    for control, values in (
        (page.get_by_label("Strength"), (80, 100, 60)),
        (page.get_by_role("slider", name="Compare"), (40, 70, 85, 95, 0)),
    ):
        for value in values:
            control.fill(str(value))
            frames.append(frame(page))
    for colours in ("viridis", "cividis"):
        page.get_by_label("Colours").select_option(colours)
        page.wait_for_timeout(300)
        frames.append(frame(page))
    for control, choice in (("Method", METHODS[1]), ("Evidence", "Normal")):
        page.get_by_role("combobox", name=control).select_option(choice)
        page.wait_for_timeout(300)
        frames.append(frame(page))
    page.close()
    film = Path(PHOTOGRAPHS) / "demo.film.webp"
    first, *others = [picture.resize((885, 570)) for picture in frames]
    first.save(film, save_all=True, append_images=others, duration=900, loop=0)
    assert film.stat().st_size < 2**20


def test_the_viewer_changes_without_a_new_answer(page, gradio_url, classifier):
    label = predict(classifier, phantoms()[0].read_bytes()).label
    (other,) = {*LABELS} - {label}
    page.goto(gradio_url)
    page.locator("input[type=file]").first.set_input_files(phantoms()[0])
    canvas = shown(page)
    asked = []
    page.on("request", lambda r: r.method == "POST" and asked.append(r.url))
    before = picture_of(canvas)
    page.get_by_label("Colours").select_option("viridis")
    expect(page.locator(f"xray-viewer canvas[data-label={label}]")).to_be_visible()
    assert picture_of(canvas) != before
    page.get_by_label("Strength").fill("20")
    expect(canvas).to_have_css("opacity", "0.2")
    compare = page.get_by_role("slider", name="Compare")
    compare.focus()
    page.keyboard.press("End")
    for part in (canvas, page.locator("xray-viewer .scene svg")):
        expect(part).to_have_css("clip-path", "inset(0px 0px 0px 100%)")
    page.get_by_role("combobox", name="Evidence").select_option(other)
    drawn = page.locator(f"xray-viewer canvas[data-label={other}]")
    expect(drawn).to_have_attribute("aria-label", re.compile(other))
    first = picture_of(canvas)
    tested = classifier.tested[other]
    (method,) = {*METHODS} - {tested}
    assert page.get_by_label("Method").input_value() == tested
    where = page.locator("xray-viewer .where")
    expect(where).to_contain_text(f"for {other}")
    page.get_by_label("Method").select_option(method)
    drawn = page.locator(
        f"xray-viewer canvas[data-method={method}][data-label={other}]"
    )
    expect(drawn).to_have_attribute("aria-label", re.compile(f"{method}.*{other}"))
    caption = page.locator("xray-viewer .caption")
    expect(caption).to_contain_text(measurements.captions(classifier)[method])
    assert has_colour(canvas)
    assert picture_of(canvas) != first
    with page.expect_download() as download:
        page.get_by_role("button", name="Save this view").click()
    with Image.open(download.value.path()) as saved:
        assert saved.width == 512
        caption = saved.convert("L").crop((0, 512, *saved.size))
        assert 20 < caption.height < 40
        assert caption.getextrema()[1] > 200
    assert asked == []


def view(page) -> dict:
    """Return how the picture is looked at."""
    return page.evaluate(
        """() => { const { zoom, x, y, width, level, inverted, tool } =
        document.querySelector("xray-viewer").stage;
        return { zoom, x, y, width, level, inverted, tool }; }"""
    )


def test_a_picture_is_looked_at_as_readers_do(page, flask_url):
    page.goto(flask_url)
    page.get_by_label("Chest X-ray").set_input_files(phantoms()[0])
    page.get_by_role("button", name=words.PREDICT).click()
    shown(page)
    as_it_was = view(page)
    stage = page.get_by_role("group", name=words.VIEWER["stage"])

    def point():
        """Put the pointer a quarter into the stage; a press of a tool may scroll it."""
        stage.scroll_into_view_if_needed()
        box = stage.bounding_box()
        x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] / 4
        page.mouse.move(x, y)
        return x, y, box["width"]

    *_, width = point()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    scaled = re.compile(r"scale\(1\.9")
    expect(stage.locator(".scene")).to_have_attribute("style", scaled)
    zoomed = view(page)
    # what was below the pointer stays there
    assert zoomed["x"] == pytest.approx(-(zoomed["zoom"] - 1) * width / 4, abs=2)
    drags = {"move_tool": ("x", "y"), "window_tool": ("width", "level")}
    for tool, changed in drags.items():
        page.get_by_role("button", name=words.VIEWER[tool]).click()
        before = view(page)
        x, y, _ = point()
        page.mouse.down()
        page.mouse.move(x + 40, y + 30, steps=3)
        page.mouse.up()
        after = view(page)
        assert all(after[name] > before[name] for name in changed)
        assert after["zoom"] == before["zoom"]
    stage.dblclick()
    assert view(page) == as_it_was | {"tool": "window"}

    stage.focus()
    for keys in ("+", "i", "m", "ArrowRight", "c"):
        page.keyboard.press(keys)
    now = view(page)
    assert now["zoom"] == 1.25
    assert now["inverted"]
    assert now["x"] < 0
    assert now["tool"] == "compare"
    inverted = page.get_by_role("button", name=words.VIEWER["invert"], exact=True)
    expect(inverted).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("0")
    assert view(page) == as_it_was
    assert page.evaluate("document.body.scrollWidth <= window.innerWidth")


def give(page, way: str, *pictures: bytes, name: str = "x.png") -> None:
    """Paste pictures, or drop them on the heading."""
    page.evaluate(
        """([way, pictures, name]) => {
          const given = new DataTransfer();
          for (const bytes of pictures) {
            const data = Uint8Array.from(atob(bytes), c => c.charCodeAt(0));
            given.items.add(new File([data], name, { type: "image/png" }));
          }
          const options = { bubbles: true, cancelable: true };
          document.querySelector("h1").dispatchEvent(
            way === "paste"
              ? new ClipboardEvent("paste", { ...options, clipboardData: given })
              : new DragEvent("drop", { ...options, dataTransfer: given }));
        }""",
        [way, [base64.b64encode(data).decode() for data in pictures], name],
    )


def test_flask_shows_what_was_dropped_before_it_is_sent(page, flask_url):
    page.goto(flask_url)
    expect(page.get_by_role("img", name=words.PREVIEW)).to_be_hidden()
    give(page, "drop", phantoms()[0].read_bytes())
    expect(page.get_by_role("img", name=words.PREVIEW)).to_be_visible()
    page.get_by_role("button", name="Predict").click()
    shown(page)


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_gradio_takes_what_is_pasted_or_dropped_anywhere(page, gradio_url, way):
    page.goto(gradio_url)
    page.locator("input[type=file]").first.wait_for(state="attached")
    for number in range(2):  # again, where an answer stands already
        give(page, way, phantoms()[number].read_bytes())
        shown(page)
        expect(page.get_by_role("heading", level=2)).to_have_count(1)
        page.evaluate("document.querySelector('answer-card').remove()")


def drop(page, path: Path, x: int = 200, y: int = 30) -> None:
    """Drop a file as a hand does: a page that does not care would open it."""
    let_fall(page, {"items": [], "files": [str(path)]}, x, y)


def let_fall(page, data: dict, x: int = 200, y: int = 30) -> None:
    line = page.context.new_cdp_session(page)
    data = data | {"dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": x, "y": y, "data": data}
        line.send("Input.dispatchDragEvent", event)


def marked(folder: Path, number: int) -> Path:
    """A drawing that is seconds on a slow line, with a corner that says its number."""
    drawing = np.asarray(Image.open(phantoms()[number % 3]).convert("L")) // 2
    drawing = drawing + np.random.default_rng(number).integers(0, 16, drawing.shape)
    drawing[:32, :32] = 20 * number
    path = folder / f"{number}.png"
    Image.fromarray(drawing.astype(np.uint8)).save(path)
    return path


def number_of(address: str) -> int:
    """Read the corner's number in the picture that came with an answer."""
    data = base64.b64decode(address.partition(",")[2])
    return round(Image.open(io.BytesIO(data)).convert("L").getpixel((12, 12)) / 20)


WATCH = """() => {
  window.seen = [];
  new MutationObserver(() => {
    for (const card of document.querySelectorAll("answer-card")) {
      const name = card.querySelector(".plate")?.textContent;
      window.seen.push([name, card.querySelector(".stage img").src]);
    }
  }).observe(document.querySelector("one-xray"), { subtree: true, childList: true });
}"""
"""Keeps every answer that ever stands in the page, with the name beside it."""


@pytest.mark.parametrize("page", [(390, 844)], ids=["phone"], indirect=True)
def test_each_answer_stands_beside_its_own_file_on_a_slow_line(
    page, gradio_url, tmp_path
):
    page.goto(gradio_url)
    page.locator("one-xray answer-card").wait_for()
    page.evaluate(WATCH)
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    megabit = {"downloadThroughput": 125_000, "uploadThroughput": 125_000}
    megabit |= {"offline": False, "latency": 40}
    line.send("Network.emulateNetworkConditions", megabit)
    card = page.locator("answer-card .plate")
    for number in range(10):
        drop(page, marked(tmp_path, number))
        expect(page.locator("one-xray .plate")).to_have_text(f"{number}.png")
        if number % 3 == 0:  # the next one falls as soon as this one is answered
            expect(card).to_have_text(f"{number}.png")
        elif number % 3 == 1:  # or while it is sent, or at once
            page.wait_for_timeout(300 * number)
    expect(card).to_have_text("9.png")
    page.wait_for_timeout(3000)  # nothing comes late
    expect(page.locator("one-xray .plate")).to_have_text("9.png")
    seen = {(name, number_of(address)) for name, address in page.evaluate("seen")}
    assert {(f"{number}.png", number) for number in (0, 3, 6, 9)} <= seen
    assert all(name == f"{number}.png" for name, number in seen)
    assert len(page.context.pages) == 1


def test_a_drop_never_leaves_the_demo(page, gradio_url, tmp_path):
    page.goto(gradio_url)
    page.locator("one-xray answer-card").wait_for()
    page.get_by_role("tab", name=words.TAB_MEANING).click()
    drop(page, marked(tmp_path, 1))  # a tab that takes nothing: the first one answers
    expect(page.locator("answer-card .plate")).to_have_text("1.png")
    page.get_by_role("tab", name=words.TAB_MANY).click()
    page.locator("input[multiple]").first.wait_for(state="attached")
    pack = tmp_path / "many.zip"
    with zipfile.ZipFile(pack, "w") as archive:
        for number in range(50):
            archive.write(phantoms()[0], f"{number}.png")
    drop(page, pack)
    stop = page.get_by_role("button", name=words.STOP)
    expect(page.locator("progress")).to_be_visible()
    drop(page, marked(tmp_path, 2))
    expect(page.get_by_role("alert")).to_contain_text(words.BUSY_BATCH)
    stop.click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator("batch-table")).to_be_visible()
    assert page.url == gradio_url
    assert len(page.context.pages) == 1


@pytest.fixture
def folder(tmp_path):
    """X-rays in a folder of folders, with what systems leave beside them."""
    folder = tmp_path / "film"
    for number in range(2):
        (folder / f"{number}" / "deep").mkdir(parents=True)
        shutil.copy(phantoms()[number], folder / f"{number}" / "deep" / "x.png")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "x.png").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    return folder


PICTURE_OF_ANOTHER_PAGE = {
    "items": [
        {"mimeType": "text/uri-list", "data": "https://example.org/xray.jpeg"},
        {"mimeType": "text/html", "data": "<img src='https://example.org/xray.jpeg'>"},
    ],
    "files": [],
}
TEXT = {"items": [{"mimeType": "text/plain", "data": "an X-ray"}], "files": []}
desktop = pytest.mark.parametrize("page", [(1280, 900)], ids=["desktop"], indirect=True)


def alert(page):
    return page.locator("[role=alert]:visible")


@desktop
def test_a_folder_is_read_or_refused_in_words(page, gradio_url, folder):
    page.goto(gradio_url)
    page.locator("one-xray answer-card").wait_for()
    drop(page, phantoms()[0])
    shown(page)
    drop(page, folder)
    expect(alert(page)).to_have_text(words.FOLDER_HERE)
    expect(page.locator("answer-card")).to_have_count(0)  # of another picture
    drop(page, phantoms()[0])
    shown(page)
    expect(alert(page)).to_have_count(0)
    page.get_by_role("tab", name=words.TAB_YOURS).click()
    page.locator("[role=tabpanel]:visible input[multiple]").wait_for(state="attached")
    drop(page, folder)
    about = words.YOURS["about"].format(files=2, normal=0, pneumonia=0)
    expect(page.locator("yours-room .measured")).to_contain_text(about)
    expect(page.locator("yours-room")).to_contain_text("film/0/deep/x.png")
    page.get_by_role("tab", name=words.TAB_MANY).click()
    page.locator("[role=tabpanel]:visible input[multiple]").wait_for(state="attached")
    drop(page, folder.parent / "empty")
    expect(alert(page)).to_have_text(words.UNREAD_FOLDER)
    drop(page, folder)
    expect(page.locator("batch-table tbody tr")).to_have_count(2)
    expect(page.locator("batch-table")).to_contain_text("x.png (2)")
    expect(alert(page)).to_have_count(0)


@desktop
@pytest.mark.parametrize("what", [PICTURE_OF_ANOTHER_PAGE, TEXT], ids=["link", "text"])
def test_what_holds_no_file_is_said(page, gradio_url, flask_url, what):
    page.goto(gradio_url)
    page.locator("one-xray answer-card").wait_for()
    for tab in (words.TAB_ONE, words.TAB_MANY, words.TAB_YOURS, words.TAB_MEANING):
        page.get_by_role("tab", name=tab).click()
        let_fall(page, what)
        expect(alert(page)).to_have_text(words.NO_FILE)
    expect(page.get_by_role("tab", name=words.TAB_ONE)).to_have_attribute(
        "aria-selected", "true"
    )
    drop(page, phantoms()[0])
    shown(page)
    let_fall(page, what)
    expect(alert(page)).to_have_text(words.NO_FILE)
    shown(page)  # what was answered stays
    page.goto(flask_url)
    let_fall(page, what)
    expect(alert(page)).to_have_text(words.NO_FILE)
    assert page.url == flask_url
    assert len(page.context.pages) == 1


@desktop
def test_the_form_says_what_a_folder_is(page, flask_url, folder):
    page.goto(flask_url)
    drop(page, phantoms()[0])
    expect(page.get_by_role("img", name=words.PREVIEW)).to_be_visible()
    drop(page, folder)
    expect(alert(page)).to_have_text(words.FOLDER)
    expect(page.get_by_role("img", name=words.PREVIEW)).to_be_hidden()
    assert page.locator("input[type=file]").evaluate("i => i.files.length") == 0
    drop(page, phantoms()[0])
    expect(page.get_by_role("img", name=words.PREVIEW)).to_be_visible()
    expect(alert(page)).to_have_count(0)


def test_the_same_refusal_twice_is_seen_twice(page, gradio_url, tmp_path):
    (tmp_path / "letter.txt").write_text("Dear doctor")
    page.goto(gradio_url)
    field = page.locator("input[type=file]").first
    field.wait_for(state="attached")
    page.evaluate(
        """() => {
          let refused = 0;
          new MutationObserver((changes) => {
            for (const { addedNodes } of changes) for (const node of addedNodes)
              refused += Boolean(node.querySelector?.("answer-card.refused"));
            document.body.dataset.refused = refused;
          }).observe(document.querySelector("one-xray .shown"), { childList: true });
        }"""
    )
    for times in (1, 2):
        field.set_input_files(tmp_path / "letter.txt")
        expect(page.locator("body")).to_have_attribute("data-refused", str(times))
        expect(page.locator("answer-card .plate")).to_have_text("letter.txt")
        expect(page.locator("#voice")).to_contain_text("letter.txt")
        page.evaluate("voice.textContent = ''")


def test_what_the_demo_asks_is_kept_nowhere(page, gradio_url, tmp_path):
    """No name is sent, and no file goes to Gradio's folder."""
    asked = []
    page.on("request", lambda r: r.method == "POST" and asked.append(r))
    page.goto(gradio_url)
    page.locator("input[type=file]").first.set_input_files(phantoms()[0])
    shown(page)
    answer, sharp = asked
    assert answer.url == f"{gradio_url}ask?"
    assert sharp.url == f"{gradio_url}picture?invert=0&turned=0"
    for request in asked:
        assert phantoms()[0].name not in str(request.all_headers())


def test_gradio_answers_an_example_at_one_click(page, gradio_url, classifier):
    example, other = examples()[:2]
    expected = predict(classifier, example.path.read_bytes())
    page.goto(gradio_url)
    page.get_by_role("button", name=words.EXAMPLE.format(number=1)).click()
    expect(
        page.get_by_role("heading", name=heading(expected), exact=True)
    ).to_be_visible()
    truth = words.TRUTH.format(truth=example.truth)
    expect(page.get_by_text(truth, exact=True)).to_be_visible()
    page.locator("input[type=file]").first.set_input_files(other.path)
    expect(page.locator("answer-card").get_by_text(other.path.name)).to_be_visible()
    expect(page.locator("answer-card .truth")).to_have_count(0)  # who knows what it is


def test_gradio_refuses_in_place_and_offers_what_helps(page, gradio_url, tmp_path):
    page.goto(gradio_url)
    page.locator("input[type=file]").first.set_input_files(negative(tmp_path))
    expect(page.get_by_role("heading", name=words.NO_ANSWER)).to_be_visible()
    expect(page.get_by_role("button", name=words.ANYWAY)).to_be_visible()
    page.get_by_role("button", name=words.INVERT).click()
    shown(page)
    expect(page.get_by_role("button", name=words.ANYWAY)).to_be_hidden()


def test_gradio_explains_a_damaged_file(page, gradio_url, tmp_path):
    (tmp_path / "half.png").write_bytes(phantoms()[0].read_bytes()[:5000])
    page.goto(gradio_url)
    page.locator("input[type=file]").first.set_input_files(tmp_path / "half.png")
    expect(page.locator("answer-card")).to_contain_text("damaged or incomplete")


def test_gradio_answers_a_batch(page, gradio_url, tmp_path):
    pack = tmp_path / "many.zip"
    with zipfile.ZipFile(pack, "w") as archive:
        for example in examples()[:3]:
            archive.write(example.path, f"in/{example.path.name}")
    (tmp_path / "letter.txt").write_text("Dear doctor")
    page.goto(gradio_url)
    page.get_by_role("tab", name=words.TAB_MANY).click()
    field = page.locator("[role=tabpanel]:visible input[multiple]")
    field.set_input_files([pack, tmp_path / "letter.txt"])
    rows = page.locator("batch-table tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.last).to_contain_text("letter.txt")
    expect(rows.last).to_contain_text(words.NO_ANSWER)
    expect(page.get_by_role("table").get_by_role("row")).to_have_count(5)
    region = page.get_by_role("region", name=words.TABLE)  # nothing hides sideways
    assert region.evaluate("region => region.scrollWidth <= region.clientWidth")
    assert page.evaluate("document.body.scrollWidth <= window.innerWidth")
    take(page, "batch")

    head = page.get_by_role("columnheader", name="Probability")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    cells = page.locator("tbody td[data-value]").evaluate_all(
        "cells => cells.map(cell => Number(cell.dataset.value))"
    )
    assert cells[:-1] == sorted(cells[:-1])
    expect(rows.last).to_contain_text("letter.txt")  # in either order
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(rows.last).to_contain_text("letter.txt")

    for text, name in ((words.DOWNLOAD_CSV, "csv"), (words.DOWNLOAD_OVERLAYS, "zip")):
        with page.expect_download() as download:
            page.get_by_role("link", name=text).click()
        download.value.save_as(tmp_path / name)
    assert (tmp_path / "csv").read_text().count("\n") == 5
    with zipfile.ZipFile(tmp_path / "zip") as archive:
        assert len(archive.namelist()) == 3

    page.get_by_role("button", name="xray-02").focus()
    page.keyboard.press("Enter")
    shown(page)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_have_accessible_name(re.compile("xray-02"))
    seen = set()
    for _ in range(4):  # all of them, and round to the first
        dialog.get_by_role("button", name=words.NEXT).click()
        expect(dialog.get_by_role("heading", level=2)).to_have_count(1)
        seen.add(dialog.get_by_role("heading", level=2).inner_text())
    assert words.NO_ANSWER in seen
    expect(dialog).to_have_accessible_name(re.compile("xray-02"))
    page.keyboard.press("ArrowRight")
    expect(dialog).not_to_have_accessible_name(re.compile("xray-02"))
    page.keyboard.press("ArrowLeft")
    expect(dialog).to_have_accessible_name(re.compile("xray-02"))
    dialog.get_by_role("button", name=words.PREVIOUS).click()
    expect(dialog).not_to_have_accessible_name(re.compile("xray-02"))
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)


def test_a_stopped_batch_keeps_what_is_answered(page, gradio_url, tmp_path):
    pack, count = tmp_path / "many.zip", batch_table.MAX_FILES
    with zipfile.ZipFile(pack, "w") as archive:
        for number in range(count):
            archive.write(phantoms()[0], f"{number}.png")
    page.goto(gradio_url)
    page.get_by_role("tab", name=words.TAB_MANY).click()
    stop = page.get_by_role("button", name=words.STOP)
    field = page.locator("[role=tabpanel]:visible input[multiple]")
    expect(stop).to_have_count(0)
    field.set_input_files(pack)
    expect(page.locator("progress")).to_have_attribute("value", re.compile("[1-9]"))
    stop.click()
    table = page.locator("batch-table")
    rows = table.locator("tbody tr")
    expect(rows.first).to_be_visible()
    done = rows.count()
    assert 0 < done < count
    expect(table).to_contain_text(words.STOPPED.format(count=count - done))
    with page.expect_download() as download:
        page.get_by_role("link", name=words.DOWNLOAD_CSV).click()
    assert Path(download.value.path()).read_text().count("\n") == done + 1
    expect(stop).to_have_count(0)

    field.set_input_files(phantoms()[:2])  # the next one is not stopped
    expect(rows).to_have_count(2)


def test_several_files_where_one_is_wanted_are_refused(page, gradio_url, flask_url):
    for url, said in ((gradio_url, words.ONE_HERE), (flask_url, words.ONE)):
        page.goto(url)
        page.locator("input[type=file]").first.wait_for(state="attached")
        give(page, "drop", *(path.read_bytes() for path in phantoms()[:2]))
        expect(page.get_by_role("alert")).to_have_text(said)
        assert (
            page.locator("input[type=file]").first.evaluate("i => i.files.length") == 0
        )
        give(page, "drop", phantoms()[0].read_bytes())
        expect(page.get_by_role("alert")).to_have_count(0)


def large(folder: Path, name: str) -> Path:
    """A file that takes no room and is larger than what is read."""
    path = folder / name
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    return path


def test_gradio_refuses_a_large_file_in_place_before_it_is_sent(
    page, gradio_url, tmp_path
):
    page.goto(gradio_url)
    field = page.locator("input[type=file]").first
    field.set_input_files(phantoms()[0])
    shown(page)
    sent = []
    page.on("request", lambda r: r.method == "POST" and sent.append(r.url))
    field.set_input_files(large(tmp_path, "x.dcm"))
    said = f"x.dcm{TOO_LARGE.format(size=33, limit=32)}"
    expect(page.get_by_role("alert")).to_have_text(said)
    expect(page.locator("answer-card")).to_have_count(0)  # of another picture
    assert sent == []
    page.get_by_role("button", name=words.EXAMPLE.format(number=1)).click()
    expect(page.locator("answer-card")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    sent.clear()

    page.get_by_role("tab", name=words.TAB_MANY).click()
    both = [large(tmp_path, "x.dcm"), large(tmp_path, "y.dcm")]
    page.locator("[role=tabpanel]:visible input[multiple]").set_input_files(both)
    said = words.TOO_MUCH.format(size=65, limit=64)
    expect(page.get_by_role("alert")).to_have_text(said)
    assert sent == []


def test_flask_refuses_a_large_file_in_place_before_it_is_sent(
    page, flask_url, tmp_path
):
    page.goto(flask_url)
    field = page.get_by_label("Chest X-ray")
    field.set_input_files(phantoms()[0])
    expect(page.get_by_role("img", name=words.PREVIEW)).to_be_visible()
    field.set_input_files(large(tmp_path, "x.dcm"))
    said = f"x.dcm{TOO_LARGE.format(size=33, limit=32)}"
    expect(page.get_by_role("alert")).to_have_text(said)
    expect(page.get_by_role("img", name=words.PREVIEW)).to_be_hidden()
    assert field.evaluate("field => field.files.length") == 0
    field.set_input_files(phantoms()[0])
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_report_prints_on_one_page(browser, classifier, phantom_bytes, tmp_path):
    tall = Image.open(io.BytesIO(phantom_bytes)).crop((100, 0, 400, 512))
    file = io.BytesIO()
    tall.resize((900, 1800)).save(file, "PNG")
    prediction = dataclasses.replace(
        predict(classifier, file.getvalue(), anyway=True),
        warnings=("outside_population", "first_frame", "empty_heat_map"),
    )
    path = tmp_path / "report.html"
    path.write_bytes(report.write_html(report.gather(classifier, prediction)))
    page = browser.new_page()
    page.goto(path.as_uri())
    printed = page.pdf(prefer_css_page_size=True)
    page.close()
    assert len(re.findall(rb"/Type /Page\b", printed)) == 1


def test_gradio_counts_people(page, gradio_url, classifier):
    well, sick = measurements.load(classifier, "report.json")["answers"].values()
    low, high = classifier.uncertain_band
    found = round(200 * np.mean(np.array(sick) > high))
    alarms = round(800 * np.mean(np.array(well) > high))
    missed = round(200 * np.mean(np.array(sick) < low))
    clear = round(800 * np.mean(np.array(well) < low))
    page.goto(gradio_url)
    page.get_by_role("button", name=words.EXAMPLE.format(number=1)).click()
    expect(page.locator("answer-card")).to_be_visible()
    page.get_by_role("tab", name=words.TAB_MEANING).click()
    meaning = page.locator("number-meaning")
    page.get_by_label(words.MEANING["prevalence"]).fill("200")
    told = words.MEANING["positive"].format(told=found + alarms, found=found)
    left = 1000 - found - alarms - missed - clear
    expect(meaning).to_contain_text(told)
    expect(meaning).to_contain_text(f"{left} are left to a radiologist.")
    answer = predict(classifier, examples()[0].path.read_bytes())
    said = f"Your X-ray got {answer.p_pneumonia:.0%}"
    expect(meaning.locator(".said p").first).to_contain_text(said)
    assert meaning.locator("figure svg").count() == 3
    page.get_by_label(words.MEANING["high"]).fill("400")  # takes the lower edge along
    expect(meaning).not_to_contain_text(told)
    page.get_by_role("button", name=words.MEANING["reset"]).click()
    expect(meaning).to_contain_text(told)
    assert page.evaluate("document.body.scrollWidth <= window.innerWidth")
    take(page, "meaning")


def test_another_bundles_report_is_not_shown(classifier):
    other = dataclasses.replace(classifier, sha256="0" * 64)
    assert measurements.load(classifier, "report.json")
    assert measurements.load(other, "report.json") is None
