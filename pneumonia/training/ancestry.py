"""How a run came to be: the plans of all that it goes on from, its own the last.

`run.json` and `bundle.json` keep it as a list. Each of its steps is what was asked for,
with all paths left out, and names earlier steps by their places. `study/card.py` writes
commands from it.
"""

import argparse
import json
import shlex
from collections.abc import Sequence
from dataclasses import MISSING, asdict, fields
from typing import TYPE_CHECKING, Any, NoReturn

from .plan import Plan, flag

if TYPE_CHECKING:  # it loads Keras, which the card can do without
    from .recipe import Recipe

Step = dict[str, Any]
"""What was asked for: `command` is `train` or `average`.

An `unknown` one is a `line` of before that no version reads now. Of `average`: `runs`,
the places of the runs. Of `train`: `start`, the place of the run
that it went on from, or None; `changes` of the recipe, as text; `settings`, all that
came of it, or None where that is not known; whether `extra` X-rays and a `finder` were
named; and fields of `Plan`.
"""

ASKED = ("recipe", "new_head", "leave_out", "seed", "precision", "devices")
"""Fields of `Plan` that a step repeats as they are."""

_WEIGHTS = ("imagenet", "random")  # others are a file of this machine


def of_plan(plan: Plan, recipe: "Recipe", start: dict | None) -> list[Step]:
    """Return the ancestry of a run that begins.

    Args:
        plan: what was asked for.
        recipe: what came of it.
        start: the record of the run or bundle that it goes on from, if any.
    """
    steps = [_by_now(step) for step in of(start)] if start else []
    settings = json.loads(json.dumps(asdict(recipe)))
    own = _asked(plan) | {"settings": settings}
    return [*steps, own | {"start": len(steps) - 1} if steps else own]


def _asked(plan: Plan) -> Step:
    """Return a plan as a step that goes on from nothing, without paths."""
    weights = str(plan.backbone_weights)
    weights = weights if weights in _WEIGHTS else "WEIGHTS"
    return {
        "command": "train",
        "start": None,
        **{name: getattr(plan, name) for name in ASKED},
        "backbone_weights": None if plan.start is not None else weights,
        "changes": plan.changes,
        "extra": plan.extra is not None,
        "finder": plan.finder is not None,
        "settings": None,
    }


def _by_now(step: Step) -> Step:
    """Return a step that also asks for what its recipe says otherwise by now."""
    if not step.get("settings"):  # of an average, or not known
        return step
    from .recipe import Recipe, find

    today = json.loads(json.dumps(asdict(find(step["recipe"]))))
    # a setting that is younger than the run is what it does where nobody names it
    younger = {
        field.name: field.default
        for field in fields(Recipe)
        if field.name not in step["settings"] and field.default is not MISSING
    }
    moved = {
        name: _as_text(value)
        for name, value in (younger | step["settings"]).items()
        if name not in step["changes"] and today.get(name, value) != value
    }
    return step | {"changes": step["changes"] | moved}


def _as_text(value: object) -> str:
    parts = value if isinstance(value, list) else [value]
    return ",".join("none" if part is None else str(part).lower() for part in parts)


def of_average(records: Sequence[dict]) -> list[Step]:
    """Return the ancestry of the mean of runs; what several came from stands once."""
    steps: list[Step] = []
    ends = []
    for record in records:
        places: list[int] = []
        for step in map(_by_now, of(record)):
            moved = _moved(step, places)
            if moved not in steps:
                steps.append(moved)
            places.append(steps.index(moved))
        ends.append(places[-1])
    return [*steps, {"command": "average", "runs": ends}]


def _moved(step: Step, places: Sequence[int]) -> Step:
    """Return a step whose earlier ones stand elsewhere."""
    if step["command"] == "average":
        return step | {"runs": [places[run] for run in step["runs"]]}
    if step.get("start") is None:
        return step
    return step | {"start": places[step["start"]]}


def of(record: dict) -> list[Step]:
    """Return the ancestry of a run or a bundle.

    Args:
        record: its `run.json`, or `training` of its `bundle.json`. Those of before
            December 2026 hold commands, in lines of text.
    """
    if "ancestry" in record:
        return record["ancestry"]
    known = {name: record[name] for name in ("recipe", "seed", "precision")}
    if "repeat" not in record:
        return [_asked(Plan("DIR", "RUN", **known)) | {"settings": record["settings"]}]
    lines = f"{record.get('before', '')}\n{record['repeat']}".split("\n")
    steps: list[Step] = []
    places: dict[str, int] = {}
    for line in filter(None, lines):
        try:
            step, out = _read(line, places)
        except (ValueError, KeyError):  # an option of before, or a run of before that
            step, out = {"command": "unknown", "line": line}, ""
        places[out] = len(steps)
        steps.append(step)
    if steps[-1]["command"] == "train":
        steps[-1]["settings"] = record["settings"]
    return steps


def _read(line: str, places: dict[str, int]) -> tuple[Step, str]:
    """Return a command as a step, and what its run was called."""
    _, _, _, command, *words = shlex.split(line)
    parser = _Parser()
    if command == "average":
        parser.add_argument("runs", nargs="+")
        parser.add_argument("--out")
        asked = parser.parse_args(words)
        runs = [places[run] for run in asked.runs]
        return {"command": command, "runs": runs}, asked.out
    for option in fields(Plan):
        how: dict[str, Any] = {k: v for k, v in option.metadata.items() if k != "flag"}
        if option.name != "source":  # which is positional
            how["dest"] = option.name
        parser.add_argument(flag(option), default=argparse.SUPPRESS, **how)
    plan = Plan(**vars(parser.parse_args(words)))
    start = None if plan.start is None else places[str(plan.start)]
    return _asked(plan) | {"start": start}, str(plan.out)


class _Parser(argparse.ArgumentParser):
    """One that raises where it would end the program."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)
