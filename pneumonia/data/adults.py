"""Lay out X-rays of adults by a table: children out, radiologists' classes first.

NIH's labels were mined from reports. Of some of its X-rays radiologists said the class
for the RSNA Pneumonia Challenge (Shih et al., Radiology: Artificial Intelligence 2019),
and where the two differ, the radiologists count.
"""

import csv
import shutil
from collections import Counter
from pathlib import Path

from .layout import CLASSES, DataError, look
from .patients import patients_of

ADULT = 18
"""Age in years from which somebody is no child."""

_READ = {"Normal": CLASSES[0], "Lung Opacity": CLASSES[1]}
_NEITHER = "No Lung Opacity / Not Normal"


def lay_out(source: str | Path, table: str | Path, out: str | Path) -> dict[str, int]:
    """Copy adults into data sets of their own.

    `out/read` holds those whom radiologists called normal or opaque, `out/mined` all
    pictures of patients none of whose pictures they read. So a network that was trained
    on the second can be measured on the first.

    Args:
        source: data-set folder, as in `layout.look`.
        table: CSV file with the columns `file` (path in `source`), `age` (years), and
            one whose name begins with `class`: `Normal`, `Lung Opacity`,
            `No Lung Opacity / Not Normal`, or empty where nobody read the picture.
        out: folder that is not there yet, or is empty.

    Returns:
        How many pictures went where, or why they were left out.

    Raises:
        DataError: there is no data set, the table lacks a column or holds a value that
            is none of these, or `out` holds something.
    """
    source, out = Path(source), Path(out)
    rows = _rows(Path(table))
    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out} is not empty. Name a new folder.")
    layout = look(source)
    names = [path.relative_to(source).as_posix() for path, _ in layout.images]
    if rows.keys().isdisjoint(names):
        raise DataError(
            f"{table} names no picture of {source}. Expected paths like {names[0]} "
            "in its column file."
        )
    who = dict(zip(names, patients_of(layout.below_class()), strict=True))
    read = {who[name] for name in names if name in rows and rows[name][1]}
    counts: Counter[str] = Counter()
    for name, (path, index) in zip(names, layout.images, strict=True):
        if name not in rows:
            counts["left out, not in the table"] += 1
            continue
        age, seen = rows[name]
        if age < ADULT:
            counts["left out, a child"] += 1
        elif seen == _NEITHER:
            counts["left out, neither normal nor opaque"] += 1
        elif not seen and who[name] in read:
            counts["left out, another picture of the patient was read"] += 1
        else:
            to = out / ("read" if seen else "mined") / _READ.get(seen, CLASSES[index])
            to.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to / path.name)
            counts[f"{to.parent.name}/{to.name}"] += 1
    return dict(sorted(counts.items()))


def _rows(table: Path) -> dict[str, tuple[float, str]]:
    """Return age and radiologists' class by file."""
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        read = next((name for name in columns if name.startswith("class")), None)
        if read is None or not {"file", "age"} <= set(columns):
            raise DataError(
                f"{table} has the columns {', '.join(columns) or 'none'}; expected "
                "file, age, and one whose name begins with class."
            )
        return {row["file"]: _row(row, read, table) for row in reader}


def _row(row: dict[str, str], read: str, table: Path) -> tuple[float, str]:
    try:
        age, seen = float(row["age"]), (row[read] or "").strip()
    except (ValueError, TypeError):
        raise DataError(
            f"{table} has the age {row['age']!r} for {row['file']}; expected years."
        ) from None
    if seen not in {"", _NEITHER, *_READ}:
        expected = ", ".join([*_READ, _NEITHER])
        raise DataError(
            f"{table} has the class {seen!r} for {row['file']}; expected {expected}, "
            "or nothing."
        )
    return age, seen
