"""From the start of a process to its first answer: seconds and memory.

    python benchmarks/cold_start.py DIR [--rounds 7]

DIR holds X-rays in original size; the first is answered. Every round is a new process
each; files lie in the system's cache and are compiled, as after any earlier start.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from app_requests import App, FlaskApp, GradioApp, GunicornApp
from measure import machine, peak_memory, spread, table

ROOT = Path(__file__).parent.parent
ANSWER = """
import pneumonia, sys
from pneumonia.serving.encode import encode_png
classifier = pneumonia.load_classifier()
data = open(sys.argv[1], "rb").read()
encode_png(pneumonia.predict(classifier, data, anyway=True).overlay)
"""
KERAS = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow
from pneumonia.network import framing, vgg19
from pneumonia.reading.image import read_image, to_input
data = open(sys.argv[1], "rb").read()
shown = framing.crop(to_input(read_image(data)), framing.WHOLE[None])
vgg19.load().classifier.predict(shown, verbose=0)
"""


def wait(command: list[str]) -> tuple[float, float]:
    """Return seconds and MiB that a process takes to its end."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=_env(), stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"error: {command} ended with status {status}.")
    return time.perf_counter() - begun, usage.ru_maxrss / 1024


def serve(app: type[App]) -> tuple[float, float]:
    """Return seconds until a server answers, and its memory then."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        running = app.run(folder=Path(place))
        took = time.perf_counter() - begun, peak_memory(running.process.pid)
        running.close()
    return took


def _env() -> dict[str, str]:
    env = os.environ | {"PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # else every start compiles all anew
    return env


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="DIR")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    print(f"{machine()}\n")
    image = str(min(path for path in args.source.resolve().rglob("*.*")))
    python = [sys.executable, "-c"]
    ways = {
        "`python -c pass`": lambda: wait([*python, "pass"]),
        "`import pneumonia`": lambda: wait([*python, "import pneumonia"]),
        "import, load, first answer": lambda: wait([*python, ANSWER, image]),
        "`python -m pneumonia predict FILE`": lambda: wait(
            [sys.executable, "-m", "pneumonia", "predict", image, "--csv", os.devnull]
        ),
        "`flask_app.py` serves": partial(serve, FlaskApp),
        "`serve form` serves": partial(serve, GunicornApp),
        "`import gradio`": lambda: wait([*python, "import gradio"]),
        "`demo.py` serves": partial(serve, GradioApp),
        "TensorFlow, Keras, first `model.predict`": lambda: wait(
            [*python, KERAS, image]
        ),
    }
    measured = {name: [] for name in ways}
    for number in range(args.rounds + 1):  # the first fills the system's cache
        for name, way in ways.items():
            seconds_and_memory = way()
            if number:
                measured[name].append(seconds_and_memory)
    rows = []
    for name, values in measured.items():
        seconds, mib = zip(*values, strict=True)
        rows.append([name, *spread(seconds, digits=2), f"{max(mib):.0f}"])
    print(table(["what", "s, median", "10-90 %", "MiB, most"], rows))


if __name__ == "__main__":
    main()
