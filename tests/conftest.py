"""What tests share: the shipped classifier, phantoms, X-rays if there are any."""

import os
from pathlib import Path

import pytest

from pneumonia import load_classifier, phantoms

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")


@pytest.fixture(scope="session")
def classifier():
    return load_classifier()


@pytest.fixture(scope="session")
def phantom_bytes() -> bytes:
    return phantoms()[0].read_bytes()


@pytest.fixture(scope="session")
def xrays() -> Path:
    """The folder with train/{NORMAL,PNEUMONIA}; without it the test is skipped."""
    folder = os.environ.get("PNEUMONIA_DATA")
    if not folder:
        pytest.skip("PNEUMONIA_DATA names no folder of X-rays")
    return Path(folder).resolve()
