"""The film that an answer is of: its UIDs, how it lies, and whose it is.

Here alone attributes of patient and study are read. They go from the film's file into
the answer's files, and nowhere else: no message, log or table gets one.
"""

import io
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pydicom
from highdicom import SOPClass
from pydicom import Dataset
from pydicom.uid import UID, ComputedRadiographyImageStorage

from ..reading.dicom import attributes, deflated, geometry
from ..reading.dicom import header as headers
from ..reading.dicom.geometry import Lie
from ..reading.image import is_dicom
from ..reading.picture import ImageError

_UID_FORM = re.compile(r"[0-9.]{1,64}")
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "StudyID", "StudyDate", "StudyTime"),
)
_LOSS = tuple(f"LossyImageCompression{of}" for of in ("", "Ratio", "Method"))
_PIXELS = 0x7FE00000

logging.getLogger("highdicom").setLevel(logging.CRITICAL + 1)  # it logs patients' names
_one_at_a_time = threading.Lock()  # what `quietly` changes is not made for threads


class FilmError(ValueError):
    """An answer can't be written as DICOM; says why."""


@contextmanager
def quietly() -> Iterator[None]:
    """Let values be as odd as they are in the film, and nobody complain of one."""
    with (
        _one_at_a_time,
        warnings.catch_warnings(action="ignore"),
        pydicom.config.disable_value_validation(),
    ):
        yield


@dataclass(frozen=True, eq=False)
class Film:
    """What an answer's files take from the film's file.

    Attributes:
        facts: its UIDs, size, modality and loss; its patient is left empty.
        people: attributes of patient and study, among others.
        lie: how it was brought upright.
        orientation: PatientOrientation of its rows and columns, if it makes sense.
    """

    facts: Dataset
    people: Dataset
    lie: Lie
    orientation: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, as they are stored."""
        return self.facts.Rows, self.facts.Columns

    def sign(self, answer: SOPClass) -> None:
        """Copy patient and study into a file of the answer, as the film has them."""
        answer.copy_patient_and_study_information(self.people)
        if "SpecificCharacterSet" in self.people:
            answer.SpecificCharacterSet = self.people.SpecificCharacterSet
        elif "SpecificCharacterSet" in answer:
            del answer.SpecificCharacterSet


def read(data: bytes) -> Film:
    """Read what an answer's files need; call it within `quietly`.

    Args:
        data: content of the film's file.

    Raises:
        FilmError: nothing can be written into its study; says why.
    """
    if not is_dicom(data):
        raise FilmError("the file is no DICOM, so there is no study to write into")
    try:
        data = deflated.inflated(data)
        header = headers.read(data)
        dataset = pydicom.dcmread(io.BytesIO(data), force=True, stop_before_pixels=True)
        found = {name: str(dataset.get(name) or "").strip(" \0") for name in _UIDS}
    except ImageError as error:
        raise FilmError(str(error)) from None
    except attributes.PARSE_ERRORS:  # what they say may quote the file
        raise FilmError("the DICOM file is damaged") from None
    for name, uid in found.items():
        if not _UID_FORM.fullmatch(uid):
            raise FilmError(
                f"the file has no {name} that can be referred to. Send it through an "
                "archive, which gives it one"
            )
    if not _is_standard(UID(found["SOPClassUID"])):
        raise FilmError(
            "its SOPClassUID is none of the standard's images. Send it through an "
            "archive that makes it one"
        )
    if header.frames > 1:
        raise FilmError(
            f"the file holds {header.frames} pictures, and an answer is of one film. "
            "Export that film alone"
        )
    facts = Dataset()
    for name in _EMPTY:
        setattr(facts, name, None)
    for name, uid in found.items():
        setattr(facts, name, uid)
    facts.Modality = attributes.text(dataset, "Modality") or "CR"
    facts.Rows, facts.Columns = header.rows, header.columns
    people = _readable(dataset)
    if attributes.text(dataset, "LossyImageCompression") == "01":
        for name in _LOSS:
            if name in people:
                facts.add(people[name])
    lie, contradicted = geometry.lie_of(header)
    trusted = header.orientation if lie.sides_known and not contradicted else ()
    return Film(facts, people, lie, trusted)


def _is_standard(kind: UID) -> bool:
    """Tell whether a SOP class is an image of the standard as it is today."""
    known = kind.name != kind and not kind.info and not kind.is_retired
    return known and "Image Storage" in kind.name


def _readable(dataset: Dataset) -> Dataset:
    """Return what can be read and written again, without private ones and pixels."""
    kept = Dataset()
    for tag in sorted(dataset.keys()):
        if tag.is_private or tag >= _PIXELS:
            continue
        try:
            element, alone = dataset[tag], Dataset()
            for item in element.value if element.VR == "SQ" else ():
                item.remove_private_tags()
                for _ in item.iterall():
                    pass  # to read it is to find out whether it can be read
            alone.add(element)
            alone.save_as(io.BytesIO(), implicit_vr=False, little_endian=True)
            kept.add(element)
        except attributes.PARSE_ERRORS:
            continue
    kept.SOPClassUID = ComputedRadiographyImageStorage  # by which highdicom knows them
    return kept


def on_film(
    masks: np.ndarray, shape: tuple[int, int], lie: Lie, turned: int = 0
) -> np.ndarray:
    """Lay masks of the upright picture onto the film as it is stored.

    Args:
        masks: bool (n, H, W), of the picture that was answered, in `upright_shape`.
        shape: rows and columns of the film.
        lie: how it was brought upright.
        turned: by how many degrees to the left it was turned then.

    Returns:
        bool (n, rows, columns).
    """
    stored = np.rot90(masks, -(turned // 90), axes=(1, 2))
    if lie.upside_down:
        stored = stored[:, ::-1]
    if lie.mirrored:
        stored = stored[:, :, ::-1]
    if lie.transposed:
        stored = np.swapaxes(stored, 1, 2)
    if stored.shape[1:] != shape:
        raise ValueError(f"masks of {stored.shape[1:]} on a film of {shape}")
    return np.ascontiguousarray(stored)


def upright_shape(shape: tuple[int, int], lie: Lie, turned: int = 0) -> tuple[int, int]:
    """Return height and width of a film that is brought upright, at full size."""
    swapped = lie.transposed != (turned % 180 == 90)
    return (shape[1], shape[0]) if swapped else shape
