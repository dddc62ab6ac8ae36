"""The predict function that both apps call, and its answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np

from .. import words
from ..contract import LABELS, METHODS, TESTED
from ..outputs import Outputs
from ..reading.image import to_input
from ..reading.isolated import read_anywhere
from ..reading.picture import ImageError, Picture
from . import gate as gates
from . import zones
from .classifier import Classifier
from .encode import save_jpeg
from .gate_features import root
from .overlay import by_method, draw_overlay, enlarge, stamp

Source = TypeVar("Source")


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer to one image.

    Attributes:
        label: one of LABELS, by the calibrated threshold and not by the larger bar.
        probabilities: in LABELS order, each in [0, 1], sum 1; calibrated for X-rays of
            which every second one shows pneumonia.
        certain: False inside the published uncertain band.
        pixels: uint8 (H, W), the X-ray as it was looked at, upright, perhaps inverted.
        coarse: float32 (8, 8) in [0, 1], evidence for the label by `method`; zeros
            without one. Its cells divide the box.
        maps: float32 (2, 8, 8) in [0, 1], evidence for each of LABELS (Grad-CAM). Its
            cells divide the box; `enlarge` lays one onto the picture.
        evidence: float32 (8, 8), what each cell adds to the calibrated log-odds of
            pneumonia (HiResCAM). Its cells divide the box.
        lungs: float32 (96, 96) in [0, 1], probability of lung over the whole picture.
        box: float32 (4,) in [0, 1], what the network was shown: top, bottom, left and
            right as fractions of the picture's sides.
        evidence_zones: share of `coarse` in each zone of the lungs, such as "right
            lower", in [0, 1]. Sides are the patient's if
            `sides_known`; else "right" is what is on the left of the picture.
        evidence_outside: share of it outside of the lungs. With the zones' the sum is
            1, or 0 where nothing speaks for the label.
        place: the same in short, one of `zones.PLACES`; `say_place` says it.
        partly_outside: whether a third or more of the evidence, but not most of it, is
            outside of the lungs.
        sides_known: whether the file says that the patient's right is on the left of
            `pixels`. DICOM alone can say so.
        inverted: whether black and white were exchanged first, as was asked for.
        turned: by how many degrees it was turned to the left first: 0, 90, 180, 270.
        method: one of METHODS, which drew `coarse`; None where neither passed its test
            for the label, and none was asked for.
        distance: how far its features lie from those of training images; from 1 on, the
            gate refuses. NaN for a bundle without a gate.
        lungs_found: whether lungs were found that can be shown as such. If not, the
            overlay has no line around them.
        warnings: codes of what is wrong with the image; `explain` gives the sentence
            of each. One that refuses is among them only where an answer was asked for
            all the same.
    """

    label: str
    probabilities: dict[str, float]
    certain: bool
    pixels: np.ndarray
    coarse: np.ndarray
    maps: np.ndarray
    evidence: np.ndarray
    lungs: np.ndarray
    box: np.ndarray
    evidence_zones: dict[str, float]
    evidence_outside: float
    place: str
    partly_outside: bool = False
    sides_known: bool = False
    inverted: bool = False
    turned: int = 0
    method: str | None = METHODS[0]
    distance: float = np.nan
    lungs_found: bool = True
    warnings: tuple[str, ...] = ()

    @cached_property
    def valid(self) -> bool:
        """Whether the gate let the image in; if not, the answer means nothing."""
        return not self.refused_for

    @cached_property
    def refused_for(self) -> tuple[str, ...]:
        """Those of `warnings` for which there would be no answer unasked."""
        return tuple(code for code in self.warnings if code in words.REFUSALS)

    @property
    def verdict(self) -> str:
        """The code of the answer: `normal`, `pneumonia`, `uncertain` or `not_valid`."""
        if not self.valid:
            return "not_valid"
        return self.label.lower() if self.certain else "uncertain"

    @property
    def p_pneumonia(self) -> float:
        """The probability of pneumonia, in [0, 1]."""
        return self.probabilities["Pneumonia"]

    @cached_property
    def heatmap(self) -> np.ndarray:
        """The coarse map on the picture, float32 (H, W) in [0, 1], 0 outside the box.

        Drawn when it is first asked for, like `overlay`.
        """
        return enlarge(self.coarse, self.pixels.shape, self.box)

    @cached_property
    def overlay(self) -> np.ndarray:
        """The heat map on the X-ray, a thin line around the lungs, uint8 (H, W, 3)."""
        return self._draw()

    def save_overlay(self, file: BinaryIO) -> None:
        """Write `overlay` as JPEG, without keeping it: quicker for many."""
        save_jpeg(self._draw(words=True), file)

    def _draw(self, words: bool = False) -> np.ndarray:
        around: dict[str, Any] = {"box": self.box}
        around["lungs"] = self.lungs if self.lungs_found else None
        drawn = draw_overlay(self.pixels, self.coarse, words=words, **around)
        if not self.valid:
            stamp(drawn, gates.NOT_VALID)
        return drawn


