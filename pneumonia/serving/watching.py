"""The command `watch`: each new film of a folder is answered once, as it comes.

`answers.jsonl` says which films have an answer, each in a line with its size and the
time of its last change. So a line is all that a restart needs. A kill leaves a line
whole or cut short, and one that is cut short is taken away.
"""

import argparse
import heapq
import json
import os
import stat
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ..contract import NOTICE
from ..reading.files import walk
from . import batch, stopping
from .batch import File
from .classifier import Classifier, load_classifier
from .rows import Lines, Row, key, printable

ANSWERS = "answers.jsonl"
"""The name of the table in the folder of the answers."""

_UNFINISHED = (".part", ".partial", ".filepart", ".crdownload", ".tmp")
_START = datetime(1970, 1, 1, tzinfo=UTC)
_AT_ONCE = 10_000  # files that are kept in mind between two looks, at most
_LONGEST = 60  # seconds between two looks, however many files are ready
_IDLE = 9  # times as long as a look at all files takes, the least between two looks


class WatchError(ValueError):
    """Folders do not fit together, or the table is gone; says what to do."""


@dataclass
class _State:
    """What was seen of a file that has no answer yet.

    Attributes:
        stamp: size in bytes, and time of the last change in microseconds.
        since: when it was first seen so, on the monotonic clock.
        tried: it was read, in vain.
    """

    stamp: tuple[int, int]
    since: float
    tried: bool = False


def run(args: argparse.Namespace, keeper: batch.Keeper | None = None) -> None:
    """Answer what comes until this process is asked to end.

    Args:
        args: of the command line; see `arguments`.
        keeper: keeps answers besides.

    Raises:
        WatchError: the folders do not fit together.
        TableError: another process writes there.
        SystemExit: a disk is full.
    """
    folder, out = args.folder.absolute(), args.out.absolute()
    if not folder.is_dir():
        raise WatchError(f"{args.folder} is no folder that can be watched.")
    if folder.resolve() == out.resolve():
        raise WatchError("answers need a folder of their own. Name another for --out.")
    out.mkdir(parents=True, exist_ok=True)
    classifier = load_classifier(args.bundle, threads=1)
    table = Lines(out / ANSWERS, go_on=True)
    with closing(table), stopping.asked() as asked:
        watch = _Watch(folder, out, table, args.every, args.patience)
        print(
            f"watching {args.folder}; {len(watch.done)} files have an answer in "
            f"{args.out / ANSWERS}. {NOTICE}",
            file=sys.stderr,
        )
        if not table.locked:
            note = "note: nothing can be locked there. Let no other watch write it."
            print(note, file=sys.stderr)
        # what one file does to its reader must not end the watch, again and again
        options = {"anyway": args.anyway, "keeper": keeper, "isolated": True}
        try:
            while not asked:
                begun = time.monotonic()
                ready = watch.look()
                took = time.monotonic() - begun
                if ready:
                    watch.answer(classifier, ready, asked, options)
                else:
                    _wait(max(args.every, _IDLE * took), asked)
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            raise SystemExit(
                f"error: {error.strerror or error}{where}. {watch.count} files were "
                "answered. The same command goes on."
            ) from error
    print(
        f"stopped: {watch.count} files got a line, {watch.errors} of them no answer.",
        file=sys.stderr,
    )


def _wait(seconds: float, asked: list[int]) -> None:
    """Wait, but not on when this process is asked to end."""
    until = time.monotonic() + seconds
    while not asked and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.2))


