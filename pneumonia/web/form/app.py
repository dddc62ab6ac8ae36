"""Classic upload form and JSON API for the chest X-ray classifier."""

import argparse
import gzip
import io
import logging
import re
import signal
import threading
from collections.abc import Callable, Sequence

from flask import Flask, Request, Response, g, jsonify, render_template, request
from markupsafe import Markup, escape
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    HTTPException,
    NotFound,
    RequestEntityTooLarge,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
)

from pneumonia import (
    LABELS,
    MAX_BYTES,
    SENTENCES,
    SUFFIXES,
    TOO_LARGE,
    Classifier,
    ImageError,
    IsolatedReader,
    Prediction,
    __version__,
    load_classifier,
    predict,
)

from ...contract import METHODS, NOTICE, TESTED
from ...serving.encode import encode_jpeg
from ...serving.unlike import find_unlike
from .. import answer, door, report, shipped, startup, words
from . import api
from .server import Server

_PATIENCE = 60  # seconds that a request waits for its turn
_STATUS = {"empty": 400, "no_file": 400, "too_large": 413}  # of others: 422
_EFFORT = 5  # of gzip
_TEXT = re.compile(r"^text/|javascript|json|svg")  # what gzip makes smaller
_log = logging.getLogger("pneumonia.web")


class MemoryRequest(Request):
    """A request that keeps uploads in memory: no X-ray is ever written to disk."""

    def _get_file_stream(self, *args, **kwargs):
        return io.BytesIO()


def create_app(
    classifier: Classifier | None = None,
    *,
    read: Callable | None = None,
    auth: door.Credentials | None = None,
    rate: int = 0,
    embed: Sequence[str] = (),
    root_path: str = "",
) -> Flask:
    """Build the application.

    Args:
        classifier: from `load_classifier`; None loads the bundle that ships.
        read: what decodes uploads; None: an `IsolatedReader`.
        auth: who may come in; None: everybody.
        rate: requests that one client may send in a minute; 0: any number.
        embed: origins whose pages may embed these.
        root_path: below which a proxy shows the app, for the API's example and
            document; "": what the proxy says.

    Raises:
        BundleError: the bundle that ships is damaged.
    """
    classifier = classifier or load_classifier()
    read = read or IsolatedReader(door.WORKING).read
    app = Flask(__name__, template_folder=answer.TEMPLATES, static_folder=answer.STATIC)
    app.request_class = MemoryRequest
    app.url_map.merge_slashes = False  # it redirects, uploads too, to the host's root
    app.config["MAX_CONTENT_LENGTH"] = MAX_BYTES + door.BODY_OVERHEAD
    app.jinja_env.globals.update(
        notice=NOTICE,
        words=words,
        max_bytes=MAX_BYTES,
        suffixes=SUFFIXES,
        too_large=TOO_LARGE,
        compares=classifier.can_compare,
    )
    app.jinja_env.filters["code"] = _code
    _guard(app, auth, door.RateLimit(rate))
    _dress(app, embed)
    _refuse(app)
    turnstile = door.Turnstile(door.WORKING, door.WAITING, _PATIENCE)

    def ask(**options) -> Prediction:
        options |= {name: _asked(name) for name in words.OFFERS}
        data = _asked_about()
        with turnstile.turn():
            return predict(classifier, data, read=read, **options)

    @app.context_processor
    def place() -> dict[str, str]:
        # Relative: behind a proxy the app may stand below any path of the host.
        return {"root": "../" * (request.path.count("/") - 1) or "./"}

    _add_pages(app, classifier, ask)
    _add_pictures(app, classifier, read, turnstile)
    _add_api(app, classifier, ask, root_path)

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok", bundle_sha256=classifier.sha256)

    return app


def _add_pages(app: Flask, classifier: Classifier, ask: Callable) -> None:
    """Add the form, its answers and their reports.

    Args:
        app: to add them to.
        classifier: what answers.
        ask: answers the request's X-ray; takes options of `predict`.
    """

    @app.get("/")
    def form() -> str:
        return render_template("form.html", examples=shipped.offered())

    @app.post("/")
    def result() -> str:
        prediction, example = ask(), _example()
        truth = shipped.truths().get(example, "")
        if _asked("keep"):  # a script asks, which keeps the file for what comes next
            shown = answer.context(classifier, prediction, truth=truth)
            return render_template("result.html", keep=True, **shown)
        links = report.links(classifier, prediction)
        overlay = answer.data_uri("image/jpeg", encode_jpeg(prediction.overlay))
        shown = answer.context(classifier, prediction, links, truth)
        name = example or _uploaded_name()
        return render_template("result.html", overlay=overlay, file=name, **shown)

    @app.post("/report")
    def saved() -> Response:
        kind = _chosen("kind", tuple(report.KINDS))
        label = _chosen("label", ("", *LABELS))
        prediction = ask(method=_chosen("method", (TESTED, *METHODS)))
        write, media = report.KINDS[kind]
        content = report.gather(classifier, prediction, label)
        return Response(write(content), mimetype=media)


