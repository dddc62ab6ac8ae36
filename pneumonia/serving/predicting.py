"""The command `predict`: rows of many files, whole and countable whatever ends it."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

from tqdm import tqdm

from ..contract import NOTICE
from ..reading.files import find_files
from . import batch, lock, rows, stopping
from .classifier import Classifier, load_classifier

Files = list[tuple[Path, Path]]


class UsageError(ValueError):
    """Options or files do not go together; the message says what to do."""


def run(args: argparse.Namespace, keeper: batch.Keeper | None = None) -> None:
    """Answer what was asked for; see `arguments`.

    Args:
        args: of the command line.
        keeper: keeps answers in `args.dicom`.

    Raises:
        UsageError: options or files do not go together.
        TableError: the table can't take rows.
        SystemExit: it was stopped, or a disk is full.
    """
    files = find_files(args.paths)
    if not files:
        raise UsageError(f"no file in {', '.join(map(str, args.paths))}.")
    if keeper:
        files = [file for file in files if not keeper.holds(file[0])]
    if args.engine == "ray":
        _run_on_cluster(args, files)
        return
    if args.resume and not args.csv:
        raise UsageError("--resume goes on with the table that --csv names.")
    files = batch.without_outputs(files, args.csv, args.overlays, args.resume)
    classifier = load_classifier(args.bundle, threads=1)
    dicom = None if args.dicom == args.overlays else args.dicom
    # before the table, which would be left with its head
    with _kept(args.overlays), _kept(dicom):
        table = rows.Table(args.csv, args.resume) if args.csv else rows.Printed()
        with closing(table):
            _fill(table, classifier, files, args, keeper)


def _fill(
    table: rows.Table | rows.Printed,
    classifier: Classifier,
    files: Files,
    args: argparse.Namespace,
    keeper: batch.Keeper | None,
) -> None:
    """Add the rows of files that have none, and say how many there are at the end."""
    if not table.locked:
        print(
            f"note: {args.csv} lies where nothing can be locked. Let no other predict "
            "write it.",
            file=sys.stderr,
        )
    left = _without_row(files, table)
    asked = {"anyway": args.anyway, "method": args.method, "keeper": keeper}
    go_on = " The same command with --resume goes on." if args.csv else ""
    count = errors = 0
    try:
        found = batch.answer_files(classifier, left, args.overlays, **asked)
        for row in _watched(found, left):
            table.add(row)
            count, errors = count + 1, errors + (row.status != "ok")
    except KeyboardInterrupt as stop:
        print(f"stopped: {_how_many(files, table)}{go_on}", file=sys.stderr)
        raise SystemExit(stopping.status(stop)) from None
    except OSError as error:
        what = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        said = f"error: {what}. {_how_many(files, table)}{go_on}"
        raise SystemExit(said) from error
    before = f", {len(files) - count} were done before" if args.resume else ""
    print(f"{count} files, {errors} not answered{before}. {NOTICE}", file=sys.stderr)


def _without_row(files: Files, table: rows.Table | rows.Printed) -> Files:
    """Return the files that a table has no row of, however either spells them."""
    there = {str(Path(path).absolute()) for path in table.paths()}
    return [f for f in files if rows.printable(f[0].absolute()) not in there]


def _how_many(files: Files, table: rows.Table | rows.Printed) -> str:
    done = len(files) - len(_without_row(files, table))
    return f"{done} of {len(files)} files have a row."


def _kept(folder: Path | None) -> AbstractContextManager[None]:
    """Keep others out of a folder that rows or overlays are written to."""
    return lock.hold_folder(
        folder,
        f"another predict writes into {folder}. Wait until it has ended, or name "
        "another folder.",
    )


def _watched(found: Iterable[rows.Row], files: Files) -> Iterator[rows.Row]:
    """Show how far the rows of files are, by how much work each file is."""
    sizes = [batch.work(path) for path, _ in files]
    with tqdm(
        desc="answering",
        total=sum(sizes),
        smoothing=0,  # the mean speed so far foretells best
        bar_format="{desc}: {percentage:3.0f}%|{bar}|{postfix} [{elapsed}<{remaining}]",
        disable=len(files) == 1,
    ) as bar:
        for number, (row, size) in enumerate(zip(found, sizes, strict=True), 1):
            yield row
            bar.set_postfix_str(f"{number} of {len(files)} files", refresh=False)
            bar.update(size)


def _run_on_cluster(args: argparse.Namespace, files: Files) -> None:
    from . import cluster

    if not args.shards or args.csv or args.dicom:
        raise UsageError("--engine ray writes --shards DIR, no --csv and no --dicom.")
    files = batch.without_outputs(files, None, args.overlays, go_on=True)
    files = [file for file in files if args.shards not in file[0].parents]
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
