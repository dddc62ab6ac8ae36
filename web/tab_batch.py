"""The demo's second tab: many X-rays, a row for each."""

from collections.abc import Callable
from pathlib import Path

import gradio as gr
from gradio.data_classes import ListFiles

from pneumonia import Classifier

from . import many, words


def build(classifier: Classifier, read: Callable) -> None:
    """Fill the tab.

    Args:
        classifier: from `load_classifier`.
        read: what decodes uploads.
    """

    def show(paths: list[str] | None, anyway: bool):
        # Read all at once: what waits for its turn might be deleted meanwhile.
        try:
            files = [(Path(path).name, Path(path).read_bytes()) for path in paths or ()]
        except FileNotFoundError:  # it waited behind another batch for too long
            yield None, words.GONE, gr.skip()
            return
        found = list(many.unpack(files))
        chosen = found[: many.MAX_FILES]
        answered = []
        for done, (name, content) in enumerate(chosen):
            yield None, _progress(done, len(chosen)), gr.skip()
            one = many.answer_one(classifier, read, name, content, anyway)
            answered.append(one)
        yield None, "", many.render(answered, len(found) - len(chosen))

    files = gr.File(label=words.CHOOSE_MANY, file_count="multiple", height=150)
    files.preprocess = _paths_of_uploads
    limits = words.DROP_MANY.format(files=many.MAX_FILES, mib=many.MAX_TOTAL // 2**20)
    gr.Markdown(limits, elem_classes="hint")
    anyway = gr.Checkbox(label=words.ANYWAY_MANY)
    progress = gr.Markdown(sanitize_html=False)
    table = gr.Markdown(sanitize_html=False, latex_delimiters=[])
    files.upload(
        show,
        [files, anyway],
        [files, progress, table],
        api_visibility="private",
        show_progress="hidden",
        concurrency_limit=1,  # single answers must not wait behind batches
    )


def _progress(done: int, count: int) -> str:
    return (
        f'<div role="status"><progress value="{done}" max="{count}" '
        f'aria-label="{words.TAB_MANY}"></progress> '
        f"{words.PROGRESS.format(done=done, count=count)}</div>"
    )


def _paths_of_uploads(uploads: ListFiles | None) -> list[str]:
    """Return the paths of uploads, their bytes untouched."""
    return [upload.path for upload in uploads.root] if uploads else []
