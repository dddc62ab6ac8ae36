"""Tables of this network's own answers: no truth, whatever they are called."""

import re
from collections.abc import Sequence

from .columns import plain

_ALONE = {"p pneumonia", "uncertain band", "bundle sha256", "evidence zones",
          "confidences", "partly outside"}  # fmt: skip
_TOGETHER = (
    *({"path", "label", other} for other in ("certain", "place", "zone", "p")),
    *(
        {"label", "certain", other}
        for other in ("status", "place", "zone", "threshold")
    ),
    {"label", "place", "status"},
    *({"label", "zone", other} for other in ("status", "reason", "evidence outside")),
    {"label", "probabilities"},
    {"alone", "aided"},
)
"""Heads that stand together in no table but ours."""

_STATUS = {"ok", "refused", "error"}
_ABOVE = 20  # rows that may stand above the head, as titles do
_PROBABILITY = re.compile(r"[01][.,]\d{4}")  # as we write it


def is_ours(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table holds answers of this network: they are no truth.

    Columns decide, whatever their order and whatever was added: those of `predict` and
    of a batch, of `evaluate`, of the API's answer and of the game. Without its head, or
    with heads of another language, a table is known by its cells: a status of ours, and
    a probability as it is written here.

    Args:
        rows: all equally long.
    """
    for row in rows[:_ABOVE]:
        heads = {plain(re.split(r"[.\[]", cell)[0]) for cell in row}
        if _ALONE & heads or any(ours <= heads for ours in _TOGETHER):
            return True
    if not rows:
        return False
    columns = [*zip(*rows, strict=True)]
    states = [sum(plain(c) in _STATUS for c in column) for column in columns]
    if max(states, default=0) <= len(rows) / 2:
        return False
    answered = sum(plain(c) == "ok" for c in columns[states.index(max(states))])
    written = [
        sum(bool(_PROBABILITY.fullmatch(c)) for c in column) for column in columns
    ]
    words = {plain(cell) for row in rows[:_ABOVE] for cell in row}
    return max(written) >= max(1, answered / 2) or {"path", "status"} <= words
