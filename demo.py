"""Interactive demo of the chest X-ray classifier.

python demo.py [--host 127.0.0.1] [--port 7860] [--share] [--auth USER:PASSWORD]
"""

import argparse
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import gradio as gr
from gradio.components.label import LabelConfidence, LabelData
from gradio.data_classes import FileData, ImageData
from starlette.middleware import Middleware

from pneumonia import (
    MAX_BYTES,
    NOTICE,
    BundleError,
    Classifier,
    ImageError,
    IsolatedReader,
    Prediction,
    explain,
    load_classifier,
    phantoms,
    predict,
    verdict,
)
from web import door, memory, uploads
from web.asgi import Attendance, Door

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
_WORKING = max(2, min(4, os.cpu_count() or 2))
_WAITING = 32
_DRAIN_SECONDS = 30
_BODY_OVERHEAD = 64 * 1024  # what an upload's body holds besides the file


def build_demo(classifier: Classifier, read: Callable | None = None) -> gr.Blocks:
    """Build the page and its API endpoint `/predict`.

    Args:
        classifier: from `load_classifier`.
        read: what decodes uploads; None: an `IsolatedReader`.
    """
    read = read or IsolatedReader(_WORKING).read
    cache = uploads.Cache()
    os.environ["GRADIO_TEMP_DIR"] = str(cache.folder)

    def answer(path: str | None, anyway: bool = False, invert: bool = False):
        """Answer one chest X-ray.

        Args:
            path: the image file.
            anyway: answer a picture that would be refused, too.
            invert: exchange black and white first.

        Returns:
            Label with the probability of each label, the X-ray with the heat map, and
            the verdict as a sentence.
        """
        try:
            data = Path(path).read_bytes() if path else b""
            prediction = predict(
                classifier, data, anyway=anyway, invert=invert, read=read
            )
        except ImageError as error:
            title = f"No answer ({error.reason})"
            raise gr.Error(str(error), title=title, duration=None) from error
        return prediction, prediction.overlay, _words(classifier, prediction)

    with gr.Blocks(
        title="Chest X-ray: Normal or Pneumonia?",
        analytics_enabled=False,
        delete_cache=(uploads.KEEP_SECONDS // 4, uploads.KEEP_SECONDS),
    ) as demo:
        gr.Markdown("# Chest X-ray: Normal or Pneumonia?")
        gr.Markdown(NOTICE, elem_classes="notice")
        with gr.Row():
            with gr.Column():
                # Gradio's image box takes no DICOM, and opens what it gets itself
                image = gr.File(
                    label="Drop a chest X-ray, seen from the front: PNG, JPEG, BMP, "
                    "TIFF, WebP, GIF, JPEG 2000 or DICOM",
                    height=200,
                )
                image.preprocess = _path_of_upload
                switches = [
                    gr.Checkbox(label="Answer anyway, even what would be refused"),
                    gr.Checkbox(label="Invert black and white"),
                ]
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
            drawing = gr.Image(type="filepath", visible=False)
            drawing.preprocess = _path_of_upload
            gr.Examples(
                [[str(path)] for path in phantoms()],
                inputs=drawing,
                outputs=outputs,
                fn=answer,
                run_on_click=True,
                cache_examples=False,
                label="No X-ray at hand? Drawings, whose answers mean nothing",
                api_visibility="private",
            )
        button.click(answer, [image, *switches], outputs, api_name="predict")
        image.upload(answer, [image, *switches], outputs, api_visibility="private")
        image.clear(lambda: (None, None, ""), None, outputs, api_visibility="private")
    cache.keep_present()
    demo.private_cache, demo.attendance = cache, Attendance()
    return demo.queue(max_size=_WAITING, default_concurrency_limit=_WORKING)


def launch(
    demo: gr.Blocks,
    *,
    auth: door.Credentials | None = None,
    rate: int = 0,
    embed: Sequence[str] = (),
    **options,
) -> tuple[str, str | None]:
    """Serve the page in threads of their own.

    Args:
        demo: from `build_demo`.
        auth: who may come in; None: everybody.
        rate: requests that one client may send in a minute; 0: any number.
        embed: origins whose pages may embed this one.
        **options: more of Gradio's.

    Returns:
        The local address, and the public link if there is one.
    """
    around = Middleware(
        Door,
        limit=door.RateLimit(rate),
        max_body=MAX_BYTES + _BODY_OVERHEAD,
        embed=list(embed),
        attendance=demo.attendance,
    )
    chatter = io.StringIO()
    with redirect_stdout(chatter):
        _, local, public = demo.launch(
            auth=auth and auth.match,
            max_file_size=MAX_BYTES,
            prevent_thread_lock=True,
            enable_monitoring=False,
            app_kwargs={"middleware": [around]},
            footer_links=["api"],
            theme=THEME,
            css=CSS,
            **options,
        )
    return local, public


def _path_of_upload(upload: FileData | ImageData | None) -> str | None:
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
    warnings = "".join(f"\n\n**{explain(code)}**" for code in prediction.warnings)
    return f"## {heading}\n\n{verdict(classifier, prediction)}{warnings}"


def main() -> None:
    """Load the bundle that ships and serve the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    door.add_arguments(parser, port=7860)
    parser.add_argument("--share", action="store_true", help="open a public link")
    args = parser.parse_args()
    door.check_access(parser, args, shared=args.share)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("pneumonia").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uploads go at any exit
    memory.return_early()
    reader = IsolatedReader(_WORKING)
    try:
        demo = build_demo(load_classifier(), reader.read)
    except BundleError as error:
        raise SystemExit(f"error: {error}") from error
    try:
        local, public = launch(
            demo,
            auth=args.auth,
            rate=args.rate,
            embed=args.embed,
            server_name=args.host,
            server_port=args.port,
            share=args.share,
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
    try:
        demo.block_thread()
    finally:
        demo.attendance.drain(_DRAIN_SECONDS)
        demo.private_cache.close()
        reader.close()


if __name__ == "__main__":
    main()
