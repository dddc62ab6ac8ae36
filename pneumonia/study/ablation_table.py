"""What each step of the recipe buys: short trainings from one common start, measured.

Most rows go on from the same warm-up, which saw none of the changes that the rows
differ in, for the same 4,800 images. So they can be compared with each other, and not
with those from `default` on, which were trained for long, one after the other, nor with
those from `new head` on, which go on from what ships. The spread is that of seeds
alone: a warm-up trained anew, on another machine, moved the worst family's AUROC by
0.03, and the rows that went on from it by up to 0.07. A row's command trains the
warm-up first, where RUNS has none; `--backbone-weights` gives it other weights than
ImageNet's to start from.
"""

import json
import shlex
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from ..data import stress
from .ablation_rows import ALL, LEFT_OUT, ROWS, SHIPPED

RANKED = ("clean_auroc", "stress_auroc", "against_thumbnail_auroc", "worst_auroc")
LEAST_RANKED = 5  # rows; fewer say nothing of an order


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
    if name == SHIPPED:
        return False
    row = ROWS[name]
    return not row.adults and all(map(_saw_no_adults, row.mean_of or [row.start]))


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
    precisions = {one["precision"] for one in measured if "precision" in one}
    words = ["--rows", name, "--seeds", *map(str, seeds)]
    if len(precisions) == 1:
        words = ["--precision", *precisions, *words]
    return {
        "name": name,
        "what": ALL[name].what,
        "command": "python -m pneumonia ablate DIR --out RUNS --adults ADULTS "
        + shlex.join(words),
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
