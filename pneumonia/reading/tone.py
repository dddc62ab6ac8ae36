"""What stored values mean as brightness on a screen: gamma, transfer curve, profile.

A tone is a function of stored values in [0, 1], 1 being full scale, to values of a
screen in [0, 1]. None stands for values that are a screen's already. The screen is one
of sRGB; its curve is taken as the power 2.2, from which it never is farther than 9 of
255. Colours of a profile are left as they are, since brightness alone counts here.
"""

import struct
from collections.abc import Callable

import numpy as np

Tone = Callable[[np.ndarray], np.ndarray]

_SCREEN = 2.2
_NEAR = 0.05  # relative difference of an exponent that nobody sees, as in libpng
_ALIKE = 4 / 255  # a profile's curve that near to a screen's is one
_SENSIBLE = (0.15, 1.6)  # of gAMA; writers put a screen's 2.2 there by mistake
_MOST_TAGS = 100  # of a profile
_WHITE = 203  # cd/m2 of white on paper in pictures of high dynamic range, BT.2408
_SCREENS = (
    1,
    4,
    6,
    11,
    12,
    13,
    14,
    15,
    18,
)  # codes of H.273 that mean about a screen's


def of_gamma(gamma: float) -> Tone | None:
    """Return the tone of values that are light to the power of `gamma`.

    Raises:
        ValueError: no file means that.
    """
    if not _SENSIBLE[0] <= gamma <= _SENSIBLE[1]:
        raise ValueError("nonsense")
    exponent = 1 / (gamma * _SCREEN)
    if abs(exponent - 1) < _NEAR:
        return None
    return lambda stored: np.clip(stored, 0, 1) ** exponent


def of_transfer(code: int) -> Tone | None:
    """Return the tone of a transfer characteristic of ITU-T H.273.

    Of high dynamic range, HLG (18) is made to be shown as it is; of PQ (16), what is
    brighter than white on paper is clipped.

    Args:
        code: its number there.

    Raises:
        ValueError: it is none that is known here.
    """
    if code in _SCREENS:
        return None
    light = {5: lambda v: v**2.8, 8: lambda v: v, 16: _perceptual_quantizer}.get(code)
    if light is None:
        raise ValueError("unknown transfer characteristics")
    return lambda stored: np.clip(light(np.clip(stored, 0, 1)), 0, 1) ** (1 / _SCREEN)


def _perceptual_quantizer(stored: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: stored values to light, white on paper being 1."""
    root = stored ** (1 / 78.84375)
    part = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
    return part ** (1 / 0.1593017578125) * (10_000 / _WHITE)


def of_profile(profile: bytes, colours: bool = False) -> Tone | None:
    """Return the tone of an ICC profile: its curve of grey, or of green.

    Grey of the power 1.8 counts as a screen's: that is Apple's Generic Gray Profile,
    which old Macs put on any grey picture. Of 60 X-rays of the public data set, the 30
    normal ones have it and the 30 with pneumonia have none, so that it would tell the
    classes apart. Profiles of tables alone, and of inks, are not followed. Nor is one
    of grey where the file has colours: no viewer follows that. One of colours counts
    for grey, as in Chromium.

    Args:
        profile: what stands in the file.
        colours: the file's pixels are colours, even if all of them are grey.

    Raises:
        ValueError: it can't be understood, or does not fit.
    """
    try:
        curve, of_grey = _curve_of(profile)
        meant = _of_curve(curve, of_grey)
        if meant and of_grey and colours:
            raise ValueError("grey, for colours")
        return meant
    except (struct.error, IndexError, OverflowError) as error:
        raise ValueError("a profile that was cut") from error


def _curve_of(profile: bytes) -> tuple[bytes, bool]:
    """Return the curve that counts, empty without, and whether it is of grey."""
    if profile[36:40] != b"acsp":
        raise ValueError("no profile")
    wanted = {b"GRAY": b"kTRC", b"RGB ": b"gTRC"}.get(profile[16:20])
    (count,) = struct.unpack_from(">I", profile, 128)
    for at in range(132, 132 + 12 * min(count, _MOST_TAGS), 12):
        name, start, size = struct.unpack_from(">4sII", profile, at)
        if name == wanted:
            return profile[start : start + size], wanted == b"kTRC"
    return b"", False


def _of_curve(curve: bytes, grey: bool) -> Tone | None:
    if not curve:
        return None

    def tone(stored: np.ndarray) -> np.ndarray:
        light = _light(curve, np.clip(stored, 0, 1))
        return np.clip(light, 0, 1) ** (1 / _SCREEN)

    shown = tone(_STEPS)
    if not np.isfinite(shown).all() or np.ptp(shown) < 0.5:
        raise ValueError("a curve that shows nothing")
    screens = _SHOWN if grey else _SHOWN[:-1]
    if (np.abs(shown - screens).max(axis=1) < _ALIKE).any():
        return None
    return tone


def _light(curve: bytes, stored: np.ndarray) -> np.ndarray:
    """Evaluate a curve of ICC.1:2022, 10.6 and 10.18."""
    kind, count = struct.unpack_from(">4s4xI", curve)
    if kind == b"curv":
        if count == 0:
            return stored
        table = np.frombuffer(curve, ">u2", count, 12)
        if count == 1:
            return stored ** (table[0] / 256)
        return np.interp(stored, np.linspace(0, 1, count), table / 65535)
    if kind != b"para":
        raise ValueError("a curve of an unknown kind")
    function = count >> 16
    size = (1, 3, 4, 5, 7)[function]
    numbers = (np.frombuffer(curve, ">i4", size, 12) / 65536).tolist()
    power, a, b, c, d, e, f = numbers + [1, 0, 0, 0, 0, 0, 0][size - 1 : 6]
    if function in (1, 2):  # linear nowhere; the constant counts on both sides
        if a == 0:
            raise ValueError("a curve that divides by 0")
        c, d, e, f = 0, -b / a, c, c
    upper = np.maximum(a * stored + b, 0) ** power + e
    return np.where(stored >= d, upper, c * stored + f)


_SRGB = struct.pack(
    ">4s4xHxx5i", b"para", 3, 157286, 62119, 3417, 5073, 2651
)  # 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045
_STEPS = np.linspace(0, 1, 256)
_LIGHTS = (_STEPS**2.2, _STEPS**2.4, _light(_SRGB, _STEPS), _STEPS**1.8)
_SHOWN = np.stack(_LIGHTS) ** (1 / _SCREEN)  # the last is a screen's for grey alone
