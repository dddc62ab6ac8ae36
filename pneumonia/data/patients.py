"""Who is on a picture: patients by name and folder, duplicates, validation split."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

VALIDATION_SHARE = 0.10
"""Share of the patients that is held out for validation."""

_DATE = r"(?:19|20)\d\d(?:[-_.]?(?:0[1-9]|1[0-2])(?:[-_.]?(?:0[1-9]|[12]\d|3[01]))?)?"

# How public sets name the patient in a file's name. In Mendeley Data V3 the number is
# the patient (its publishers: disease, patient, image of the patient), so the same
# number is the same child whatever stands before it.
_IN_NAME = re.compile(
    r"(?<![a-z0-9])(?:"
    r"(?:bacteria|virus|pneumonia|normal)[-_ ]"
    r"(?P<number>\d{4,}(?=[-_ ]\d)|\d+(?=-\d{4}(?!\d)))"  # not a number and a size
    r"|patient\d{5,}(?=[-_ ])"  # CheXpert, its folders flattened
    r"|p1\d{7}(?=[-_ ])"  # MIMIC-CXR, likewise
    r"|sub-[a-z0-9]+(?=_)"  # BIMCV, and what else follows BIDS
    r"|(?:cxr)?\d+(?=(?:_\d+)?_im-\d)"  # Open-i: CXR1_1_IM-0001-3001
    r")"
    # Kermany et al. on Kaggle: person12_virus_34; a copy has anything in front
    r"|person\d+(?=[-_ ])"
    rf"|^(?!{_DATE}_)\d{{8}}(?=_\d)"  # ChestX-ray8: 00001280_004
    r"|^\d{30,}(?=_)",  # PadChest: a study
    re.IGNORECASE,
)
# Kermany et al.: IM-0115-0001, NORMAL2-IM-0383-0001; and what viewers call any export.
_IM = re.compile(r"(?<![a-z0-9])(?:normal2-)?im-\d+(?=-)", re.IGNORECASE)
# What is done to a patient again, or shows him in another way, and is no patient.
_TIME = (
    r"(?:visit|study|session|ses|series|exam|scan|timepoint|time|tp|day|week|month|"
    r"year)[-_ ]?\d+|baseline|follow[-_ ]?up[-_ ]?\d*|pa|ap|lat|lateral|frontal"
)
_FOLDER = re.compile(r"patient\d{5,}|p1\d{7}|sub-[a-z0-9]+", re.IGNORECASE)

_FEW = 2
"""Folders are people if each holds at most so many times as many images, on average, as
there are folders. Fewer and larger ones are batches, hospitals or parts of a set."""

_FEW_REPEATED = 10
"""The same, where the same file names stand in several of them."""


def name_of_patient(name: str) -> str | None:
    """Return the patient that a file's name carries as public sets do; None: none.

    A part of the name is enough, in upper or lower case: copies get something in front.
    """
    stem = _stem(PurePosixPath(name))
    im = _IM.search(stem)
    return _in_public_set(stem) or (im and im.group().upper())


def patients_of(names: Sequence[str]) -> np.ndarray:
    """Tell who is on each picture of a data set.

    The file's name says it, if it follows a public set. Else the folder does, where
    file names repeat from folder to folder, or folders are many and hold few images
    each: the highest one that tells people apart, dates passed over. Else every file is
    a patient of its own. The class says nothing: a folder's or file's name in both
    classes is one patient, so that no child is trained on and validated on.

    Args:
        names: paths below the class folder, with `/`: all images of the data set, since
            one name alone does not tell whether it repeats.

    Returns:
        str (n,), the patient of each.
    """
    paths = [PurePosixPath(name) for name in names]
    found = [_by_name_or_folder(path) for path in paths]
    im = [i for i, path in enumerate(paths) if not found[i] and _IM.search(path.stem)]
    # OsiriX and Horos call every patient's first picture IM-0001-0001
    if len({paths[i].parent for i in im}) <= len({paths[i].stem for i in im}):
        for i in im:
            found[i] = name_of_patient(names[i])
    inside = [i for i, who in enumerate(found) if not who and len(paths[i].parts) > 1]
    for i, folder in zip(inside, _folders([paths[i] for i in inside]), strict=True):
        found[i] = folder
    return np.array(
        [who or _stem(path) for who, path in zip(found, paths, strict=True)]
    )


def _by_name_or_folder(path: PurePosixPath) -> str | None:
    """Return whom a file, or else a folder above it, names as public sets do."""
    folders = (part.lower() for part in path.parts[:-1] if _FOLDER.fullmatch(part))
    return _in_public_set(_stem(path)) or next(folders, None)


def _in_public_set(stem: str) -> str | None:
    match = _IN_NAME.search(stem)
    return match and (match["number"] or match.group().lower())


def _stem(path: PurePosixPath) -> str:
    """Return the name without its suffix; the last number of a UID is none."""
    return path.name if path.suffix[1:].isdigit() else path.stem


def _folders(paths: list[PurePosixPath]) -> list[str | None]:
    """Return which folder is the patient of each path, None where none is."""
    folders = _without_dates([path.parts[:-1] for path in paths])
    stems = {_stem(path) for path in paths}
    if len({*folders}) < len(stems) and all(
        re.fullmatch(_TIME, part, re.IGNORECASE) for parts in folders for part in parts
    ):  # visits or views alone, which hold the same names: these are the patients
        return [None] * len(paths)
    where: dict[str, set[tuple[str, ...]]] = {}
    for path, parts in zip(paths, folders, strict=True):
        where.setdefault(_stem(path), set()).add(parts)
    repeated = sum(len(where[_stem(path)]) > 1 for path in paths)
    levels = [
        ["/".join(parts[:depth]) for parts in folders]
        for depth in range(1, 1 + max(map(len, folders), default=0))
    ]
    for few in (_FEW, _FEW_REPEATED) if 10 * repeated >= len(paths) else (_FEW,):
        for level in levels:
            count = len(set(level))
            if count > 1 and few * count**2 >= len(paths):
                return level
    return [None] * len(paths)


def _without_dates(folders: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Leave the levels away that are dates or visits, but not all of a path."""
    dates: set[int] = set()
    for level in range(max(map(len, folders), default=0)):
        parts = [parts[level] for parts in folders if len(parts) > level]
        part_of_date = r"\d\d?" if level - 1 in dates else "(?!)"
        pattern = f"{_DATE}|{part_of_date}|{_TIME}"
        if all(re.fullmatch(pattern, part, re.IGNORECASE) for part in parts):
            dates.add(level)
    kept = [
        tuple(part for level, part in enumerate(parts) if level not in dates)
        for parts in folders
    ]
    return [less or parts for less, parts in zip(kept, folders, strict=True)]


