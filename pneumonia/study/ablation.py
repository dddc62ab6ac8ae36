"""What each step buys, by linear layers on a network that never saw a chest.

A row takes minutes and no training (see `frozen`). What wins here is then trained.
"""

import hashlib
import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from .. import kept
from ..contract import BUNDLE, LABELS
from ..data import folder, stress
from ..data import looks as of_machines
from ..figures.metrics import auroc
from ..network import finder
from ..network.finder import Framed
from ..training.devices import placed
from ..training.runs import RunError, digest
from . import frozen
from .ablation_rows import ROWS, Row

EACH = 1000
"""Training images of each class that the layers are fitted on."""

STRESSED = 5
"""Copies of each held-out image, each under a family of stress drawn for it."""

OTHER_TONE = "other class's tone"

WHAT = """\
VGG16 as ImageNet left it, frozen, and one linear layer on the means of blocks 4 and 5.
Each layer is fitted anew without each look, and asked about the look that it never saw.
The rows differ from `ours` in one thing, `whole` in two, `floor` in three. The spread
is that of seeds, which draw the changed copies. Looks count that hold ten of each
class."""


def ablate(
    source: str | Path,
    out: str | Path,
    *,
    adults: str | Path,
    backbone_weights: str | Path = "imagenet",
    donors: Sequence[str | Path] = (),
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2),
    precision: str = "float32",
) -> dict:
    """Measure rows, and write them to `ablation.json`.

    Args:
        source: a data set, as of `folder.load`.
        out: folder to write to. What the network gave of the images is kept there, so
            that a stopped run goes on.
        adults: a data set of adults of another hospital, measured on.
        backbone_weights: as of `vgg19.build`.
        donors: folders of X-rays that lend to the row `donors`; nobody asks for labels.
        rows: keys of `ROWS`; none: all, `donors` only if there are any.
        seeds: each row is measured once with each.
        precision: Keras's name of a dtype policy.

    Returns:
        `what`, `command`, the number of `images`, and `rows`, as from `tabulate`.

    Raises:
        RunError: no such row; no donors for that row; too few images.
        folder.DataError: a data set is missing, or too small to be split.
        vgg19.WeightsError: the starting weights can't be had.
        kept.KeepError: `out` can't be written to.
    """
    if unknown := [name for name in rows if name not in ROWS]:
        raise RunError(f"no row {unknown[0]}; expected one of {', '.join(ROWS)}")
    if "donors" in rows and not donors:
        raise RunError("the row donors needs X-rays that lend: --donors DIR")
    asked = rows or [name for name, row in ROWS.items() if donors or not row.donors]
    out = Path(out)
    kept.check(out)
    out.mkdir(parents=True, exist_ok=True)
    with placed("one", precision, batch_size=1):
        views = Views(source, out, str(backbone_weights), adults, donors, precision)
        measured = [tabulate(name, _runs(ROWS[name], views, seeds)) for name in asked]
    words = ["python", "-m", "pneumonia", "ablate", "DIR", "--out", "OUT"]
    words += ["--backbone-weights", Path(backbone_weights).name, "--adults", "ADULTS"]
    if donors:
        words += ["--donors", *(f"HOSPITAL{i}" for i, _ in enumerate(donors, 1))]
    words += ["--seeds", *map(str, seeds), "--precision", precision]
    table = {
        "what": WHAT,
        "command": shlex.join(words),
        "images": len(views.labels),
        "rows": measured,
    }
    with kept.whole(out / "ablation.json") as path:
        path.write_text(json.dumps(table, indent=1) + "\n")
    return table


class Views:
    """The images that rows are fitted and measured on, and what the network gives."""

    def __init__(
        self,
        source: str | Path,
        out: Path,
        backbone_weights: str,
        adults: str | Path,
        donors: Sequence[str | Path],
        precision: str,
    ):
        """Find the lungs of all, and the looks of the training images."""
        self.out, finds = out, finder.load(BUNDLE)
        training, held = folder.split(folder.load(source))
        described = of_machines.describe(training.images)
        looks = of_machines.Looks.among(described)
        rng = np.random.default_rng(0)
        chosen = [
            rng.permutation(np.flatnonzero(training.labels == label))[:EACH]
            for label in range(len(LABELS))
        ]
        some = np.sort(np.concatenate(chosen))
        self.labels, self.looks = training.labels[some], looks.of(described[some])
        self.alike = of_machines.alike(self.labels, self.looks)
        if self.alike is None:
            raise RunError(
                f"{source}: no look holds {of_machines.LEAST} training images of each "
                "class, so nothing can be said of looks. Add more patients."
            )
        grown = folder.load(adults)
        framed = {
            "training": Framed.by(finds, training.images[some]),
            "held": Framed.by(finds, held.images),
            "adults": Framed.by(finds, grown.images),
        }
        boxes = framed["held"].boxes
        copies = stress.mixed_copies(held.images, held.labels, STRESSED, 1, boxes)
        stressed = np.concatenate(list(copies))
        framed["stress"] = Framed.by(finds, stressed)
        toned = stress.changed(held.images, held.labels, OTHER_TONE)
        framed["tone"] = Framed.by(finds, toned)
        self.framed = framed
        self.of = {
            "training": self.labels,
            "held": held.labels,
            "adults": grown.labels,
            "stress": np.tile(held.labels, STRESSED),
            "tone": held.labels,
        }
        self.donors, self.lending = None, ""
        if donors:
            loaded = [folder.load(place, labelled=False).images for place in donors]
            lent = np.concatenate(loaded)
            self.donors = Framed.by(finds, lent)
            self.lending = hashlib.sha256(np.ascontiguousarray(lent)).hexdigest()
        random = backbone_weights == "random"
        self.network = frozen.build(None if random else backbone_weights)
        weights = Path(backbone_weights)
        if weights.exists():
            backbone_weights = hashlib.sha256(weights.read_bytes()).hexdigest()
        known = digest(training), digest(grown), finder.digest(BUNDLE), EACH
        self.made_of = (*known, backbone_weights, precision)

    def features(
        self, name: str, row: Row, flat: str, seed: int | None = None
    ) -> np.ndarray:
        """Return what the network gives of images, float32 (n, 1024)."""
        how = (name, row.aligned, flat)
        if seed is not None:
            how = (*how, row.changes, self.lending if row.donors else "", seed)
        key = hashlib.sha256(repr((self.made_of, how)).encode()).hexdigest()
        file = self.out / f"{key[:16]}.npy"
        if not file.exists():
            of_seed = "" if seed is None else f", seed {seed}"
            print(f"{name}: {row.what}{of_seed}", flush=True)
            lending = self.donors if row.donors and seed is not None else None
            args = (self.network, self.framed[name], self.of[name], row, flat, seed)
            found = frozen.features(*args, donors=lending)
            with kept.whole(file, found.nbytes) as path, path.open("wb") as opened:
                np.save(opened, found)
        return np.load(file)[:, int(row.within)]


