"""The plan of a run: what `python -m pneumonia train` is asked for.

Each option stands here once. The command line, `train.train` and the record in
`run.json` are made from it. Only the standard library is imported, because every
command builds the command line.
"""

import argparse
import shlex
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any


def _option(text: str, default: Any = MISSING, **how: Any) -> Any:
    """Return a field; `how` are arguments of `add_argument`, and its `flag`."""
    return field(default=default, metadata={"help": text, **how})


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


@dataclass(frozen=True)
class Plan:
    """What is trained, from what, and where the run is kept.

    Each field is an option of the command line, and is described there. Paths may be
    given as text.
    """

    source: str | Path = _option(
        "folder with NORMAL/ and PNEUMONIA/ (or train/...), or arrays .npz",
        flag="source",
        type=Path,
    )
    out: str | Path = _option("run folder", type=Path, metavar="RUN", required=True)
    recipe: str = _option(
        "one of pneumonia/training/recipe.py; an unknown name lists them "
        "(default: default)",
        "default",
    )
    backbone_weights: str | Path = _option(
        "where VGG19 starts (default: imagenet, downloaded once)",
        "imagenet",
        metavar="imagenet|random|PATH",
    )
    epochs: int | None = _option("most epochs", None, type=int, metavar="N")
    settings: dict[str, str] = _option(
        "change one setting of the recipe, such as images_per_epoch=600",
        (),
        flag="--set",
        action="append",
        type=_setting,
        metavar="NAME=VALUE",
    )
    start: str | Path | None = _option(
        "go on from the network of this run",
        None,
        flag="--from-run",
        type=Path,
        metavar="RUN",
    )
    new_head: bool = _option(
        "go on from its convolutions alone; the fully connected layers start anew",
        False,
        action="store_true",
    )
    extra: str | Path | None = _option(
        "train on these X-rays too", None, type=Path, metavar="DIR"
    )
    finder: str | Path | None = _option(
        "folder of the lung finder (default: the one that ships)",
        None,
        type=Path,
        metavar="RUN",
    )
    leave_out: str | None = _option(
        "a subgroup that training must not see; an unknown name lists them",
        None,
        metavar="GROUP",
    )
    seed: int = _option(
        "of everything that is drawn (default: 0)", 0, type=int, metavar="N"
    )
    precision: str = _option(
        "mixed_* is faster where the machine computes it natively",
        "float32",
        choices=["float32", "mixed_bfloat16", "mixed_float16"],
    )
    devices: str = _option(
        "all: every GPU of this machine takes a part of each batch",
        "one",
        choices=["one", "all"],
    )
    workers: int = _option(
        "processes that change images while the network trains (default: none)",
        0,
        type=int,
        metavar="N",
    )
    resume: bool = _option("go on with the run in --out", False, action="store_true")

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", dict(self.settings))

    @property
    def changes(self) -> dict[str, str]:
        """What differs from the recipe, as in `settings.adjust`; epochs among it."""
        return ({"epochs": str(self.epochs)} if self.epochs else {}) | self.settings

    @property
    def command(self) -> str:
        """The command line that asks for this plan."""
        words = ["python", "-m", "pneumonia", "train"]
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name == "settings":
                for name, changed in value.items():
                    words += [flag(option), f"{name}={changed}"]
            elif option.name == "source":
                words.append(str(value))
            elif value is True:
                words.append(flag(option))
            elif not (value is None or value is False or self._is_moot(option.name)):
                words += [flag(option), str(value)]
        return shlex.join(words)

    def _is_moot(self, name: str) -> bool:
        """Tell whether an option would say nothing."""
        return (name == "backbone_weights" and self.start is not None) or (
            getattr(self, name) == {"devices": "one", "workers": 0}.get(name)
        )

    @property
    def record(self) -> dict:
        """What `run.json` says of the plan.

        `plan` is what was asked for, with paths of this machine.
        """
        start, weights = self.start, str(self.backbone_weights)
        asked = {option.name: getattr(self, option.name) for option in fields(self)}
        return {
            "plan": {k: str(v) if isinstance(v, Path) else v for k, v in asked.items()},
            "source": str(self.source),
            "recipe": self.recipe,
            "backbone_weights": None if start else Path(weights).name,
            "started_from": Path(start).name if start else None,
            "extra_source": str(self.extra) if self.extra else None,
            "new_head": self.new_head,
            "left_out": self.leave_out,
            "seed": self.seed,
            "precision": self.precision,
        }

    def resumed(self, record: dict) -> "Plan":
        """Return this plan with all that must stay as it was when the run was started.

        Args:
            record: of that run, its `run.json`.
        """
        return replace(
            self,
            extra=self.extra or record["extra_source"],
            leave_out=record["left_out"],
            seed=record["seed"],
            precision=record["precision"],
        )


def flag(option: Field) -> str:
    """Return how a field of `Plan` is called on the command line."""
    return option.metadata.get("flag", "--" + option.name.replace("_", "-"))
