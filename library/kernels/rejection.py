"""Which samples of one pixel to keep: each rule looks at the sorted samples and gives the range that stays.

Every rule cuts from the two ends, as what is far from a centre is at an end of the sorted samples. So the
order of the frames cannot matter, and what is kept is ``samples[low:high]``. Samples are float64, relative
to their own median, which keeps sums of squares exact enough and those of equal values exactly zero.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Samples = NDArray[np.float64]
Range = tuple[int, int]

MAD_TO_SIGMA = 1.482602218505602
"""1/Φ⁻¹(3/4): what makes the median absolute deviation of normal samples their standard deviation."""

HUBER, HUBER_SIGMA, HUBER_CONVERGED, CUTOFF = 1.5, 1.134, 0.0005, 5.0
"""Huber's clamp in sigmas, what makes the clamped deviation a sigma again, when it has converged; and what
is a fluke rather than a tail in the first round (the constants of PixInsight and Siril)."""

_AT_LEAST = 3
"""From fewer samples nothing is cut: two that differ do not say which is wrong."""


@njit(nogil=True, cache=True)
def median(samples: Samples, low: int, high: int) -> float:
    """Median of sorted samples[low:high]."""
    last = high - low - 1
    middle: float = 0.5 * (samples[low + last // 2] + samples[low + (last + 1) // 2])
    return middle


@njit(nogil=True, cache=True)
def mean_and_deviation(samples: Samples, low: int, high: int) -> tuple[float, float]:
    """Mean and population standard deviation of samples[low:high]."""
    total = 0.0
    for i in range(low, high):
        total += samples[i]
    mean = total / (high - low)
    squares = 0.0
    for i in range(low, high):
        squares += (samples[i] - mean) ** 2
    return mean, math.sqrt(squares / (high - low))


@njit(nogil=True, cache=True)
def median_deviation(samples: Samples, low: int, high: int, centre: float) -> float:
    """Median distance from the centre, in one walk outwards from it."""
    right = low
    while right < high and samples[right] <= centre:
        right += 1
    left = right - 1
    last = high - low - 1
    nearer = farther = 0.0
    for rank in range((last + 1) // 2 + 1):
        if right >= high or (left >= low and centre - samples[left] <= samples[right] - centre):
            distance = centre - samples[left]
            left -= 1
        else:
            distance = samples[right] - centre
            right += 1
        if rank == last // 2:
            nearer = distance
        farther = distance
    return 0.5 * (nearer + farther)


@njit(nogil=True, cache=True)
def cut(samples: Samples, low: int, high: int, lowest: float, highest: float) -> Range:
    """The range without what is below ``lowest`` or above ``highest``."""
    while low < high and samples[low] < lowest:
        low += 1
    while low < high and samples[high - 1] > highest:
        high -= 1
    return low, high


@njit(nogil=True, cache=True)
def sigma_clip(
    samples: Samples,
    low: int,
    high: int,
    below: float,
    above: float,
    from_mean: bool,
    by_deviation: bool,
    rounds: int,
    least_sigma: float,
) -> Range:
    """Cut what is beyond so many sigmas from the centre, again until nothing is, at most ``rounds`` times."""
    for _ in range(rounds):
        if high - low < _AT_LEAST:
            break
        mean = deviation = 0.0
        if from_mean or by_deviation:
            mean, deviation = mean_and_deviation(samples, low, high)
        middle = median(samples, low, high)
        sigma = deviation if by_deviation else MAD_TO_SIGMA * median_deviation(samples, low, high, middle)
        sigma = max(sigma, least_sigma)
        centre = mean if from_mean else middle
        first, last = cut(samples, low, high, centre - below * sigma, centre + above * sigma)
        if first >= last or (first == low and last == high):
            break
        low, high = first, last
    return low, high


@njit(nogil=True, cache=True)
def winsorized(
    samples: Samples,
    low: int,
    high: int,
    below: float,
    above: float,
    rounds: int,
    least_sigma: float,
    work: Samples,
) -> Range:
    """Sigma clipping by Huber's winsorized mean and deviation (Huber & Ronchetti 2009, chapter 6).

    The tails are clamped to 1.5 sigma about the mean and the deviation taken anew until it stays; in the
    first round what is beyond 5 sigma counts as the mean instead. PixInsight begins with Rousseeuw and
    Croux's Sn and Siril with the standard deviation; here it is the MAD, which resists as Sn does.
    """
    for turn in range(rounds):
        if high - low < _AT_LEAST:
            break
        count = high - low
        work[:count] = samples[low:high]
        centre = median(samples, low, high)
        sigma = MAD_TO_SIGMA * median_deviation(samples, low, high, centre)
        if sigma == 0.0:
            centre, sigma = mean_and_deviation(samples, low, high)
        sigma = max(sigma, least_sigma)
        if sigma == 0.0:
            break
        for step in range(100):
            before, bottom, top = sigma, centre - HUBER * sigma, centre + HUBER * sigma
            cutoff = CUTOFF * sigma if turn == 0 else math.inf
            for i in range(count):
                value = work[i]
                if value < bottom:
                    work[i] = bottom if centre - value < cutoff else centre
                elif value > top:
                    work[i] = top if value - centre < cutoff else centre
            centre, deviation = mean_and_deviation(work, 0, count)
            sigma = HUBER_SIGMA * deviation * math.sqrt(count / (count - 1))
            if sigma == 0.0 or (step > 0 and abs(before - sigma) < HUBER_CONVERGED * before):
                break
        sigma = max(sigma, least_sigma)
        first, last = cut(samples, low, high, centre - below * sigma, centre + above * sigma)
        if first >= last or (first == low and last == high):
            break
        low, high = first, last
    return low, high


@njit(nogil=True, cache=True)
def percentile(samples: Samples, low: int, high: int, below: float, above: float, level: float) -> Range:
    """Cut once what is further from the median, ``level``, than these fractions of it."""
    if high - low < _AT_LEAST or level <= 0.0:
        return low, high
    first, last = cut(samples, low, high, -below * level, above * level)
    return (first, last) if first < last else (low, high)


@njit(nogil=True, cache=True)
def linear_fit(samples: Samples, low: int, high: int, below: float, above: float, rounds: int) -> Range:
    """Cut ends that are far from the straight line through the sorted samples, in mean absolute residuals.

    The line is the least-squares one, as in Siril; its samples inside the range are left alone.
    """
    for _ in range(rounds):
        count = high - low
        if count <= _AT_LEAST:
            break
        middle = 0.5 * (count - 1)
        mean = slope = 0.0
        for i in range(count):
            mean += samples[low + i]
            slope += (i - middle) * samples[low + i]
        mean /= count
        slope *= 12.0 / (count * (count * count - 1.0))
        spread = 0.0
        for i in range(count):
            spread += abs(samples[low + i] - mean - slope * (i - middle))
        spread /= count
        first, last = low, high
        while first < last and mean + slope * (first - low - middle) - samples[first] > below * spread:
            first += 1
        while first < last and samples[last - 1] - mean - slope * (last - 1 - low - middle) > above * spread:
            last -= 1
        if first >= last or (first == low and last == high):
            break
        low, high = first, last
    return low, high