def _runs(row: Row, views: Views, seeds: Sequence[int]) -> list[dict[str, float]]:
    """Return the figures of a row, for each seed if seeds change anything."""
    drawn = seeds if row.changes else seeds[:1]
    scores = [_scores(row, views, seed) for seed in drawn]
    if row.mean:
        scores = [{p: np.mean([each[p] for each in scores], axis=0) for p in views.of}]
    return [dict(_figures(views, each)) for each in scores]


def tabulate(name: str, runs: list[dict[str, float]]) -> dict:
    """Return a row of the table.

    Args:
        name: key of `ROWS`.
        runs: figures by name, of each seed.

    Returns:
        Its `name`, `what` and `runs`, and of each figure the `mean` and the `spread`
        over the runs (largest minus smallest; None for one).
    """
    figures = {key: [run[key] for run in runs] for key in runs[0]}
    spread = {
        key: {
            "mean": float(np.mean(values)),
            "spread": float(np.ptp(values)) if len(values) > 1 else None,
        }
        for key, values in figures.items()
    }
    return {"name": name, "what": ROWS[name].what, **spread, "runs": runs}


def _scores(row: Row, views: Views, seed: int) -> dict[str, np.ndarray]:
    """Return scores of all images, of the training ones by who never saw their look."""
    within = views.looks if row.looks else np.zeros_like(views.looks)
    weights = of_machines.balance(views.labels, within)
    totals = dict.fromkeys(views.of, 0.0)
    for flat in row.flat:
        learned = [views.features("training", row, flat)] if row.plain else []
        if row.changes:
            learned.append(views.features("training", row, flat, seed))
        often = len(learned)
        layer = frozen.Layer(
            np.concatenate(learned),
            np.tile(views.labels, often),
            np.tile(views.looks, often),
            np.tile(weights, often),
        )
        for part in totals:
            unseen = views.looks if part == "training" else None
            x = views.features(part, row, flat)
            totals[part] = totals[part] + layer.scores(x, unseen) / len(row.flat)
    return totals


def _figures(
    views: Views, scores: dict[str, np.ndarray]
) -> Iterator[tuple[str, float]]:
    """Yield the figures of a row, name by name."""
    at = equal_errors(views.labels, scores["training"], views.alike)
    called = (scores["training"] >= at).astype(int)
    by_look = of_machines.rates(views.labels, views.looks, called)
    yield "unseen_auroc", float(auroc(views.labels, scores["training"], views.alike))
    yield "unseen_accuracy", float(views.alike @ (called == views.labels))
    for name in ("specificity", "sensitivity"):
        yield f"worst_unseen_{name}", min(row[name] for row in by_look)
    for part, figure in (
        ("held", "held_out_auroc"),
        ("stress", "stress_auroc"),
        ("tone", "tone_auroc"),
        ("adults", "adult_auroc"),
    ):
        yield figure, float(auroc(views.of[part], scores[part]))


def equal_errors(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """Return the threshold at which both classes' errors weigh alike.

    Args:
        labels: int (n,), indices into LABELS.
        scores: float (n,), pneumonia's high.
        weights: float (n,), of sum one half over each class.
    """
    order = np.argsort(scores)
    ill = (weights * labels)[order]
    well = (weights * (1 - labels))[order]
    missed = np.cumsum(ill) - ill  # with the threshold at each score
    alarms = well.sum() - (np.cumsum(well) - well)
    return float(scores[order][np.argmin(np.abs(missed - alarms))])


def summarise(table: dict) -> str:
    """Return the table as text, figures as mean (spread)."""
    figures = [k for k, v in table["rows"][0].items() if isinstance(v, dict)]
    lines = [f"{'row':<12}" + "".join(f"{key:>26}" for key in figures)]
    for row in table["rows"]:
        line = f"{row['name']:<12}"
        for mean, spread in (row[key].values() for key in figures):
            text = f"{mean:.3f}" + ("" if spread is None else f" ({spread:.3f})")
            line += f"{text:>26}"
        lines.append(line)
    return "\n".join(lines)
