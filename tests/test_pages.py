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
import visits
from pictures import encode
from PIL import Image
from playwright.sync_api import expect
from visits import DRAWING, alert, choose, download, fits, on_desktop, plate, press, tab

import pneumonia
from pneumonia import LABELS, MAX_BYTES, TOO_LARGE, examples, phantoms, predict
from pneumonia.contract import METHODS, NOTICE
from pneumonia.web import measurements, report, words
from pneumonia.web.demo import batch_table
from pneumonia.words import percent

PHOTOGRAPHS = os.environ.get("PNEUMONIA_SCREENSHOTS")
if PHOTOGRAPHS:
    Path(PHOTOGRAPHS).mkdir(parents=True, exist_ok=True)


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
    page.wait_for_timeout(1000)
    frames = [frame(page)]
    visits.example(page)
    visits.shown(page)
    page.wait_for_timeout(1000)
    frames.append(frame(page))
    label, slider = page.get_by_label, page.get_by_role("slider", name="Compare")
    steps = [(label("Strength"), str(n)) for n in (80, 100, 60)]
    steps += [(slider, str(n)) for n in (40, 70, 85, 95, 0)]
    steps += [(label("Colours"), "viridis"), (label("Colours"), "cividis")]
    steps += [(label("Method"), METHODS[1]), (label("Evidence"), "Normal")]
    for control, value in steps:
        control.fill(value) if value.isdigit() else control.select_option(value)
        page.wait_for_timeout(300)
        frames.append(frame(page))
    page.close()
    film = Path(PHOTOGRAPHS) / "demo.film.webp"
    first, *others = [picture.resize((885, 570)) for picture in frames]
    first.save(film, save_all=True, append_images=others, duration=900, loop=0)
    assert film.stat().st_size < 2**20


def has_colour(canvas) -> bool:
    return canvas.evaluate(
        """canvas => canvas.getContext("2d")
        .getImageData(0, 0, canvas.width, canvas.height)
        .data.some((value, i) => i % 4 === 3 && value > 20)"""
    )


def test_the_form_answers(page, flask_url, classifier):
    expected = predict(classifier, DRAWING.read_bytes())
    page.goto(flask_url)
    expect(page.get_by_text(NOTICE)).to_be_in_viewport()
    choose(page, DRAWING)
    press(page, words.PREDICT)
    expect(page.get_by_role("heading", level=2)).to_have_text(visits.heading(expected))
    expect(page.get_by_text(NOTICE)).to_be_visible()
    assert has_colour(visits.shown(page))
    page.locator(".why summary").click()
    expect(page.get_by_text(pneumonia.say_place(expected))).to_be_visible()
    assert page.locator("xray-viewer .stage path").get_attribute("d").startswith("M")
    assert fits(page)
    visits.example(page, 5)
    truth = words.TRUTH.format(truth=examples()[4].truth)
    expect(page.locator("answer-card .truth")).to_contain_text(truth)
    visits.shown(page)
    expect(page).to_have_url(flask_url)  # the form stays


def test_the_form_works_without_any_script(visit, flask_url, tmp_path):
    page = visit(flask_url, java_script_enabled=False)
    expect(page.get_by_role("checkbox")).to_have_count(0)
    choose(page, DRAWING)
    press(page, words.PREDICT)
    overlay = page.get_by_role("img", name="rough hint")
    expect(overlay).to_be_visible()
    viewer = page.locator("xray-viewer").bounding_box()["width"]
    assert overlay.bounding_box()["width"] == pytest.approx(viewer, abs=2)
    assert viewer > 500
    expect(page.locator(".plate")).to_have_text(DRAWING.name)
    expect(page.get_by_text(words.NOT_KEPT)).to_be_visible()

    page.goto(flask_url)
    visits.example(page)
    truth = words.TRUTH.format(truth=examples()[0].truth)
    expect(page.locator(".truth")).to_contain_text(truth)
    expect(page.locator(".plate")).to_have_text(examples()[0].path.name)

    page.goto(flask_url)
    choose(page, written(tmp_path, "negative.png"))
    press(page, words.PREDICT)
    expect(alert(page)).to_contain_text(words.CHOOSE_AGAIN)  # nothing was kept
    expect(page.get_by_role("checkbox")).to_have_count(2)  # what is offered
    choose(page, written(tmp_path, "negative.png"))
    page.get_by_role("checkbox", name=words.INVERT).check()
    press(page, words.PREDICT)
    expect(page.locator(".done")).to_have_text(words.INVERTED)


