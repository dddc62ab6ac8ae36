"""What int8 changes in the answers, and which of its steps prevents how much.

    python benchmarks/fidelity.py DIR

DIR is a data-set folder as for `python -m pneumonia train`. Takes the Keras weights of
the shipped bundle through each way of becoming int8 and compares with float32 on the
held-out patients. Ten minutes.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime
from measure import machine, spread, table, take_turns
from sklearn.metrics import roc_auc_score

from pneumonia.contract import BUNDLE
from pneumonia.data import folder
from pneumonia.evaluation.evaluate import run_all
from pneumonia.export.export import calibration_images
from pneumonia.export.int8 import EVENNESS, FLOAT_LAYERS, quantise
from pneumonia.network import finder, vgg19
from pneumonia.network.graph import build_graph, run_graph
from pneumonia.serving.classifier import Outputs, load_classifier

PLAIN = {"float_layers": (), "evenness": 0, "careful": False}
WAYS = {
    "int8 as ONNX Runtime's tool makes it": PLAIN,
    "+ first layer float": PLAIN | {"float_layers": FLOAT_LAYERS},
    "+ channels evened out": {"careful": False},
    "+ weights rounded with care": {},
    "the same, channels evened out more": {"evenness": (1 + EVENNESS) / 2},
}


def compare(expected: Outputs, found: Outputs, labels: np.ndarray) -> list[str]:
    """Return the cells of a row: what differs between two graphs' outputs."""
    score, other_score = (x.logits[:, 1] - x.logits[:, 0] for x in (expected, found))
    rows, shown = np.arange(len(labels)), (score >= 0).astype(int)
    pairs = zip(expected.maps[rows, shown], found.maps[rows, shown], strict=True)
    alike = [
        np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs if a.any() and b.any()
    ]
    finer = [
        np.corrcoef(a.ravel(), b.ravel())[0, 1]
        for a, b in zip(expected.evidence, found.evidence, strict=True)
    ]
    aurocs = [roc_auc_score(labels, x) for x in (score, other_score)]
    return [
        f"{np.mean((score >= 0) == (other_score >= 0)):.2%}",
        f"{aurocs[1] - aurocs[0]:+.5f}",
        f"{np.abs(score - other_score).mean():.4f}",
        f"{np.mean(alike):.4f}",
        f"{np.quantile(alike, 0.01):.3f}",
        f"{np.median(alike):.4f}",
        f"{np.mean(finer):.4f}",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="DIR")
    args = parser.parse_args()
    print(f"{machine()}\n")
    training, validation = folder.split(folder.load(args.source, progress=False))
    calibration = calibration_images(training)
    inputs, labels = validation.inputs(), validation.labels
    full = build_graph(vgg19.load(), finder.load(BUNDLE))
    expected = run_graph(full, inputs)
    rows, graphs = [], {"float32": full}
    for name, options in WAYS.items():
        begun = time.perf_counter()
        graphs[name] = quantise(full, calibration, **options)
        seconds = time.perf_counter() - begun
        found = run_graph(graphs[name], inputs)
        rows.append([name, *compare(expected, found, labels), f"{seconds:.0f}"])
    found = run_all(load_classifier(), validation.images, progress=False)
    rows.append(["what ships", *compare(expected, found, labels), ""])
    head = ["way", "labels agree", "AUROC", "mean change of the logits' difference"]
    head += ["map correlation, mean", "1 % below", "median", "HiResCAM's, mean"]
    head += ["seconds to make"]
    print(table(head, rows))
    sessions = {
        name: onnxruntime.InferenceSession(graph.SerializeToString())
        for name, graph in graphs.items()
    }
    runs = {
        name: lambda number, session=session: session.run(
            None, {"image": inputs[number : number + 1]}
        )
        for name, session in sessions.items()
    }
    seconds, _ = take_turns(runs, 40)
    print("\nOne image in one run:\n")
    cells = [[name, *spread(values, 1000)] for name, values in seconds.items()]
    print(table(["graph", "ms, median", "10-90 %"], cells))


if __name__ == "__main__":
    main()
