"""Write what README and docs say of figures, files and options from where it is kept.

    make docs

A page names what stands between two marks, `<!-- NAME -->` and `<!-- end -->`; a
function of that name below writes it. `tests/test_readme.py` asks that nothing differs.
"""

import argparse
import ast
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "SECURITY.md", "pneumonia/README.md", *sorted(
    path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md")
))  # fmt: skip
"""Every page that may hold marks."""

sys.path.insert(0, str(ROOT))

from pneumonia import LABELS, arguments, examples  # noqa: E402
from pneumonia.contract import BUNDLE, METHODS  # noqa: E402
from pneumonia.evaluation.calibrate import ERROR  # noqa: E402
from pneumonia.figures.intervals import wilson  # noqa: E402

_MARKED = re.compile(r"(<!-- (\w+) -->)(.*?)(<!-- end -->)", re.DOTALL)
_FACTS = {path.stem: json.loads(path.read_text()) for path in BUNDLE.glob("*.json")}
_REPORT, _ADULTS, _AUDIT = (_FACTS[name] for name in ("report", "adults", "audit"))
_STRESS, _BUNDLED = _REPORT["stress"], _FACTS["bundle"]
_OFFICIAL = _FACTS["official_test"]
_OF_METHOD = {"Grad-CAM": _AUDIT, "HiResCAM": _AUDIT["hirescam"]}
_OLDER = "the weights that shipped before, "
_QUALITY = ("auroc", "accuracy", "sensitivity", "specificity")

SECTIONS: dict[str, Callable[[], str]] = {}
"""What writes each part, by the name in its mark."""


def fill(page: str) -> str:
    """Return a page with everything between its marks written anew.

    Raises:
        KeyError: a mark names no section.
    """
    return _MARKED.sub(lambda found: _section(*found.groups()), page)


def _section(start: str, name: str, _: str, end: str) -> str:
    text = SECTIONS[name]()
    apart = "\n" if "\n" in text else ""  # in a sentence, nothing
    return f"{start}{apart}{text}{apart}{end}"


def _marked(write: Callable[[], str]) -> Callable[[], str]:
    SECTIONS[write.__name__] = write
    return write


