"""What the model card says of the recipe's steps: the ablation and what it teaches."""

from .card_words import NOT_MEASURED, command, number, share, table

NOTABLE = 0.65
"""AUROC on adults from which an order of rows is taken to mean something."""

COLUMNS = {
    "clean_auroc": "held-out images as they are",
    "stress_auroc": "copies of them, each under a family drawn for it",
    "against_thumbnail_auroc": "the same, weighed by how much an image's thumbnail "
    "looks like the other class",
    "worst_auroc": "the lowest of any one family",
    "stress_accuracy": "each half of the patients under stress, at the threshold where "
    "sensitivity plus specificity is greatest on the other half",
    "stress_specificity": "on the same, at the same threshold",
    "blind_accuracy": "under stress, at the threshold where that sum is greatest on "
    "the images as they are",
    "blind_specificity": "on the same, at the same threshold",
    "adult_auroc": "adults of another hospital whom training did not see",
}
"""What the figures of a row are measured on, as `ablation.measure_run` does it."""


def ablation(found: dict | None) -> str:
    """Write the ablation, its columns taken from the file."""
    if not found:
        return NOT_MEASURED
    rows = found["rows"]

    def is_measured(value: object) -> bool:
        return isinstance(value, dict) and {"mean", "spread"} <= value.keys()

    keys = list(dict.fromkeys(k for r in rows for k, v in r.items() if is_measured(v)))
    texts = [k for k in ("worst_family",) if any(k in row for row in rows)]

    parts = [
        found["what"],
        table(
            ["step", "what", "seeds", *(_title(k) for k in [*keys, *texts])],
            [
                (
                    row["name"],
                    row["what"],
                    ", ".join(map(str, row["seeds"])),
                    *(_cell(row.get(key)) for key in keys),
                    *(row.get(key, "") for key in texts),
                )
                for row in rows
            ],
        ),
        "In parentheses: largest minus smallest over the seeds.",
        _legend(keys),
    ]
    left_out = found.get("left_out", [])
    parts += _ranking(found.get("ranking")) + _left_out(left_out)
    described = [*rows, *left_out, found]
    commands = [part["command"] for part in described if "command" in part]
    if commands:
        parts.append(command(*dict.fromkeys(commands)))
    return "\n\n".join(filter(None, parts))


def _legend(keys: list[str]) -> str:
    return "\n".join(
        f"- {_title(key)}: {what}." for key, what in COLUMNS.items() if key in keys
    )


def _title(key: str) -> str:
    return key.replace("_", " ").replace("auroc", "AUROC").replace("ece", "ECE")


def _cell(value: dict | None) -> str:
    """Write a mean and its spread; one seed has none."""
    if value is None:
        return ""
    if value["spread"] is None:
        return number(value["mean"])
    return f"{number(value['mean'])} ({number(value['spread'])})"


def _ranking(found: dict | None) -> list[str]:
    """Write which validation orders the rows as images of elsewhere do."""
    if not found:
        return []
    low, high = found["adult_auroc"]
    doubt = " So near to chance the order says little." if high < NOTABLE else ""
    return [
        "**Which validation can be believed?** Adults of another hospital are the one "
        f"real shift at hand. The {found['rows']} rows that saw none of them are put "
        "in order by each figure on children, and by the AUROC on adults; rank "
        "correlation of the two orders (1: the same, 0: none, -1: upside down). "
        f"On adults these rows reach {number(low)} to {number(high)}.{doubt}",
        table(
            ["figure on children", "rank correlation with AUROC on adults"],
            [(_title(k), number(v, 2)) for k, v in found["figures"].items()],
        ),
    ]


def _left_out(rows: list[dict]) -> list[str]:
    """Write what a group costs that training never saw."""
    if not rows:
        return []

    def cells(row: dict) -> list[str]:
        seen, unseen = row["seen"], row["unseen"]
        right = [
            share(found["right"]["mean"]) if found else "" for found in (seen, unseen)
        ]
        auroc = [_cell(found.get("auroc")) for found in (seen, unseen)]
        return [row["group"], f"{unseen['images']['mean']:.0f}", *auroc, *right]

    head = ["group", "images", "AUROC, seen", "AUROC, not seen"]
    head += ["answered rightly, seen", "not seen"]
    return [
        "**A group that training never saw.** The warm-up once with and once without "
        "each group, measured on its held-out images (for the AUROC with all of the "
        "other class, where the group has one). The threshold is chosen on the others.",
        table(head, [cells(row) for row in rows]),
    ]
