"""The demo's tab for two X-rays side by side, each with its answer."""

import json
from collections.abc import Callable

import gradio as gr

from pneumonia import MAX_BYTES, SUFFIXES, TOO_LARGE, Classifier

from ...serving.overlay import STRENGTH
from .. import answer, words


def build(classifier: Classifier, read: Callable) -> None:  # noqa: ARG001
    """Fill the tab; `static/compare.js` asks `demo/endpoints.py` for answers.

    Args:
        classifier: not needed here.
        read: not needed here.
    """
    said = words.COMPARE | {"unsent": words.UNSENT, "sending": words.SENDING}
    said |= {"picture": words.VIEWER["picture"]}
    gr.Markdown(
        answer.one_line(
            "compare.html",
            words=words,
            said=json.dumps({"words": said, "viewer": words.VIEWER}),
            suffixes=SUFFIXES,
            strength=round(100 * STRENGTH),
            large=TOO_LARGE,
            largest=MAX_BYTES,
            most=2 * MAX_BYTES,
            say=words.TOO_MUCH,
        ),
        sanitize_html=False,
        latex_delimiters=[],
    )
