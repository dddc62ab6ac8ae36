"""Where in the lungs the evidence lies, in shares and by a code.

The lung finder's mask is split into two lungs, and each lung into thirds of its height.
HiResCAM's evidence for the answer's label is summed in each of these six zones. Its
cells are coarse, an eighth of the crop to the lungs to a side. What a cell holds counts
as spread evenly over its area, so a cell on a lung's edge lies in part outside. Of
evidence spread evenly over the whole crop, about half is outside.

Sides are named as a chest is shown: the patient's right lung is on the left of the
picture. Nobody can see from the pixels alone whether it was mirrored. So `words.place`
names the patient's sides only where the file says which is which, and else those of the
picture.
"""

import numpy as np

LUNG = 0.5
"""Probability of lung from which a pixel is lung."""

SIDES = ("right", "left")
"""The patient's, from left to right in a picture that is not mirrored."""

THIRDS = ("upper", "middle", "lower")
"""Of a lung's height, from the top."""

ZONES = tuple(f"{side} {third}" for side in SIDES for third in THIRDS)
"""The six of them, such as "right lower"."""

IN_ZONE = 1 / 2
"""Of what is within the lungs, *most* lies in a zone that holds more than this share.

Evidence that is spread evenly has a sixth in each.
"""

MOSTLY = 2 / 3
"""Likewise in one lung, and in the same third of both. And of all evidence, *most* lies
outside of the lungs if more than this share does.
"""

PARTLY = 1 / 3
"""From this share on, evidence lies *partly* outside of the lungs."""

PLACES = (
    *("untested", "no_lungs", "nowhere", "outside"),
    *ZONES,
    *(f"{third} zones" for third in THIRDS),
    *(f"{side} lung" for side in SIDES),
    "both lungs",
)
"""Codes of where evidence lies: no map is shown for it; no lungs were found; nowhere;
mostly outside of the lungs; mostly in one zone, in one third of both lungs, or in one
lung; spread over both.
"""

_SHALLOW = 0.5  # of the fullest column: two lungs have a gap between them
_TAIL = 0.01  # of a lung, above and below its thirds: specks are no lung's top


def lungs_apart(lungs: np.ndarray) -> np.ndarray:
    """Split a mask into two lungs, at its emptiest column.

    That column is looked for between the mask's left and right quarter. If even there
    half as many pixels are lung as in the fullest column, there is one lung, and the
    middle of the picture says which.

    Args:
        lungs: float32 (H, W) in [0, 1], probability of lung.

    Returns:
        bool (2, H, W), the lung on the left of the picture first.
    """
    mask = lungs >= LUNG
    sums, width = mask.sum(axis=0), mask.shape[1]
    before = np.cumsum(sums)
    first, last = np.searchsorted(before, before[-1] * np.array([0.25, 0.75]))
    inner = sums[first : last + 1]
    emptiest = first + np.flatnonzero(inner == inner.min())
    column = emptiest[len(emptiest) // 2]
    if sums[column] > _SHALLOW * sums.max():
        middle = np.searchsorted(before, before[-1] / 2)
        column = width if middle < width / 2 else 0
    on_left = np.arange(width) < column
    return np.stack([mask & on_left, mask & ~on_left])


def zones(lungs: np.ndarray) -> np.ndarray:
    """Return which zone each pixel is in.

    Args:
        lungs: float32 (H, W) in [0, 1], probability of lung.

    Returns:
        int (H, W), places in ZONES; `len(ZONES)` outside of the lungs.
    """
    found = np.full(lungs.shape, len(ZONES))
    rows = np.arange(len(lungs))[:, None]
    for side, lung in enumerate(lungs_apart(lungs)):
        above = np.cumsum(lung.sum(axis=1))
        top, bottom = np.searchsorted(above, above[-1] * np.array([_TAIL, 1 - _TAIL]))
        third = np.clip(3 * (rows - top) // (bottom + 1 - top), 0, 2)
        np.copyto(found, len(THIRDS) * side + third, where=lung)
    return found


def shares(
    evidence: np.ndarray, lungs: np.ndarray, box: np.ndarray
) -> tuple[dict[str, float], float]:
    """Sum evidence by zone.

    Args:
        evidence: float32 (h, w) over the box; what is below zero is left out.
        lungs: float32 (H, W) in [0, 1] over the picture, probability of lung.
        box: float32 (4,), top, bottom, left and right as fractions of the picture.

    Returns:
        The share of each zone and the share outside of the lungs, in [0, 1]. They sum
        to 1, or are all 0 where no evidence is above zero.
    """
    down, right = (
        _covering(cells, pixels, *ends)
        for cells, pixels, ends in zip(
            evidence.shape, lungs.shape, (box[:2], box[2:]), strict=True
        )
    )
    laid = down @ np.maximum(evidence, 0) @ right.T
    sums = np.bincount(zones(lungs).ravel(), laid.ravel(), len(ZONES) + 1)
    sums = sums / max(sums.sum(), np.finfo(np.float32).tiny)
    *inside, outside = map(float, sums)
    return dict(zip(ZONES, inside, strict=True)), outside


def _covering(cells: int, pixels: int, first: float, last: float) -> np.ndarray:
    """Return (pixels, cells): how much of each cell between two ends is in a pixel."""
    edges = np.linspace(first, last, cells + 1) * pixels
    starts = np.arange(pixels)[:, None]
    shared = np.minimum(edges[1:], starts + 1) - np.maximum(edges[:-1], starts)
    return np.maximum(shared, 0) / np.diff(edges)


def place(inside: dict[str, float] | None, outside: float) -> tuple[str, bool]:
    """Tell where the evidence lies: the first of `PLACES` from "nowhere" on that holds.

    Args:
        inside: from `shares`; None where no lungs were found.
        outside: likewise.

    Returns:
        One of PLACES; and whether a third of the evidence or more lies outside of the
        lungs, if it is not most of it.
    """
    if inside is None:
        return "no_lungs", False
    within = sum(inside.values())
    if not within + outside:
        return "nowhere", False
    if outside > MOSTLY:
        return "outside", False

    def held(part: str) -> float:
        return sum(share for zone, share in inside.items() if part in zone.split())

    partly = outside >= PARTLY
    zone = max(inside, key=inside.__getitem__)
    if inside[zone] > IN_ZONE * within:
        return zone, partly
    third = max(THIRDS, key=held)
    if held(third) > MOSTLY * within:
        return f"{third} zones", partly
    side = max(SIDES, key=held)
    if held(side) > MOSTLY * within:
        return f"{side} lung", partly
    return "both lungs", partly
