"""Many files of a tab, one after the other: progress, Stop, and what was answered."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ListFiles

from .. import answer, unpack, words
from . import batch_table


@dataclass(frozen=True)
class Work:
    """What a tab does with many files.

    Attributes:
        name: of the tab.
        choose: what its drop field says.
        hint: what is said below.
        most: how many files it takes.
        one: name, what returns the content, and whether to answer anyway -> result.
        finish: results, and how many files were left out and not reached -> HTML.
        anyway: the switch for pictures that would be refused; empty for none.
        folder: why it takes no folder; empty where its files are taken.
    """

    name: str
    choose: str
    hint: str
    most: int
    one: Callable[[str, Callable[[], bytes], bool], Any]
    finish: Callable[[list, int, int], str]
    anyway: str = ""
    folder: str = ""


@dataclass
class _Wish:
    """Whether it is to stop. What runs and what stops it hold the same one."""

    stop: bool = False


def build(work: Work) -> None:
    """Fill a tab."""

    def begin():
        return _Wish(), _status(words.QUEUED), gr.update(visible=True)

    def end(wish: _Wish) -> None:
        wish.stop = True

    def show(paths: list[str] | None, anyway: bool, wish: _Wish):
        # Read all at once: what waits for its turn might be deleted meanwhile.
        try:
            files = [(Path(path).name, Path(path).read_bytes()) for path in paths or ()]
        except FileNotFoundError:  # it waited behind others for too long
            yield None, words.GONE, gr.skip()
            return
        found = list(unpack.unpack(files))
        chosen = found[: work.most]
        answered = []
        for done, (name, content) in enumerate(chosen):
            if wish.stop:
                break
            yield None, _progress(work.name, done, len(chosen)), gr.skip()
            answered.append(work.one(name, content, anyway))
        stopped = len(chosen) - len(answered)
        yield None, "", work.finish(answered, len(found) - len(chosen), stopped)

    # above, because choosing files begins
    anyway = gr.Checkbox(label=work.anyway, visible=bool(work.anyway))
    files = gr.File(label=work.choose, file_count="multiple", height=150)
    files.preprocess = _paths_of_uploads
    limit = answer.render_limit(
        batch_table.MAX_TOTAL, words.TOO_MUCH, words.BUSY_BATCH, work.folder
    )
    gr.Markdown(f"{work.hint}\n\n{limit}", sanitize_html=False, elem_classes="hint")
    with gr.Row(equal_height=True, elem_classes="running"):
        progress = gr.Markdown(sanitize_html=False)
        stop = gr.Button(words.STOP, visible=False, scale=0, min_width=120)
    result = gr.Markdown(sanitize_html=False, latex_delimiters=[])
    wish = gr.State(_Wish())
    private = {"api_visibility": "private", "show_progress": "hidden"}
    at_once = private | {"queue": False}
    files.upload(begin, None, [wish, progress, stop], **at_once).then(
        show,
        [files, anyway, wish],
        [files, progress, result],
        **private,
        concurrency_limit=1,  # single answers must not wait behind batches
        concurrency_id="many",
    ).then(lambda: gr.update(visible=False), None, stop, **at_once)
    # Gradio's `cancels` would drop what is answered already
    stop.click(end, wish, None, **at_once)


def _progress(name: str, done: int, count: int) -> str:
    return _status(
        f'<progress value="{done}" max="{count}" aria-label="{name}">'
        f"</progress> {words.PROGRESS.format(done=done, count=count)}"
    )


def _status(html: str) -> str:
    return f'<div role="status">{html}</div>'


def _paths_of_uploads(uploads: ListFiles | None) -> list[str]:
    """Return the paths of uploads, their bytes untouched."""
    return [upload.path for upload in uploads.root] if uploads else []
