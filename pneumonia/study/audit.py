"""Shortcut audit: what could be read without lungs, and what the network makes of it.

It measures how much of the label shows where no disease is (`shortcuts`), how far the
answers move when that changes (`interventions`), and three things about the heat maps
(`map_checks`).
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from .. import kept
from ..contract import IMAGE_SIZE, LABELS
from ..data import folder
from ..data import lungs as masks_of
from ..evaluation import evaluate, plots
from ..network import framing, vgg19
from ..outputs import in_batches
from ..serving.classifier import Classifier, load_classifier
from . import interventions, map_checks, shortcuts

MAP_IMAGES = 256  # at most, whose maps are covered, and compared with shuffled heads


def audit(
    source: str | Path,
    out: str | Path,
    bundle: str | Path | None = None,
    *,
    originals: str | Path | None = None,
    masks: str | Path | None = None,
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
        masks: of the lungs, as in `lungs.load`. Heat maps are compared with them; with
            what the finder found where there is none.
        against: another bundle, whose heat maps are compared.
        validation_only: ask the network about the patients alone that training holds
            out; for the folder that the bundle was trained on.

    Returns:
        What `audit.json` holds.

    Raises:
        layout.DataError, lungs.LungsError, BundleError, vgg19.WeightsError: source,
            originals, masks or a bundle can't be used.
    """
    kept.check(out)
    classifier, network = load_classifier(bundle), vgg19.load(bundle)
    dataset = folder.load(source)
    boxes = evaluate.find_boxes(bundle, dataset.images)
    asked = folder.split(dataset)[1] if validation_only else dataset
    answers = map_checks.Answers.to(asked, classifier)
    drawn, lungs = _lungs(answers, masks)
    shown = framing.crop(asked.inputs(), answers.outputs.box)
    if network.masked:
        mask = framing.crop(answers.outputs.lungs[..., None], answers.outputs.box)
        shown = np.concatenate([shown, mask], axis=-1)
    chosen = np.sort(np.random.default_rng(0).permutation(len(shown))[:MAP_IMAGES])
    some, shown = answers.subset(chosen), shown[chosen]
    feature_maps = network.features.predict(shown, verbose=0)
    ask = behind_the_crop(classifier)

    def check(method: str) -> tuple[dict, dict, np.ndarray]:
        found, mean_maps = map_checks.look(answers, method, lungs)
        covered = map_checks.cover_hottest(some, shown, ask, method)
        heads = map_checks.randomised_heads(classifier, network, feature_maps, method)
        return found, {"hottest_covered": covered, "randomised_head": heads}, mean_maps

    coarse, of_coarse, mean_maps = check("Grad-CAM")
    fine, of_fine, _ = check("HiResCAM")
    report = {
        "bundle_sha256": classifier.sha256,
        "data": _count(dataset),
        "asked": {**_count(asked), "validation_only": validation_only},
        "shortcuts": {
            "rows": [
                *shortcuts.from_boxes(dataset, boxes),
                *shortcuts.from_pixels(dataset, _crops(dataset.images, boxes)),
            ],
            "names": shortcuts.from_names(dataset),
            "originals": shortcuts.from_originals(originals) if originals else None,
        },
        "interventions": interventions.intervene(
            classifier, asked, boxes[np.isin(dataset.names, asked.names)]
        ),
        "heat_map": {
            "masks_drawn": drawn,
            "bundle": coarse,
            "against": against and _look_at(against, asked, lungs),
        },
        **of_coarse,
        "hirescam": {"heat_map": fine, **of_fine},
        "audited": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    with kept.all_of(out) as place:
        (place / "audit.json").write_text(text, encoding="utf-8")
        plots.plot_shortcuts(place / "shortcuts.png", _readable(report))
        plots.plot_maps(place / "heat_map.png", mean_maps, _BOX_IN_CROP)
    return report


_RIM = framing.ROOM / (1 + 2 * framing.ROOM)
_BOX_IN_CROP = {"top": _RIM, "bottom": 1 - _RIM, "left": _RIM, "right": 1 - _RIM}
"""Where the lungs' box lies in a crop to it."""


def _lungs(answers: map_checks.Answers, masks) -> tuple[int, np.ndarray]:
    """Return how many masks people drew, and float32 (n, 96, 96): these, or found."""
    lungs = answers.outputs.lungs.copy()
    if masks is None:
        return 0, lungs
    there, drawn = masks_of.load(masks, answers.dataset.names, lungs.shape[1])
    lungs[there] = drawn[..., 0] / np.float32(255)
    return int(there.sum()), lungs


def behind_the_crop(classifier: Classifier) -> map_checks.Ask:
    """Return the part of a bundle's graph that answers what it is shown.

    Args:
        classifier: from `load_classifier`.
    """
    graph = onnx.load(classifier.folder / classifier.facts["weights"]["file"])
    masked = classifier.facts["network"].get("masked", False)
    (evidence,) = (o for o in graph.graph.output if o.name == "evidence")
    cells = evidence.type.tensor_type.shape.dim[-1].dim_value
    channels = {"crop": IMAGE_SIZE} | ({"lung_cells": cells} if masked else {})
    for name, side in channels.items():
        shape = ["n", 1, side, side]
        kind = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        graph.graph.value_info.append(kind)
    part = onnx.utils.Extractor(graph).extract_model(list(channels), ["logits"])
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        part.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def run(planes: np.ndarray) -> list[np.ndarray]:
        fed = {}
        for (name, side), plane in zip(
            channels.items(), np.split(planes, len(channels), axis=1), strict=True
        ):
            each = IMAGE_SIZE // side
            squares = plane.reshape(-1, 1, side, each, side, each)
            fed[name] = squares.mean(axis=(3, 5))
        return session.run(["logits"], fed)

    def ask(images: np.ndarray) -> np.ndarray:
        planes = np.moveaxis(images, -1, 1)  # (n, 1 or 2, 128, 128)
        return in_batches(run, planes)[0]

    return ask


def _crops(images: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Crop stored images to their lungs, uint8 (n, 128, 128, 1)."""
    places = framing.around(boxes)
    starts = range(0, len(images), 64)  # all at once would take gigabytes
    parts = (
        framing.crop(folder.as_input(images[i : i + 64]), places[i : i + 64])
        for i in starts
    )
    return np.concatenate([np.rint(255 * part).astype(np.uint8) for part in parts])


def _look_at(bundle: str | Path, asked: folder.Dataset, lungs: np.ndarray) -> dict:
    """Return where the maps of another bundle lie."""
    other = load_classifier(bundle)
    answers = map_checks.Answers.to(asked, other)
    found, _ = map_checks.look(answers, "Grad-CAM", lungs)
    return {"bundle_sha256": other.sha256, **found}


def _count(dataset: folder.Dataset) -> dict[str, int]:
    return {"images": len(dataset.labels), "patients": len(set(dataset.groups))}


def _readable(report: dict) -> list[dict]:
    """Return the rows of what a simple classifier could read, all sources together."""
    originals = report["shortcuts"]["originals"]
    rows = report["shortcuts"]["rows"] + (originals["rows"] if originals else [])
    cropped = [
        {**row, "name": f"{row['name']} in the crop", "auroc": row["auroc_cropped"]}
        for row in rows
        if row.get("auroc_cropped")
    ]
    return rows + cropped


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
    for method, found in (("Grad-CAM", report), ("HiResCAM", report["hirescam"])):
        lies = found["heat_map"].get("bundle", found["heat_map"])
        lines.append(f"{method}: share of the map on the lungs; of an even map")
        for label in LABELS:
            shares = lies[label]["share"], lies[label]["even"]
            lines.append(_line(label, *(share and share["value"] for share in shares)))
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
    return f"  {name:<42}" + "".join(cells)
