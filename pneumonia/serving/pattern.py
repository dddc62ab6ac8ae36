"""Looks for a regular pattern over a picture, such as the moire of a filmed screen.

A pattern is a sharp peak in the spectrum of what the network is shown. Ribs, edges and
noise make broad hills there. On the axes nothing is looked for: frames, text and the
lines of a detector lie there, too.
"""

import numpy as np

from ..contract import PICTURE_SIZE

# How many times a peak stands above the ring around it, as means of logarithms. Of
# 5,625 X-rays one comes above it; filmed screens whose moire is seen, above 40.
_SHARP = 25
_FAINT = 0.004  # amplitude of a wave, of 1 for all of black to white, that is harmless
_NOISE = 0.001  # amplitude that counts as nothing
_COARSE = 5  # waves across the picture, below which lungs are
_AXIS = 3
_PEAK, _INNER, _OUTER = 1, 2, 4  # radii in the spectrum: a peak, and the ring around it

_window = np.hanning(PICTURE_SIZE + 2)[1:-1].astype(np.float32)
_window = _window[:, None] * _window
# waves across and down; what goes the other way across mirrors these
_down, _across = np.indices((PICTURE_SIZE, PICTURE_SIZE // 2 + 1))
_down -= PICTURE_SIZE // 2
_looked_at = (
    (np.hypot(_across, _down) > _COARSE) & (_across > _AXIS) & (abs(_down) > _AXIS)
)[_OUTER:-_OUTER, _OUTER:-_OUTER]


def is_patterned(inputs: np.ndarray) -> bool:
    """Tell whether a regular pattern lies over a picture.

    Args:
        inputs: float32 (1, 224, 224, 1) in [0, 1], from `to_input`.
    """
    image = inputs[0, :, :, 0]
    waves = np.fft.rfft2((image - image.mean()) * _window)
    waves = np.fft.fftshift(waves, axes=0) * (2 / _window.sum())
    power = (waves.real**2 + waves.imag**2).astype(np.float64)
    logs = np.log(power + _NOISE**2)
    total = np.zeros((logs.shape[0] + 1, logs.shape[1] + 1))
    np.cumsum(np.cumsum(logs, axis=0), axis=1, out=total[1:, 1:])
    peak, inner, outer = (_around(total, radius) for radius in (_PEAK, _INNER, _OUTER))
    peak_size, inner_size, size = ((2 * r + 1) ** 2 for r in (_PEAK, _INNER, _OUTER))
    above = peak / peak_size - (outer - inner) / (size - inner_size)
    strong = power[_OUTER:-_OUTER, _OUTER:-_OUTER] > _FAINT**2
    return bool((_looked_at & strong & (above > np.log(_SHARP))).any())


def _around(total: np.ndarray, radius: int) -> np.ndarray:
    """Return sums of squares around each place, of a table of sums up to it."""
    side, rest = 2 * radius + 1, _OUTER - radius
    sums = total[side:, side:] - total[:-side, side:]
    sums += total[:-side, :-side] - total[side:, :-side]
    return sums[rest : len(sums) - rest, rest : sums.shape[1] - rest]
