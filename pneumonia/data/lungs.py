"""Lung masks that people drew: which pixels of a chest X-ray are lung.

A mask lies over the whole picture squashed to a square, as `folder.load` keeps it.
docs/finder.md names a public source.
"""

import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..contract import PICTURE_SIZE
from . import stress


class LungsError(ValueError):
    """There are no masks where some should be; says what is expected."""


def load(
    source: str | Path, names: Sequence[str], side: int = PICTURE_SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """Read the masks of some images.

    Args:
        source: a folder of PNG files, each named like its image (folders inside are
            searched, endings do not count), every pixel above 0 a lung. Or a file
            .npz: `names` (m,) of images, and `packed` uint8 (m, H, W / 8), whose bits
            are the masks, as `numpy.packbits(mask, axis=1)` writes them.
        names: of images, as in `folder.Dataset.names`.
        side: height and width of the masks to return.

    Returns:
        found: bool (n,), True for the images that have a mask, and
        masks: uint8 (k, side, side, 1) of those k, in their order: 255 times the share
            of each pixel that is lung.

    Raises:
        LungsError: nothing can be read there, two masks or two images with a mask have
            one name, or no image has a mask.
    """
    source = Path(source)
    masks = _packed(source) if source.suffix == ".npz" else _drawn(source)
    stems = [Path(name).stem for name in names]
    twice = [stem for stem, n in Counter(stems).items() if n > 1 and stem in masks]
    if twice:
        raise LungsError(
            f"{len(twice)} masks have a name that several images have, such as "
            f"{twice[0]}. Give each image and its mask a name of their own."
        )
    found = np.array([stem in masks for stem in stems], bool)
    if not found.any():
        raise LungsError(
            f"{source} holds {len(masks)} masks, and none has the name of an image, "
            f"such as {stems[0] if stems else 'any'}. Name each mask like its image."
        )
    small = [_shrink(masks[stem], side) for stem in stems if stem in masks]
    return found, np.stack(small)[..., None]


def _shrink(mask: np.ndarray | Path, side: int) -> np.ndarray:
    """Squash one mask, packed or a file, to uint8 (side, side) in [0, 255]."""
    if isinstance(mask, Path):
        try:
            with Image.open(mask) as picture:
                lung = np.asarray(picture.convert("L")) > 0
        except OSError as error:
            raise LungsError(
                f"{mask} can't be read as a picture. Expected a PNG file of a mask."
            ) from error
    else:
        lung = np.unpackbits(mask, axis=1)
    whole = Image.fromarray(lung.astype(np.uint8) * 255)
    return np.asarray(whole.resize((side, side), Image.Resampling.BOX))


def _drawn(folder: Path) -> dict[str, Path]:
    """Find the PNG files of a folder, by the names of their images."""
    files = sorted(folder.rglob("*.png"))
    if not files:
        raise LungsError(
            f"{folder} holds no mask. Expected a folder of PNG files that are named "
            "like the images, or a file .npz; docs/finder.md describes both."
        )
    return _by_stem(folder, [file.name for file in files], files)


def _packed(path: Path) -> dict[str, np.ndarray]:
    """Read the masks of a file .npz, still packed, by the names of their images."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names, packed = arrays["names"], arrays["packed"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise LungsError(
            f"{path} does not hold masks: expected the arrays names and packed, which "
            "docs/finder.md describes."
        ) from error
    if packed.dtype != np.uint8 or packed.ndim != 3 or len(names) != len(packed):
        raise LungsError(
            f"{path}: packed is {packed.dtype} {packed.shape} for {len(names)} names; "
            "expected uint8 (names, height, width / 8)."
        )
    return _by_stem(path, names, packed)


def _by_stem(source: Path, names: Sequence[str], masks: Sequence) -> dict:
    """Map each mask's name without its ending to the mask."""
    found = {Path(name).stem: mask for name, mask in zip(names, masks, strict=True)}
    if len(found) < len(masks):
        raise LungsError(f"{source}: two masks have one name. Keep one of an image.")
    return found


def changed(
    masks: np.ndarray,
    labels: np.ndarray,
    family: str,
    seed: int = 0,
    boxes: np.ndarray | None = None,
) -> np.ndarray:
    """Change masks as `stress.changed` changes the images that they belong to.

    Args:
        masks: uint8 (n, 224, 224, 1) from `load`, in the order of the images.
        labels: int (n,), those of the images; both classes occur.
        family: key of `stress.FAMILIES`.
        seed: as given to `stress.changed`.
        boxes: as given to `stress.changed`.

    Returns:
        uint8 (n, 224, 224, 1); the masks themselves where the lungs stay in place.

    Raises:
        ValueError: the family needs boxes, and there are none.
    """
    change = stress.FAMILIES[family].moves
    if change is None:
        return masks
    return stress.changed(masks, labels, family, seed, change, boxes)
