"""Both apps answer the same bytes with the same numbers, and refuse with a reason."""

import base64
import io
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import gradio_client
import numpy as np
import pytest
import requests
from dicoms import make as make_dicom
from pictures import palette_with_alpha, rotated_by_exif
from PIL import Image
from test_image import BAD

from pneumonia import MAX_BYTES, phantoms, predict, say_place
from pneumonia.contract import METHODS, NOTICE, TESTED
from pneumonia.gate import not_chests
from pneumonia.reading.image import read_picture
from pneumonia.web import door, words
from pneumonia.web.demo import app as demo
from pneumonia.web.form import app as flask_app

ROOT = Path(__file__).parent.parent


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
    folder = tmp_path_factory.mktemp("downloads")
    return gradio_client.Client(gradio_url, verbose=False, download_files=folder)


def upload(web, data: bytes, path="/api/predict", field="image"):
    return web.post(path, data={field: (io.BytesIO(data), "x.png")})


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("method=LIME", f"`method` takes {' or '.join((TESTED, *METHODS))}."),
        ("overlay=yes", "`overlay` takes 0 or 1."),
    ],
)
def test_the_api_says_what_an_option_takes(web, phantom_bytes, option, sentence):
    response = upload(web, phantom_bytes, f"/api/predict?{option}")
    assert response.status_code == 400
    assert response.json["error"]["reason"] == "bad_request"
    assert response.json["error"]["message"] == sentence


@pytest.mark.parametrize(
    "make", ["phantom", "turned by EXIF", "palette with alpha", "16 bit"]
)
def test_both_apps_and_the_package_agree(
    web, gradio, classifier, phantom_bytes, tmp_path, make
):
    data = {
        "phantom": lambda: phantom_bytes,
        "turned by EXIF": lambda: rotated_by_exif(6),
        "palette with alpha": palette_with_alpha,
        "16 bit": lambda: sixteen_bit(phantom_bytes),
    }[make]()
    expected = predict(classifier, data, anyway=True)
    answer = upload(web, data, "/api/predict?overlay=1&anyway=1").json
    assert answer["label"] == expected.label
    assert answer["probabilities"] == expected.probabilities
    assert answer["certain"] == expected.certain
    assert answer["threshold"] == classifier.threshold
    assert answer["warnings"] == list(expected.warnings)
    assert (answer["place"], answer["verdict"]) == (expected.place, expected.verdict)
    assert answer["where"] == say_place(expected)
    assert answer["evidence_zones"] == expected.evidence_zones
    assert answer["evidence_outside"] == expected.evidence_outside
    assert answer["method"] == expected.method == classifier.tested[expected.label]
    assert answer["box"] == pytest.approx(expected.box)
    assert (overlay_of(answer["overlay"]) == expected.overlay).all()

    other = predict(classifier, data, anyway=True, method=METHODS[1])
    address = f"/api/predict?overlay=1&anyway=1&method={METHODS[1]}"
    answer = upload(web, data, address).json
    assert (overlay_of(answer["overlay"]) == other.overlay).all()

    path = tmp_path / "x.png"
    path.write_bytes(data)
    bars, overlay, words = gradio.predict(
        gradio_client.handle_file(path), anyway=True, api_name="/predict"
    )
    assert bars["label"] == expected.label
    found = {c["label"]: c["confidence"] for c in bars["confidences"]}
    assert found == expected.probabilities
    assert (np.asarray(Image.open(overlay)) == expected.overlay).all()
    assert expected.label in words
    assert say_place(expected) in words
    _, overlay, _ = gradio.predict(
        gradio_client.handle_file(path),
        anyway=True,
        method=METHODS[1],
        api_name="/predict",
    )
    assert (np.asarray(Image.open(overlay)) == other.overlay).all()


def sixteen_bit(data: bytes) -> bytes:
    grey = np.asarray(Image.open(io.BytesIO(data))).astype(np.uint16) * 40
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    return file.getvalue()


def overlay_of(uri: str) -> np.ndarray:
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))


