"""The model card follows the files that ship: their figures change, and so does it."""

import copy
import functools
import json
import operator
import re
from pathlib import Path

import numpy as np
import pytest

from pneumonia.__main__ import main
from pneumonia.contract import BUNDLE, LABELS, NOTICE
from pneumonia.figures.metrics import METRICS, SHOWN
from pneumonia.study.ablation import tabulate
from pneumonia.study.card import CardError, write_card

pytestmark = pytest.mark.keras

ROOT = Path(__file__).parent.parent
NAMES = ("bundle", "report", "audit", "adults", "finder")
SHIPPED = {name: json.loads((BUNDLE / f"{name}.json").read_text()) for name in NAMES}
GAP = "Not measured for this bundle."
FAULT, OFFICIAL = "The largest known fault", "Official test split"
HELD_OUT = "How good it is on children of the same hospital"
POINT, WRONG = "Operating point and uncertain answers", "What goes wrong"
AUDIT, STEPS = "Shortcut audit", "What each step brought"
FINDER, STRESS = "Finding the lungs", "Under stress"
GAINS = "hottest_covered.Normal.more_than."
OWN = "Grad-CAM's maps of the answer Normal show where the evidence in their own"
LEARNED = SHIPPED["report"] | {"validation_only": False}
FAMILIES = "report.stress.families."
LOOKS = [
    {"Normal": 20, "Pneumonia": 50, "sensitivity": 0.9, "specificity": 0.8},
    {"Normal": 12, "Pneumonia": 34, "sensitivity": 0.987, "specificity": 0.432},
]
WORST = FAMILIES + "other class's tone and frame"


@pytest.fixture(scope="module")
def rows() -> dict:
    """A table of three rows of the ablation, two seeds each."""
    rng, figures = np.random.default_rng(0), ("unseen_auroc", "stress_auroc")

    def run() -> dict:
        return {name: float(rng.uniform(0.6, 0.9)) for name in figures}

    rows = [tabulate(name, [run(), run()]) for name in ("floor", "ours", "whole")]
    return {"what": "what", "command": "pneumonia ablate", "rows": rows}


@pytest.fixture
def files(rows):
    """What ships, and where a sentence depends on a figure, a figure that decides."""
    files = copy.deepcopy(SHIPPED)
    report, audit = files["report"], files["audit"]
    families = report["stress"]["families"]
    names = ("accuracy", "sensitivity", "specificity")
    for found in (report, *families.values()):
        found |= dict.fromkeys(names, figure(0.95))
    worst = WORST.removeprefix(FAMILIES)
    families[worst] |= {"accuracy": figure(0.8), "specificity": figure(0.6)}
    report["stress"]["worst"] |= {"accuracy": worst}
    for row in audit["interventions"]:
        row["auroc"] = figure(0.9)
    for lies in (audit["heat_map"]["bundle"], audit["hirescam"]["heat_map"]):
        for label in LABELS:
            lies[label] |= {"share": figure(0.8), "even": figure(0.5)}
    for found in (audit, audit["hirescam"]):
        found["randomised_head"]["another_image"] = 0.5
        for level in found["randomised_head"]["levels"]:
            level["correlation"] = 0.1
        for label in LABELS:
            covered = found["hottest_covered"][label]
            covered["more_than"] = {"another": figure(0.2), "elsewhere": figure(0.9)}
    files["ablation"] = copy.deepcopy(rows)
    cuts = {"nothing": (0.85, None), "6 % on all sides": (0.66, 0.18)}
    cuts |= {"12 % on all sides": (0.36, 0.47)}
    names = ("cut", "specificity", "normal_answers_changed")
    files["official_test"] = {
        **{"n": 624, "what": "the official test split"},
        **{"bundle_sha256": files["bundle"]["weights"]["graph"]["sha256"]},
        **{"auroc": 0.98, "specificity": 0.85},
        "cuts": [dict(zip(names, (cut, *of), strict=True)) for cut, of in cuts.items()],
        "adults": {"auroc": 0.84, "n": 591, "what": "adults"},
    }
    return files


@pytest.fixture
def write(tmp_path):
    """Write the card of some files."""

    def write(files: dict, **named: Path) -> str:
        for name, content in files.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        return write_card(tmp_path, **named)

    return write


def section(card: str, title: str) -> str:
    return (card.split(f"## {title}\n")[1:] or [""])[0].split("\n## ")[0]


def figure(value: float, margin: float = 0.01) -> dict:
    return {"value": value, "ci95": [value - margin, value + margin]}


