"""What each step of the recipe buys: short trainings from one common start, measured.

Most rows go on from the same warm-up, which saw none of the changes that the rows
differ in, for the same 4,800 images. So they can be compared with each other, and not
with those from `default` on, which were trained for long, one after the other. The
spread is that of seeds alone: a warm-up trained anew, on another machine, moved the
worst family's AUROC by 0.03, and the rows that went on from it by up to 0.07.
"""

import json
import shlex
from pathlib import Path

import keras
import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from . import balance, calibrate, data, groups, network, soup, stress, train
from .metrics import METRICS
from .patients import validation_mask
from .steps import ALL, LEFT_OUT, ROWS, Row

STRESS_COPIES = 3
RANKED = ("clean_auroc", "stress_auroc", "against_thumbnail_auroc", "worst_auroc")
LEAST_RANKED = 5  # rows; fewer say nothing of an order


def ablate(
    source: str | Path,
    out: str | Path,
    *,
    warm_up: str | Path,
    adults: str | Path,
    table: str | Path | None = None,
    rows: list[str] | None = None,
    seeds: tuple[int, ...] = (0,),
    backbone_weights: str | Path = "imagenet",
    precision: str = "float32",
) -> dict:
    """Train and measure rows; what is done already is not done again.

    Args:
        source: the training data set, as in `data.load`.
        out: folder of the runs.
        warm_up: the run that rows go on from: `train --recipe warm-up`.
        adults: a data set of adults, measured on; rows may train on it too.
        table: file that the figures are added to; None: `ablation.json` in `out`.
        rows: keys of `steps.ALL` to train and measure; None: collect what there is.
        seeds: each row is trained once with each.
        backbone_weights: as in `network.build`, for rows that don't use the warm-up.
        precision: as in `train.train`.

    Returns:
        What the table holds, as in `collect`.

    Raises:
        runs.RunError: no such row, or nothing to average.
    """
    out = Path(out)
    dataset = data.load(source)
    _, validation = data.split(dataset)
    grown_up = data.load(adults)
    for name in rows or ():
        if name not in ALL:
            raise train.RunError(f"no row {name}; expected one of {', '.join(ALL)}")
        row = ALL[name]
        for seed in seeds:
            run = out / f"{name}-{seed}"
            if row.mean_of:
                if not (run / "best.weights.h5").exists():
                    soup.average(sorted(out.glob(f"{row.mean_of}-[0-9]*")), run)
            elif not (run / "curves.png").exists():
                train.train(
                    source,
                    run,
                    recipe=row.recipe,
                    settings=row.settings,
                    backbone_weights=backbone_weights,
                    start=_start(row, out, warm_up, seed),
                    extra=adults if row.adults else None,
                    leave_out=row.leave_out,
                    seed=seed,
                    precision=precision,
                    resume=(run / "last.weights.h5").exists(),
                )
            if not (run / "measured.json").exists():
                measured = measure_run(run, validation, grown_up, precision)
                (run / "measured.json").write_text(json.dumps(measured, indent=2))
    table = Path(table or out / "ablation.json")
    collected = collect(out, table)
    table.write_text(json.dumps(collected, indent=1) + "\n")
    return collected


def _start(row: Row, out: Path, warm_up, seed: int) -> str | Path | None:
    """Return the run that a row goes on from."""
    if row.start in (None, "warm-up"):
        return warm_up if row.start else None
    own = out / f"{row.start}-{seed}"
    return own if own.exists() else out / f"{row.start}-0"


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
        copies = list(
            stress.mixed_copies(
                validation.images, validation.labels, STRESS_COPIES, seed=7
            )
        )
        views = [_margins(model, images) for images in (validation.images, *copies)]
        if settings.get("extra_source"):
            _, adults = data.split(adults, train.EXTRA_HELD_OUT)
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
        "stress_accuracy": METRICS["accuracy"](labels, shifted, once, 0),
        "stress_specificity": METRICS["specificity"](labels, shifted, once, 0),
        "blind_accuracy": METRICS["accuracy"](labels, stressed, once, blind),
        "blind_specificity": METRICS["specificity"](labels, stressed, once, blind),
        "adult_auroc": float(roc_auc_score(adults.labels, of_adults)),
        "adults": len(of_adults),
        "families": by_family,
        "groups": {
            name: _measure_group(validation, clean, name) for name in groups.GROUPS
        },
    }


