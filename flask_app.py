"""Classic upload form and JSON API for the chest X-ray classifier.

python flask_app.py [--host 127.0.0.1] [--port 5000]
"""

import argparse
import base64
import io

from flask import Flask, Request, Response, jsonify, render_template, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from pneumonia import (
    MAX_BYTES,
    NOTICE,
    BundleError,
    Classifier,
    ImageError,
    Prediction,
    encode_png,
    load_classifier,
    predict,
    verdict,
)

_FORM_OVERHEAD = 64 * 1024  # what a multipart body holds besides the file


class MemoryRequest(Request):
    """A request that keeps uploads in memory: no X-ray is ever written to disk."""

    def _get_file_stream(self, *args, **kwargs):
        return io.BytesIO()


def create_app(classifier: Classifier | None = None) -> Flask:
    """Build the application.

    Args:
        classifier: from `load_classifier`; None loads the bundle that ships.

    Raises:
        BundleError: the bundle that ships is damaged.
    """
    classifier = classifier or load_classifier()
    app = Flask(__name__)
    app.request_class = MemoryRequest
    app.config["MAX_CONTENT_LENGTH"] = MAX_BYTES + _FORM_OVERHEAD
    app.jinja_env.globals.update(notice=NOTICE, max_mib=MAX_BYTES // 2**20)

    @app.get("/")
    def form() -> str:
        return render_template("form.html")

    @app.post("/")
    def result() -> str:
        prediction = predict(classifier, _uploaded())
        return render_template(
            "result.html",
            prediction=prediction,
            verdict=verdict(classifier, prediction),
            overlay=_data_uri(prediction),
        )

    @app.post("/api/predict")
    def api_predict() -> Response:
        prediction = predict(classifier, _uploaded())
        answer = {
            "label": prediction.label,
            "probabilities": prediction.probabilities,
            "certain": prediction.certain,
            "threshold": classifier.threshold,
            "warnings": list(prediction.warnings),
            "notice": NOTICE,
        }
        if request.args.get("overlay") == "1":
            answer["overlay"] = _data_uri(prediction)
        return jsonify(answer)

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok", bundle_sha256=classifier.sha256)

    @app.errorhandler(ImageError)
    def refuse(error: ImageError):
        return _explain(400, error.reason, str(error))

    @app.errorhandler(RequestEntityTooLarge)
    def refuse_size(error: RequestEntityTooLarge):
        limit = f"at most {MAX_BYTES // 2**20} MiB are read"
        return _explain(413, "too_large", f"This upload is too large; {limit}.")

    @app.errorhandler(HTTPException)
    def explain(error: HTTPException):
        reason = error.name.lower().replace(" ", "_")
        return _explain(error.code, reason, error.description)

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; img-src 'self' data:; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
        )
        return response

    return app


def _uploaded() -> bytes:
    """Return the file in the form field `image`."""
    file = request.files.get("image")
    if file is None:
        raise ImageError(
            "no_file",
            "No file came in. Send the X-ray as multipart form field `image`.",
        )
    return file.read()


def _data_uri(prediction: Prediction) -> str:
    png = base64.b64encode(encode_png(prediction.overlay)).decode("ascii")
    return f"data:image/png;base64,{png}"


def _explain(status: int, reason: str, message: str):
    """Answer an error: JSON below /api, else the form with the message."""
    if request.path.startswith("/api/"):
        return jsonify(error={"reason": reason, "message": message}), status
    return render_template("form.html", error=message), status


def main() -> None:
    """Serve the form on the command line's host and port."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    args = parser.parse_args()
    try:
        app = create_app()
    except BundleError as error:
        raise SystemExit(f"error: {error}") from error
    app.run(host=args.host, port=args.port, threaded=True)


if __name__ == "__main__":
    main()
