"""Sixteen bits that hold a value and the weight of the sub it came from.

Twelve bits hold the value: near the sky the signed square root of its distance from it, since photon noise
grows that way, and coarser far above, where noise is large (see :class:`Coding`). Four bits hold the class
of the sub's weight. Classes are powers of :data:`CLASS_RATIO`, as many as needed; a key holds a class
modulo :data:`CLASSES`, and the stack knows which one that is. What is accumulated is the value as coded, so
that taking it out again later leaves nothing behind. Comparing keys compares values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numerics.compiling import kernel

CLASSES = 16
CLASS_RATIO = 1.625
"""Below 2, so that no sub makes a mean noisier; √((r + 1)²/4r) of the least noise at most, 3 %: ADR 8."""

NO_LARGEST = np.int16(-32768)
NO_SMALLEST = np.int16(32767)

CLASS_BITS = 4
CODES = 4096

_LEAST_CODE = -2047  # as stored: -2048 and 2047 may be NO_LARGEST and NO_SMALLEST
_STEPS = CODES - 3
_HEADROOM = 1.5
_BEND = 3.0  # at the largest value, steps are (this + 1)² times those of a mere square root
_LEAST_BELOW = 0.2  # the root of what is below the sky to that of what is above
_SKY_HEADROOM = 1.1
_FARTHEST_CLASS = 80


class Codes(NamedTuple):
    """A :class:`Coding` as kernels take it.

    With s the root of a value's distance from the sky, its code is ±``per_root`` · s / (1 + ``bend`` · s),
    from ``low`` to ``high``; it is stored less ``middle``.
    """

    per_root: np.float32
    bend: np.float32
    low: np.int32
    high: np.int32
    middle: np.int32


@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """Codes for values from below 0 ADU to ``span_adu`` above the sky, ``zero_adu`` (channels)."""

    zero_adu: NDArray[np.float32]
    span_adu: float

    @classmethod
    def over(cls, sky_adu: ArrayLike, largest_adu: float) -> Coding:
        """Return the coding for values from about ``sky_adu`` to somewhat beyond ``largest_adu``."""
        zero = np.atleast_1d(np.asarray(sky_adu, np.float32))
        return cls(zero, max(_HEADROOM * (largest_adu - float(zero.min())), 1.0))

    @property
    def codes(self) -> Codes:
        """For the kernels."""
        above = math.sqrt(self.span_adu)
        below = math.sqrt(_SKY_HEADROOM * max(float(self.zero_adu.max()), 0.0))
        below = max(below, _LEAST_BELOW * above)
        share = below / above * (1 + _BEND) / (1 + _BEND * below / above)
        high = int(_STEPS / (1 + share))
        low = high - _STEPS
        return Codes(
            per_root=np.float32(high * (1 + _BEND) / above),
            bend=np.float32(_BEND / above),
            low=np.int32(low),
            high=np.int32(high),
            middle=np.int32(low - _LEAST_CODE),
        )

    @property
    def decoded(self) -> NDArray[np.float32]:
        """How far from the sky each of the :data:`CODES` codes is, in order of the keys."""
        codes = self.codes
        code = np.arange(CODES) - CODES // 2 + codes.middle
        size = np.abs(code).astype(np.float32)
        return np.asarray(np.sign(code) * (size / (codes.per_root - codes.bend * size)) ** 2, np.float32)


def weight_class(weight: float) -> int:
    """Return the class whose weight is nearest to ``weight``, which is more than 0; 1 has class 0."""
    exact = math.log(weight) / math.log(CLASS_RATIO)
    return round(min(max(exact, -_FARTHEST_CLASS), _FARTHEST_CLASS))


def class_weight(number: int) -> float:
    """The weight of a class."""
    return CLASS_RATIO**number


@kernel(fast=True, inline=True)
def coded(away, codes):  # type: ignore[no-untyped-def]
    """The code of a value that is so far from the sky."""
    root = np.sqrt(abs(away))
    size = root * codes.per_root / (np.float32(1) + codes.bend * root) + np.float32(0.5)
    code = np.int32(min(size, np.float32(-codes.low if away < 0 else codes.high)))
    return -code if away < 0 else code


@kernel(fast=True, inline=True)
def decoded(code, codes):  # type: ignore[no-untyped-def]
    """How far from the sky a code is."""
    size = np.float32(abs(code))
    root = size / (codes.per_root - codes.bend * size)
    return root * root if code >= 0 else -root * root


@kernel(inline=True)
def key_of(code, number, codes):  # type: ignore[no-untyped-def]
    """A code and a class modulo :data:`CLASSES` as one key."""
    return np.int16((code - codes.middle) * np.int32(CLASSES) + number)
