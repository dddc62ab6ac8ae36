"""Who is on a picture: patients by file name, duplicates, validation split."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

VALIDATION_SHARE = 0.10
"""Share of the patients that is held out for validation."""

# person12_virus_34, IM-0115-0001, NORMAL2-IM-0383-0001; ChestX-ray8: 00001280_004
_PATIENT = re.compile(r"person\d+(?=_)|(?:NORMAL2-)?IM-\d+(?=-)|\d{8}(?=_\d)")


def patient_of(name: str) -> str:
    """Return the patient that a file name carries; without one, the name itself."""
    stem = Path(name).stem
    match = _PATIENT.match(stem)
    return match.group() if match else stem


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
