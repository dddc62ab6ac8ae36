"""What *Test it on yours* asks of the demo's server: answers to a part, and figures.

The files stay in the visitor's browser. `static/parts.js` cuts them into parts, each of
which is answered in memory and forgotten. What was answered stays in the page, too, and
comes back as a whole to be measured.
"""

import base64
import functools
import json
import zlib
from collections.abc import Callable, Iterable

import anyio
import numpy as np
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pneumonia import SENTENCES, Classifier

from .. import unpack, words
from ..yours import trial
from ..yours.figures import Case
from .endpoints import posted

_WAITING = 32
_PIECE = "<!--piece-->"  # where a page to keep has what was measured


def routes(classifier: Classifier, read: Callable) -> list[Route]:
    """Return `/answers` and `/measured`, which take the body of a POST.

    `/answers` takes a zip, or a file; `name` in the address is what `unpack` calls a
    file that is no zip, and `anyway=1` is as in `predict`. It gives JSON: an object for
    each file, as `to_json` makes it. `/measured` takes all of them as `cases`, with the
    numbers `left_out` and `stopped` of `trial.render`, and gives `piece` and `page`.

    Args:
        classifier: from `load_classifier`.
        read: what decodes uploads.
    """
    places = anyio.CapacityLimiter(1)  # single answers must not wait behind many
    ask = functools.partial(trial.ask, classifier, read)

    def answers(data: bytes, wishes: dict) -> Response:
        anyway = wishes.get("anyway") == "1"
        files = unpack.unpack([(wishes.get("name", ""), data)])
        return JSONResponse([to_json(ask(*file, anyway)) for file in files])

    def measured(data: bytes, wishes: dict) -> Response:  # noqa: ARG001
        try:
            asked = json.loads(data)
            cases = from_json(asked["cases"])
            counts = [int(asked[name]) for name in ("left_out", "stopped")]
        except (ValueError, TypeError, KeyError, AttributeError, zlib.error):
            return JSONResponse({"detail": words.YOURS["odd"]}, 422)
        piece = trial.render(classifier, cases, *counts)
        return JSONResponse({"piece": piece, "page": trial.page(_PIECE)})

    return [
        posted("/answers", answers, places, _WAITING),
        posted("/measured", measured, places, _WAITING),
    ]


def to_json(case: Case) -> dict:
    """Return a case for the browser to keep: bytes in base64, NaN as None."""
    return {
        "name": case.name,
        "p": case.p,
        "distance": None if np.isnan(case.distance) else case.distance,
        "looks": case.looks,
        "reason": case.reason,
        "said": case.said,
        "offered": case.offered,
        "valid": case.valid,
        "warnings": case.warnings,
        "digest": case.digest.hex(),
        "table": None if case.table is None else _text(case.table),
        "thumbnail": _text(case.thumbnail),
    }


def from_json(rows: Iterable[dict]) -> list[Case]:
    """Return the cases that a browser kept, without their thumbnails.

    Raises:
        ValueError, TypeError, KeyError, AttributeError, zlib.error: they are none.
    """
    cases = [_case(row) for row in rows]
    if len(cases) > trial.MOST or len({case.name for case in cases}) < len(cases):
        raise ValueError("too many, or two of one name")
    return cases


def _case(row: dict) -> Case:
    p, distance, table = row["p"], row["distance"], row["table"]
    if p is not None and not 0 <= p <= 1:
        raise ValueError(p)
    warnings = tuple(code for code in map(str, row["warnings"]) if code in SENTENCES)
    return Case(
        name=str(row["name"]),
        p=None if p is None else float(p),
        distance=np.nan if distance is None else float(distance),
        looks={str(name): float(value) for name, value in row["looks"].items()},
        reason=str(row["reason"]),
        said=str(row["said"]),
        offered=bool(row["offered"]),
        valid=bool(row["valid"]),
        warnings=warnings,
        digest=bytes.fromhex(row["digest"]),
        table=None if table is None else _deflated(table),
    )


def _deflated(text: str) -> bytes:
    table = base64.b64decode(text, validate=True)
    zlib.decompressobj().decompress(table, 1)  # or it is none
    return table


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
