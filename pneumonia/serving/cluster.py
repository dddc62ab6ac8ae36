"""An archive answered on many machines, by Ray.

Ray distributes the files, and tries again where a worker dies. Every machine needs this
package, Ray (requirements-cluster.txt) and the archive under the same path. The worker
that answers a file reads it, so only names are sent.
"""

import contextlib
import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Any, cast

from .batch import File, answer_run, in_runs
from .classifier import load_classifier
from .rows import answered, printable, write_rows
from .stopping import Stopped

FILES_A_SHARD = 256
"""Files in one shard: some ten seconds of work, which a lost worker loses at most."""


class _Answerer:
    """One actor: a loaded classifier that turns lists of files into shards."""

    def __init__(self, bundle: Path | None, shards: Path, options: dict[str, Any]):
        self._classifier = load_classifier(bundle, threads=1)
        self._shards, self._options = shards, options

    def __call__(self, part: dict[str, Any]) -> dict[str, Any]:
        """Write the shard of one list; another try writes the very same file."""
        files = [(Path(path), Path(name)) for path, name in json.loads(part["files"])]
        rows = chain.from_iterable(
            answer_run(self._classifier, some, **self._options)
            for some in in_runs(files)
        )
        digest = hashlib.sha256(part["files"].encode()).hexdigest()[:16]
        unfinished = self._shards / f".{digest}-{os.getpid()}"
        with unfinished.open("w", newline="", encoding="utf-8") as file:
            count, errors = write_rows(rows, file)
        unfinished.replace(self._shards / f"{digest}.csv")  # whole or not at all
        return {"count": count, "errors": errors}


def done(shards: Path) -> set[str]:
    """Return the paths that have a row in a shard."""
    return set().union(*map(answered, shards.glob("*.csv")))


def answer_archive(
    files: Iterable[File],
    shards: str | Path,
    *,
    address: str | None = None,
    bundle: str | Path | None = None,
    files_a_shard: int = FILES_A_SHARD,
    **options: Any,
) -> tuple[int, int]:
    """Answer files on a Ray cluster, each exactly once.

    Args:
        files: from `find_files`.
        shards: folder for CSV files, as `rows.Row`, that all machines see;
            files that have a row there already are skipped.
        address: of the cluster; None: $RAY_ADDRESS, or this machine's cores.
        bundle: as in `load_classifier`.
        files_a_shard: files that are lost, and done again, where a worker dies.
        **options: `overlays` and others of `answer_run`.

    Returns:
        How many rows were written now, and how many of them hold no answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # tells nobody
    import ray

    shards = Path(shards).resolve()
    bundle = bundle and Path(bundle).resolve()  # workers are elsewhere
    if options.get("overlays"):
        options["overlays"] = Path(options["overlays"]).resolve()
    shards.mkdir(parents=True, exist_ok=True)
    there = done(shards)
    left = [
        (str(Path(path).absolute()), str(name))
        for path, name in files
        if printable(Path(path).absolute()) not in there
    ]
    starts = range(0, len(left), files_a_shard)
    # as JSON, which can hold names that are no UTF-8
    parts = [{"files": json.dumps(left[s : s + files_a_shard])} for s in starts]
    if not parts:
        return 0, 0
    ours = not ray.is_initialized()
    if ours:
        asked_to_end = signal.getsignal(signal.SIGTERM)
        try:
            # its workers import from where it is started, too
            with contextlib.chdir(Path(__file__).parents[2]):
                ray.init(address, log_to_driver=False)
        except SystemExit:  # by Ray's own handler
            raise Stopped(signal.SIGTERM) from None
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, asked_to_end)  # Ray puts its own there
    try:
        resources: Callable[[], dict[str, float]] = ray.cluster_resources
        cores = int(resources().get("CPU", 1))
        most = min(cores, len(parts))
        written = ray.data.from_items(parts, override_num_blocks=len(parts)).map(
            cast(Callable[..., dict[str, Any]], _Answerer),  # which it makes itself
            fn_constructor_args=(bundle, shards, options),
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
        )
        counts = written.take_all()
    finally:
        if ours:
            ray.shutdown()
    return sum(c["count"] for c in counts), sum(c["errors"] for c in counts)
