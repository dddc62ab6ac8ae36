"""The demo's second tab: many X-rays, a row for each."""

import functools
from collections.abc import Callable

from pneumonia import Classifier

from . import many, running, words


def build(classifier: Classifier, read: Callable) -> None:
    """Fill the tab.

    Args:
        classifier: from `load_classifier`.
        read: what decodes uploads.
    """
    hint = words.DROP_MANY.format(files=many.MAX_FILES, mib=many.MAX_TOTAL // 2**20)
    running.build(
        running.Work(
            name=words.TAB_MANY,
            choose=words.CHOOSE_MANY,
            hint=hint,
            most=many.MAX_FILES,
            one=functools.partial(many.answer_one, classifier, read),
            finish=many.render,
            anyway=words.ANYWAY_MANY,
        )
    )
