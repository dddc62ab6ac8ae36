"""An honest chest X-ray classifier: Normal or Pneumonia, how sure, with a heat map.

Research demonstration, not a medical device.

    from pneumonia import load_classifier, predict

    classifier = load_classifier()
    prediction = predict(classifier, open("xray.jpeg", "rb").read())
"""

from . import safe_path  # noqa: F401 - first, before what could be mistaken
from .contract import LABELS, VERSION
from .reading.files import find_files
from .reading.isolated import IsolatedReader, read_anywhere
from .reading.picture import MAX_BYTES, TOO_LARGE, ImageError, InstallationError
from .reading.raster import READABLE, SUFFIXES
from .serving.classifier import BundleError, Classifier, load_classifier
from .serving.examples import examples
from .serving.prediction import (
    Prediction,
    describe_map,
    explain,
    predict,
    predict_batch,
    say_place,
    verdict,
)
from .serving.selfcheck import phantoms
from .words import SENTENCES, percent

__version__ = VERSION

__all__ = [
    "LABELS",
    "MAX_BYTES",
    "READABLE",
    "SENTENCES",
    "SUFFIXES",
    "TOO_LARGE",
    "BundleError",
    "Classifier",
    "ImageError",
    "InstallationError",
    "IsolatedReader",
    "Prediction",
    "describe_map",
    "examples",
    "explain",
    "find_files",
    "load_classifier",
    "percent",
    "phantoms",
    "predict",
    "predict_batch",
    "read_anywhere",
    "say_place",
    "verdict",
]
