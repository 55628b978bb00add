"""The width of a frame's stars, told from the widths of all that was measured in it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_BANDWIDTH = 0.08
"""Of the density of ln FWHM; seeing, focus and lens spread a frame's stars by about as much."""
_MEMBER = 3.0
"""Sources within so many bandwidths of the mode are the stars that its axes are taken from."""


class StarSize(NamedTuple):
    """A frame's typical star: FWHM, and standard deviations along its axes, in pixels."""

    fwhm_px: float
    a_px: float
    b_px: float


def typical_size(fwhm: FloatArray, a: FloatArray, b: FloatArray, weight: FloatArray) -> StarSize | None:
    """Find the mode of the widths (N), each counted by its ``weight``; None if there is nothing to count.

    Stars of one frame have one width within some percent, whatever their brightness; galaxies, nebulae,
    halos, hot pixels and pieces of trails have any. So the mode stands where the stars are, even if they are
    fewer than the others. It is the maximum of a Gaussian kernel density of ln FWHM (Parzen 1962).
    """
    if not len(fwhm) or not weight.sum() > 0:
        return None
    width = np.log(fwhm)
    near = np.exp(-0.5 * ((width[:, None] - width[None, :]) / _BANDWIDTH) ** 2)
    middle = width[int(np.argmax(near @ weight))]
    member = np.abs(width - middle) < _MEMBER * _BANDWIDTH
    return StarSize(*(_weighted_median(each[member], weight[member]) for each in (fwhm, a, b)))


def _weighted_median(values: FloatArray, weight: FloatArray) -> float:
    order = np.argsort(values)
    share = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(share, 0.5 * share[-1])])
