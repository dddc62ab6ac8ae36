"""How answers hold under every family of `stress.FAMILIES`, and in subgroups."""

from collections.abc import Callable

import numpy as np

from ..contract import LABELS
from ..data import folder, reframing, stress, subgroups
from ..figures.metrics import LOWER_IS_BETTER, METRICS, SHOWN, measure
from ..serving.classifier import Classifier
from . import calibrate

Answer = Callable[[np.ndarray], np.ndarray]
"""uint8 (n, 224, 224, 1), as stored -> calibrated p of pneumonia, float64 (n,)."""


def measure_stress(
    dataset: folder.Dataset,
    answer: Answer,
    clean: np.ndarray,
    classifier: Classifier,
    boxes: np.ndarray,
) -> dict:
    """Measure a bundle on a data set under every family of changes, and in subgroups.

    Args:
        dataset: images that training did not see.
        answer: images -> probabilities of pneumonia.
        clean: its answers to the images as they are, float (n,).
        classifier: the bundle, for its threshold and what it was trained on.
        boxes: float (n, 4), where the lungs are on the images, as in `stress.changed`.

    Returns:
        `families`, `groups`, `all` (every family together), `worst` (metric -> family)
        and `band`, as the model card shows them.
    """
    at = classifier.threshold
    normal = dataset.labels == LABELS.index("Normal")
    used = classifier.facts["training"]["settings"]["augmentation"]
    families, answers = {}, []
    for name, family in stress.FAMILIES.items():
        images = stress.changed(dataset.images, dataset.labels, name, boxes=boxes)
        answers.append(answer(images))
        flipped = (answers[-1] >= at) != (clean >= at)
        families[name] = {
            "what": family.what,
            "seen_in_training": stress.seen_in_training(name, used),
            "n": len(clean),
            **measure(dataset.labels, answers[-1], dataset.groups, at),
            **count_flips(name, flipped[normal], boxes[normal]),
        }
    labels = np.tile(dataset.labels, len(answers))
    patients = np.tile(dataset.groups, len(answers))
    everything = np.concatenate(answers)
    return {
        "families": families,
        "groups": _measure_subgroups(dataset, clean, at),
        "all": measure(labels, everything, patients, at),
        "band": calibrate.measure_band(
            labels, everything, patients, at, classifier.uncertain_band
        ),
        "worst": {
            metric: (max if metric in LOWER_IS_BETTER else min)(
                families, key=lambda name: families[name][metric]["value"]
            )
            for metric in METRICS
        },
    }


def count_flips(family: str, flipped: np.ndarray, boxes: np.ndarray) -> dict:
    """Return how many answers about normals a family changes.

    Args:
        family: key of `stress.FAMILIES`.
        flipped: bool (k,), whether the answer is not that to the image as it is.
        boxes: float (k, 4), those of the lungs on the image as it is.

    Returns:
        `normals_changed`, a share. For a cut also the same among those whose lungs it
        leaves whole, and how many these are.
    """
    counts = {"normals_changed": round(float(flipped.mean()), 4)}
    if family in reframing.CUTS:
        whole = flipped[reframing.lungs_whole(boxes, family)]
        counts["normals_left_whole"] = len(whole)
        if len(whole):
            counts["normals_left_whole_changed"] = round(float(whole.mean()), 4)
    return counts


def _measure_subgroups(dataset: folder.Dataset, p: np.ndarray, at: float) -> dict:
    """Measure each subgroup that the data set has, against all of the other class."""
    measured = {}
    for name in subgroups.SUBGROUPS:
        chosen = subgroups.with_other_class(dataset, name)
        if len(set(dataset.labels[chosen])) == len(LABELS):
            measured[name] = {
                "n": int(subgroups.mask(dataset, name).sum()),
                **measure(
                    dataset.labels[chosen],
                    p[chosen],
                    dataset.groups[chosen],
                    at,
                ),
            }
    return measured


def lines(measured: dict) -> list[str]:
    """Return what `measure_stress` measured as the lines of a table."""
    titles = [*SHOWN, "flips"]
    table = [f"{'under stress':<30}" + "".join(f"{name:>13}" for name in titles)]

    def line(name: str, row: dict) -> str:
        values = [row[shown]["value"] for shown in SHOWN]
        values += [row["normals_changed"]] if "normals_changed" in row else []
        return f"{name:<30}" + "".join(f"{value:>13.3f}" for value in values)

    by_accuracy = sorted(
        measured["families"].items(), key=lambda pair: pair[1]["accuracy"]["value"]
    )
    table += [line(name, row) for name, row in by_accuracy]
    table.append(line("all families", measured["all"]))
    table += [line(name, row) for name, row in measured["groups"].items()]
    worst = measured["worst"]
    table.append("worst: " + ", ".join(f"{n} under {worst[n]}" for n in SHOWN))
    table.append("flips: share of the answers about normals that a family changes")
    return table
