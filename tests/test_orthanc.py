"""Orthanc to this and back, as docs/orthanc.md says it; needs Debian's Orthanc."""

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
from PIL import Image
from servers import ROOT

hd = pytest.importorskip("highdicom")
from test_dicom_out import STUDY, WHOSE, film  # noqa: E402

pytestmark = pytest.mark.server

PAGE = (ROOT / "docs" / "orthanc.md").read_text(encoding="utf-8")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
OF_STUDY = f"/dicom-web/studies/{STUDY}"


def blocks(kind: str) -> list[str]:
    """Return what stands in the page's blocks of a language."""
    found = re.findall(rf"^   ```{kind}\n(.*?)^   ```$", PAGE, re.MULTILINE | re.DOTALL)
    return [re.sub("^   ", "", block, flags=re.MULTILINE) for block in found]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def until(holds, seconds=60):
    """Wait for something, and return it."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)
    return found


@pytest.fixture
def orthanc(tmp_path):
    """An archive that runs the page's script, and its address."""
    program = shutil.which("Orthanc", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or not PLUGIN.exists():
        pytest.skip("no Orthanc here (Debian's orthanc and orthanc-dicomweb)")
    port, (script,) = free_port(), blocks("lua")
    (tmp_path / "in").mkdir()
    (tmp_path / "films.lua").write_text(
        script.replace("/srv/pneumonia", str(tmp_path)), encoding="utf-8"
    )
    settings = {
        **{"HttpPort": port, "DicomPort": free_port(), "Name": "test"},
        **dict.fromkeys(("StorageDirectory", "IndexDirectory"), str(tmp_path / "db")),
        "LuaScripts": [str(tmp_path / "films.lua")],
        "Plugins": [str(PLUGIN)],
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [program, tmp_path / "orthanc.json"], stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(url))
        yield url
    finally:
        server.terminate()
        server.wait(30)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/system", timeout=5).ok
    except requests.ConnectionError:
        return False


def stow(url: str, *files: bytes) -> None:
    """Store files in an archive by DICOMweb."""
    parts = [b"--x\r\nContent-Type: application/dicom\r\n\r\n" + f for f in files]
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    requests.post(
        f"{url}/dicom-web/studies",
        data=b"\r\n".join([*parts, b"--x--"]),
        headers={"Content-Type": kind, "Accept": "application/dicom+json"},
        timeout=60,
    ).raise_for_status()


def wado(url: str, one: pydicom.Dataset) -> bytes:
    """Retrieve a file from an archive by DICOMweb, as it is stored."""
    address = f"{url}{OF_STUDY}/series/{one.SeriesInstanceUID}/instances"
    found = requests.get(
        f"{address}/{one.SOPInstanceUID}",
        headers={"Accept": 'multipart/related; type="application/dicom"'},
        timeout=60,
    )
    found.raise_for_status()
    boundary = re.search('boundary="?([^";]+)', found.headers["Content-Type"])[1]
    part = found.content.split(f"--{boundary}".encode())[1]
    return part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")


def test_a_film_goes_round_as_the_page_says(orthanc, tmp_path):
    watch, send = (
        block.replace("/srv/pneumonia", str(tmp_path)) for block in blocks("sh")
    )
    command = watch.split()
    assert command[0] == "pneumonia"
    command[:1] = [sys.executable, "-m", "pneumonia"]
    log = (tmp_path / "watch.log").open("w")
    watching = subprocess.Popen([*command, "--every", "0.2"], stderr=log, cwd=ROOT)
    try:
        stow(orthanc, film())
        out = tmp_path / "out" / "dicom"
        until(lambda: len([*out.glob("*.dcm")]) == 3)
        sent = {
            path.name.split(".")[-2]: path.read_bytes() for path in out.glob("*.dcm")
        }
        port = orthanc.rpartition(":")[2]
        subprocess.run(
            send.replace("127.0.0.1:8042", f"127.0.0.1:{port}"), shell=True, check=True
        )
        assert [*out.glob("*.dcm")] == []
        until(lambda: (tmp_path / "out" / "answers.jsonl").read_text().count("\n") == 1)
        time.sleep(1)  # longer than it takes to see a film
        assert [*out.glob("*.dcm")] == []  # an answer is not answered, nor a film twice
    finally:
        watching.terminate()
        watching.wait(60)
    assert len([*(tmp_path / "in").iterdir()]) == 1
    assert not any(v in (tmp_path / "watch.log").read_text() for v in WHOSE.values())

    kinds = requests.get(f"{orthanc}{OF_STUDY}/series", timeout=60).json()
    found = sorted(series["00080060"]["Value"][0] for series in kinds)
    assert found == ["CR", "OT", "SEG", "SR"]  # one study, each once
    places = {}
    for kind, data in sent.items():
        places[kind] = tmp_path / f"{kind}.dcm"
        places[kind].write_bytes(data)
        one = pydicom.dcmread(places[kind])
        places[kind].write_bytes(wado(orthanc, one))
        assert pydicom.dcmread(places[kind]) == one
    assert hd.sr.srread(places["report"]).content.get_image_measurement_groups()
    assert hd.seg.segread(places["lungs"]).number_of_segments == 2
    capture = pydicom.dcmread(places["heatmap"])
    rendered = requests.get(
        f"{orthanc}{OF_STUDY}/series/{capture.SeriesInstanceUID}/instances/"
        f"{capture.SOPInstanceUID}/rendered",
        headers={"Accept": "image/png"},
        timeout=60,
    )
    seen = np.asarray(Image.open(io.BytesIO(rendered.content)).convert("RGB"))
    assert (seen == capture.pixel_array).all()
