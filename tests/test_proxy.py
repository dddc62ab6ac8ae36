"""Both apps below a path of a proxy that strips it, which may say so or may not."""

import argparse
import contextlib
import http.client
import http.server
import re
from urllib.parse import urljoin

import gradio_client
import pytest
import requests
import schemathesis
import visits
from playwright.sync_api import expect
from servers import in_thread
from visits import DRAWING, choose, press

from pneumonia import predict
from pneumonia.reading.image import read_picture
from pneumonia.web import door, words
from pneumonia.web.demo import app as demo
from pneumonia.web.demo import asgi

pytestmark = pytest.mark.server

KEY = door.Credentials("ann", "secret")
PREFIX = "/xray"
ANNOUNCED = {"X-Forwarded-Prefix": PREFIX}
HOSTILE = (
    "//evil.example",
    "https://evil.example",
    "/x\"><script src='//evil.example'>",
    "/../evil",
    "/x//evil",
    "/x?y=",
    "\\evil",
    "evil",
    "/" + "x" * 2000,
)
_HOP = ("connection", "transfer-encoding", "accept-encoding")


class Proxy(http.server.ThreadingHTTPServer):
    """Shows the server at `port` below `PREFIX`; notes who asks for anything else.

    Args:
        port: of an app on this machine.
        headers: that it adds to each request.
    """

    daemon_threads = True

    def __init__(self, port: int, headers: dict[str, str]):
        super().__init__(("127.0.0.1", 0), _Passing)
        self.port, self.headers, self.strangers = port, headers, []


class _Passing(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = re.fullmatch(rf"{PREFIX}([/?].*)?", self.path)
        if not path:
            self.server.strangers.append(f"{self.command} {self.path}")
            self.send_error(404)
            return
        path = path[1] or "/"
        path = path if path.startswith("/") else f"/{path}"
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        app = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)
        with contextlib.closing(app), contextlib.suppress(OSError):  # the client left
            app.request(self.command, path, body, headers | self.server.headers)
            answer = app.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.end_headers()
            while part := answer.read1(2**16):
                self.wfile.write(part)
                self.wfile.flush()

    do_POST = do_GET  # noqa: N815

    def log_message(self, *args) -> None:
        """Do not log."""


@contextlib.contextmanager
def proxied(port: int, headers: dict[str, str]):
    """Put a proxy before an app; nothing may be sent to anything beside the app."""
    with Proxy(port, headers) as proxy, in_thread(proxy) as url:
        yield f"{url.rstrip('/')}{PREFIX}"
    assert not [asked for asked in proxy.strangers if asked.startswith("POST")]


@pytest.fixture(params=[{}, ANNOUNCED], ids=["silent", "announced"])
def headers(request):
    return request.param


@pytest.fixture
def form(flask_url, headers):
    with proxied(int(flask_url.rpartition(":")[2].strip("/")), headers) as url:
        yield url


@pytest.fixture(scope="module", params=[None, KEY], ids=["open", "locked"])
def demo_port(request, classifier):
    app = demo.build_demo(classifier, read_picture)
    demo.launch(app, auth=request.param)
    yield app.blocks.server_port
    app.close()


@pytest.fixture
def locked(demo_port, request):
    return request.node.callspec.params["demo_port"] is KEY


def watched(page, url: str) -> list[str]:
    """Return a list that grows by each request of the page to elsewhere."""
    beside = []
    inside = (f"{url}/", "data:", "blob:")
    page.on("request", lambda r: r.url.startswith(inside) or beside.append(r.url))
    return beside


@pytest.fixture(scope="module")
def heading(classifier):
    return visits.heading(predict(classifier, DRAWING.read_bytes()))


def test_the_form_answers_in_a_browser(visit, form, heading):
    page = visit()
    beside = watched(page, form)
    page.goto(f"{form}/")
    choose(page, DRAWING)
    press(page, words.PREDICT)
    expect(page.get_by_role("heading", level=2)).to_have_text(heading)
    visits.shown(page)  # by its scripts
    page.get_by_role("link", name=words.AGAIN).click()
    expect(page.get_by_label("Chest X-ray")).to_be_visible()
    assert page.url == f"{form}/"
    page.get_by_role("link", name="API").click()
    address = f"{form}/api/predict?overlay=1"
    expect(page.get_by_text("curl -F")).to_contain_text(address)
    page.get_by_role("link", name="openapi.json").click()
    assert page.url == f"{form}/openapi.json"
    page.goto(f"{form}/no/such/page")  # an error deep in the form leads back
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("form")).to_have_count(0)  # from here it could lead astray
    page.get_by_role("link", name=words.AGAIN).click()
    assert page.url == f"{form}/"
    assert beside == []


def test_an_upload_stays_with_the_form_where_the_slash_is_missing(visit, form, heading):
    page = visit(f"{form}?x=1", java_script_enabled=False)
    choose(page, DRAWING)
    press(page, words.PREDICT)
    expect(page.get_by_role("heading", level=2)).to_have_text(heading)
    assert page.url == f"{form}?"


