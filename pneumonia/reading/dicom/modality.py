"""What a DICOM file says that it holds: a plain radiograph or something else."""

import pydicom

from ..picture import ImageError
from . import attributes

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
_LATERAL = ("LL", "RL", "LATERAL", "LAT")


def check(dataset: pydicom.Dataset) -> tuple[str, ...]:
    """Refuse what is no plain radiograph; return codes of warnings.

    Raises:
        ImageError: the file says that it is something else, or holds no picture.
    """
    sop_class = attributes.text(dataset, "SOPClassUID")
    modality = attributes.text(dataset, "Modality") or _SOP_CLASSES.get(sop_class, "")
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
    pixels = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
    if not any(name in dataset for name in pixels):
        raise ImageError(
            "no_pixels",
            "This DICOM file holds no picture. Choose the X-ray's own file.",
        )
    view = attributes.text(dataset, "ViewPosition")
    frames = attributes.whole(dataset, "NumberOfFrames") or 1
    return (
        *(() if modality else ("unknown_modality",)),
        *(("lateral_view",) if view in _LATERAL else ()),
        *(("first_frame",) if frames > 1 else ()),
    )
