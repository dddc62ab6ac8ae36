"""Attributes of a DICOM file, each read by itself: absent, empty and wrong are alike.

pydicom raises where a single value does not fit its type, and what it raises may quote
the file. Numbers are therefore read here from the bytes of their element. A comma is
taken for a point, and what is no number is NaN.
"""

import struct
import zlib

import numpy as np
import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

PARSE_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
    pydicom.errors.InvalidDicomError,
    pydicom.errors.BytesLengthException,
)
"""What pydicom and its decoders raise on damaged or hostile files."""

Table = tuple[int, np.ndarray]
"""The value that the first entry is for, and the entries (n,), as in the file."""

_BINARY = {
    **{"US": "u2", "SS": "i2", "UL": "u4", "SL": "i4", "FL": "f4", "FD": "f8"},
    **{"US or SS": "u2", "US or OW": "u2", "US or SS or OW": "u2", "OW": "u2"},
    "OB": "u1",
}
_LONGEST = 4096  # bytes of numbers or text that are looked at


def _raw(dataset: pydicom.Dataset, name: str) -> tuple[bytes, str, str]:
    """Return the bytes of an attribute, its type and the order of its bytes."""
    try:
        element = dataset.get_item(Tag(name))
    except PARSE_ERRORS:  # one of an unknown type is as good as absent
        element = None
    if isinstance(element, RawDataElement):
        kind = (
            element.VR if element.VR not in (None, "UN") else dictionary_VR(Tag(name))
        )
        order = "<" if element.is_little_endian else ">"
        return element.value or b"", kind, order
    if element is None or element.value is None:
        return b"", "", "<"
    if isinstance(element.value, bytes):
        return element.value, element.VR, "<"
    several = isinstance(element.value, list | tuple | pydicom.multival.MultiValue)
    values = element.value if several else [element.value]
    return "\\".join(map(str, values)).encode("ascii", "ignore"), "DS", "<"


def numbers(dataset: pydicom.Dataset, name: str) -> list[float]:
    """Return the numbers of an attribute, NaN for each that is none."""
    data, kind, order = _raw(dataset, name)
    data = data[:_LONGEST]
    if kind in _BINARY:
        dtype = np.dtype(order + _BINARY[kind])
        whole = len(data) // dtype.itemsize * dtype.itemsize
        return [float(number) for number in np.frombuffer(data[:whole], dtype)]
    parts = data.decode("ascii", "replace").split("\\") if data.strip(b"\0 ") else []
    return [_number(part) for part in parts]


def _number(text: str) -> float:
    try:
        return float(text.strip("\0 \t\r\n").replace(",", "."))
    except ValueError:
        return float("nan")


def number(dataset: pydicom.Dataset, name: str) -> float | None:
    """Return the first number of an attribute; None where there is none."""
    found = numbers(dataset, name)
    return found[0] if found and np.isfinite(found[0]) else None


def whole(dataset: pydicom.Dataset, name: str) -> int | None:
    """Return the first number of an attribute, cut to a whole one."""
    found = number(dataset, name)
    return None if found is None else int(found)


def text(dataset: pydicom.Dataset, name: str) -> str:
    """Return the first text of an attribute in upper case, without its padding."""
    return texts(dataset, name)[0]


def texts(dataset: pydicom.Dataset, name: str) -> list[str]:
    """Return the texts of an attribute, at least one, each as in `text`."""
    data, _, _ = _raw(dataset, name)
    words = data[:_LONGEST].decode("ascii", "replace").split("\\")
    return [word.strip("\0 \t\r\n").upper() for word in words]


def tables(dataset: pydicom.Dataset, name: str) -> tuple[Table | None, ...]:
    """Return the look-up tables of a sequence, as `table`; none if it can't be read."""
    try:
        return tuple(table(item) for item in dataset.get(name) or [])
    except PARSE_ERRORS:
        return ()


def table(item: pydicom.Dataset, of: str = "") -> Table | None:
    """Read a look-up table.

    Args:
        item: of a sequence, or the file itself.
        of: the colour that it is for, as in `RedPaletteColor`.

    Returns:
        The value that its first entry is for, as it stands in the file, and its entries
        (n,); None where one of its attributes is missing or does not fit.
    """
    prefix = f"{of}LookupTable" if of else "LUT"
    described = numbers(item, f"{prefix}Descriptor")
    if len(described) != 3 or not np.isfinite(described).all():
        return None
    count, first, _ = map(int, described)
    count = count % 2**16 or 2**16  # 0 stands for 65536
    data, kind, order = _raw(item, f"{prefix}Data")
    if kind == "DS":  # pydicom has read the numbers
        entries = np.asarray([_number(part) for part in data.decode().split("\\")])
    else:
        short = len(data) < 2 * count
        entries = np.frombuffer(
            data[: count if short else 2 * count], "u1" if short else f"{order}u2"
        )
    return None if len(entries) < count else (first, entries[:count])
