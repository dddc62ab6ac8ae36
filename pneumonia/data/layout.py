"""Which files of a data-set folder are its images, and what is left out.

A data set is a folder that holds `NORMAL/` and `PNEUMONIA/`, or holds such a folder as
`train/`, directly or in a folder that a zip file put around it. Below a class all files
count, sub-folders included.
"""

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from ..contract import LABELS
from ..reading.files import files_below
from ..reading.image import is_picture
from ..reading.raster import SUFFIXES

CLASSES = tuple(label.upper() for label in LABELS)
"""Names of the class folders, in the order of LABELS."""

_HEAD = 132  # bytes that tell what a file is
_DEEPEST = 3  # folders that unpacking puts around a data set


class DataError(ValueError):
    """There is no data set where one should be; says what is expected."""


@dataclass(frozen=True)
class Layout:
    """What a folder holds.

    Attributes:
        root: the folder that holds the class folders.
        images: (path, index into LABELS), by class and path.
        left_out: names, relative to the folder, of what was not taken: files that are
            no pictures, and folders beside the classes.
    """

    root: Path
    images: list[tuple[Path, int]]
    left_out: list[str]

    def below_class(self) -> list[str]:
        """Return each image's path below its class folder, as `patients_of` wants.

        Where images are taken without labels, there may be no such folder.
        """
        below = []
        for path, index in self.images:
            folder = self.root / CLASSES[index]
            start = folder if path.is_relative_to(folder) else self.root
            below.append(path.relative_to(start).as_posix())
        return below

    def describe_left_out(self) -> str:
        """Say what was not taken; empty where nothing was left."""
        some = ", ".join(self.left_out[:5])
        more = len(self.left_out) - 5
        return some + (f" and {more} more" if more > 0 else "")


def look(folder: str | Path, labelled: bool = True) -> Layout:
    """List the images of a data set, and what is left out.

    A file is recognised by its suffix, and where that is unknown by its first bytes.

    Args:
        folder: holds `NORMAL/` and `PNEUMONIA/`, or a folder `train/` that does,
            or is what such a folder was unpacked into.
        labelled: False takes all pictures below the folder, each as of the first label.

    Raises:
        DataError: the folder is not laid out so, or a class has no image.
    """
    folder = Path(folder)
    if not labelled:
        images, left_out = _below(folder, folder, 0)
        if not images:
            raise DataError(f"{folder} holds no image. Expected X-rays below it.")
        return Layout(folder, images, left_out)
    root = folder if _fits(folder) else find_training(folder)
    if root is None:
        raise DataError(_no_data_set(folder))
    images, left_out = [], []
    for index, name in enumerate(CLASSES):
        of_class, no_images = _below(root / name, folder, index)
        if not of_class:
            raise DataError(f"{root / name} holds no image. Expected X-rays in it.")
        images += of_class
        left_out += no_images
    above = [root, *root.parents][: 1 + len(root.relative_to(folder).parts)]
    taken = {*above, *(root / name for name in CLASSES)}
    left_out += [
        f"{path.relative_to(folder).as_posix()}/"
        for place in above
        for path in _folders(place)
        if path not in taken
    ]
    return Layout(root, images, left_out)


def find_training(folder: Path) -> Path | None:
    """Return the highest `train/` with both classes below a folder; None if not one.

    Kaggle's zip holds `chest_xray/train`, the same once more in `chest_xray/chest_xray`
    and, as macOS packs them, forks of all files in `chest_xray/__MACOSX`.
    """
    places = [folder]
    for _ in range(_DEEPEST):
        if found := [place for place in places if _fits(place / "train")]:
            return found[0] / "train" if len(found) == 1 else None
        places = [path for place in places for path in _folders(place)]
    return None


def _below(
    place: Path, folder: Path, label: int
) -> tuple[list[tuple[Path, int]], list[str]]:
    """Return the images below a place, and what else is there, named in the folder."""
    if not place.is_dir():
        raise DataError(f"{place} is no folder.")
    images, left_out = [], []
    for path in sorted(files_below(place)):
        if _is_image(path):
            images.append((path, label))
        else:
            left_out.append(path.relative_to(folder).as_posix())
    return images, left_out


def _fits(folder: Path) -> bool:
    # by name and not by `is_dir`, which takes `Normal` for `NORMAL` on some systems
    return set(CLASSES) <= {path.name for path in _folders(folder)}


def _folders(place: Path) -> list[Path]:
    """Return the folders in a place that are not hidden; none if it is missing.

    `__MACOSX` is where macOS keeps what it hides: the forks of the files in a zip.
    """
    if not place.is_dir():
        return []
    with os.scandir(place) as found:  # which knows folders without asking for each
        names = sorted(entry.name for entry in found if entry.is_dir())
    shown = (n for n in names if not n.startswith(".") and n != "__MACOSX")
    return [place / name for name in shown]


def _is_image(path: Path) -> bool:
    """Tell a picture from other files; what can't be opened is listed as one."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return is_picture(file.read(_HEAD))
    except OSError:
        return True  # and found to be unreadable when it is decoded


def _no_data_set(folder: Path) -> str:
    """Say what was expected, what is there instead, and what to do."""
    expected = (
        f"{folder} is no data set: expected the folders {' and '.join(CLASSES)} in it "
        "or in its folder train."
    )
    names = [path.name for path in _folders(folder)]
    around = folder.parent
    if folder.name in ("train", "test", "val") and (near := find_training(around)):
        return f"{expected} There is one in {near.with_name(folder.name)}: name that."
    if not names:
        return f"{expected} `python -m pneumonia download --out DIR` gets one."
    near = {
        name: match[0]
        for name in names
        if name not in CLASSES
        and (match := difflib.get_close_matches(name.strip().upper(), CLASSES, 1, 0.8))
    }
    advice = ", ".join(f"{name!r} to {match}" for name, match in near.items())
    found = f" Found {', '.join(map(repr, names[:10]))}."
    return expected + found + (f" Rename {advice}." if advice else "")
