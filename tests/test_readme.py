"""The README's examples for programs do what it says, against running apps."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pneumonia import LABELS
from pneumonia.contract import BUNDLE
from pneumonia.serving import gate

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
QUALITY = ("report", "adults")
_REFUSALS = {"ImageError", "DicomError"}


def example(language: str, word: str) -> str:
    """The README's code block in a language that holds a word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (block,) = [block for block in blocks if word in block]
    return block


def test_quality_is_what_was_measured():
    report, adults = (
        json.loads((BUNDLE / f"{name}.json").read_text()) for name in QUALITY
    )
    stress = report["stress"]
    worst = stress["families"][stress["worst"]["specificity"]]
    measured = [report, stress["all"], worst, adults]
    names = ("auroc", "accuracy", "sensitivity", "specificity")
    shown = README.partition("| ECE |")[2].splitlines()[2:6]
    for row, found in zip(shown, measured, strict=True):
        cells = [
            f"{found[name]['value']:.3f} "
            f"({found[name]['ci95'][0]:.3f}-{found[name]['ci95'][1]:.3f})"
            for name in names
        ]
        assert f"| {' | '.join(cells)} | {found['ece']['value']:.3f} |" in row
    low, high = (round(100 * p) for p in report["uncertain_band"])
    assert f"from {low} % to {high} %" in README


def test_stages_are_what_was_measured():
    rows = json.loads((BUNDLE / "ablation.json").read_text())["rows"]
    measured = {row["name"]: row for row in rows}
    names = ("clean_auroc", "stress_auroc", "worst_auroc")
    names += ("stress_accuracy", "adult_auroc")
    table = README.partition("| stage | clean AUROC |")[2].partition("\n\n")[0]
    shown = dict(re.findall(r"\| `([a-z]+)`.*?(\| 0\..*)", table))
    assert {"seed", "default", "inside"} <= set(shown)
    for stage, cells in shown.items():
        found = (f"{measured[stage][name]['mean']:.3f}" for name in names)
        assert cells == f"| {' | '.join(found)} |"


def test_readme_and_apps_say_what_covering_the_maps_cost():
    audit = json.loads((BUNDLE / "audit.json").read_text())
    names = ("own", "another", "elsewhere")
    for found in (audit, audit["hirescam"]):
        for label in LABELS:
            of = found["hottest_covered"][label]
            lost = "{:.2f}, {:.2f} and {:.2f}".format(
                *(of[name]["value"] for name in names)
            )
            assert lost in README
            gains = [gain["ci95"][0] > 0 for gain in of["more_than"].values()]
            # as the README says
            assert all(gains) == (found is not audit or label == "Normal")
    # as `words.CAPTIONS` say: Grad-CAM "half as much again" and "hardly more",
    # HiResCAM "clearly more"
    for found, label, low, high in (
        (audit, "Normal", 1.4, 1.6),
        (audit, "Pneumonia", 1.0, 1.15),
        (audit["hirescam"], "Normal", 1.6, 3.0),
        (audit["hirescam"], "Pneumonia", 1.6, 3.0),
    ):
        of = found["hottest_covered"][label]
        own, elsewhere = (of[name]["value"] for name in ("own", "elsewhere"))
        assert low * elsewhere < own < high * elsewhere


def reasons() -> set[str]:
    """Every code that the sources refuse or warn with."""
    found = {*gate.SENTENCES}
    for folder in ("pneumonia", "web", "."):
        for path in (ROOT / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and len(node.args) >= 2:
                    name, first = getattr(node.func, "id", ""), node.args[0]
                    if name in _REFUSALS and isinstance(first, ast.Constant):
                        found.add(first.value)
    return found


def test_every_reason_stands_in_the_table():
    known = reasons()
    assert {"gone", "no_file", "modality", "negative", "first_frame"} <= known
    table = "\n".join(row for row in README.splitlines() if row.startswith("| `"))
    assert {reason for reason in known if f"`{reason}`" not in table} == set()


@pytest.mark.parametrize(
    ("language", "word", "command", "expected"),
    [
        ("python", "import load_classifier", [sys.executable, "-"], "{'Normal': "),
        ("python", "gradio_client", [sys.executable, "-"], "robability of pneumonia"),
        ("sh", "curl -F", ["bash", "-"], '"label":'),
        ("js", "fetch(", ["node", "--input-type=module", "-"], "probabilities: {"),
    ],
)
def test_examples_run(
    language, word, command, expected, flask_url, gradio_url, tmp_path, phantom_bytes
):
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} on this machine")
    (tmp_path / "xray.jpeg").write_bytes(phantom_bytes)
    script = example(language, word)
    script = script.replace("http://127.0.0.1:5000/", flask_url)
    script = script.replace("http://127.0.0.1:7860", gradio_url)
    if word == "gradio_client":
        script += "\nprint(words)\n"
    done = subprocess.run(
        command,
        cwd=tmp_path,
        input=script,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert expected in done.stdout, done.stderr
