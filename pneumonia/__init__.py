"""An honest chest X-ray classifier: Normal or Pneumonia, how sure, and where it looked.

Research demonstration, not a medical device.

    from pneumonia import load_classifier, predict

    classifier = load_classifier()
    prediction = predict(classifier, open("xray.jpeg", "rb").read())
"""

from .classifier import (
    LABELS,
    NOTICE,
    BundleError,
    Classifier,
    Prediction,
    explain,
    load_classifier,
    phantoms,
    predict,
    selftest,
    verdict,
)
from .image import MAX_BYTES, ImageError
from .isolated import IsolatedReader
from .overlay import encode_png

__all__ = [
    "LABELS",
    "MAX_BYTES",
    "NOTICE",
    "BundleError",
    "Classifier",
    "ImageError",
    "IsolatedReader",
    "Prediction",
    "encode_png",
    "explain",
    "load_classifier",
    "phantoms",
    "predict",
    "selftest",
    "verdict",
]
