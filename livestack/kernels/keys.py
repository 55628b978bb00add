"""Sixteen bits that hold a value and the weight of the sub it came from.

The value is kept as the signed square root of its distance from the sky: photon noise grows the same way, so
that the step between two codes stays a small, constant part of a value's own noise. Subs' weights come in
eight classes, a factor √2 apart. What is accumulated is the value as coded, so that taking it out again later
leaves nothing behind. Comparing keys compares values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

CLASSES = 8
CLASS_WEIGHTS = (2.0 ** (-np.arange(CLASSES) / 2)).astype(np.float32)
LARGEST_CODE = 4094
NO_LARGEST = np.int16(-32768)
NO_SMALLEST = np.int16(32767)

_HEADROOM = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """``zero_adu`` (channels) is the sky; ``per_root_adu`` codes go to one square root of an ADU."""

    zero_adu: NDArray[np.float32]
    per_root_adu: float

    @classmethod
    def over(cls, sky_adu: ArrayLike, largest_adu: float) -> Coding:
        """Return the coding for values from about ``sky_adu`` to somewhat beyond ``largest_adu``."""
        zero = np.atleast_1d(np.asarray(sky_adu, np.float32))
        span = max(_HEADROOM * (largest_adu - float(zero.min())), 1.0)
        return cls(zero, LARGEST_CODE / math.sqrt(span))


def weight_class(weight: float) -> int:
    """Return the class whose weight, 2^(−class / 2), is nearest to ``weight`` (0 to 1)."""
    if weight <= 0:
        return CLASSES - 1
    return int(min(max(round(-2 * math.log2(weight)), 0), CLASSES - 1))
