"""Interactive demo of the chest X-ray classifier."""

import argparse
import importlib.util
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

from . import uploads  # isort: skip: Gradio asks where to write as it is imported

import gradio as gr
import segno
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from pneumonia import Classifier, IsolatedReader, examples

from ...contract import NOTICE
from .. import answer, door, startup, words
from . import (
    ask_many,
    batch_table,
    endpoints,
    tab_batch,
    tab_compare,
    tab_meaning,
    tab_one,
    tab_reading,
    tab_yours,
)
from .asgi import Attendance, Door, log_without_files

# Fonts of the visitor's own system: the page fetches nothing from elsewhere.
THEME = gr.themes.Default(
    primary_hue="blue",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)
_ROOM = answer.STATIC
_EXAMPLES = examples()[0].path.parent
_TABS = {
    words.TAB_ONE: tab_one,
    words.TAB_MANY: tab_batch,
    words.TAB_MEANING: tab_meaning,
    words.TAB_READING: tab_reading,
    words.TAB_YOURS: tab_yours,
    words.TAB_COMPARE: tab_compare,
}
LOOK = "".join(  # after Gradio's own, which it changes
    f'<link rel="stylesheet" media="{media}" href="look/{name}.css">'
    for name, media in (("answer", "all"), ("demo", "all"), ("print", "print"))
)
HEAD = (
    f'<meta name="description" content="{NOTICE}">'
    f'<meta property="og:title" content="{words.TITLE}">'
    f'<meta property="og:description" content="{NOTICE}">'
) + "".join(  # before Gradio's: a drop may come sooner than they do
    f'<script type="module" src="./look/{name}.js"></script>'
    for name in ("page", "viewer", "one", "later")
)
_SESSIONS = 500  # visitors that Gradio remembers, at some 70 KiB each


@dataclass(frozen=True, eq=False)
class Demo:
    """The demo, ready to be launched.

    Attributes:
        blocks: its page, by Gradio.
        cache: where uploads lie.
        attendance: who is being answered.
        routes: what the page asks of its server besides Gradio's own.
    """

    blocks: gr.Blocks
    cache: uploads.Cache
    attendance: Attendance
    routes: list[Route]

    def close(self) -> None:
        """Stop to serve, and delete all uploads."""
        self.blocks.close(verbose=False)
        self.cache.close()


def build_demo(classifier: Classifier, read: Callable | None = None) -> Demo:
    """Build the page and its API endpoint `/predict`.

    Args:
        classifier: from `load_classifier`.
        read: what decodes uploads; None: an `IsolatedReader`.

    Raises:
        NoRoomError: there is no place for a private folder.
    """
    read = read or IsolatedReader(door.WORKING).read
    cache = uploads.Cache()
    os.environ["GRADIO_TEMP_DIR"] = cache.way

    with gr.Blocks(
        title=words.TITLE,
        analytics_enabled=False,
        delete_cache=(uploads.KEEP_SECONDS // 4, uploads.KEEP_SECONDS),
    ) as blocks:
        gr.Markdown(f"# {words.TITLE}")
        gr.Markdown(NOTICE, elem_classes="notice")
        with gr.Tabs(overflow_behavior="wrap"):  # a phone shows all of them
            for name, tab in _TABS.items():
                with gr.Tab(name):
                    tab.build(classifier, read)
    blocks.queue(max_size=door.WAITING, default_concurrency_limit=door.WORKING)
    routes = [
        *endpoints.routes(classifier, read, door.WORKING, door.WAITING),
        *ask_many.routes(classifier, read),
    ]
    return Demo(blocks, cache, Attendance(), routes)


def launch(
    demo: Demo,
    *,
    auth: door.Credentials | None = None,
    rate: int = 0,
    embed: Sequence[str] = (),
    root_path: str = "",
    **options,
) -> tuple[str, str | None]:
    """Serve the page in threads of their own.

    Args:
        demo: from `build_demo`.
        auth: who may come in; None: everybody.
        rate: requests that one client may send in a minute; 0: any number.
        embed: origins whose pages may embed this one.
        root_path: below which a proxy shows the page, for the API's examples; "": what
            the proxy says.
        **options: more of Gradio's.

    Returns:
        The local address, and the public link if there is one.
    """
    around = Middleware(
        Door,
        limit=door.RateLimit(rate),
        max_body=batch_table.MAX_TOTAL + door.BODY_OVERHEAD,
        embed=list(embed),
        attendance=demo.attendance,
        head=HEAD,
        root_path=root_path,
    )
    log_without_files()
    chatter = io.StringIO()
    with redirect_stdout(chatter):
        _, local, public = demo.blocks.launch(
            auth=auth and auth.match,
            auth_message=auth and NOTICE,
            max_file_size=batch_table.MAX_TOTAL,
            prevent_thread_lock=True,
            enable_monitoring=False,
            ssr_mode=False,  # Spaces may ask for a second server, outside of the door
            state_session_capacity=_SESSIONS,
            app_kwargs={
                "middleware": [
                    around,
                    Middleware(uploads.Guard, cache=demo.cache),
                ],
                "routes": [
                    *demo.routes,
                    Mount("/look", StaticFiles(directory=_ROOM)),
                    Mount("/examples", StaticFiles(directory=_EXAMPLES)),
                    Route("/healthz", lambda _: JSONResponse({"status": "ok"})),
                ],
            },
            footer_links=["api"],
            favicon_path=_ROOM / "favicon.svg",
            theme=THEME,
            head=LOOK,
            **options,
        )
    return local, public


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Load a bundle and serve the page.

    Args:
        arguments: the command line; None: of this process.
        prog: what the command is called.
    """
    parser = argparse.ArgumentParser(prog, description=__doc__)
    door.add_arguments(parser, port=7860)
    parser.add_argument("--share", action="store_true", help="open a public link")
    parser.add_argument(
        "--mcp",
        action="store_true",
        help="be a tool of language models, too, at /gradio_api/mcp/",
    )
    args = parser.parse_args(arguments)
    if args.mcp and not importlib.util.find_spec("mcp"):
        parser.error("--mcp needs the package mcp: pip install -e .[apps,mcp]")
    if args.mcp and args.auth:  # Gradio's tool can't pass Gradio's own login
        parser.error(
            "--mcp can't ask for a password: start it without --auth and without "
            "$PNEUMONIA_AUTH, and put a proxy that asks before it."
        )
    startup.check(parser, args, shared=args.share)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uploads go at any exit
    classifier = startup.load(args)
    reader = IsolatedReader(door.WORKING)
    try:
        demo = build_demo(classifier, reader.read)
    except uploads.NoRoomError as error:
        raise SystemExit(f"error: {error.said}") from error
    try:
        local, public = launch(
            demo,
            auth=args.auth,
            rate=args.rate,
            embed=args.embed,
            root_path=args.root_path,
            server_name=args.host,
            server_port=args.port,
            share=args.share,
            mcp_server=args.mcp,
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
    startup.warm_up(classifier, reader.read)
    print(f"demo at {local}")
    if public:
        print(f"public link {public}")
        segno.make(public).terminal(compact=True)
    print(NOTICE)
    sys.stdout.flush()
    try:
        demo.blocks.block_thread()
    finally:
        demo.attendance.drain(door.DRAIN_SECONDS)
        demo.cache.close()
        reader.close()