def _measure_group(
    validation: data.Dataset, margins: np.ndarray, name: str
) -> dict[str, float]:
    """Return a group's AUROC, and how much of it is right at the others' threshold."""
    inside, labels = groups.mask(validation, name), validation.labels
    chosen = groups.with_other_class(validation, name)
    threshold = calibrate.choose_threshold(labels[~inside], margins[~inside])
    right = (margins[inside] >= threshold) == labels[inside]
    return {
        "images": int(inside.sum()),
        "auroc": float(roc_auc_score(labels[chosen], margins[chosen])),
        "right": float(right.mean()),
    }


def _margins(model: network.Network, images: np.ndarray) -> np.ndarray:
    """Return by how much pneumonia's logit is above normal's, float (n,)."""
    logits = network.run_logits(model, data.as_input(images))
    return logits[:, 1] - logits[:, 0]


def collect(out: str | Path, table: str | Path) -> dict:
    """Put the measured runs of a folder into a table, beside what it holds already.

    Args:
        out: folder of runs, `ROW-SEED/measured.json`.
        table: a table that `collect` returned, as JSON; need not exist yet. A run that
            is in both is taken from the folder.

    Returns:
        `rows`: name, what, command, each seed's figures under `runs`, and for each
        figure its mean and spread (largest minus smallest over seeds; None for one).
        `left_out`: the like, with the group, and its figures where it was seen and
        where not. `ranking`: for each figure on children its rank correlation with the
        AUROC on adults, over the rows that saw none.
    """
    runs: dict[str, dict[str, dict]] = {}
    if Path(table).exists():
        known = json.loads(Path(table).read_text())
        for row in [*known["rows"], *known.get("left_out", ())]:
            runs[row["name"]] = row["runs"]
    for path in sorted(Path(out).glob("*/measured.json")):
        name, _, seed = path.parent.name.rpartition("-")
        if name in ALL:
            runs.setdefault(name, {})[seed] = json.loads(path.read_text())
    rows = [_describe(name, runs[name]) for name in ROWS if name in runs]
    return {
        "what": __doc__.partition("\n\n")[2].strip(),
        "rows": rows,
        "ranking": _rank([row for row in rows if _saw_no_adults(row["name"])]),
        "left_out": [
            {
                "group": row.leave_out,
                **_describe(name, runs[name]),
                "seen": _group_spread(runs.get(row.recipe, {}), row.leave_out),
                "unseen": _group_spread(runs[name], row.leave_out),
            }
            for name, row in LEFT_OUT.items()
            if name in runs
        ],
    }


def _saw_no_adults(name: str | None) -> bool:
    """Tell whether neither a row nor what it goes on from saw adults."""
    if name is None:
        return True
    row = ROWS[name]
    return not row.adults and _saw_no_adults(row.mean_of or row.start)


def _rank(rows: list[dict]) -> dict:
    """Return how figures on children order rows as adults do (Spearman)."""
    if len(rows) < LEAST_RANKED:
        return {}
    truth = [row["adult_auroc"]["mean"] for row in rows]
    return {
        "rows": len(rows),
        "adult_auroc": [min(truth), max(truth)],
        "figures": {
            key: float(spearmanr([row[key]["mean"] for row in rows], truth).statistic)
            for key in RANKED
        },
    }


def _group_spread(runs: dict[str, dict], group: str) -> dict:
    """Return mean and spread of a group's figures over seeds."""
    found = [run["groups"][group] for run in runs.values() if "groups" in run]
    return {key: _spread([one[key] for one in found]) for key in (found or [{}])[0]}


def _describe(name: str, runs: dict[str, dict]) -> dict:
    measured = list(runs.values())
    figures = [key for key, value in measured[0].items() if isinstance(value, float)]
    seeds = sorted(int(seed) for seed in runs)
    chosen = shlex.join(["--rows", name, "--seeds", *map(str, seeds)])
    return {
        "name": name,
        "what": ALL[name].what,
        "command": "python -m pneumonia ablate DIR --out RUNS --from-run WARM-UP "
        f"--adults ADULTS {chosen}",
        "seeds": seeds,
        "worst_family": min(
            stress.FAMILIES,
            key=lambda family: np.mean([m["families"][family] for m in measured]),
        ),
        **{key: _spread([m[key] for m in measured]) for key in figures},
        "runs": runs,
    }


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
    figures = [
        key
        for key, value in rows[0].items()
        if isinstance(value, dict) and "mean" in value
    ]
    lines = [f"{'row':<18}{'seeds':>6}" + "".join(f"{key:>26}" for key in figures)]
    for row in rows:
        cells = []
        for key in figures:
            mean, spread = row[key]["mean"], row[key]["spread"]
            text = f"{mean:.3f}" if spread is None else f"{mean:.3f} ({spread:.3f})"
            cells.append(f"{text:>26}")
        lines.append(f"{row['name']:<18}{len(row['seeds']):>6}" + "".join(cells))
    return "\n".join(lines)
