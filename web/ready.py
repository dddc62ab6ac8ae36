"""What is loaded on first use is loaded before: nobody's first answer waits for it."""

import threading
from collections.abc import Callable

from pneumonia import Classifier, phantoms, predict

from . import answer, report


def warm_up(classifier: Classifier, read: Callable) -> threading.Thread:
    """Answer a drawing, in a thread of its own, while the server already starts.

    Args:
        classifier: from `load_classifier`.
        read: what decodes uploads; a process of it starts here.

    Returns:
        The thread, for who wants to know when it has ended.
    """

    def work() -> None:
        drawing = phantoms()[0].read_bytes()
        prediction = predict(classifier, drawing, anyway=True, read=read)
        answer.render(classifier, prediction)
        answer.render_links(report.links(classifier, prediction))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
