"""MODEL_CARD.md, written from the JSON files that other commands measured.

No number is typed by hand: bundle.json, report.json and the others are the sources, and
each must be about the same weights. The order follows Mitchell et al., "Model Cards for
Model Reporting", FAT* 2019.
"""

import json
from pathlib import Path

from ..contract import BUNDLE
from . import card_audit, card_bundle, card_findings, card_steps
from .card_words import bullets, command, interval, number, share, table

METRICS = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity (pneumonias that are found)",
    "specificity": "specificity (healthy children that are left alone)",
    "auroc": "AUROC",
    "auprc": "area under precision and recall",
    "ece": "expected calibration error",
    "brier": "Brier score",
}

MEASURED = ("report", "audit", "ablation", "adults")
"""Files beside bundle.json that the card reads; all but the first may be missing."""


class CardError(ValueError):
    """The measurements are missing or about something else; says the command."""


def write_card(
    bundle: str | Path | None = None,
    *,
    report: str | Path | None = None,
    audit: str | Path | None = None,
    ablation: str | Path | None = None,
    adults: str | Path | None = None,
    test: str | Path | None = None,
) -> str:
    """Write the model card of a bundle.

    Args:
        bundle: its folder; None: the one that ships.
        report: `report.json` of `evaluate --validation-only --stress`. This and the
            next three are looked for beside `bundle.json` unless they are named.
        audit: `audit.json` of `audit`.
        ablation: `ablation.json`, a table of trained variants.
        adults: `report.json` of `evaluate` on adults.
        test: `report.json` of `evaluate` on the official test split.

    Returns:
        Markdown.

    Raises:
        CardError: a file that was named, or the report, is missing or damaged, or
            about another bundle.
    """
    folder = Path(bundle or BUNDLE)
    named = {"report": report, "audit": audit, "ablation": ablation, "adults": adults}
    facts = _read(folder / "bundle.json")
    found = {
        name: _read(named[name] or folder / f"{name}.json")
        if name == "report" or named[name] or (folder / f"{name}.json").exists()
        else None
        for name in MEASURED
    }
    found["test"] = _read(test) if test else None
    for name, measured in found.items():
        if measured and name != "ablation":
            _check_weights(name, measured, facts)
    if not found["report"]["validation_only"]:
        raise CardError(
            "The report is about images that the network learned from. Expected the "
            "held-out patients: python -m pneumonia evaluate DIR --out OUT "
            "--validation-only --stress"
        )
    report, audit, adults = found["report"], found["audit"], found["adults"]
    sections = {
        "": card_bundle.opening(facts),
        "What it is for": card_bundle.use(),
        "Who it learned from": card_bundle.patients(facts),
        "How good it is on children of the same hospital": _numbers(report),
        "Operating point and uncertain answers": _operating_point(facts, report),
        "Calibration": _calibration(facts, report),
        "Under stress": card_findings.stress(report),
        "What goes wrong": card_findings.failures(report, audit, adults),
        "Adults": card_findings.adults(adults),
        "Shortcut audit": card_audit.shortcuts(audit),
        "What each step brought": card_steps.ablation(found["ablation"]),
        "Official test split": _official(found["test"]),
        "How it was trained": card_bundle.training(facts),
        "Make it again": card_bundle.again(facts),
        "Licences": bullets(f"{k}: {v}" for k, v in facts["licence"].items()),
        "Checksums": card_bundle.checksums(facts),
    }
    written = [
        f"## {title}\n\n{text}" if title else text for title, text in sections.items()
    ]
    return "\n\n".join(written) + "\n"


def _read(path: str | Path) -> dict:
    path = Path(path)
    commands = {
        "bundle": "export RUN --out BUNDLE",
        "report": "evaluate DIR/train --out OUT --validation-only --stress",
        "audit": "audit DIR/train --out OUT --validation-only",
        "adults": "evaluate ADULTS --out OUT",
    }
    make = commands.get(path.stem)
    mend = f" Make it with `python -m pneumonia {make}`." if make else ""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CardError(f"{path} can't be read: {error.strerror}.{mend}") from error
    except ValueError as error:
        raise CardError(f"{path} is damaged: {error}.{mend}") from error
    if not isinstance(found, dict):
        raise CardError(f"{path} holds no measurements.{mend}")
    return found


