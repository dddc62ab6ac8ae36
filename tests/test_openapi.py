"""The running form's JSON API does what its document says, whatever is sent."""

import threading

import pytest
import requests
import schemathesis
from hypothesis import given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from werkzeug.serving import make_server

from pneumonia import phantoms
from pneumonia.reading.image import read_picture
from pneumonia.web.form import app as flask_app

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def url(classifier):
    app = flask_app.create_app(classifier, read=read_picture)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def api(url):
    return schemathesis.openapi.from_url(f"{url}/openapi.json")


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(
    ("path", "method"), [("/api/predict", "POST"), ("/healthz", "GET")]
)
def test_answers_fit_their_document(api, path, method, mode):
    @settings(max_examples=30, deadline=None, database=None)
    @given(case=api[path][method].as_strategy(generation_mode=mode))
    def send(case):
        # any bytes fit the document, few of them are pictures
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    try:
        send()
    except Unsatisfiable:
        assert mode == GenerationMode.NEGATIVE  # nothing of it can be wrong


@pytest.mark.parametrize("query", ["", "?overlay=1", "?anyway=1&invert=1"])
def test_answers_to_a_picture_fit_their_document(api, url, query):
    files = {"image": phantoms()[0].read_bytes()}
    answer = requests.post(f"{url}/api/predict{query}", files=files, timeout=60)
    assert answer.status_code == 200
    assert ("overlay" in answer.json()) == ("overlay" in query)
    api["/api/predict"]["POST"].validate_response(answer)


def test_a_switch_that_is_neither_0_nor_1_is_refused(url):
    answer = requests.post(f"{url}/api/predict?anyway=yes", timeout=60)
    assert answer.status_code == 400
    assert "`anyway`" in answer.json()["error"]["message"]


def test_the_readable_page_says_what_the_document_says(url):
    page = requests.get(f"{url}/api", timeout=60).text
    document = requests.get(f"{url}/openapi.json", timeout=60).json()
    for path, methods in document["paths"].items():
        assert path in page
        for operation in methods.values():
            assert set(operation["responses"]) <= set(page.replace("<", ">").split(">"))
