"""The demo's tab for a visitor's own labelled X-rays: does it work here?"""

import json
from collections.abc import Callable

import gradio as gr

from pneumonia import MAX_BYTES, TOO_LARGE, Classifier

from .. import answer, words
from ..yours import trial


def build(classifier: Classifier, read: Callable) -> None:  # noqa: ARG001
    """Fill the tab; `static/yours.js` asks `ask_many` for answers and figures.

    Args:
        classifier: from `load_classifier`.
        read: not needed here.
    """
    mib = trial.MAX_TOTAL // 2**20
    said = words.YOURS | {
        "too_large": TOO_LARGE,
        "progress": words.PROGRESS,
        "queued": words.QUEUED,
        "unsent": words.UNSENT,
    }
    gr.Markdown(
        answer.one_line(
            "yours_room.html",
            words=words,
            said=json.dumps(said),
            hint=words.DROP_YOURS.format(files=trial.MOST, mib=mib),
            files=trial.MOST,
            largest=MAX_BYTES,
            most=trial.MAX_TOTAL,
            say=words.TOO_MUCH,
            busy=words.BUSY_BATCH,
        ),
        sanitize_html=False,
        latex_delimiters=[],
    )
