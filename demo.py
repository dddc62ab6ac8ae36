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
from gradio.data_classes import ImageData

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
                image = gr.Image(
                    type="filepath",
                    sources=["upload", "clipboard"],
                    label="Drop a chest X-ray, seen from the front",
                    height=380,
                )
                # Gradio's own opens the file; of a bad one it can't say what is wrong
                image.preprocess = _path_of_upload
                button = gr.Button("Predict", variant="primary")
                drawings = gr.Column()
            with gr.Column():
                words = gr.Markdown(
                    "Drop an X-ray to see the answer here.", label="Verdict"
                )
                bars = gr.Label(label="Probability", show_heading=False)
                bars.postprocess = _bars  # Gradio's own calls the longest bar the label
                overlay = gr.Image(
                    label="Where the network found evidence for its label (Grad-CAM)",
                    format="png",
                    interactive=False,
                    buttons=["download", "fullscreen"],
                    height=380,
                )
        outputs = [bars, overlay, words]
        with drawings:
            gr.Examples(
                [[str(path)] for path in phantoms()],
                inputs=image,
                outputs=outputs,
                fn=answer,
                run_on_click=True,
                cache_examples=False,
                label="No X-ray at hand? Drawings, whose answers mean nothing",
                api_visibility="private",
            )
        button.click(answer, image, outputs, api_name="predict")
        image.upload(answer, image, outputs, api_visibility="private")
        image.clear(lambda: (None, None, ""), None, outputs, api_visibility="private")
    return demo


def _path_of_upload(upload: ImageData | None) -> str | None:
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
        demo.close(verbose=False)
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
