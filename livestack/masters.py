"""The masters of one sub, made ready to be applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.mosaics import RGB, cell_px
from livestack.cosmetic import Repairs, plan_repairs
from livestack.dark_scaling import ScalableDark, take_apart
from livestack.errors import MismatchError
from measure.kernels.frames import FLAT_UNIT

_LEAST_RESPONSE = 0.05
_MOST_RESPONSE = np.float32(65_535)


@dataclass(frozen=True, slots=True, eq=False)
class Masters:
    """What to take off a raw (H, W) frame and what to multiply it by; ``None`` where there is no master.

    ``pedestal_adu`` is the dark, or the bias where no dark fits: never both. ``response`` is the flat in
    units of 1/20,000 of its median, 0 where the sensor hardly responds: sixteen bits tell more than any
    flat knows, and take half the memory. ``defects`` says how each pixel of a defect map is mended. Build it
    once for many subs, with ``prepare``.
    """

    pedestal_adu: NDArray[np.float32] | None = None
    response: NDArray[np.uint16] | None = None
    defects: Repairs | None = None
    scalable_dark: ScalableDark | None = None
    """Where there is one, each sub is asked how much of the dark it holds; else the pedestal is taken."""

    overscan_adu: float | None = None
    """The level of the overscan that the pedestal had."""

    shift_adu: float = 0.0
    """What goes with the pedestal in the sub in hand, whose bias level has moved: no pedestal, no shift."""

    def shift_for(self, overscan_adu: float | None) -> float:
        """How far the bias level of a sub with such an overscan lies above the pedestal's; 0 if unknown."""
        if self.pedestal_adu is None or self.overscan_adu is None or overscan_adu is None:
            return 0.0
        return overscan_adu - self.overscan_adu


def prepare(
    *,
    bias: NDArray[np.float32] | None = None,
    dark: NDArray[np.float32] | None = None,
    flat: NDArray[np.float32] | None = None,
    defects: NDArray[np.integer[Any] | np.bool_] | None = None,
    bayer_pattern: str | None = None,
    optimise_dark: bool = False,
    dark_overscan_adu: float | None = None,
    bias_overscan_adu: float | None = None,
) -> Masters:
    """Prepare master frames (H, W).

    A dark holds its bias, so the bias counts only without a dark. The flat must have lost its own bias or
    flat-dark already; it is scaled to a median of one, each colour of a Bayer mosaic by itself, so that the
    colour of the flat's light does not tint the picture. Every pixel that is not 0 in ``defects`` is mended:
    leave in the map what shall be. ``optimise_dark`` scales what the dark has above the bias, which must
    then be given too, to what each sub shows (see :mod:`livestack.dark_scaling`). The overscans' levels tell
    how far the bias level of a sub, or of a dark that is scaled, is from that of the frame taken off.
    """
    if optimise_dark and (dark is None or bias is None):
        raise ValueError("a dark is scaled above its bias: both are needed")
    level = dark_overscan_adu if dark is not None else bias_overscan_adu
    if optimise_dark and dark is not None and bias_overscan_adu is not None:
        if level is not None:
            dark = dark - np.float32(level - bias_overscan_adu)  # what is left above the bias is dark current
        level = bias_overscan_adu
    pedestal = dark if dark is not None else bias
    return Masters(
        pedestal_adu=None if pedestal is None else np.ascontiguousarray(pedestal, dtype=np.float32),
        response=None if flat is None else _response(flat, bayer_pattern),
        defects=None if defects is None else plan_repairs(defects, bayer_pattern),
        scalable_dark=take_apart(dark, bias, bayer_pattern=bayer_pattern)
        if optimise_dark and dark is not None and bias is not None
        else None,
        overscan_adu=level,
    )


def check_shapes(masters: Masters, shape: tuple[int, int]) -> None:
    """Raise MismatchError when a master has another shape (H, W) than the frame."""
    for name, master in (("dark or bias", masters.pedestal_adu), ("flat", masters.response)):
        if master is not None and master.shape != shape:
            few, many = sorted((master.shape[0], shape[0]))
            if many == 3 * few and master.shape[1] == shape[1]:
                one, three = ("the frame", f"the {name}") if few == shape[0] else (f"the {name}", "the frame")
                raise MismatchError(
                    f"{one} has one plane and {three} has three: colour frames take masters of colour frames"
                )
            raise MismatchError(f"the {name} is {_size(master.shape)}, the frame is {_size(shape)}")
    if masters.defects is not None and masters.defects.shape != shape:
        raise MismatchError(f"the defect map is {_size(masters.defects.shape)}, the frame is {_size(shape)}")


def saturation_level_adu(raw: NDArray[np.integer[Any] | np.floating[Any]]) -> float:
    """Return the count from which a pixel is saturated: 98 % of the largest, at least about 12 bits' worth.

    The largest count of a frame without saturated stars is some star's peak; calling that one saturated costs
    nothing but a star's place in the photometry.
    """
    return max(0.98 * float(np.fmax.reduce(raw, axis=None)), 4000.0)


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in reversed(shape))


def _response(flat: NDArray[np.float32], bayer_pattern: str | None) -> NDArray[np.uint16]:
    response = np.array(flat, dtype=np.float32)
    cell = cell_px(bayer_pattern)
    planes = [response[i::cell, j::cell] for i in range(cell) for j in range(cell)]
    if bayer_pattern == RGB:
        planes = list(response.reshape(3, -1, response.shape[1]))
    for plane in planes:
        level = float(np.nanmedian(plane))
        np.multiply(plane, FLAT_UNIT / level if level > 0 else np.nan, out=plane)
    response[~(response > _LEAST_RESPONSE * FLAT_UNIT)] = 0
    return np.rint(np.minimum(response, _MOST_RESPONSE, out=response), out=response).astype(np.uint16)
