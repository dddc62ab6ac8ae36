"""What a network that never saw a chest tells already: `frozen.json`, the floor.

    python benchmarks/frozen.py DIR --backbone-weights imagenet_vgg19.weights.h5 \
        --keep FOLDER

VGG19 stays as it came, and one linear layer is fitted on the square roots of the means
of blocks 4 and 5. That takes a second, so it can be fitted anew without each look (see
`pneumonia.data.looks`): what it then says of the pictures of a machine that it never
saw is the figure to choose by. DIR is the training folder. Beside it stands what ships,
on held-out patients. It learned from all looks, so it has no such figure. What is
computed once is kept in FOLDER: a stopped run goes on, and several share the work.
"""

import argparse
import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from tqdm import tqdm

from pneumonia import load_classifier
from pneumonia.contract import BUNDLE, IMAGE_SIZE
from pneumonia.data import folder, stress
from pneumonia.data.looks import LEAST, Looks, alike, balance
from pneumonia.evaluation.evaluate import run_all
from pneumonia.export.export import calibration_images
from pneumonia.export.int8 import quantise
from pneumonia.figures.metrics import METRICS
from pneumonia.network import finder, framing, graph, vgg19
from pneumonia.network.finder import Framed
from pneumonia.training import augment, geometry

BLOCKS = "block4_conv4", "block5_conv4"
STRESSED = 3
"""Copies of each held-out image, each under a family of stress drawn for it."""
BINS = 64
RIDGE = 0.1
BATCH, BLOCK = 8, 256

Part = Callable[[np.ndarray], tuple[np.ndarray, ...]]
"""Places of some images, int (k,) -> arrays (k, ...)."""


@dataclass(frozen=True)
class Kept:
    """Arrays that are computed once, some images at a time."""

    folder: Path

    def of(self, name: str, count: int, part: Part) -> list[np.ndarray]:
        """Return what `part` gives for all images; what is there is not done again."""
        starts = range(0, count, BLOCK)
        paths = [self.folder / f"{name}-{start}.npz" for start in starts]
        order = np.random.default_rng().permutation(len(paths))  # for who shares it
        for at in tqdm(order, desc=name, unit="block"):
            if not paths[at].exists():
                some = np.arange(starts[at], min(starts[at] + BLOCK, count))
                whole = paths[at].with_name(f"{os.getpid()}.npz")
                np.savez(whole, *part(some))
                whole.replace(paths[at])
        held = [list(np.load(path).values()) for path in paths]
        return [np.concatenate(each) for each in zip(*held, strict=True)]


