"""Tables of this network's own answers: no truth, whatever they are called."""

import re
from collections.abc import Sequence

from .label_words import plain

_OURS_ALONE = {"p pneumonia", "uncertain band", "bundle sha256", "evidence zones",
               "confidences"}  # fmt: skip
_OURS = {
    *("status", "certain", "reason", "zone", "threshold", "inverted", "turned"),
    *("warnings", "explanations", "evidence outside", "request id", "notice", "box"),
    *("alone", "aided", "seconds"),
}
_STATUS = {"ok", "refused", "error"}
_ABOVE = 5  # rows that may stand above the head, as a title does


def is_ours(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table holds answers of this network: they are no truth.

    Columns decide, whatever their order and whatever was added: those of `predict` and
    of a batch, of `evaluate`, of the API's answer and of the game. Without its head, a
    table is known by the status in its rows.
    """
    for row in rows[:_ABOVE]:
        heads = [plain(re.split(r"[.\[]", cell)[0]) for cell in row]
        if _OURS_ALONE & {*heads} or len(_OURS & {*heads}) > 1:
            return True
        if "probabilities" in heads and "label" in heads:
            return True
        if {"path", "status", "label"} <= {*heads}:
            states = [other[heads.index("status")] for other in rows]
            return sum(plain(s) in _STATUS for s in states) > len(rows) / 2

    def says_state(row: Sequence[str]) -> bool:
        return any(plain(cell) in _STATUS for cell in row)

    if not any(map(says_state, rows[:1])):
        return False
    return sum(map(says_state, rows)) > len(rows) / 2