def predict(
    classifier: Classifier,
    image: bytes,
    *,
    anyway: bool = False,
    invert: bool = False,
    upright: bool = False,
    method: str = TESTED,
    read: Callable[[bytes], Picture] = read_anywhere,
) -> Prediction:
    """Answer one image.

    Args:
        classifier: from `load_classifier`.
        image: the content of an image file, as in `read_picture`.
        anyway: answer what the gate refuses, with the reason among the warnings.
        invert: exchange black and white first.
        upright: turn it first, if it lies on its side or stands on its head.
        method: one of METHODS, of the heat map that is drawn; or TESTED, the one that
            passed its test for the label.
        read: what decodes it.

    Returns:
        Label, probabilities and heat map, all from one run of the network.

    Raises:
        ImageError: the bytes are no picture that can be answered; says why, and in
            `offers` with which arguments it would be answered all the same.
        ValueError: no method has that name.
    """
    asked: dict[str, Any] = {"anyway": anyway, "invert": invert, "upright": upright}
    (found,) = predict_batch(classifier, [image], method=method, read=read, **asked)
    try:
        if isinstance(found, ImageError):
            raise found
        return found
    finally:
        del found  # its traceback would hold this frame, and the frame it


def predict_batch(
    classifier: Classifier,
    images: Sequence[bytes],
    *,
    anyway: bool = False,
    invert: bool = False,
    upright: bool = False,
    method: str = TESTED,
    read: Callable[[bytes], Picture] = read_anywhere,
) -> list[Prediction | ImageError]:
    """Answer several images in one run of the network, which is quicker for an archive.

    Args:
        classifier: from `load_classifier`.
        images: contents of image files; all are in memory, decoded, at once.
        anyway: as in `predict`.
        invert: as in `predict`.
        upright: as in `predict`.
        method: as in `predict`.
        read: as in `predict`.

    Returns:
        For each image, in order, what `predict` returns or the error that it raises.

    Raises:
        ValueError: no method has that name.
    """
    asked: dict[str, Any] = {"anyway": anyway, "invert": invert, "upright": upright}
    pictures = [picture_or_error(read, image) for image in images]
    return answer_pictures(classifier, pictures, method=method, **asked)


def picture_or_error(
    read: Callable[[Source], Picture], image: Source
) -> Picture | ImageError:
    """Return what an image holds, or the error that its reader raises."""
    try:
        return read(image)
    except ImageError as error:
        return _without_traceback(error)


def answer_pictures(
    classifier: Classifier,
    pictures: Sequence[Picture | ImageError],
    *,
    anyway: bool = False,
    invert: bool = False,
    upright: bool = False,
    method: str = TESTED,
) -> list[Prediction | ImageError]:
    """Answer pictures that are decoded already, as `predict_batch` does.

    Raises:
        ValueError: no method has that name.
    """
    if method not in (TESTED, *METHODS):
        raise ValueError(f"Heat maps are {' or '.join(METHODS)}, not {method}.")
    answers: dict[int, Prediction | ImageError] = {}
    ready: dict[int, Ready] = {}
    for at, picture in enumerate(pictures):
        if isinstance(picture, ImageError):
            answers[at] = picture
        else:
            ready[at] = as_asked(classifier, picture, invert, upright)
    if ready:
        inputs = np.concatenate(
            [to_input(one.picture.pixels) for one in ready.values()]
        )
        outputs = classifier.run(inputs)
    for number, (at, one) in enumerate(ready.items()):
        its = slice(number, number + 1)
        of_one = Outputs(*(output[its] for output in outputs))
        try:
            judged = gates.judge(classifier.gate, one.picture, inputs[its], of_one)
            if judged and judged[0] in words.REFUSALS and not anyway:
                raise gates.refuse(judged[0])
            answer = _answer(classifier, one.picture, of_one, method, judged)
            answers[at] = replace(answer, inverted=invert, turned=90 * one.turns)
        except ImageError as error:
            answers[at] = _without_traceback(error)
    return [answers[at] for at in range(len(pictures))]


class Ready(NamedTuple):
    """A picture as the network is to see it, and how often it was turned for that."""

    picture: Picture
    turns: int


