"""Nothing is reported to anybody: connections are counted where none gets out."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from servers import ROOT

ANSWER = (
    "import time, pneumonia\n"
    "drawing = pneumonia.phantoms()[0].read_bytes()\n"
    "pneumonia.predict(pneumonia.load_classifier(), drawing)\n"
    "print('answered', flush=True)\n"
    "time.sleep(600)"
)
HOST = "import os; os.environ['ORT_DISABLE_TELEMETRY'] = '1'; import onnxruntime\n"
OURS = {
    "a program": ["-c", ANSWER],
    "a host that said so first": ["-c", HOST + ANSWER],
    "the form": ["-m", "pneumonia", "serve", "form", "--port", "5001"],
    "the demo": ["-m", "pneumonia", "serve", "gradio", "--port", "7861"],
}
REPORTING = [
    "-c",
    "import time, onnxruntime; print('runs', flush=True); time.sleep(600)",
]
# its own machine is all that a program reaches here
ALONE = (
    "import fcntl, os, socket, struct, sys\n"
    "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 1))\n"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
PRIVATE = ("unshare", "-rn", sys.executable, "-c", ALONE)


def may_watch() -> bool:
    if not (shutil.which("strace") and shutil.which("unshare")):
        return False
    tried = ["strace", "-f", "-o", os.devnull, *PRIVATE, "-c", "0"]
    return subprocess.run(tried, capture_output=True).returncode == 0


@contextlib.contextmanager
def watched(command: list[str], home, environment=()):
    """Run Python, until it said something; gives the log of its connections."""
    home.mkdir()
    log = home / "connections"
    trace = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmmsg", "-o", log]
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*trace, *PRIVATE, *command],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=env,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline()
        yield log
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # strace ends with what it watches
        process.wait(60)


def tries(log) -> list[str]:
    """Return the attempts to reach another machine, or to learn its address."""
    found = re.findall(r".*AF_INET6?,.*", log.read_text())
    own = re.compile(r'"127\.|"::1"|"(::ffff:)?0\.0\.0\.0"')
    return [line for line in found if "htons(53)" in line or not own.search(line)]


@pytest.mark.server
@pytest.mark.slow  # ONNX Runtime reports ten seconds after its start
@pytest.mark.skipif(not may_watch(), reason="no strace, or no namespaces")
def test_nothing_tries_to_leave(tmp_path):
    with contextlib.ExitStack() as stack:
        ours = {
            name: stack.enter_context(watched(command, tmp_path / name))
            for name, command in OURS.items()
        }
        reporting = stack.enter_context(watched(REPORTING, tmp_path / "reporting"))
        end = time.monotonic() + 60
        while not tries(reporting):
            if time.monotonic() > end:
                pytest.skip("this version of ONNX Runtime reports nothing here")
            time.sleep(0.5)
        assert {name: tries(log) for name, log in ours.items()} == dict.fromkeys(
            ours, []
        )
    assert list(tmp_path.rglob("onnxruntime.db")) != []
    kept = [file for file in tmp_path.rglob("*onnxruntime*") if file.is_file()]
    assert {file.relative_to(tmp_path).parts[0] for file in kept} == {"reporting"}


def test_a_host_that_comes_too_late_is_told():
    program = ["-c", "import onnxruntime, pneumonia"]
    env = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    run = [sys.executable, "-W", "error::RuntimeWarning", *program]
    done = subprocess.run(run, cwd=ROOT, env=env, capture_output=True, text=True)
    assert "set ORT_DISABLE_TELEMETRY=1 before" in done.stderr
