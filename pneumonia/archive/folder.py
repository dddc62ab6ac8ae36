"""Answers as DICOM files in a folder: each film's whole or not there, none doubled."""

import os
import sys
from pathlib import Path

import highdicom as hd
import pydicom
from tqdm import tqdm

from .. import kept
from ..reading.dicom.attributes import PARSE_ERRORS
from ..reading.picture import ImageError
from ..serving.batch import output_name
from ..serving.classifier import Classifier
from ..serving.prediction import Prediction
from ..serving.rows import printable
from . import capture, film, lungs, report
from .film import FilmError
from .maker import Maker

KINDS = ("report", "heatmap", "lungs")
"""Of files, each the end of a name before `.dcm`."""


class Folder:
    """A folder that answers are written to as DICOM."""

    def __init__(self, path: Path):
        """Choose a folder.

        Args:
            path: made when the first answer is written.

        Raises:
            KeepError: nothing can be written there.
        """
        kept.check(path)
        self._path = path

    def keep(
        self,
        classifier: Classifier,
        file: tuple[Path, Path],
        data: bytes,
        answer: Prediction | ImageError,
    ) -> None:
        """Write the files of an answer, or say in a line on standard error why not.

        Args:
            classifier: that gave it.
            file: of the film, from `find_files`.
            data: its content.
            answer: to it.

        Raises:
            OSError: the folder can't be written to.
        """
        try:
            self._write(Maker(classifier), file[1], data, answer)
        except (FilmError, ImageError) as error:
            reason = str(error).rstrip(".")
            line = f"{printable(file[0])}: no DICOM is written: {reason}."
            tqdm.write(line, file=sys.stderr)

    def _write(
        self, maker: Maker, name: Path, data: bytes, answer: Prediction | ImageError
    ) -> None:
        given: Prediction | str
        if isinstance(answer, ImageError):
            if not answer.offers:  # it could not even be read
                raise answer
            given = answer.reason
        else:  # a number that means nothing is no part of a record
            given = answer if answer.valid else answer.refused_for[0]
        with film.quietly():
            of = film.read(data)
            found: dict[str, hd.SOPClass | None] = {}
            found["report"] = report.write(maker, of, given)
            if not isinstance(given, str):
                found["heatmap"] = capture.write(maker, of, given)
                found["lungs"] = lungs.write(maker, of, given)
            places = self.places(name)
            with kept.all_of(places["report"].parent) as folder:
                for kind, one in found.items():
                    if one is None:
                        continue
                    place = places[kind]
                    of.sign(one)
                    _check_free(place, one.SOPInstanceUID)
                    one.save_as(folder / place.name, enforce_file_format=True)

    def holds(self, path: Path) -> bool:
        """Tell by its name whether a file is one that is written here."""
        ends = tuple(f".{kind}.dcm" for kind in KINDS)
        written = path.name.endswith(ends)
        return written and self._path.resolve() in path.resolve().parents

    def places(self, name: Path) -> dict[str, Path]:
        """Return where the files of a film are kept, by their kind.

        Args:
            name: of the film's file, from `find_files`.
        """
        return {kind: self._path / output_name(name, f".{kind}.dcm") for kind in KINDS}


def _check_free(place: Path, uid: str) -> None:
    """Raise FilmError if a place holds anything but what was written there before."""
    if not os.path.lexists(place):
        return
    try:
        there = pydicom.dcmread(place, specific_tags=["SOPInstanceUID"])
        same = str(there.get("SOPInstanceUID")) == uid
    except PARSE_ERRORS:
        same = False
    if not same:
        raise FilmError(
            f"{printable(place)} is there already, and it is something else. Name "
            "another folder"
        )
