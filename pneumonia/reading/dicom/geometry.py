"""How a DICOM picture lies: square pixels, and the patient upright and not mirrored.

A chest is shown as if it faced the reader, whichever way the X-rays went through it
(PA or AP): rows run to the patient's left, columns to the feet. PatientOrientation says
where those of the file run (PS3.3 C.7.6.1.1.1).
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from .. import square
from .header import Header
from .modality import LATERAL

_AXES = {"L": "side", "R": "side", "H": "height", "F": "height"}
_AXES |= {"A": "depth", "P": "depth"}
_OTHER = dict(zip("LRHFAP", "RLFHPA", strict=True))
_FROM_THE_TUBE = {"PA": "R", "AP": "L"}  # where rows of the detector run
_FRONTAL = ("AP", "PA")


class Lie(NamedTuple):
    """How a picture is brought upright.

    Attributes:
        transposed: rows become columns first.
        mirrored: left and right are exchanged then.
        upside_down: top and bottom are exchanged then.
        sides_known: it is known which side is the patient's right after that.
        lateral: the chest is seen from the side.
    """

    transposed: bool = False
    mirrored: bool = False
    upside_down: bool = False
    sides_known: bool = False
    lateral: bool = False


def upright(
    header: Header, pixels: np.ndarray, side: int
) -> tuple[np.ndarray, bool, list[str]]:
    """Make pixels square, and put the patient upright.

    Args:
        header: of the file.
        pixels: uint8 (H, W) or (H, W, 3).
        side: a picture that is resized gets no longer side than this.

    Returns:
        The pixels, of the same dtype; whether it is known that the patient's right is
        on the left of them; and codes of warnings.
    """
    height, warnings = pixel_height(header)
    if height != 1:
        pixels = np.asarray(square.squared(Image.fromarray(pixels), height, side))
        warnings = ["not_square", *warnings]
    lie, contradicted = lie_of(header)
    if contradicted:
        warnings.append("sides_contradicted")
    if lie.lateral:
        warnings.append("lateral_view")
    if lie.transposed or lie.mirrored or lie.upside_down:
        warnings.append("turned_upright")
    if lie.transposed:
        pixels = np.swapaxes(pixels, 0, 1)
    if lie.mirrored:
        pixels = pixels[:, ::-1]
    if lie.upside_down:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels), lie.sides_known, warnings


def pixel_height(header: Header) -> tuple[float, list[str]]:
    """Return how high a pixel is for its width, 1 for square ones; and warnings.

    Where a file says it several times, the first of these counts, as in DCMTK: the
    distances of PixelSpacing, ImagerPixelSpacing and NominalScannedPixelSpacing, and
    PixelAspectRatio. Each names the height first.
    """
    found, odd = [], False
    for said in header.spacings:
        if not said:
            continue
        try:
            down, across = said
            found.append(square.height_of_pixel(1 / across, 1 / down))
        except (ValueError, ArithmeticError):
            odd = True
    if not found:
        return 1.0, ["values_assumed"] if odd else []
    if any(abs(ratio / found[0] - 1) > square.SQUARE for ratio in found):
        odd = True
    return found[0], ["values_assumed"] if odd else []


def lie_of(header: Header) -> tuple[Lie, bool]:
    """Read how the picture lies, and whether the file contradicts itself in that."""
    said = _directions(header)
    by_angles = _by_angles(header)
    if said is None:
        return Lie(), True
    if not said:
        return (_lie(*by_angles), False) if by_angles else (Lie(), False)
    lie = _lie(*said)
    view = header.view
    at_odds = (
        (bool(by_angles) and by_angles != said)
        or (lie.lateral and view in _FRONTAL)
        or (not lie.lateral and view in LATERAL)
    )
    if at_odds:  # then nothing is moved on the word of one of them
        return Lie(), True
    # a chest from the front has both sides; so one that is named is open to doubt
    one_side = header.laterality in ("L", "R")
    if not lie.lateral and (one_side or not _flip_agrees(header, lie)):
        return lie._replace(sides_known=False), True
    return lie, False


def _directions(header: Header) -> tuple[str, str] | tuple[()] | None:
    """Return where rows and columns run, by the axis each is nearest to.

    () where nothing is said; None where it makes no sense.
    """
    words = header.orientation
    if not any(words):
        return ()
    if len(words) != 2 or not all(words):
        return None
    first = [word[0] for word in words]
    for word in words:  # such as LF: at most one letter of each axis
        axes = [_AXES.get(letter) for letter in word]
        if None in axes or len(set(axes)) < len(axes):
            return None
    if _AXES[first[0]] == _AXES[first[1]]:
        return None
    if "height" not in (_AXES[first[0]], _AXES[first[1]]):  # seen from above or below
        return None
    return first[0], first[1]


def _by_angles(header: Header) -> tuple[str, str] | tuple[()] | None:
    """Return the same by ImageOrientationPatient: x to the left, y back, z up."""
    angles = header.angles
    if not angles:
        return ()
    if len(angles) != 6 or not np.isfinite(angles).all() or not np.any(angles):
        return None
    found = []
    for direction in (angles[:3], angles[3:]):
        axis = int(np.argmax(np.abs(direction)))
        found.append(("LR", "PA", "HF")[axis][int(direction[axis] < 0)])
    row, column = found
    heights = [_AXES[letter] for letter in found].count("height")
    return (row, column) if heights == 1 else None


def _lie(row: str, column: str) -> Lie:
    """Return what brings rows to the patient's left and columns to the feet.

    Seen from the side there is no such rule for rows. Then the patient is put upright
    and is not mirrored.
    """
    transposed = _AXES[row] == "height"
    if transposed:
        row, column = column, row
    lateral = _AXES[row] == "depth"
    upside_down = column == "H"
    mirrored = transposed != upside_down if lateral else row == "R"
    return Lie(transposed, mirrored, upside_down, not lateral, lateral)


def _flip_agrees(header: Header, lie: Lie) -> bool:
    """Tell whether a flip of the detector's rows, if one is said, fits the lie.

    The detector is seen from the tube (PS3.3 C.8.11.4), and the head is at its top.
    """
    if not header.flipped:
        return True
    row = _FROM_THE_TUBE.get(header.view)
    if row is None or header.turned not in (0, 180) or lie.transposed:
        return False
    if header.turned == 0:
        row = _OTHER[row]  # turned by half and flipped, it runs as before
    return (row == "R") == lie.mirrored
