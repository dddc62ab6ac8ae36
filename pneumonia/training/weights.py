"""The weights that training starts from, and the mean of weights that it ended with."""

import json
import shutil
from pathlib import Path

import numpy as np

from ..network import finder, vgg19
from . import ancestry
from .plan import Plan
from .recipe import Recipe
from .runs import RunError
from .sampling import Batches


def check(plan: Plan) -> None:
    """See that there are weights to start from, before images are read.

    Raises:
        vgg19.WeightsError: there is no such file, or it can't hold weights.
        RunError: a new head has no start.
    """
    if plan.new_head and plan.start is None:
        raise RunError(
            "a new head goes on from a trained network's convolutions; say which with "
            "--from-run RUN or --from-bundle. Without them every head is new."
        )
    if plan.start is None and str(plan.backbone_weights) not in ("random", "imagenet"):
        vgg19.check_weights(plan.backbone_weights)


def starting(plan: Plan, recipe: Recipe, batches: Batches) -> list[np.ndarray]:
    """Return the weights that a run starts from, of the whole classifier.

    Args:
        plan: says which: those of `start`, or `backbone_weights` and a new head.
        recipe: the network's shape, and how it is trained.
        batches: what will be trained on; a few of them condition VGG19's weights where
            the recipe asks for that.

    Returns:
        float32, in the order of `Network.classifier`.

    Raises:
        vgg19.WeightsError: the weights can't be had.
        RunError: the start's layers are not those of the recipe.
    """
    if plan.start is not None:
        return _go_on(plan, recipe)
    random = str(plan.backbone_weights) == "random"
    built = vgg19.build(None if random else plan.backbone_weights, **recipe.network)
    vgg19.freeze(built, recipe.frozen_blocks)
    if recipe.condition:
        some = [batches[step][0] for step in range(min(4, len(batches)))]
        vgg19.condition(built, np.concatenate(some))
    return built.classifier.get_weights()


def _go_on(plan: Plan, recipe: Recipe) -> list[np.ndarray]:
    trained = vgg19.load(plan.start)
    built = vgg19.build(**recipe.network)
    if plan.new_head:
        built.features.set_weights(trained.features.get_weights())
        return built.classifier.get_weights()
    weights = trained.classifier.get_weights()
    if [w.shape for w in weights] != [w.shape for w in built.classifier.weights]:
        raise RunError(
            f"the network in {plan.start} has other layers than the recipe asks for. "
            "Start from a network with the same hidden_units, or take its "
            "convolutions alone with --new-head."
        )
    return weights


def of_start(plan: Plan, recipe: Recipe) -> dict:
    """Return what a run's record says of where its weights come from.

    Returns:
        `ancestry`, and the `backbone_weights` of the run or bundle that it goes on
        from, where it goes on from one.
    """
    start = _record(Path(plan.start)) if plan.start is not None else None
    record = {"ancestry": ancestry.of_plan(plan, recipe, start)}
    if start:
        record["backbone_weights"] = start["backbone_weights"]
    return record


def average(runs: list[str | Path], out: str | Path) -> Path:
    """Average the networks of runs, each weight by itself.

    The mean of weights that were trained on from the same start often generalises
    better than each of them, at no cost in use (model soups, Wortsman et al., ICML
    2022). The start itself may be among them (WiSE-FT, Wortsman et al., CVPR 2022).

    Args:
        runs: folders of at least two: runs that went on from the same network, a run or
            a bundle, and that network itself, if wanted. Their finder is taken; the
            start may have had another.
        out: folder of the new run, which `export` takes like any other.

    Returns:
        `out`.

    Raises:
        RunError: fewer than two runs, runs of different networks, finders or starts,
            or a run in `out` already.
        vgg19.WeightsError: a folder holds no trained network.
    """
    runs, out = [Path(run) for run in runs], Path(out)
    if len(runs) < 2:
        raise RunError(f"an average takes at least two runs, got {len(runs)}.")
    if any((out / f"{name}.weights.h5").exists() for name in ("best", "last")):
        raise RunError(f"{out} holds a run already. Choose another --out.")
    records = [_record(run) for run in runs]
    starts = {record["started_from"] for record in records}
    after = [i for i, run in enumerate(runs) if run.name not in starts]
    after = after or list(range(len(runs)))  # names alone can mislead
    alike = {"network": range(len(runs)), "started_from": after, "finder_sha256": after}
    for name, those in alike.items():
        if any(records[i][name] != records[those[0]][name] for i in those):
            raise RunError(
                f"these runs differ in {name}; only weights of one network, trained on "
                "from one start, have a mean that means something."
            )
    mixed = vgg19.load(runs[0])
    weights = [w.astype(np.float32) for w in mixed.classifier.get_weights()]
    for run in runs[1:]:
        for total, more in zip(
            weights, vgg19.load(run).classifier.get_weights(), strict=True
        ):
            total += more
    mixed.classifier.set_weights([total / len(runs) for total in weights])
    out.mkdir(parents=True, exist_ok=True)
    mixed.classifier.save_weights(out / "best.weights.h5")
    shutil.copy(runs[after[0]] / finder.WEIGHTS, out)
    of_one = records[after[0]]
    record = {k: v for k, v in of_one.items() if k not in ("before", "repeat")}
    record |= {
        "plan": {"runs": [str(run) for run in runs], "out": str(out)},
        "ancestry": ancestry.of_average(records),
        "averaged": [run.name for run in runs],
    }
    (out / "run.json").write_text(json.dumps(record, indent=2))
    return out


def _record(folder: Path) -> dict:
    """Return what a run or a bundle says of its training."""
    facts = vgg19.read_facts(folder)
    if "training" in facts:  # a bundle
        return facts["training"] | {"network": facts["network"]}
    return facts
