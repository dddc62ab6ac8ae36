"""How the model card writes numbers and tables."""

import math
from collections.abc import Iterable, Sequence

UNKNOWN = "not measurable"
NOT_MEASURED = "Not measured for this bundle."


def number(value: float | None, digits: int = 3) -> str:
    """Write a number, or that there is none."""
    if value is None or math.isnan(value):
        return UNKNOWN
    return f"{value:.{digits}f}"


def share(value: float | None) -> str:
    """Write a share in [0, 1] in per cent."""
    if value is None or math.isnan(value):
        return UNKNOWN
    return f"{value:.1%}".replace("%", " %")


def interval(metric: dict) -> str:
    """Write `{"value": v, "ci95": [low, high]}` as "v (low to high)"."""
    low, high = metric["ci95"]
    if math.isnan(low) or math.isnan(high):
        return number(metric["value"])
    return f"{number(metric['value'])} ({number(low)} to {number(high)})"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a Markdown table."""

    def line(cells: Iterable[object]) -> str:
        return "| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def bullets(sentences: Iterable[str]) -> str:
    """Write a Markdown list."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def command(*lines: str) -> str:
    """Write the commands that make a section's figures."""
    return "\n".join(["```sh", *lines, "```"])


def map_verdict(method: str, label: str, found: dict) -> tuple[bool, str]:
    """Judge the maps of one answer by what covering their hottest part costs.

    Args:
        method: what drew them.
        label: the answer.
        found: what `covering.cover_hottest` says of it.

    Returns:
        Whether they show where their own image's evidence is, and a sentence.
    """
    beats = {name: of["ci95"][0] > 0 for name, of in found["more_than"].items()}
    maps = f"{method}'s maps of the answer {label}"
    if all(beats.values()):
        return True, f"{maps} show where the evidence in their own image is"
    if beats["elsewhere"]:
        return False, (
            f"{maps} show where evidence lies on average: another image's map finds "
            "it as well"
        )
    return False, (
        f"{maps} show no place that matters more than others: covering the same "
        "outline elsewhere costs as much"
    )
