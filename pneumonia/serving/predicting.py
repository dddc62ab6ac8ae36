"""The command `predict`: rows of many files, whole and countable whatever ends it."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from ..contract import NOTICE
from ..reading.files import find_files, read_list, walk
from . import batch, lock, rows, stopping
from .batch import File
from .classifier import Classifier, load_classifier

_STANDARD = "-"  # instead of a file: standard input, or standard output
_FEW = 100_000  # files that are kept in memory
_NOBODY_READS = 141  # the status of a program that a closed pipe ends, in a shell

Tables = list[rows.Table | rows.Printed]


class UsageError(ValueError):
    """Options or files do not go together; the message says what to do."""


def run(args: argparse.Namespace, keeper: batch.Keeper | None = None) -> None:
    """Answer what was asked for; see `arguments`.

    Args:
        args: of the command line.
        keeper: keeps answers in `args.dicom`.

    Raises:
        UsageError: options or files do not go together.
        ListError: standard input lists no paths.
        TableError: a table can't take rows.
        SystemExit: it was stopped, a disk is full, or nobody reads on.
    """
    _understand(args)
    listed = _STANDARD in args.paths
    if not listed and next(walk(args.paths), None) is None:
        raise UsageError(f"no file in {', '.join(args.paths)}.")
    if args.engine == "ray":
        _run_on_cluster(args)
        return
    asked = {rows.Table: args.csv, rows.Lines: args.jsonl}
    asked = {form: file for form, file in asked.items() if file} or {rows.Table: "-"}
    kept = [Path(file) for file in asked.values() if str(file) != _STANDARD]
    if args.resume and not kept:
        raise UsageError("--resume goes on with the file of --csv or --jsonl.")
    files = _lister(args, kept, keeper)
    classifier = load_classifier(args.bundle, threads=1, device=args.device)
    dicom = None if args.dicom == args.overlays else args.dicom
    # the folders before the tables, which would be left with their heads
    with _kept(args.overlays), _kept(dicom), ExitStack() as opened:
        tables: Tables = []
        for form, file in asked.items():
            table = (
                rows.Printed(form)
                if str(file) == _STANDARD
                else form(Path(file), args.resume)
            )
            tables.append(opened.enter_context(closing(table)))
            _warn_unlocked(table, file)
        lacks_row = _without_row(tables)
        extent, few = (None, None) if listed else _measure(files(), lacks_row)
        # many are walked again, and not kept
        walked = (file for file in files() if not file or lacks_row(file))
        left: Iterable[File | None] = walked if few is None else few
        _fill(tables, classifier, left, extent, args, keeper)


def _understand(args: argparse.Namespace) -> None:
    """Take the only name, if it follows --jsonl, for what is asked about.

    Raises:
        UsageError: nothing is asked about, or two tables would be one file.
    """
    if not args.paths and args.jsonl not in (None, _STANDARD):
        args.paths, args.jsonl = [args.jsonl], _STANDARD
    if not args.paths:
        raise UsageError("no PATH: name files or folders, or - to read a list of them.")
    if sys.stdin is None and _STANDARD in args.paths:
        raise UsageError("- reads paths from standard input, which is closed.")
    if args.csv and str(args.csv) == args.jsonl:
        raise UsageError("--csv and --jsonl name the same file. Name another for one.")


def _lister(
    args: argparse.Namespace, tables: list[Path], keeper: batch.Keeper | None
) -> Callable[[], Iterable[File | None]]:
    """Return what lists the files, but those that the command itself writes.

    They are walked anew each time, and not kept: there may be millions. Those that get
    overlays or DICOM are kept, because these need names of their own.
    """
    if args.overlays or keeper:
        named = [path for path in _named(args) if path is not None]
        found = find_files(named)
        if keeper:
            found = [file for file in found if not keeper.holds(file[0])]
        left = batch.without_outputs(found, tables, args.overlays, args.resume)
        return lambda: left
    own = {table.resolve() for table in tables}
    names = tuple(table.name for table in own)

    def files() -> Iterator[File | None]:
        for path in _named(args):
            if path is None:
                yield None
                continue
            for file in walk([path]):
                if not file[0].endswith(names) or Path(file[0]).resolve() not in own:
                    yield file

    return files


def _named(args: argparse.Namespace) -> Iterator[str | None]:
    """Yield the paths that are named, and those of a list, as `read_list` does."""
    for path in args.paths:
        if path != _STANDARD:
            yield path
        else:
            yield from read_list(0, b"\0" if args.null else b"\n")


@dataclass(frozen=True)
class _Extent:
    """How much there is to do: files in all, those without a row, and their work."""

    files: int
    left: int
    work: int


def _measure(
    files: Iterable[File | None], lacks_row: Callable[[File], bool]
) -> tuple[_Extent, list[File] | None]:
    """Return how much there is to do, and the files if they are few."""
    count = left = work = 0
    few: list[File] = []
    for file in files:
        count += 1
        if file and lacks_row(file):
            left, work = left + 1, work + batch.work(file[0])
            if left <= _FEW:
                few.append(file)
    return _Extent(count, left, work), few if left <= _FEW else None


def _without_row(tables: Tables) -> Callable[[File], bool]:
    """Return what tells whether a table had no row of a file when it was opened."""
    kept = [table for table in tables if isinstance(table, rows.Table) and len(table)]
    if len(kept) < sum(isinstance(table, rows.Table) for table in tables) or not kept:
        return lambda file: True
    if len(kept) == 1:
        return lambda file: file[0] not in kept[0]
    return lambda file: any(file[0] not in table for table in kept)


def _fill(
    tables: Tables,
    classifier: Classifier,
    left: Iterable[File | None],
    extent: _Extent | None,
    args: argparse.Namespace,
    keeper: batch.Keeper | None,
) -> None:
    """Add the rows of files that have none, and say how many there are at the end."""
    asked = {"anyway": args.anyway, "method": args.method, "keeper": keeper}
    asked["described"] = args.jsonl is not None
    kept = any(isinstance(table, rows.Table) for table in tables)
    go_on = " The same command with --resume goes on." if kept else ""
    count = errors = 0

    def done() -> str:
        if extent is None:
            return f"{count} files got a row."
        before = extent.files - extent.left
        return f"{before + count} of {extent.files} files have a row."

    try:
        with closing(
            batch.answer_files(classifier, left, args.overlays, **asked)
        ) as found:
            for row in _watched(found, extent):
                for table in tables:
                    if row.path not in table:
                        table.add(row)
                count, errors = count + 1, errors + (row.status != "ok")
    except KeyboardInterrupt as stop:
        print(f"stopped: {done()}{go_on}", file=sys.stderr)
        raise SystemExit(stopping.status(stop)) from None
    except BrokenPipeError:  # such as `predict ... | head`, which has read enough
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # for what is still to go
        raise SystemExit(_NOBODY_READS) from None
    except OSError as error:
        what = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        raise SystemExit(f"error: {what}. {done()}{go_on}") from error
    before = ""
    if args.resume and extent:
        before = f", {extent.files - extent.left} were done before"
    print(f"{count} files, {errors} not answered{before}. {NOTICE}", file=sys.stderr)


def _warn_unlocked(table: rows.Table | rows.Printed, file: str | Path) -> None:
    if not table.locked:
        print(
            f"note: {file} lies where nothing can be locked. Let no other predict "
            "write it.",
            file=sys.stderr,
        )


def _kept(folder: Path | None) -> AbstractContextManager[None]:
    """Keep others out of a folder that rows or overlays are written to."""
    return lock.hold_folder(
        folder,
        f"another predict writes into {folder}. Wait until it has ended, or name "
        "another folder.",
    )


def _watched(found: Iterable[rows.Row], extent: _Extent | None) -> Iterator[rows.Row]:
    """Show how far the rows of files are, by how much work each file is."""
    so_far = "{desc}: {postfix} [{elapsed}]"
    foretold = "{desc}: {percentage:3.0f}%|{bar}|{postfix} [{elapsed}<{remaining}]"
    with tqdm(
        desc="answering",
        total=extent.work if extent else None,
        smoothing=0,  # the mean speed so far foretells best
        bar_format=foretold if extent else so_far,
        disable=bool(extent and extent.left == 1),
    ) as bar:
        of_all = f" of {extent.left}" if extent else ""
        for number, row in enumerate(found, 1):
            yield row
            bar.set_postfix_str(f"{number}{of_all} files", refresh=False)
            bar.update(batch.work(row.path))


def _run_on_cluster(args: argparse.Namespace) -> None:
    from . import cluster

    if not args.shards or args.csv or args.jsonl or args.dicom:
        raise UsageError(
            "--engine ray writes --shards DIR, and no --csv, --jsonl or --dicom."
        )
    if args.device != "cpu":
        raise UsageError("--engine ray computes on cores, without --device.")
    found = find_files(path for path in _named(args) if path is not None)
    files = batch.without_outputs(found, [], args.overlays, go_on=True)
    files = [file for file in files if args.shards not in Path(file[0]).parents]
    try:
        with _kept(args.shards), _kept(args.overlays):
            count, errors = cluster.answer_archive(
                files,
                args.shards,
                address=args.address,
                bundle=args.bundle,
                overlays=args.overlays,
                anyway=args.anyway,
                method=args.method,
            )
    except KeyboardInterrupt as stop:
        count = len(cluster.done(args.shards))
        print(
            f"stopped: {count} of {len(files)} files have a row in {args.shards}. The "
            "same command goes on.",
            file=sys.stderr,
        )
        raise SystemExit(stopping.status(stop)) from None
    print(
        f"{count} files, {errors} not answered, {len(files) - count} were done before; "
        f"rows in {args.shards}. {NOTICE}",
        file=sys.stderr,
    )
