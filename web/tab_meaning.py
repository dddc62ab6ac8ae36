"""The demo's third tab: what a number means, from what was measured of the bundle."""

import json
from collections.abc import Callable

import gradio as gr

from pneumonia import Classifier, percent

from . import answer, measured, words


def build(classifier: Classifier, read: Callable) -> None:  # noqa: ARG001
    """Fill the tab; nothing in it asks the server again.

    Args:
        classifier: from `load_classifier`.
        read: not needed here.
    """
    report = measured.load(classifier, "report.json")
    html = render(classifier, report) if report else words.NO_REPORT
    gr.Markdown(html, sanitize_html=False, latex_delimiters=[])


def render(classifier: Classifier, report: dict) -> str:
    """Return the tab as one line of HTML."""
    roc = report["curves"]["roc"]
    points = zip(
        roc["threshold"],
        roc["sensitivity"],
        (1 - alarm for alarm in roc["false_positive_rate"]),
        strict=True,
    )
    # the curve leaves out points on straight pieces, and what ships may be one
    shipped = [report[name]["value"] for name in ("sensitivity", "specificity")]
    points = sorted([*points, (report["threshold"], *shipped)], reverse=True)
    bands = {words.AS_THEY_ARE: report["band"]}
    if "stress" in report:
        bands[words.UNDER_STRESS] = report["stress"]["band"]
    low, high = classifier.uncertain_band
    counts = report["n_by_label"]
    return answer.one_line(
        "meaning.html",
        words=words,
        about=words.MEASURED.format(patients=report["patients"], **counts),
        band=words.BAND_MEANING.format(low=percent(low), high=percent(high)),
        rows=[
            (name, *(f"{band[key]:.0%}" for key in words.BAND_COLUMNS))
            for name, band in bands.items()
        ],
        data=json.dumps(
            {
                # points of the curve, the threshold falling, each one measured
                "points": [
                    {"threshold": t, "sensitivity": found, "specificity": left}
                    for t, found, left in points
                ],
                "threshold": classifier.threshold,
                "reliability": report["curves"]["reliability"],
                "share": counts["Pneumonia"] / report["n"],
                "words": words.MEANING,
            }
        ),
    )
