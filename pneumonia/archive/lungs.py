"""The lungs that were found as a segmentation, pixel by pixel of the stored film."""

import highdicom as hd
import numpy as np
from PIL import Image
from pydicom.sr.codedict import codes

from ..serving.prediction import Prediction
from ..serving.zones import LUNG, SIDES, lungs_apart
from .film import Film, on_film, upright_shape
from .maker import Maker

_LATERALITY = {"right": codes.SCT.Right, "left": codes.SCT.Left}
_WAYS = (("upper", "lower"), ("left", "right"))  # of a picture, down and across


def write(maker: Maker, film: Film, answer: Prediction) -> hd.SOPClass | None:
    """Write a segment for each lung; None where none was found.

    Segments are coded right and left where the film says which is the patient's right.
    """
    if not answer.lungs_found:
        return None
    shape = upright_shape(film.shape, film.lie, answer.turned)
    apart = lungs_of(answer.lungs, shape)
    masks = on_film(apart, film.shape, film.lie, answer.turned)
    there = [at for at in range(len(SIDES)) if masks[at].any()]
    if not there:
        return None
    uid = film.facts.SOPInstanceUID
    written = hd.seg.Segmentation(
        [film.facts],
        np.moveaxis(masks[there], 0, -1)[None],
        "BINARY",
        [
            _segment(
                maker, uid, number, SIDES[at], None if answer.sides_known else seen
            )
            for number, (at, seen) in enumerate(
                zip(there, sides_seen(masks[there]), strict=True), 1
            )
        ],
        content_label="LUNGS",
        content_description="Lungs that a network found",
        **maker.identity(uid, "Lungs", 3),
    )
    space = maker.uid(uid, "dimensions")
    for item in (
        *written.DimensionOrganizationSequence,
        *written.DimensionIndexSequence,
    ):
        item.DimensionOrganizationUID = space  # highdicom's is another each time
    written.ContentCreatorName = ""  # nobody did; it may be empty, but not missing
    written.PatientOrientation = list(film.orientation) or ""
    return written


def _segment(
    maker: Maker, film: str, number: int, side: str, seen: str | None
) -> hd.seg.SegmentDescription:
    """Describe the lung of a side, or where it is seen if sides are not known."""
    label = f"lung on the {seen} side of the picture" if seen else f"{side} lung"
    segment = hd.seg.SegmentDescription(
        number,
        label.capitalize(),
        codes.SCT.AnatomicalStructure,
        codes.SCT.Lung,
        "AUTOMATIC",
        maker.in_segment(),
        tracking_uid=maker.uid(film, f"lung {number}"),
        tracking_id=label,
    )
    if not seen:
        (kind,) = segment.SegmentedPropertyTypeCodeSequence
        kind.SegmentedPropertyTypeModifierCodeSequence = [
            hd.sr.CodedConcept.from_code(_LATERALITY[side])
        ]
    return segment


def sides_seen(masks: np.ndarray) -> list[str]:
    """Return on which side of the stored film each lung is seen.

    Args:
        masks: bool (1 or 2, rows, columns), each with a lung.
    """
    centres = np.array(
        [[np.nonzero(mask)[axis].mean() for axis in (0, 1)] for mask in masks]
    )
    middle = centres.mean(axis=0) if len(masks) > 1 else np.array(masks.shape[1:]) / 2
    away = centres - middle
    axis = int(np.abs(away).sum(axis=0).argmax())
    return [_WAYS[axis][int(one[axis] > 0)] for one in away]


def lungs_of(lungs: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return which pixels of an upright picture are lung.

    Args:
        lungs: float32 (h, w) in [0, 1] over the whole picture, probability of lung.
        shape: height and width of the picture.

    Returns:
        bool (2, H, W), the lung on the left of the picture first. Between the points of
        `lungs` the probability is taken to be linear, as by `overlay.outline`.
    """
    height, width = shape
    fine = Image.fromarray(lungs).resize((width, height), Image.Resampling.BILINEAR)
    mask = np.asarray(fine) >= LUNG
    first, second = (np.flatnonzero(one.any(axis=0)) for one in lungs_apart(lungs))
    last = first[-1] + 1 if len(first) else 0
    cut = (last + (second[0] if len(second) else lungs.shape[1])) / 2
    on_left = (np.arange(width) + 0.5) / width * lungs.shape[1] < cut
    return np.stack([mask & on_left, mask & ~on_left])
