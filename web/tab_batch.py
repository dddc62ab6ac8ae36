"""The demo's second tab: many X-rays, a row for each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from gradio.data_classes import ListFiles

from pneumonia import Classifier

from . import answer, many, words


@dataclass
class _Wish:
    """Whether a batch is to stop. What runs and what stops it hold the same one."""

    stop: bool = False


def build(classifier: Classifier, read: Callable) -> None:
    """Fill the tab.

    Args:
        classifier: from `load_classifier`.
        read: what decodes uploads.
    """

    def begin():
        return _Wish(), _status(words.QUEUED), gr.update(visible=True)

    def end(wish: _Wish) -> None:
        wish.stop = True

    def show(paths: list[str] | None, anyway: bool, wish: _Wish):
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
            if wish.stop:
                break
            yield None, _progress(done, len(chosen)), gr.skip()
            one = many.answer_one(classifier, read, name, content, anyway)
            answered.append(one)
        stopped = len(chosen) - len(answered)
        yield None, "", many.render(answered, len(found) - len(chosen), stopped)

    # above, because choosing files begins
    anyway = gr.Checkbox(label=words.ANYWAY_MANY)
    files = gr.File(label=words.CHOOSE_MANY, file_count="multiple", height=150)
    files.preprocess = _paths_of_uploads
    hint = words.DROP_MANY.format(files=many.MAX_FILES, mib=many.MAX_TOTAL // 2**20)
    limit = answer.render_limit(many.MAX_TOTAL, words.TOO_MUCH, words.BUSY_BATCH)
    gr.Markdown(f"{hint}\n\n{limit}", sanitize_html=False, elem_classes="hint")
    with gr.Row(equal_height=True, elem_classes="running"):
        progress = gr.Markdown(sanitize_html=False)
        stop = gr.Button(words.STOP, visible=False, scale=0, min_width=120)
    table = gr.Markdown(sanitize_html=False, latex_delimiters=[])
    wish = gr.State(_Wish())
    private = {"api_visibility": "private", "show_progress": "hidden"}
    at_once = private | {"queue": False}
    files.upload(begin, None, [wish, progress, stop], **at_once).then(
        show,
        [files, anyway, wish],
        [files, progress, table],
        **private,
        concurrency_limit=1,  # single answers must not wait behind batches
    ).then(lambda: gr.update(visible=False), None, stop, **at_once)
    # Gradio's `cancels` would drop what is answered already
    stop.click(end, wish, None, **at_once)


def _progress(done: int, count: int) -> str:
    return _status(
        f'<progress value="{done}" max="{count}" aria-label="{words.TAB_MANY}">'
        f"</progress> {words.PROGRESS.format(done=done, count=count)}"
    )


def _status(html: str) -> str:
    return f'<div role="status">{html}</div>'


def _paths_of_uploads(uploads: ListFiles | None) -> list[str]:
    """Return the paths of uploads, their bytes untouched."""
    return [upload.path for upload in uploads.root] if uploads else []
