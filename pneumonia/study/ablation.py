"""What each step of the recipe buys: rows are trained and measured."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from ..contract import BUNDLE
from ..data import folder, stress, subgroups
from ..data.patients import validation_mask
from ..evaluation.calibrate import choose_threshold
from ..evaluation.metrics import METRICS
from ..network import vgg19
from ..training import train, weights
from ..training.devices import placed
from ..training.plan import Plan
from ..training.runs import RunError
from ..training.sampling import overlap_weights
from .ablation_rows import ALL, SHIPPED, START
from .ablation_table import collect

STRESS_COPIES = 3


def ablate(
    plan: Plan,
    rows: list[str] | tuple[str, ...] = (),
    seeds: list[int] | tuple[int, ...] = (0,),
    table: str | Path | None = None,
) -> dict:
    """Train and measure rows; what is done already is not done again.

    Args:
        plan: what all rows share. `out` holds the runs. `extra` are adults, measured
            on; rows may train on them too. `start` is the run that most rows go on
            from; None: that of the row "ablation-start", trained first if need be.
        rows: keys of `ablation_rows.ALL` to train; none: collect what there is.
        seeds: each row is trained once with each.
        table: file that the figures are added to; None: `ablation.json` in `out`.

    Returns:
        What the table holds, as in `collect`.

    Raises:
        RunError: no such row, nothing to average, or no run to go on from.
    """
    out = Path(plan.out)
    _, validation = folder.split(folder.load(plan.source))
    adults = folder.load(plan.extra)
    if unknown := [name for name in rows if name not in ALL]:
        raise RunError(f"no row {unknown[0]}; expected one of {', '.join(ALL)}")
    for name in rows:
        for seed in seeds:
            run = _train_row(plan, name, seed)
            if not (run / "measured.json").exists():
                measured = measure_run(run, validation, adults, plan.precision)
                (run / "measured.json").write_text(json.dumps(measured, indent=2))
    table = Path(table or out / "ablation.json")
    collected = collect(out, table)
    table.write_text(json.dumps(collected, indent=1) + "\n")
    return collected


def _train_row(plan: Plan, name: str, seed: int) -> Path:
    """Train a row, or go on where that was stopped; return its run's folder."""
    row, out = ALL[name], Path(plan.out)
    run = out / f"{name}-{seed}"
    if row.mean_of and not (run / "best.weights.h5").exists():
        parts = [sorted(out.glob(f"{part}-[0-9]*")) for part in row.mean_of]
        weights.average(sum(parts, []), run, row.margin)
    if row.mean_of or (run / "curves.png").exists():
        return run
    row_plan = replace(
        plan,
        out=run,
        recipe=row.recipe,
        settings=row.settings,
        start=_start(plan, name, seed),
        new_head=row.new_head,
        extra=plan.extra if row.adults else None,
        leave_out=row.leave_out,
        seed=seed,
        resume=(run / "last.weights.h5").exists(),
    )
    return train.train(row_plan)


def _start(plan: Plan, name: str, seed: int) -> str | Path | None:
    """Return the run or bundle that a row goes on from, if any."""
    start = ALL[name].start
    if start in (None, SHIPPED):
        return start and BUNDLE
    if start == START:
        return plan.start or _train_row(plan, START, 0)
    for number in (seed, 0):
        if (run := Path(plan.out) / f"{start}-{number}").exists():
            return run
    raise RunError(
        f"the row {name} goes on from {start}, of which {plan.out} has no run. Train "
        f"it first: --rows {start}"
    )


def measure_run(
    run: str | Path, validation: folder.Dataset, adults: folder.Dataset, precision: str
) -> dict:
    """Measure a run's network on held-out patients, as they are and under stress.

    Thresholds are chosen on one half of the patients and applied to the other. Of
    adults that the run trained on, only its held-out ones are measured.
    """
    images, labels, n = validation.images, validation.labels, len(validation.labels)
    if vgg19.read_facts(run).get("extra_source"):
        _, adults = folder.split(adults, train.EXTRA_HELD_OUT)
    copies = stress.mixed_copies(images, labels, STRESS_COPIES, seed=7)
    with placed("one", precision, batch_size=1):
        network = vgg19.load(run)
        clean, *views = [_margins(network, some) for some in (images, *copies)]
        of_adults = _margins(network, adults.images)
    stressed, repeated = np.concatenate(views), np.tile(np.arange(n), STRESS_COPIES)
    many, every = labels[repeated], np.ones(len(repeated))
    misled = overlap_weights(images, labels, validation.groups)[repeated]
    kinds = stress.mixed_families(n, STRESS_COPIES, seed=7)
    families = {
        name: _auroc(many[kinds == name], stressed[kinds == name])
        for name in stress.FAMILIES
    }
    half = validation_mask(validation.groups[repeated], 0.05)  # of the tenth held out
    one, other = (
        choose_threshold(many[part], stressed[part]) for part in (half, ~half)
    )
    thresholds = {
        "stress": np.where(half, other, one),
        "blind": choose_threshold(labels, clean),
    }
    return {
        "clean_auroc": _auroc(labels, clean),
        "stress_auroc": _auroc(many, stressed),
        "against_thumbnail_auroc": _auroc(many, stressed, misled),
        "worst_family": min(families, key=families.get),
        "worst_auroc": min(families.values()),
        **{
            f"{kind}_{name}": float(METRICS[name](many, stressed - at, every, 0))
            for kind, at in thresholds.items()
            for name in ("accuracy", "specificity")
        },
        "adult_auroc": _auroc(adults.labels, of_adults),
        "adults": len(of_adults),
        "precision": precision,
        "families": families,
        "groups": {
            name: _subgroup(validation, clean, name) for name in subgroups.SUBGROUPS
        },
    }


def _subgroup(validation: folder.Dataset, margins: np.ndarray, name: str) -> dict:
    """Return a subgroup's AUROC, and what share is right at the others' threshold."""
    inside, labels = subgroups.mask(validation, name), validation.labels
    chosen = subgroups.with_other_class(validation, name)
    right = margins >= choose_threshold(labels[~inside], margins[~inside])
    return {
        "images": int(inside.sum()),
        "auroc": _auroc(labels[chosen], margins[chosen]),
        "right": float((right == labels)[inside].mean()),
    }


def _auroc(labels: np.ndarray, margins: np.ndarray, shares=None) -> float:
    return float(roc_auc_score(labels, margins, sample_weight=shares))


def _margins(network: vgg19.Network, images: np.ndarray) -> np.ndarray:
    """Return by how much pneumonia's logit is above normal's, float (n,)."""
    return np.diff(vgg19.run_logits(network, folder.as_input(images)))[:, 0]