PIXELS = np.asarray(Image.open(DRAWING).convert("L"))
NEGATIVE = pneumonia.SENTENCES["negative"]
REFUSED = {
    "letter.txt": (b"Dear doctor", "not a picture", []),
    "half.png": (DRAWING.read_bytes()[:5000], "damaged or incomplete", []),
    "negative.png": (encode(255 - PIXELS), NEGATIVE, [words.INVERT, words.ANYWAY]),
}
"""What a file holds, what is said of it and which buttons are offered."""


def written(folder: Path, name: str) -> Path:
    (folder / name).write_bytes(REFUSED[name][0])
    return folder / name


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_stands_in_place_each_time(page, app, tmp_path, name):
    _, said, offers = REFUSED[name]
    refusal = page.locator("#answered .error, answer-card.refused")
    app.open()
    for _ in range(2):
        app.give(written(tmp_path, name))
        expect(refusal).to_contain_text(said)
        expect(refusal.locator(".plate")).to_have_text(name)
        expect(refusal).not_to_contain_text(words.CHOOSE_AGAIN)
        for offer in offers:
            expect(refusal.get_by_role("button", name=offer)).to_be_visible()
        expect(refusal.locator("[data-offer]")).to_have_count(len(offers))
        if offers:
            expect(refusal.locator("img")).to_be_visible()
        if app.is_form:
            expect(page.get_by_role("checkbox")).to_have_count(0)
            expect(page.get_by_role("button", name=words.PREDICT)).to_be_visible()
        else:
            expect(page.get_by_role("heading", name=words.NO_ANSWER)).to_be_visible()
            expect(page.locator("#voice")).to_contain_text(name)
            page.evaluate("voice.textContent = ''")
        refusal.evaluate("refusal => refusal.remove()")  # a second one is new


def test_a_refused_file_is_kept_for_the_second_try(page, app, tmp_path):
    app.open()
    app.give(written(tmp_path, "negative.png"))
    press(page, words.INVERT)
    expect(plate(page)).to_have_text("negative.png")
    expect(page.locator("answer-card .done")).to_have_text(words.INVERTED)
    visits.shown(page)
    expect(page.get_by_role("button", name=words.ANYWAY)).to_have_count(0)
    choose(page, DRAWING)
    if app.is_form:
        expect(page.locator("answer-card")).to_have_count(0)
        press(page, words.PREDICT)
    expect(plate(page)).to_have_text(DRAWING.name)
    expect(page.locator("answer-card .done")).to_have_count(0)


def test_the_demo_answers_and_keeps_nothing(page, gradio_url, classifier):
    found = [predict(classifier, one.path.read_bytes()) for one in examples()]
    sick = [
        visits.heading(answer) == one.truth == LABELS[1]
        for answer, one in zip(found, examples(), strict=True)
    ].index(True)
    expected, heading = found[sick], visits.heading(found[sick])
    page.goto(gradio_url)
    expect(page.get_by_text(NOTICE)).to_be_in_viewport()
    visits.example(page, sick + 1)
    title = page.get_by_role("heading", name=heading, exact=True)
    expect(title).to_be_in_viewport()
    expect(page.locator("answer-card").get_by_text(words.RESEARCH)).to_be_in_viewport()
    truth = words.TRUTH.format(truth=examples()[sick].truth)
    expect(page.get_by_text(truth, exact=True)).to_be_visible()
    number = re.compile(re.escape(pneumonia.percent(expected.p_pneumonia)))
    bar = page.get_by_role("img", name=f"{words.PROBABILITY}: ")
    expect(bar).to_have_accessible_name(number)
    expect(page.locator("[aria-live]#voice")).to_contain_text(heading)
    assert has_colour(visits.shown(page))
    for text, start in (
        (words.REPORT_PDF, b"%PDF-"),
        (words.REPORT_HTML, b"<!doctype html>"),
    ):
        assert download(page, text).read_bytes().startswith(start)
    assert fits(page)
    take(page, "demo")

    sent = visits.posts(page)
    choose(page, DRAWING)
    visits.shown(page)
    expect(plate(page)).to_have_text(DRAWING.name)
    expect(page.locator("answer-card .truth")).to_have_count(0)  # who knows what it is
    # no file goes to Gradio's folder, and no name is sent
    asked = [f"{gradio_url}ask?", f"{gradio_url}picture?invert=0&turned=0"]
    assert [one.url for one in sent] == asked
    assert not any(DRAWING.name in str(one.all_headers()) for one in sent)


