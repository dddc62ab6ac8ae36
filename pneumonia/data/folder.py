"""A data set as arrays: decode, keep, split, download.

`layout` finds the files. They are decoded by the same two functions that serving uses.
"""

import errno
import shutil
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import kept
from ..contract import LABELS
from ..reading.image import to_input
from ..reading.isolated import read_anywhere
from ..reading.picture import ImageError
from .layout import DataError, find_training, look
from .patients import (
    VALIDATION_SHARE,
    digests,
    link_duplicates,
    patients_of,
    taken_from,
    validation_mask,
)

KAGGLE_DATASET = "paultimothymooney/chest-xray-pneumonia"
"""Kermany et al. 2018 as published on Kaggle, CC BY 4.0."""

_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
_MOST = 10  # images that a patient may well have in a small data set
_PARTS = ("test", "val", "train")  # of what is downloaded; training comes last


@dataclass(frozen=True, eq=False)
class Dataset:
    """Decoded images of one folder.

    Attributes:
        images: uint8 (n, 224, 224, 1) in [0, 255]; divided by 255 it is exactly what
            `to_input` returns.
        labels: int64 (n,), indices into LABELS.
        names: (n,) paths relative to the folder.
        patients: (n,) patient of each image.
        groups: (n,) like `patients`, but patients who share an exact duplicate image
            share a group.
        unreadable: name and reason of each image that can't be read.
        left_out: names of what was not taken for an image, as in `layout.Layout`.
    """

    images: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    patients: np.ndarray
    groups: np.ndarray
    unreadable: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()

    def subset(self, chosen: np.ndarray) -> "Dataset":
        """Return the images at `chosen`, a boolean mask (n,) or indices."""
        return Dataset(
            self.images[chosen],
            self.labels[chosen],
            self.names[chosen],
            self.patients[chosen],
            self.groups[chosen],
        )

    def inputs(self) -> np.ndarray:
        """Return the graph's input, float32 (n, 224, 224, 1) in [0, 1]."""
        return as_input(self.images)

    def duplicates(self) -> int:
        """Count the images that repeat an earlier one, pixel by pixel."""
        return len(self.images) - len(set(digests(self.images)))


def as_input(images: np.ndarray) -> np.ndarray:
    """Turn stored images, uint8 in [0, 255], into float32 in [0, 1]."""
    return images.astype(np.float32) / 255


def load(source: str | Path, progress: bool = True, labelled: bool = True) -> Dataset:
    """Decode a data set once, or read the arrays that `save` wrote.

    Args:
        source: a folder as in `layout.look`, or a file .npz.
        progress: show a progress bar, and say what was left out.
        labelled: False takes all pictures below the folder, whose labels nobody asks
            for: all are 0.

    Returns:
        The images in the order of their paths. Files that can't be read are listed in
        `unreadable` and left out.

    Raises:
        DataError: there is no data set at `source`.
    """
    source = Path(source)
    if source.suffix == ".npz":
        return _load_arrays(source)
    layout = look(source, labelled)
    found = layout.images
    if progress and layout.left_out:
        left_out = layout.describe_left_out()
        tqdm.write(f"left out in {source}: {left_out}", file=sys.stderr)
    with ThreadPoolExecutor() as pool:
        decoded = list(
            tqdm(
                pool.map(_decode, [path for path, _ in found]),
                total=len(found),
                desc="decoding",
                unit="image",
                disable=not progress,
            )
        )
    good = [i for i, result in enumerate(decoded) if not isinstance(result, str)]
    names = [path.relative_to(source).as_posix() for path, _ in found]
    if not good:
        raise DataError(f"No image in {source} can be read: {decoded[0]}")
    images = np.stack([decoded[i] for i in good])
    patients = patients_of(layout.below_class())[good]
    return Dataset(
        images=images,
        labels=np.array([found[i][1] for i in good]),
        names=np.array([names[i] for i in good]),
        patients=patients,
        groups=link_duplicates(patients, digests(images)),
        left_out=tuple(layout.left_out),
        unreadable=tuple(
            (name, result)
            for name, result in zip(names, decoded, strict=True)
            if isinstance(result, str)
        ),
    )


def _decode(path: Path) -> np.ndarray | str:
    """Return uint8 (224, 224, 1), or the reason why there is none."""
    try:
        pixels = to_input(read_anywhere(path.read_bytes()).pixels)[0]
    except ImageError as error:
        return error.reason
    except OSError:
        return "unreadable"
    return np.rint(pixels * 255).astype(np.uint8)


def save(dataset: Dataset, path: str | Path) -> None:
    """Write the arrays to one compressed file .npz, which `load` reads."""
    with kept.whole(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(
            file,
            images=dataset.images,
            labels=dataset.labels,
            names=dataset.names,
            patients=dataset.patients,
            groups=dataset.groups,
        )


def _load_arrays(path: Path) -> Dataset:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Dataset(**arrays)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{path} does not hold the arrays of a data set. "
            "`python -m pneumonia data DIR --arrays FILE.npz` writes them."
        ) from error


