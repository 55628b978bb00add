"""How a sub lies in its stack: with its file and its masters, all that it takes to stack it again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from livestack.demosaics import DEFAULT, METHODS, Demosaic
from livestack.geometry import size
from livestack.kernels.keys import class_weight, weight_class
from livestack.kernels.registering import Course, Demosaicing
from livestack.kernels.resampling import PHASES, bicubic, lanczos
from livestack.normalise import Surface
from livestack.survey import Patches, colours
from livestack.tiling import tile_maps, turn_of
from livestack.warp import Warp

Interpolation = Literal["lanczos-4", "lanczos-3", "bicubic"]
"""How pixels are resampled: the sharper, the more it rings where stars are undersampled."""

_UNDERSHOOT_SIGMA = 3.0
_LEAST_OF_16_SIGMA = 1.77  # how far below the mean the least of 16 values of noise is
_AS_FINE = 1.05
_STRETCHES = 20
"""Steps, to the unit, in which interpolation kernels are stretched."""
_TABLES: dict[Interpolation, NDArray[np.float32]] = {
    "lanczos-4": lanczos(4),
    "lanczos-3": lanczos(3),
    "bicubic": bicubic(),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """What was found out about a sub; nothing of it has to be looked for again.

    ``warp`` takes it onto the reference. Its pixels times ``scale`` plus ``surface`` are at the stack's scale
    and level. ``weight`` is what its pixels deserve, 1 for those of its filter's first sub: had another
    one been the first, all weights would differ by one factor. ``noise_adu`` is the noise of a calibrated raw
    pixel, ``dark_factor`` how much of a scalable dark was taken off, ``shift_adu`` what was with the pedestal
    since the bias level has moved, ``patches`` what replaces single pixels, ``demosaic`` how a mosaic becomes
    colour.
    """

    bayer_pattern: str | None
    warp: Warp
    scale: float
    surface: Surface
    weight: float
    noise_adu: float
    patches: Patches
    dark_factor: float | None = None
    demosaic: Demosaic = DEFAULT
    shift_adu: float = 0.0
    fwhm_px: float = math.nan
    """Of its stars, in pixels of the reference; NaN where unknown."""

    interpolation: Interpolation | None = None
    """None is the usual one, :func:`usual_interpolation`."""

    @property
    def weight_class(self) -> int:
        """The class of its weight in a live stack."""
        return weight_class(self.weight)

    @property
    def class_weight(self) -> float:
        """With which it counts in a live stack: the weight of its class."""
        return class_weight(self.weight_class)


def course(
    placed: Placed, shape: tuple[int, int], zero_adu: NDArray[np.float32], tiles: slice = slice(None)
) -> Course:
    """A sub's way into a stack of ``shape`` whose sky is about ``zero_adu`` (channels), for the kernels.

    It may be that into some of the tiles alone.
    """
    finer = max(1.0, 1.0 / size(placed.warp.matrix))
    undershoot = (_UNDERSHOOT_SIGMA + _LEAST_OF_16_SIGMA) / finer - _LEAST_OF_16_SIGMA
    return Course(
        maps=tile_maps(placed.warp, shape, tiles),
        turn=turn_of(placed.warp.matrix),
        table=table_for(
            finer, placed.interpolation or usual_interpolation(mono=placed.bayer_pattern is None)
        ),
        colours=colours(placed.bayer_pattern),
        demosaicing=_demosaicing(placed),
        scale=np.float32(placed.scale),
        levels=np.ascontiguousarray(placed.surface.tile_planes(shape, tiles), np.float32),
        undershoot=np.float32(max(undershoot, 0.0) * placed.noise_adu),
        noise=np.float32(placed.noise_adu),
        stretched=finer > _AS_FINE,
        zero=zero_adu,
    )


def _demosaicing(placed: Placed) -> Demosaicing:
    method = METHODS[placed.demosaic]
    gain = np.float32(method.gain or 0.0)
    return Demosaicing(method.gain is None, gain, method.reach_px, np.float32(placed.noise_adu))


def usual_interpolation(*, mono: bool) -> Interpolation:
    """Bicubic for a demosaiced frame: it holds nothing that Lanczos alone would keep, and gets less noisy."""
    return "lanczos-4" if mono else "bicubic"


def table_for(finer: float, interpolation: Interpolation) -> NDArray[np.float32]:
    """The interpolation of a frame whose pixels are ``finer`` times (1 or more) finer than what it is for."""
    return _table(interpolation, round(_STRETCHES * finer) if finer > _AS_FINE else 0)


@lru_cache
def _table(interpolation: Interpolation, stretch: int) -> NDArray[np.float32]:
    table = _TABLES[interpolation]
    return stretched(table, stretch / _STRETCHES) if stretch else table


def stretched(table: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """An interpolation table for a frame whose pixels are ``factor`` times finer than the stack's.

    The same kernel over as many stack pixels, and so that much more of the frame's: it averages what the
    stack cannot resolve, where the narrow one would alias it.
    """
    half = table.shape[1] // 2
    profile = table[:-1, ::-1].T.ravel()
    reach = int(np.ceil(half * factor))
    distance = np.arange(PHASES + 1)[:, None] / PHASES - np.arange(1 - reach, reach + 1)
    places = np.arange(len(profile)) / PHASES - half
    weights = np.interp(distance / factor, places, profile, left=0.0, right=0.0)
    return np.ascontiguousarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
