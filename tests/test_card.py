"""The model card says what was measured, about these weights, and nothing else."""

import json
from pathlib import Path

import pytest

from pneumonia.__main__ import main
from pneumonia.contract import BUNDLE, NOTICE
from pneumonia.study.card import METRICS, write_card
from pneumonia.study.card_steps import COLUMNS

ROOT = Path(__file__).parent.parent
FACTS = json.loads((BUNDLE / "bundle.json").read_text())
SHA = FACTS["weights"]["sha256"]


def metrics(**values: float) -> dict:
    """Metrics as `evaluate` writes them, 0.9 but for those that are named."""
    chosen = {name: values.get(name, 0.9) for name in METRICS}
    return {
        name: {"value": value, "ci95": [value - 0.013, value + 0.017]}
        for name, value in chosen.items()
    }


def report(**values: float) -> dict:
    return {
        "n": 434,
        "n_by_label": {"Normal": 121, "Pneumonia": 313},
        "patients": 251,
        **metrics(**values),
        "threshold": 0.5,
        "temperature": 1.0,
        "confusion": {
            "true_negative": 111,
            "false_positive": 10,
            "false_negative": 7,
            "true_positive": 306,
        },
        "band": {
            "band": [0.2, 0.9],
            "coverage": 0.8757,
            "error_inside": 0.3333,
            "error_outside": 0.0123,
        },
        "bundle_sha256": SHA,
        "validation_only": True,
    }


def stress() -> dict:
    families = {
        "fog": {
            "what": "a grey veil",
            "seen_in_training": False,
            "n": 434,
            **metrics(accuracy=0.7111, specificity=0.4222, ece=0.2111),
        },
        "tilt": {
            "what": "turned a little",
            "seen_in_training": True,
            "n": 434,
            **metrics(accuracy=0.8888),
        },
        "blur": {
            "what": "made soft",
            "seen_in_training": False,
            "n": 434,
            **metrics(accuracy=0.8003, sensitivity=0.6444),
        },
    }
    return {
        "families": families,
        "groups": {"virus": {"n": 99, **metrics(accuracy=0.8321)}},
        "all": metrics(ece=0.1212),
        "band": {
            "band": [0.2, 0.9],
            "coverage": 0.7654,
            "error_inside": 0.4444,
            "error_outside": None,
        },
        "worst": {"accuracy": "fog", "ece": "fog"},
    }


def change(mean: float, labels: float) -> dict:
    return {
        "n": 10,
        "mean_change": mean,
        "p95_change": mean * 2,
        "mean_shift": mean,
        "labels_changed": labels,
    }


