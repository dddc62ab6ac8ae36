"""An honest chest X-ray classifier: Normal or Pneumonia, how sure, with a heat map.

Research demonstration, not a medical device.

    from pneumonia import load_classifier, predict

    classifier = load_classifier()
    prediction = predict(classifier, open("xray.jpeg", "rb").read())
"""

from .batch import Row, answered_row, refused_row, write_rows
from .classifier import (
    LABELS,
    METHODS,
    NOTICE,
    BundleError,
    Classifier,
    load_classifier,
)
from .image import MAX_BYTES, TOO_LARGE, ImageError
from .isolated import IsolatedReader
from .overlay import (
    COLOUR_MAPS,
    STRENGTH,
    draw_overlay,
    encode_png,
    enlarge,
    split_evidence,
)
from .prediction import (
    Prediction,
    explain,
    percent,
    predict,
    predict_batch,
    verdict,
)
from .selfcheck import phantoms, selftest

__all__ = [
    "COLOUR_MAPS",
    "LABELS",
    "MAX_BYTES",
    "METHODS",
    "NOTICE",
    "STRENGTH",
    "TOO_LARGE",
    "BundleError",
    "Classifier",
    "ImageError",
    "IsolatedReader",
    "Prediction",
    "Row",
    "answered_row",
    "draw_overlay",
    "encode_png",
    "enlarge",
    "explain",
    "load_classifier",
    "percent",
    "phantoms",
    "predict",
    "predict_batch",
    "refused_row",
    "selftest",
    "split_evidence",
    "verdict",
    "write_rows",
]
