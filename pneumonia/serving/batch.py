"""Many files at once: one row per file, whatever the file holds."""

import hashlib
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

from ..reading.image import is_dicom
from ..reading.isolated import IsolatedReader, read_anywhere
from ..reading.picture import MAX_BYTES, ImageError, Picture, too_large
from .classifier import Classifier
from .prediction import Prediction, answer_pictures, picture_or_error
from .rows import Row, answered_row, printable, refused_row

File = tuple[str | Path, str | Path]
"""A file, and its name below the folder that was named."""

FILES_A_RUN = 4
"""Files that share one run of the network, which then reads its weights but once."""

FILES_A_RUN_ON_GPU = 64
"""The same on a GPU, most of which would be idle with fewer."""


class Keeper(Protocol):
    """What keeps answers besides in rows, such as in files of DICOM."""

    def keep(
        self,
        classifier: Classifier,
        file: tuple[Path, Path],
        data: bytes,
        answer: Prediction | ImageError,
    ) -> None:
        """Keep the answer to a file of this content."""

    def holds(self, path: Path) -> bool:
        """Tell whether a file is one that it wrote, and not to be answered."""


class OverlayError(ValueError):
    """An overlay would take the place of a file that is to be answered."""


_NETWORK = 250_000  # bytes whose decoding takes about as long as the network does
_HEAD = 132  # bytes by which DICOM is known
_LONGEST_NAME = 255  # bytes, of most file systems


def without_outputs(
    files: Iterable[File], tables: Iterable[Path], overlays: Path | None, go_on: bool
) -> list[File]:
    """Leave out what the command itself writes, where that lies among the files.

    Args:
        files: from `find_files`.
        tables: of the rows.
        overlays: folder of the overlays.
        go_on: overlays may be there already.

    Raises:
        OverlayError: an overlay would be written over one of the files.
    """
    resolve = cache(Path.resolve)  # of folders, which many files share

    def place(path: str | Path) -> Path:
        path = Path(path)
        return resolve(path.parent) / path.name

    files, own = [*files], {place(table) for table in tables}
    outputs: dict[Path, str | Path] = {}
    if overlays:
        outputs = {
            place(overlays / output_name(Path(name), ".jpg")): path
            for path, name in files
        }
    left = []
    for path, name in files:
        at = place(path)
        source = outputs.get(at)
        if source is None and at not in own:
            left.append((path, name))
        elif source is not None and not go_on:
            raise OverlayError(
                f"the overlay of {source} would be written over {path}. Name another "
                "folder for --overlays."
            )
    return left


def answer_files(
    classifier: Classifier,
    files: Iterable[File | None],
    overlays: str | Path | None = None,
    **options: Any,
) -> Generator[Row, None, None]:
    """Answer files on all cores; a bad file becomes a row and stops nothing.

    Args:
        classifier: from `load_classifier`, with one thread.
        files: from `find_files`; only a few are ever in memory. None among them says
            that the next is not known yet.
        overlays: folder for the overlays, each named like its file with `.jpg` added.
        **options: others of `answer_run`, but `reader`.

    Yields:
        One row for each file, in order.
    """
    workers = os.cpu_count() or 1
    with closing(IsolatedReader(workers)) as reader, ExitStack() as ended:
        options |= {"reader": reader, "overlays": overlays}
        runs, at_once = in_runs(files), workers
        if classifier.device != "cpu":  # all cores decode what runs next
            ahead = ThreadPoolExecutor(workers)
            ended.callback(ahead.shutdown, cancel_futures=True)
            options |= {"isolated": True, "ahead": ahead}
            runs, at_once = in_runs(files, FILES_A_RUN_ON_GPU), 2
        answer = partial(answer_run, classifier, **options)
        for rows in ended.enter_context(closing(_in_order(answer, runs, at_once))):
            yield from rows


def _in_order(
    answer: Callable[[list[File]], list[Row]], runs: Iterator[list[File]], workers: int
) -> Generator[list[Row], None, None]:
    """Answer runs in threads, and yield what they give in the order of the runs.

    The threads take the next run themselves, so that waiting for it (a program may
    still be writing its name) holds up no answer.
    """
    room = threading.Semaphore(3 * workers)  # how far ahead of the slowest
    taking, stopped = threading.Lock(), threading.Event()
    begun: queue.SimpleQueue[Future[list[Row]] | None] = queue.SimpleQueue()

    def go_through() -> None:
        while True:
            room.acquire()
            future: Future[list[Row]] = Future()
            with taking:
                if stopped.is_set():
                    return
                try:
                    run = next(runs, None)
                except BaseException as error:
                    future.set_exception(error)
                    begun.put(future)
                    return
                begun.put(future if run else None)
            if not run:
                room.release()  # for another thread, which ends, too
                return
            try:
                future.set_result(answer(run))
            except BaseException as error:
                future.set_exception(error)

    for _ in range(workers):
        threading.Thread(target=go_through, daemon=True).start()
    future = None
    try:
        while future := begun.get():
            yield future.result()
            room.release()
    finally:  # a stop waits for what runs, not for what stands in line
        stopped.set()
        room.release(workers)
        if taking.acquire(timeout=0.1):  # else a thread waits for the next name
            taking.release()
        running = [future]
        while not begun.empty():
            running.append(begun.get())
        wait([one for one in running if one])


