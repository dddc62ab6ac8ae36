"""What fewer channels and int8 change in the answers, and what they save.

    python benchmarks/fidelity.py DIR [--operations 0.9 0.7 0.5 0.35]

DIR is a data-set folder as for `python -m pneumonia train`. Takes channels away from
the Keras network of the shipped bundle, and compares the graphs with the whole one on
the held-out patients, as they are and under stress. Half an hour.
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from measure import machine, spread, table, take_turns

from pneumonia.contract import BUNDLE
from pneumonia.data import folder, stress
from pneumonia.export import slim
from pneumonia.export.export import SLIM_IMAGES, STRESS_COPIES, calibration_images
from pneumonia.export.int8 import quantise
from pneumonia.figures.metrics import measure
from pneumonia.network import finder, vgg19
from pneumonia.network.finder import Framed
from pneumonia.network.graph import build_graph, run_graph
from pneumonia.outputs import Outputs
from pneumonia.serving.classifier import load_classifier, softmax


def compare(expected: Outputs, found: Outputs) -> list[str]:
    """Return cells: how far two graphs' outputs agree."""
    score, other = (x.logits[:, 1] - x.logits[:, 0] for x in (expected, found))
    pairs = zip(expected.evidence, found.evidence, strict=True)
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs]
    agreed = np.mean((score >= 0) == (other >= 0))
    return [f"{agreed:.1%}", f"{np.mean(alike):.3f}"]


def main() -> None:  # noqa: PLR0915 (one measurement after the other)
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="DIR")
    shares = [0.9, 0.7, 0.5, 0.35]
    parser.add_argument("--operations", type=float, nargs="+", default=shares)
    args = parser.parse_args()
    print(f"{machine()}\n")
    training, validation = folder.split(folder.load(args.source, progress=False))
    calibration = calibration_images(training)
    several = calibration_images(training, SLIM_IMAGES)
    found_by, shipped = finder.load(BUNDLE), load_classifier(threads=1)
    boxes = Framed.by(found_by, validation.images).boxes
    options = {"seed": 1, "boxes": boxes}
    images, labels = validation.images, validation.labels
    copies = stress.mixed_copies(images, labels, STRESS_COPIES, **options)
    views = [folder.as_input(view) for view in itertools.chain([images], copies)]
    whole = build_graph(vgg19.load(), found_by)
    full = slim.count_operations(whole)

    def answer(graph) -> Outputs:
        parts = [run_graph(graph, view) for view in views]
        return Outputs(*map(np.concatenate, zip(*parts, strict=True)))

    def quality(found: Outputs) -> list[str]:
        p, clean = softmax(found.logits, shipped.temperature)[:, 1], len(labels)
        under = [np.tile(part, STRESS_COPIES) for part in (labels, validation.groups)]
        parts = [
            measure(labels, p[:clean], validation.groups, 0.5, rounds=10),
            measure(under[0], p[clean:], under[1], 0.5, rounds=10),
        ]
        names = ["auroc"], ["auroc", "sensitivity", "specificity", "ece"]
        return [
            f"{part[name]['value']:.3f}"
            for part, some in zip(parts, names, strict=True)
            for name in some
        ]

    expected = answer(whole)
    rows, small = [["float32, whole", "1.00", *quality(expected), "", "", ""]], {}
    for share in args.operations:
        begun = time.perf_counter()
        graph = slim.slim(whole, several, share)
        seconds = time.perf_counter() - begun
        left = slim.count_operations(graph) / full
        found = answer(graph)
        agreed = compare(expected, found)
        cells = [f"{left:.2f}", *quality(found), *agreed, f"{seconds:.0f}"]
        rows.append([f"float32, {share}", *cells])
        small[f"{share}"] = quantise(graph, calibration, careful=False)
    ships = shipped.facts["operations"]
    graph = onnx.load(BUNDLE / "classifier.onnx")
    found = answer(graph)
    cells = [f"{ships['left'] / full:.2f}", *quality(found), *compare(expected, found)]
    rows.append(["what ships, int8", *cells, ""])
    head = ["graph", "operations", "AUROC", "AUROC under stress", "sensitivity"]
    head += ["specificity", "ECE", "labels agree", "HiResCAM's maps"]
    print(table([*head, "seconds to make"], rows))

    small = {"1": quantise(whole, calibration, careful=False)} | small
    small["what ships"] = graph
    runs = {}
    for name, graph in small.items():
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        runs[name] = lambda number, session=session: session.run(
            None, {"image": views[0][number : number + 1]}
        )
    seconds, _ = take_turns(runs, 40)
    print("\nOne image in one run, int8, all cores:\n")
    cells = [[name, *spread(values, 1000)] for name, values in seconds.items()]
    print(table(["operations asked for", "ms, median", "10-90 %"], cells))


if __name__ == "__main__":
    main()