def audit(**values: float) -> dict:
    """An audit; `lungs` is the AUROC without lungs, `inside` a heat map's share."""
    lungs, inside = values.get("lungs", 0.51), values.get("inside", 0.81)
    random = values.get("random", 0.0204)
    share = {"value": inside, "ci95": [inside - 0.01, inside + 0.01]}
    seen = {"n": 10, "empty": 0, "share": share}
    row = {
        "task": "Normal or Pneumonia",
        "name": "borders",
        "what": "the outer 8 pixels",
        "n": 5000,
        **{"patients": 2000, "folds": 5, "features": 240},
        "auroc": {"value": 0.9432, "ci95": [0.93, 0.95]},
    }
    near = {"value": 0.61, "ci95": [0.51, 0.71]}
    gain = values.get("own", 0.2)  # over another image's map
    covered = {
        **{"n": 55, "own": near, "another": near, "elsewhere": near},
        "more_than": {
            "another": {"value": gain, "ci95": [gain - 0.1, gain + 0.1]},
            "elsewhere": {"value": 0.3, "ci95": [0.2, 0.4]},
        },
    }
    head = {
        "n": 256,
        "another_image": 0.5432,
        "levels": [
            {
                "layers": ["logits"],
                "correlation": random,
                "draws": [random],
                "empty": 0.01,
            }
        ],
    }
    size = {"aspect": [1, 1.25, 1.5], "width": [8, 9, 1010], "height": [7, 8, 808]}
    return {
        "bundle_sha256": SHA,
        "data": {"images": 5000, "patients": 2000},
        "asked": {"images": 434, "patients": 251, "validation_only": True},
        "shortcuts": {
            "rows": [row],
            "names": {"IM-": {"Normal": 7, "Pneumonia": 0}},
            "originals": {
                "rows": [{**row, "name": "aspect ratio"}],
                "percentiles": {"Normal": size, "Pneumonia": size},
            },
        },
        "interventions": [
            {
                "name": name,
                "what": f"what {name} is",
                "auroc": {"value": auroc, "ci95": [auroc - 0.02, auroc + 0.02]},
                "Normal": change(0.0303, normal),
                "Pneumonia": change(0.0101, 0.01),
            }
            for name, auroc, normal in (
                ("nothing", 0.99, 0.0),
                ("corners covered", 0.98, 0.1717),
                ("lungs covered", lungs, 0.9),
            )
        ],
        "heat_map": {
            "box": {"top": 0.125, "bottom": 0.8, "left": 0.125, "right": 0.875},
            "box_area": 0.506,
            "bundle": {"Normal": seen, "Pneumonia": seen},
            "against": {
                "bundle_sha256": "other",
                "Normal": {"n": 10, "empty": 10, "share": None},
                "Pneumonia": seen,
            },
        },
        "hottest_covered": {"area": 0.2, "Normal": None, "Pneumonia": covered},
        "randomised_head": head,
        "hirescam": {
            "heat_map": {"Normal": {**seen, "empty": 7}, "Pneumonia": seen},
            "hottest_covered": {"area": 0.2, "Normal": covered, "Pneumonia": None},
            "randomised_head": {**head, "another_image": 0.6543},
        }
        if values.get("hirescam", True)
        else None,
    }


def ablation() -> dict:
    return {
        "what": "Steps on the same patients.",
        "command": "python -m pneumonia ablation DIR --out OUT",
        "rows": [
            {
                "name": "seed recipe",
                "what": "as published",
                "command": "python -m pneumonia train DIR --recipe seed",
                "seeds": [0, 1],
                "clean_auroc": {"mean": 0.9771, "spread": 0.0042},
                "stress_accuracy": {"mean": 0.6543, "spread": 0.0321},
                "worst_family": "fog",
            },
            {
                "name": "ours",
                "what": "what ships",
                "command": "python -m pneumonia train DIR",
                "seeds": [0],
                "clean_auroc": {"mean": 0.9931, "spread": None},
                "worst_family": "blur",
            },
        ],
    }


@pytest.fixture
def folder(tmp_path):
    """A bundle's folder with nothing but its facts and a report."""
    (tmp_path / "bundle.json").write_text(json.dumps(FACTS))
    (tmp_path / "report.json").write_text(json.dumps(report()))
    return tmp_path


def put(folder: Path, **files: dict) -> None:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


def section(card: str, title: str) -> str:
    return card.split(f"## {title}\n")[1].split("\n## ")[0]


def test_committed_card_is_what_the_command_writes():
    if not (BUNDLE / "report.json").exists():
        pytest.skip("the bundle that ships was not measured yet")
    assert (ROOT / "MODEL_CARD.md").read_text(encoding="utf-8") == write_card()


def test_card_of_a_report_alone_says_what_was_not_measured(folder):
    card = write_card(folder)
    assert card.startswith("# Model card")
    assert NOTICE in card
    for title in ("Under stress", "Adults", "Shortcut audit", "What each step brought"):
        assert "Not measured for this bundle." in section(card, title), title
    assert "nan" not in card.lower().replace("chenan", "")
    assert "None" not in card.replace("`None`", "")  # but for a recipe's setting


def test_numbers_come_from_the_report(folder):
    put(folder, report=report(auroc=0.98765, ece=0.02345))
    card = write_card(folder)
    numbers = section(card, "How good it is on children of the same hospital")
    assert "| AUROC | 0.988 (0.975 to 1.005) |" in numbers
    assert "434 images (121 Normal, 313 Pneumonia) of 251 patients" in numbers
    assert "| Normal | 111 | 10 |" in numbers
    assert "0.023" in section(card, "Calibration")
    band = section(card, "Operating point and uncertain answers")
    # 0.8757 are covered, so the rest is uncertain
    assert "| 12.4 % | 33.3 % | 1.2 % |" in band
    learned = section(card, "Who it learned from")
    assert str(FACTS["training"]["training_patients"]) in learned
    assert SHA in section(card, "Checksums")