def _check_weights(name: str, measured: dict, facts: dict) -> None:
    expected, came = facts["weights"]["sha256"], measured.get("bundle_sha256")
    if came != expected:
        raise CardError(
            f"The {name} file is about other weights ({str(came)[:12]}) than "
            f"bundle.json ({expected[:12]}). Measure this bundle again."
        )


def _metrics(report: dict | None) -> str:
    return table(
        ("", "value (95 % interval)"),
        [
            (name, interval(report[key]) if report else "")
            for key, name in METRICS.items()
        ],
    )


def _numbers(report: dict) -> str:
    by_label = ", ".join(f"{n} {label}" for label, n in report["n_by_label"].items())
    return "\n\n".join(
        [
            f"{report['n']} images ({by_label}) of {report['patients']} patients that "
            "training held out.",
            _metrics(report),
            _confusion(report),
            "These figures flatter: held-out and training images come from the same "
            "archive and share its habits. The sections on stress, adults and "
            "shortcuts say what is left elsewhere.",
            command(
                "python -m pneumonia evaluate DIR/train --out OUT --validation-only"
                + (" --stress" if report.get("stress") else "")
            ),
        ]
    )


def _confusion(report: dict) -> str:
    counts = report["confusion"]
    return table(
        ("truth", "answered Normal", "answered Pneumonia"),
        [
            ("Normal", counts["true_negative"], counts["false_positive"]),
            ("Pneumonia", counts["false_negative"], counts["true_positive"]),
        ],
    )


def _operating_point(facts: dict, report: dict) -> str:
    low, high = facts["uncertain_band"]
    aim = ""
    if "sensitivity_aimed_at" in facts:
        aim = (
            f": the highest that still finds {share(facts['sensitivity_aimed_at'])} of "
            "their pneumonias, the images as they are and under stress"
        )
    text = (
        f"From a probability of {share(report['threshold'])} on the answer is "
        "Pneumonia. Temperature and operating point were chosen on held-out training "
        f"patients alone, by `python -m pneumonia export`{aim}. Between "
        f"{share(low)} and {share(high)} the answer is marked as uncertain."
    )
    bands = {
        "held-out patients, images as they are": report.get("band"),
        "the same, all stress families together": (report.get("stress") or {}).get(
            "band"
        ),
        "where the band was chosen (`bundle.json`)": facts.get(
            "uncertain_band_measured"
        ),
    }
    return (
        text
        + "\n\n"
        + table(
            ("images", "uncertain", "wrong among these", "wrong among the others"),
            [
                (
                    name,
                    share(1 - band["coverage"]),  # what lies outside is covered
                    share(band["error_inside"]),
                    share(band["error_outside"]),
                )
                for name, band in bands.items()
                if band
            ],
        )
    )


def _calibration(facts: dict, report: dict) -> str:
    rows = [("held-out patients, images as they are", interval(report["ece"]))]
    found = report.get("stress")
    if found:
        worst = found["worst"]["ece"]
        rows += [
            ("the same, all stress families together", interval(found["all"]["ece"])),
            (f"worst: {worst}", interval(found["families"][worst]["ece"])),
        ]
    return (
        "Expected calibration error: by how much, on average, the stated probability "
        "of pneumonia and the share that has it differ (0 is best). Temperature "
        f"{number(facts['temperature'])}.\n\n"
        + table(("images", "calibration error"), rows)
    )


def _official(test: dict | None) -> str:
    measured = (
        f"{test['n']} images of {test['patients']} patients."
        if test
        else "Not measured yet: the numbers are left empty until they are supplied."
    )
    return "\n\n".join(
        [
            "Nothing was chosen or tuned on the official test split: not the weights, "
            "not the epoch, not the operating point. It is held back, and measured "
            f"once, on what ships. {measured}",
            _metrics(test),
            command(
                "python -m pneumonia evaluate DIR/test --out OUT",
                "python -m pneumonia card --test OUT/report.json --out MODEL_CARD.md",
            ),
        ]
    )
