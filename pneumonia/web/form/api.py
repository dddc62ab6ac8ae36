"""The JSON API of the form: what an answer holds, and the document that says so.

A field of the answer stands twice here and nowhere else: with its value in `answered`,
with its type in `_answer`.
"""

from pneumonia import LABELS, MAX_BYTES, Classifier, Prediction, explain, say_place

from ...contract import METHODS, NOTICE, TESTED
from ...serving.encode import encode_png
from ...serving.zones import PLACES, ZONES
from .. import answer, words

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}


def answered(
    classifier: Classifier,
    prediction: Prediction,
    request_id: str,
    overlay: bool = False,
) -> dict:
    """Return what the API answers.

    Args:
        classifier: what answered.
        prediction: the answer.
        request_id: of the request, for the log.
        overlay: add it as a PNG.
    """
    found = {
        "label": prediction.label,
        "probabilities": prediction.probabilities,
        "certain": prediction.certain,
        "valid": prediction.valid,
        "threshold": classifier.threshold,
        "uncertain_band": list(classifier.uncertain_band),
        "inverted": prediction.inverted,
        "turned": prediction.turned,
        "warnings": list(prediction.warnings),
        "explanations": {code: explain(code) for code in prediction.warnings},
        "method": prediction.method,
        "verdict": prediction.verdict,
        "place": prediction.place,
        "partly_outside": prediction.partly_outside,
        "where": say_place(prediction),
        "evidence_zones": prediction.evidence_zones,
        "evidence_outside": prediction.evidence_outside,
        "sides_known": prediction.sides_known,
        "box": prediction.box.tolist(),
        "bundle_sha256": classifier.sha256,
        "notice": NOTICE,
        "request_id": request_id,
    }
    if overlay:
        png = encode_png(prediction.overlay)
        found["overlay"] = answer.data_uri("image/png", png)
    return found


def document(version: str) -> dict:
    """Return the OpenAPI document, but for `servers`.

    Args:
        version: of this software.
    """
    return {
        "openapi": "3.1.0",
        "info": {"title": words.TITLE, "description": NOTICE, "version": version},
        "security": [{}, {"password": []}],
        "paths": {
            "/api/predict": {"post": _predict()},
            "/healthz": {"get": _healthz()},
        },
        "components": {
            "schemas": {"Answer": _answer(), "Error": _error()},
            "securitySchemes": {"password": {"type": "http", "scheme": "basic"}},
        },
    }


def servers(prefix: str) -> list[dict]:
    """Return where the API stands, as seen from its document.

    Args:
        prefix: path below which a proxy shows the app; "": not known. Then the address
            is relative, and programs resolve it that follow the standard.
    """
    return [{"url": prefix or "."}]


def _predict() -> dict:
    switch = ("0", "1")
    choices = {
        "anyway": ("1: answer a picture that would be refused, too.", switch),
        "invert": ("1: exchange black and white first.", switch),
        "upright": ("1: turn it upright first.", switch),
        "overlay": ("1: send the X-ray with its heat map, as a data URI.", switch),
        "method": (
            "How the overlay's heat map is drawn; `tested`: as passed its test.",
            (TESTED, *METHODS),
        ),
    }
    picture = _TEXT | {"contentMediaType": "application/octet-stream"}
    refusals = {
        "400": "Nothing came in, or an option takes something else.",
        "401": "A password is needed, or another.",
        "403": "The request comes from a page of another origin.",
        "413": f"More than {MAX_BYTES // 2**20} MiB.",
        "422": "A picture that can't or should not be answered; see `reason`.",
        "429": "Too many requests; wait for `Retry-After` seconds.",
        "503": "Too busy; wait for `Retry-After` seconds.",
    }
    return {
        "operationId": "predict",
        "summary": "Answer one chest X-ray",
        "parameters": [
            {
                "name": name,
                "in": "query",
                "description": text,
                "schema": {"enum": list(values), "default": values[0]},
            }
            for name, (text, values) in choices.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {"image": picture},
                        "required": ["image"],
                    }
                }
            },
        },
        "responses": {"200": _json("The answer.", "Answer")}
        | {code: _json(text, "Error") for code, text in refusals.items()},
    }


def _healthz() -> dict:
    schema = _object({"status": {"const": "ok"}, "bundle_sha256": _TEXT})
    content = {"application/json": {"schema": schema}}
    return {
        "operationId": "healthz",
        "summary": "Say that the server is up, and with which weights",
        "security": [{}],
        "responses": {"200": {"description": "It is.", "content": content}},
    }


def _answer() -> dict:
    probabilities = _object(dict.fromkeys(LABELS, _SHARE))
    schema = _object(
        {
            "label": {"enum": list(LABELS)},
            "probabilities": probabilities,
            "certain": {"type": "boolean"},
            "valid": {"type": "boolean"},
            "threshold": _SHARE,
            "uncertain_band": _array(_SHARE, 2),
            "inverted": {"type": "boolean"},
            "turned": {"enum": [0, 90, 180, 270]},
            "warnings": _TEXTS,
            "explanations": {"type": "object", "additionalProperties": _TEXT},
            "method": {"enum": [*METHODS, None]},
            "verdict": {
                "enum": [*(label.lower() for label in LABELS), "uncertain", "not_valid"]
            },
            "place": {"enum": list(PLACES)},
            "partly_outside": {"type": "boolean"},
            "where": _TEXT,
            "evidence_zones": _object(dict.fromkeys(ZONES, _SHARE)),
            "evidence_outside": _SHARE,
            "sides_known": {"type": "boolean"},
            "box": _array(_SHARE, 4),
            "bundle_sha256": _TEXT,
            "notice": _TEXT,
            "request_id": _TEXT,
        }
    )
    schema["properties"]["overlay"] = _TEXT  # where it was asked for
    return schema


def _error() -> dict:
    error = {"reason": _TEXT, "message": _TEXT, "request_id": _TEXT, "offers": _TEXTS}
    return _object({"error": _object(error)})


def _array(items: dict, length: int) -> dict:
    return {"type": "array", "items": items, "minItems": length, "maxItems": length}


def _object(properties: dict) -> dict:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _json(text: str, schema: str) -> dict:
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    return {"description": text, "content": {"application/json": content}}
