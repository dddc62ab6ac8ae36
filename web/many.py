"""Many files or zips: one row for each file, and a table of the rows."""

import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from pneumonia import (
    LABELS,
    MAX_BYTES,
    SUFFIXES,
    Classifier,
    ImageError,
    Prediction,
    Row,
    answered_row,
    encode_jpeg,
    explain,
    percent,
    predict,
    refused_row,
    write_rows,
)

from . import answer, words

MAX_FILES = 200
"""How many files are answered at once; what comes after them is left out and said."""

MAX_TOTAL = 64 * 2**20
"""Largest sum of what is uploaded at once, in bytes."""

_ENTRIES = 10_000  # of a zip, what is left out included
_ZIPS = b"PK\x03\x04", b"PK\x05\x06"  # how a zip begins; the second: an empty one
_THUMBNAIL = 56, 56
_SIDE = 512  # longest side of a picture that a row opens
_FORMULA = tuple("=+-@\t\r")  # with these a spreadsheet's formula begins
_PLAIN = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED  # others may ask for any memory


@dataclass(frozen=True, eq=False)
class Answered:
    """A row and what it opens.

    Attributes:
        row: what the CSV says of the file.
        message: why there is no answer, or what warns of it, in sentences.
        thumbnail: JPEG file; empty without an answer.
        overlay: JPEG file; empty without an answer.
        card: the answer, or why there is none, as HTML.
    """

    row: Row
    message: str = ""
    thumbnail: bytes = b""
    overlay: bytes = b""
    card: str = ""


def unpack(
    files: Iterable[tuple[str, bytes]],
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """List files and those inside of zips, without reading them yet.

    Args:
        files: name and content of each.

    Yields:
        The name, and what returns the content or raises an ImageError. Names out of a
        zip begin with that zip's where several zips came. No two are alike.
    """
    files, used = list(files), Counter()
    several = sum(data.startswith(_ZIPS) for _, data in files) > 1
    for name, data in files:
        for member, content in _unpack_one(name, data):
            full = f"{name}/{member}" if several and member != name else member
            used[full] += 1
            yield f"{full} ({used[full]})" if used[full] > 1 else full, content


def _unpack_one(name: str, data: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
    if not data.startswith(_ZIPS):
        yield name, lambda: data
        return
    try:
        if data.count(b"PK\x01\x02") > _ENTRIES:  # each costs memory to list
            raise ValueError
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        yield name, _refuse_zip
        return
    members = [m for m in archive.infolist() if not (m.is_dir() or _is_hidden(m))]
    for member in members:
        yield member.filename, lambda m=member: _extract(archive, m)
    if not members:
        yield name, _refuse_empty


def _is_hidden(member: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(member.filename).parts
    return any(
        part == "__MACOSX" or (part.startswith(".") and part != "..") for part in parts
    )


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Read one file of a zip, never more than could be answered."""
    if member.compress_type not in _PLAIN or member.flag_bits & 1:  # 1: encrypted
        _refuse_zip()
    try:
        with archive.open(member) as file:
            content = file.read(MAX_BYTES + 1)
    except (zipfile.BadZipFile, zipfile.zlib.error, EOFError, OSError, ValueError):
        _refuse_zip()
    if content.startswith(_ZIPS):
        raise ImageError("archive", words.NESTED_ZIP)
    return content


def _refuse_zip() -> bytes:
    raise ImageError("damaged", words.BAD_ZIP)


def _refuse_empty() -> bytes:
    raise ImageError("empty", words.EMPTY_ZIP)


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
        return Answered(refused_row(name, error), message=str(error), card=card)
    small = _reduced(prediction)
    thumbnail = Image.fromarray(small.pixels)
    thumbnail.thumbnail(_THUMBNAIL)
    return Answered(
        answered_row(name, prediction),
        message=" ".join(explain(code) for code in prediction.warnings),
        thumbnail=encode_jpeg(np.asarray(thumbnail)),
        overlay=encode_jpeg(small.overlay),
        card=answer.render(classifier, small),
    )


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


KINDS = (LABELS[0], words.UNCERTAIN_SHORT, LABELS[1], words.NO_ANSWER)
"""What rows' answers are called, in the order of the summary."""


def kind(row: Row) -> str:
    """Return what a row's answer is called."""
    if row.status != "ok":
        return words.NO_ANSWER
    return row.label if row.certain == "true" else words.UNCERTAIN_SHORT


def _csv(answered: list[Answered]) -> bytes:
    """Write the rows; a name that a spreadsheet would compute gets an apostrophe."""
    file = io.StringIO()
    rows = (one.row for one in answered)
    write_rows(
        (
            replace(row, path=f"'{row.path}") if row.path[:1] in _FORMULA else row
            for row in rows
        ),
        file,
    )
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
