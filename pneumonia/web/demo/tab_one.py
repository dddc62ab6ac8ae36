"""The demo's first tab: one X-ray, one answer."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import numpy as np
from gradio.components.label import LabelConfidence, LabelData
from gradio.data_classes import FileData, ImageData
from gradio_client import handle_file

from pneumonia import (
    MAX_BYTES,
    SUFFIXES,
    TOO_LARGE,
    Classifier,
    ImageError,
    Prediction,
    explain,
    predict,
    say_place,
    verdict,
)

from ...contract import METHODS, TESTED
from ...serving.encode import encode_png
from .. import answer, shipped, words


def build(classifier: Classifier, read: Callable) -> None:
    """Fill the tab, and add the API's endpoint `/predict`.

    What is asked in the tab, `static/one.js` asks of `endpoints`: Gradio's own
    events can't be called back, and so an answer could come to stand beside another
    file.

    Args:
        classifier: from `load_classifier`.
        read: what decodes uploads.
    """
    gr.Markdown(
        answer.one_line(
            "one.html",
            words=words,
            hint=words.FORMATS.format(mib=MAX_BYTES // 2**20),
            suffixes=SUFFIXES,
            most=MAX_BYTES,
            say=TOO_LARGE,
            one=words.ONE_HERE,
            folder=words.FOLDER_HERE,
            examples=shipped.offered(),
        ),
        sanitize_html=False,
        latex_delimiters=[],
    )
    _add_endpoint(classifier, read)


def _add_endpoint(classifier: Classifier, read: Callable) -> None:
    """Add `/predict`, for programs."""

    def predict(
        path: str | None,
        anyway: bool = False,
        invert: bool = False,
        upright: bool = False,
        method: str = TESTED,
    ):
        """Answer one chest X-ray.

        Args:
            path: the image file.
            anyway: answer a picture that would be refused, too.
            invert: exchange black and white first.
            upright: turn it upright first.
            method: how the heat map is drawn.

        Returns:
            Label with the probability of each label, the X-ray with the heat map, and
            the verdict and where the evidence lies in words.
        """
        try:
            wishes = {"anyway": anyway, "invert": invert, "upright": upright}
            prediction = _answer(classifier, read, path, method=method, **wishes)
        except ImageError as error:
            title = f"{words.NO_ANSWER} ({error.reason})"
            raise gr.Error(str(error), title=title, duration=None) from error
        return prediction, prediction.overlay, _words(classifier, prediction)

    # Gradio's image box takes no DICOM, and opens what it gets itself
    image = gr.File(label=words.CHOOSE, visible=False)
    image.preprocess = path_of_upload
    # else the page on the API has a PDF of Gradio's sent
    image.example_payload = lambda: handle_file("https://example.org/xray.jpeg")
    bars = gr.Label(label="Probability", visible=False)
    bars.postprocess = _bars  # Gradio's own calls the longest bar the label
    overlay = gr.Image(label="Overlay", visible=False)
    overlay.postprocess = functools.partial(_png, overlay.GRADIO_CACHE)
    outputs = [
        bars,
        overlay,
        gr.Markdown(label="Verdict", visible=False),
    ]
    switches = [
        gr.Checkbox(label=text, visible=False)
        for text in (words.ANYWAY, words.INVERT, words.UPRIGHT)
    ]
    method = gr.Radio([TESTED, *METHODS], value=TESTED, label="Heat map", visible=False)
    gr.Button(visible=False).click(
        predict, [image, *switches, method], outputs, api_name="predict"
    )


def _answer(
    classifier: Classifier, read: Callable, path: str | None, **options
) -> Prediction:
    """Answer an upload; options are arguments of `predict`."""
    try:
        data = Path(path).read_bytes() if path else b""
    except FileNotFoundError:  # minutes have passed
        raise ImageError("gone", words.GONE) from None
    return predict(classifier, data, read=read, **options)


def path_of_upload(upload: FileData | None) -> str | None:
    """Return the path of an upload, its bytes untouched."""
    return upload.path if upload else None


def _bars(prediction: Prediction | None) -> LabelData | dict:
    """Return a prediction as Gradio's label and confidence bars."""
    if prediction is None:
        return {}
    return LabelData(
        label=prediction.label,
        confidences=[
            LabelConfidence(label=label, confidence=p)
            for label, p in prediction.probabilities.items()
        ],
    )


def _png(folder: str, overlay: np.ndarray | None) -> ImageData | None:
    """Return an overlay as a file of Gradio's, four times as soon as by Gradio."""
    if overlay is None:
        return None
    try:
        path = Path(tempfile.mkdtemp(dir=folder), "overlay.png")
        path.write_bytes(encode_png(overlay))
    except OSError as error:  # the folder is full, or it vanished
        raise gr.Error(words.NO_ROOM, duration=None) from error
    return ImageData(path=str(path), orig_name="overlay.png")


def _words(classifier: Classifier, prediction: Prediction) -> str:
    warnings = "".join(f"\n\n**{explain(code)}**" for code in prediction.warnings)
    said = f"{verdict(classifier, prediction)} {say_place(prediction)}"
    return f"## {answer.heading(prediction)}\n\n{said}{warnings}"
