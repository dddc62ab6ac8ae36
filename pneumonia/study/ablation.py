"""What each step of the recipe buys: rows are trained and measured."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import kept
from ..contract import BUNDLE
from ..data import folder, stress
from ..data.patients import validation_mask
from ..evaluation.calibrate import choose_threshold
from ..figures.metrics import auroc
from ..network import finder, vgg19
from ..network.finder import Framed
from ..training import train
from ..training.devices import placed
from ..training.plan import Plan
from ..training.runs import RunError
from .ablation_rows import ROWS
from .ablation_table import collect


def ablate(
    plan: Plan,
    rows: list[str] | tuple[str, ...] = (),
    seeds: list[int] | tuple[int, ...] = (0,),
    table: str | Path | None = None,
) -> dict:
    """Train and measure rows; what is done already is not done again.

    Args:
        plan: what all rows share. `out` holds the runs. `extra` are adults, measured
            on; rows may train on them too.
        rows: keys of `ablation_rows.ROWS` to train; none: collect what there is.
        seeds: each row is trained once with each.
        table: file that the figures are added to; None: `ablation.json` in `out`.

    Returns:
        What the table holds, as in `collect`.

    Raises:
        RunError: no such row.
    """
    out = Path(plan.out)
    if unknown := [name for name in rows if name not in ROWS]:
        raise RunError(f"no row {unknown[0]}; expected one of {', '.join(ROWS)}")
    views = None
    for name in rows:
        for seed in seeds:
            run = _train_row(plan, name, seed)
            if not (run / "measured.json").exists():
                views = views or Views.of(plan)
                measured = measure_run(run, views, plan.precision)
                measured["backbone_weights"] = plan.record["backbone_weights"]
                with kept.whole(run / "measured.json") as path:
                    path.write_text(json.dumps(measured, indent=2))
    table = Path(table or out / "ablation.json")
    collected = collect(out, table)
    with kept.whole(table) as path:
        path.write_text(json.dumps(collected, indent=1) + "\n")
    return collected


def _train_row(plan: Plan, name: str, seed: int) -> Path:
    """Train a row, or go on where that was stopped; return its run's folder."""
    row, run = ROWS[name], Path(plan.out) / f"{name}-{seed}"
    if (run / "curves.png").exists():
        return run
    row_plan = replace(
        plan,
        out=run,
        recipe=row.recipe,
        settings=row.settings,
        extra=plan.extra if row.adults else None,
        seed=seed,
        resume=(run / "last.weights.h5").exists(),
    )
    return train.train(row_plan)


class Views:
    """What all runs are measured on, with the lungs found: made once."""

    def __init__(self, validation: folder.Dataset, adults: folder.Dataset, finds):
        """Change the held-out images in every family of `stress.FAMILIES`."""
        self.validation, self.adults = validation, adults
        self.clean = Framed.by(finds, validation.images)
        self.of_adults = Framed.by(finds, adults.images)
        options = {"boxes": self.clean.boxes}
        self.families = {
            name: Framed.by(
                finds,
                stress.changed(validation.images, validation.labels, name, **options),
            )
            for name in stress.FAMILIES
        }

    @classmethod
    def of(cls, plan: Plan) -> "Views":
        """Make them of the patients that a plan holds out."""
        _, validation = folder.split(folder.load(plan.source))
        _, adults = folder.split(folder.load(plan.extra), train.EXTRA_HELD_OUT)
        return cls(validation, adults, finder.load(plan.finder or BUNDLE))


def measure_run(run: str | Path, views: Views, precision: str) -> dict:
    """Measure a run's network on held-out patients, as they are and under stress.

    The threshold weighs both errors alike over all views. It is chosen on one half of
    the patients, and applied to the other.
    """
    labels = views.validation.labels
    with placed("one", precision, batch_size=1):
        network = vgg19.load(run)
        clean = _margins(network, views.clean)
        families = {name: _margins(network, v) for name, v in views.families.items()}
        of_adults = _margins(network, views.of_adults)
    half = validation_mask(views.validation.groups, 0.05)  # of the tenth held out
    rows = np.stack([clean, *families.values()])

    def choose(part: np.ndarray) -> float:
        many = np.tile(labels[part], len(rows))
        return choose_threshold(many, rows[:, part].ravel())

    at = np.where(half, choose(~half), choose(half))
    ill, well = labels == 1, labels == 0
    found = {name: margins >= at for name, margins in families.items()}
    changed = {n: (f != (clean >= at))[well].mean() for n, f in found.items()}
    aurocs = {name: float(auroc(labels, margins)) for name, margins in families.items()}
    specificities = {name: 1 - f[well].mean() for name, f in found.items()}
    return {
        "clean_auroc": float(auroc(labels, clean)),
        "stress_auroc": float(np.mean(list(aurocs.values()))),
        "worst_family": min(aurocs, key=aurocs.get),
        "worst_auroc": min(aurocs.values()),
        "sensitivity": float(np.mean([f[ill].mean() for f in found.values()])),
        "specificity": float(np.mean(list(specificities.values()))),
        "worst_specificity": float(min(specificities.values())),
        "cut_specificity": float(
            min(v for n, v in specificities.items() if n.startswith(FRAMINGS))
        ),
        "cut_changed": float(max(v for n, v in changed.items() if n.startswith("cut"))),
        "adult_auroc": float(auroc(views.adults.labels, of_adults)),
        "adults": len(of_adults),
        "precision": precision,
        "families": aurocs,
        "specificities": {n: float(v) for n, v in specificities.items()},
    }


FRAMINGS = ("cut", "framed")
"""How the names of families begin that frame the lungs in another way."""


def _margins(network: vgg19.Network, framed: Framed) -> np.ndarray:
    """Return by how much pneumonia's logit is above normal's, float (n,)."""
    return np.diff(vgg19.run_logits(network, framed.shown(network)))[:, 0]
