"""The stack itself: a mean that grows, and can tell at any time which values don't belong to it.

Each pixel keeps six numbers: how many values it has, their mean, their summed squared deviations (Welford),
the two largest and the smallest. That is enough to test these three against all the others when a picture is
wanted, however many subs there are and in whatever order they came. Two on the bright side, because
satellites, aircraft and cosmic rays are bright; one on the dark side for dead columns and over-corrected
pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livestack.resample import Registered

_REJECT_SIGMA = 3.5
_PRIOR_VALUES = 4.0
_SEEING_SCATTER = 0.15
_SLOPE_SCATTER = 0.3
_STRIP_ROWS = 128
_FAR = np.float32(np.finfo(np.float32).max)

_Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Integrated:
    """``pixels`` (H, W[, 3]): the mean less outliers, 0 where unseen; ``coverage`` (H, W): subs seen."""

    pixels: _Plane
    coverage: _Plane
    rejected_fraction: float


class Accumulator:
    """Six float32 planes for each channel (the count is shared), one set for each filter.

    Inside, channels come first, so that everything is done in whole planes.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.subs = 0
        self._shape = shape
        height, width = shape[:2]
        planes = (1 if len(shape) == 2 else shape[2], height, width)
        self._count = np.zeros((height, width), dtype=np.float32)
        self._mean = np.zeros(planes, dtype=np.float32)
        self._m2 = np.zeros(planes, dtype=np.float32)
        self._largest = np.full(planes, -_FAR, dtype=np.float32)
        self._second = np.full(planes, -_FAR, dtype=np.float32)
        self._smallest = np.full(planes, _FAR, dtype=np.float32)
        self._variance_sum = np.zeros((planes[0], 1, 1), dtype=np.float32)

    def add(self, sub: Registered, noise_adu: NDArray[np.float64] | float) -> None:
        """Take in a sub at the stack's scale, whose background noise (of each channel) is ``noise_adu``."""
        covered = sub.covered
        self._count += covered
        share = np.where(covered, np.float32(1) / np.maximum(self._count, 1), np.float32(0))
        left: _Plane = covered - share
        for channel, values in enumerate(cv2.split(sub.pixels)):
            step = values - self._mean[channel]
            # Welford: (x − old mean)(x − new mean) = (x − old mean)² (1 − 1/n).
            self._mean[channel] += step * share
            step *= step
            step *= left
            self._m2[channel] += step
            seen = np.where(covered, values, -_FAR)
            largest, second, smallest = self._largest[channel], self._second[channel], self._smallest[channel]
            np.maximum(second, np.minimum(largest, seen), out=second)
            np.maximum(largest, seen, out=largest)
            np.minimum(smallest, values, out=smallest, where=covered)
        self._variance_sum += np.reshape(np.square(noise_adu), (-1, 1, 1)).astype(np.float32)
        self.subs += 1

    def snapshot(self) -> Integrated:
        """Return the mean without the values that don't belong; the accumulator goes on unchanged.

        The second largest is tested first, against the rest without both, so that two hits cannot hide each
        other; for that at least four values are needed, and three for the smallest. Of two values that
        disagree the darker is believed.
        """
        judge = _Judge(*self._sky())
        pixels = np.empty_like(self._mean)
        rejected = 0
        height = self._count.shape[0]
        for top in range(0, height, _STRIP_ROWS):
            bottom = min(top + _STRIP_ROWS, height)
            # One row more on either side, for the judge to see its neighbours.
            start = max(top - 1, 0)
            mean, hits = self._judged(slice(start, min(bottom + 1, height)), judge)
            inner = slice(top - start, bottom - start)
            pixels[:, top:bottom] = mean[:, inner]
            rejected += int(hits[:, inner].sum())
        values = float(self._count.sum(dtype=np.float64)) * len(pixels)
        picture = np.ascontiguousarray(np.moveaxis(pixels, 0, -1)).reshape(self._shape)
        return Integrated(picture, self._count.copy(), rejected / max(values, 1.0))

    def _judged(self, rows: slice, judge: _Judge) -> tuple[_Plane, NDArray[np.uint8]]:
        """Mean of what is believed, and how many values are not, for some rows."""
        mean, count = self._mean[:, rows], self._count[rows]
        everything = _Moments(np.broadcast_to(count, mean.shape), mean, self._m2[:, rows])
        largest = np.where(count >= 1, self._largest[:, rows], mean)
        less_one = everything.without(largest)
        second = np.where(count >= 2, self._second[:, rows], less_one.mean)
        less_two = less_one.without(second)
        two_high = (count >= 4) & judge.too_high(second, less_two)
        one_high = (count >= 2) & judge.too_high(largest, less_one) & ~two_high

        kept = less_two.where(two_high, less_one.where(one_high, everything))
        smallest = np.where(count >= 1, self._smallest[:, rows], mean)
        less_low = kept.without(smallest)
        low = (kept.n >= 3) & judge.too_low(smallest, less_low)
        hits = 2 * two_high.astype(np.uint8) + one_high + low
        return np.where(low, less_low.mean, kept.mean) * (count > 0), hits

    def _sky(self) -> tuple[_Plane, _Plane]:
        """Level and variance of the background, of each channel.

        The variance is the larger of the mean of the subs' own and the typical one from sub to sub, which
        also knows what a mosaic's interpolation does.
        """
        rows, columns = (slice(None, None, max(1, n // 256)) for n in self._count.shape)
        most = float(self._count[rows, columns].max())
        seen = self._count[rows, columns] == most
        sky = np.median(self._mean[:, rows, columns][:, seen], axis=1)[:, None, None].astype(np.float32)
        variance = self._variance_sum / np.float32(max(self.subs, 1))
        if most > 1:
            freedom = most - 1
            typical = np.median(self._m2[:, rows, columns][:, seen], axis=1)[:, None, None] / freedom
            # The median of χ²/ν, by Wilson and Hilferty.
            variance = np.maximum(variance, typical / (1 - 2 / (9 * freedom)) ** 3).astype(np.float32)
        return sky, variance


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """Number, mean and summed squared deviations of the values of each pixel."""

    n: _Plane
    mean: _Plane
    m2: _Plane

    def without(self, value: _Plane) -> _Moments:
        """Take one value out again; of one value or none, it is the mean that stays."""
        rest = np.maximum(self.n - 1, 1)
        mean: _Plane = np.divide(self.mean * np.maximum(self.n, 2) - value, rest, dtype=np.float32)
        m2 = self.m2 - (value - mean) ** 2 * (rest / (rest + 1))
        return _Moments(rest, mean, np.maximum(m2, np.float32(0)))

    def where(self, chosen: NDArray[np.bool_], other: _Moments) -> _Moments:
        return _Moments(
            np.where(chosen, self.n, other.n),
            np.where(chosen, self.mean, other.mean),
            np.where(chosen, self.m2, other.m2),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Judge:
    """Whether a value is more than 3.5σ from the mean of the others.

    Their scatter is drawn towards what is known beforehand as though that were four more values: the
    background noise, 15 % of the signal for what seeing does to stars, and 30 % of the steepest step to a
    neighbour for what sampling does to them (as in drizzle's cosmic-ray step; Fruchter & Hook 2002). It is
    never below the background noise, and the error of the mean itself comes on top.
    """

    sky: _Plane
    noise2: _Plane

    def too_high(self, value: _Plane, others: _Moments) -> NDArray[np.bool_]:
        return self._beyond(value - others.mean, others)

    def too_low(self, value: _Plane, others: _Moments) -> NDArray[np.bool_]:
        return self._beyond(others.mean - value, others)

    def _beyond(self, excess: _Plane, others: _Moments) -> NDArray[np.bool_]:
        signal = np.float32(_SEEING_SCATTER) * (others.mean - self.sky)
        step = np.float32(_SLOPE_SCATTER) * _steepest_step(others.mean)
        known = self.noise2 + signal**2 + step**2
        prior = np.float32(_PRIOR_VALUES)
        variance = (others.m2 + prior * known) / (others.n - 1 + prior)
        variance = np.maximum(variance, self.noise2) * (1 + 1 / others.n)
        beyond: NDArray[np.bool_] = (excess > 0) & (excess**2 > np.float32(_REJECT_SIGMA**2) * variance)
        return beyond


def _steepest_step(image: _Plane) -> _Plane:
    """Largest difference of each pixel of (C, H, W) to its eight neighbours."""
    around = np.ones((3, 3), np.uint8)
    steps = [
        np.maximum(cv2.dilate(plane, around) - plane, plane - cv2.erode(plane, around)) for plane in image
    ]
    return np.stack(steps).astype(np.float32, copy=False)
