"""What tests share: the shipped classifier, phantoms, X-rays, a browser, both apps.

And what a test needs, so that `make quick` can leave out what is slow to have.
"""

import os
import re
import shutil
import socket
import sys
import threading
from pathlib import Path

import pytest

from pneumonia import load_classifier, phantoms

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

NEEDED_BY = {
    "browser": "browser",
    "demo_port": "server",
    "empty": "install",
    "flask_url": "server",
    "form_port": "server",
    "gradio_url": "server",
    "live": "server",
    "xrays": "xrays",
}
"""What the tests that take a fixture, directly or not, need: fixture and marker."""

LEFT_OUT = ("keras", "browser", "server", "xrays", "install", "slow")
"""Markers of tests that `--quick` leaves out; pyproject.toml says what each means."""

FRAMEWORKS = {"keras", "tensorflow", "torch", "jax"}
SERVERS = re.compile(
    r"\b(demo|flask_app|app)\.py\b|'serve'(?!.*--help)|gunicorn|chrom(e|ium)\b"
)
_WHOLE_FILE = re.compile(
    rf"^pytestmark = .*\bmark\.({'|'.join(LEFT_OUT)})\b", re.MULTILINE
)


def pytest_addoption(parser):
    parser.addoption(
        "--quick",
        action="store_true",
        help=f"leave out what is marked {', '.join(LEFT_OUT)}, and fail where a test "
        "needs one of them all the same",
    )


def pytest_configure(config):
    if config.option.quick:
        left_out = f"not ({' or '.join(LEFT_OUT)})"
        asked = config.option.markexpr
        if left_out not in asked:  # a worker of xdist has got it
            config.option.markexpr = f"({asked}) and {left_out}" if asked else left_out
        forbid_servers()


def forbid_servers():
    """Let whatever starts a server or a browser in this process fail."""

    def refuse(*args):
        pytest.fail("A quick test started a server: mark it `server`.")

    def watch(event, args):
        if event == "subprocess.Popen" and SERVERS.search(repr(args[1])):
            pytest.fail("A quick test started an app or a browser: mark it `server`.")

    socket.socket.listen = refuse
    sys.addaudithook(watch)


def pytest_ignore_collect(collection_path, config):
    # To import a file of tests for Keras takes seconds, before a test is left out.
    tests = config.option.quick and collection_path.match("test_*.py")
    if tests and _WHOLE_FILE.search(collection_path.read_text()):
        return True
    return None


@pytest.hookimpl(tryfirst=True)  # before what -m leaves out is left out
def pytest_collection_modifyitems(config, items):
    for item in items:
        for name in NEEDED_BY.keys() & set(item.fixturenames):
            item.add_marker(NEEDED_BY[name])
    # What takes long begins first, else the last of it runs beside an idle worker.
    items.sort(key=_haste)


def _haste(item):
    """Tell when a test begins: lower is earlier."""
    slow = ("install", "keras", "slow", "server", "browser", "xrays")
    found = [n for n, name in enumerate(slow) if item.get_closest_marker(name)]
    return found[0] if found else len(slow)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    before = FRAMEWORKS & sys.modules.keys()
    report = yield
    loaded = (FRAMEWORKS & sys.modules.keys()) - before
    if collector.config.option.quick and loaded:
        report.outcome = "failed"
        report.longrepr = (
            f"{collector.nodeid} imports {', '.join(sorted(loaded))}: mark it by "
            "`pytestmark = pytest.mark.keras`, or import where it is needed."
        )
    return report


@pytest.fixture(autouse=True)
def no_framework(request):
    """Let a quick test fail that imports what trains."""
    before = FRAMEWORKS & sys.modules.keys()
    yield
    loaded = (FRAMEWORKS & sys.modules.keys()) - before
    if request.config.option.quick and loaded:
        pytest.fail(f"This imports {', '.join(sorted(loaded))}: mark it `keras`.")


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
    from pneumonia.data.folder import load

    return load(xrays, progress=False)


@pytest.fixture(scope="session")
def held_out(all_xrays):
    """The patients that the shipped bundle did not learn from."""
    from pneumonia.data.folder import split

    _, validation = split(all_xrays)
    return validation


@pytest.fixture(scope="session")
def answers(classifier, held_out):
    """What the shipped graph gives for each of them."""
    from pneumonia.evaluation.evaluate import run_all

    return run_all(classifier, held_out.images, progress=False)


@pytest.fixture(scope="module")
def flask_url(classifier):
    from werkzeug.serving import make_server

    from pneumonia.web.form import app as flask_app

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
    from pneumonia.web.demo import app as demo

    app = demo.build_demo(classifier)
    url, _ = demo.launch(app)
    yield url
    app.close()
