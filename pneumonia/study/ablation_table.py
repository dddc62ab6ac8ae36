"""The ablation's table: the figures of its rows, and how far seeds are apart."""

import json
import shlex
from pathlib import Path

import numpy as np

from ..data import stress
from .ablation_rows import ROWS

WHAT = """\
Each row is a training of 19,200 images from the same VGG16, which knew ImageNet and
edges; `published` is longer. None has masks of the lungs or balanced looks, as what
ships has. Every figure is measured on held-out patients, as they are and under every
family of stress. The spread is that of seeds."""


def collect(out: str | Path, table: str | Path) -> dict:
    """Put the measured runs of a folder into a table, beside what it holds already.

    Args:
        out: folder of runs, `ROW-SEED/measured.json`.
        table: JSON that an earlier call returned; need not exist yet. A run that is in
            both is taken from the folder.

    Returns:
        `rows`: each with its command and the mean and spread over seeds of each figure
        (largest minus smallest; None for one seed).
    """
    runs: dict[str, dict[str, dict]] = {}
    if Path(table).exists():
        known = json.loads(Path(table).read_text())
        for row in known["rows"]:
            runs[row["name"]] = row["runs"]
    for path in sorted(Path(out).glob("*/measured.json")):
        name, _, seed = path.parent.name.rpartition("-")
        if name in ROWS:
            runs.setdefault(name, {})[seed] = json.loads(path.read_text())
    rows = [_row(name, runs[name]) for name in ROWS if name in runs]
    return {"what": WHAT, "rows": rows}


def _row(name: str, runs: dict[str, dict]) -> dict:
    measured = list(runs.values())
    figures = [key for key, value in measured[0].items() if isinstance(value, float)]
    seeds = sorted(int(seed) for seed in runs)
    words = ["python", "-m", "pneumonia", "ablate", "DIR", "--out", "RUNS"]
    words += ["--adults", "ADULTS"]
    for option in ("precision", "backbone_weights"):
        said = {one[option] for one in measured if option in one}
        if len(said) == 1:
            words += ["--" + option.replace("_", "-"), *said]
    words += ["--rows", name, "--seeds", *map(str, seeds)]
    by_family = {
        f: np.mean([m["families"][f] for m in measured]) for f in stress.FAMILIES
    }
    return {
        "name": name,
        "what": ROWS[name].what,
        "command": shlex.join(words),
        "seeds": seeds,
        "worst_family": min(by_family, key=by_family.get),
        **{key: _spread([m[key] for m in measured]) for key in figures},
        "runs": runs,
    }


def _spread(values: list[float]) -> dict:
    spread = float(np.ptp(values)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "spread": spread}


def summarise(table: dict) -> str:
    """Return the table as text, figures as mean (spread)."""
    if not table["rows"]:
        return "no row was measured yet"
    (first, *_) = table["rows"]
    figures = [k for k, v in first.items() if isinstance(v, dict) and "mean" in v]
    lines = [f"{'row':<18}{'seeds':>6}" + "".join(f"{key:>26}" for key in figures)]
    for row in table["rows"]:
        line = f"{row['name']:<18}{len(row['seeds']):>6}"
        for mean, spread in (row[key].values() for key in figures):
            text = f"{mean:.3f}" + ("" if spread is None else f" ({spread:.3f})")
            line += f"{text:>26}"
        lines.append(line)
    return "\n".join(lines)
