"""Many files at once: one row per file, whatever the file holds."""

import hashlib
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from ..reading.image import is_dicom, read_picture
from ..reading.isolated import IsolatedReader
from ..reading.picture import MAX_BYTES, ImageError, Picture, too_large
from .classifier import Classifier
from .prediction import Prediction, predict_batch
from .rows import Row, answered_row, printable, refused_row

FILES_A_RUN = 4
"""Files that share one run of the network, which then reads its weights but once."""


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
_LONGEST_NAME = 255  # bytes, of most file systems


def without_outputs(
    files: list[tuple[Path, Path]],
    table: Path | None,
    overlays: Path | None,
    go_on: bool,
) -> list[tuple[Path, Path]]:
    """Leave out what the command itself writes, where that lies among the files.

    Args:
        files: from `find_files`.
        table: of the rows.
        overlays: folder of the overlays.
        go_on: overlays may be there already.

    Raises:
        OverlayError: an overlay would be written over one of the files.
    """
    resolve = cache(Path.resolve)  # of folders, which many files share

    def place(path: Path) -> Path:
        return resolve(path.parent) / path.name

    outputs = {place(table): table} if table else {}
    if overlays:
        outputs |= {place(overlay_place(overlays, name)): path for path, name in files}
    left = []
    for path, name in files:
        source = outputs.get(place(path))
        if source is None:
            left.append((path, name))
        elif source is not table and not go_on:
            raise OverlayError(
                f"the overlay of {source} would be written over {path}. Name another "
                "folder for --overlays."
            )
    return left


def answer_files(
    classifier: Classifier,
    files: Iterable[tuple[Path, Path]],
    overlays: str | Path | None = None,
    **options: Any,
) -> Iterator[Row]:
    """Answer files on all cores; a bad file becomes a row and stops nothing.

    Args:
        classifier: from `load_classifier`, with one thread.
        files: from `find_files`; only a few are ever in memory.
        overlays: folder for the overlays, each named like its file with `.jpg` added.
        **options: `keeper` of `answer_run`; `anyway` and `method` of `predict_batch`.

    Yields:
        One row for each file, in order.
    """
    workers = os.cpu_count() or 1
    begun: deque[Future[list[Row]]] = deque()
    pool = ThreadPoolExecutor(workers)
    with closing(IsolatedReader(workers)) as reader:
        options["read"] = partial(_decode, reader)
        try:
            for some in in_runs(files):
                begun.append(
                    pool.submit(answer_run, classifier, some, overlays, **options)
                )
                if len(begun) > 2 * workers:
                    yield from begun.popleft().result()
            while begun:
                yield from begun.popleft().result()
        finally:  # a stop waits for what runs, not for what stands in line
            pool.shutdown(cancel_futures=True)


def work(path: Path) -> int:
    """Return about how much work a file is, in bytes that have to be decoded."""
    try:
        return _NETWORK + path.stat().st_size
    except OSError:  # it will be said when its turn comes
        return _NETWORK


def in_runs(
    files: Iterable[tuple[Path, Path]],
) -> Iterator[list[tuple[Path, Path]]]:
    """Cut files into lists of `FILES_A_RUN`, the last perhaps smaller."""
    files = iter(files)
    return iter(lambda: list(islice(files, FILES_A_RUN)), [])


def answer_run(
    classifier: Classifier,
    files: Sequence[tuple[Path, Path]],
    overlays: str | Path | None = None,
    keeper: Keeper | None = None,
    **options: Any,
) -> list[Row]:
    """Answer a few files in one run of the network, as `answer_files` does.

    The keeper gets the answer to a file, or why there is none, before there is a row.
    """
    rows, images = {}, {}
    for path, name in files:
        try:
            images[path, name] = _read(path)
        except ImageError as error:
            rows[path, name] = refused_row(str(path), error)
        except OSError:
            rows[path, name] = Row(printable(path), "error", reason="unreadable")
    found = predict_batch(classifier, list(images.values()), **options)
    for ((path, name), data), answer in zip(images.items(), found, strict=True):
        if keeper:
            keeper.keep(classifier, (path, name), data, answer)
        if isinstance(answer, ImageError):
            rows[path, name] = refused_row(str(path), answer)
            continue
        rows[path, name] = answered_row(str(path), answer)
        if overlays is not None:
            _write_overlay(answer, overlay_place(Path(overlays), name))
    return [rows[file] for file in files]


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


def _decode(reader: IsolatedReader, data: bytes) -> Picture:
    """Decode in this process what is no DICOM and needs no worker.

    The decoders of DICOM let no other thread run.
    """
    if is_dicom(data):
        return reader.read(data)
    try:
        return read_picture(data)
    except ImageError as error:
        if error.reason != "needs_worker":
            raise
    return reader.read(data)


def _read(path: Path) -> bytes:
    """Read a file, but never one that is larger than what is answered."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise too_large(size)
    return path.read_bytes()


def overlay_place(folder: Path, name: Path) -> Path:
    """Return where the overlay of a file is kept.

    Args:
        folder: of the overlays.
        name: of the file, from `find_files`.

    Returns:
        The name with `.jpg` added. A name that would be too long for a file system ends
        in a hash of the whole instead.
    """
    whole = os.fsencode(name.name)
    if len(whole) + len(".jpg") <= _LONGEST_NAME:
        return folder / name.with_name(f"{name.name}.jpg")
    digest = hashlib.sha256(whole).hexdigest()[:16]
    kept = whole[: _LONGEST_NAME - len(f"-{digest}.jpg")].decode(errors="ignore")
    return folder / name.with_name(f"{kept}-{digest}.jpg")
