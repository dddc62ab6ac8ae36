"""Many files or zips: one row for each file, and a table of the rows."""

import io
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from pneumonia import (
    LABELS,
    SUFFIXES,
    Classifier,
    ImageError,
    Prediction,
    explain,
    percent,
    predict,
    say_place,
)

from ...serving.encode import encode_jpeg
from ...serving.rows import Row, answered_row, refused_row, write_rows
from .. import answer, tables, words

MAX_FILES = 200
"""How many files are answered at once; what comes after them is left out and said."""

MAX_TOTAL = 64 * 2**20
"""Largest sum of what is uploaded at once, in bytes."""

_SIDE = 512  # longest side of a picture that a row opens


@dataclass(frozen=True, eq=False)
class Answered:
    """A row and what it opens.

    Attributes:
        row: what the CSV says of the file.
        where: where the evidence lies, as a sentence; empty without an answer.
        message: why there is no answer, or what warns of it, in sentences.
        thumbnail: JPEG file; empty without an answer.
        overlay: JPEG file; empty without an answer.
        card: the answer, or why there is none, as HTML.
    """

    row: Row
    where: str = ""
    message: str = ""
    thumbnail: bytes = b""
    overlay: bytes = b""
    card: str = ""


def answer_one(
    classifier: Classifier,
    read: Callable,
    name: str,
    content: Callable[[], bytes],
    anyway: bool = False,
) -> Answered:
    """Answer one file of `unpack`; a bad file becomes a row, too.

    Args:
        classifier: from `load_classifier`.
        read: what decodes it.
        name: what it is called.
        content: returns its bytes.
        anyway: as in `predict`.
    """
    try:
        prediction = predict(classifier, content(), anyway=anyway, read=read)
    except ImageError as error:
        card = answer.render_refusal(error, offer=False)
        message = explain(error.reason, short=True) if error.offers else str(error)
        row = refused_row(name, error)
        return Answered(row, message=_sentence(message), card=card)
    small = _reduced(prediction)
    return Answered(
        answered_row(name, prediction),
        where=say_place(prediction),
        message=" ".join(
            _sentence(explain(code, short=True)) for code in prediction.warnings
        ),
        thumbnail=tables.thumbnail(small.pixels),
        overlay=encode_jpeg(small.overlay),
        card=answer.render(classifier, small),
    )


def _sentence(said: str) -> str:
    """Return some words as a sentence; a sentence stays as it is."""
    return f"{said[:1].upper()}{said[1:]}" + ("" if said.endswith(".") else ".")


def _reduced(prediction: Prediction) -> Prediction:
    """Return the same answer with a smaller picture: many are sent at once."""
    picture = Image.fromarray(prediction.pixels)
    picture.thumbnail((_SIDE, _SIDE))
    return replace(prediction, pixels=np.asarray(picture))


def render(answered: list[Answered], left_out: int = 0, stopped: int = 0) -> str:
    """Return a table that can be sorted, whose rows open, as one line of HTML.

    Args:
        answered: the rows.
        left_out: how many were too many to be asked.
        stopped: how many were not reached when somebody stopped.
    """
    counts = Counter(kind(one.row) for one in answered)
    rows = [
        asdict(one.row)
        | {
            "kind": kind(one.row),
            "where": one.where,
            "message": one.message,
            "percent": one.row.p_pneumonia and percent(float(one.row.p_pneumonia)),
            "card": one.card,
            "thumbnail": one.thumbnail and answer.data_uri("image/jpeg", one.thumbnail),
        }
        for one in answered
    ]
    return answer.one_line(
        "batch.html",
        words=words,
        rows=rows,
        summary=", ".join(f"{counts[what]} {what}" for what in KINDS if counts[what])
        or words.NO_ANSWER,
        left_out=left_out and words.LEFT_OUT.format(count=left_out, limit=MAX_FILES),
        stopped=stopped and words.STOPPED.format(count=stopped),
        csv=answer.data_uri("text/csv", _csv(answered)),
        overlays=answer.data_uri("application/zip", _zip(answered)),
    )


KINDS = (
    *(LABELS[0], words.UNCERTAIN_SHORT, LABELS[1]),
    *(words.NOT_VALID_SHORT, words.NO_ANSWER),
)
"""What rows' answers are called, in the order of the summary."""


def kind(row: Row) -> str:
    """Return what a row's answer is called."""
    if row.status != "ok":
        return words.NO_ANSWER
    if row.valid == "false":
        return words.NOT_VALID_SHORT
    return row.label if row.certain == "true" else words.UNCERTAIN_SHORT


def _csv(answered: list[Answered]) -> bytes:
    """Write the rows."""
    file = io.StringIO()
    rows = (replace(one.row, path=tables.plain(one.row.path)) for one in answered)
    write_rows(rows, file)
    return file.getvalue().encode()


def _zip(answered: list[Answered]) -> bytes:
    """Pack the overlays, each named like its file, with a number before it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, one in enumerate(answered, 1):
            if one.overlay:
                path = PurePosixPath(one.row.path)
                is_usual = path.suffix.lower() in SUFFIXES
                name = path.stem if is_usual else path.name
                archive.writestr(f"{number:03}-{name}.jpeg", one.overlay)
    return file.getvalue()