def as_asked(
    classifier: Classifier, picture: Picture, invert: bool, upright: bool
) -> Ready:
    """Invert and turn a picture, where that was asked for."""
    pixels, turns = picture.pixels, 0
    if invert:
        pixels = 255 - pixels
    if upright and classifier.gate:
        turns = classifier.gate.quarter_turns(to_input(pixels))
        pixels = np.ascontiguousarray(np.rot90(pixels, turns))
    known = (
        picture.sides_known and not turns
    )  # by the looks, against what the file says
    return Ready(replace(picture, pixels=pixels, sides_known=known), turns)


def _without_traceback(error: ImageError) -> ImageError:
    """Free an error, and what it came from, of frames that hold the images."""
    link: BaseException | None = error
    while link:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


def _answer(
    classifier: Classifier,
    picture: Picture,
    outputs: Outputs,
    method: str,
    warnings: tuple[str, ...],
) -> Prediction:
    """Put what the network found in one picture into an answer; arrays are (1, ...)."""
    probabilities = classifier.probabilities(outputs.logits)[0]
    label, certain = classifier.decide(probabilities[LABELS.index("Pneumonia")])
    evidence, lungs, box = outputs.evidence[0], outputs.lungs[0], outputs.box[0]
    chosen = classifier.tested[LABELS[label]] if method == TESTED else method
    lungs_found = has_lungs(classifier, outputs, warnings)
    if chosen is None:
        coarse = np.zeros(evidence.shape, np.float32)
        inside, outside = zones.shares(coarse, lungs, box)
        place, partly = "untested", False
    else:
        coarse = by_method(outputs.maps, outputs.evidence)[chosen][0, label]
        inside, outside = zones.shares(coarse, lungs, box)
        place, partly = zones.place(inside if lungs_found else None, outside)
        if not coarse.any():
            warnings = (*warnings, "empty_heat_map")
    return Prediction(
        label=LABELS[label],
        probabilities=dict(zip(LABELS, map(float, probabilities), strict=True)),
        certain=certain,
        pixels=picture.pixels,
        coarse=coarse,
        maps=outputs.maps[0],
        evidence=evidence / np.float32(classifier.temperature),
        lungs=lungs,
        box=box,
        evidence_zones=inside,
        evidence_outside=outside,
        place=place,
        partly_outside=partly,
        method=chosen,
        sides_known=picture.sides_known,
        distance=_distance(classifier, outputs),
        lungs_found=lungs_found,
        warnings=warnings,
    )


def has_lungs(
    classifier: Classifier, outputs: Outputs, codes: tuple[str, ...] = ()
) -> bool:
    """Tell whether what the finder marked can be shown as lungs.

    Args:
        classifier: what answered.
        outputs: for one picture.
        codes: what the gate says of it.
    """
    if gates.NO_CHEST & {*codes}:
        return False
    gate = classifier.gate
    return gate is None or "no_lungs" not in gate.lungs.judge(outputs.lungs[0])


def _distance(classifier: Classifier, outputs: Outputs) -> float:
    if classifier.gate is None:
        return np.nan
    near = classifier.gate.near
    return float(near.distance(root(outputs.embedding))[0] / near.most)


def describe_map(label: str, coarse: np.ndarray, prediction: Prediction) -> str:
    """Say in one sentence where a map of an answered picture lies.

    Args:
        label: one of LABELS, which the map is of.
        coarse: float32 (8, 8) in [0, 1].
        prediction: the answer, for its lungs and its box.
    """
    inside, outside = zones.shares(coarse, prediction.lungs, prediction.box)
    found = inside if prediction.lungs_found else None
    code, partly = zones.place(found, outside)
    return words.place(code, label, partly, prediction.sides_known)


def say_place(prediction: Prediction) -> str:
    """Say in one sentence where the evidence of an answer lies."""
    return words.place(
        prediction.place,
        prediction.label,
        prediction.partly_outside,
        prediction.sides_known,
    )


def explain(warning: str, short: bool = False) -> str:
    """Say in a layman's words what the code of a warning means.

    Args:
        warning: the code, or that of a refusal.
        short: say a refusal in a few words, for a row or a heading. Others are
            sentences all the same.
    """
    if short and warning in words.REFUSED_FOR:
        return words.REFUSED_FOR[warning]
    return words.SENTENCES[warning]


def verdict(classifier: Classifier, prediction: Prediction) -> str:
    """Say a prediction in plain sentences, with the band that it rests on."""
    refused = prediction.refused_for
    return words.verdict(
        prediction.verdict,
        prediction.label,
        prediction.p_pneumonia,
        classifier.uncertain_band,
        explain(refused[0], short=True) if refused else "",
    )
