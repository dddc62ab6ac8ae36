"""The X-rays that ship, as both apps offer them: small, and answered already."""

import functools
import io

from PIL import Image

from pneumonia import (
    Classifier,
    Example,
    ImageError,
    examples,
    predict,
)

from . import answer

_SIDE = 96  # pixels of a small picture's longer side
_QUALITY = 80  # of it, on libjpeg's scale


def offered() -> list[str]:
    """Return the file names of those that a first page offers.

    The demo answers one at once; so there is one more than the others beside it.
    """
    count = sum(one.shown for one in examples()) + 1
    return [one.path.name for one in examples()[:count]]


def find(name: str) -> Example | None:
    """Return the X-ray of a file name; None if none is called so."""
    return next((one for one in examples() if one.path.name == name), None)


@functools.cache
def thumbnail(name: str) -> bytes:
    """Return a small picture of one that ships, as a JPEG file."""
    file = io.BytesIO()
    with Image.open(find(name).path) as picture:
        picture.thumbnail((_SIDE, _SIDE))
        picture.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


@functools.lru_cache(maxsize=32)
def answered(classifier: Classifier, name: str) -> str:
    """Return the answer to one that ships as HTML, computed once.

    Args:
        classifier: what answers.
        name: the file's name, of one that `find` finds.
    """
    one = find(name)
    try:
        prediction = predict(classifier, one.path.read_bytes())
    except ImageError as error:  # a bundle of somebody's own may refuse it
        return answer.render_refusal(error)
    return answer.render(classifier, prediction, one.truth, keep=True)
