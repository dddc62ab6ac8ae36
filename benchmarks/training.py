"""Images per second of each stage of training, on this machine.

    python benchmarks/training.py DIR [--precision mixed_bfloat16] [--rounds 7]

DIR is a data-set folder as for `python -m pneumonia train`. Weights are random: they
take the same time. Prints the median of the rounds, and their range.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from pneumonia.data import folder, layout
from pneumonia.network import vgg19
from pneumonia.serving.image import read_image, to_input
from pneumonia.training.cache import CachedBatches, compute
from pneumonia.training.recipe import RECIPES
from pneumonia.training.sampling import Batches
from pneumonia.training.settings import adjust
from pneumonia.training.train import compile_network


def rate(stage: Callable[[], object], images: int, rounds: int) -> list[float]:
    """Return images per second of each round, after one that does not count."""
    stage()
    rates = []
    for _ in range(rounds):
        begun = time.perf_counter()
        stage()
        rates.append(images / (time.perf_counter() - begun))
    return rates


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--precision", default="mixed_bfloat16")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    recipe = RECIPES["default"]
    files = [path for path, _ in layout.find_images(args.source)][:: 5000 // 64][:64]
    contents = [path.read_bytes() for path in files]
    dataset = folder.load(args.source).subset(np.arange(0, 4000, 60))
    batches = Batches(dataset, adjust(recipe, {"images_per_epoch": "64"}))
    batch, labels = batches[0]
    size = len(batch)

    keras.config.set_dtype_policy(args.precision)
    built = vgg19.build(**recipe.network)
    vgg19.freeze(built, recipe.frozen_blocks)
    front, tail = vgg19.cut(built, recipe.frozen_blocks)
    for model in (built.classifier, tail):
        compile_network(model, recipe, steps=1000)
    features = compute(front, batch)
    cached = CachedBatches(front, dataset, adjust(recipe, {"cached_views": "1"}))
    stages = {
        "read and resize a file (once per run)": (
            lambda: [to_input(read_image(content)) for content in contents],
            len(contents),
        ),
        "augment": (lambda: batches[0], size),
        "frozen blocks 1-3, forward": (lambda: front.predict_on_batch(batch), size),
        "whole network, forward": (
            lambda: built.classifier.predict_on_batch(batch),
            size,
        ),
        "training step": (
            lambda: built.classifier.train_on_batch(batch, labels),
            size,
        ),
        "training step on cached features": (
            lambda: tail.train_on_batch(features, labels),
            size,
        ),
        "augment and training step": (
            lambda: built.classifier.train_on_batch(*batches[0]),
            size,
        ),
        "cached batch and training step": (
            lambda: tail.train_on_batch(*cached[0]),
            size,
        ),
    }
    print(f"{args.precision}, batches of {size}, {args.rounds} rounds\n")
    print("| stage | images/s, median | lowest | highest |\n| --- | --- | --- | --- |")
    for name, (stage, images) in stages.items():
        rates = rate(stage, images, args.rounds)
        print(
            f"| {name} | {np.median(rates):.0f} | {min(rates):.0f} | {max(rates):.0f} |"
        )


if __name__ == "__main__":
    main()
