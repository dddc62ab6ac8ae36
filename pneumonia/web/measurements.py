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
    audit = load(classifier, "audit.json") or {}
    tested = {"Grad-CAM": audit, "HiResCAM": audit.get("hirescam") or {}}
    sentences = {}
    for method in METHODS:
        covered = tested[method].get("hottest_covered") or {}
        if all(covered.get(label) for label in LABELS):
            times = {
                label: covered[label]["own"]["value"]
                / covered[label]["elsewhere"]["value"]
                for label in LABELS
            }
            said = words.MAP_TESTED.format(method=method, **times)
        else:
            said = words.MAP_NOT_TESTED.format(method=method)
        sentences[method] = f"{words.MAP_HINT} {said}"
    return sentences
