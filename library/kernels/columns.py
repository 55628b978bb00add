"""Frames into one, pixel by pixel: samples are sorted for many pixels at once, then each is reduced.

A rule looks at the sorted samples of a pixel and cuts from the two ends, as what is far from a centre is at
an end: what is kept is ``samples[low:high]``, and the order of the frames cannot matter. Samples are float64,
relative to their own median, which keeps sums of squares exact enough and those of equal values exactly zero.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from numerics.compiling import kernel

AVERAGE, MEDIAN, SIGMA_CLIP, WINSORIZED, PERCENTILE, LINEAR_FIT = range(6)

Words = NDArray[np.uint16]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Pairs = NDArray[np.int32]
Phases = NDArray[np.uint8]
Samples = NDArray[np.float64]
Range = tuple[int, int]

LANES = 64
"""Pixels that are sorted side by side: a comparison of two samples is one of two short rows, in SIMD."""

MAD_TO_SIGMA = 1.482602218505602
"""1/Φ⁻¹(3/4): what makes the median absolute deviation of normal samples their standard deviation."""

HUBER, HUBER_SIGMA, HUBER_CONVERGED, CUTOFF = 1.5, 1.134, 0.0005, 5.0
"""Huber's clamp in sigmas, what makes the clamped deviation a sigma again, when it has converged; and what
is a fluke rather than a tail in the first round (the constants of PixInsight and Siril)."""

_AT_LEAST = 3
"""From fewer samples nothing is cut: two that differ do not say which is wrong."""


@kernel()
def median(samples: Samples, low: int, high: int) -> float:
    """Median of sorted samples[low:high]."""
    last = high - low - 1
    middle: float = 0.5 * (samples[low + last // 2] + samples[low + (last + 1) // 2])
    return middle


@kernel()
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


@kernel()
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


@kernel()
def cut(samples: Samples, low: int, high: int, lowest: float, highest: float) -> Range:
    """The range without what is below ``lowest`` or above ``highest``."""
    while low < high and samples[low] < lowest:
        low += 1
    while low < high and samples[high - 1] > highest:
        high -= 1
    return low, high


@kernel()
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


@kernel()
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


@kernel()
def percentile(samples: Samples, low: int, high: int, below: float, above: float, level: float) -> Range:
    """Cut once what is further from the median, ``level``, than these fractions of it."""
    if high - low < _AT_LEAST or level <= 0.0:
        return low, high
    first, last = cut(samples, low, high, -below * level, above * level)
    return (first, last) if first < last else (low, high)


@kernel()
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


@kernel()
def kept_of(
    samples: Samples,
    n: int,
    rule: int,
    limits: Doubles,
    least_sigma: float,
    level: float,
    work: Samples,
) -> Range:
    """What a rule keeps of sorted samples[:n], which are relative to their median, ``level``.

    ``limits`` are those of :attr:`library.methods.Method.limits`, ``work`` is room for n more.
    """
    kept: Range = (0, n)
    below, above, rounds = limits[0], limits[1], int(limits[2])
    wide = samples[n - 1] - samples[0] > min(below, above) * least_sigma
    if not wide and rule in (SIGMA_CLIP, WINSORIZED):
        return kept  # wherever the centre is between them, none is too far from it
    if rule == SIGMA_CLIP:
        from_mean, by_deviation = limits[3] > 0, limits[4] > 0
        kept = sigma_clip(samples, 0, n, below, above, from_mean, by_deviation, rounds, least_sigma)
    elif rule == WINSORIZED:
        kept = winsorized(samples, 0, n, below, above, rounds, least_sigma, work)
    elif rule == PERCENTILE:
        kept = percentile(samples, 0, n, below, above, level)
    elif rule == LINEAR_FIT:
        kept = linear_fit(samples, 0, n, below, above, rounds)
    return kept


@kernel()
def combine_words(
    words: Words,
    network: Pairs,
    rule: int,
    limits: Doubles,
    least_sigma: float,
    offsets: Floats,
    scales: Floats,
    phase: Phases,
    values: Floats,
    spreads: Floats,
) -> int:
    """As :func:`combine_floats`, of big-endian words (N, P) with BZERO 32768, as they lie in a file."""
    count, size = words.shape
    lanes = np.empty((count, LANES), np.float32)
    kept = 0
    for start in range(0, size, LANES):
        width = min(LANES, size - start)
        for i in range(count):
            for j in range(width):
                word = words[i, start + j]
                lanes[i, j] = np.float32(((word >> 8) | ((word & 255) << 8)) ^ 32768)
        kept += _combine_lanes(
            lanes, start, width, network, rule, limits, least_sigma, offsets, scales, phase, values, spreads
        )
    return kept


@kernel()
def combine_floats(
    frames: Floats,
    network: Pairs,
    rule: int,
    limits: Doubles,
    least_sigma: float,
    offsets: Floats,
    scales: Floats,
    phase: Phases,
    values: Floats,
    spreads: Floats,
) -> int:
    """Combine P pixels of N frames; returns how many samples were kept.

    ``frames`` (N, P) float32; what is not finite is left out. ``limits`` are those of
    :attr:`library.methods.Method.limits`, ``least_sigma`` what sigma is at least. ``offsets`` (P) is taken
    off every frame, or is empty. ``scales`` (N, C) multiplies then, by frame and by the pixel's ``phase``
    (P) of a CFA, or is empty. ``values`` (P) are the result and ``spreads`` (P) the standard deviations
    between all frames (n − 1), or an empty array if nobody asks; NaN where there is nothing.
    """
    count, size = frames.shape
    lanes = np.empty((count, LANES), np.float32)
    kept = 0
    for start in range(0, size, LANES):
        width = min(LANES, size - start)
        for i in range(count):
            for j in range(width):
                lanes[i, j] = frames[i, start + j]
        kept += _combine_lanes(
            lanes, start, width, network, rule, limits, least_sigma, offsets, scales, phase, values, spreads
        )
    return kept


@kernel()
def _combine_lanes(
    lanes: Floats,
    start: int,
    width: int,
    network: Pairs,
    rule: int,
    limits: Doubles,
    least_sigma: float,
    offsets: Floats,
    scales: Floats,
    phase: Phases,
    values: Floats,
    spreads: Floats,
) -> int:
    count = lanes.shape[0]
    if offsets.size:
        for i in range(count):
            for j in range(width):
                lanes[i, j] -= offsets[start + j]
    if scales.size:
        for i in range(count):
            for j in range(width):
                lanes[i, j] *= scales[i, phase[start + j]]
    known = np.full(LANES, count, np.int32)
    for i in range(count):
        for j in range(width):
            if not math.isfinite(lanes[i, j]):
                lanes[i, j] = np.inf
                known[j] -= 1
    sort_lanes(lanes, network)
    samples = np.empty(count, np.float64)
    work = np.empty(count, np.float64)
    kept = 0
    for j in range(width):
        n = known[j]
        kept += _reduce(lanes, j, n, rule, limits, least_sigma, samples, work, values, spreads, start + j)
    return kept


@kernel()
def sort_lanes(lanes: Floats, network: Pairs) -> None:
    """Sort each column of (N, LANES), smallest first; nothing in it is NaN."""
    for k in range(network.shape[0]):
        upper = lanes[network[k, 0]]
        lower = lanes[network[k, 1]]
        for j in range(LANES):
            a, b = upper[j], lower[j]
            upper[j] = a if a < b else b  # noqa: FURB136 - one instruction; min() asks for NaN
            lower[j] = b if a < b else a  # noqa: FURB136 - the same


@kernel()
def _reduce(
    lanes: Floats,
    j: int,
    n: int,
    rule: int,
    limits: Doubles,
    least_sigma: float,
    samples: Doubles,
    work: Doubles,
    values: Floats,
    spreads: Floats,
    at: int,
) -> int:
    if n == 0:
        values[at] = np.nan
        if spreads.size:  # nobody may have asked, and there is no room
            spreads[at] = np.nan
        return 0
    pivot = 0.5 * (np.float64(lanes[(n - 1) // 2, j]) + np.float64(lanes[n // 2, j]))
    for i in range(n):
        samples[i] = lanes[i, j] - pivot
    if spreads.size:
        deviation = mean_and_deviation(samples, 0, n)[1]
        spreads[at] = deviation * math.sqrt(n / (n - 1)) if n > 1 else np.nan
    if rule == MEDIAN:
        values[at] = pivot + 0.0  # which makes −0 a 0, whichever of the two came first
        return n
    kept: Range = kept_of(samples, n, rule, limits, least_sigma, pivot, work)
    low, high = kept
    total = 0.0
    for i in range(low, high):
        total += samples[i]
    values[at] = pivot + total / (high - low)
    return high - low
