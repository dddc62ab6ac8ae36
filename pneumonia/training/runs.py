"""A run's folder: what it keeps, so that it can be repeated, resumed and looked at."""

import csv
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from .plan import Plan
from .recipe import Recipe


class RunError(RuntimeError):
    """The run's folder is not what the command needs; says what to do."""


def check_folder(out: Path, resume: bool) -> None:
    """Raise RunError unless `out` holds a run to resume, or none to spoil."""
    begun = (out / "last.weights.h5").exists()
    if resume and not begun:
        raise RunError(f"{out} holds no run to resume. Start it without --resume.")
    if begun and not resume:
        raise RunError(
            f"{out} holds a run already. Go on with --resume, or choose another --out."
        )


def recipe_of(record: dict, out: Path) -> Recipe:
    """Return the recipe of a run to resume.

    Raises:
        RunError: it was begun by a version whose settings were others.
    """
    try:
        return Recipe(**record["settings"])
    except TypeError as error:
        raise RunError(
            f"{out} was begun by another version of this project ({error}). Resume it "
            f"with that version, or go on from its best epoch: --from-run {out}"
        ) from error


def read_history(out: str | Path) -> list[dict]:
    """Return one dict of floats per epoch of the run in `out`."""
    with (Path(out) / "history.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def begin(plan: Plan) -> dict:
    """Return what `run.json` says of how a run that begins now can be repeated."""
    return plan.record | {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    backend = keras.backend.backend()
    names = ("keras", "numpy", "pillow", backend)
    return {
        "python": sys.version.split()[0],
        "backend": backend,
        **{name: version(name) for name in names},
    }


def plot_history(out: str | Path) -> None:
    """Draw loss, accuracy and AUROC of the run in `out` into `curves.png`."""
    from matplotlib.figure import Figure

    history = read_history(out)
    epochs = np.arange(1, len(history) + 1)
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    for axis, name in zip(
        figure.subplots(1, 3), ("loss", "accuracy", "auroc"), strict=True
    ):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            axis.plot(epochs, [row[key] for row in history], label=label)
        axis.set(xlabel="epoch", title={"auroc": "AUROC"}.get(name, name))
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(Path(out) / "curves.png", dpi=120)