class Features:
    """VGG19 as it came, in int8, from crops to numbers."""

    def __init__(self, weights: str, some: np.ndarray, finds, kept: Path) -> None:
        """Write its graph, and cut it off behind the crop."""
        self.how = vgg19.build(weights, masked=True)
        written = kept / "network.onnx"
        if not written.exists():
            model = graph.build_graph(self.how, finds)
            onnx.save(quantise(model, some, careful=False), written)
        model = onnx.load(written)
        shape = ["n", 1, IMAGE_SIZE, IMAGE_SIZE]
        for name in ("crop", *BLOCKS):
            kind = onnx.TensorProto.FLOAT
            sizes = shape if name == "crop" else None
            value = onnx.helper.make_tensor_value_info(name, kind, sizes)
            model.graph.value_info.append(value)
        part = onnx.utils.Extractor(model).extract_model(["crop"], list(BLOCKS))
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            part.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def of(self, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the means everywhere and within the lungs, float32 (n, 1024) each.

        Args:
            shown: float32 (n, 128, 128, 2), as from `Framed.shown`.
        """
        everywhere, within = [], []
        for start in range(0, len(shown), BATCH):
            batch = shown[start : start + BATCH]
            planes = np.ascontiguousarray(batch[..., 0][:, None])
            blocks = self.session.run(list(BLOCKS), {"crop": planes})
            everywhere.append(np.hstack([found.mean(axis=(2, 3)) for found in blocks]))
            within.append(np.hstack([_within(found, batch) for found in blocks]))
        return np.sqrt(np.concatenate(everywhere)), np.sqrt(np.concatenate(within))


def _within(found: np.ndarray, batch: np.ndarray) -> np.ndarray:
    """Return the mean of (n, c, h, h) near the lungs, a cell beyond them included."""
    cells = batch[..., 1].reshape(len(batch), 8, 16, 8, 16).mean(axis=(2, 4))
    around = np.pad(cells, ((0, 0), (1, 1), (1, 1)))
    steps = itertools.product(range(3), repeat=2)
    near = np.max([around[:, i : i + 8, j : j + 8] for i, j in steps], axis=0)
    times = found.shape[-1] // 8
    weights = near.repeat(times, axis=1).repeat(times, axis=2) + 1e-6
    weights /= weights.sum(axis=(1, 2), keepdims=True)
    return np.einsum("nchw,nhw->nc", found, weights)


def equalised(shown: np.ndarray) -> np.ndarray:
    """Give the lungs' pixels a flat histogram: a piecewise linear map of 64 counts."""
    changed = shown.copy()
    for image, out in zip(shown, changed, strict=True):
        grey, weights = image[..., 0], image[..., 1] + 1e-4
        bins = np.minimum((grey * BINS).astype(int), BINS - 1)
        counts = np.bincount(bins.ravel(), weights.ravel(), BINS)
        rising = np.concatenate([[0], np.cumsum(counts)]) / counts.sum()
        out[..., 0] = np.interp(grey * BINS, np.arange(BINS + 1), rising)
    return changed


def part_of(framed: Framed, some: np.ndarray) -> Framed:
    """Return some of the pictures alone."""
    return Framed(framed.images[some], framed.boxes[some], framed.lungs[some])


def changed_copies(
    framed: Framed, labels: np.ndarray, how, some: np.ndarray
) -> np.ndarray:
    """Return what training would show of some images, float32 (k, 128, 128, 2)."""
    change = augment.compose(augment.DEFAULT)
    rng = np.random.default_rng(some[0])
    order, shown = rng.permutation(len(some)), [None] * len(some)
    for start in range(0, len(order), 32):
        few = order[start : start + 32]
        few = few[np.argsort(labels[some[few]], kind="stable")]  # for other_class
        part = part_of(framed, some[few])
        jittered = Framed(part.images, geometry.jitter(part.boxes, rng), part.lungs)
        for at, image in zip(few, change(jittered.shown(how), rng), strict=True):
            shown[at] = np.clip(image, 0, 1)
    return np.stack(shown).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Fit:
    """A linear layer for each look, which never saw it, and one that saw all."""

    without: dict[int, np.ndarray]
    whole: np.ndarray
    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def on(cls, x, labels, looks, weights) -> "Fit":
        """Fit by weighted ridge regression; the sums of each look are made once."""
        weights = weights / weights.sum()
        centre = weights @ x
        spread = np.sqrt(weights @ (x - centre) ** 2) + 1e-6
        x, wanted = (x - centre) / spread, 2.0 * labels - 1
        sums = {}
        for look in np.unique(looks):
            here = looks == look
            weighed = x[here].T * weights[here]
            sums[look] = weighed @ x[here], weighed @ wanted[here]
        square, along = (sum(parts) for parts in zip(*sums.values(), strict=True))
        damping = RIDGE * np.eye(len(along))
        without = {
            look: np.linalg.solve(square - s + damping, along - a)
            for look, (s, a) in sums.items()
        }
        return cls(without, np.linalg.solve(square + damping, along), centre, spread)

    def scores(self, x: np.ndarray, looks: np.ndarray | None = None) -> np.ndarray:
        """Return scores (n,), of each image by the layer that never saw its look."""
        x = (x - self.centre) / self.spread
        if looks is None:
            return x @ self.whole
        found = np.empty(len(x))
        for look, layer in self.without.items():
            found[looks == look] = x[looks == look] @ layer
        return found


def equal_errors(labels, scores, weights) -> float:
    """Return the threshold at which both errors are equal, so weighed."""
    order = np.argsort(scores)
    missed = np.cumsum((weights * (labels == 1))[order])
    alarms = (weights * (labels == 0)).sum() - np.cumsum(
        (weights * (labels == 0))[order]
    )
    return float(scores[order][np.argmin(np.abs(missed - alarms))])


def by_look(labels, scores, looks, at) -> Iterator[tuple[int, float, float]]:
    """Yield look, sensitivity and specificity where a look holds enough of each."""
    for look in np.unique(looks):
        here = looks == look
        if min((labels[here] == label).sum() for label in (0, 1)) >= LEAST:
            called = scores[here] >= at
            ill = labels[here] == 1
            yield int(look), float(called[ill].mean()), float((~called)[~ill].mean())


def figures(labels, scores, at: float) -> dict[str, float]:
    """Return AUROC, accuracy, sensitivity and specificity."""
    once = np.ones(len(labels))
    names = ("auroc", "accuracy", "sensitivity", "specificity")
    return {n: float(METRICS[n](labels, scores, once, at)) for n in names}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--backbone-weights", required=True)
    parser.add_argument("--keep", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=BUNDLE / "frozen.json")
    args = parser.parse_args()
    training, held = folder.split(folder.load(args.source))
    rng = np.random.default_rng(0)
    ill = rng.permutation(np.flatnonzero(training.labels == 1))
    well = np.flatnonzero(training.labels == 0)
    found = Looks.among(training.images)
    training = training.subset(np.sort(np.concatenate([well, ill[: len(ill) // 2]])))
    args.keep.mkdir(parents=True, exist_ok=True)
    kept, finds = Kept(args.keep), finder.load()

    def frame(name: str, images: np.ndarray) -> Framed:
        (lungs,) = kept.of(
            f"lungs-{name}",
            len(images),
            lambda some: (finder.find(finds, images[some]).astype(np.float16),),
        )
        return Framed(images, framing.boxes(lungs.astype(np.float32)), lungs)

    views = {"train": frame("train", training.images)}
    views["held"] = frame("held", held.images)
    boxes = views["held"].boxes
    copies = list(stress.mixed_copies(held.images, held.labels, STRESSED, 1, boxes))
    views["stress"] = frame("stress", np.concatenate(copies))
    some = calibration_images(training, 32)
    features = Features(args.backbone_weights, some, finds, args.keep)
    how, x = features.how, {}
    for name, view in views.items():
        x[name, "everywhere"], x[name, "within"] = kept.of(
            name,
            len(view.images),
            lambda some, view=view: features.of(part_of(view, some).shown(how)),
        )
    (_, changed) = kept.of(
        "changed",
        len(training.labels),
        lambda some: features.of(
            changed_copies(views["train"], training.labels, how, some)
        ),
    )
    for name, view in views.items():
        (_, x[name, "toned"]) = kept.of(
            f"toned-{name}",
            len(view.images),
            lambda some, view=view: features.of(
                equalised(part_of(view, some).shown(how))
            ),
        )
    labels, looks = training.labels, found.of(training.images)
    weights = {
        False: np.where(labels == 1, 0.5 / labels.sum(), 0.5 / (1 - labels).sum()),
        True: balance(labels, looks),
    }
    weigh, tiled = alike(labels, looks), np.tile(held.labels, STRESSED)

    def row(kinds: tuple[str, ...], by: bool = False, copied: bool = False) -> dict:
        totals = {"unseen looks": 0.0, "held out": 0.0, "stress": 0.0}
        for kind in kinds:
            learned = [x["train", kind], *([changed] if copied else [])]
            often = len(learned)
            fit = Fit.on(
                np.concatenate(learned),
                np.tile(labels, often),
                np.tile(looks, often),
                np.tile(weights[by], often),
            )
            totals["unseen looks"] += fit.scores(x["train", kind], looks)
            totals["held out"] += fit.scores(x["held", kind])
            totals["stress"] += fit.scores(x["stress", kind])
        at = equal_errors(labels, totals["unseen looks"], weigh)
        each = list(by_look(labels, totals["unseen looks"], looks, at))
        of = {"unseen looks": labels, "held out": held.labels, "stress": tiled}
        measured = {name: figures(of[name], s, at) for name, s in totals.items()}
        errors = [(s + p) / 2 for _, s, p in each]
        return measured | {
            "looks": len(each),
            "looks_alike": float(np.mean(errors)),
            "worst_look_specificity": min(p for *_, p in each),
        }

    rows = {
        "everywhere": row(("everywhere",)),
        "within the lungs": row(("within",)),
        "within the lungs, classes alike in each look": row(("within",), by=True),
        "within the lungs, equalised": row(("toned",)),
        "within the lungs, plain and equalised": row(("within", "toned")),
        "within the lungs, with a changed copy of each": row(("within",), copied=True),
    }
    rows["what ships"] = _shipped(held, copies, found)
    report = {
        "backbone_weights": Path(args.backbone_weights).name,
        "images": len(labels),
        "looks": len(found.middles),
        "bundle_sha256": load_classifier().sha256,
        "rows": rows,
    }
    args.out.write_text(json.dumps(report, indent=2) + "\n")
    for name, each in rows.items():
        print(name, json.dumps(each))


def _shipped(held: folder.Dataset, copies: list[np.ndarray], found: Looks) -> dict:
    """Return what ships on the same held-out images."""
    classifier, at = load_classifier(), load_classifier().threshold

    def p(images: np.ndarray) -> np.ndarray:
        return classifier.p_pneumonia(run_all(classifier, images, False).logits)

    clean, stressed = p(held.images), p(np.concatenate(copies))
    return {
        "held out": figures(held.labels, clean, at),
        "stress": figures(np.tile(held.labels, len(copies)), stressed, at),
    }


if __name__ == "__main__":
    main()