def test_overlay_comes_only_when_asked_for(web, phantom_bytes):
    assert "overlay" not in upload(web, phantom_bytes).json


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", [kind for kind in BAD if kind != "too many bytes"])
def test_flask_refuses_bad_files_with_their_reason(web, kind):
    data, reason = BAD[kind]
    answer = upload(web, data)
    status = 400 if kind == "nothing" else 422
    assert answer.status_code == status
    assert answer.json["error"]["reason"] == reason
    page = upload(web, data, "/")
    assert page.status_code == status
    message = answer.json["error"]["message"].replace("'", "&#39;")
    assert message in page.text
    assert 'name="image"' in page.text  # the form is there to try again


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", ["text", "truncated JPEG", "100 megapixels", "1x1"])
def test_gradio_refuses_bad_files_with_the_same_sentence(gradio, web, kind, tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(BAD[kind][0])
    message = upload(web, BAD[kind][0]).json["error"]["message"]
    with pytest.raises(gradio_client.exceptions.AppError) as caught:
        gradio.predict(gradio_client.handle_file(path), api_name="/predict")
    assert message in str(caught.value)


def test_gradio_refuses_what_is_no_chest_and_answers_anyway(gradio, tmp_path):
    path = tmp_path / "x.png"
    text = not_chests.KINDS["text"](np.random.default_rng(5))
    Image.fromarray(text).save(path)
    picture = gradio_client.handle_file(path)
    with pytest.raises(gradio_client.exceptions.AppError, match="does not look like"):
        gradio.predict(picture, api_name="/predict")
    *_, words = gradio.predict(picture, anyway=True, api_name="/predict")
    assert "does not look like a chest" in words


def test_both_apps_answer_a_dicom_without_a_suffix(web, gradio, tmp_path):
    pixels = read_picture(phantoms()[0].read_bytes()).pixels
    data = make_dicom(pixels.astype(np.uint16) * 16)
    expected = upload(web, data).json["probabilities"]
    path = tmp_path / "I0000001"
    path.write_bytes(data)
    bars, *_ = gradio.predict(gradio_client.handle_file(path), api_name="/predict")
    assert {c["label"]: c["confidence"] for c in bars["confidences"]} == expected


def test_gradio_without_an_image_says_so(gradio):
    with pytest.raises(gradio_client.exceptions.AppError, match="No image came in"):
        gradio.predict(None, api_name="/predict")


def test_flask_takes_one_file_and_says_so(web, phantom_bytes):
    files = [(io.BytesIO(phantom_bytes), name) for name in ("a.png", "b.png")]
    response = web.post("/api/predict", data={"image": files})
    assert response.status_code == 400
    assert response.json["error"]["message"].startswith("2 files came in")


@pytest.mark.parametrize("path", ["/", "/api/predict"])
def test_flask_without_a_file_names_the_field(web, phantom_bytes, path):
    for answer in (web.post(path), upload(web, phantom_bytes, path, field="file")):
        assert answer.status_code == 400
        assert "`image`" in answer.text


@pytest.mark.parametrize("path", ["/", "/api/predict"])
def test_flask_refuses_a_body_that_is_too_large(web, path):
    answer = upload(web, bytes(MAX_BYTES + 2**20), path)
    assert answer.status_code == 413
    assert "32 MB" in answer.text


def test_flask_pages_carry_the_notice_and_no_foreign_address(web, phantom_bytes):
    for page in (web.get("/"), upload(web, phantom_bytes, "/")):
        assert page.status_code == 200
        assert NOTICE in page.text
        assert "http://" not in page.text
        assert "https://" not in page.text
        assert page.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_flask_result_shows_label_bar_and_overlay(web, classifier, phantom_bytes):
    expected = predict(classifier, phantom_bytes)
    page = upload(web, phantom_bytes, "/").text
    assert expected.label in page
    p = expected.p_pneumonia
    assert f'class="marker" x="{100 * p:.2f}%"' in page
    assert f'data-p="{p:.4f}"' in page
    assert '<img src="data:image/jpeg;base64,' in page  # where no script runs


def test_flask_form_has_a_predict_button(web):
    page = web.get("/").text
    assert '<button type="submit">Predict</button>' in page
    assert 'enctype="multipart/form-data"' in page


def test_flask_health_and_unknown_addresses(web, classifier):
    assert web.get("/healthz").json == {
        "status": "ok",
        "bundle_sha256": classifier.sha256,
    }
    assert web.get("/none").status_code == 404
    assert web.get("/api/none").json["error"]["reason"] == "not_found"
    assert web.get("/api/predict").json["error"]["reason"] == "method_not_allowed"


def test_the_page_on_the_api_shows_code_as_code(web):
    page = web.get("/api").text
    assert "see <code>reason</code>." in page
    assert "`" not in page


def test_previews_are_of_this_project(web, gradio_url):
    icon = (ROOT / "pneumonia/web/static/favicon.svg").read_bytes()
    with urllib.request.urlopen(gradio_url) as response:
        demos = response.read().decode()
    for page in (web.get("/").text, demos):
        assert f'"og:description" content="{NOTICE}"' in page
        assert page.count("og:") == 2
        assert "twitter:" not in page
        assert 'rel="icon"' in page
    assert web.get("/static/favicon.svg").data == icon
    with urllib.request.urlopen(f"{gradio_url}favicon.ico") as response:
        assert response.read() == icon


def test_flask_bugs_leak_nothing(classifier, phantom_bytes, monkeypatch):
    def broken(*args, **kwargs):
        raise KeyError("a secret path")

    app = flask_app.create_app(classifier, read=read_picture)
    monkeypatch.setattr(flask_app, "predict", broken)
    for path in ("/", "/api/predict"):
        answer = upload(app.test_client(), phantom_bytes, path)
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text


def test_flask_writes_no_upload_to_disk(web, phantom_bytes, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("an upload went to disk")

    for name in ("TemporaryFile", "SpooledTemporaryFile", "NamedTemporaryFile"):
        monkeypatch.setattr(tempfile, name, refuse)
    monkeypatch.setattr("werkzeug.formparser.SpooledTemporaryFile", refuse)
    large = np.random.default_rng(0).integers(0, 255, (1500, 1500), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(large).save(file, "PNG")
    assert len(file.getvalue()) > 2**20
    assert upload(web, file.getvalue(), "/api/predict?anyway=1").status_code == 200


def test_gradio_offers_one_named_endpoint(gradio):
    endpoints = gradio.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoints) == ["/predict"]


@pytest.mark.server
def test_demo_says_in_one_sentence_that_a_port_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "demo.py", "--port", str(port)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1
    assert "Choose another with --port." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.server
def test_demo_answers_only_with_the_password(classifier, phantom_bytes):
    app = demo.build_demo(classifier, read_picture)
    url, _ = demo.launch(app, auth=door.Credentials("ann", "secret"))
    refused = (gradio_client.exceptions.AuthenticationError, ValueError)
    try:
        with urllib.request.urlopen(url) as page:
            assert NOTICE in page.read().decode()  # already beside the question
        for auth in (None, ("ann", "wrong"), ("bob", "secret")):
            with pytest.raises(refused):
                gradio_client.Client(url, verbose=False, auth=auth)
        gradio_client.Client(url, verbose=False, auth=("ann", "secret"))
        visitor = requests.Session()
        for path in ("ask", "report"):
            asked = visitor.post(f"{url}{path}", data=phantom_bytes)
            assert (asked.status_code, asked.json()) == (
                401,
                {"detail": words.NEEDS_PASSWORD},
            )
        visitor.post(f"{url}login", data={"username": "ann", "password": "secret"})
        for path in ("ask", "report"):
            assert visitor.post(f"{url}{path}", data=phantom_bytes).status_code == 200
    finally:
        app.close()


def test_demo_carries_the_headers_of_the_door(gradio_url):
    with urllib.request.urlopen(gradio_url) as page:
        policy = page.headers["Content-Security-Policy"]
        assert "script-src 'self' 'sha256-" in policy
        assert "frame-ancestors 'self'" in policy
        for name, value in door.HEADERS.items():
            assert page.headers[name] == value
        assert len(page.headers["X-Request-Id"]) == 16


def test_demo_logs_no_file_name_of_a_call_that_fails(
    gradio_url, phantom_bytes, tmp_path, capfd, caplog
):
    picture = tmp_path / "Mustermann.png"
    picture.write_bytes(phantom_bytes)
    with picture.open("rb") as file:
        asked = requests.post(f"{gradio_url}gradio_api/upload", files={"files": file})
    (path,) = asked.json()
    assert "Mustermann" in path
    call = f"{gradio_url}gradio_api/call/predict"
    data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, False]
    event = requests.post(call, json={"data": data}).json()["event_id"]
    assert "error" in requests.get(f"{call}/{event}", timeout=60).text
    heard = caplog.text + "".join(capfd.readouterr())
    assert "Mustermann" not in heard
    assert "an unforeseen ValueError in " in heard
