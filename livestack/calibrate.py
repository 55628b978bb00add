"""A whole calibrated frame, for whoever needs one; the live stack calibrates tile by tile on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestack.dark_scaling import Scaling
from livestack.masters import Masters, check_shapes
from livestack.survey import Raw, counts, framed, survey_frame
from measure.kernels.frames import load

_AS_IT_LIES = np.eye(2, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """``pixels`` (H, W) float32 in ADU, NaN where there is no data; ``saturated`` (H, W) bool."""

    pixels: NDArray[np.float32]
    saturated: NDArray[np.bool_]
    dark_scaling: Scaling | None = None
    """How much of the dark was taken off, where that was left to the frame."""


def calibrate(
    raw: NDArray[np.integer[Any] | np.floating[Any]],
    masters: Masters,
    *,
    saturation_adu: float,
    bayer_pattern: str | None = None,
    overscan_adu: float | None = None,
) -> Calibrated:
    """Return (raw − dark or bias) / flat, the pixels of the defect map and lone hot and dead ones mended.

    Mended with a dark too: it cannot restore what a saturated or dead pixel never counted. With a defect map
    the search for lone ones spares whatever might be a star, however sharp.

    ``raw`` is (H, W), of any real type, and is left as it is; ``overscan_adu`` is the level of its overscan.
    Raises MismatchError when a master has another shape.
    """
    check_shapes(masters, raw.shape)
    frame = counts(raw)
    masters, scaling = settled(masters, frame, saturation_adu, overscan_adu)
    patches = survey_frame(frame, masters, bayer_pattern=bayer_pattern).patches
    pixels = np.empty(raw.shape, np.float32)
    load(framed(frame, masters, patches), 0, 0, _AS_IT_LIES, 1, pixels)
    saturated = np.asarray(raw >= saturation_adu)
    if masters.defects is not None:
        saturated.reshape(-1)[masters.defects.places] = False
    return Calibrated(pixels, saturated, scaling)


def settled(
    masters: Masters, raw: Raw, saturation_adu: float, overscan_adu: float | None = None
) -> tuple[Masters, Scaling | None]:
    """The masters of one frame (H, W): at its bias level, with as much of a scalable dark as it shows."""
    dark = masters.scalable_dark
    scaling = None if dark is None else dark.scaling(raw, saturation_adu=saturation_adu)
    factor = None if scaling is None else scaling.factor
    return settled_at(masters, factor, masters.shift_for(overscan_adu)), scaling


def settled_at(masters: Masters, dark_factor: float | None, shift_adu: float) -> Masters:
    """The masters so shifted, with so much of the dark; all, if that is ``None`` or the dark is fixed."""
    if masters.scalable_dark is None or dark_factor is None:
        return replace(masters, shift_adu=shift_adu) if shift_adu else masters
    pedestal = masters.scalable_dark.pedestal(dark_factor)
    return replace(masters, pedestal_adu=pedestal, scalable_dark=None, shift_adu=shift_adu)