def test_programs_reach_the_form(form, headers, phantom_bytes):
    files = {"image": phantom_bytes}
    for path in ("/static/answer.css", "/static/page.js", "/healthz", "/api"):
        assert requests.get(form + path).status_code == 200
    page = requests.post(f"{form}/", files=files)
    assert page.status_code == 200
    assert not re.search(r"""(href|src|action)=["'](/|https?:)""", page.text)
    place = f"{form}/openapi.json"
    (server,) = requests.get(place).json()["servers"]
    address = urljoin(place, server["url"]).rstrip("/")
    answer = requests.post(f"{address}/api/predict", files=files)
    assert answer.status_code == 200
    assert answer.url == f"{form}/api/predict"
    if headers:  # without, this program does not resolve the address, which is relative
        api = schemathesis.openapi.from_url(place)
        case = api["/api/predict"]["POST"].Case(body={"image": phantom_bytes})
        assert case.call_and_validate().request.url == f"{form}/api/predict"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("//", 200),  # from a proxy that strips one slash too few
        ("//api/predict", 200),
        ("/api//predict", 404),
        ("/api/predict/", 404),
    ],
)
def test_the_form_sends_no_upload_elsewhere(form, phantom_bytes, path, status):
    answer = requests.post(form + path, files={"image": phantom_bytes})
    assert (answer.url, answer.status_code) == (form + path, status)
    assert not answer.history


def said(url: str, prefix: str | None = None) -> bytes:
    headers = {} if prefix is None else {"X-Forwarded-Prefix": prefix}
    return requests.get(url, headers=headers).content


def test_a_hostile_prefix_changes_nothing(flask_url, demo_port):
    demo = f"http://127.0.0.1:{demo_port}/"
    pages = [flask_url + path for path in ("", "api", "openapi.json", "none")]
    pages += [demo + path for path in ("", "config", "gradio_api/info")]
    for page in pages:
        assert {said(page, text) for text in HOSTILE} == {said(page)}, page


def test_the_prefix_is_for_the_api_alone(flask_url):
    for path, count in (("", 0), ("api", 1), ("openapi.json", 1)):
        page = said(flask_url + path, PREFIX).decode()
        assert len(re.findall(rf"{PREFIX}(?!-\d)", page)) == count  # no example's name
    address = f"{flask_url.rstrip('/')}{PREFIX}</span>/api/predict"
    assert address in said(f"{flask_url}api", PREFIX).decode()


@pytest.mark.parametrize(
    ("text", "path"),
    [("/xray", "/xray"), ("/a/b-1.0/", "/a/b-1.0"), ("/", ""), ("", "")]
    + [(text, None) for text in HOSTILE],
)
def test_a_root_path_is_a_plain_path(text, path):
    if path is not None:
        assert door.root_path(text) == path
        assert door.prefix("", text) == path
        return
    with pytest.raises(argparse.ArgumentTypeError):
        door.root_path(text)
    assert door.prefix("", text) == ""
    assert door.prefix("/mine", text) == "/mine"


@pytest.mark.parametrize("start", ["/", "?__theme=dark"])
def test_the_demo_answers_in_a_browser(
    visit, heading, demo_port, locked, start, headers
):
    page = visit()
    with proxied(demo_port, headers) as url:
        beside = watched(page, url)
        page.goto(f"{url}{start}")
        if locked:
            page.get_by_label("username").fill(KEY.user)
            page.get_by_label("password").fill(KEY.password)
            press(page, "Login")
        choose(page, DRAWING)
        title = page.get_by_role("heading", name=heading, exact=True)
        expect(title).to_be_in_viewport()
        visits.shown(page)  # by its scripts
        paths = {cookie["path"] for cookie in page.context.cookies()}
        assert paths == ({PREFIX} if locked else set())
        example = page.locator("button.example img").first
        example.scroll_into_view_if_needed()
        expect(example).to_have_js_property("complete", True)
        assert example.evaluate("image => image.naturalWidth") > 0
        page.get_by_role("button", name="Use via API").click()
        expect(page.get_by_text("/predict").first).to_be_visible()
        address = page.get_by_text(f'Client("{url}"')
        expect(address).to_have_count(1 if headers else 0)
        if start == "/":  # without the slash, loading had begun where it should not
            assert beside == []


def test_programs_reach_the_demo(demo_port, locked, headers, tmp_path):
    options = {"auth": (KEY.user, KEY.password)} if locked else {}
    with proxied(demo_port, headers) as url:
        client = gradio_client.Client(
            url, verbose=False, download_files=tmp_path, **options
        )
        picture = gradio_client.handle_file(DRAWING)
        _, overlay, said = client.predict(picture, api_name="/predict")
        assert overlay
        assert "robability of pneumonia" in said
        if not locked:  # Gradio's other client takes its own address
            assert requests.get(f"{url}/config").json()["root"] == ""


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("POST", "/gradio_api/upload/", "/gradio_api/upload"),
        ("GET", "/logout", "/"),
        ("GET", "/look", "/look/"),
    ],
)
def test_the_demo_leads_nobody_out_of_its_path(
    demo_port, headers, method, path, target
):
    with proxied(demo_port, headers) as url:
        answer = requests.request(method, url + path, allow_redirects=False)
        assert answer.is_redirect
        assert urljoin(url + path, answer.headers["Location"]) == url + target


def test_redirects_to_elsewhere_stay():
    scope = {"path": "/a/b", "headers": [(b"host", b"h")]}
    assert asgi._relative("https://example.org/x?y", scope) == "https://example.org/x?y"
    assert asgi._relative("http://h/a/c?y=1", scope) == "././c?y=1"


# open alone: behind a password nobody reads the address unasked
@pytest.mark.parametrize("demo_port", [None], indirect=True, ids=["open"])
def test_one_visitor_can_not_set_the_address_that_the_next_one_reads(demo_port):
    url = f"http://127.0.0.1:{demo_port}/gradio_api/info"
    for headers in (
        {"X-Forwarded-Host": "evil.example"},
        {"X-Forwarded-Prefix": "/evil.example"},
        {"X-Gradio-Server": "http://evil.example"},
    ):
        assert "evil" in requests.get(url, headers=headers).text
    assert "evil" not in requests.get(url).text
