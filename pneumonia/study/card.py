"""MODEL_CARD.md: the template `card.md.j2`, filled in from measured JSON files.

The order of its sections follows Mitchell et al., "Model Cards for Model Reporting",
FAT* 2019.
"""

import json
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

import jinja2

from .. import contract, kept
from ..data.reframing import CUTS
from ..evaluation.calibrate import ERROR
from ..figures.metrics import METRICS, SHOWN
from ..serving.classifier import shows_evidence
from ..training import ancestry
from ..training.plan import Plan

_COMMANDS = {
    "bundle": "export RUN --out BUNDLE",
    "report": "evaluate DIR/train --out OUT --validation-only --stress",
    "audit": "audit DIR/train --out OUT --validation-only",
    "adults": "evaluate ADULTS/read --out OUT",
    "finder": "evaluate-finder DIR/train --masks MASKS --run FINDER --out OUT",
}

FRAMINGS = (*CUTS, "framed like the other class", "letterbox", "aspect and crop")
"""Families of stress that frame the lungs in another way."""


class CardError(ValueError):
    """The measurements are missing or about something else; says the command."""


def write_card(
    bundle: str | Path | None = None,
    *,
    report: str | Path | None = None,
    audit: str | Path | None = None,
    ablation: str | Path | None = None,
    adults: str | Path | None = None,
    test: str | Path | None = None,
) -> str:
    """Write the model card of a bundle.

    Args:
        bundle: its folder; None: the one that ships. `finder.json` of `evaluate-finder`
            is taken where it stands there.
        report: `report.json` of `evaluate --validation-only --stress`. None, here and
            for the next three: the file of that name beside `bundle.json`.
        audit: `audit.json` of `audit`.
        ablation: `ablation.json` of `ablate`.
        adults: `report.json` of `evaluate` on adults.
        test: `report.json` of `evaluate` on the official test split. Its figures
            replace those of `official_test.json` beside `bundle.json`.

    Returns:
        Markdown.

    Raises:
        CardError: `bundle.json`, the report or a file that was named is missing,
            damaged, incomplete or about other weights.
    """
    folder = Path(bundle or contract.BUNDLE)
    facts = _read(folder / "bundle.json")
    sha = facts["weights"].get("graph", facts["weights"])["sha256"]
    found = {"facts": facts} | ({"test": _read(test, sha)} if test else {})
    named = {"report": report, "audit": audit, "ablation": ablation, "adults": adults}
    for name, path in named.items():
        beside = folder / f"{name}.json"
        if path or name == "report" or beside.exists():
            found[name] = _read(path or beside, None if name == "ablation" else sha)
    if not found["report"]["validation_only"]:
        raise CardError(
            "The report is about images that the network learned from. Expected the "
            f"held-out patients: python -m pneumonia {_COMMANDS['report']}"
        )
    if (path := folder / "finder.json").exists():
        found["finder"] = _read(path, facts["finder"]["sha256"], "sha256")
    path = folder / "official_test.json"
    official = _read(path) if path.exists() else {}
    is_ours = official.get("bundle_sha256") == sha
    found["official"] = (official if is_ours else {}) | found.get("test", {})
    try:
        card = _TEMPLATES.get_template("card.md.j2").render(found)
    except jinja2.UndefinedError as error:
        raise CardError(f"The files lack a measurement: {error}.") from error
    # blank lines about a heading, and never two of them: the template need not care
    card = re.sub("^## .*$", r"\n\g<0>\n", card, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", card)


def write_page(out: Path, bundle: str | Path | None = None, **measured) -> None:
    """Write the folder of a model's page on the Hugging Face Hub: bundle and card.

    Args:
        out: a folder; files of the bundle that it holds are replaced.
        bundle: as in `write_card`.
        **measured: what else `write_card` takes.

    Raises:
        CardError: as `write_card`.
        kept.KeepError: nothing can be written to `out`.
    """
    card = write_card(bundle, **measured)
    kept.check(out)
    with kept.all_of(out) as place:
        for file in Path(bundle or contract.BUNDLE).iterdir():
            if file.suffix in (".json", ".onnx", ".h5"):
                shutil.copy(file, place)
        (place / "README.md").write_text(card, encoding="utf-8")


def _read(
    path: str | Path, sha256: str | None = None, key: str = "bundle_sha256"
) -> dict:
    path = Path(path)
    make = _COMMANDS.get(path.stem)
    mend = f" Make it with `python -m pneumonia {make}`." if make else ""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CardError(f"{path} can't be read: {error.strerror}.{mend}") from error
    except ValueError as error:
        raise CardError(f"{path} is damaged: {error}.{mend}") from error
    if not isinstance(found, dict):
        raise CardError(f"{path} holds no measurements.{mend}")
    if sha256 and (came := found.get(key)) != sha256:
        raise CardError(
            f"{path} is about other weights ({str(came)[:12]}) than bundle.json "
            f"({sha256[:12]}).{mend}"
        )
    return found


def map_verdict(method: str, label: str, found: dict) -> tuple[bool, str]:
    """Judge the maps of one answer by what covering their hottest part costs.

    Args:
        method: what drew them.
        label: the answer.
        found: what `cover_hottest` says of it.

    Returns:
        Whether they show where their own image's evidence is, and a sentence.
    """
    beats = {name: of["ci95"][0] > 0 for name, of in found["more_than"].items()}
    is_faithful = shows_evidence(found)
    if is_faithful:
        shown = "where the evidence in their own image is"
    elif beats["elsewhere"]:
        shown = "where evidence lies on average: another image's map finds it as well"
    else:
        shown = "no place that matters more than the same outline at a random place"
    return is_faithful, f"{method}'s maps of the answer {label} show {shown}"


def write(value: object) -> str:
    """Write what a pair of braces in the template holds.

    A list fills the cells of a table's row. A figure stands with its 95 % interval, or
    with its spread over seeds where there are several.
    """
    if isinstance(value, jinja2.Undefined):
        return "not measured"
    if value is None or value != value:  # NaN differs from itself
        return "not measurable"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return " | ".join(map(write, value))
    if not isinstance(value, dict):
        return str(value)
    if "ci95" in value:
        low, high = value["ci95"]
        known = f" ({low:.3f} to {high:.3f})" if low == low else ""
        return write(value["value"]) + known
    spread = "" if value["spread"] is None else f" ({write(value['spread'])})"
    return write(value["mean"]) + spread


def share(value: float | None, digits: int = 1) -> str:
    """Write a share in [0, 1] in per cent."""
    text = write(value)
    return text if text[:3] == "not" else f"{value:.{digits}%}".replace("%", " %")


def term(key: str) -> str:
    """Write a key of a JSON file as readers know it."""
    return key.replace("_", " ").replace("auroc", "AUROC").replace("ece", "ECE")


def pick(found: dict, keys: list[str]) -> list:
    """List what a dictionary holds under some keys."""
    return [found.get(key, jinja2.Undefined(name=key)) for key in keys]


def commands(training: dict) -> list[str]:
    """Return the commands that make a run again, by what its bundle says of it.

    Runs are called RUN1, RUN2 and so on, and the last one RUN. DIR, EXTRA, FINDER and
    WEIGHTS stand for what was read.
    """
    steps = ancestry.of(training)
    names = [f"RUN{number}" for number in range(1, len(steps))] + ["RUN"]
    return [_command(step, out, names) for step, out in zip(steps, names, strict=True)]


def _command(step: ancestry.Step, out: str, names: Sequence[str]) -> str:
    if "line" in step:
        return step["line"]
    if step["command"] == "average":
        runs = [names[place] for place in step["runs"]]
        return shlex.join(["python", "-m", "pneumonia", "average", *runs, "--out", out])
    return Plan(
        source="DIR/train",
        out=out,
        settings=step["changes"],
        start=None if step["start"] is None else names[step["start"]],
        extra="EXTRA" if step["extra"] else None,
        finder="FINDER" if step["finder"] else None,
        backbone_weights=step["backbone_weights"] or "imagenet",
        **{name: step[name] for name in ancestry.ASKED},
    ).command


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=jinja2.ChainableUndefined,
    finalize=write,
)
_TEMPLATES.filters |= {"share": share, "term": term, "pick": pick}
_TEMPLATES.globals |= {"contract": contract, "METRICS": METRICS, "SHOWN": list(SHOWN)}
_TEMPLATES.globals |= {"commands": commands}
_TEMPLATES.globals |= {"verdict": map_verdict, "FRAMINGS": FRAMINGS, "ERROR": ERROR}