def _add_pictures(
    app: Flask, classifier: Classifier, read: Callable, turnstile: door.Turnstile
) -> None:
    """Add pictures of an upload, and the X-rays that ship."""

    @app.post("/unlike")
    def unlike() -> str:
        if not classifier.can_compare:
            raise NotFound
        wishes = {name: _asked(name) for name in ("invert", "upright")}
        data = _asked_about()
        with turnstile.turn():
            found = find_unlike(classifier, data, read=read, **wishes)
        return answer.render_unlike(found)

    @app.post("/picture")
    def picture() -> Response:
        wishes, data = request.args.to_dict(), _uploaded()
        with turnstile.turn():
            jpeg = answer.sharp_picture(read, data, wishes)
        return Response(jpeg, mimetype="image/jpeg")

    @app.get("/examples/<name>")
    def example(name: str) -> Response:
        return Response(shipped.content(_shipped(name)), mimetype="image/jpeg")

    @app.get("/thumbnails/<name>")
    def thumbnail(name: str) -> Response:
        return Response(shipped.thumbnail(_shipped(name)), mimetype="image/jpeg")


def _add_api(app: Flask, classifier: Classifier, ask: Callable, root_path: str) -> None:
    """Add the JSON API and what describes it; `ask` as in `_add_pages`."""

    @app.post("/api/predict")
    def api_predict() -> Response:
        with_overlay = _asked("overlay")
        method = _chosen("method", (TESTED, *METHODS))
        prediction = ask(method=method)
        return jsonify(
            api.answered(classifier, prediction, g.request_id, overlay=with_overlay)
        )

    document = api.document(__version__)

    def prefix() -> str:
        return door.prefix(root_path, request.headers.get(door.PREFIX_HEADER))

    @app.get("/openapi.json")
    def openapi_json() -> Response:
        return jsonify(document | {"servers": api.servers(prefix())})

    @app.get("/api")
    def api_page() -> str:
        address = request.url_root.rstrip("/") + prefix()
        return render_template(
            "api.html", document=document, address=address, sentences=SENTENCES
        )


def _guard(app: Flask, auth: door.Credentials | None, limit: door.RateLimit) -> None:
    """Decide on every request, before its body is read, whether it may come in."""

    @app.before_request
    def check() -> None:
        g.request_id = door.request_id()
        if request.endpoint == "healthz":
            return
        given = request.authorization
        known = auth is None or (
            given is not None
            and given.type == "basic"
            and auth.match(given.username or "", given.password or "")
        )
        if request.method == "POST" or (given and not known):
            seconds = limit.wait(request.remote_addr)
            if seconds:
                raise TooManyRequests(words.TOO_OFTEN, retry_after=seconds)
        if not known:
            raise Unauthorized(words.NEEDS_PASSWORD)
        # There is no session to ride on and nothing to change, so a token would guard
        # nothing. Pages of others are turned away all the same: they cost time.
        cross = request.headers.get("Sec-Fetch-Site") == "cross-site"
        if request.method == "POST" and cross:
            raise Forbidden(words.FOREIGN)


