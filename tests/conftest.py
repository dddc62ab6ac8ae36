"""What tests share: the shipped classifier, phantoms, X-rays, a browser, both apps."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from pneumonia import load_classifier, phantoms
from pneumonia.data.folder import load, split

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")


FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")  # its event loop must not outlast the pages' tests
def browser():
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def classifier():
    return load_classifier()


@pytest.fixture(scope="session")
def phantom_bytes() -> bytes:
    return phantoms()[0].read_bytes()


@pytest.fixture(scope="session")
def xrays() -> Path:
    """The folder with train/{NORMAL,PNEUMONIA}; without it the test is skipped."""
    folder = os.environ.get("PNEUMONIA_DATA")
    if not folder:
        pytest.skip("PNEUMONIA_DATA names no folder of X-rays")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def all_xrays(xrays):
    """All X-rays of the folder, decoded."""
    return load(xrays, progress=False)


@pytest.fixture(scope="session")
def held_out(all_xrays):
    """The patients that the shipped bundle did not learn from."""
    _, validation = split(all_xrays)
    return validation


@pytest.fixture(scope="session")
def answers(classifier, held_out):
    """What the shipped graph gives for each of them."""
    from pneumonia.evaluation.evaluate import (
        run_all,  # a second that most tests need not wait
    )

    return run_all(classifier, held_out.images, progress=False)


@pytest.fixture(scope="module")
def flask_url(classifier):
    from werkzeug.serving import make_server

    import flask_app

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
    import demo

    app = demo.build_demo(classifier)
    url, _ = demo.launch(app)
    yield url
    app.close()
    app.private_cache.close()
