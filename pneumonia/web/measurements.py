"""What was measured of exactly the weights that answer, for the pages to say."""

import functools
import json

from pneumonia import LABELS, Classifier

from ..contract import METHODS
from . import words


def load(classifier: Classifier, name: str) -> dict | None:
    """Return what a command measured of these weights.

    Args:
        classifier: from `load_classifier`.
        name: `report.json` (of `evaluate`) or `audit.json` (of `audit`). It stands
            beside the bundle.

    Returns:
        The file's content; None where nothing was measured, or other weights were.
    """
    try:
        found = json.loads((classifier.folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found if found["bundle_sha256"] == classifier.sha256 else None


@functools.lru_cache(maxsize=2)  # each answer shows them
def bands(classifier: Classifier) -> tuple[dict, float] | None:
    """Return what answers in each band of the bar were worth, under stress.

    Returns:
        The bands of `calibrate.measure_band` and the calibration error; None where
        nothing was measured.
    """
    stress = (load(classifier, "report.json") or {}).get("stress")
    if not stress:
        return None
    band = stress["band"]  # a report of before December 2026 calls them zones
    return band.get("bands") or band["zones"], stress["all"]["ece"]["value"]


@functools.lru_cache(maxsize=2)  # each report shows them
def both_errors(classifier: Classifier) -> list[tuple[str, str]]:
    """Return sensitivity and specificity in words, if they were measured."""
    report = load(classifier, "report.json") or {}
    rows = []
    for metric, name in words.REPORT_MEASURED.items():
        if metric in report:
            low, high = report[metric]["ci95"]
            said = f"{report[metric]['value']:.1%} ({low:.1%} to {high:.1%})"
            rows.append((name, words.REPORT_ON.format(figure=said, n=report["n"])))
    return rows


@functools.lru_cache(maxsize=2)  # each answer shows them
def captions(classifier: Classifier) -> dict[str, str]:
    """Return what is to be known of each method's heat maps."""
    passed = classifier.passed
    sentences = {}
    for method in METHODS:
        if passed is None:
            said = words.MAP_NOT_TESTED.format(method=method)
        else:
            yes = [label for label in LABELS if method in passed[label]]
            no = [label for label in LABELS if label not in yes]
            text = words.MAP_PASSED[bool(yes), not no]
            said = text.format(method=method, yes="".join(yes), no="".join(no))
        sentences[method] = f"{words.MAP_HINT} {said}"
    return sentences
