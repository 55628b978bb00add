"""How a sub lies in its stack: with its file and its masters, all that it takes to stack it again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livestack.kernels.keys import CLASS_WEIGHTS
from livestack.kernels.registering import Course
from livestack.kernels.resampling import bicubic, lanczos
from livestack.normalise import Surface
from livestack.survey import Patches, colours
from livestack.tiling import tile_maps, turn_of
from livestack.warp import Warp

_UNDERSHOOT_SIGMA = 3.0
_SHARP = lanczos(4)
_SOFT = bicubic()
"""A demosaiced frame holds nothing that Lanczos would keep and this would not, and its noise is less."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """What was found out about a sub; nothing of it has to be looked for again.

    ``warp`` takes it onto the reference. Its pixels times ``scale`` plus ``surface`` are at the stack's scale
    and level. ``number`` is the class of its weight, ``noise_adu`` the noise of a calibrated raw pixel,
    ``dark_factor`` how much of a scalable dark was taken off, ``patches`` what replaces single pixels.
    """

    bayer_pattern: str | None
    warp: Warp
    scale: float
    surface: Surface
    number: int
    noise_adu: float
    patches: Patches
    dark_factor: float | None = None

    @property
    def weight(self) -> float:
        """That of each of its pixels, at most 1."""
        return float(CLASS_WEIGHTS[self.number])


def course(
    placed: Placed, shape: tuple[int, int], zero_adu: NDArray[np.float32], tiles: slice = slice(None)
) -> Course:
    """A sub's way into a stack of ``shape`` whose sky is about ``zero_adu`` (channels), for the kernels.

    It may be that into some of the tiles alone.
    """
    return Course(
        maps=tile_maps(placed.warp, shape, tiles),
        turn=turn_of(placed.warp.matrix),
        table=_SHARP if placed.bayer_pattern is None else _SOFT,
        colours=colours(placed.bayer_pattern),
        scale=np.float32(placed.scale),
        levels=np.ascontiguousarray(placed.surface.tile_planes(shape, tiles), np.float32),
        undershoot=np.float32(_UNDERSHOOT_SIGMA * placed.noise_adu),
        zero=zero_adu,
    )
