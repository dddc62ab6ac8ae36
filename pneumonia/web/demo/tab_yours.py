"""The demo's tab for a visitor's own labelled X-rays: does it work here?"""

import functools
from collections.abc import Callable

from pneumonia import Classifier

from . import many, running, words, yours


def build(classifier: Classifier, read: Callable) -> None:
    """Fill the tab.

    Args:
        classifier: from `load_classifier`.
        read: what decodes uploads.
    """
    hint = words.DROP_YOURS.format(files=yours.MOST, mib=many.MAX_TOTAL // 2**20)
    running.build(
        running.Work(
            name=words.TAB_YOURS,
            choose=words.CHOOSE_YOURS,
            hint=hint,
            most=yours.MOST,
            one=functools.partial(yours.ask, classifier, read),
            finish=functools.partial(yours.render, classifier),
            anyway=words.ANYWAY_MANY,
            folder=words.FOLDER_YOURS,
        )
    )