def _table(head: list[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _percent(share: float | None) -> str:
    if share is None:
        return ""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def _whole(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def _interval(found: dict | float, n: int | None) -> str:
    """Return a figure and its interval; of a bare share, the one of n counts."""
    if isinstance(found, dict):
        value, ends = found["value"], found["ci95"]
    else:
        value, ends = found, wilson(found, n) if n else None
    return f"{value:.3f}" + (" ({:.3f}-{:.3f})".format(*ends) if ends else "")


def _measured() -> Iterator[tuple[str, dict, int]]:
    """Yield what was measured: the images, their figures, how many they are."""
    worst, families = _STRESS["worst"]["auroc"], _STRESS["families"]
    yield "held-out patients of the training hospital", _REPORT, _REPORT["n"]
    all_of = f"the same under {len(families)} families of stress"
    yield all_of, _STRESS["all"], _REPORT["n"] * len(families)
    lowest = f"the family of the lowest AUROC: {worst}"
    yield lowest, families[worst], families[worst]["n"]
    yield "adults of another hospital, read by radiologists", _ADULTS, _ADULTS["n"]
    which = "" if _OFFICIAL["bundle_sha256"] == _REPORT["bundle_sha256"] else _OLDER
    official = f"the official test split, {which}by somebody who holds it"
    yield official, _OFFICIAL, _OFFICIAL["n"]


@_marked
def quality() -> str:
    """Write how good the answers are."""
    rows = []
    for i, (what, found, n) in enumerate(_measured(), 1):
        healthy, ill = found.get("n_by_label", {}).values() or (None, None)
        counted = dict(zip(_QUALITY, (None, n, ill, healthy), strict=True))
        figures = [_interval(found[name], of) for name, of in counted.items()]
        rows.append([f"{i}. {what}", f"{n:,}", *figures])
    return _table(["images", "n", "AUROC", *_QUALITY[1:]], rows)


@_marked
def xrays() -> str:
    """Write how many real X-rays ship."""
    return str(len(examples()))


@_marked
def band() -> str:
    """Write between which probabilities an answer is uncertain."""
    low, high = (round(100 * p) for p in _REPORT["uncertain_band"])
    return f"from {low} % to {high} %"


@_marked
def uncertain() -> str:
    """Write what became of the uncertain answers."""
    found = _REPORT["band"]
    rest = 1 - found["coverage"], found["error_inside"], found["error_outside"]
    shares = [_whole(share) for share in rest]
    return (
        f"that is {shares[0]} of the answers. Of these, {shares[1]} are wrong, and of "
        f"the others {shares[2]}."
    )


@_marked
def error() -> str:
    """Write which share of certain answers may be wrong."""
    return _percent(ERROR)


@_marked
def called_ill_before() -> str:
    """Write how many healthy children the hardest cut made ill."""
    return _whole(1 - _OFFICIAL["before"]["specificity_cut"])


@_marked
def cut_now() -> str:
    """Write specificity under that cut, on held-out patients."""
    found = _STRESS["families"]["cut all around 12 %"]
    return f"{found['specificity']['value']:.2f}"


@_marked
def lungs_covered() -> str:
    """Write what is left to answer from without lungs."""
    rows = {row["name"]: row for row in _AUDIT["interventions"]}
    return _interval(rows["lungs covered"]["auroc"], None)


@_marked
def fidelity() -> str:
    """Write how close what serves is to Keras."""
    found, operations = _BUNDLED["int8_against_keras"], _BUNDLED["operations"]
    left = _percent(operations["left"] / operations["whole"])
    return (
        f"with {left} of the operations, {_percent(found['label_agreement'])} of the "
        f"labels agree. The largest change of a probability is "
        f"{found['largest_probability_change']:.3f}. The maps correlate "
        f"{found['mean_map_correlation']:.3f} (Grad-CAM) and "
        f"{found['mean_evidence_correlation']:.3f} (HiResCAM) on average."
    )


@_marked
def maps_judged() -> str:
    """Write which maps show the evidence of their own image."""
    lines = []
    for method in METHODS:
        for label in LABELS:
            gains = _OF_METHOD[method]["hottest_covered"][label]["more_than"].values()
            shows = all(gain["ci95"][0] > 0 for gain in gains)
            lines.append(f"- {method} with {label}: {'yes' if shows else 'no'}.")
    return "\n".join(lines)


@_marked
def import_rule() -> str:
    """Write which room may import from which."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "helpers")]
    from test_house import MAY_IMPORT

    rows = []
    for room, others in MAY_IMPORT.items():
        rows.append([f"`{room}`", ", ".join(sorted(others)) or "nothing"])
    return _table(["room", "may import from"], rows)


@_marked
def rooms() -> str:
    """Write what each room is for, as its first line says."""
    inits = sorted(ROOT.glob("pneumonia/*/__init__.py"))
    return "\n".join(f"- `{path.parent.name}`: {_first_line(path)}" for path in inits)


@_marked
def files() -> str:
    """Write what each file holds, as its first line says."""
    rooms = sorted(path.parent for path in ROOT.glob("pneumonia/**/__init__.py"))
    parts = []
    for room in rooms:
        lines = [
            f"- `{path.name}`: {_first_line(path)}"
            for path in sorted(room.glob("*.py"))
            if path.stem != "__init__"
        ]
        name = room.relative_to(ROOT).as_posix()
        parts.append(f"### `{name}/`\n\n" + "\n".join(lines))
    return "\n" + "\n\n".join(parts) + "\n"


def _first_line(path: Path) -> str:
    said = ast.get_docstring(ast.parse(path.read_text())) or ""
    return said.partition("\n")[0]


@_marked
def attributes() -> str:
    """Write how many attributes of a DICOM file are read."""
    from pneumonia.reading.dicom import header as dicom

    return str(len(dicom._ATTRIBUTES))


@_marked
def options_of_train() -> str:
    """Write the options of `train`."""
    return _options(arguments.build(defaultdict(lambda: print)), "train")


def _options(whole: argparse.ArgumentParser, command: str) -> str:
    kind = argparse._SubParsersAction
    (subs,) = (action for action in whole._actions if isinstance(action, kind))
    rows = []
    for action in subs.choices[command]._actions:
        names = [name for name in action.option_strings if name.startswith("--")]
        if not names or names == ["--help"]:
            continue
        value = action.metavar or "|".join(action.choices or ()) or ""
        if action.nargs == 0:
            value = ""
        words = f"{names[0]} {value}".strip().replace("|", r"\|")
        rows.append([f"`{words}`", (action.help or "").replace("|", r"\|")])
    return _table(["option", "what it does"], rows)


def main() -> None:
    """Write all pages anew; say which ones changed."""
    for name in PAGES:
        path = ROOT / name
        page = path.read_text(encoding="utf-8")
        if (filled := fill(page)) != page:
            path.write_text(filled, encoding="utf-8")
            print(f"{name} written")


if __name__ == "__main__":
    main()
