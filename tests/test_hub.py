"""The page of a model on the Hugging Face Hub, and a bundle that comes from there.

A small hub on this machine answers what `huggingface_hub` asks; the client is real.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import ModelCard

from pneumonia import BundleError, load_classifier
from pneumonia.contract import BUNDLE
from pneumonia.study import card

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PROGRAM = """
import sys
import pneumonia
try:
    print(pneumonia.load_classifier(sys.argv[1], threads=1).sha256)
except pneumonia.BundleError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    out = tmp_path_factory.mktemp("hub") / "page"
    card.write_page(out)
    return out


@pytest.fixture
def hub(page):
    """A hub that holds `owner/name`; gives its address and what was asked of it."""
    shown = SimpleNamespace(folder=page, asked=[])

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self):
            shown.asked.append(self.path)
            path, _, _ = self.path.partition("?")
            _, *parts = path.split("/")
            if "/".join(parts[:2]) == "owner/name" and parts[3] == COMMIT:
                return self.file(shown.folder / parts[4])
            if path == "/api/models/owner/name/revision/main":
                return self.say(200, {"id": "owner/name", "sha": COMMIT})
            if path == f"/api/models/owner/name/tree/{COMMIT}":
                return self.say(
                    200, [self.listed(file) for file in shown.folder.iterdir()]
                )
            missing = "Revision" if "/owner/name/" in path else "Repo"
            return self.say(404, {}, **{"X-Error-Code": f"{missing}NotFound"})

        do_GET = do_HEAD  # noqa: N815 (the server's own names)

        def listed(self, file: Path) -> dict:
            digest = hashlib.sha1(file.read_bytes()).hexdigest()
            size = file.stat().st_size
            return {"type": "file", "path": file.name, "size": size, "oid": digest}

        def file(self, file: Path):
            content = file.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            self.say(200, content, **{"ETag": etag, "X-Repo-Commit": COMMIT})

        def say(self, status, content, **headers):
            body = (
                content if isinstance(content, bytes) else json.dumps(content).encode()
            )
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *args):
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    shown.url = f"http://127.0.0.1:{server.server_port}"
    shown.close = server.server_close
    yield shown
    server.shutdown()
    server.server_close()


@pytest.fixture
def load(hub, tmp_path):
    """Load a bundle in a process of its own, which keeps what it fetches here."""

    def load(address: str) -> str:
        here = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, address],
            env=os.environ | here | {"PYTHONPATH": str(BUNDLE.parents[1])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    return load


@pytest.mark.server
def test_a_bundle_is_fetched_once_and_then_nobody_is_asked(hub, load, classifier):
    assert load("hf://owner/name") == f"{classifier.sha256}\n"
    fetched = {path.rpartition("/")[2] for path in hub.asked}
    assert {"bundle.json", "classifier.onnx"} <= fetched
    assert not {"classifier.weights.h5", "README.md"} & fetched
    hub.asked.clear()
    assert load("hf://owner/name") == f"{classifier.sha256}\n"
    assert load(f"hf://owner/name@{COMMIT}") == f"{classifier.sha256}\n"
    assert hub.asked == []
    assert load("hf://owner/other").startswith("There is no hf://owner/other, or ")
    assert load("hf://owner/name@gone").startswith("owner/name has no revision gone")


@pytest.mark.server
def test_other_weights_than_the_bundle_names_are_refused(hub, load, page, tmp_path):
    hub.folder = tmp_path / "page"
    shutil.copytree(page, hub.folder, ignore=shutil.ignore_patterns("*.h5"))
    with (hub.folder / "classifier.onnx").open("ab") as file:
        file.write(b"\x08\x08")  # the version of the format once more
    said = load("hf://owner/name")
    assert "do not match their checksum" in said
    assert "to fetch it anew" in said


@pytest.mark.parametrize("address", ["hf://", "hf://owner", "hf://a/b/c", "hf://../x"])
def test_what_is_no_address_is_said(address):
    with pytest.raises(BundleError, match="Expected hf://OWNER/NAME"):
        load_classifier(address)


def test_what_fetches_may_be_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BundleError, match="pip install huggingface_hub"):
        load_classifier("hf://owner/name")


@pytest.mark.server
def test_without_a_network_one_sentence_says_so(hub, load):
    hub.close()
    (said,) = load("hf://owner/name").splitlines()
    assert "was never fetched to this machine, and the Hub can't be reached" in said


def test_the_page_says_what_hubs_show(page):
    said = ModelCard.load(page / "README.md").data
    assert (said.license, said.library_name) == ("mit", "onnx")
    assert said.pipeline_tag == "image-classification"
    assert len(said.datasets) == 2
    report = json.loads((BUNDLE / "report.json").read_text())
    shown = {
        (found.dataset_name, found.metric_name): found.metric_value
        for found in said.eval_results
    }
    assert {found.metric_type for found in said.eval_results} == {*said.metrics}
    home = "held-out patients of the training hospital"
    for name, key in (("AUROC", "auroc"), ("sensitivity", "sensitivity")):
        assert shown[home, name] == round(report[key]["value"], 3)
    assert load_classifier(page).facts["format"] == 2
