"""How well the lung finder finds lungs: on held-out patients, as they are and changed.

Everything is measured at the finder's own 96 x 96 pixels against masks that people
drew. Nothing is chosen on the patients that are measured.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from .. import kept
from ..contract import BUNDLE, LABELS
from ..data import folder, lungs, stress
from ..network import finder, framing

SIDES = ("top", "bottom", "left", "right")
"""Of a box, in the order of `framing.boxes`."""

FAILED_DICE = 0.8
FAILED_SIDE = 0.1
"""A finding has failed if its Dice is below the first, or a side of its box is off by
more than the second, as a fraction of the picture's side: a crop to it would be wrong.
"""

OPAQUE = "most opaque tenth"


def evaluate_finder(
    source: str | Path,
    masks: str | Path,
    out: str | Path,
    trained: str | Path | None = None,
) -> dict:
    """Measure a finder on the patients that training holds out, and write a report.

    Args:
        source: data set, as in `folder.load`.
        masks: as in `lungs.load`; images without a mask are left out.
        out: folder for `finder.json`.
        trained: its folder, as in `finder.load`; None: the finder that ships.

    Returns:
        What `finder.json` holds: `clean` and `families`, by groups of images (`all`,
        each label, the most opaque tenth), each as in `summarise_group`.

    Raises:
        folder.DataError: the data set is missing, or too small to be split.
        lungs.LungsError: the masks are missing.
        FinderError: there is no trained finder.
    """
    kept.check(out)
    found_by = finder.load(trained)
    _, held_out = folder.split(folder.load(source))
    has_mask, true = lungs.load(masks, held_out.names)
    held_out = held_out.subset(has_mask)
    groups = group(held_out, true)
    boxes = framing.boxes(true.astype(np.float32) / 255)

    def measure(images: np.ndarray, masks: np.ndarray) -> dict:
        dice, errors = compare(finder.to_finder(masks), finder.find(found_by, images))
        return {
            name: summarise_group(dice[chosen], errors[chosen])
            for name, chosen in groups.items()
        }

    families = {}
    for name, family in stress.FAMILIES.items():
        images = stress.changed(held_out.images, held_out.labels, name, boxes=boxes)
        moved = lungs.changed(true, held_out.labels, name, boxes=boxes)
        families[name] = {
            "what": family.what,
            "mask_changes": family.moves is not None,
            **measure(images, moved),
        }
    report = {
        "n": len(true),
        "without_mask": int((~has_mask).sum()),
        "patients": len(set(held_out.groups)),
        "failed_below_dice": FAILED_DICE,
        "failed_beyond_side": FAILED_SIDE,
        "clean": measure(held_out.images, true),
        "families": families,
        "parameters": found_by.count_params(),
        "sha256": finder.digest(trained),
        "training": _record(trained),
        "source": Path(source).name,
        "masks": Path(masks).name,
        "evaluated": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with kept.all_of(out) as place:
        (place / "finder.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def _record(trained: str | Path | None) -> dict:
    """Return how the finder was trained: of a run, or as the bundle's report says."""
    if trained is not None:
        return json.loads((Path(trained) / "run.json").read_text())
    return json.loads((BUNDLE / "finder.json").read_text())["training"]


def group(held_out: folder.Dataset, masks: np.ndarray) -> dict[str, np.ndarray]:
    """Return which images each group holds, bool (n,) by its name.

    The lungs of the most opaque tenth are the brightest inside of the true mask, as the
    pictures are, whatever their exposure.

    Args:
        held_out: n images.
        masks: uint8 (n, 224, 224, 1), their masks.
    """
    inside = masks.astype(np.float32)
    totals = np.maximum(inside.sum(axis=(1, 2, 3)), 1)
    grey = (held_out.images * inside).sum(axis=(1, 2, 3)) / totals
    return {
        "all": np.ones(len(masks), bool),
        **{label: held_out.labels == i for i, label in enumerate(LABELS)},
        OPAQUE: grey >= np.quantile(grey, 0.9),
    }


def compare(true: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare masks at the threshold of one half.

    Args:
        true: float32 (n, 96, 96, 1) in [0, 1].
        found: likewise.

    Returns:
        dice: float64 (n,) in [0, 1], and
        errors: float64 (n, 4), the distances of the sides of the boxes, in the order of
        `SIDES`, as fractions of the picture's side. Each is not negative.
    """
    pair = [(lung >= 0.5).astype(np.float32) for lung in (true, found)]
    one, other = (framing.boxes(lung).astype(np.float64) for lung in (true, found))
    return np.asarray(finder.dice(*pair), np.float64), np.abs(one - other)


def summarise_group(dice: np.ndarray, errors: np.ndarray) -> dict:
    """Return the figures of a group of images.

    Args:
        dice: float (n,), as from `compare`.
        errors: float (n, 4), as from `compare`.

    Returns:
        `n`, mean `dice` and its 5th percentile `dice_p5`, `failures` (share), and
        `box_error_p95`, the 95th percentile of the error of each side.
    """
    failed = (dice < FAILED_DICE) | (errors.max(axis=1) > FAILED_SIDE)
    return {
        "n": len(dice),
        "dice": round(float(dice.mean()), 4),
        "dice_p5": round(float(np.quantile(dice, 0.05)), 4),
        "failures": round(float(failed.mean()), 4),
        "box_error_p95": {
            side: round(float(np.quantile(errors[:, i], 0.95)), 4)
            for i, side in enumerate(SIDES)
        },
    }


def summarise(report: dict) -> str:
    """Return the report as two tables in Markdown, which docs/finder.md shows."""
    lines = [
        f"| {report['n']} X-rays of {report['patients']} patients, as they are | X-rays"
        " | Dice | 5th percentile | top | bottom | left | right | failures |",
        "| --- |" + " ---: |" * 8,
    ]
    for name, row in report["clean"].items():
        sides = " | ".join(f"{100 * v:.1f} %" for v in row["box_error_p95"].values())
        lines.append(
            f"| {name} | {row['n']} | {row['dice']:.3f} | {row['dice_p5']:.3f} | "
            f"{sides} | {row['failures']:.1%} |"
        )
    names = list(report["clean"])
    lines += [
        "",
        "| family | mask changes | "
        + " | ".join(f"Dice, {name}" for name in names)
        + " | largest box error | failures | failures, "
        + f"{OPAQUE} |",
        "| --- | --- |" + " ---: |" * (len(names) + 3),
    ]
    ordered = sorted(
        report["families"].items(), key=lambda pair: pair[1]["all"]["dice"]
    )
    for name, row in ordered:
        dice = " | ".join(f"{row[group]['dice']:.3f}" for group in names)
        largest = max(row["all"]["box_error_p95"].values())
        lines.append(
            f"| {name} | {'yes' if row['mask_changes'] else 'no'} | {dice} | "
            f"{100 * largest:.1f} % | {row['all']['failures']:.1%} | "
            f"{row[OPAQUE]['failures']:.1%} |"
        )
    return "\n".join(lines)
