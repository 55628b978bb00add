"""Frames into one, pixel by pixel: samples are sorted for many pixels at once, then each is reduced."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from library.kernels.rejection import linear_fit, mean_and_deviation, percentile, sigma_clip, winsorized

AVERAGE, MEDIAN, SIGMA_CLIP, WINSORIZED, PERCENTILE, LINEAR_FIT = range(6)

Words = NDArray[np.uint16]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Pairs = NDArray[np.int32]
Phases = NDArray[np.uint8]

_LANES = 64
"""Pixels that are sorted side by side: a comparison of two samples is one of two short rows, in SIMD."""


def sorting_network(count: int) -> Pairs:
    """Pairs (K, 2) to be compared and exchanged in this order, which sort any ``count`` values.

    Batcher's odd-even merge sort (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M).
    """
    pairs: list[tuple[int, int]] = []
    run = 1
    while run < count:
        step = run
        while step >= 1:
            for start in range(step % run, count - step, 2 * step):
                pairs += [
                    (i, i + step)
                    for i in range(start, min(start + step, count - step))
                    if i // (2 * run) == (i + step) // (2 * run)
                ]
            step //= 2
        run *= 2
    return np.array(pairs, np.int32).reshape(-1, 2)


@njit(nogil=True, cache=True)
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
    lanes = np.empty((count, _LANES), np.float32)
    kept = 0
    for start in range(0, size, _LANES):
        width = min(_LANES, size - start)
        for i in range(count):
            for j in range(width):
                word = words[i, start + j]
                lanes[i, j] = np.float32(((word >> 8) | ((word & 255) << 8)) ^ 32768)
        kept += _combine_lanes(
            lanes, start, width, network, rule, limits, least_sigma, offsets, scales, phase, values, spreads
        )
    return kept


@njit(nogil=True, cache=True)
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
    lanes = np.empty((count, _LANES), np.float32)
    kept = 0
    for start in range(0, size, _LANES):
        width = min(_LANES, size - start)
        for i in range(count):
            for j in range(width):
                lanes[i, j] = frames[i, start + j]
        kept += _combine_lanes(
            lanes, start, width, network, rule, limits, least_sigma, offsets, scales, phase, values, spreads
        )
    return kept


@njit(nogil=True, cache=True)
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
    known = np.full(_LANES, count, np.int32)
    for i in range(count):
        for j in range(width):
            if not math.isfinite(lanes[i, j]):
                lanes[i, j] = np.inf
                known[j] -= 1
    _sort(lanes, network)
    samples = np.empty(count, np.float64)
    work = np.empty(count, np.float64)
    kept = 0
    for j in range(width):
        n = known[j]
        kept += _reduce(lanes, j, n, rule, limits, least_sigma, samples, work, values, spreads, start + j)
    return kept


@njit(nogil=True, cache=True)
def _sort(lanes: Floats, network: Pairs) -> None:
    for k in range(network.shape[0]):
        upper = lanes[network[k, 0]]
        lower = lanes[network[k, 1]]
        for j in range(_LANES):
            a, b = upper[j], lower[j]
            upper[j] = a if a < b else b  # noqa: FURB136 - one instruction; min() asks for NaN
            lower[j] = b if a < b else a  # noqa: FURB136 - the same


@njit(nogil=True, cache=True)
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
        values[at] = spreads[at] = np.nan
        return 0
    pivot = 0.5 * (np.float64(lanes[(n - 1) // 2, j]) + np.float64(lanes[n // 2, j]))
    for i in range(n):
        samples[i] = lanes[i, j] - pivot
    if spreads.size:
        deviation = mean_and_deviation(samples, 0, n)[1]
        spreads[at] = deviation * math.sqrt(n / (n - 1)) if n > 1 else np.nan
    low, high = 0, n
    below, above, rounds = limits[0], limits[1], int(limits[2])
    if rule == MEDIAN:
        values[at] = pivot
        return n
    if rule == SIGMA_CLIP:
        low, high = sigma_clip(
            samples, low, high, below, above, limits[3] > 0, limits[4] > 0, rounds, least_sigma
        )
    elif rule == WINSORIZED:
        low, high = winsorized(samples, low, high, below, above, rounds, least_sigma, work)
    elif rule == PERCENTILE:
        low, high = percentile(samples, low, high, below, above, pivot)
    elif rule == LINEAR_FIT:
        low, high = linear_fit(samples, low, high, below, above, rounds)
    total = 0.0
    for i in range(low, high):
        total += samples[i]
    values[at] = pivot + total / (high - low)
    return high - low
