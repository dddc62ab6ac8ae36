"""The demo's second tab: many X-rays, a row for each."""

import functools
from collections.abc import Callable

from pneumonia import Classifier

from .. import words
from . import batch_table, progress


def build(classifier: Classifier, read: Callable) -> None:
    """Fill the tab.

    Args:
        classifier: from `load_classifier`.
        read: what decodes uploads.
    """
    hint = words.DROP_MANY.format(
        files=batch_table.MAX_FILES, mib=batch_table.MAX_TOTAL // 2**20
    )
    progress.build(
        progress.Work(
            name=words.TAB_MANY,
            choose=words.CHOOSE_MANY,
            hint=hint,
            most=batch_table.MAX_FILES,
            one=functools.partial(batch_table.answer_one, classifier, read),
            finish=batch_table.render,
            anyway=words.ANYWAY_MANY,
        )
    )
