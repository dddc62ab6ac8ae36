"""A data set as arrays: decode, keep, split, download.

`layout` finds the files. They are decoded by the same two functions that serving uses.
"""

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..contract import LABELS
from ..serving.image import read_image, to_input
from ..serving.picture import ImageError
from .layout import DataError, look
from .patients import (
    VALIDATION_SHARE,
    digests,
    link_duplicates,
    patient_of,
    validation_mask,
)

KAGGLE_DATASET = "paultimothymooney/chest-xray-pneumonia"
"""Kermany et al. 2018 as published on Kaggle, CC BY 4.0."""


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
    patients = np.array([patient_of(names[i]) for i in good])
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
        pixels = to_input(read_image(path.read_bytes()))[0]
    except ImageError as error:
        return error.reason
    except OSError:
        return "unreadable"
    return np.rint(pixels * 255).astype(np.uint8)


def save(dataset: Dataset, path: str | Path) -> None:
    """Write the arrays to one compressed file .npz, which `load` reads."""
    np.savez_compressed(
        path,
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
                f"The {name} split of {len(dataset.labels)} images lacks a class. "
                "Expected both classes on each side: add more patients."
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
    lines.append(f"exact duplicates: {dataset.duplicates()}")
    lines.append(f"unreadable files: {len(dataset.unreadable)}")
    reasons = Counter(reason for _, reason in dataset.unreadable)
    lines += [f"  {reason}: {count}" for reason, count in sorted(reasons.items())]
    lines += [f"  {name}: {reason}" for name, reason in dataset.unreadable[:20]]
    lines.append(f"left out, no images of a class: {len(dataset.left_out)}")
    lines += [f"  {name}" for name in dataset.left_out[:20]]
    return "\n".join(lines)


def download(out: str | Path) -> Path:
    """Download the public data set from Kaggle; an interrupted download is resumed.

    Args:
        out: folder that will hold the files.

    Returns:
        The folder that holds `train/` and `test/`.

    Raises:
        DataError: it can't be downloaded.
    """
    import kagglehub

    try:
        root = Path(kagglehub.dataset_download(KAGGLE_DATASET, output_dir=str(out)))
    except Exception as error:  # whatever the client and its transport raise
        raise DataError(
            f"The data set can't be downloaded ({type(error).__name__}). Connect to "
            "the network and run the same command again; it resumes where it stopped."
        ) from error
    found = next((path.parent for path in sorted(root.rglob("train/NORMAL"))), None)
    if found is None:
        raise DataError(f"The download in {root} has no folder train/NORMAL.")
    return found.parent
