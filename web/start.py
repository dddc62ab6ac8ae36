"""What every server does before it answers: check, log, load."""

import argparse
import logging

from pneumonia import BundleError, Classifier, load_classifier

from . import door, memory, words


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
