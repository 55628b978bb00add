"""From linear light to a picture for eyes, by the screen transfer function of PixInsight and Siril."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHADOWS_SIGMA = -2.8
TARGET_BACKGROUND = 0.2

_MAD_TO_SIGMA = 1.4826
_SAMPLES = 500_000
_WHITE_PERCENTILE = 99.995


def autostretch(
    image: NDArray[np.float32],
    weight: NDArray[np.float32] | NDArray[np.uint16] | None = None,
    *,
    linked: bool = True,
    target_background: float = TARGET_BACKGROUND,
    shadows_sigma: float = SHADOWS_SIGMA,
) -> NDArray[np.uint8]:
    """Return (H, W) or (H, W, 3) as 8 bits, background at ``target_background``, black at median − 2.8 σ.

    ``weight`` (H, W) is 0 where nothing was seen: black, and no part of the statistics. Colour is stretched
    by one curve (``linked``, which keeps hues) or by one for each channel (which makes any background grey).
    """
    seen = np.isfinite(image) if image.ndim == 2 else np.isfinite(image).all(axis=2)
    if weight is not None:
        seen &= weight > 0
    picture = np.zeros(image.shape, dtype=np.uint8)
    if not seen.any():
        return picture
    values = image[seen]
    if image.ndim == 2 or linked:
        curve = _curve(values.reshape(-1), target_background, shadows_sigma)
        picture[seen] = curve(values)
    else:
        for channel in range(image.shape[2]):
            curve = _curve(values[:, channel], target_background, shadows_sigma)
            picture[seen, channel] = curve(values[:, channel])
    return picture


def midtones_transfer(x: NDArray[np.float32], midtones: float) -> NDArray[np.float32]:
    """Map 0…1 onto 0…1 so that ``midtones`` becomes one half: (m − 1) x / ((2m − 1) x − m)."""
    m = np.float32(midtones)
    return (m - 1) * x / ((2 * m - 1) * x - m)


class _Curve:
    def __init__(self, black: float, white: float, midtones: float) -> None:
        self._black = np.float32(black)
        self._span = np.float32(max(white - black, 1e-30))
        self._midtones = midtones

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        unit = np.clip((values - self._black) / self._span, 0, 1)
        return np.rint(255 * midtones_transfer(unit, self._midtones)).astype(np.uint8)


def _curve(values: NDArray[np.float32], target_background: float, shadows_sigma: float) -> _Curve:
    sample = values[:: max(1, values.size // _SAMPLES)]
    median = float(np.median(sample))
    sigma = _MAD_TO_SIGMA * float(np.median(np.abs(sample - median)))
    white = float(np.percentile(sample, _WHITE_PERCENTILE))
    black = median + shadows_sigma * sigma
    if not white > median:
        return _Curve(black - 1.0, median + 1.0, 0.5)
    level = (median - black) / (white - black)
    # The midtones balance that takes level to the target is the transfer function of level at the target.
    midtones = (
        float(midtones_transfer(np.array(level, dtype=np.float32), target_background)) if level > 0 else 0.5
    )
    return _Curve(black, white, midtones)
