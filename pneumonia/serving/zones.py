"""Where in the lungs the evidence lies, in shares and in words.

The lung finder's mask is split into two lungs, and each lung into thirds of its height.
HiResCAM's evidence for the answer's label is summed in each of these six zones. Its
cells are coarse, an eighth of the crop to the lungs to a side. What a cell holds counts
as spread evenly over its area, so a cell on a lung's edge lies in part outside. Of
evidence spread evenly over the whole crop, about half is outside.

Sides are named as a chest is shown: the patient's right lung is on the left of the
picture. Nobody can see from the pixels alone whether it was mirrored. So the sentence
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

NO_LUNGS = "No lungs were found, so no place in them is named."
"""Said in place of the sentence on a map, where there are none to name a place in."""

UNTESTED = (
    "No heat map is drawn: neither method's maps of {label} passed their test, which "
    "blurs their hottest places."
)
"""Said in place of the sentence on a map, where there is none to show."""

_SHALLOW = 0.5  # of the fullest column: two lungs have a gap between them
_TAIL = 0.01  # of a lung, above and below its thirds: specks are no lung's top
_SEEN = dict(zip(SIDES, ("left", "right"), strict=True))


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
    sums /= max(sums.sum(), np.finfo(np.float32).tiny)
    *inside, outside = map(float, sums)
    return dict(zip(ZONES, inside, strict=True)), outside


def _covering(cells: int, pixels: int, first: float, last: float) -> np.ndarray:
    """Return (pixels, cells): how much of each cell between two ends is in a pixel."""
    edges = np.linspace(first, last, cells + 1) * pixels
    starts = np.arange(pixels)[:, None]
    shared = np.minimum(edges[1:], starts + 1) - np.maximum(edges[:-1], starts)
    return np.maximum(shared, 0) / np.diff(edges)


def describe(
    label: str, inside: dict[str, float] | None, outside: float, sides_known: bool
) -> str:
    """Say in one sentence where the evidence lies: the first of these that holds.

    Nowhere; mostly outside of the lungs; mostly in one zone; mostly in one third of
    both lungs; mostly in one lung; spread over both. The last four say if a third of
    it or more is outside.

    Args:
        label: that the evidence speaks for.
        inside: from `shares`; None where no lungs were found.
        outside: likewise.
        sides_known: whether sides are the patient's.
    """
    if inside is None:
        return NO_LUNGS
    within = sum(inside.values())
    if not within + outside:
        return f"No place speaks for {label}."
    begin = f"The evidence for {label}"
    if outside > MOSTLY:
        return f"{begin} lies mostly outside of what was found as lungs."
    if outside >= PARTLY:
        begin += " lies partly outside of what was found as lungs. Within, it"

    def held(part: str) -> float:
        return sum(share for zone, share in inside.items() if part in zone.split())

    zone = max(inside, key=inside.get)
    if inside[zone] > IN_ZONE * within:
        side, third = zone.split()
        if sides_known:
            return f"{begin} lies mostly in the {zone} zone {_seen(side)}."
        return f"{begin} lies mostly in the {third} zone of the lung {_shown(side)}."
    third = max(THIRDS, key=held)
    if held(third) > MOSTLY * within:
        return f"{begin} lies mostly in the {third} zones of both lungs."
    side = max(SIDES, key=held)
    if held(side) > MOSTLY * within:
        if sides_known:
            return f"{begin} lies mostly in the {side} lung {_seen(side)}."
        return f"{begin} lies mostly in the lung {_shown(side)}."
    return f"{begin} is spread over both lungs."


def _seen(side: str) -> str:
    return f"(the patient's {side}, {_SEEN[side]} in the picture)"


def _shown(side: str) -> str:
    return f"that is {_SEEN[side]} in the picture"
