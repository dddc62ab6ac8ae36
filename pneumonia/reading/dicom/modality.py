"""What a DICOM file says that it holds: a plain radiograph or something else."""

from ..picture import ImageError

PLAIN_RADIOGRAPHS = ("CR", "DX", "RG")
"""Modalities that are read; every other is refused by its name."""

_OTHERS = {
    "CT": "computed tomography",
    "MR": "magnetic resonance",
    "US": "ultrasound",
    "NM": "nuclear medicine",
    "PT": "positron emission tomography",
    "MG": "mammography",
    "RF": "fluoroscopy",
    "XA": "angiography",
    "PX": "a panoramic dental X-ray",
    "IO": "a dental X-ray",
    "BMD": "bone densitometry",
    "SC": "a secondary capture",
    "OT": "an unspecified kind of image",
    "ES": "endoscopy",
    "XC": "a photograph",
    "GM": "microscopy",
    "SM": "slide microscopy",
    "OP": "a photograph of an eye",
    "ECG": "an electrocardiogram",
    "SR": "a report",
    "DOC": "a document",
    "PR": "a presentation state",
    "SEG": "a segmentation",
    "RTDOSE": "a radiotherapy dose",
    "RTPLAN": "a radiotherapy plan",
    "RTSTRUCT": "a radiotherapy structure set",
    "RTIMAGE": "a radiotherapy image",
}
_SOP_CLASSES = {  # where the modality is not said
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "DX",
}
_SPELLED = {"DR": "DX"}  # modalities that others write otherwise
_HINT = " If it is a plain chest X-ray all the same, export it as PNG from its viewer."
LATERAL = ("LL", "RL", "LATERAL", "LAT")
"""View positions of a chest that is seen from the side."""


def judge(sop_class: str, modality: str) -> str:
    """Return the modality of a plain radiograph; empty where the file says none.

    Args:
        sop_class: as the file says it.
        modality: likewise.

    Raises:
        ImageError: the file says that it is something else.
    """
    modality = modality or _SOP_CLASSES.get(sop_class, "")
    modality = _SPELLED.get(modality, modality)
    if modality and modality not in PLAIN_RADIOGRAPHS:
        name = (
            f"{_OTHERS[modality]} (modality {modality})"
            if modality in _OTHERS
            else "another modality"  # a free text that is not repeated
        )
        raise ImageError(
            "modality",
            f"This DICOM file holds {name}, not a plain X-ray. "
            f"Expected modality {', '.join(PLAIN_RADIOGRAPHS[:-1])} or "
            f"{PLAIN_RADIOGRAPHS[-1]}.{_HINT if modality in ('OT', 'SC') else ''}",
        )
    return modality
