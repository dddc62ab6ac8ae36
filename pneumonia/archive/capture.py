"""The heat map on the film as a Secondary Capture, its words burned in."""

import textwrap

import highdicom as hd
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from ..contract import NOTICE, PACKAGE, VERSION
from ..serving.prediction import Prediction, say_place, verdict
from .film import Film
from .maker import Maker

_NARROWEST = 512  # pixels, for words to be read
_LETTERS = 64  # a line


def write(maker: Maker, film: Film, answer: Prediction) -> hd.SOPClass:
    """Write the overlay of an answer, with verdict and notice below it."""
    uid = film.facts.SOPInstanceUID
    lines = [verdict(maker.classifier, answer), say_place(answer), NOTICE]
    if answer.method:
        lines[1] += f" Heat map: {answer.method}."
    capture: hd.SOPClass = hd.sc.SCImage.from_ref_dataset(
        film.facts,
        captioned(answer.overlay, [*lines, f"{PACKAGE} {VERSION}"]),
        "RGB",
        8,
        "PATIENT",
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **maker.identity(uid, "Heat map", 2, str(answer.method)),
    )
    capture.ConversionType = "WSD"
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.BurnedInAnnotation = "YES"
    capture.DerivationDescription = "Heat map of a network's answer, on the X-ray"
    capture.BodyPartExamined, capture.ImageLaterality = "CHEST", "U"  # one of it
    if not answer.sides_known:
        capture.PatientOrientation = ""
    source = Dataset()
    source.ReferencedSOPClassUID = film.facts.SOPClassUID
    source.ReferencedSOPInstanceUID = uid
    capture.SourceImageSequence = [source]
    for element in film.facts.group_dataset(0x28):
        if element.keyword.startswith("Lossy"):
            capture.add(element)
    return capture


def captioned(drawn: np.ndarray, paragraphs: list[str]) -> np.ndarray:
    """Add lines of words below a picture, white on black.

    Args:
        drawn: uint8 (H, W, 3). A small one is enlarged by a whole number.
        paragraphs: in letters of ASCII; each begins a line.

    Returns:
        uint8 (H', W', 3).
    """
    times = -(-_NARROWEST // drawn.shape[1])
    drawn = drawn.repeat(times, axis=0).repeat(times, axis=1)
    width = drawn.shape[1]
    size = width / 40
    font = ImageFont.load_default(size)
    lines = [
        line for text in paragraphs for line in textwrap.wrap(text, _LETTERS) if line
    ]
    step = round(1.4 * size)
    words = Image.new("L", (width, step * (len(lines) + 1)))
    for number, line in enumerate(lines):
        place = (round(size / 2), round(step * (number + 0.5)))
        ImageDraw.Draw(words).text(place, line, fill=255, font=font)
    below = np.repeat(np.asarray(words)[..., None], 3, axis=-1)
    return np.concatenate([drawn, below])
