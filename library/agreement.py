"""Which frames of a set to leave out of a master: no light, saturated, or unlike the others; and why."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

LEVEL_SIGMAS = 6.0
"""How many robust sigmas of the set's levels a frame's level may be off."""

PATTERN_RATIO = 2.0
"""How many times the set's typical difference from the common picture a frame may show."""

LEAST_SNR = 10.0
"""A flat whose pixels have less adds more noise to a picture than it takes shading out."""

SATURATED_FRACTION = 0.01
_FULL_SCALES = (255, 1023, 4095, 16383, 65535)
"""Of 8 to 16 bits; a camera may store fewer bits shifted to the top of 16."""

_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A frame that is not in the master."""

    path: Path
    reason: str


def median(values: NDArray[np.floating], axis: int | None = None) -> NDArray[np.floating]:
    """The median of what has a value; NaN where nothing has one."""
    found = np.asarray(np.median(values, axis=axis))
    if np.isnan(found).any():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a row without any value
            found = np.asarray(np.nanmedian(values, axis=axis))
    return found


def unlit(samples: Samples, levels: NDArray[np.floating], width: int) -> dict[int, str]:
    """Flats (N, P) without light, by index: pixels with SNR below 10 over the pedestal.

    ``levels`` (N, C) are the flats' own in each CFA channel, pedestal off; the noise is that between
    neighbours of one colour, so that vignetting does not count.
    """
    reasons = {}
    for index, row in enumerate(samples):
        level = float(levels[index].min())
        picture = row.reshape(-1, width)
        steps = picture[:, 2:] - picture[:, :-2]
        noise = _TO_SIGMA * float(median(np.abs(steps))) / np.sqrt(2) if steps.size else 0.0
        if not level > 0 or level < LEAST_SNR * noise:
            reasons[index] = f"no light: {level:.1f} ADU over the pedestal, noise {noise:.1f} ADU"
    return reasons


def saturated(samples: Samples) -> dict[int, str]:
    """Frames of integers (N, P) with more than 1 % of their pixels at the top of the converter's scale."""
    reasons = {}
    for index, row in enumerate(samples):
        top = float(np.fmax.reduce(row))
        scale = next((full for full in _FULL_SCALES if top <= full), 65535)
        shifted = min((65535 >> bits << bits for bits in range(8) if top <= 65535 >> bits << bits), default=0)
        limit = min(scale, shifted) if shifted else scale
        fraction = float(np.mean(row >= 0.995 * limit))
        if fraction > SATURATED_FRACTION:
            reasons[index] = f"saturated: {fraction:.0%} of its pixels are at {top:.0f} ADU"
    return reasons


def unlike(samples: Samples, common: Samples, grain: float, *, flat: bool) -> dict[int, str]:
    """Frames (N, P), three or more, whose level or picture disagrees with the ``common`` picture (P).

    A frame's level is its median, its pattern the MAD of its difference from the common picture. A level
    may be off by six robust sigmas of all levels, or by one pixel's noise if that is more; a pattern may be
    twice the typical one. Flats come scaled to level 1: only the pattern is judged, against shot noise.
    """
    if len(samples) < 3:
        return {}
    difference = samples - common
    levels = median(samples, axis=1).astype(np.float64)
    offsets = median(difference, axis=1)
    patterns = _TO_SIGMA * median(np.abs(difference - offsets[:, None]), axis=1)
    typical = float(median(patterns))
    reasons = {}
    if not flat:
        middle = float(median(levels))
        spread = _TO_SIGMA * float(median(np.abs(levels - middle)))
        limit = max(LEVEL_SIGMAS * spread, typical, grain or 1e-3 * abs(middle))
        for index in np.flatnonzero(np.abs(levels - middle) > limit):
            reasons[int(index)] = (
                f"its level is {levels[index]:.1f} ADU, the others' {middle:.1f} ± {spread:.1f}: "
                "a light leak, another exposure or temperature, or another kind of frame"
            )
    for index in np.flatnonzero(patterns > max(PATTERN_RATIO * typical, grain)):
        reasons.setdefault(
            int(index),
            f"its picture differs from the others' by {patterns[index]:.3g} where {typical:.3g} is usual: "
            "a gradient, a light leak, or another kind of frame",
        )
    return reasons
