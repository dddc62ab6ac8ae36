"""The weights that training starts from: VGG19's, or those of a trained network."""

import dataclasses
from pathlib import Path

import numpy as np

from ..data.folder import Dataset
from ..network import vgg19
from .recipe import Recipe
from .runs import RunError
from .sampling import Batches


def like_its_start(
    recipe: Recipe, start: str | Path, new_head: bool, settings: dict[str, str]
) -> Recipe:
    """Return the recipe with what the start's weights were trained for.

    That is what the network does to pixels first and the widths of its head; weights
    that go on behind other ones would not fit, or would see other pictures.

    Args:
        recipe: what to change.
        start: a run's or a bundle's folder.
        new_head: the widths are the recipe's.
        settings: what was asked for by name, and stays as asked.

    Raises:
        vgg19.WeightsError: there is no such network.
    """
    kept = {"dropout", *settings, *(["hidden_units"] if new_head else [])}
    known = vgg19.describe(start)["network"].items()
    return dataclasses.replace(recipe, **{k: v for k, v in known if k not in kept})


def starting_weights(
    training: Dataset,
    recipe: Recipe,
    seed: int,
    backbone_weights: str | Path | None,
    start: str | Path | None = None,
    new_head: bool = False,
) -> list[np.ndarray]:
    """Return the weights that training starts from, of the whole classifier.

    Args:
        training: what will be trained on; a few batches of it condition VGG19's weights
            where the recipe asks for that.
        recipe: the network's shape, and how it is trained.
        seed: of the batches.
        backbone_weights: as in `vgg19.build`, where there is no `start`.
        start: a run's or a bundle's folder.
        new_head: take its convolutions alone.

    Returns:
        float32, in the order of `Network.classifier`.

    Raises:
        vgg19.WeightsError: the weights can't be had.
        RunError: the start's layers are not those of the recipe, or a new head has no
            start.
    """
    if start is not None:
        return _go_on(start, new_head, recipe)
    if new_head:
        raise RunError(
            "a new head goes on from a trained network's convolutions; say which with "
            "--from-run RUN or --from-bundle. Without them every head is new."
        )
    built = vgg19.build(backbone_weights, **recipe.network)
    vgg19.freeze(built, recipe.frozen_blocks)
    if recipe.condition:
        batches = Batches(training, recipe, seed)
        some = [batches[step][0] for step in range(min(4, len(batches)))]
        vgg19.condition(built, np.concatenate(some))
    return built.classifier.get_weights()


def _go_on(start: str | Path, new_head: bool, recipe: Recipe) -> list[np.ndarray]:
    trained = vgg19.load(start)
    built = vgg19.build(**recipe.network)
    if new_head:
        built.features.set_weights(trained.features.get_weights())
        return built.classifier.get_weights()
    weights = trained.classifier.get_weights()
    if [w.shape for w in weights] != [w.shape for w in built.classifier.weights]:
        raise RunError(
            f"the network in {start} has other layers than the recipe asks for. "
            "Start from a network with the same hidden_units, or take its "
            "convolutions alone with --new-head."
        )
    return weights