def test_stress_is_sorted_and_its_failures_are_named(folder):
    put(folder, report={**report(), "stress": stress()})
    card = write_card(folder)
    under = section(card, "Under stress")
    assert under.index("| fog |") < under.index("| blur |") < under.index("| tilt |")
    assert "| fog | a grey veil | no | 434 | 0.711" in under
    assert "| virus | 99 | 0.832" in under
    wrong = section(card, "What goes wrong")
    assert "healthy children are called pneumonia: specificity 0.422" in wrong
    assert "pneumonias are missed: sensitivity 0.644" in wrong
    assert "tilt" not in wrong  # costs less than is put in words
    calibration = section(card, "Calibration")
    assert "worst: fog" in calibration
    assert "0.211" in calibration
    assert "0.121" in calibration
    band = section(card, "Operating point and uncertain answers")
    assert "| 23.5 % | 44.4 % | not measurable |" in band


def test_harmless_stress_is_called_so(folder):
    found = stress()
    found["families"] = {"tilt": found["families"]["tilt"]}
    found["worst"] = {"accuracy": "tilt", "ece": "tilt"}
    put(folder, report={**report(), "stress": found})
    assert "No stress family costs" in section(write_card(folder), "What goes wrong")


@pytest.mark.parametrize(
    ("auroc", "verdict"),
    [
        (0.505, "no better than chance"),
        (0.4, "worse than"),
        (0.8, "better than chance"),
    ],
)
def test_adults_are_judged_by_the_interval(folder, auroc, verdict):
    put(folder, adults=report(auroc=auroc, specificity=0.1234))
    card = write_card(folder)
    assert f"**Adults**: {verdict}" in card
    assert "87.7 % of the adults without finding" in card
    assert f"{auroc:.3f}" in section(card, "Adults")


def test_audit_is_shown_and_judged(folder):
    put(folder, audit=audit())
    card = write_card(folder)
    shown = section(card, "Shortcut audit")
    for text in (
        "borders: the outer 8 pixels | 5000 | 0.943 (0.930 to 0.950)",
        "`IM-` 7 Normal",
        "fixes the label by construction",
        "1.00 to 1.50 | 8 to 1010",
        "17.2 % | 1.0 %",
        "| this bundle, Grad-CAM | 0.810 (0.800 to 0.820) | 0.810 (0.800 to 0.820) | 0",
        "| this bundle, HiResCAM | 0.810 (0.800 to 0.820) | 0.810 (0.800 to 0.820) | 7",
        "| for comparison, Grad-CAM, bundle `other` | no map |",
        "correlate 0.543 (Grad-CAM), 0.654 (HiResCAM). Grad-CAM's maps fall apart, as",
        "HiResCAM's maps fall apart, as they must",
        "The hottest 20.0 % of each map",
        "| Grad-CAM | Pneumonia | 55 | 0.610 (0.510 to 0.710) |",
        "| HiResCAM | Normal | 55 | 0.610 (0.510 to 0.710) |",
        "Grad-CAM's maps of the answer Pneumonia show where the evidence in their own "
        "image is.",
        "--originals ORIGINALS --against ANOTHER_BUNDLE",
    ):
        assert text in shown, text
    wrong = section(card, "What goes wrong")
    assert "**corners covered**" in wrong
    assert "as it should be" in wrong
    assert "Heat maps" not in wrong

    put(folder, audit=audit(lungs=0.93, inside=0.51, random=0.6, own=0.0))
    card = write_card(folder)
    wrong = section(card, "What goes wrong")
    assert "AUROC is still 0.930" in wrong
    assert "no more than chance" in wrong
    for maps in (
        "Grad-CAM's maps of the answer Pneumonia",
        "HiResCAM's maps of the answer Normal",
    ):
        assert f"{maps} show where evidence lies on average" in wrong
    assert "do not fall apart" in section(card, "Shortcut audit")


def test_audit_of_a_bundle_without_evidence(folder):
    put(folder, audit=audit(hirescam=False))
    shown = section(write_card(folder), "Shortcut audit")
    assert "Grad-CAM's maps fall apart" in shown
    assert "HiResCAM" not in shown


