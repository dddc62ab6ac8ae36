"""The X-rays that ship, as both apps offer them: small, and answered already."""

import functools
import io

from PIL import Image

from pneumonia import Classifier, ImageError, examples, predict

from . import answer

_SIDE = 88  # pixels of a small picture's longer side
_QUALITY = 70  # of it, on libjpeg's scale


def offered() -> list[str]:
    """Return the file names of those that a first page offers.

    The demo answers one at once; so there is one more than the others beside it.
    """
    count = sum(one.shown for one in examples()) + 1
    return [one.path.name for one in examples()[:count]]


@functools.cache
def truths() -> dict[str, str]:
    """Return what physicians called each one that ships, by its file's name."""
    return {one.path.name: one.truth for one in examples()}


def content(name: str) -> bytes:
    """Return one of them, a JPEG file, by its name in `truths`."""
    (one,) = (one for one in examples() if one.path.name == name)
    return one.path.read_bytes()


@functools.cache
def thumbnail(name: str) -> bytes:
    """Return a small picture of one, as a JPEG file."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(content(name))) as picture:
        picture.thumbnail((_SIDE, _SIDE))
        picture.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


@functools.lru_cache(maxsize=32)
def answered(classifier: Classifier, name: str) -> str:
    """Return the answer to one as HTML, computed once.

    Args:
        classifier: what answers.
        name: in `truths`.
    """
    try:
        prediction = predict(classifier, content(name))
    except ImageError as error:  # a bundle of somebody's own may refuse it
        return answer.render_refusal(error)
    return answer.render(classifier, prediction, truths()[name], keep=True)