def taken_from(name: str, patient: str) -> str:
    """Say which part of an image's path was taken for the patient."""
    path = PurePosixPath(name)
    if patient == name_of_patient(path.name):
        return "a part of the file's name"
    if set(patient.lower().split("/")) <= {*str(path.parent).lower().split("/")}:
        return "a folder's name"
    return "the file's whole name"


def digests(images: np.ndarray) -> list[bytes]:
    """Return the SHA-256 of each image in an array (n, ...)."""
    return [hashlib.sha256(image.tobytes()).digest() for image in images]


def link_duplicates(patients: np.ndarray, digests: Sequence[bytes]) -> np.ndarray:
    """Give patients who share an image one group: the first patient's name."""
    leader = {patient: patient for patient in patients}

    def find(patient: str) -> str:
        while leader[patient] != patient:
            patient = leader[patient]
        return patient

    first: dict[bytes, str] = {}
    for patient, digest in zip(patients, digests, strict=True):
        one, other = find(first.setdefault(digest, patient)), find(patient)
        leader[max(one, other)] = min(one, other)
    return np.array([find(patient) for patient in patients])


def validation_mask(groups: np.ndarray, share: float = VALIDATION_SHARE) -> np.ndarray:
    """Choose the validation images by a hash of their patient's group.

    A patient stays on one side whatever else is in the folder, and no list is kept.

    Args:
        groups: (n,) names from `Dataset.groups`.
        share: expected share of the patients, in [0, 1].

    Returns:
        bool (n,), True for validation.
    """

    def fraction(group: str) -> float:
        return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) / 2**64

    return np.array([fraction(group) < share for group in groups], dtype=bool)