def split(dataset: Dataset, share: float = VALIDATION_SHARE) -> tuple[Dataset, Dataset]:
    """Return the training and the validation images, no patient in both.

    Args:
        dataset: to split.
        share: of the patients that is held out, in (0, 1). A larger share holds out
            the patients of a smaller one too.

    Raises:
        DataError: one side lacks a class, so that nothing could be learned or measured.
    """
    held_out = validation_mask(dataset.groups, share)
    sides = dataset.subset(~held_out), dataset.subset(held_out)
    for side, name in zip(sides, ("training", "validation"), strict=True):
        if set(side.labels) != set(range(len(LABELS))):
            raise DataError(
                f"The {name} split of {len(dataset.labels)} images of "
                f"{len(set(dataset.groups))} patients lacks a class. Expected both "
                "classes on each side: add more patients. `python -m pneumonia data` "
                "shows who was taken for a patient."
            )
    return sides


def summarise(dataset: Dataset) -> str:
    """Return a table of images and patients per class and split, and what is wrong."""
    held_out = validation_mask(dataset.groups)
    lines = [
        f"{'class':<12}{'images':>8}{'patients':>10}{'train':>8}{'validation':>12}"
    ]
    for index, label in enumerate(LABELS):
        of_class = dataset.labels == index
        lines.append(
            f"{label:<12}{of_class.sum():>8}"
            f"{len(set(dataset.patients[of_class])):>10}"
            f"{(of_class & ~held_out).sum():>8}{(of_class & held_out).sum():>12}"
        )
    lines.append(
        f"{'all':<12}{len(dataset.labels):>8}{len(set(dataset.patients)):>10}"
        f"{(~held_out).sum():>8}{held_out.sum():>12}"
    )
    lines += _who(dataset)
    lines.append(f"exact duplicates: {dataset.duplicates()}")
    lines.append(f"unreadable files: {len(dataset.unreadable)}")
    reasons = Counter(reason for _, reason in dataset.unreadable)
    lines += [f"  {reason}: {count}" for reason, count in sorted(reasons.items())]
    lines += [f"  {name}: {reason}" for name, reason in dataset.unreadable[:20]]
    lines.append(f"left out, no images of a class: {len(dataset.left_out)}")
    lines += [f"  {name}" for name in dataset.left_out[:20]]
    return "\n".join(lines)


def _who(dataset: Dataset) -> list[str]:
    """Say what was taken for the patient, so that a wrong guess is seen."""
    by_kind: dict[str, list[int]] = {}
    pairs = list(zip(dataset.names, dataset.patients, strict=True))
    for number, (name, patient) in enumerate(pairs):
        by_kind.setdefault(taken_from(name, patient), []).append(number)
    lines = []
    for kind, of_kind in sorted(by_kind.items()):
        lines.append(f"the patient is {kind}: {len(of_kind)} images, such as")
        for number in (of_kind[0], of_kind[-1])[: len(of_kind)]:
            name, patient = pairs[number]
            lines.append(f"  {patient} on {name}")
    patient, most = Counter(dataset.patients).most_common(1)[0]
    if most > max(_MOST, len(pairs) * VALIDATION_SHARE):
        lines.append(
            f"{patient} is on {most} of {len(pairs)} images. If that is not one "
            "person, put each person's images into a folder of their own."
        )
    return lines


def download(out: str | Path) -> Path:
    """Download the public data set from Kaggle.

    Kaggle's zip holds the data twice, and once more as forks of macOS. It is unpacked
    in a folder of its own below `out`. When it is whole, `train/`, `val/` and `test/`
    are moved into `out`, and the rest is removed. So `train/` is there only if all is.

    Args:
        out: folder that will hold `train/` and `test/`. Where they are there already,
            nothing is downloaded.

    Returns:
        `out`.

    Raises:
        DataError: it can't be downloaded, or `out` holds something in its place.
    """
    import kagglehub

    out = Path(out)
    if all((out / part).is_dir() for part in ("train", "test")):
        return out
    there = [out / part for part in _PARTS if (out / part).exists()]
    if nested := find_training(out):
        there.append(nested)
    if there:
        raise DataError(
            f"{there[-1]} is there already. Go on with that folder, or choose another "
            "--out."
        )
    unpacked = out / ".kaggle"
    try:
        root = kagglehub.dataset_download(
            KAGGLE_DATASET, output_dir=str(unpacked), force_download=unpacked.exists()
        )
    except Exception as error:  # whatever the client and its transport raise
        if isinstance(error, OSError) and error.errno in _OF_DISKS:
            raise
        raise DataError(
            f"The data set can't be downloaded ({type(error).__name__}). Connect to "
            "the network and run the same command again; it begins anew."
        ) from error
    found = find_training(Path(root))
    if found is None:
        raise DataError(f"The download in {root} has no folder train/NORMAL.")
    for part in _PARTS:
        if found.with_name(part).is_dir():
            found.with_name(part).rename(out / part)
    shutil.rmtree(unpacked, ignore_errors=True)
    return out
