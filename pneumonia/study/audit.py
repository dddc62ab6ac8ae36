"""Shortcut audit: what could be read without lungs, and what the network makes of it.

Three questions, each measured: how much of the label shows in places that hold no
disease (`shortcuts`), how far the answers move when those places change
(`interventions`), and whether the heat maps follow the network, lie on the lungs
(`map_checks`) and show what the answers rest on (`covering`).
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx

from ..contract import BUNDLE, LABELS, METHODS
from ..data import folder, regions
from ..serving.classifier import Classifier, load_classifier
from . import covering, interventions, map_checks, shortcuts

RANDOM_HEAD_IMAGES = 256
"""On how many images at most heat maps of random heads are compared."""


def audit(
    source: str | Path,
    out: str | Path,
    bundle: str | Path | None = None,
    *,
    originals: str | Path | None = None,
    against: str | Path | None = None,
    validation_only: bool = False,
) -> dict:
    """Audit a data set and a bundle for shortcuts; write `audit.json` and figures.

    What the data set alone gives away is cross-validated on all of its patients.

    Args:
        source: data-set folder or arrays, as in `folder.load`.
        out: folder for `audit.json`, `shortcuts.png` and `heat_map.png`.
        bundle: as in `load_classifier`.
        originals: folder with `NORMAL/` and `PNEUMONIA/` of original-size files, whose
            aspect ratio and size are looked at, too.
        against: another bundle, whose heat maps are compared.
        validation_only: ask the network about the patients alone that training holds
            out; for the folder that the bundle was trained on.

    Returns:
        What `audit.json` holds.

    Raises:
        folder.DataError, BundleError: source, originals or a bundle can't be used.
    """
    classifier = load_classifier(bundle)
    other = load_classifier(against) if against else None
    dataset = folder.load(source)
    asked = folder.split(dataset)[1] if validation_only else dataset
    originally = shortcuts.from_originals(originals) if originals else None

    heat_maps, mean_maps = map_checks.look(classifier, asked)
    report = {
        "bundle_sha256": classifier.sha256,
        "data": {
            "images": len(dataset.labels),
            "patients": len(set(dataset.groups)),
        },
        "asked": {
            "images": len(asked.labels),
            "patients": len(set(asked.groups)),
            "validation_only": validation_only,
        },
        "shortcuts": {
            "rows": shortcuts.from_pixels(dataset),
            "names": shortcuts.from_names(dataset),
            "originals": originally,
        },
        "interventions": interventions.intervene(classifier, asked),
        "heat_map": {
            "box": regions.LUNG_BOX,
            "box_area": regions.lung_box_area(),
            "bundle": heat_maps,
            "against": _look_at_other(other, asked) if other else None,
        },
        "hottest_covered": covering.cover_hottest(classifier, asked),
        "randomised_head": map_checks.randomised_heads(
            classifier, load_graph(bundle), _some(asked.images)
        ),
        "hirescam": _look_at_evidence(classifier, bundle, asked),
        "audited": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=2, allow_nan=False)
    (out / "audit.json").write_text(text + "\n")
    plot_shortcuts(out / "shortcuts.png", report)
    plot_maps(out / "heat_map.png", mean_maps)
    return report


def load_graph(bundle: str | Path | None = None) -> onnx.ModelProto:
    """Return the graph of a bundle that `load_classifier` has verified."""
    folder = Path(bundle or BUNDLE)
    facts = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    return onnx.load(folder / facts["weights"]["file"])


def _some(images: np.ndarray) -> np.ndarray:
    """Return at most `RANDOM_HEAD_IMAGES` of images (n, ...), always the same."""
    order = np.random.default_rng(0).permutation(len(images))
    return images[np.sort(order[:RANDOM_HEAD_IMAGES])]


def _look_at_other(other: Classifier, asked: folder.Dataset) -> dict:
    return {"bundle_sha256": other.sha256, **map_checks.look(other, asked)[0]}


def _look_at_evidence(
    classifier: Classifier, bundle: str | Path | None, asked: folder.Dataset
) -> dict | None:
    """Measure of HiResCAM what is measured of Grad-CAM; None where there is none."""
    method = METHODS[1]
    if method not in classifier.methods:
        return None
    return {
        "heat_map": map_checks.look(classifier, asked, method)[0],
        "hottest_covered": covering.cover_hottest(classifier, asked, method),
        "randomised_head": map_checks.randomised_heads(
            classifier, load_graph(bundle), _some(asked.images), method
        ),
    }


def plot_shortcuts(path: Path, report: dict) -> None:
    """Draw how well labels can be read without lungs, AUROC with intervals."""
    from matplotlib.figure import Figure

    originals = report["shortcuts"]["originals"]
    rows = report["shortcuts"]["rows"] + (originals["rows"] if originals else [])
    figure = Figure(figsize=(7, 1 + 0.32 * len(rows)), layout="constrained")
    axis = figure.subplots()
    for place, row in enumerate(reversed(rows)):
        value, (low, high) = row["auroc"]["value"], row["auroc"]["ci95"]
        axis.plot([low, high], [place, place], color="C0")
        axis.plot(value, place, "o", color="C0")
    names = [f"{row['name']}: {row['task']}" for row in reversed(rows)]
    axis.set_yticks(range(len(rows)), names)
    axis.axvline(0.5, color="grey", ls=":")
    axis.set(xlabel="AUROC of a simple classifier (0.5: chance)", xlim=(0.4, 1.01))
    axis.grid(alpha=0.3, axis="x")
    figure.savefig(path, dpi=120)


def plot_maps(path: Path, mean_maps: np.ndarray) -> None:
    """Draw the mean heat map of each label, float (2, 8, 8), with the lung box."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots(1, len(LABELS))
    box = regions.LUNG_BOX
    for axis, mean_map, label in zip(axes, mean_maps, LABELS, strict=True):
        picture = axis.imshow(
            mean_map, cmap="inferno", vmin=0, vmax=1, extent=(0, 1, 1, 0)
        )
        corner = box["left"], box["top"]
        size = box["right"] - box["left"], box["bottom"] - box["top"]
        axis.add_patch(Rectangle(corner, *size, fill=False, color="white", ls="--"))
        axis.set(title=f"truth: {label}", xticks=[], yticks=[])
    figure.colorbar(picture, ax=axes, label="mean heat map")
    figure.savefig(path, dpi=120)


