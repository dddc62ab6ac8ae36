"""Both apps answer the same bytes with the same numbers, and refuse with a reason."""

import base64
import io
import socket
import tempfile
from urllib.parse import urlencode

import gradio_client
import numpy as np
import pytest
import requests
from dicoms import make as make_dicom
from gradio_client.exceptions import AppError, AuthenticationError
from pictures import encode, palette_with_alpha, rotated_by_exif
from PIL import Image
from servers import PACKAGE, run
from test_image import BAD

from pneumonia import MAX_BYTES, phantoms, predict, say_place
from pneumonia.contract import METHODS, NOTICE, TESTED
from pneumonia.gate import not_chests
from pneumonia.reading.image import read_picture
from pneumonia.web import door, words
from pneumonia.web.demo import app as demo
from pneumonia.web.form import app as flask_app

bombs = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")


@pytest.fixture(scope="module")
def web(classifier):
    return flask_app.create_app(classifier, read=read_picture).test_client()


@pytest.fixture(scope="module")
def gradio_url(classifier):
    app = demo.build_demo(classifier, read_picture)
    url, _ = demo.launch(app)
    yield url
    app.close()


@pytest.fixture(scope="module")
def gradio(gradio_url, tmp_path_factory):
    """Ask the demo as a program does, about bytes in a file of a name."""
    folder = tmp_path_factory.mktemp("downloads")
    client = gradio_client.Client(gradio_url, verbose=False, download_files=folder)
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoints) == ["/predict"]

    def ask(data: bytes | None, name="x.png", **options):
        if data is not None:
            (folder / name).write_bytes(data)
            data = gradio_client.handle_file(folder / name)
        return client.predict(data, api_name="/predict", **options)

    return ask


def upload(web, *data: bytes, path="/api/predict", field="image"):
    files = [(io.BytesIO(each), "x.png") for each in data]
    return web.post(path, data={field: files})


GREY = read_picture(phantoms()[0].read_bytes()).pixels
KINDS = {
    "phantom.png": phantoms()[0].read_bytes,
    "turned by EXIF.jpg": lambda: rotated_by_exif(6),
    "palette with alpha.png": palette_with_alpha,
    "16 bit.png": lambda: encode(GREY.astype(np.uint16) * 40),
    "I0000001": lambda: make_dicom(GREY.astype(np.uint16) * 16),
}


SAME = ("label", "probabilities", "certain", "place", "verdict", "method")
SAME += ("evidence_zones", "evidence_outside")


@pytest.mark.parametrize("name", KINDS)
def test_both_apps_and_the_package_agree(web, gradio, classifier, name):
    data = KINDS[name]()
    for method in (None, METHODS[1]):
        of_method = {"method": method} if method else {}
        expected = predict(classifier, data, anyway=True, **of_method)
        address = f"/api/predict?{urlencode({'overlay': 1, 'anyway': 1} | of_method)}"
        answer = upload(web, data, path=address).json
        head, _, body = answer["overlay"].partition(",")
        assert head == "data:image/png;base64"
        drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))
        assert (drawn == expected.overlay).all()
        for field in SAME:
            assert answer[field] == getattr(expected, field), field
        assert answer["threshold"] == classifier.threshold
        assert answer["warnings"] == list(expected.warnings)
        assert answer["where"] == say_place(expected)
        assert answer["method"] == (method or classifier.tested[expected.label])
        assert answer["box"] == pytest.approx(expected.box)

        bars, overlay, said = gradio(data, name, anyway=True, **of_method)
        assert bars["label"] == expected.label
        found = {c["label"]: c["confidence"] for c in bars["confidences"]}
        assert found == expected.probabilities
        assert (np.asarray(Image.open(overlay)) == expected.overlay).all()
        assert expected.label in said
        assert say_place(expected) in said


@bombs
@pytest.mark.parametrize("kind", [kind for kind in BAD if kind != "too many bytes"])
def test_flask_refuses_bad_files_with_their_reason(web, kind):
    data, reason = BAD[kind]
    answer, page = upload(web, data), upload(web, data, path="/")
    status = 400 if kind == "nothing" else 422
    assert answer.status_code == page.status_code == status
    assert answer.json["error"]["reason"] == reason
    assert answer.json["error"]["message"].replace("'", "&#39;") in page.text
    assert 'name="image"' in page.text  # the form is there to try again


@bombs
@pytest.mark.parametrize("kind", ["text", "truncated JPEG", "100 megapixels", "1x1"])
def test_gradio_refuses_bad_files_with_the_same_sentence(gradio, web, kind):
    message = upload(web, BAD[kind][0]).json["error"]["message"]
    with pytest.raises(AppError) as caught:
        gradio(BAD[kind][0])
    assert message in str(caught.value)


def test_gradio_refuses_what_is_no_chest_and_answers_anyway(gradio):
    text = encode(not_chests.KINDS["text"](np.random.default_rng(5)))
    with pytest.raises(AppError, match="does not look like"):
        gradio(text)
    assert "does not look like a chest" in gradio(text, anyway=True)[2]
    with pytest.raises(AppError, match="No image came in"):
        gradio(None)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("method=LIME", f"`method` takes {' or '.join((TESTED, *METHODS))}."),
        ("overlay=yes", "`overlay` takes 0 or 1."),
        ("anyway=yes", "`anyway` takes 0 or 1."),
    ],
)
def test_the_api_says_what_an_option_takes(web, phantom_bytes, option, sentence):
    response = upload(web, phantom_bytes, path=f"/api/predict?{option}")
    assert response.status_code == 400
    error = response.json["error"]
    assert (error["reason"], error["message"]) == ("bad_request", sentence)


