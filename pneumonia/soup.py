"""Several runs from one start, averaged into one network.

The mean of weights that were trained on from the same start often generalises better
than each of them, at no cost in use (model soups; Wortsman et al., ICML 2022).
"""

import json
import shlex
from pathlib import Path

from . import network
from .runs import RunError


def average(runs: list[str | Path], out: str | Path) -> Path:
    """Average the networks of runs, each weight by itself.

    Args:
        runs: folders of at least two runs that went on from the same network.
        out: folder of the new run, which `export` takes like any other.

    Returns:
        `out`.

    Raises:
        RunError: fewer than two runs, runs of different networks or starts, or a run in
            `out` already.
        network.WeightsError: a folder holds no trained network.
    """
    runs, out = [Path(run) for run in runs], Path(out)
    if len(runs) < 2:
        raise RunError(f"an average takes at least two runs, got {len(runs)}.")
    if any((out / f"{name}.weights.h5").exists() for name in ("best", "last")):
        raise RunError(f"{out} holds a run already. Choose another --out.")
    mixed = network.load(runs[0])
    weights = mixed.classifier.get_weights()
    records = [json.loads((run / "run.json").read_text()) for run in runs]
    for name in ("network", "started_from"):
        if any(record[name] != records[0][name] for record in records):
            raise RunError(
                f"these runs differ in {name}; only weights of one network, trained on "
                "from one start, have a mean that means something."
            )
    for run in runs[1:]:
        for total, more in zip(
            weights, network.load(run).classifier.get_weights(), strict=True
        ):
            total += more
    mixed.classifier.set_weights([total / len(runs) for total in weights])
    out.mkdir(parents=True, exist_ok=True)
    mixed.classifier.save_weights(out / "best.weights.h5")
    names = [run.name for run in runs]
    trained = [
        record["repeat"].replace("--out RUN", f"--out {shlex.quote(name)}")
        for record, name in zip(records, names, strict=True)
    ]
    record = records[0] | {
        "command": _command(map(str, runs), str(out)),
        "repeat": "\n".join([*trained, _command(names, "RUN")]),
        "averaged": names,
    }
    (out / "run.json").write_text(json.dumps(record, indent=2))
    return out


def _command(runs, out: str) -> str:
    return shlex.join(["python", "-m", "pneumonia", "average", *runs, "--out", out])
