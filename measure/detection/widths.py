"""The width of a frame's stars, told from the widths of all that was measured in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_BANDWIDTH = 0.08
"""Of the density of ln FWHM; seeing, focus and lens spread a frame's stars by about as much."""
_MEMBER = 3.0
"""Sources within so many bandwidths of the mode are the stars that its axes are taken from."""
_LEAST_RIM = 0.025
"""A star of FWHM 1.4 px without wings has as much light outside of its inner 3×3 pixels."""
_MODES = 3
_LEAST_OTHERS = 5


class StarSize(NamedTuple):
    """A frame's typical star: FWHM, and standard deviations along its axes, in pixels.

    ``rim`` is the share of the light in its 5×5 pixels that falls outside of the inner 3×3.
    """

    fwhm_px: float
    a_px: float
    b_px: float
    rim: float

    @property
    def is_pixel(self) -> bool:
        """Whether it is as sharp as hot pixels and clusters of them are."""
        return self.rim <= _LEAST_RIM


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """What was measured of N sources: FWHM, axes, light in the 3×3 and in the 5×5 pixels (N, 2).

    Each counts by its ``weight`` (N).
    """

    fwhm_px: FloatArray
    a_px: FloatArray
    b_px: FloatArray
    boxes: FloatArray
    weight: FloatArray


def typical_size(sources: Sizes) -> StarSize | None:
    """Find the mode of the widths; None if there is nothing to count.

    Stars of one frame have one width within some percent, whatever their brightness; galaxies, nebulae,
    halos and pieces of trails have any. So the mode stands where the stars are, even if they are fewer than
    the others. It is the maximum of a Gaussian kernel density of ln FWHM (Parzen 1962). Hot pixels and
    clusters of them have one width as well, but no light around them: what optics blur has, and is preferred.
    """
    if not len(sources.fwhm_px) or not sources.weight.sum() > 0:
        return None
    width, weight = np.log(sources.fwhm_px), sources.weight.copy()
    near = np.exp(-0.5 * ((width[:, None] - width[None, :]) / _BANDWIDTH) ** 2)
    rim = 1 - sources.boxes[:, 0] / np.maximum(sources.boxes[:, 1], 1e-9)
    measured = (sources.fwhm_px, sources.a_px, sources.b_px, rim)
    first: StarSize | None = None
    for _ in range(_MODES):
        middle = width[int(np.argmax(near @ weight))]
        member = (np.abs(width - middle) < _MEMBER * _BANDWIDTH) & (weight > 0)
        size = StarSize(*(_weighted_median(each[member], weight[member]) for each in measured))
        if not size.is_pixel:
            return size
        first = first or size
        weight[member] = 0
        if (weight > 0).sum() < _LEAST_OTHERS:
            break
    return first


def _weighted_median(values: FloatArray, weight: FloatArray) -> float:
    order = np.argsort(values)
    share = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(share, 0.5 * share[-1])])
