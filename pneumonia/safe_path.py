"""Modules come from where they were installed, and not from the working directory.

`python -m` puts that directory first. A folder of X-rays may hold one that is called
like a module. This file is imported before any package that could be mistaken.
"""

import contextlib
import os
import sys
from pathlib import Path


def safe_path() -> list[str]:
    """Return where modules are looked for, without the working directory.

    The folder of this package comes last, even if it is the working directory: what
    lies beside it was installed with it.
    """
    here = {"", os.curdir}
    with contextlib.suppress(OSError):  # it may have been deleted
        here.add(os.path.realpath(Path.cwd()))
    kept = [p for p in sys.path if p not in here and os.path.realpath(p) not in here]
    own = str(Path(__file__).parents[1])
    return [*(place for place in kept if place != own), own]


if sys.argv[:1] == ["-m"]:  # so it is while `python -m pneumonia` looks for `__main__`
    sys.path[:] = safe_path()
