"""What stored values mean as brightness on a screen: gamma, transfer curve, profile.

A tone is a function of stored values in [0, 1], 1 being full scale, to values of a
screen in [0, 1]. None stands for values that are a screen's already. The screen is one
of sRGB; for a gamma its curve is taken as the power 2.2, from which it never is
farther than 9 of 255. Colours of a profile are left as they are, since brightness alone
counts here.
"""

import functools
from collections.abc import Callable

import numpy as np

Tone = Callable[[np.ndarray], np.ndarray]

_SCREEN = 2.2
_NEAR = 0.05  # relative difference of an exponent that nobody sees, as in libpng
_ALIKE = 4 / 255  # a profile's curve that near to a screen's is one
_SENSIBLE = (0.15, 1.6)  # of gAMA; writers put a screen's 2.2 there by mistake
_STEPS = 4096
_WHITE = 203  # cd/m2 of white on paper in pictures of high dynamic range, BT.2408
_SCREENS = (1, 4, 6, 11, 12, 13, 14, 15)  # codes of H.273 that mean about a screen's


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


def of_transfer(code: int, full_range: bool = True) -> Tone | None:
    """Return the tone of a transfer characteristic of ITU-T H.273.

    Of high dynamic range (PQ, HLG), what is brighter than white on paper is clipped.

    Args:
        code: its number there.
        full_range: black is 0 and white full scale; else as in television.

    Raises:
        ValueError: it is none that is known here.
    """
    light = {
        5: lambda v: v**2.8,
        8: lambda v: v,
        16: _perceptual_quantizer,
        18: _hybrid_log_gamma,
    }.get(code)
    if light is None and code not in _SCREENS:
        raise ValueError("unknown transfer characteristics")
    if light is None and full_range:
        return None

    def tone(stored: np.ndarray) -> np.ndarray:
        stored = stored if full_range else (stored * 255 - 16) / 219
        stored = np.clip(stored, 0, 1)
        return stored if light is None else np.minimum(light(stored), 1) ** (1 / 2.2)

    return tone


def _perceptual_quantizer(stored: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: stored values to light, white on paper being 1."""
    root = stored ** (1 / 78.84375)
    part = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
    return part ** (1 / 0.1593017578125) * (10_000 / _WHITE)


def _hybrid_log_gamma(stored: np.ndarray) -> np.ndarray:
    """ARIB STD-B67: the same; white on paper is stored as 0.75."""
    upper = (np.exp((stored - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(stored <= 0.5, stored**2 / 3, upper) / 0.26496


@functools.lru_cache(maxsize=8)
def of_profile(profile: bytes) -> Tone | None:
    """Return the tone of an ICC profile, of grey or along the greys of RGB.

    Grey of the power 1.8 counts as a screen's: that is Apple's Generic Gray Profile,
    which old Macs put on any grey picture. In the public data set all normal X-rays
    have it and none with pneumonia has, so that it would tell the classes apart.

    Raises:
        ValueError: it can't be understood.
    """
    channels = {b"GRAY": 1, b"RGB ": 3}.get(profile[16:20])
    if profile[16:20] in (b"CMYK", b"Lab "):
        return None  # such pictures come as RGB
    if channels is None:
        raise ValueError("no profile of a picture")
    import imagecodecs  # Little CMS; plain pictures need not wait for it

    steps = np.linspace(0, 1, _STEPS)
    ramp = np.rint(steps * 65535).astype(np.uint16)[None, :, None].repeat(channels, 2)
    try:
        shown = imagecodecs.cms_transform(
            ramp if channels > 1 else ramp[..., 0],
            profile,
            imagecodecs.cms_profile("srgb"),
            colorspace="rgb" if channels > 1 else "gray",
            outcolorspace="rgb",
            outdtype="uint16",
        )
    except (RuntimeError, ValueError) as error:
        raise ValueError("a broken profile") from error
    curve = shown[0] @ (0.299, 0.587, 0.114) / 65535
    if np.ptp(curve) < 0.5:
        raise ValueError("a profile that shows nothing")
    powers = (1.8, 2.2, 2.4) if channels == 1 else (2.2, 2.4)
    for screen in (steps, *(_in_srgb(steps**power) for power in powers)):
        if np.abs(curve - screen).max() < _ALIKE:
            return None
    return lambda stored: np.interp(stored, steps, curve)


def _in_srgb(light: np.ndarray) -> np.ndarray:
    return np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055
    )
