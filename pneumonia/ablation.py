"""What each step of the recipe buys: short trainings from one common start, measured.

Every row goes on from the same warm-up, which saw none of the changes that the rows
differ in, for the same number of images. So rows can be compared with each other, and
not with a network that was trained to the end.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from . import augment, balance, calibrate, data, network, stress, train
from .metrics import METRICS
from .patients import validation_mask

STRESS_COPIES = 3

_FAMILIES = augment.DEFAULT.split("+")


def _without(*names: str) -> str:
    kept = [name for name in _FAMILIES if name not in names]
    return "+".join(kept + ["mirror"] * ("geometry" in names))


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: how it differs from the row "ours", in words.
        settings: settings of the recipe "row" that differ, as in `recipe.adjust`.
        recipe: where it differs from "row".
        from_warm_up: False trains from VGG19's weights.
        adults: trains on the extra data set too.
    """

    what: str
    settings: dict[str, str] = field(default_factory=dict)
    recipe: str = "row"
    from_warm_up: bool = True
    adults: bool = False


ROWS = {
    "seed": Row("the published recipe: frozen base", recipe="seed", from_warm_up=False),
    "mirror": Row("no change but mirroring", {"augmentation": "mirror"}),
    "ours": Row("all families of changes"),
    "ours+transfer": Row(
        "and tone and frame of other images",
        {"augmentation": augment.DEFAULT + "+transfer"},
    ),
    "ours+adults": Row("and adults of another hospital", adults=True),
    "ours+overlap": Row(
        "images that look like the other class more often", {"overlap_weights": "true"}
    ),
    "ours-geometry": Row(
        "no crop, aspect, rotation", {"augmentation": _without("geometry")}
    ),
    "ours-tone": Row(
        "no gamma, contrast, equalisation",
        {"augmentation": _without("tone", "equalise")},
    ),
    "ours-masking": Row(
        "no covered corners and borders, no cutout",
        {"augmentation": _without("masking")},
    ),
    "ours-resolution": Row(
        "no blur, no noise", {"augmentation": _without("resolution")}
    ),
    "local contrast": Row(
        "contrast evened out in the graph", {"local_contrast": "true"}
    ),
    "mixup": Row("pairs of images mixed", {"mixup": "0.2"}),
    "no smoothing": Row("no label smoothing", {"label_smoothing": "0"}),
    "frozen4": Row("block 5 and head alone", {"frozen_blocks": "4"}),
    "frozen2": Row("blocks 3 to 5 and head", {"frozen_blocks": "2"}),
    "sgd": Row(
        "SGD with momentum instead of AdamW",
        {"optimizer": "sgd", "learning_rate": "1e-3"},
    ),
}
"""The table's rows by name."""


def ablate(
    source: str | Path,
    out: str | Path,
    *,
    warm_up: str | Path,
    adults: str | Path,
    rows: list[str] | None = None,
    seeds: tuple[int, ...] = (0,),
    backbone_weights: str | Path = "imagenet",
    precision: str = "float32",
) -> dict:
    """Train and measure rows; what is done already is not done again.

    Args:
        source: the training data set, as in `data.load`.
        out: folder of the runs, and of `ablation.json`.
        warm_up: the run that rows go on from: `train --recipe warm-up`.
        adults: a data set of adults, measured on; rows may train on it too.
        rows: keys of `ROWS`; None: those that were begun in `out`.
        seeds: each row is trained once with each.
        backbone_weights: as in `network.build`, for rows that don't use the warm-up.
        precision: as in `train.train`.

    Returns:
        What `ablation.json` holds: rows with mean and spread over their seeds.
    """
    out = Path(out)
    dataset = data.load(source)
    _, validation = data.split(dataset)
    grown_up = data.load(adults)
    for name in rows or ():
        for seed in seeds:
            run = out / f"{name}-{seed}"
            if not (run / "curves.png").exists():
                row = ROWS[name]
                train.train(
                    source,
                    run,
                    recipe=row.recipe,
                    settings=row.settings,
                    backbone_weights=backbone_weights,
                    start=warm_up if row.from_warm_up else None,
                    extra=adults if row.adults else None,
                    seed=seed,
                    precision=precision,
                    resume=(run / "last.weights.h5").exists(),
                )
            if not (run / "measured.json").exists():
                measured = measure_run(run, validation, grown_up, precision)
                (run / "measured.json").write_text(json.dumps(measured, indent=2))
    table = collect(out)
    (out / "ablation.json").write_text(json.dumps(table, indent=2) + "\n")
    return table