def summarise(report: dict) -> str:
    """Return the audit as a few tables of plain text."""
    lines = ["AUROC of a simple classifier from what is no disease (0.5: chance)"]
    originals = report["shortcuts"]["originals"]
    for row in report["shortcuts"]["rows"] + (originals["rows"] if originals else []):
        value, (low, high) = row["auroc"]["value"], row["auroc"]["ci95"]
        lines.append(
            f"  {row['task']:<22} {row['name']:<13} {value:.3f} ({low:.3f}-{high:.3f})"
        )
    lines.append("the network's labels that change, by truth; AUROC afterwards")
    lines += [
        f"  {row['name']:<22} "
        + "  ".join(f"{label} {row[label]['labels_changed']:.1%}" for label in LABELS)
        + f"  {row['auroc']['value']:.3f}"
        for row in report["interventions"]
    ]
    heat_map = report["heat_map"]
    lines.append(
        f"heat map inside the lung box ({heat_map['box_area']:.0%} of the area)"
    )
    for name in ("bundle", "against"):
        if heat_map[name]:
            shares = [(label, heat_map[name][label]["share"]) for label in LABELS]
            lines.append(
                f"  {name:<8} "
                + "  ".join(
                    f"{label} {share['value']:.1%}" for label, share in shares if share
                )
            )
    finer = report["hirescam"]
    lines.append("log-odds lost: the map's hottest part covered; another's; elsewhere")
    for method, found in zip(METHODS, (report, finer), strict=True):
        for label in LABELS:
            if of := found and found["hottest_covered"][label]:
                lost = [
                    f"{of[key]['value']:.2f}" for key in ("own", *covering.CONTROLS)
                ]
                lines.append(f"  {method:<9} {label:<9} " + "  ".join(lost))
    head = report["randomised_head"]
    lines.append("rank correlation of the map with a random head's (1: the same)")
    lines += [
        f"  {', '.join(level['layers']):<28} {_number(level['correlation'])}"
        for level in head["levels"]
    ]
    lines.append(f"  {'another image, true head':<28} {_number(head['another_image'])}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "no map left" if value is None else f"{value:.3f}"
