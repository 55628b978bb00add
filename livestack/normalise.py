"""Every sub at the scale and level of the first, so that haze and moonlight leave no steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from livestack.resample import Registered
from measure.stars import Stars

_GRID_PX = 4
_MIN_PAIRS = 5
_PHOTOMETRIC_STARS = 100
_PHOTOMETRIC_SNR = 10.0


def transparency_scale(stars: Stars, pairs: NDArray[np.intp], reference_flux: NDArray[np.float64]) -> float:
    """Return what to multiply a sub by so that its stars are as bright as the reference's.

    ``pairs`` (N, 2) index ``stars`` and ``reference_flux`` (NaN where unknown). The median ratio of the
    brightest unsaturated pairs; 1 when there are fewer than five.
    """
    i, j = pairs.T
    good = ~stars.saturated[i] & (stars.snr[i] > _PHOTOMETRIC_SNR) & (reference_flux[j] > 0)
    chosen = np.flatnonzero(good)[:_PHOTOMETRIC_STARS]
    if len(chosen) < _MIN_PAIRS:
        return 1.0
    return float(np.median(reference_flux[j[chosen]] / stars.flux[i[chosen]]))


class Level:
    """The sky of the first sub on a coarse grid, by which the skies of the others are levelled."""

    def __init__(self, first: Registered) -> None:
        self._pixels = first.pixels[::_GRID_PX, ::_GRID_PX].copy()
        self._covered = first.covered[::_GRID_PX, ::_GRID_PX].copy()

    def offset(self, sub: Registered) -> NDArray[np.float32]:
        """Return what to add to ``sub``, for each channel: the median difference where both are covered.

        A difference of the same patch of sky: nebulae, vignetting and the edges of the field cancel. Stars
        that change with the seeing are few and the median does not see them.
        """
        both = self._covered & sub.covered[::_GRID_PX, ::_GRID_PX]
        if not both.any():
            return np.zeros(self._pixels.shape[2:], dtype=np.float32)
        difference = self._pixels[both] - sub.pixels[::_GRID_PX, ::_GRID_PX][both]
        return np.asarray(np.median(difference, axis=0), dtype=np.float32)
