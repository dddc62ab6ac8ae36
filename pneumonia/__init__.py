"""An honest chest X-ray classifier: Normal or Pneumonia, how sure, with a heat map.

Research demonstration, not a medical device.

    from pneumonia import load_classifier, predict

    classifier = load_classifier()
    prediction = predict(classifier, open("xray.jpeg", "rb").read())
"""

from . import safe_path  # noqa: F401 - first, before what could be mistaken
from .contract import LABELS, METHODS, NOTICE, TESTED
from .reading.files import find_files
from .reading.isolated import IsolatedReader, read_anywhere
from .reading.picture import MAX_BYTES, TOO_LARGE, ImageError, InstallationError
from .reading.raster import READABLE, SUFFIXES
from .serving.classifier import BundleError, Classifier, load_classifier
from .serving.encode import encode_jpeg, encode_png
from .serving.examples import Example, examples
from .serving.gate_words import SENTENCES
from .serving.overlay import (
    COLOUR_MAPS,
    STRENGTH,
    by_method,
    draw_overlay,
    enlarge,
    outline,
)
from .serving.prediction import (
    Prediction,
    describe_map,
    explain,
    percent,
    predict,
    predict_batch,
    verdict,
)
from .serving.rows import Row, answered_row, refused_row, write_rows
from .serving.selfcheck import phantoms, selftest
from .serving.unlike import Unlike, find_unlike
from .serving.zones import ZONES

__all__ = [
    "COLOUR_MAPS",
    "LABELS",
    "MAX_BYTES",
    "METHODS",
    "NOTICE",
    "READABLE",
    "SENTENCES",
    "STRENGTH",
    "SUFFIXES",
    "TESTED",
    "TOO_LARGE",
    "ZONES",
    "BundleError",
    "Classifier",
    "Example",
    "ImageError",
    "InstallationError",
    "IsolatedReader",
    "Prediction",
    "Row",
    "Unlike",
    "answered_row",
    "by_method",
    "describe_map",
    "draw_overlay",
    "encode_jpeg",
    "encode_png",
    "enlarge",
    "examples",
    "explain",
    "find_files",
    "find_unlike",
    "load_classifier",
    "outline",
    "percent",
    "phantoms",
    "predict",
    "predict_batch",
    "read_anywhere",
    "refused_row",
    "selftest",
    "verdict",
    "write_rows",
]
