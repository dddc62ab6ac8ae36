"""Who is on a picture: patients by name and folder, duplicates, validation split."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import numpy as np

VALIDATION_SHARE = 0.10
"""Share of the patients that is held out for validation."""

_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
# A number in a file's name that is a day, with the year first or last.
_DAY_IN_NAME = (
    rf"(?:{_YEAR}{_MONTH}{_DAY}|(?:{_MONTH}{_DAY}|{_DAY}{_MONTH}){_YEAR})(?!\d)"
)

# How public sets name the patient in a file's name; a copy has anything in front or
# behind. In Mendeley Data V3 the number is the patient (its publishers: disease,
# patient, image of the patient), so the same number is the same child whatever stands
# before it.
_IN_NAME = re.compile(
    r"(?:bacteria|virus|(?<![a-z0-9])pneumonia|(?<!ab)normal)[-_ ]"
    rf"(?!{_YEAR}(?!\d)|{_DAY_IN_NAME})(?P<number>"
    rf"\d+(?=-(?!{_YEAR}(?!\d))\d{{4}}(?!\d))"  # not a number and a size, or a month
    rf"|(?!{_YEAR}{_MONTH}(?!\d))\d{{4,}}(?=[-_ ]\d))"
    r"|(?<![a-z0-9])(?:"
    r"patient\d{5,}(?=[-_ ])"  # CheXpert, its folders flattened
    r"|p1\d{7}(?=[-_ ])"  # MIMIC-CXR, likewise
    r"|sub-[a-z0-9]+(?=_)"  # BIMCV, and what else follows BIDS
    r"|cxr\d+(?=(?:_\d+)?_im-\d)"  # Open-i: CXR1_1_IM-0001-3001
    # without CXR; 0_IM-0115-0001 is a copy of Kermany's
    r"|\d+(?=(?:_\d+)?_im-\d+-(?!000\d(?!\d)))"
    r"|\d{30,}(?=_)"  # PadChest: a study
    r")"
    r"|person\d+(?=[-_ ])"  # Kermany et al. on Kaggle: person12_virus_34
    rf"|^(?!{_DAY_IN_NAME})\d{{8}}(?=_\d)"  # ChestX-ray8: 00001280_004
    r"|(?<!\d)000[0-3]\d{4}(?=_\d{3}(?!\d))",  # its copies
    re.IGNORECASE,
)
# Kermany et al.: IM-0115-0001, NORMAL2-IM-0383-0001; and what viewers call any export.
_IM = re.compile(r"(?<![a-z0-9])(?:normal2-)?im-\d+(?=-)", re.IGNORECASE)
# Names that people choose: a word for a person, his number, a number of the picture.
_OWN = re.compile(
    rf"(?<![a-z])(patient|pat|person|subject)[-_ ]?(?!{_DAY_IN_NAME})(\d+)(?=[-_ ]\d)",
    re.IGNORECASE,
)
# Folders of days, and of what is done to a patient again or shows him in another way.
_D, _M = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])"
_NAMED_MONTH = (
    r"(?:jan|feb|mar|mär|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zé]*"
)
_FULL_DAY = (
    rf"(?:{_YEAR}(?P<a>[-_. ]?){_MONTH}(?P=a){_DAY}|{_YEAR}(?P<b>[-_. ]){_M}(?P=b){_D}"
    rf"|(?:{_DAY}{_MONTH}|{_MONTH}{_DAY}){_YEAR}"
    rf"|{_D}(?P<c>[-_. ]){_M}(?P=c)(?:{_YEAR}|\d\d)"
    rf"|{_M}(?P<d>[-_. ]){_D}(?P=d)(?:{_YEAR}|\d\d)"
    rf"|{_D}[-_. ]*{_NAMED_MONTH}[-_., ]*{_YEAR}"
    rf"|{_NAMED_MONTH}[-_. ]*{_D}[-_., ]+{_YEAR}"
    rf"|{_YEAR}[-_. ]*{_NAMED_MONTH}[-_. ]*{_D})"
    r"(?:[-_ t]*(?:[01]\d|2[0-3])[-_:.h]?[0-5]\d(?:[-_:.m]?[0-5]\d)?(?:\.\d+)?[sz]?)?"
)
_PART_OF_YEAR = (
    rf"{_YEAR}[-_. ]*(?:{_MONTH}|{_NAMED_MONTH}|(?:w|kw|q)[-_ ]?\d\d?)"
    rf"|(?:{_MONTH}[-_. ]|{_NAMED_MONTH}[-_. ]*){_YEAR}"
)
_DATE = re.compile(
    rf"(?P<day>{_FULL_DAY})|(?P<month>{_PART_OF_YEAR})|{_YEAR}", re.IGNORECASE
)
_MONTH_OR_WEEK = rf"{_M}|{_NAMED_MONTH}|{_M}[-_. ]{_NAMED_MONTH}|(?:w|kw|q)[-_ ]?\d\d?"
_VIEW = (
    r"pa|ap|lat|lateral|ll|frontal|front|erect|supine|upright|prone|standing|sitting|"
    r"lying|semi[-_ ]?(?:erect|upright)|decubitus|portable|mobile|bedside"
)
_AGAIN = (
    r"(?:visit|study|session|ses|series|exam|scan|timepoint|time|tp|day|week|month|"
    r"year)[-_ ]?\d+|[vt]0?\d|baseline|follow[-_ ]?up[-_ ]?\d*|"
    r"(?:first|second|third|fourth|last|\d(?:st|nd|rd|th))[-_ ]"
    r"(?:visit|study|exam|scan)|"
    rf"(?:{_VIEW})(?:[-_+ ]+(?:{_VIEW}|view|chest|cxr|[1-4](?!\d)))*"
)
_MONTHS = (
    "january|february|march|april|may|june|july|august|september|october|november|"
    "december"
)
_TIME = re.compile(_AGAIN, re.IGNORECASE)
# Several of these, such as V1_2020-02-01 or 2020-02-01 PA; of few characters, since a
# long name can be cut into them in too many ways to try.
_TIMES = re.compile(
    rf"(?!.{{41}})(?:(?:{_FULL_DAY}|{_PART_OF_YEAR}|{_AGAIN}|{_MONTHS}|kw[-_ ]?\d\d?|"
    r"visit|view|before|after|pre|post|admission|discharge|morning|noon|evening|night|"
    r"one|two|three)(?:[-_ ,()]+|$))+",
    re.IGNORECASE,
)
_FOLDER = re.compile(r"patient\d{5,}|p1\d{7}|sub-[a-z0-9]+", re.IGNORECASE)

_FEW = 2
"""Folders are people if each holds at most so many times as many images, on average, as
there are folders. Fewer and larger ones are batches, hospitals or parts of a set."""

_FEW_REPEATED = 10
"""The same, where the same file names stand in several of them."""


def name_of_patient(name: str) -> str | None:
    """Return the patient that a file's name carries as public sets do; None: none.

    A part of the name is enough, in upper or lower case: copies get something in front
    or behind.
    """
    stem = _stem(PurePosixPath(name))
    im, own = _IM.search(stem), _OWN.search(stem)
    return (
        _in_public_set(stem)
        or (im and im.group().upper())
        or (own and (own[1] + own[2]).lower())
    )


def patients_of(names: Sequence[str]) -> np.ndarray:
    """Tell who is on each picture of a data set.

    The file's name says it, if it follows a public set, or has a word for a person, a
    number, and a number of the picture. Else the folder does, where file names repeat
    from folder to folder, or folders are many and hold few images each: the highest one
    that tells people apart, dates, visits and views passed over. Else every file is a
    patient of its own. The class says nothing: a folder's or file's name in both
    classes is one patient, in upper or lower case, so that no child is trained on and
    validated on.

    Args:
        names: paths below the class folder, with `/`: all images of the data set, since
            one name alone does not tell whether it repeats.

    Returns:
        str (n,), the patient of each.
    """
    paths = _spelled_alike(names)
    found = [_by_name_or_folder(path) for path in paths]
    for pattern in (_IM, _OWN):
        new = [i for i, path in enumerate(paths) if not found[i]]
        new = [i for i in new if pattern.search(_stem(paths[i]))]
        # OsiriX and Horos call every patient's first picture IM-0001-0001
        if len({paths[i].parent for i in new}) <= len({_stem(paths[i]) for i in new}):
            for i in new:
                found[i] = name_of_patient(paths[i].name)
    inside = [i for i, who in enumerate(found) if not who and len(paths[i].parts) > 1]
    for i, folder in zip(inside, _folders([paths[i] for i in inside]), strict=True):
        found[i] = folder
    everybody = [who or _stem(path) for who, path in zip(found, paths, strict=True)]
    spelled = _first_spelling(everybody)
    return np.array([spelled[_folded(who)] for who in everybody])


def _folded(name: str) -> str:
    """Return what all spellings of a name share: case, accents' form, blanks around."""
    composed = unicodedata.normalize("NFC", name)
    return unicodedata.normalize("NFC", composed.casefold()).strip()


