"""The demo's first tab: one X-ray, one answer."""

import functools
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import numpy as np
from gradio.components.label import LabelConfidence, LabelData
from gradio.data_classes import FileData, ImageData
from gradio.processing_utils import save_bytes_to_cache
from gradio_client import handle_file

from pneumonia import (
    MAX_BYTES,
    METHODS,
    TOO_LARGE,
    Classifier,
    ImageError,
    Prediction,
    encode_png,
    explain,
    phantoms,
    predict,
    verdict,
)

from . import answer, report, words


def build(classifier: Classifier, read: Callable) -> None:
    """Fill the tab, and add the API's endpoint `/predict`.

    Args:
        classifier: from `load_classifier`.
        read: what decodes uploads.
    """
    drawn = {str(path) for path in phantoms()}

    def show(path: str | None, invert: bool = False, anyway: bool = False):
        offers, prediction = (), None
        try:
            prediction = _answer(classifier, read, path, anyway=anyway, invert=invert)
            note = words.DRAWING if path in drawn else ""
            card = answer.render(classifier, prediction, note)
        except ImageError as error:
            card, offers = answer.render_refusal(error), error.offers
        yield (
            None,  # the drop zone is there for the next picture
            (path, invert),
            card,
            "",
            gr.update(visible="invert" in offers),
            gr.update(visible="anyway" in offers),
        )
        if prediction:  # the answer need not wait for what may be kept of it
            links = answer.render_links(report.links(classifier, prediction))
            yield *[gr.skip()] * 3, links, gr.skip(), gr.skip()

    def show_inverted(asked: tuple[str, bool]):
        yield from show(asked[0], invert=True)

    def show_anyway(asked: tuple[str, bool]):
        yield from show(*asked, anyway=True)

    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            # Gradio's image box takes no DICOM, and opens what it gets itself
            image = gr.File(label=words.CHOOSE, height=170)
            image.preprocess = path_of_upload
            hint = words.DROP.format(mib=MAX_BYTES // 2**20)
            limit = answer.render_limit(MAX_BYTES, TOO_LARGE, words.ONE_HERE)
            gr.Markdown(f"{hint}\n\n{limit}", sanitize_html=False, elem_classes="hint")
            drawings = gr.Column()
        with gr.Column(scale=3, min_width=320):
            card = gr.Markdown(
                f'<p class="waiting">{words.WAITING}</p>',
                sanitize_html=False,
                latex_delimiters=[],
                min_height=120,
            )
            kept = gr.Markdown(sanitize_html=False, latex_delimiters=[])
            with gr.Row(elem_classes="offers"):
                invert = gr.Button(words.INVERT, visible=False)
                anyway = gr.Button(words.ANYWAY, visible=False)
    asked = gr.State((None, False))
    shown = [image, asked, card, kept, invert, anyway]
    private = {"outputs": shown, "api_visibility": "private"}
    image.upload(show, image, **private)
    invert.click(show_inverted, asked, **private)
    anyway.click(show_anyway, asked, **private)
    with drawings:
        gr.Markdown(words.DRAWINGS, elem_classes="hint")
        with gr.Row():
            for path in phantoms():
                name = path.stem.replace("drawing-", "").replace("-", " ").capitalize()
                drawing = gr.Button(
                    name, icon=path, size="sm", min_width=80, elem_classes="drawing"
                )
                drawing.click(functools.partial(show, str(path)), None, **private)
                drawing.keep_in_cache.add(drawing.icon["path"])  # not an upload
    _add_endpoint(classifier, read, image)


def _add_endpoint(classifier: Classifier, read: Callable, image: gr.File) -> None:
    """Add `/predict`, for programs."""

    def predict(
        path: str | None,
        anyway: bool = False,
        invert: bool = False,
        method: str = METHODS[0],
    ):
        """Answer one chest X-ray.

        Args:
            path: the image file.
            anyway: answer a picture that would be refused, too.
            invert: exchange black and white first.
            method: how the heat map is drawn.

        Returns:
            Label with the probability of each label, the X-ray with the heat map, and
            the verdict and where the evidence lies in words.
        """
        try:
            prediction = _answer(
                classifier, read, path, anyway=anyway, invert=invert, method=method
            )
        except ImageError as error:
            title = f"{words.NO_ANSWER} ({error.reason})"
            raise gr.Error(str(error), title=title, duration=None) from error
        return prediction, prediction.overlay, _words(classifier, prediction)

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
        gr.Checkbox(label=text, visible=False) for text in (words.ANYWAY, words.INVERT)
    ]
    method = gr.Radio(METHODS, value=METHODS[0], label="Heat map", visible=False)
    gr.Button(visible=False).click(
        predict, [image, *switches, method], outputs, api_name="predict"
    )


def _answer(
    classifier: Classifier, read: Callable, path: str | None, **options
) -> Prediction:
    """Answer an upload; options are `anyway`, `invert` and `method` of `predict`."""
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
    path = save_bytes_to_cache(encode_png(overlay), "overlay.png", folder)
    return ImageData(path=path, orig_name="overlay.png")


def _words(classifier: Classifier, prediction: Prediction) -> str:
    heading = prediction.label if prediction.certain else words.UNCERTAIN
    warnings = "".join(f"\n\n**{explain(code)}**" for code in prediction.warnings)
    said = f"{verdict(classifier, prediction)} {prediction.zone}"
    return f"## {heading}\n\n{said}{warnings}"
