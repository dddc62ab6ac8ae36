"""Images per second of each stage of training, on this machine.

    python benchmarks/training.py DIR [--precision mixed_bfloat16] [--rounds 7]

DIR is a data-set folder as for `python -m pneumonia train`. Weights are random: they
take the same time. Prints the median of the rounds, and their range.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from pneumonia.data import folder, layout
from pneumonia.network import finder, vgg19
from pneumonia.network.finder import Framed
from pneumonia.reading.image import read_image, to_input
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
    files = [path for path, _ in layout.look(args.source).images][:: 5000 // 64][:64]
    contents = [path.read_bytes() for path in files]
    dataset = folder.load(args.source).subset(np.arange(0, 4000, 60))
    found_by = finder.build()
    framed = Framed.by(found_by, dataset.images)
    adjusted = adjust(recipe, {"images_per_epoch": "64"})
    batches = Batches(framed, dataset.labels, adjusted)
    batch, labels = batches[0]
    size = len(batch)

    keras.config.set_dtype_policy(args.precision)
    built = vgg19.build(**recipe.network)
    vgg19.freeze(built, recipe.frozen_blocks)
    compile_network(built.classifier, recipe, steps=1000)
    stages = {
        "read and squash a file (once per run)": (
            lambda: [to_input(read_image(content)) for content in contents],
            len(contents),
        ),
        "find the lungs (once per run)": (
            lambda: finder.find(found_by, dataset.images),
            len(dataset.images),
        ),
        "crop and change, one process": (lambda: batches[0], size),
        "whole network, forward": (
            lambda: built.classifier.predict_on_batch(batch),
            size,
        ),
        "training step": (
            lambda: built.classifier.train_on_batch(batch, labels),
            size,
        ),
        "both, one process": (
            lambda: built.classifier.train_on_batch(*batches[0]),
            size,
        ),
    }
    print(
        f"{args.precision}, batches of {size}, {args.rounds} rounds, "
        f"{os.cpu_count()} cores\n"
    )
    print("| stage | images/s, median | lowest | highest |\n| --- | --- | --- | --- |")
    for name, (stage, images) in stages.items():
        rates = rate(stage, images, args.rounds)
        print(
            f"| {name} | {np.median(rates):.0f} | {min(rates):.0f} | {max(rates):.0f} |"
        )


if __name__ == "__main__":
    main()