def test_the_viewer_changes_without_a_new_answer(page, gradio_url, classifier):
    drawing = phantoms()[1]  # with some heat in each of its maps
    label = predict(classifier, drawing.read_bytes()).label
    (other,) = {*LABELS} - {label}
    page.goto(gradio_url)
    choose(page, drawing)
    canvas = visits.shown(page)
    sent = visits.posts(page)

    def pixels():
        return canvas.evaluate("canvas => canvas.toDataURL()")

    before = pixels()
    page.get_by_label("Colours").select_option("viridis")
    expect(page.locator(f"xray-viewer canvas[data-label={label}]")).to_be_visible()
    assert pixels() != before
    page.get_by_label("Strength").fill("20")
    expect(canvas).to_have_css("opacity", "0.2")
    page.get_by_role("slider", name="Compare").focus()
    page.keyboard.press("End")
    for part in (canvas, page.locator("xray-viewer .scene svg")):
        expect(part).to_have_css("clip-path", "inset(0px 0px 0px 100%)")
    page.get_by_role("combobox", name="Evidence").select_option(other)
    drawn = page.locator(f"xray-viewer canvas[data-label={other}]")
    expect(drawn).to_have_attribute("aria-label", re.compile(other))
    before, tested = pixels(), classifier.tested[other] or METHODS[0]
    (method,) = {*METHODS} - {tested}
    assert page.get_by_label("Method").input_value() == tested
    expect(page.locator("xray-viewer .where")).to_contain_text(f"for {other}")
    page.get_by_label("Method").select_option(method)
    drawn = drawn.and_(page.locator(f"[data-method={method}]"))
    expect(drawn).to_have_attribute("aria-label", re.compile(f"{method}.*{other}"))
    caption = page.locator("xray-viewer .caption")
    expect(caption).to_contain_text(measurements.captions(classifier)[method])
    assert has_colour(canvas)
    assert pixels() != before
    with Image.open(download(page, "Save this view")) as saved:
        assert saved.width == 512
        caption = saved.convert("L").crop((0, 512, *saved.size))
        assert 20 < caption.height < 40
        assert caption.getextrema()[1] > 200
    assert sent == []


def view(page) -> dict:
    return page.evaluate(
        """() => { const { zoom, x, y, width, level, inverted, tool } =
        document.querySelector("xray-viewer").stage;
        return { zoom, x, y, width, level, inverted, tool }; }"""
    )


def test_a_picture_is_looked_at_as_readers_do(page, flask_url):
    page.goto(flask_url)
    choose(page, DRAWING)
    press(page, words.PREDICT)
    visits.shown(page)
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
    for tool, changed in (("move", "xy"), ("window", ("width", "level"))):
        press(page, words.VIEWER[f"{tool}_tool"])
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
    assert now.pop("x") < 0
    keyed = {"zoom": 1.25, "inverted": True, "tool": "compare"}
    assert now.items() >= keyed.items()
    inverted = page.get_by_role("button", name=words.VIEWER["invert"], exact=True)
    expect(inverted).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("0")
    assert view(page) == as_it_was
    assert fits(page)


PASTE = """(bytes) => {
  const given = new DataTransfer();
  const data = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0));
  given.items.add(new File([data], "x.png", { type: "image/png" }));
  document.querySelector("h1").dispatchEvent(new ClipboardEvent(
    "paste", { bubbles: true, cancelable: true, clipboardData: given }));
}"""


def test_what_is_pasted_anywhere_is_taken(page, app):
    app.open()
    for _ in range(2):  # again, where an answer stands already
        page.evaluate(PASTE, base64.b64encode(DRAWING.read_bytes()).decode())
        if app.is_form:
            press(page, words.PREDICT)
        expect(plate(page)).to_have_text("x.png")
        visits.shown(page)
        expect(page.get_by_role("heading", level=2)).to_have_count(1)
        page.evaluate("document.querySelector('answer-card').remove()")