class _Watch:
    """What is known of the files in a folder.

    Attributes:
        done: a hash of each file that has a line -> one of the stamp that it had then.
        count: lines that were written.
        errors: those of them that hold no answer.
    """

    def __init__(
        self, folder: Path, out: Path, table: Lines, every: float, patience: float
    ):
        self._folder, self._out, self._table = folder, out, table
        self._every, self._patience = every, patience
        self._pending: dict[str, _State] = {}
        self._closed: set[str] = set()  # folders that can't be opened
        self.count = self.errors = 0
        self.done = dict(_lines(out / ANSWERS))

    def look(self) -> list[File]:
        """Return files that are whole and have no answer, the newest first.

        A file is whole that is as it was some seconds ago. One that could not be read
        is waited for until it has not changed for longer.
        """
        now, seen = time.monotonic(), dict[str, _State]()
        ready = []
        for path, name, stamp in self._films():
            if self.done.get(key(path)) == hash(stamp):
                continue
            state = self._pending.get(path)
            if state is None or state.stamp != stamp:
                seen[path] = _State(stamp, now)
                continue
            seen[path] = state
            least = self._patience if state.tried else self._every
            if now - state.since >= least:
                ready.append((stamp[1], path, name))
        self._pending = seen
        newest = heapq.nlargest(_AT_ONCE, ready)
        return [(path, name) for _, path, name in newest]

    def _films(self) -> Iterator[tuple[str, str, tuple[int, int]]]:
        """Yield the files with their stamps, and say which folders are closed."""
        own = tuple(f"{out}{os.sep}" for out in (self._out, self._out.resolve()))
        closed = set()
        for path, name in walk([self._folder]):
            if name.endswith(_UNFINISHED) or path.startswith(own):
                continue
            try:
                found = os.stat(path)  # noqa: PTH116 (a million times, maybe)
            except OSError:  # it is gone, or a link that leads nowhere
                if path == str(self._folder):
                    closed.add(path)
                continue
            if stat.S_ISDIR(found.st_mode):
                closed.add(path)
            else:
                yield path, name, _stamp(found)
        for path in closed - self._closed:
            print(f"{printable(path)} can't be opened now.", file=sys.stderr)
        self._closed = closed

    def answer(
        self,
        classifier: Classifier,
        files: list[File],
        asked: list[int],
        options: dict[str, Any],
    ) -> None:
        """Answer files, and write a line for each, until this process is to end.

        What is under way then gets its line, too. It also ends after a while, so that a
        new file need not wait for all old ones.
        """
        until = time.monotonic() + _LONGEST
        begun: deque[str] = deque()

        def until_asked() -> Iterator[File]:
            for path, name in files:
                if asked or time.monotonic() > until:
                    return
                begun.append(str(path))
                yield path, name

        found = batch.answer_files(classifier, until_asked(), described=True, **options)
        with closing(found):
            for row in found:
                self._note(begun.popleft(), row)

    def _note(self, path: str, row: Row) -> None:
        """Write the line of a file, unless there is more of it to come."""
        state = self._pending[path]
        try:
            now = _stamp(Path(path).stat())
        except OSError:
            return
        if now != state.stamp:  # it changed while it was read
            return
        waited = time.monotonic() - state.since
        if row.status == "error" and waited < self._patience:
            state.tried = True
            return
        self._check_table()
        size, changed = state.stamp
        when = _START + timedelta(microseconds=changed)
        more = {"size": size, "modified": when.isoformat(timespec="microseconds")}
        self._table.add(replace(row, more=row.more | more))
        self.done[key(path)] = hash(state.stamp)
        self.count += 1
        if row.status != "ok":
            self.errors += 1
            why = row.more.get("message", row.reason)
            print(f"{row.path}: no answer: {why}", file=sys.stderr)

    def _check_table(self) -> None:
        if not self._table.in_place():
            raise WatchError(
                f"{self._out / ANSWERS} was taken away or replaced, and it says which "
                "films have an answer. Put it back, or all are answered once more."
            )


def _lines(table: Path) -> Iterator[tuple[int, int]]:
    """Yield the hashes of the files in a table, and of the stamps that they had."""
    with table.open("rb") as lines:
        for line in lines:
            try:
                found = json.loads(line)
                changed = datetime.fromisoformat(found["modified"]) - _START
                stamp = found["size"], changed // timedelta(microseconds=1)
                yield key(found["path"]), hash(stamp)
            except (KeyError, TypeError, ValueError):
                continue  # of `predict`, which does not say it


def _stamp(found: os.stat_result) -> tuple[int, int]:
    """Return size and time of the last change, in microseconds."""
    return found.st_size, found.st_mtime_ns // 1000