def scramble(found: object, rng: np.random.Generator) -> None:
    """Give every figure with an interval or a spread a value of its own."""
    for part in found.values() if isinstance(found, dict) else found:
        if isinstance(part, dict) and "ci95" in part:
            part.update(figure(rng.uniform(0.6, 0.9), rng.uniform(0.01, 0.09)))
        elif isinstance(part, dict) and "mean" in part:
            part.update(mean=rng.uniform(), spread=rng.uniform())
        elif isinstance(part, dict | list):
            scramble(part, rng)


def written(found: object, keys: tuple | None = None) -> list[str]:
    """List how the figures of a part of a file are written."""
    if isinstance(found, dict) and "ci95" in found:
        return ["{:.3f} ({:.3f} to {:.3f})".format(found["value"], *found["ci95"])]
    if isinstance(found, dict) and "mean" in found:
        return [f"{found['mean']:.3f} ({found['spread']:.3f})"]
    parts = [found[k] for k in keys or found] if isinstance(found, dict) else found
    return [t for part in parts if isinstance(part, dict | list) for t in written(part)]


def test_committed_card_is_what_the_command_writes(tmp_path):
    main(["card", "--out", str(tmp_path / "CARD.md")])
    card = (tmp_path / "CARD.md").read_text(encoding="utf-8")
    assert (ROOT / "MODEL_CARD.md").read_text(encoding="utf-8") == card
    assert NOTICE in card
    assert not re.search(r"\bnan\b|\| None|\{", card, re.IGNORECASE)
    gaps = {title for title in (OFFICIAL, STEPS) if GAP in section(card, title)}
    assert card.lower().count("not measur") == len(gaps)
    for path in re.findall(r"`(pneumonia/[\w/.]+)`", card):
        assert (ROOT / path).is_file(), path
    for table in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        assert len({row.count("|") for row in table.splitlines()}) == 1, table


def test_every_figure_stands_in_its_section(files, write):
    scramble(files, np.random.default_rng(0))
    report, ablation, card = files["report"], files["ablation"], write(files)
    stress, rows = report["stress"], ablation["rows"]
    parts = [stress["all"], *stress["families"].values(), *stress["groups"].values()]
    columns = tuple(key for key in rows[0] if key != "runs")
    for title, figures in {
        HELD_OUT: written(report, tuple(METRICS)),
        STRESS: [text for part in parts for text in written(part, SHOWN)],
        "Calibration": written([report["ece"], stress["all"]["ece"]]),
        "Adults": written(files["adults"], SHOWN),
        AUDIT: written(files["audit"]),
        STEPS: [text for row in rows for text in written(row, columns)],
    }.items():
        shown = section(card, title)
        assert [text for text in figures if text not in shown] == [], title
        assert len(set(figures)) > 1


