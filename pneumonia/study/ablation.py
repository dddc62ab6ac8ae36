"""Train and measure the rows of the ablation; `ablation_table` puts them together."""

import json
from pathlib import Path

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from ..contract import BUNDLE
from ..data import folder, stress, subgroups
from ..data.patients import validation_mask
from ..evaluation import calibrate
from ..evaluation.metrics import METRICS
from ..network import vgg19
from ..training import balance, train, weights
from .ablation_rows import ALL, SHIPPED
from .ablation_table import collect

STRESS_COPIES = 3
WARM_UP = "warm-up"


def ablate(
    source: str | Path,
    out: str | Path,
    *,
    adults: str | Path,
    warm_up: str | Path | None = None,
    table: str | Path | None = None,
    rows: list[str] | None = None,
    seeds: tuple[int, ...] = (0,),
    backbone_weights: str | Path = "imagenet",
    precision: str = "float32",
) -> dict:
    """Train and measure rows; what is done already is not done again.

    Args:
        source: the training data set, as in `folder.load`.
        out: folder of the runs.
        adults: a data set of adults, measured on; rows may train on it too.
        warm_up: the run that rows go on from; None: the row "warm-up" of seed 0, which
            is trained first where `out` has none.
        table: file that the figures are added to; None: `ablation.json` in `out`.
        rows: keys of `ablation_rows.ALL` to train; None: collect what there is.
        seeds: each row is trained once with each.
        backbone_weights: as in `vgg19.build`, for rows that don't use the warm-up.
        precision: as in `train.train`.

    Returns:
        What the table holds, as in `ablation_table.collect`.

    Raises:
        runs.RunError: no such row, nothing to average, or no run to go on from.
    """
    out = Path(out)
    dataset = folder.load(source)
    _, validation = folder.split(dataset)
    grown_up = folder.load(adults)
    for name in rows or ():
        if name not in ALL:
            raise train.RunError(f"no row {name}; expected one of {', '.join(ALL)}")

    options = {"backbone_weights": backbone_weights, "precision": precision}
    for name in rows or ():
        for seed in seeds:
            run = _train_row(name, seed, source, out, adults, warm_up, options)
            if not (run / "measured.json").exists():
                measured = measure_run(run, validation, grown_up, precision)
                (run / "measured.json").write_text(json.dumps(measured, indent=2))
    table = Path(table or out / "ablation.json")
    collected = collect(out, table)
    table.write_text(json.dumps(collected, indent=1) + "\n")
    return collected


def _train_row(name: str, seed: int, source, out: Path, adults, warm_up, options):
    """Train a row, or go on where that was stopped; return its run's folder."""
    row, run = ALL[name], out / f"{name}-{seed}"
    if row.mean_of and not (run / "best.weights.h5").exists():
        parts = [sorted(out.glob(f"{part}-[0-9]*")) for part in row.mean_of]
        weights.average(sum(parts, []), run, row.margin)
    if row.mean_of or (run / "curves.png").exists():
        return run
    start = None
    if row.start == WARM_UP:
        start = warm_up or _train_row(WARM_UP, 0, source, out, adults, None, options)
    elif row.start:
        start = _start(name, row.start, out, seed)
    return train.train(
        source,
        run,
        recipe=row.recipe,
        settings=row.settings,
        start=start,
        new_head=row.new_head,
        extra=adults if row.adults else None,
        leave_out=row.leave_out,
        seed=seed,
        resume=(run / "last.weights.h5").exists(),
        **options,
    )


def _start(name: str, before: str, out: Path, seed: int) -> Path:
    """Return the run of the row that a row goes on from, or what ships."""
    if before == SHIPPED:
        return BUNDLE
    for run in (out / f"{before}-{seed}", out / f"{before}-0"):
        if run.exists():
            return run
    raise train.RunError(
        f"the row {name} goes on from {before}, of which {out} has no run. Train it "
        f"first: --rows {before}"
    )


def measure_run(
    run: str | Path, validation: folder.Dataset, adults: folder.Dataset, precision: str
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
        model = vgg19.load(run)
        copies = list(
            stress.mixed_copies(
                validation.images, validation.labels, STRESS_COPIES, seed=7
            )
        )
        views = [_margins(model, images) for images in (validation.images, *copies)]
        if settings.get("extra_source"):
            _, adults = folder.split(adults, train.EXTRA_HELD_OUT)
        of_adults = _margins(model, adults.images)
    finally:
        keras.config.set_dtype_policy("float32")
    clean, stressed = views[0], np.concatenate(views[1:])
    labels = np.tile(validation.labels, STRESS_COPIES)
    patients = np.tile(validation.groups, STRESS_COPIES)
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
    half = validation_mask(patients, 0.05)  # of the tenth that is held out
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
        "stress_accuracy": float(METRICS["accuracy"](labels, shifted, once, 0)),
        "stress_specificity": float(METRICS["specificity"](labels, shifted, once, 0)),
        "blind_accuracy": float(METRICS["accuracy"](labels, stressed, once, blind)),
        "blind_specificity": float(
            METRICS["specificity"](labels, stressed, once, blind)
        ),
        "adult_auroc": float(roc_auc_score(adults.labels, of_adults)),
        "adults": len(of_adults),
        "precision": precision,
        "families": by_family,
        "groups": {
            name: _measure_group(validation, clean, name)
            for name in subgroups.SUBGROUPS
        },
    }


def _measure_group(
    validation: folder.Dataset, margins: np.ndarray, name: str
) -> dict[str, float]:
    """Return a group's AUROC, and how much of it is right at the others' threshold."""
    inside, labels = subgroups.mask(validation, name), validation.labels
    chosen = subgroups.with_other_class(validation, name)
    threshold = calibrate.choose_threshold(labels[~inside], margins[~inside])
    right = (margins[inside] >= threshold) == labels[inside]
    return {
        "images": int(inside.sum()),
        "auroc": float(roc_auc_score(labels[chosen], margins[chosen])),
        "right": float(right.mean()),
    }


def _margins(model: vgg19.Network, images: np.ndarray) -> np.ndarray:
    """Return by how much pneumonia's logit is above normal's, float (n,)."""
    logits = vgg19.run_logits(model, folder.as_input(images))
    return logits[:, 1] - logits[:, 0]
