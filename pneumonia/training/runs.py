"""A run's folder: what it keeps, so that it can be repeated, resumed and looked at."""

import csv
import hashlib
import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from .. import kept
from ..data.folder import Dataset
from ..network import finder
from .plan import Plan, flag
from .recipe import Recipe
from .settings import adjust


class RunError(RuntimeError):
    """The run's folder is not what the command needs; says what to do."""


def check_folder(out: Path, resume: bool) -> None:
    """Raise RunError unless `out` holds a run to resume, or none to spoil.

    Raises:
        kept.KeepError: `out` can't be written to.
    """
    kept.check(out)
    begun = (out / "last.weights.h5").exists()
    made = (out / "best.weights.h5").exists() and not resume
    begun = begun or (made and "averaged" in read_record(out))
    if resume and not begun:
        raise RunError(f"{out} holds no run to resume. Start it without --resume.")
    if begun and not resume:
        raise RunError(
            f"{out} holds a run already. Go on with --resume, or choose another --out."
        )


def clear(out: Path) -> None:
    """Remove what a run left that ended before its first epoch was kept."""
    for name in ("best.weights.h5", "history.csv", "curves.png"):
        (out / name).unlink(missing_ok=True)


@contextmanager
def whole_so_far(out: Path) -> Iterator[None]:
    """Say of a full disk how the run in `out` goes on.

    Raises:
        RunError: the disk is full.
    """
    try:
        yield
    except kept.NoRoomError as error:
        if not (out / "last.weights.h5").exists():
            raise
        raise RunError(
            f"{str(error).partition('. ')[0]}. All epochs before are kept. Free some "
            "space, and go on with the same command and --resume."
        ) from error


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


def read_record(out: Path) -> dict:
    """Return what `run.json` says of the run in `out`.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        return json.loads((out / "run.json").read_text())
    except (OSError, ValueError) as error:
        raise RunError(
            f"{out / 'run.json'} can't be read ({error}), so the run can't be resumed. "
            "Start another in another --out."
        ) from error


def write_record(out: Path, record: dict) -> None:
    """Write `run.json`."""
    with kept.whole(out / "run.json") as path:
        path.write_text(json.dumps(record, indent=2) + "\n")


def digest(dataset: Dataset) -> str:
    """Return the SHA-256 of pixels, labels and patients, wherever the files lie."""
    found = hashlib.sha256(np.ascontiguousarray(dataset.images))
    found.update(dataset.labels.astype(np.int64).tobytes())
    found.update("\n".join(dataset.groups).encode())
    return found.hexdigest()


_FREE = ("source", "out", "extra", "epochs", "settings", "finder", "devices", "workers")
"""Options that a resumed run may change, or that are compared by what they hold."""


def check_asked(plan: Plan, record: dict, recipe: Recipe) -> None:
    """Raise RunError if a plan that resumes asks for another run than was begun.

    Args:
        plan: what was asked for now; what it does not say stays as it was.
        record: of the run, its `run.json`.
        recipe: of the run.
    """
    renamed = {"start": "started_from", "leave_out": "left_out"}
    for option in fields(Plan):
        asked, known = getattr(plan, option.name), renamed.get(option.name, option.name)
        if option.name in _FREE or known not in record or asked == option.default:
            continue
        before = record[known]
        if option.name in ("backbone_weights", "start"):
            asked = Path(asked).name  # all that is recorded of them
        if asked != before:
            _differs(f"{flag(option)} {asked}", before, plan)
    for name, text in plan.settings.items():
        if name != "epochs" and adjust(recipe, {name: text}) != recipe:
            _differs(f"--set {name}={text}", getattr(recipe, name), plan)
    if plan.finder and finder.digest(plan.finder) != record["finder_sha256"]:
        _differs(f"--finder {plan.finder}", "another finder", plan)
    if plan.extra and not record["extra_source"]:
        _differs(f"--extra {plan.extra}", None, plan)
    check_backend(record, plan.out)


def _differs(asked: str, before: object, plan: Plan) -> None:
    raise RunError(
        f"{asked} is not what the run in {plan.out} was begun with ({before}), and a "
        "run goes on as it began. Leave it away, or begin a new run with --from-run "
        f"{plan.out}."
    )


def check_backend(record: dict, out: str | Path) -> None:
    """Raise RunError if a run would go on with another library than it began with."""
    now = keras.backend.backend()
    begun = record.get("versions", {}).get("backend", now)
    if begun != now:
        raise RunError(
            f"the run in {out} was begun on {begun}, and Keras runs on {now}. Set the "
            f"variable KERAS_BACKEND={begun}, and resume it."
        )


def check_data(now: dict, record: dict, out: str | Path) -> None:
    """Raise RunError if a run would go on with other X-rays than it began with.

    Args:
        now: sizes and digests of what there is, under the names of the record.
        record: of the run. One of an older version has no digests.
        out: its folder.
    """
    changed = [k for k, v in now.items() if v != record.get(k, v)]
    if not changed:
        return
    counted = [k for k in changed if isinstance(now[k], int)]
    told = ", ".join(
        f"{record[k]:,} {k.replace('_', ' ')} then and {now[k]:,} now" for k in counted
    )
    raise RunError(
        f"the X-rays are not those that the run in {out} was begun with "
        f"({told or 'as many, but other pixels, labels, masks or patients'}). Put them "
        f"back as they were, or begin a new run with another --out."
    )


def read_history(out: str | Path, epochs: int | None = None) -> list[dict]:
    """Return one dict of floats per epoch of the run in `out`; of the first `epochs`.

    What a stopped run may have begun to write behind them is not looked at.
    """
    with (Path(out) / "history.csv").open(newline="") as file:
        rows = itertools.islice(csv.DictReader(file), epochs)
        return [{k: float(v) for k, v in row.items()} for row in rows]


def write_history(out: Path, history: list[dict]) -> None:
    """Write `history.csv`, one row an epoch."""
    with (
        kept.whole(out / "history.csv") as path,
        path.open("w", newline="") as file,
    ):
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows({**row, "epoch": int(row["epoch"])} for row in history)


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
    with kept.whole(Path(out) / "curves.png") as path:
        figure.savefig(path, dpi=120)
