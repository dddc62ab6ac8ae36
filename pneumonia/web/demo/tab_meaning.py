"""The demo's third tab: what a number means, from what was measured of the bundle."""

import json
from collections.abc import Callable

import gradio as gr
import numpy as np

from pneumonia import LABELS, Classifier, percent
from pneumonia.figures.reliability import reliability

from .. import answer, measurements, words


def build(classifier: Classifier, read: Callable) -> None:  # noqa: ARG001
    """Fill the tab; nothing in it asks the server again.

    Args:
        classifier: from `load_classifier`.
        read: not needed here.
    """
    report = measurements.load(classifier, "report.json")
    html = render(classifier, report) if report else words.NO_REPORT
    gr.Markdown(html, sanitize_html=False, latex_delimiters=[])


def render(classifier: Classifier, report: dict) -> str:
    """Return the tab as one line of HTML."""
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
                # to X-rays of held-out patients, rising
                "answers": [report["answers"][label] for label in LABELS],
                "band": classifier.uncertain_band,
                "reliability": _reliability(report["answers"]),
                "words": words.MEANING,
            }
        ),
    )


def _reliability(answers: dict[str, list[float]]) -> list[dict]:
    """Return what was stated and what came true, of probabilities by label."""
    p = [np.array(answers[label]) for label in LABELS]
    labels = np.repeat(np.arange(len(LABELS)), [len(of) for of in p])
    return reliability(labels, np.concatenate(p))
