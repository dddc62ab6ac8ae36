"""Pictures of what was measured."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn import metrics

from ..contract import LABELS
from ..figures.metrics import METRICS
from ..figures.reliability import reliability


def plot_answers(
    out: Path, labels: np.ndarray, p: np.ndarray, threshold: float
) -> None:
    """Draw ROC, precision-recall, confusion matrix and reliability into `out`."""

    def draw(name, paint):
        figure = Figure(figsize=(5, 4.5), layout="constrained")
        axis = figure.subplots()
        paint(axis)
        axis.set_title(name.replace("_", " "))
        figure.savefig(out / f"{name}.png", dpi=120)

    once = np.ones(len(labels))
    sensitivity = METRICS["sensitivity"](labels, p, once, threshold)
    specificity = METRICS["specificity"](labels, p, once, threshold)

    def roc(axis):
        false_positive, true_positive, _ = metrics.roc_curve(labels, p)
        area = METRICS["auroc"](labels, p, once, threshold)
        axis.plot(false_positive, true_positive, label=f"AUROC {area:.3f}")
        axis.plot(1 - specificity, sensitivity, "o", label=f"threshold {threshold:.2f}")
        axis.set(xlabel="1 - specificity", ylabel="sensitivity")
        axis.grid(alpha=0.3)
        axis.legend()

    def precision_recall(axis):
        precision, recall, _ = metrics.precision_recall_curve(labels, p)
        area = METRICS["auprc"](labels, p, once, threshold)
        axis.plot(recall, precision, label=f"average precision {area:.3f}")
        axis.axhline(labels.mean(), color="grey", ls=":", label="always pneumonia")
        axis.set(
            xlabel="sensitivity (recall)", ylabel="PPV (precision)", ylim=(0, 1.02)
        )
        axis.grid(alpha=0.3)
        axis.legend()

    def confusion(axis):
        table = metrics.confusion_matrix(labels, p >= threshold, labels=[0, 1])
        metrics.ConfusionMatrixDisplay(table, display_labels=LABELS).plot(
            ax=axis, cmap="Blues", colorbar=False
        )

    def reliability_(axis):
        axis.plot([0, 1], [0, 1], ":", color="grey", label="perfectly calibrated")
        for point in reliability(labels, p):
            size = 20 + 300 * point["n"] / len(labels)
            axis.scatter(point["predicted"], point["observed"], s=size, color="C0")
        axis.set(
            xlabel="predicted probability of pneumonia",
            ylabel="share that has pneumonia",
        )
        axis.grid(alpha=0.3)
        axis.legend()

    for name, paint in (
        ("roc", roc),
        ("precision_recall", precision_recall),
        ("confusion", confusion),
        ("reliability", reliability_),
    ):
        draw(name, paint)


def plot_stress(out: Path, report: dict) -> None:
    """Draw accuracy, sensitivity and specificity under each family into `out`."""
    families = report["stress"]["families"]
    order = sorted(families, key=lambda name: families[name]["accuracy"]["value"])
    names = [*order, "as it is"]
    figure = Figure(figsize=(7, 0.4 * len(names) + 1.2), layout="constrained")
    axis = figure.subplots()
    for number, metric in enumerate(("accuracy", "sensitivity", "specificity")):
        rows = [families[name][metric] for name in order] + [report[metric]]
        values = np.array([row["value"] for row in rows])
        edges = np.array([row["ci95"] for row in rows]).T
        axis.errorbar(
            values,
            np.arange(len(names)) + (number - 1) * 0.2,
            xerr=np.abs(edges - values),
            fmt="o^s"[number],
            markersize=5,
            label=metric,
        )
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="value, 95 % interval over patients", title="stress validation")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(out / "stress.png", dpi=120)


def plot_shortcuts(path: Path, rows: list[dict]) -> None:
    """Draw how well labels can be read without lungs, AUROC with intervals."""
    rows = rows[::-1]  # drawn from below
    figure = Figure(figsize=(7, 1 + 0.32 * len(rows)), layout="constrained")
    axis = figure.subplots()
    for place, row in enumerate(rows):
        axis.plot(row["auroc"]["ci95"], [place, place], color="C0")
        axis.plot(row["auroc"]["value"], place, "o", color="C0")
    axis.set_yticks(range(len(rows)), [f"{row['name']}: {row['task']}" for row in rows])
    axis.axvline(0.5, color="grey", ls=":")
    axis.set(xlabel="AUROC of a simple classifier (0.5: chance)", xlim=(0.4, 1.01))
    axis.grid(alpha=0.3, axis="x")
    figure.savefig(path, dpi=120)


def plot_maps(path: Path, mean_maps: np.ndarray, box: dict[str, float]) -> None:
    """Draw the mean heat map of each label, float (2, 8, 8), with a box on it."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots(1, len(LABELS))
    top, bottom, left, right = box.values()
    around = [left, right, right, left, left], [top, top, bottom, bottom, top]
    for axis, mean_map, label in zip(axes, mean_maps, LABELS, strict=True):
        picture = axis.imshow(mean_map, "inferno", clim=(0, 1), extent=(0, 1, 1, 0))
        axis.plot(*around, "w--", lw=1)
        axis.set(title=f"truth: {label}", xticks=[], yticks=[])
    figure.colorbar(picture, ax=axes, label="mean heat map")
    figure.savefig(path, dpi=120)