def marked(folder: Path, number: int) -> Path:
    """A drawing that is seconds on a slow line, with a corner that says its number."""
    drawing = np.asarray(Image.open(phantoms()[number % 3]).convert("L")) // 2
    drawing = drawing + np.random.default_rng(number).integers(0, 16, drawing.shape)
    drawing[:32, :32] = 20 * number
    (folder / f"{number}.png").write_bytes(encode(drawing.astype(np.uint8)))
    return folder / f"{number}.png"


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


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_each_answer_stands_beside_its_own_file_on_a_slow_line(
    page, gradio_url, tmp_path
):
    page.goto(gradio_url)
    page.locator("one-xray answer-card").wait_for()
    page.evaluate(WATCH)
    visits.slow_down(page, downloadThroughput=125_000, uploadThroughput=125_000)
    for number in range(10):
        visits.let_fall(page, marked(tmp_path, number))
        expect(page.locator("one-xray .plate")).to_have_text(f"{number}.png")
        if number % 3 == 0:  # the next one falls as soon as this one is answered
            expect(plate(page)).to_have_text(f"{number}.png")
        elif number % 3 == 1:  # or while it is sent, or at once
            page.wait_for_timeout(300 * number)
    expect(plate(page)).to_have_text("9.png")
    page.wait_for_timeout(3000)  # nothing comes late
    expect(page.locator("one-xray .plate")).to_have_text("9.png")
    seen = {(name, number_of(address)) for name, address in page.evaluate("seen")}
    assert {(f"{number}.png", number) for number in (0, 3, 6, 9)} <= seen
    assert all(name == f"{number}.png" for name, number in seen)
    assert len(page.context.pages) == 1


def test_a_drop_never_leaves_the_form(page, flask_url, tmp_path):
    page.goto(flask_url)
    preview = page.get_by_role("img", name=words.PREVIEW)
    expect(preview).to_be_hidden()
    for number in (1, 2):  # also where an answer stands already
        visits.let_fall(page, marked(tmp_path, number))
        expect(preview).to_be_visible()
        expect(page.locator("answer-card")).to_have_count(0)
        press(page, words.PREDICT)
        expect(plate(page)).to_have_text(f"{number}.png")
    page.get_by_role("link", name="API").click()
    page.get_by_role("heading", name="API", exact=True).wait_for()
    visits.let_fall(page, marked(tmp_path, 3))
    page.wait_for_timeout(500)
    assert page.url == f"{flask_url}api"


def packed(folder: Path, count: int) -> Path:
    with zipfile.ZipFile(folder / "many.zip", "w") as archive:
        for number in range(count):
            archive.write(DRAWING, f"{number}.png")
    return folder / "many.zip"


def test_a_drop_never_leaves_the_demo(page, gradio_url, tmp_path):
    page.goto(gradio_url)
    page.locator("one-xray answer-card").wait_for()
    tab(page, words.TAB_MEANING)
    visits.let_fall(page, marked(tmp_path, 1))  # this tab takes none: the first answers
    expect(plate(page)).to_have_text("1.png")
    tab(page, words.TAB_MANY)
    visits.let_fall(page, packed(tmp_path, 50))
    expect(page.locator("progress")).to_be_visible()
    visits.let_fall(page, marked(tmp_path, 2))
    expect(alert(page)).to_contain_text(words.BUSY_BATCH)
    press(page, words.STOP)
    expect(alert(page)).to_have_count(0)
    expect(page.locator("batch-table")).to_be_visible()
    assert page.url == gradio_url
    assert len(page.context.pages) == 1


@pytest.fixture
def folder(tmp_path):
    """X-rays in a folder of folders, with what systems leave beside them."""
    for name in ("0/deep/x.png", "1/deep/x.png", ".DS_Store", "__MACOSX/x.png"):
        path = tmp_path / "film" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(phantoms()[name[0] == "1"], path)
    return tmp_path / "film"


@pytest.fixture
def large(tmp_path):
    with (tmp_path / "x.dcm").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    return tmp_path / "x.dcm"


