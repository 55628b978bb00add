"""Pixels in ADU: what was divided by 65535 is multiplied again, a pedestal that was added is taken off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.cards import CardValue, HeaderUnit
from library.frames import FrameKind, FrameMeta
from library.numeric_cards import LEVEL, number

FULL_SCALE_ADU = 65535.0
"""What PixInsight, Siril and Astro Pixel Processor divide 16-bit data by when they write floats of 0…1."""

NORMALISED = f"pixels of 0…1 are read as ADU × {FULL_SCALE_ADU:g}"

_DERIVED = {FrameKind.DEFECTS, FrameKind.DARK_MODEL}
_OVERSHOOT, _WITHIN = 4.0, 0.99
"""A division by a flat lifts saturated stars above 1; this share of a frame's pixels stays below it."""


def may_be_normalised(unit: HeaderUnit, meta: FrameMeta) -> bool:
    """Whether pixels may be 0…1 for all that the header says: floats whose unit it does not name."""
    return (
        unit.integer("ZBITPIX" if unit.is_compressed_image else "BITPIX") < 0
        and meta.kind not in _DERIVED
        and meta.unit is None
        and unit.values.get("BSCALE", 1) in {None, 1}
        and unit.values.get("BZERO", 0) in {None, 0}
    )


def is_normalised(pixels: NDArray[Any], kind: FrameKind) -> bool:
    """Floats of 0…1: no camera's ADU, as noise alone is more than one of them.

    A master flat may be scaled to a mean of 1, and is what it is.
    """
    low, high = float(np.fmin.reduce(pixels, axis=None)), float(np.fmax.reduce(pixels, axis=None))
    if not (low >= -1.0 and 0.0 < high <= _OVERSHOOT):
        return False
    if high <= 1.0:
        return True
    return kind is not FrameKind.FLAT and float(np.mean(pixels > 1.0)) < 1 - _WITHIN


def added_adu(header: Mapping[str, CardValue], meta: FrameMeta) -> float:
    """What a header asks to be added: the PEDESTAL of a frame whose bias was taken off, else nothing.

    MaxIm adds 100 ADU lest a pixel be negative, and writes -100.
    """
    if not set("BD") & set(meta.calibrated):
        return 0.0
    return number(header.get("PEDESTAL"), LEVEL) or 0.0


def scaled(unit: HeaderUnit, factor: float, added: float) -> HeaderUnit:
    """The header of the same pixels in ADU, for those that read them."""
    if (factor, added) == (1.0, 0.0):
        return unit
    scale, zero = (number(unit.values.get(key)) for key in ("BSCALE", "BZERO"))
    scale = (1.0 if scale is None else scale) * factor
    zero = (zero or 0.0) * factor + added
    return replace(unit, values={**unit.values, "BSCALE": scale, "BZERO": zero})


def notes(factor: float, added: float) -> tuple[str, ...]:
    """What is to be told of it."""
    told = [NORMALISED] if factor != 1.0 else []
    return (*told, f"its PEDESTAL of {added:+g} ADU is applied") if added else tuple(told)
