"""Shortcut audit: what could be read without lungs, and what the network makes of it.

It measures how much of the label shows where no disease is (`shortcuts`), how far the
answers move when that changes (`interventions`), and three things about the heat maps
(`map_checks`).
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ..contract import LABELS, METHODS
from ..data import folder, regions
from ..evaluation import plots
from ..network import vgg19
from ..serving.classifier import load_classifier
from . import interventions, map_checks, shortcuts

HEAD_IMAGES = 256  # at most, on which maps of shuffled heads are compared


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
        bundle: as in `load_classifier`; its Keras network must lie beside it.
        originals: folder with `NORMAL/` and `PNEUMONIA/` of original-size files, whose
            aspect ratio and size are looked at, too.
        against: another bundle, whose heat maps are compared.
        validation_only: ask the network about the patients alone that training holds
            out; for the folder that the bundle was trained on.

    Returns:
        What `audit.json` holds.

    Raises:
        layout.DataError, BundleError, vgg19.WeightsError: source, originals or a
            bundle can't be used.
    """
    classifier, network = load_classifier(bundle), vgg19.load(bundle)
    other = load_classifier(against) if against else None
    dataset = folder.load(source)
    asked = folder.split(dataset)[1] if validation_only else dataset
    originally = shortcuts.from_originals(originals) if originals else None
    chosen = np.random.default_rng(0).permutation(len(asked.labels))[:HEAD_IMAGES]
    inputs = folder.as_input(asked.images[np.sort(chosen)])
    feature_maps = network.features.predict(inputs, verbose=0)

    def check(method: str) -> dict:
        covered = map_checks.cover_hottest(classifier, asked, method)
        heads = map_checks.randomised_heads(classifier, network, feature_maps, method)
        return {"hottest_covered": covered, "randomised_head": heads}

    coarse, fine = METHODS
    heat_map, mean_maps = map_checks.look(classifier, asked, coarse)
    report = {
        "bundle_sha256": classifier.sha256,
        "data": _count(dataset),
        "asked": {**_count(asked), "validation_only": validation_only},
        "shortcuts": {
            "rows": shortcuts.from_pixels(dataset),
            "names": shortcuts.from_names(dataset),
            "originals": originally,
        },
        "interventions": interventions.intervene(classifier, asked),
        "heat_map": {
            "box": regions.LUNG_BOX,
            "box_area": regions.lung_box_area(),
            "bundle": heat_map,
            "against": other
            and {"bundle_sha256": other.sha256, **map_checks.look(other, asked)[0]},
        },
        **check(coarse),
        "hirescam": None,
        "audited": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if fine in classifier.methods:
        found, _ = map_checks.look(classifier, asked, fine)
        report["hirescam"] = {"heat_map": found, **check(fine)}
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    (out / "audit.json").write_text(text, encoding="utf-8")
    plots.plot_shortcuts(out / "shortcuts.png", _readable(report))
    plots.plot_maps(out / "heat_map.png", mean_maps, regions.LUNG_BOX)
    return report


def _count(dataset: folder.Dataset) -> dict[str, int]:
    return {"images": len(dataset.labels), "patients": len(set(dataset.groups))}


def _readable(report: dict) -> list[dict]:
    """Return the rows of what a simple classifier could read, all sources together."""
    originals = report["shortcuts"]["originals"]
    return report["shortcuts"]["rows"] + (originals["rows"] if originals else [])


def summarise(report: dict) -> str:
    """Return the most telling figures as plain text; `audit.json` holds all."""
    lines = ["AUROC of a simple classifier from what is no disease (0.5: chance)"]
    for row in _readable(report):
        value, interval = row["auroc"]["value"], row["auroc"]["ci95"]
        lines.append(_line(f"{row['task']}, {row['name']}", value, *interval))
    lines.append(f"share of answers that change: {', '.join(LABELS)}; AUROC afterwards")
    for row in report["interventions"]:
        changed = [row[label]["labels_changed"] for label in LABELS]
        lines.append(_line(row["name"], *changed, row["auroc"]["value"]))
    for method, found in zip(METHODS, (report, report["hirescam"]), strict=True):
        if not found:
            continue
        covered = map_checks.COVERED
        lines.append(f"{method}: log-odds lost by covering {', '.join(covered)}")
        for label in LABELS:
            if lost := found["hottest_covered"][label]:
                lines.append(_line(label, *(lost[key]["value"] for key in covered)))
        heads = found["randomised_head"]
        lines.append(f"{method}: rank correlation with a shuffled head; another image")
        whole_head = heads["levels"][-1]["correlation"]
        lines.append(_line("maps", whole_head, heads["another_image"]))
    return "\n".join(lines)


def _line(name: str, *values: float | None) -> str:
    cells = (f"{'no map' if v is None else round(v, 3):>9}" for v in values)
    return f"  {name:<35}" + "".join(cells)
