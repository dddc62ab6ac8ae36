"""Looks for a regular pattern over a picture, such as the moire of a filmed screen.

A pattern is a sharp peak in the spectrum of what the network is shown. Ribs, edges and
noise make broad hills there. On the axes nothing is looked for: frames, text and the
lines of a detector lie there, too.
"""

import numpy as np

from ..contract import IMAGE_SIZE

# How many times a peak stands above its neighbourhood. Of 1,060 X-rays one came above
# 20, at 23; filmed screens whose moire is seen came to 70 to 1,700.
_SHARP = 30
_FAINT = 0.004  # amplitude of a wave, of 1 for all of black to white, that is harmless
_NOISE = 0.001  # amplitude that counts as nothing
_COARSE = 6  # waves across the picture, below which lungs are
_AXIS = 3
_PEAK, _INNER, _OUTER = 1, 2, 4  # radii in the spectrum: a peak, and the ring around it

_window = np.hanning(IMAGE_SIZE + 2)[1:-1].astype(np.float32)
_window = _window[:, None] * _window
_across = np.arange(IMAGE_SIZE // 2)[_OUTER:-_OUTER]
_down = np.arange(-IMAGE_SIZE // 2, IMAGE_SIZE // 2)[_OUTER:-_OUTER, None]
_looked_at = (
    (np.hypot(_across, _down) > _COARSE) & (_across > _AXIS) & (abs(_down) > _AXIS)
)


def is_patterned(inputs: np.ndarray) -> bool:
    """Tell whether a regular pattern lies over a picture.

    Args:
        inputs: float32 (1, 128, 128, 1) in [0, 1], from `to_input`.
    """
    image = inputs[0, :, :, 0]
    waves = np.fft.rfft2((image - image.mean()) * _window)[:, : IMAGE_SIZE // 2]
    scale = 2 / float(_window.sum())
    power = np.fft.fftshift(np.abs(waves).astype(np.float64) * scale, axes=0) ** 2
    total = np.zeros((power.shape[0] + 1, power.shape[1] + 1))
    np.cumsum(np.cumsum(power, axis=0), axis=1, out=total[1:, 1:])
    peak, inner, outer = (_around(total, radius) for radius in (_PEAK, _INNER, _OUTER))
    ring = (2 * _OUTER + 1) ** 2 - (2 * _INNER + 1) ** 2
    beside = (outer - inner + _NOISE**2) * ((2 * _PEAK + 1) ** 2 / ring)
    found = _looked_at & (peak > _SHARP * beside)
    # the window spreads a wave over a peak that adds up to 2.25 times its power
    return bool(found.any() and peak[found].max() > 2.25 * _FAINT**2)


def _around(total: np.ndarray, radius: int) -> np.ndarray:
    """Return sums of squares around each place, of a table of sums up to it."""
    side, rest = 2 * radius + 1, _OUTER - radius
    sums = total[side:, side:] - total[:-side, side:]
    sums += total[:-side, :-side] - total[side:, :-side]
    return sums[rest : len(sums) - rest, rest : sums.shape[1] - rest]
