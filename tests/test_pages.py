"""Both apps in a real browser: an X-ray in, an answer out, nothing asked of others.

With PNEUMONIA_SCREENSHOTS=docs the README's picture is taken again.
"""

import os
import re
import shutil
import threading

import pytest
from playwright.sync_api import expect, sync_playwright
from werkzeug.serving import make_server

import demo
import flask_app
from pneumonia import NOTICE, phantoms, predict

expect.set_options(timeout=30_000)  # a busy machine answers late
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def page(request, browser):
    """A page that fails the test on a request to anywhere but this machine."""
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(30_000)
    foreign = []
    page.on("request", lambda r: is_local(r.url) or foreign.append(r.url))
    yield page
    page.close()
    assert foreign == []


def is_local(url: str) -> bool:
    return bool(re.match(r"(https?|ws)://127\.0\.0\.1[:/]|data:|blob:", url))


@pytest.fixture(scope="module")
def flask_url(classifier):
    server = make_server(
        "127.0.0.1", 0, flask_app.create_app(classifier), threaded=True
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="module")
def gradio_url(classifier):
    app = demo.build_demo(classifier)
    url, _ = demo.launch(app)
    yield url
    app.close()
    app.private_cache.close()


def test_flask_answers(page, flask_url, classifier):
    picture = phantoms()[0]
    expected = predict(classifier, picture.read_bytes())
    page.goto(flask_url)
    expect(page.get_by_text(NOTICE)).to_be_visible()
    page.get_by_label("Chest X-ray").set_input_files(picture)
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("heading", level=2)).to_have_text(
        expected.label if expected.certain else "Uncertain"
    )
    overlay = page.get_by_role("img", name=f"evidence for {expected.label}")
    assert overlay.evaluate("image => image.naturalWidth") == 512
    expect(page.get_by_text(NOTICE)).to_be_visible()
    assert page.evaluate("document.body.scrollWidth <= window.innerWidth")


def test_flask_explains_a_wrong_file_and_keeps_the_form(page, flask_url, tmp_path):
    (tmp_path / "letter.txt").write_text("Dear doctor")
    page.goto(flask_url)
    page.get_by_label("Chest X-ray").set_input_files(tmp_path / "letter.txt")
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("alert")).to_contain_text("not a picture")
    expect(page.get_by_role("button", name="Predict")).to_be_visible()


def test_gradio_answers(page, gradio_url, classifier):
    picture = phantoms()[0]  # its heat map is not empty
    expected = predict(classifier, picture.read_bytes())
    page.goto(gradio_url)
    expect(page.get_by_text(NOTICE)).to_be_in_viewport()
    page.locator("input[type=file]").first.set_input_files(picture)
    heading = expected.label if expected.certain else "Uncertain"
    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    percent = f"{expected.probabilities['Pneumonia']:.0%}"
    expect(page.get_by_text(percent, exact=True)).to_be_visible()
    expect(page.locator("img[src*='.png']").last).to_be_visible()
    assert page.evaluate("document.body.scrollWidth <= window.innerWidth")
    folder = os.environ.get("PNEUMONIA_SCREENSHOTS")
    if folder and page.viewport_size["width"] > 1000:
        page.wait_for_timeout(2000)  # the bars grow slowly
        page.screenshot(path=f"{folder}/demo.png")


def test_gradio_answers_a_drawing_at_one_click(page, gradio_url, classifier):
    expected = predict(classifier, phantoms()[0].read_bytes())
    page.goto(gradio_url)
    page.locator(".gallery-item").first.click()
    heading = expected.label if expected.certain else "Uncertain"
    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()


def test_gradio_explains_a_damaged_file(page, gradio_url, tmp_path):
    (tmp_path / "half.png").write_bytes(phantoms()[0].read_bytes()[:5000])
    page.goto(gradio_url)
    page.locator("input[type=file]").first.set_input_files(tmp_path / "half.png")
    expect(page.get_by_text("damaged or incomplete")).to_be_visible()
