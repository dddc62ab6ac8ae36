"""A run's folder: what it keeps, so that it can be repeated, resumed and looked at."""

import csv
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np


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


def read_history(out: str | Path) -> list[dict]:
    """Return one dict of floats per epoch of the run in `out`."""
    with (Path(out) / "history.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def describe(
    source: str | Path,
    out: Path,
    *,
    recipe: str,
    settings: dict[str, str],
    backbone_weights: str | Path | None,
    start: str | Path | None,
    new_head: bool,
    extra: str | Path | None,
    leave_out: str | None,
    seed: int,
    precision: str,
    devices: str = "one",
) -> dict:
    """Describe a run that begins now; the arguments are those of `train.train`.

    Returns:
        What `run.json` says of how the run can be repeated: `command` as it was given,
        `repeat` without this machine's paths, and the parts of both.
    """
    options = {
        "--recipe": recipe,
        "--from-run": start,
        "--new-head": new_head or None,
        "--backbone-weights": None if start else backbone_weights or "random",
        "--extra": extra,
        "--leave-out": leave_out,
        "--seed": seed,
        "--precision": precision,
        "--devices": None if devices == "one" else devices,
    }
    return {
        "command": _command(source, out, options, settings),
        "repeat": _command("DIR", "RUN", _nameless(options), settings),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "source": str(source),
        "recipe": recipe,
        "backbone_weights": None if start else Path(str(backbone_weights)).name,
        "started_from": None if start is None else Path(start).name,
        "extra_source": None if extra is None else str(extra),
        "new_head": new_head,
        "left_out": leave_out,
        "seed": seed,
        "precision": precision,
    }


def _command(source, out, options: dict, settings: dict[str, str]) -> str:
    words = ["python", "-m", "pneumonia", "train", str(source), "--out", str(out)]
    for option, value in options.items():
        if value is not None:
            words += [option] if value is True else [option, str(value)]
    for name, value in settings.items():
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)


def _nameless(options: dict) -> dict:
    """Replace paths by what they stand for."""
    places = {"--from-run": "START", "--extra": "EXTRA"}
    kept = {
        name: places.get(name, value) if value is not None else None
        for name, value in options.items()
    }
    if kept["--backbone-weights"] not in (None, "random", "imagenet"):
        kept["--backbone-weights"] = "WEIGHTS"
    return kept


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
