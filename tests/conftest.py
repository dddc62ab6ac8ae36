"""What tests share: the shipped classifier, phantoms, X-rays, a browser, both apps.

And what a test needs, so that `make quick` can leave out what is slow to have.
"""

import os
import re
import shutil
import signal
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from servers import in_thread

from pneumonia import load_classifier, phantoms

# A job in the background of a shell ignores Ctrl-C, and so would what tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

SERVING = ("demo_port", "flask_url", "gradio_url", "live")
NEEDED_BY = dict.fromkeys(SERVING, "server")
NEEDED_BY |= {"browser": "browser", "xrays": "xrays"}
"""What the tests that take a fixture, directly or not, need: fixture and marker."""

LEFT_OUT = ("install", "keras", "slow", "server", "browser", "xrays")
"""Markers of tests that `--quick` leaves out, and the order of those that begin first.

pyproject.toml says what each means.
"""

FRAMEWORKS = {"keras", "tensorflow", "torch", "jax"}
SERVERS = re.compile(
    r"\b(demo|flask_app|app)\.py\b|'serve'(?!.*--help)|gunicorn|chrom(e|ium)\b"
)
_WHOLE_FILE = re.compile(
    rf"^pytestmark = .*\bmark\.({'|'.join(LEFT_OUT)})\b", re.MULTILINE
)
LOCAL = re.compile(r"(https?|ws)://127\.0\.0\.1[:/]|data:|blob:|file:")
SIZES = {
    "desktop": {"width": 1280, "height": 900},
    "phone": {"width": 390, "height": 844},
}


def pytest_addoption(parser):
    told = f"leave out what is marked {', '.join(LEFT_OUT)}; fail where a test needs it"
    parser.addoption("--quick", action="store_true", help=told)


def pytest_configure(config):
    if config.option.quick:
        left_out = f"not ({' or '.join(LEFT_OUT)})"
        asked = config.option.markexpr
        if left_out not in asked:  # a worker of xdist has got it
            config.option.markexpr = f"({asked}) and {left_out}" if asked else left_out
        forbid()


def forbid():
    """Let whatever starts a server or a browser fail, or loads what trains."""

    def refuse(*args):
        pytest.fail("A quick test started a server: mark it `server`.")

    def watch(event, args):
        if event == "subprocess.Popen" and SERVERS.search(repr(args[1])):
            pytest.fail("A quick test started an app or a browser: mark it `server`.")
        if event == "import" and args[0] in FRAMEWORKS:
            mark = "`keras`, a whole file by `pytestmark = pytest.mark.keras`"
            pytest.fail(f"A quick test imports {args[0]}: mark it {mark}.")

    socket.socket.listen = refuse
    sys.addaudithook(watch)


def pytest_make_parametrize_id(val, argname):
    """Name no bytes: a zip holds the time, and two workers would see other tests."""
    return argname if isinstance(val, bytes) else None


def pytest_ignore_collect(collection_path, config):
    # To import a file of tests for Keras takes seconds, before a test is left out.
    tests = config.option.quick and collection_path.match("test_*.py")
    return True if tests and _WHOLE_FILE.search(collection_path.read_text()) else None


@pytest.hookimpl(tryfirst=True)  # before what -m leaves out is left out
def pytest_collection_modifyitems(items):
    for item in items:
        for name in NEEDED_BY.keys() & set(item.fixturenames):
            item.add_marker(NEEDED_BY[name])

    def haste(item):
        found = [n for n, name in enumerate(LEFT_OUT) if item.get_closest_marker(name)]
        return found[0] if found else len(LEFT_OUT)

    # What takes long begins first, else the last of it runs beside an idle worker.
    items.sort(key=haste)


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


@pytest.fixture
def visit(browser):
    """Open pages; fail on a request to elsewhere, or an error that nobody caught."""
    pages, faults = [], []

    def visit(url=None, size="desktop", **options):
        page = browser.new_page(viewport=SIZES[size], **options)
        page.set_default_timeout(60_000)
        page.on("request", lambda r: LOCAL.match(r.url) or faults.append(r.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        pages.append(page)
        if url:
            page.goto(url)
        return page

    yield visit
    for page in pages:
        page.close()
    assert faults == []


@pytest.fixture(params=SIZES)
def page(request, visit):
    return visit(size=request.param)


@pytest.fixture(params=["demo", "form"])
def app(request, page):
    from visits import App

    is_form = request.param == "form"
    url = request.getfixturevalue("flask_url" if is_form else "gradio_url")
    return App(page, url, is_form)


@pytest.fixture(scope="session")
def classifier():
    return load_classifier()


@pytest.fixture(scope="session")
def phantom_bytes() -> bytes:
    return phantoms()[0].read_bytes()


@pytest.fixture(scope="session")
def photograph() -> bytes:
    """A colour picture that no lungs can be found in."""
    from pictures import encode

    down, right = np.mgrid[:300, :260]
    red = 128 + 127 * np.sin(down / 37 + right / 90)
    blue = 128 + 127 * np.cos(down / 80 - right / 29)
    return encode(np.stack([red, 255 - red, blue], axis=-1).astype(np.uint8))


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
    from pneumonia.data.folder import load

    return load(xrays, progress=False)


@pytest.fixture(scope="session")
def held_out(all_xrays):
    """The patients that the shipped bundle did not learn from."""
    from pneumonia.data.folder import split

    return split(all_xrays)[1]


@pytest.fixture(scope="session")
def answers(classifier, held_out):
    """What the shipped graph gives for each of them."""
    from pneumonia.evaluation.evaluate import run_all

    return run_all(classifier, held_out.images, progress=False)


@pytest.fixture(scope="module")
def flask_url(classifier):
    from werkzeug.serving import make_server

    from pneumonia.web.form.app import create_app

    app = create_app(classifier)
    with in_thread(make_server("127.0.0.1", 0, app, threaded=True)) as url:
        yield url


@pytest.fixture(scope="module")
def gradio_url(classifier):
    from pneumonia.web.demo import app as demo

    app = demo.build_demo(classifier)
    url, _ = demo.launch(app)
    yield url
    app.close()