def measure_run(
    run: str | Path, validation: data.Dataset, adults: data.Dataset, precision: str
) -> dict:
    """Measure a run's network on held-out patients, as they are and under stress.

    Thresholds are chosen on one half of the patients and applied to the other.

    Args:
        run: folder of the run.
        validation: its held-out patients.
        adults: adults; where the run trained on them, its held-out ones alone count.
        precision: as in `train.train`.

    Returns:
        Figures by name.
    """
    settings = json.loads((Path(run) / "run.json").read_text())
    keras.config.set_dtype_policy(precision)
    try:
        model = network.load(run)
        copies = list(stress.mixed_copies(validation.images, STRESS_COPIES, seed=7))
        views = [_margins(model, images) for images in (validation.images, *copies)]
        if settings.get("extra_source"):
            _, adults = data.split(adults, train.EXTRA_HELD_OUT)
        of_adults = _margins(model, adults.images)
    finally:
        keras.config.set_dtype_policy("float32")
    clean, stressed = views[0], np.concatenate(views[1:])
    labels = np.tile(validation.labels, STRESS_COPIES)
    groups = np.tile(validation.groups, STRESS_COPIES)
    thumbnail = np.tile(
        balance.overlap_weights(
            validation.images, validation.labels, validation.groups
        ),
        STRESS_COPIES,
    )
    names = stress.mixed_families(len(clean), STRESS_COPIES, seed=7)
    by_family = {
        name: float(roc_auc_score(labels[names == name], stressed[names == name]))
        for name in stress.FAMILIES
    }
    half = validation_mask(groups, 0.05)  # of the tenth that is held out
    blind = calibrate.choose_threshold(validation.labels, clean)
    once = np.ones(len(labels))
    chosen = np.where(
        half,
        calibrate.choose_threshold(labels[~half], stressed[~half]),
        calibrate.choose_threshold(labels[half], stressed[half]),
    )
    shifted = stressed - chosen
    return {
        "clean_auroc": float(roc_auc_score(validation.labels, clean)),
        "stress_auroc": float(roc_auc_score(labels, stressed)),
        "against_thumbnail_auroc": float(
            roc_auc_score(labels, stressed, sample_weight=thumbnail)
        ),
        "worst_family": min(by_family, key=by_family.get),
        "worst_auroc": min(by_family.values()),
        "stress_accuracy": METRICS["accuracy"](labels, shifted, once, 0),
        "stress_specificity": METRICS["specificity"](labels, shifted, once, 0),
        "blind_accuracy": METRICS["accuracy"](labels, stressed, once, blind),
        "blind_specificity": METRICS["specificity"](labels, stressed, once, blind),
        "adult_auroc": float(roc_auc_score(adults.labels, of_adults)),
        "adults": len(of_adults),
        "families": by_family,
    }


def _margins(model: network.Network, images: np.ndarray) -> np.ndarray:
    """Return by how much pneumonia's logit is above normal's, float (n,)."""
    logits = network.run_logits(model, data.as_input(images))
    return logits[:, 1] - logits[:, 0]


def collect(out: str | Path) -> dict:
    """Gather the measured runs of a folder into a table.

    Returns:
        `rows`: name, what, seeds, command and each figure's mean and spread (largest
        minus smallest over seeds; None for one seed).
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(Path(out).glob("*/measured.json")):
        found.setdefault(path.parent.name.rpartition("-")[0], []).append(path.parent)
    rows = []
    for name in [*ROWS, *(found.keys() - ROWS.keys())]:
        if name not in found:
            continue
        runs = found[name]
        measured = [json.loads((run / "measured.json").read_text()) for run in runs]
        rows.append(
            {
                "name": name,
                "what": ROWS[name].what if name in ROWS else "",
                "seeds": [int(run.name.rpartition("-")[2]) for run in runs],
                "worst_family": measured[0]["worst_family"],
                **{
                    key: _spread([m[key] for m in measured])
                    for key in _figures(measured)
                },
            }
        )
    return {"what": __doc__.partition("\n\n")[2].strip(), "rows": rows}


def _figures(measured: list[dict]) -> list[str]:
    return [key for key, value in measured[0].items() if isinstance(value, float)]


def _spread(values: list[float]) -> dict:
    return {
        "mean": float(np.mean(values)),
        "spread": float(np.ptp(values)) if len(values) > 1 else None,
    }


def summarise(table: dict) -> str:
    """Return the table as text, figures as mean (spread)."""
    rows = table["rows"]
    if not rows:
        return "no row was measured yet"
    figures = [key for key, value in rows[0].items() if isinstance(value, dict)]
    lines = [f"{'row':<18}{'seeds':>6}" + "".join(f"{key:>26}" for key in figures)]
    for row in rows:
        cells = []
        for key in figures:
            mean, spread = row[key]["mean"], row[key]["spread"]
            text = f"{mean:.3f}" if spread is None else f"{mean:.3f} ({spread:.3f})"
            cells.append(f"{text:>26}")
        lines.append(f"{row['name']:<18}{len(row['seeds']):>6}" + "".join(cells))
    return "\n".join(lines)