def _first_spelling(names: Iterable[str]) -> dict[str, str]:
    """Return one spelling of each folded name, whatever their order."""
    composed = {unicodedata.normalize("NFC", name).strip() for name in names}
    return {_folded(name): name for name in sorted(composed, reverse=True)}


def _spelled_alike(names: Sequence[str]) -> list[PurePosixPath]:
    """Return the paths, with folders of one name spelled alike."""
    paths = [PurePosixPath(name) for name in names]
    spelled = _first_spelling({part for path in paths for part in path.parts[:-1]})
    spelled = {folded: name or "_" for folded, name in spelled.items()}
    return [
        PurePosixPath(*(spelled[_folded(part)] for part in path.parts[:-1]), path.name)
        for path in paths
    ]


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
    whole = [path.parts[:-1] for path in paths]
    folders = _without_dates(whole)
    names = [_folded(_stem(path)) for path in paths]
    stems = set(names)
    if len({*folders}) == 1 and len({*whole}) >= len(stems):
        folders = whole  # what looked like visits is all that tells people apart
    if len({*folders}) < len(stems):
        parts = {part for parts in folders for part in parts}
        if all(map(_TIME.fullmatch, parts)) or (
            2 * len(stems) <= len(paths)
            and all(_TIMES.fullmatch(part) or _DATE.fullmatch(part) for part in parts)
        ):  # visits, views or days alone, which hold the same names: these are patients
            return [None] * len(paths)
    where: dict[str, set[tuple[str, ...]]] = {}
    for name, parts in zip(names, folders, strict=True):
        where.setdefault(name, set()).add(parts)
    repeated = sum(len(where[name]) > 1 for name in names)
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
    passed_over: set[int] = set()
    open_parts: list[str] = []  # what may follow below a year or month
    for level in range(max(map(len, folders), default=0)):
        parts = {parts[level] for parts in folders if len(parts) > level}
        dates = [_DATE.fullmatch(part) for part in parts]
        if all(dates):
            passed_over.add(level)
            open_parts = [_MONTH_OR_WEEK, _D]
            if any(date["month"] for date in dates if date):
                open_parts = [_D]
            if any(date["day"] for date in dates if date):
                open_parts = []
        elif open_parts and all(
            re.fullmatch(open_parts[0], part, re.IGNORECASE) for part in parts
        ):
            passed_over.add(level)
            del open_parts[0]
        else:
            open_parts = []
            if all(
                date or _TIMES.fullmatch(p)
                for p, date in zip(parts, dates, strict=True)
            ):
                passed_over.add(level)
    kept = [
        tuple(part for level, part in enumerate(parts) if level not in passed_over)
        for parts in folders
    ]
    return [less or parts for less, parts in zip(kept, folders, strict=True)]


def taken_from(name: str, patient: str) -> str:
    """Say which part of an image's path was taken for the patient."""
    path = PurePosixPath(name)
    if _folded(patient) == _folded(name_of_patient(path.name) or ""):
        return "a part of the file's name"
    folders = {_folded(part) for part in path.parent.parts}
    if {_folded(part) for part in patient.split("/")} <= folders:
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
