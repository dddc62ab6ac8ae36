"""Choose the real X-rays that ship: by a rule, and not by beauty.

They are of held-out patients, one of each. The answer to each is certain and right,
certain and wrong, or uncertain; with the two truths that makes six strata. Within a
stratum the order is that of a hash of the file's name. So wrong and uncertain answers
are far more frequent among them than among all held-out X-rays.
"""

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from .. import kept
from ..contract import EXAMPLES, LABELS
from ..data import folder
from ..reading.image import read_image
from ..reading.picture import ImageError
from ..serving.classifier import Classifier, load_classifier
from ..serving.examples import COLUMNS
from ..serving.prediction import predict

EACH = 5
"""How many of each stratum, if it has so many."""

SHOWN = ("right Normal", "right Pneumonia") * 2 + ("wrong", "uncertain")
"""Strata of those that the demo offers; two of them take either truth."""

SIDE, BYTES = 512, 40_000
"""Largest side in pixels, and largest file."""

SOURCE = (
    "Kermany, Zhang, Goldbaum, Mendeley Data, doi 10.17632/rscbjbr9sj, CC BY 4.0; "
    "renamed, reduced"
)


def write(
    source: str | Path, out: str | Path = EXAMPLES, bundle: str | Path | None = None
) -> list[dict[str, str]]:
    """Choose X-rays and write them with `examples.csv`.

    Args:
        source: the data-set folder that the bundle was trained on.
        out: folder that they go to; examples that lie there already are replaced.
        bundle: as in `load_classifier`; its answers choose.

    Returns:
        The rows of `examples.csv`.

    Raises:
        layout.DataError, BundleError: source or bundle can't be used.
    """
    _, held_out = folder.split(folder.load(source))
    _, firsts = np.unique(held_out.groups, return_index=True)  # one of each patient
    files = {
        path.name: (LABELS[held_out.labels[index]], reduced(path.read_bytes()))
        for index in firsts
        for path in [Path(source) / held_out.names[index]]
    }
    chosen = choose(sort(files, load_classifier(bundle)))
    rows = []
    with kept.all_of(out) as place:
        for number, (name, shown) in enumerate(chosen, start=1):
            truth, data = files[name]
            file = f"xray-{number:02}.jpeg"
            (place / file).write_bytes(data)
            values = file, truth, "yes" if shown else "no", name, SOURCE
            rows.append(dict(zip(COLUMNS, values, strict=True)))
        with (place / "examples.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
    for old in {*Path(out).glob("*.jpeg")} - {Path(out) / row["file"] for row in rows}:
        old.unlink()
    return rows


def sort(
    files: dict[str, tuple[str, bytes]], classifier: Classifier
) -> dict[str, list[str]]:
    """Return the names of each stratum, such as "wrong Normal", in their order.

    Args:
        files: name -> truth and content. Those that get no answer are left out.
        classifier: what answers.
    """
    strata: dict[str, list[str]] = {}
    for name, (truth, data) in files.items():
        try:
            found = predict(classifier, data)
        except ImageError:
            continue
        right = "right" if found.label == truth else "wrong"
        kind = right if found.certain else "uncertain"
        strata.setdefault(f"{kind} {truth}", []).append(name)
    return {stratum: sorted(names, key=_digest) for stratum, names in strata.items()}


def choose(strata: dict[str, list[str]]) -> list[tuple[str, bool]]:
    """Return names, and whether the demo offers them; those that it offers first."""
    left = {stratum: names[:EACH] for stratum, names in strata.items()}
    shown = []
    for kind in SHOWN:
        fitting = [s for s, names in left.items() if s.startswith(kind) and names]
        if fitting:
            first = min(fitting, key=lambda s: _digest(left[s][0]))
            shown.append(left[first].pop(0))
    rest = [name for names in left.values() for name in names]
    return [
        (name, part is shown)
        for part in (shown, rest)
        for name in sorted(part, key=_digest)
    ]


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def reduced(data: bytes) -> bytes:
    """Return a JPEG file within `SIDE` and `BYTES`; as it is, if it is one."""
    pixels = read_image(data)
    if len(data) <= BYTES and max(pixels.shape) <= SIDE and data[:2] == b"\xff\xd8":
        return data
    picture = Image.fromarray(pixels)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    for quality in range(92, 0, -6):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        if file.tell() <= BYTES:
            break
    return file.getvalue()