def test_ablation_columns_come_from_the_file(folder):
    put(folder, ablation=ablation())
    shown = section(write_card(folder), "What each step brought")
    head = "| step | what | seeds | clean AUROC | stress accuracy | worst family |"
    assert head in shown
    row = "| seed recipe | as published | 0, 1 | 0.977 (0.004) | 0.654 (0.032) | fog |"
    assert row in shown
    assert "| ours | what ships | 0 | 0.993 |  | blur |" in shown
    assert "python -m pneumonia train DIR --recipe seed" in shown
    assert "- clean AUROC: held-out images as they are." in shown
    assert "blind" not in shown  # no such column, nothing said of it


def test_every_column_of_the_ablation_that_ships_is_explained():
    (row, *_) = json.loads((BUNDLE / "ablation.json").read_text())["rows"]
    measured = {key for key, value in row.items() if isinstance(value, dict)} - {"runs"}
    assert measured == COLUMNS.keys()


def test_ablation_says_what_it_teaches(folder):
    spread = {"mean": 0.9, "spread": None}
    figures = {"images": {"mean": 59.0, "spread": None}, "auroc": spread}
    figures["right"] = spread
    unseen = {**figures, "right": {"mean": 0.25, "spread": None}}
    taught = {
        "ranking": {
            **{"rows": 7, "figures": {"clean_auroc": -0.5}},
            "adult_auroc": [0.4, 0.55],
        },
        "left_out": [{"group": "virus", "seen": figures, "unseen": unseen}],
    }
    put(folder, ablation=ablation() | taught)
    shown = section(write_card(folder), "What each step brought")
    assert "The 7 rows" in shown
    assert "0.400 to 0.550. So near to chance" in shown
    assert "| clean AUROC | -0.50 |" in shown
    assert "| virus | 59 | 0.900 | 0.900 | 90.0 % | 25.0 % |" in shown


def test_official_test_is_empty_until_it_is_supplied(folder, tmp_path):
    empty = section(write_card(folder), "Official test split")
    assert "Not measured yet" in empty
    assert "| AUROC |  |" in empty
    measured = {**report(auroc=0.9222), "validation_only": False, "n": 77}
    put(tmp_path, official=measured)
    card = write_card(folder, test=tmp_path / "official.json")
    assert "| AUROC | 0.922" in section(card, "Official test split")
    assert "77 images" in section(card, "Official test split")


def test_command_writes_the_file(folder, tmp_path, capsys):
    out = tmp_path / "CARD.md"
    put(folder, elsewhere=audit())
    command = ["card", "--bundle", str(folder), "--out", str(out)]
    main([*command, "--audit", str(folder / "elsewhere.json")])
    expected = write_card(folder, audit=folder / "elsewhere.json")
    assert out.read_text(encoding="utf-8") == expected
    assert str(folder) not in expected


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "report.json").unlink(), "evaluate DIR/train"),
        (lambda f: (f / "report.json").write_text("{"), "is damaged"),
        (lambda f: (f / "report.json").write_text("[]"), "holds no measurements"),
        (lambda f: put(f, report={**report(), "bundle_sha256": "0"}), "other weights"),
        (lambda f: put(f, audit={**audit(), "bundle_sha256": "0"}), "other weights"),
        (lambda f: put(f, adults={"n": 1}), "other weights"),
        (
            lambda f: put(f, report={**report(), "validation_only": False}),
            "that the network learned from",
        ),
        (lambda f: (f / "bundle.json").unlink(), "export RUN"),
    ],
)
def test_what_is_missing_or_stale_is_said(folder, spoil, message):
    spoil(folder)
    with pytest.raises(SystemExit, match=message):
        main(["card", "--bundle", str(folder), "--out", str(folder / "CARD.md")])
    assert not (folder / "CARD.md").exists()


def test_a_file_that_was_named_must_be_there(folder):
    with pytest.raises(SystemExit, match="can't be read"):
        main(
            [
                *("card", "--bundle", str(folder), "--out", str(folder / "CARD.md")),
                *("--ablation", str(folder / "none.json")),
            ]
        )
