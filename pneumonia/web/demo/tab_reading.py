"""The demo's last tab: read real X-rays oneself, alone and then aided."""

import json
from collections.abc import Callable

import gradio as gr

from pneumonia import LABELS, Classifier, examples

from .. import answer, words


def build(classifier: Classifier, read: Callable) -> None:  # noqa: ARG001
    """Fill the tab; `static/reading.js` asks `web/demo/endpoints.py` for answers.

    Args:
        classifier: from `load_classifier`.
        read: not needed here.
    """
    room = {
        "files": [one.path.name for one in examples()],
        "words": words.READING,
        "tools": words.VIEWER,
    }
    html = answer.one_line(
        "reading.html",
        words=words,
        room=json.dumps(room),
        ill=LABELS[1],
        threshold=classifier.threshold,
    )
    gr.Markdown(html, sanitize_html=False, latex_delimiters=[])