@on_desktop
def test_a_folder_is_read_where_many_are_taken(page, gradio_url, folder, large):
    (folder.parent / "empty").mkdir()
    page.goto(gradio_url)
    tab(page, words.TAB_YOURS)
    visits.let_fall(page, folder)
    about = words.YOURS["about"].format(files=2, normal=0, pneumonia=0)
    expect(page.locator("yours-room .measured")).to_contain_text(about)
    expect(page.locator("yours-room")).to_contain_text("film/0/deep/x.png")
    tab(page, words.TAB_MANY)
    visits.let_fall(page, folder.parent / "empty")
    expect(alert(page)).to_have_text(words.UNREAD_FOLDER)
    visits.let_fall(page, folder)
    expect(page.locator("batch-table tbody tr")).to_have_count(2)
    expect(page.locator("batch-table")).to_contain_text("x.png (2)")
    expect(alert(page)).to_have_count(0)
    sent = visits.posts(page)
    choose(page, large, shutil.copy(large, folder / "y.dcm"))
    expect(alert(page)).to_have_text(words.TOO_MUCH.format(size=65, limit=64))
    assert sent == []


@on_desktop
@pytest.mark.parametrize("what", ["a folder", "two files", "a large file"])
def test_what_is_not_one_xray_is_refused_before_it_is_sent(
    page, app, folder, large, what
):
    given, said = {
        "a folder": ([folder], words.FOLDER if app.is_form else words.FOLDER_HERE),
        "two files": (phantoms()[:2], words.ONE if app.is_form else words.ONE_HERE),
        "a large file": ([large], f"x.dcm{TOO_LARGE.format(size=33, limit=32)}"),
    }[what]
    stands = page.locator(".preview:visible" if app.is_form else "answer-card")
    app.open()
    for _ in range(2):
        visits.let_fall(page, DRAWING)
        expect(stands).to_have_count(1)
        if not app.is_form:
            visits.shown(page)
        expect(alert(page)).to_have_count(0)
        sent = visits.posts(page)
        visits.let_fall(page, *given)
        expect(alert(page)).to_have_text(said)
        expect(stands).to_have_count(0)  # it was of another picture
        assert visits.field(page).evaluate("field => field.files.length") == 0
        assert sent == []
    visits.example(page)  # something else is asked for
    expect(page.locator("answer-card")).to_be_visible()
    expect(alert(page)).to_have_count(0)


ELSEWHERE = "https://example.org/xray.jpeg"
NO_FILES = {
    "link": {"text/uri-list": ELSEWHERE, "text/html": f"<img src='{ELSEWHERE}'>"},
    "text": {"text/plain": "an X-ray"},
}


@on_desktop
@pytest.mark.parametrize("what", NO_FILES)
def test_what_holds_no_file_is_said(page, gradio_url, flask_url, what):
    items = [{"mimeType": k, "data": v} for k, v in NO_FILES[what].items()]
    page.goto(gradio_url)
    page.locator("one-xray answer-card").wait_for()
    for name in (words.TAB_ONE, words.TAB_MANY, words.TAB_YOURS, words.TAB_MEANING):
        tab(page, name)
        visits.let_fall(page, items=items)
        expect(alert(page)).to_have_text(words.NO_FILE)
    one = page.get_by_role("tab", name=words.TAB_ONE)
    expect(one).to_have_attribute("aria-selected", "true")
    visits.let_fall(page, DRAWING)
    visits.shown(page)
    visits.let_fall(page, items=items)
    expect(alert(page)).to_have_text(words.NO_FILE)
    visits.shown(page)  # what was answered stays
    page.goto(flask_url)
    visits.let_fall(page, items=items)
    expect(alert(page)).to_have_text(words.NO_FILE)
    assert page.url == flask_url
    assert len(page.context.pages) == 1


