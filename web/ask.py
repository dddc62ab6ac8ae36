"""What the demo's first tab asks of its server: an answer, a report, a sharp picture.

A request holds the file alone: no name of it, and nothing is written anywhere.
"""

from collections.abc import Callable
from dataclasses import replace

import anyio
import numpy as np
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from pneumonia import (
    METHODS,
    TESTED,
    Classifier,
    ImageError,
    Prediction,
    examples,
    predict,
)

from . import answer, report, words

_REPORTS = {
    "html": (report.write_html, "text/html"),
    "pdf": (report.write_pdf, "application/pdf"),
}
_LEFT = 499  # who asked has gone: nobody reads this answer


def routes(  # noqa: C901 (three routes that share their limits)
    classifier: Classifier, read: Callable, working: int, waiting: int
) -> list[Route]:
    """Return `/ask`, `/report` and `/picture`, which take a file as the body of a POST.

    In the address `invert=1` and `anyway=1` are options of `predict`, `mirror=1`
    exchanges left and right first, `example` names
    one of the X-rays that ship, `kind` chooses the report, and `method` its heat map.
    `/picture` takes the wishes of `sharp_picture`.

    Args:
        classifier: from `load_classifier`.
        read: what decodes uploads.
        working: how many requests are worked on at a time.
        waiting: how many may wait besides.
    """
    places = anyio.CapacityLimiter(working)

    truths = {one.path.name: one.truth for one in examples()}

    def show(prediction: Prediction, wishes: dict) -> Response:
        truth = truths.get(wishes.get("example"), "")
        return HTMLResponse(answer.render(classifier, prediction, truth, keep=True))

    def write(prediction: Prediction, wishes: dict) -> Response:
        write, kind = _REPORTS.get(wishes.get("kind"), _REPORTS["html"])
        content = report.gather(classifier, prediction)
        return Response(write(content), media_type=kind)

    def predicted(finish: Callable) -> Callable:
        def work(data: bytes, wishes: dict) -> Response:
            options = {name: wishes.get(name) == "1" for name in words.OFFERS}
            options["method"] = _method(wishes)
            reader = _mirrored(read) if wishes.get("mirror") == "1" else read
            return finish(predict(classifier, data, read=reader, **options), wishes)

        return work

    def sharpen(data: bytes, wishes: dict) -> Response:
        jpeg = answer.sharp_picture(read, data, wishes)
        return Response(jpeg, media_type="image/jpeg")

    def served(path: str, finish: Callable) -> Route:
        def work(data: bytes, wishes: dict) -> Response:
            try:
                return finish(data, wishes)
            except ImageError as error:
                return HTMLResponse(answer.render_refusal(error), 422)

        return posted(path, work, places, waiting)

    return [
        served("/ask", predicted(show)),
        served("/report", predicted(write)),
        served("/picture", sharpen),
    ]


def posted(
    path: str,
    work: Callable[[bytes, dict], Response],
    places: anyio.CapacityLimiter,
    waiting: int,
) -> Route:
    """Return a route for what is posted, which is in memory alone.

    Args:
        path: of the route.
        work: body and options of the address -> answer; it runs in a thread.
        places: how many requests are worked on at a time.
        waiting: how many may wait besides.
    """

    async def endpoint(request: Request) -> Response:
        if not _may_come_in(request):
            return _refused(401, words.NEEDS_PASSWORD)
        try:
            data = await request.body()
        except ClientDisconnect:
            return Response(status_code=_LEFT)
        if places.statistics().tasks_waiting >= waiting:
            return _refused(503, words.BUSY)
        wishes = dict(request.query_params)
        return await anyio.to_thread.run_sync(work, data, wishes, limiter=places)

    return Route(path, endpoint, methods=["POST"])


def _mirrored(read: Callable) -> Callable:
    """Return what reads a picture and exchanges its left and right."""

    def mirrored(data: bytes):
        picture = read(data)
        pixels = np.ascontiguousarray(picture.pixels[:, ::-1])
        return replace(picture, pixels=pixels, sides_known=False)

    return mirrored


def _method(wishes: dict) -> str:
    """Return how the heat map of a report is drawn."""
    method = wishes.get("method")
    return method if method in METHODS else TESTED


def _may_come_in(request: Request) -> bool:
    """Return whether Gradio let this visitor log in, where it asks for it at all."""
    app, cookies = request.app, request.cookies
    if app.auth is None:
        return True
    names = (f"access-token-{kind}{app.cookie_id}" for kind in ("", "unsecure-"))
    return any(cookies.get(name) in app.tokens for name in names)


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"detail": message}, status)