def _dress(app: Flask, embed: Sequence[str]) -> None:
    """Give every answer its headers, and the log one line without a person in it."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        "img-src 'self' data: blob:; connect-src 'self'; "
        f"form-action 'self'; base-uri 'none'; {door.frame_ancestors(list(embed))}"
    )

    @app.after_request
    def pack(response: Response) -> Response:
        packs = _TEXT.search(response.mimetype) and response.status_code != 304
        if packs and request.accept_encodings["gzip"]:
            response.direct_passthrough = False  # a file of `static`
            response.data = gzip.compress(response.data, _EFFORT)
            response.content_encoding = "gzip"
            response.vary.add("Accept-Encoding")
        return response

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.update(door.HEADERS)
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Request-Id"] = g.request_id
        place = request.url_rule.rule if request.url_rule else "elsewhere"
        _log.info("%s %s %s", g.request_id, place, response.status_code)
        return response


def _refuse(app: Flask) -> None:
    """Turn what is raised into an answer; what is no one's fault stays a bug, 500."""

    @app.errorhandler(ImageError)
    def image(error: ImageError):
        status = _STATUS.get(error.reason, 422)
        return _explain(status, error.reason, str(error), error.offers)

    @app.errorhandler(RequestEntityTooLarge)
    def size(error: RequestEntityTooLarge):
        message = words.UPLOAD_TOO_LARGE.format(limit=MAX_BYTES // 2**20)
        return _explain(413, "too_large", message)

    @app.errorhandler(door.BusyError)
    @app.errorhandler(MemoryError)
    def busy(error: door.BusyError | MemoryError):
        again = ServiceUnavailable(words.BUSY, retry_after=door.RETRY_SECONDS)
        return otherwise(again)

    @app.errorhandler(HTTPException)
    def otherwise(error: HTTPException):
        reason = error.name.lower().replace(" ", "_")
        body, status = _explain(error.code, reason, error.description)
        response = app.make_response((body, status))
        if isinstance(error, Unauthorized):
            response.headers["WWW-Authenticate"] = (
                'Basic realm="X-rays", charset="UTF-8"'
            )
        for name, value in error.get_headers():
            if name in ("Retry-After", "Allow"):
                response.headers[name] = value
        return response


def _code(text: str) -> Markup:
    """Return a text as HTML, with what stands in backticks as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _asked(name: str) -> bool:
    """Return whether a switch is on, in the address or in the form."""
    return _chosen(name, ("0", "1")) == "1"


def _chosen(name: str, choices: Sequence[str]) -> str:
    """Return what is chosen in the address or in the form, else the first choice."""
    value = request.values.get(name, choices[0])
    if value not in choices:
        raise BadRequest(f"`{name}` takes {' or '.join(choices)}.")
    return value


def _uploaded() -> bytes:
    """Return the file in the form field `image`."""
    files = request.files.getlist("image")
    if not files:
        raise ImageError(
            "no_file",
            "No file came in. Send the X-ray as multipart form field `image`.",
        )
    if len(files) > 1:
        raise BadRequest(f"{len(files)} files came in the field `image`. Send one.")
    return files[0].read()


def _uploaded_name() -> str:
    """Return what the file in the form field `image` is called, for who sent it."""
    return request.files["image"].filename or ""


def _example() -> str:
    """Return the name of the X-ray that ships which a page's form asks about, or ""."""
    name = "" if request.path.startswith("/api/") else request.values.get("example", "")
    return _shipped(name) if name else ""


def _shipped(name: str) -> str:
    """Return the name of an X-ray that ships.

    Raises:
        NotFound: none is called so.
    """
    if name not in shipped.truths():
        raise NotFound(words.NO_SUCH)
    return name


def _asked_about() -> bytes:
    """Return the example that a page's form asks about, else the upload."""
    name = _example()
    return shipped.content(name) if name else _uploaded()


def _explain(status: int, reason: str, message: str, offers: Sequence[str] = ()):
    """Answer an error: JSON below /api, else the form with the message."""
    if request.path.startswith("/api/"):
        error = {"reason": reason, "message": message, "request_id": g.request_id}
        return jsonify(error=error | {"offers": list(offers)}), status
    page = {"error": message, "offers": offers, "examples": shipped.offered()}
    return render_template("form.html", **page), status


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Serve the form.

    Args:
        arguments: the command line; None: of this process.
        prog: what the command is called.
    """
    parser = argparse.ArgumentParser(prog, description=__doc__)
    door.add_arguments(parser, port=5000)
    args = parser.parse_args(arguments)
    startup.check(parser, args)
    classifier = startup.load(args)
    reader = IsolatedReader(door.WORKING)
    app = create_app(
        classifier,
        read=reader.read,
        auth=args.auth,
        rate=args.rate,
        embed=args.embed,
        root_path=args.root_path,
    )
    server = Server(args.host, args.port, app)

    def stop(*_) -> None:  # shutdown waits for the loop that this interrupts
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"form at http://{args.host}:{args.port}\n{NOTICE}", flush=True)
    server.serve_forever()
    server.drain(door.DRAIN_SECONDS)
    reader.close()