@pytest.mark.parametrize("path", ["/", "/api/predict"])
def test_flask_says_what_it_takes(web, phantom_bytes, path, classifier, monkeypatch):
    for answer, status, said in (
        (web.post(path), 400, "`image`"),
        (upload(web, phantom_bytes, path=path, field="file"), 400, "`image`"),
        (upload(web, phantom_bytes, phantom_bytes, path=path), 400, "2 files came in"),
        (upload(web, bytes(MAX_BYTES + 2**20), path=path), 413, "32 MB"),
    ):
        assert answer.status_code == status
        assert said in answer.text

    def broken(*args, **kwargs):
        raise KeyError("a secret path")

    monkeypatch.setattr(flask_app, "predict", broken)
    web = flask_app.create_app(classifier, read=read_picture).test_client()
    answer = upload(web, phantom_bytes, path=path)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_flask_pages_carry_the_notice_and_no_foreign_address(
    web, classifier, phantom_bytes
):
    result = upload(web, phantom_bytes, path="/")
    for page in (web.get("/"), result):
        assert page.status_code == 200
        assert NOTICE in page.text
        assert "http://" not in page.text
        assert "https://" not in page.text
    expected = predict(classifier, phantom_bytes)
    assert expected.label in result.text
    assert f'class="marker" x="{100 * expected.p_pneumonia:.2f}%"' in result.text
    assert f'data-p="{expected.p_pneumonia:.4f}"' in result.text
    assert '<img src="data:image/jpeg;base64,' in result.text  # where no script runs


def test_flask_health_and_unknown_addresses(web, classifier):
    health = {"status": "ok", "bundle_sha256": classifier.sha256}
    assert web.get("/healthz").json == health
    assert web.get("/none").status_code == 404
    assert web.get("/api/none").json["error"]["reason"] == "not_found"
    assert web.get("/api/predict").json["error"]["reason"] == "method_not_allowed"
    page = web.get("/api").text
    assert "see <code>reason</code>." in page
    assert "`" not in page


def test_pages_and_previews_are_of_this_project(web, gradio_url):
    icon = (PACKAGE / "web/static/favicon.svg").read_bytes()
    page = requests.get(gradio_url)
    for text in (web.get("/").text, page.text):
        assert f'"og:description" content="{NOTICE}"' in text
        assert text.count("og:") == 2
        assert "twitter:" not in text
        assert 'rel="icon"' in text
    assert web.get("/static/favicon.svg").data == icon
    assert requests.get(f"{gradio_url}favicon.ico").content == icon
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self' 'sha256-" in policy
    assert "frame-ancestors 'self'" in policy
    assert door.HEADERS.items() <= page.headers.items()
    assert len(page.headers["X-Request-Id"]) == 16


def test_flask_writes_no_upload_to_disk(web, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("an upload went to disk")

    for name in ("TemporaryFile", "SpooledTemporaryFile", "NamedTemporaryFile"):
        monkeypatch.setattr(tempfile, name, refuse)
    monkeypatch.setattr("werkzeug.formparser.SpooledTemporaryFile", refuse)
    noise = np.random.default_rng(0).integers(0, 255, (1500, 1500), dtype=np.uint8)
    large = encode(noise)
    assert len(large) > 2**20
    assert upload(web, large, path="/api/predict?anyway=1").status_code == 200


@pytest.mark.server
def test_demo_says_in_one_sentence_that_a_port_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("demo.py", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "Choose another with --port." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.server
def test_demo_answers_only_with_the_password(classifier, phantom_bytes):
    app = demo.build_demo(classifier, read_picture)
    url, _ = demo.launch(app, auth=door.Credentials("ann", "secret"))
    visitor = requests.Session()

    def ask():
        return [
            visitor.post(url + path, data=phantom_bytes) for path in ("ask", "report")
        ]

    try:
        assert NOTICE in visitor.get(url).text  # already beside the question
        for auth in (None, ("ann", "wrong"), ("bob", "secret")):
            with pytest.raises((AuthenticationError, ValueError)):
                gradio_client.Client(url, verbose=False, auth=auth)
        gradio_client.Client(url, verbose=False, auth=("ann", "secret"))
        for answer in ask():
            assert answer.status_code == 401
            assert answer.json() == {"detail": words.NEEDS_PASSWORD}
        visitor.post(f"{url}login", data={"username": "ann", "password": "secret"})
        assert [answer.status_code for answer in ask()] == [200, 200]
    finally:
        app.close()


def test_demo_logs_no_file_name_of_a_call_that_fails(
    gradio_url, phantom_bytes, capfd, caplog
):
    files = {"files": ("Mustermann.png", phantom_bytes)}
    (path,) = requests.post(f"{gradio_url}gradio_api/upload", files=files).json()
    assert "Mustermann" in path
    call = f"{gradio_url}gradio_api/call/predict"
    data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, False]
    event = requests.post(call, json={"data": data}).json()["event_id"]
    assert "error" in requests.get(f"{call}/{event}", timeout=60).text
    heard = caplog.text + "".join(capfd.readouterr())
    assert "Mustermann" not in heard
    assert "an unforeseen ValueError in " in heard
