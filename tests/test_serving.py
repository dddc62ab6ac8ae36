"""What serving costs in memory, and the production server as a whole."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import requests
from pictures import encode
from PIL import Image
from servers import FORM, ROOT, served

from pneumonia.contract import BUNDLE
from pneumonia.data.phantom import draw

MULTIPLE = 3
"""How often a picture's decoded bytes may lie in memory while it is answered."""

_MEASURE = """
import sys, pneumonia
def peak():
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
classifier = pneumonia.load_classifier()
def answer(data):
    pneumonia.predict(classifier, data, anyway=True)
answer(pneumonia.phantoms()[0].read_bytes())
before = peak()
answer(sys.stdin.buffer.read())
print((peak() - before) * 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux")
@pytest.mark.parametrize(
    ("kind", "mode", "bytes_a_pixel"),
    [("PNG", "L", 1), ("PNG", "RGB", 3), ("PNG", "I;16", 2), ("JPEG", "RGB", 1)],
)
def test_answering_a_large_picture_makes_few_copies(kind, mode, bytes_a_pixel):
    pixels = np.asarray(Image.fromarray(draw(1)).resize((5000, 4000)))
    deep = mode == "I;16"
    picture = Image.fromarray(pixels.astype(np.uint16) * 200 if deep else pixels)
    data = encode(picture if deep else picture.convert(mode), kind)
    run = [sys.executable, "-c", _MEASURE]
    done = subprocess.run(run, cwd=ROOT, input=data, capture_output=True, check=True)
    room = 12 * 2**20  # the file, the reduced picture, its map and overlay
    assert int(done.stdout) < MULTIPLE * bytes_a_pixel * 5000 * 4000 + room


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system")
@pytest.mark.server
def test_production_server_answers_and_stops_when_told(phantom_bytes, tmp_path):
    mine = shutil.copytree(BUNDLE, tmp_path / "mine")
    facts = json.loads((mine / "bundle.json").read_text()) | {"threshold": 0.375}
    (mine / "bundle.json").write_text(json.dumps(facts))
    with served(*FORM, "--bundle", str(mine)) as (url, process):
        ask = f"{url}api/predict?anyway=1"
        told = requests.post(ask, files={"image": ("a", phantom_bytes)}).json()
        assert told["probabilities"]
        assert told["threshold"] == 0.375
    assert process.returncode == 0


@pytest.mark.server
def test_production_server_lets_strangers_in_only_when_told():
    run = [sys.executable, *FORM, "--host", "0.0.0.0"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--auth" in done.stderr
