"""What every server does before its first visitor comes: check, log, load, warm up."""

import argparse
import logging
import threading
from collections.abc import Callable

from pneumonia import BundleError, Classifier, load_classifier, phantoms, predict

from . import answer, door, memory, report, shipped, words


def check(
    parser: argparse.ArgumentParser, args: argparse.Namespace, shared: bool = False
) -> None:
    """End the program where strangers could come in unasked; else begin to log."""
    door.check_access(parser, args, shared)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("pneumonia").setLevel(logging.INFO)


def load(args: argparse.Namespace) -> Classifier:
    """Load `--bundle`, in the process that answers.

    Raises:
        SystemExit: it can't be loaded; says what mends it.
    """
    memory.return_early()
    try:
        classifier = load_classifier(args.bundle)
    except BundleError as error:
        raise SystemExit(f"error: {error}") from error
    if classifier.gate is None:
        logging.getLogger("pneumonia").warning(words.NO_GATE)
    return classifier


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
        report.links(classifier, prediction)
        for name in shipped.offered():
            shipped.answered(classifier, name)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