def work(path: str | Path) -> int:
    """Return about how much work a file is, in bytes that have to be decoded."""
    try:
        return _NETWORK + Path(path).stat().st_size
    except OSError:  # it will be said when its turn comes
        return _NETWORK


def in_runs(
    files: Iterable[File | None], length: int = FILES_A_RUN
) -> Iterator[list[File]]:
    """Cut files into lists of a length, or shorter ones before None and at the end."""
    run: list[File] = []
    for file in files:
        if file:
            run.append(file)
        if run and (not file or len(run) == length):
            yield run
            run = []
    if run:
        yield run


def answer_run(
    classifier: Classifier,
    files: Sequence[File],
    overlays: str | Path | None = None,
    described: bool = False,
    keeper: Keeper | None = None,
    reader: IsolatedReader | None = None,
    isolated: bool = False,
    ahead: Executor | None = None,
    **options: Any,
) -> list[Row]:
    """Answer a few files in one run of the network, as `answer_files` does.

    Args:
        classifier: from `load_classifier`.
        files: from `find_files`.
        overlays: as in `answer_files`.
        described: say in `Row.more` what answered, when, and which bytes.
        keeper: gets the answer to a file, or why there is none, before there is a row.
        reader: decodes DICOM; None: this process.
        isolated: it decodes all files.
        ahead: where files are decoded at the same time; None: one after the other.
        **options: `anyway` and `method` of `predict_batch`.
    """
    rows: dict[int, Row] = {}
    contents: dict[int, bytes] = {}  # of files of which more is asked than pixels
    pictures: dict[int, Picture | ImageError] = {}
    looked_at = overlays is not None or keeper is not None
    read = partial(_decode, reader, coarse=not looked_at, isolated=isolated)
    look = partial(_look, read, bool(described or keeper))
    looked: Iterable[_Looked] = (ahead.map if ahead else map)(
        look, [Path(path) for path, _ in files]
    )
    for at, (data, picture) in enumerate(looked):
        path = files[at][0]
        if data is not None:
            contents[at] = data
        if not isinstance(picture, OSError):
            pictures[at] = picture
            continue
        said = {"message": picture.strerror or str(picture)}
        rows[at] = Row(printable(path), "error", reason="unreadable", more=said)
    found = answer_pictures(classifier, list(pictures.values()), **options)
    for at, answer in zip(pictures, found, strict=True):
        path, name = files[at]
        if keeper and at in contents:
            keeper.keep(classifier, (Path(path), Path(name)), contents[at], answer)
        if isinstance(answer, ImageError):
            rows[at] = refused_row(str(path), answer)
            continue
        rows[at] = answered_row(str(path), answer)
        if overlays is not None:
            _write_overlay(answer, Path(overlays) / output_name(Path(name), ".jpg"))
    in_order = [rows[at] for at in range(len(files))]
    if not described:
        return in_order
    return [
        replace(row, more=row.more | _described(classifier, contents.get(at)))
        for at, row in enumerate(in_order)
    ]


_Looked = tuple[bytes | None, Picture | ImageError | OSError]


def _look(read: Callable[[Path], Picture], kept: bool, path: Path) -> _Looked:
    """Return the content of a file, if it is to be kept, and the picture in it."""
    data = None
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:  # before it is read
            return None, too_large(size)
        if kept:
            data = path.read_bytes()
        return data, picture_or_error(read, path)
    except OSError as error:
        return data, error


def _described(classifier: Classifier, data: bytes | None) -> dict[str, Any]:
    """Return what answered, when, and which bytes."""
    return {
        "band": [*classifier.uncertain_band],
        "threshold": classifier.threshold,
        "checksum": classifier.sha256,
        "file_checksum": None if data is None else hashlib.sha256(data).hexdigest(),
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


def _write_overlay(answer: Prediction, place: Path) -> None:
    """Write an overlay, whole or not at all."""
    unfinished = place.with_name(f".{os.getpid()}-{threading.get_ident()}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            answer.save_overlay(file)
        unfinished.replace(place)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise OSError(error.errno, error.strerror, str(place)) from None


def _decode(
    reader: IsolatedReader | None, path: Path, coarse: bool, isolated: bool
) -> Picture:
    """Decode in this process what is no DICOM and needs no worker.

    The decoders of DICOM let no other thread run. A worker reads such a file itself.
    """
    with path.open("rb") as file:
        if reader and (isolated or is_dicom(file.read(_HEAD))):
            return reader.read(path, coarse=coarse)
        file.seek(0)
        return read_anywhere(file.read(), coarse, reader)


def output_name(name: Path, end: str) -> Path:
    """Return how a file that is written of another is called.

    Args:
        name: of the other, from `find_files`.
        end: such as `.jpg`.

    Returns:
        The name with the end added. One that would be too long for a file system has a
        hash of the whole before its end instead.
    """
    stem, whole = name.name, os.fsencode(name.name)
    if len(whole) + len(end) > _LONGEST_NAME:
        digest = hashlib.sha256(whole).hexdigest()[:16]
        room = _LONGEST_NAME - len(end) - len(digest) - 1
        stem = f"{whole[:room].decode(errors='ignore')}-{digest}"
    return name.with_name(stem + end)
