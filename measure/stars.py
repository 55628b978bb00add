"""Stars of one frame: position, flux, width, shape."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

SIGMA_TO_FWHM = 2.0 * float(np.sqrt(2.0 * np.log(2.0)))

_CLEAR_SNR = 10.0


@dataclass(frozen=True, slots=True)
class Stars:
    """N stars, brightest first, as parallel (N,) arrays.

    ``x, y`` in pixels with the centre of the first pixel at (0, 0); ``flux`` and ``peak`` in ADU above the
    sky; ``flux`` within 1.5 FWHM of the frame, so that it keeps its meaning when the seeing changes; ``a, b``
    standard deviations along the axes in pixels, ``theta`` in radians from +x.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    snr: NDArray[np.float64]
    fwhm_px: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    theta: NDArray[np.float64]
    peak: NDArray[np.float64]
    saturated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.x)

    @property
    def xy(self) -> NDArray[np.float64]:
        """Positions as (N, 2)."""
        return np.column_stack((self.x, self.y))

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Stars:
        """Return the stars at these indices or under this mask."""
        return Stars(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


def typical_fwhm_px(stars: Stars) -> float:
    """Return the median FWHM of all clear stars, unsaturated if there are such; NaN without any star."""
    usable = ~stars.saturated
    clear = usable & (stars.snr > _CLEAR_SNR)
    widths = next((stars.fwhm_px[which] for which in (clear, usable) if which.any()), stars.fwhm_px)
    return float(np.median(widths)) if len(widths) else float("nan")


def no_stars() -> Stars:
    """A list without a star."""
    e = np.empty(0)
    return Stars(e, e, e, e, e, e, e, e, e, np.empty(0, dtype=bool))
