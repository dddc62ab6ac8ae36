"""Interactive demo of the chest X-ray classifier.

python demo.py [--host 127.0.0.1] [--port 7860] [--share] [--auth USER:PASSWORD]
"""

import argparse
import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

import gradio as gr
from gradio.components.label import LabelConfidence, LabelData

from pneumonia import (
    MAX_BYTES,
    NOTICE,
    BundleError,
    Classifier,
    ImageError,
    Prediction,
    load_classifier,
    phantoms,
    predict,
    verdict,
)

# Fonts of the visitor's own system: the page fetches nothing from elsewhere.
THEME = gr.themes.Default(
    primary_hue="blue",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)
CSS = """
.notice {
  padding: .6rem 1rem; border-radius: .5rem;
  background: #fdf5dc; color: #4f3d00;
}
.dark .notice { background: #37300f; color: #f6e6a8 }
.notice p { margin: 0; color: inherit }
"""
_CACHE_SECONDS = 300


class Upload(gr.Image):
    """An image input that hands on the path of the upload, its bytes untouched.

    Gradio's own opens the file, which turns a bad one into an error without a reason.
    """

    def preprocess(self, payload) -> str | None:
        """Return the path of the uploaded file."""
        if payload is None or payload.path is None:
            return super().preprocess(payload)  # nothing, or a data URI
        return payload.path


class Confidences(gr.Label):
    """Confidence bars under the classifier's own label, not under the longest bar."""

    def postprocess(self, value: Prediction | None) -> LabelData | dict:
        """Return a prediction as what Gradio's front end draws."""
        if value is None:
            return {}
        return LabelData(
            label=value.label,
            confidences=[
                LabelConfidence(label=label, confidence=p)
                for label, p in value.probabilities.items()
            ],
        )


def build_demo(classifier: Classifier) -> gr.Blocks:
    """Build the page and its API endpoint `/predict`.

    Args:
        classifier: from `load_classifier`.
    """

    def answer(path: str | None):
        """Answer one chest X-ray.

        Args:
            path: the image file.

        Returns:
            Label with the probability of each label, the X-ray with the heat map, and
            the verdict as a sentence.
        """
        try:
            prediction = predict(classifier, Path(path).read_bytes() if path else b"")
        except ImageError as error:
            raise gr.Error(str(error), title="No answer", duration=None) from error
        return prediction, prediction.overlay, _words(classifier, prediction)

    with gr.Blocks(
        title="Chest X-ray: Normal or Pneumonia?",
        analytics_enabled=False,
        delete_cache=(_CACHE_SECONDS, _CACHE_SECONDS),
    ) as demo:
        gr.Markdown("# Chest X-ray: Normal or Pneumonia?")
        gr.Markdown(NOTICE, elem_classes="notice")
        with gr.Row():
            with gr.Column():
                image = Upload(
                    type="filepath",
                    sources=["upload", "clipboard"],
                    label="Drop a chest X-ray, seen from the front",
                    height=380,
                )
                button = gr.Button("Predict", variant="primary")
                gr.Examples(
                    [[str(path)] for path in phantoms()],
                    inputs=image,
                    label="No X-ray at hand? Drawings, whose answers mean nothing",
                    cache_examples=False,
                )
            with gr.Column():
                words = gr.Markdown(
                    "Drop an X-ray to see the answer here.", label="Verdict"
                )
                bars = Confidences(label="Probability", show_heading=False)
                overlay = gr.Image(
                    label="Where the network found evidence for its label (Grad-CAM)",
                    format="png",
                    interactive=False,
                    buttons=["download", "fullscreen"],
                    height=380,
                )
        outputs = [bars, overlay, words]
        button.click(answer, image, outputs, api_name="predict")
        image.upload(answer, image, outputs, api_visibility="private")
        image.clear(lambda: (None, None, ""), None, outputs, api_visibility="private")
    return demo


def _words(classifier: Classifier, prediction: Prediction) -> str:
    heading = prediction.label if prediction.certain else "Uncertain"
    warnings = "".join(f"\n\n**{warning}**" for warning in prediction.warnings)
    return f"## {heading}\n\n{verdict(classifier, prediction)}{warnings}"


def _credentials(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise argparse.ArgumentTypeError("expected USER:PASSWORD, both not empty")
    return user, password


def main() -> None:
    """Load the bundle that ships and serve the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--share", action="store_true", help="open a public link")
    parser.add_argument("--auth", type=_credentials, metavar="USER:PASSWORD")
    args = parser.parse_args()
    try:
        demo = build_demo(load_classifier())
    except BundleError as error:
        raise SystemExit(f"error: {error}") from error
    chatter = io.StringIO()
    try:
        with redirect_stdout(chatter):
            _, local, public = demo.launch(
                server_name=args.host,
                server_port=args.port,
                share=args.share,
                auth=args.auth,
                max_file_size=MAX_BYTES,
                prevent_thread_lock=True,
                footer_links=["api"],
                theme=THEME,
                css=CSS,
            )
    except OSError as error:
        raise SystemExit(
            f"error: port {args.port} on {args.host} can't be used ({error}). "
            "Choose another with --port."
        ) from error
    if args.share and not public:
        demo.close()
        raise SystemExit(
            "error: no public link could be opened. Connect to the network and try "
            "again, or start without --share."
        )
    print(f"demo at {local}" + (f"\npublic link {public}" if public else ""))
    print(NOTICE)
    sys.stdout.flush()
    demo.block_thread()


if __name__ == "__main__":
    main()