@pytest.mark.parametrize(
    ("path", "value", "title", "text"),
    [
        ("report.n", 8765, HELD_OUT, "8765 images"),
        ("report.confusion.false_positive", 7654, HELD_OUT, "| 7654 |"),
        ("report.specificity", figure(0.8), "-" + HELD_OUT, "too good"),
        ("finder.n", 8765, FINDER, "on 8765 X-rays"),
        ("finder.clean.all.dice", 0.4567, FINDER, "| 0.457 |"),
        ("finder.families.window.all.dice", 0.4567, FINDER, "| window | 0.457 |"),
        (FAMILIES + "cut below 15 %.normals_changed", 0.4567, STRESS, "| 45.7 % |"),
        ("report.brier", figure(float("nan")), HELD_OUT, "score | not measurable |"),
        ("report.stress.band.coverage", 0.7654, POINT, "| 23.5 % |"),
        ("report.stress.band.error_inside", None, POINT, "| not measurable |"),
        (WORST + ".accuracy", figure(0.94), "-" + WRONG, "tone and frame**"),
        (WORST + ".accuracy", figure(0.94), WRONG, "No stress family costs"),
        (WORST + ".specificity", figure(0.4222), WRONG, "ill: specificity is 0.422"),
        (WORST + ".sensitivity", figure(0.4222), WRONG, "missed: sensitivity is 0.422"),
        ("bundle.training.training_patients", 9876, "Who it learned from", "| 9876 |"),
        ("report.band.certain_but_wrong.Normal", 0.4567, POINT, "| 45.7 % |"),
        ("bundle.temperature", 0.4567, "Calibration", "0.457"),
        ("bundle.looks", LOOKS, POINT, "with a specificity of 43.2 %."),
        ("bundle.looks", LOOKS, POINT, "| 12 | 34 | 98.7 % | 43.2 % |"),
        ("adults.auroc", figure(0.505), WRONG, "no better than chance"),
        ("adults.auroc", figure(0.4), WRONG, "worse than chance"),
        ("adults.specificity", figure(0.1234), WRONG, "87.7 % of the adults"),
        ("audit.interventions.1.Normal.p95_change", 0.2341, AUDIT, ", 0.234 |"),
        ("audit.interventions.1.Normal.labels_changed", 0.345, WRONG, "34.5 % of"),
        ("audit.interventions.7.auroc", figure(0.505), WRONG, "as it should be"),
        ("audit.shortcuts.names.virus.Normal", 5, AUDIT, "does not fix the label"),
        ("audit.heat_map.bundle.Normal.share", None, AUDIT, "| no map |"),
        ("audit.heat_map.bundle.Normal.share", figure(0.1), WRONG, "no more than"),
        ("audit.shortcuts.rows.1.auroc_cropped", figure(0.1), AUDIT, "| 0.100 (0."),
        ("audit.shortcuts.rows.0.auroc", figure(0.55), FAULT, "an AUROC of 0.550"),
        (f"audit.{GAINS}another", figure(0.0), WRONG, "Normal show where evidence"),
        (f"audit.{GAINS}another", figure(0.0), "-" + AUDIT, OWN),
        (f"audit.{GAINS}elsewhere", figure(0.0), WRONG, "Normal show no place"),
        (f"audit.hirescam.{GAINS}another", figure(0.0), WRONG, "HiResCAM's maps"),
        ("audit.randomised_head.levels.0.correlation", 0.4321, AUDIT, "| 0.432 |"),
        ("audit.randomised_head.levels.2.correlation", 0.4321, AUDIT, "do not fall"),
        ("official_test.auroc", 0.9753, OFFICIAL, "| 0.9753 |"),
        ("official_test.cuts.2.specificity", 0.4321, FAULT, "57 % of the healthy"),
        ("official_test.cuts.2.normal_answers_changed", 0.65, OFFICIAL, "| 65 % |"),
        ("official_test.cuts.1.normal_answers_changed", 0.65, FAULT, "by 6 % on"),
        ("official_test.bundle_sha256", "0", "-" + FAULT, "specificity"),
        ("official_test.bundle_sha256", "0", OFFICIAL, GAP),
    ],
)
def test_a_figure_changes_what_the_card_says(files, write, path, value, title, text):
    before = section(write(files), title.strip("-"))
    *way, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    functools.reduce(operator.getitem, way, files)[last] = value
    after = section(write(files), title.strip("-"))
    if title.startswith("-"):  # what the card said before, it says no longer
        before, after = after, before
    assert text in after
    assert text not in before


def test_what_is_missing_is_said(files, write, tmp_path):
    few = {name: files[name] for name in ("bundle", "report")}
    card = write(few)
    for title in (FINDER, OFFICIAL, "Adults", AUDIT, STEPS):
        assert GAP in section(card, title)
    assert FAULT not in card
    del files["report"]["stress"], files["report"]["brier"]
    assert GAP in section(write(few), "Under stress")
    assert GAP in section(write(few), WRONG)
    assert "| Brier score | not measured |" in write(few)
    del files["audit"]["interventions"][0]["Normal"]
    with pytest.raises(CardError, match="lack a measurement: .*Normal"):
        write(files)
    with pytest.raises(CardError, match="can't be read"):
        write(files, ablation=tmp_path / "none.json")


def test_a_report_of_the_official_test_replaces_its_figures(files, write, tmp_path):
    test = {**files["report"], "n": 77, "specificity": figure(0.9753)}
    (tmp_path / "measured.json").write_text(json.dumps(test))
    card = write(files, test=tmp_path / "measured.json")
    for text in ("77 images", "| 0.975 (0.965 to 0.985) |", "12 % on all sides"):
        assert text in section(card, OFFICIAL)
    assert section(card, FAULT)
    assert "too good" not in section(card, HELD_OUT)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("report", None, "evaluate DIR/train"),
        ("report", "{", "is damaged"),
        ("report", "[]", "holds no measurements"),
        ("report", '{"bundle_sha256": "0"}', "other weights"),
        ("audit", '{"bundle_sha256": "0"}', "other weights"),
        ("adults", '{"n": 1}', "other weights"),
        ("finder", '{"sha256": "0"}', "other weights"),
        ("bundle", None, "export RUN"),
        ("report", json.dumps(LEARNED), "that the network learned from"),
    ],
)
def test_what_does_not_fit_stops_the_card(files, write, tmp_path, file, text, message):
    write(files)
    (tmp_path / f"{file}.json").write_text(text or "")
    if text is None:
        (tmp_path / f"{file}.json").unlink()
    out = tmp_path / "CARD.md"
    with pytest.raises(SystemExit, match=message):
        main(["card", "--bundle", str(tmp_path), "--out", str(out)])
    assert not out.exists()
