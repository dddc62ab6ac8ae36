"""What the demo's first tab asks of its server: an answer, a report, a sharp picture.

A request holds the file alone: no name of it, and nothing is written anywhere.
"""

import functools
from collections.abc import Callable
from dataclasses import replace

import anyio
import numpy as np
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from pneumonia import (
    LABELS,
    Classifier,
    ImageError,
    Prediction,
    predict,
)

from ...contract import METHODS, TESTED
from ...serving.unlike import find_unlike
from .. import answer, report, shipped, words

_LEFT = 499  # who asked has gone: nobody reads this answer


def routes(  # noqa: C901 (routes that share their limits)
    classifier: Classifier, read: Callable, working: int, waiting: int
) -> list[Route]:
    """Return `/ask`, `/report`, `/picture` and `/unlike`; a POST's body is a file.

    And `/answered/NAME` and `/thumbnails/NAME` of an X-ray that ships.

    In the address `invert=1` and `anyway=1` are options of `predict`, `mirror=1`
    exchanges left and right first, `example` names one of the X-rays that ship, `kind`
    chooses the report, and `method` and `label` its heat map.
    `/picture` takes the wishes of `sharp_picture`.

    Args:
        classifier: from `load_classifier`.
        read: what decodes uploads.
        working: how many requests are worked on at a time.
        waiting: how many may wait besides.
    """
    places = anyio.CapacityLimiter(working)

    def show(prediction: Prediction, wishes: dict) -> Response:
        truth = shipped.truths().get(wishes.get("example"), "")
        return HTMLResponse(answer.render(classifier, prediction, truth, keep=True))

    def write(prediction: Prediction, wishes: dict) -> Response:
        write, kind = report.KINDS.get(wishes.get("kind"), report.KINDS["html"])
        label = wishes.get("label")
        label = label if label in LABELS else ""
        content = report.gather(classifier, prediction, label)
        return Response(write(content), media_type=kind)

    def predicted(finish: Callable) -> Callable:
        def work(data: bytes, wishes: dict) -> Response:
            options = {name: wishes.get(name) == "1" for name in words.OFFERS}
            options["method"] = _method(wishes)
            reader = _mirrored(read) if wishes.get("mirror") == "1" else read
            return finish(predict(classifier, data, read=reader, **options), wishes)

        return work

    def compare(data: bytes, wishes: dict) -> Response:
        asked = {name: wishes.get(name) == "1" for name in ("invert", "upright")}
        found = find_unlike(classifier, data, read=read, **asked)
        return HTMLResponse(answer.render_unlike(found))

    def sharpen(data: bytes, wishes: dict) -> Response:
        jpeg = answer.sharp_picture(read, data, wishes)
        return Response(jpeg, media_type="image/jpeg")

    def served(path: str, finish: Callable) -> Route:
        def work(data: bytes, wishes: dict) -> Response:
            try:
                return finish(data, wishes)
            except ImageError as error:
                compares = classifier.can_compare
                return HTMLResponse(answer.render_refusal(error, True, compares), 422)

        return posted(path, work, places, waiting)

    def shown(path: str, make: Callable[[str], bytes | str], kind: str) -> Route:
        """Return a route to something of the X-rays that ship, by their names."""

        async def endpoint(request: Request) -> Response:
            name = request.path_params["name"]
            if not _may_come_in(request):
                return _refused(401, words.NEEDS_PASSWORD)
            if name not in shipped.truths():
                return _refused(404, words.NO_SUCH)
            made = await anyio.to_thread.run_sync(make, name, limiter=places)
            return Response(made, media_type=kind)

        return Route(f"/{path}/{{name}}", endpoint)

    return [
        shown("answered", functools.partial(shipped.answered, classifier), "text/html"),
        shown("thumbnails", shipped.thumbnail, "image/jpeg"),
        served("/ask", predicted(show)),
        served("/report", predicted(write)),
        served("/picture", sharpen),
        *([served("/unlike", compare)] if classifier.can_compare else []),
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