def test_the_demo_answers_a_batch(page, gradio_url, tmp_path):
    pack = tmp_path / "many.zip"
    with zipfile.ZipFile(pack, "w") as archive:
        for one in examples()[:3]:
            archive.write(one.path, f"in/{one.path.name}")
    page.goto(gradio_url)
    tab(page, words.TAB_MANY)
    choose(page, pack, written(tmp_path, "letter.txt"))
    rows = page.locator("batch-table tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.last).to_contain_text(words.NO_ANSWER)
    expect(page.get_by_role("table").get_by_role("row")).to_have_count(5)
    region = page.get_by_role("region", name=words.TABLE)  # nothing hides sideways
    assert region.evaluate("region => region.scrollWidth <= region.clientWidth")
    assert fits(page)
    take(page, "batch")

    head = page.get_by_role("columnheader", name="Probability")
    for order in ("ascending", "descending"):
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", order)
        expect(rows.last).to_contain_text("letter.txt")  # in either order
        cells = page.locator("tbody td[data-value]").evaluate_all(
            "cells => cells.map(cell => Number(cell.dataset.value))"
        )
        assert cells[:-1] == sorted(cells[:-1], reverse=order == "descending")
    table = download(page, words.DOWNLOAD_CSV, "link")
    assert table.read_text().count("\n") == 5
    with zipfile.ZipFile(download(page, words.DOWNLOAD_OVERLAYS, "link")) as archive:
        assert len(archive.namelist()) == 3

    page.get_by_role("button", name="xray-02").focus()
    page.keyboard.press("Enter")
    visits.shown(page)
    dialog = page.get_by_role("dialog")
    second = re.compile("xray-02")
    expect(dialog).to_have_accessible_name(second)
    seen = set()
    for _ in range(4):  # all of them, and round to the first
        dialog.get_by_role("button", name=words.NEXT).click()
        expect(dialog.get_by_role("heading", level=2)).to_have_count(1)
        seen.add(dialog.get_by_role("heading", level=2).inner_text())
    assert words.NO_ANSWER in seen
    expect(dialog).to_have_accessible_name(second)
    page.keyboard.press("ArrowRight")
    expect(dialog).not_to_have_accessible_name(second)
    page.keyboard.press("ArrowLeft")
    expect(dialog).to_have_accessible_name(second)
    dialog.get_by_role("button", name=words.PREVIOUS).click()
    expect(dialog).not_to_have_accessible_name(second)
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)


def test_a_stopped_batch_keeps_what_is_answered(page, gradio_url, tmp_path):
    count = batch_table.MAX_FILES
    page.goto(gradio_url)
    tab(page, words.TAB_MANY)
    stop = page.get_by_role("button", name=words.STOP)
    expect(stop).to_have_count(0)
    choose(page, packed(tmp_path, count))
    expect(page.locator("progress")).to_have_attribute("value", re.compile("[1-9]"))
    stop.click()
    rows = page.locator("batch-table tbody tr")
    expect(rows.first).to_be_visible()
    done = rows.count()
    assert 0 < done < count
    stopped = words.STOPPED.format(count=count - done)
    expect(page.locator("batch-table")).to_contain_text(stopped)
    table = download(page, words.DOWNLOAD_CSV, "link")
    assert table.read_text().count("\n") == done + 1
    expect(stop).to_have_count(0)

    choose(page, *phantoms()[:2])  # the next one is not stopped
    expect(rows).to_have_count(2)


def test_the_report_prints_on_one_page(visit, classifier, tmp_path):
    tall = Image.fromarray(PIXELS[:, 100:400]).resize((900, 1800))
    answer = predict(classifier, encode(tall), anyway=True)
    warnings = ("outside_population", "first_frame", "empty_heat_map")
    prediction = dataclasses.replace(answer, warnings=warnings)
    path = tmp_path / "report.html"
    path.write_bytes(report.write_html(report.gather(classifier, prediction)))
    printed = visit(path.as_uri()).pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type /Page\b", printed)) == 1


def test_the_demo_counts_people(page, gradio_url, classifier):
    well, sick = measurements.load(classifier, "report.json")["answers"].values()
    low, high = classifier.uncertain_band
    found = round(200 * np.mean(np.array(sick) > high))
    alarms = round(800 * np.mean(np.array(well) > high))
    missed = round(200 * np.mean(np.array(sick) < low))
    clear = round(800 * np.mean(np.array(well) < low))
    page.goto(gradio_url)
    visits.example(page)
    expect(page.locator("answer-card")).to_be_visible()
    tab(page, words.TAB_MEANING)
    meaning = page.locator("number-meaning")
    page.get_by_label(words.MEANING["prevalence"]).fill("200")
    told = words.MEANING["positive"].format(told=found + alarms, found=found)
    left = 1000 - found - alarms - missed - clear
    expect(meaning).to_contain_text(told)
    expect(meaning).to_contain_text(f"{left} are left to a radiologist.")
    answer = predict(classifier, examples()[0].path.read_bytes())
    said = f"Your X-ray got {percent(answer.p_pneumonia)}"
    expect(meaning.locator(".said p").first).to_contain_text(said)
    assert meaning.locator("figure svg").count() == 3
    page.get_by_label(words.MEANING["high"]).fill("400")  # takes the lower edge along
    expect(meaning).not_to_contain_text(told)
    press(page, words.MEANING["reset"])
    expect(meaning).to_contain_text(told)
    assert fits(page)
    take(page, "meaning")
