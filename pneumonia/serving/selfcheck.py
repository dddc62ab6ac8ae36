"""Check that the bundle answers here as it did where it was exported."""

from pathlib import Path

from ..contract import PHANTOMS
from .classifier import BundleError, Classifier
from .prediction import predict

SELFTEST_TOLERANCE = 0.03
"""Largest difference in probability that the self-test lets pass between machines."""


def phantoms() -> tuple[Path, ...]:
    """Return the drawn chest phantoms that ship as examples, PNG files. No X-rays."""
    return tuple(sorted(PHANTOMS.glob("*.png")))


def selftest(classifier: Classifier) -> dict[str, tuple[float, float]]:
    """Answer the shipped phantoms and compare with the answers stored in the bundle.

    Args:
        classifier: from `load_classifier`, which has verified the checksum.

    Returns:
        By phantom, the stored and the present probability of pneumonia.

    Raises:
        BundleError: an answer differs by more than SELFTEST_TOLERANCE: this machine or
            its ONNX Runtime computes something else than the bundle was tested with.
    """
    stored = classifier.facts["selftest"]
    answers = {}
    for path in phantoms():
        answer = predict(classifier, path.read_bytes(), anyway=True)
        answers[path.name] = stored[path.name], answer.p_pneumonia
    for name, (expected, found) in answers.items():
        if abs(expected - found) > SELFTEST_TOLERANCE:
            raise BundleError(
                f"{name} was answered {found:.3f}, expected {expected:.3f} within "
                f"{SELFTEST_TOLERANCE}. Install the versions in requirements.txt again."
            )
    return answers
