"""What a short training says of looks that it never saw, look by look.

    python benchmarks/looks.py DATA --extra ADULTS --backbone-weights WEIGHTS --out OUT

The training pictures are split into looks (see `pneumonia.data.looks`), and these into
four folds. Each fold is left out of one training in turn, as `default` does it but with
four frozen blocks and fewer images. The operating point is fitted as `export` does it,
on the looks that were seen. Beside it stands what ships, which saw all of them. OUT
keeps the runs: a stopped command goes on.
"""

import argparse
from pathlib import Path

import numpy as np

from pneumonia.data import folder, looks
from pneumonia.evaluation import calibrate
from pneumonia.figures.metrics import auroc
from pneumonia.network import finder, vgg19
from pneumonia.network.finder import Framed
from pneumonia.training import train
from pneumonia.training.devices import placed
from pneumonia.training.plan import Plan

FOLDS = 4
SETTINGS = {"frozen_blocks": "4", "kept_epochs": "2", "average": "0.99"}


def split(source: Path, out: Path) -> tuple[folder.Dataset, np.ndarray, np.ndarray]:
    """Keep a data set for each fold, without its looks.

    Returns:
        The training images, the look of each, and the fold that each is left out of.
    """
    dataset = folder.load(source)
    training, _ = folder.split(dataset)
    described = looks.describe(training.images)
    found = looks.Looks.among(described)
    look = found.of(looks.describe(dataset.images))
    normals = [np.mean(dataset.labels[look == k] == 0) for k in range(looks.COUNT)]
    fold = np.argsort(np.argsort(normals)) % FOLDS  # of each look: rare ones spread
    for number in range(FOLDS):
        path = out / f"without-{number}.npz"
        if not path.exists():
            folder.save(dataset.subset(fold[look] != number), path)
    look = found.of(described)
    return training, look, fold[look]


def ask(run: Path | None, framed: Framed, precision: str) -> np.ndarray:
    """Return logits (n, 2) of a run, or of what ships."""
    with placed("one", precision, batch_size=1):
        network = vgg19.load(run)
        return vgg19.run_logits(network, framed.shown(network))


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--extra", type=Path, required=True)
    parser.add_argument("--backbone-weights", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--precision", default="float32")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    training, look, fold = split(args.source, args.out)
    framed = Framed.by(finder.load(), training.images)
    odds = np.empty(len(look))
    for number in range(FOLDS):
        run = args.out / f"run-{number}"
        if not (run / "curves.png").exists():
            train.train(
                Plan(
                    source=args.out / f"without-{number}.npz",
                    out=run,
                    extra=args.extra,
                    backbone_weights=args.backbone_weights,
                    epochs=args.epochs,
                    settings=SETTINGS,
                    precision=args.precision,
                    resume=(run / "last.weights.h5").exists(),
                )
            )
        found = ask(run, framed, args.precision)
        seen = fold != number
        weights = looks.alike(training.labels[seen], look[seen])
        temperature, offset = calibrate.fit(found[seen], training.labels[seen], weights)
        odds[~seen] = (np.diff(found[~seen])[:, 0] + offset) / temperature
    ships = np.diff(ask(None, framed, args.precision))[:, 0]
    weights = looks.alike(training.labels, look)
    for name, scores in (("looks left out", odds), ("what ships", ships)):
        print(f"{name}: AUROC {auroc(training.labels, scores, weights):.3f}")
    each = "AUROC | specificity | sensitivity |"
    print(f"\n| normals | pneumonias | {each} what ships: {each}")
    print("|" + " --- |" * 8)
    for own in looks.counting(training.labels, look, looks.LEAST):
        here, cells = own[0] | own[1], []
        for scores in (odds, ships):
            cells.append(auroc(training.labels[here], scores[here]))
            cells += [np.mean((scores[part] >= 0) == i) for i, part in enumerate(own)]
        counts = " | ".join(str(part.sum()) for part in own)
        print(f"| {counts} |", *(f"{x:.3f} |" for x in cells))


if __name__ == "__main__":
    main()
