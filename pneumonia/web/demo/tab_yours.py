"""The demo's tab for a visitor's own labelled X-rays: does it work here?"""

import functools
from collections.abc import Callable

from pneumonia import Classifier

from .. import words
from ..yours import trial
from . import batch_table, progress


def build(classifier: Classifier, read: Callable) -> None:
    """Fill the tab.

    Args:
        classifier: from `load_classifier`.
        read: what decodes uploads.
    """
    hint = words.DROP_YOURS.format(files=trial.MOST, mib=batch_table.MAX_TOTAL // 2**20)
    progress.build(
        progress.Work(
            name=words.TAB_YOURS,
            choose=words.CHOOSE_YOURS,
            hint=hint,
            most=trial.MOST,
            one=functools.partial(trial.ask, classifier, read),
            finish=functools.partial(trial.render, classifier),
            anyway=words.ANYWAY_MANY,
            folder=words.FOLDER_YOURS,
        )
    )
