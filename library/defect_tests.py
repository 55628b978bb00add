"""The tests that make a pixel a defect: functions of arrays, with explicit limits.

Where they come from: docs/library/defects.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

Plane = NDArray[np.float32]
Flags = NDArray[np.uint8]

MAD_TO_SIGMA = 1.4826
BLOCK_PX = 32
SEGMENT_PX = 64
LEAST_UNSTABLE, LEAST_TELEGRAPH = 5, 10
_MOST_TELEGRAPH = 64


class Defect(IntFlag):
    """What is wrong with a pixel: the bits of a defect map."""

    HOT = 1
    COLD = 2
    WARM = 4
    UNSTABLE = 8
    TELEGRAPH = 16
    COLUMN = 32
    ROW = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where a defect begins. Sigmas are of ordinary pixels in the same part of the sensor."""

    warm_sigma: float = 8.0
    """Warm: the dark rate lies this many sigmas above the neighbourhood's (cold: below)."""

    hot_noise: float = 3.0
    """Hot: warm, and the shot noise of the excess in the longest dark is this many read noises."""

    cold_response: float = 0.7
    """Cold: less than this share of the response around it."""

    line_sigma: float = 3.0
    """Bad column or row: the median of 64 pixels along it is this many sigmas of one pixel off."""

    line_response: float = 0.1
    """Or off by this share of the response."""

    false_alarms: float = 1e-7
    """Unstable: a steady pixel would scatter as much with this probability, …"""

    unstable_noise: float = 2.0
    """… and it scatters this many times as much as it should."""

    telegraph_evidence: float = 5.0
    """Telegraph: the logarithm of the likelihood ratio of two or three levels to one wide Gaussian."""


def neighbourhood(plane: Plane, cells: int = 1, block_px: int = BLOCK_PX) -> tuple[Plane, Plane]:
    """Level and sigma (1.4826 MAD) around each pixel (H, W), from blocks, bilinear between their centres.

    Each of ``cells`` × ``cells`` colours by itself. NaN is left out; a sigma is at least the typical one.
    """
    level, sigma = np.empty_like(plane), np.empty_like(plane)
    for y in range(cells):
        for x in range(cells):
            own = plane[y::cells, x::cells]
            level[y::cells, x::cells], sigma[y::cells, x::cells] = _smooth(own, block_px)
    return level, sigma


def dark_flags(excess: Plane, sigma: Plane, *, limits: Limits, hot_excess: float) -> Flags:
    """Hot, warm and cold pixels of an excess over the neighbourhood with its sigma (H, W)."""
    flags = np.zeros(excess.shape, np.uint8)
    warm = excess > limits.warm_sigma * sigma
    flags[warm] = Defect.WARM
    flags[warm & (excess > hot_excess)] = Defect.HOT
    flags[excess < -limits.warm_sigma * sigma] = Defect.COLD
    return flags


def response_flags(response: Plane, *, limits: Limits) -> Flags:
    """Cold pixels and bad lines of a response (H, W) relative to the neighbourhood's."""
    flags = np.where(response < limits.cold_response, np.uint8(Defect.COLD), np.uint8(0))
    return np.asarray(flags | line_flags(response - 1, limits.line_response), np.uint8)


def line_flags(plane: Plane, limit: float) -> Flags:
    """Segments of 64 pixels of a column or row whose median is more than ``limit`` from its neighbours'."""
    flags = np.zeros(plane.shape, np.uint8)
    for bit, across, out in ((Defect.COLUMN, plane, flags), (Defect.ROW, plane.T, flags.T)):
        for top in range(0, across.shape[0], SEGMENT_PX):
            part = across[top : top + SEGMENT_PX]
            if len(part) < SEGMENT_PX and across.shape[0] > SEGMENT_PX:
                part = across[-SEGMENT_PX:]
            medians = np.median(part, axis=0)
            off = np.abs(medians - _running_median(medians)) > limit
            out[top : top + SEGMENT_PX, off] |= np.uint8(bit)
    return flags


def steady_variance(samples: NDArray[np.float32]) -> float:
    """Variance between frames of the ordinary pixel, from (N, P) samples; unsteady ones do not show."""
    dof = len(samples) - 1
    return float(np.median(samples.var(axis=0, ddof=1, dtype=np.float64))) * dof / float(chdtri(dof, 0.5))


def unsteady_flags(samples: NDArray[np.float32], variance: NDArray[np.float32], limits: Limits) -> Flags:
    """Unstable and telegraph pixels (P,) of samples (N, P) whose variance should be ``variance`` (P,).

    The one sample farthest from the others is left out, as it may be a cosmic ray's: that makes the test of
    the scatter, a χ² test of N − 1 degrees of freedom, the more cautious.
    """
    n = len(samples)
    flags = np.zeros(samples.shape[1], np.uint8)
    if n < LEAST_UNSTABLE:
        return flags
    scatter = _squares_without_farthest(samples) / variance
    steady = scatter < chdtri(n - 1, 1e-3)
    worst = max(float(chdtri(n - 1, limits.false_alarms)), (n - 2) * limits.unstable_noise**2)
    flags[scatter > worst] = Defect.UNSTABLE
    if n >= LEAST_TELEGRAPH:
        odd = np.flatnonzero(~steady)
        evidence = telegraph_evidence(samples[:_MOST_TELEGRAPH, odd], variance[odd])
        flags[odd[evidence > limits.telegraph_evidence]] |= np.uint8(Defect.TELEGRAPH)
    return flags


def telegraph_evidence(samples: NDArray[np.float32], variance: NDArray[np.float32]) -> NDArray[np.float64]:
    """ln L(levels) − ln L(Gaussian), penalised by BIC, of each pixel of (N, P) samples.

    The levels are two or three (both samples of a correlated double reading jump) with the known noise
    ``variance`` (P,) about each; the Gaussian has its mean and variance free. The farthest sample is left
    out, as it may be a cosmic ray's, and three of the others at least must have left the main level.
    """
    n = len(samples) - 1
    ordered = np.sort(samples.astype(np.float64) - np.median(samples, axis=0), axis=0)
    ordered = np.where(ordered[-1] > -ordered[0], ordered[:-1], ordered[1:])
    sums = np.vstack([np.zeros(ordered.shape[1]), np.cumsum(ordered, axis=0)])
    squares = np.vstack([np.zeros(ordered.shape[1]), np.cumsum(ordered**2, axis=0)])

    def within(i: int, j: int) -> NDArray[np.float64]:
        return np.asarray(squares[j] - squares[i] - (sums[j] - sums[i]) ** 2 / (j - i))

    total = np.maximum(within(0, n), 1e-9)
    one = -0.5 * n * np.log(total / n) - 0.5 * n - np.log(n)
    best = np.full(ordered.shape[1], -np.inf)
    for i in range(n):
        for j in range(i + 1, n + 1):
            sizes = [size for size in (i, j - i, n - j) if size]
            away = n - max(sizes)
            if len(sizes) == 1 or away < 3:
                continue
            left_over = within(i, j) + (within(0, i) if i else 0) + (within(j, n) if j < n else 0)
            mixing = sum(size * np.log(size / n) for size in sizes)
            penalty = (len(sizes) - 0.5) * np.log(n)
            levels = -0.5 * n * np.log(variance) - left_over / (2 * variance) + mixing - penalty
            best = np.maximum(best, levels)
    return np.asarray(best - one)


def level_without_rays(samples: NDArray[np.float32]) -> tuple[Plane, Plane]:
    """Mean (P,) of samples (N, P) without the largest, and the scatter of one (P,), the farthest left out.

    Of two samples the smaller and of one itself, both with a scatter of 0: it is not known.
    """
    n = len(samples)
    if n < 3:
        return samples.min(axis=0), np.zeros(samples.shape[1], np.float32)
    largest = samples.max(axis=0)
    level = (samples.sum(axis=0, dtype=np.float64) - largest) / (n - 1)
    squares = np.maximum(_squares_without_farthest(samples), 0.0)  # or a rounding error below
    scatter = np.sqrt(squares / (n - 2))
    return level.astype(np.float32), scatter.astype(np.float32)


def _squares_without_farthest(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum of squared deviations (P,) without the sample farthest from the mean of the rest."""
    n = len(samples)
    shifted = samples.astype(np.float64) - samples[0]
    total, squares = shifted.sum(axis=0), (shifted**2).sum(axis=0)
    rest = [
        squares - end**2 - (total - end) ** 2 / (n - 1) for end in (shifted.max(axis=0), shifted.min(axis=0))
    ]
    return np.asarray(np.minimum(*rest))


def _smooth(plane: Plane, block_px: int) -> tuple[Plane, Plane]:
    import cv2  # 30 MB that a night's stacking does without

    height, width = plane.shape
    rows, columns = max(1, height // block_px), max(1, width // block_px)
    medians, sigmas = np.empty((rows, columns), np.float32), np.empty((rows, columns), np.float32)
    for i, band in enumerate(np.array_split(plane, rows)):
        for j, block in enumerate(np.array_split(band, columns, axis=1)):
            medians[i, j] = middle = np.median(block)
            sigmas[i, j] = MAD_TO_SIGMA * np.median(np.abs(block - middle))
    np.maximum(sigmas, np.median(sigmas), out=sigmas)
    tiny = np.finfo(np.float32).tiny
    size = (width, height)
    level = cv2.resize(cv2.medianBlur(medians, 3), size, interpolation=cv2.INTER_LINEAR)
    sigma = cv2.resize(np.maximum(sigmas, tiny), size, interpolation=cv2.INTER_LINEAR)
    return level.astype(np.float32, copy=False), sigma.astype(np.float32, copy=False)


def _running_median(values: NDArray[np.float32], reach: int = 4) -> NDArray[np.float32]:
    # Odd reflection carries a slope (amp glow at an edge) on, an even one would make a step of it.
    around = (
        np.pad(values, reach, mode="reflect", reflect_type="odd")
        if len(values) > reach
        else np.pad(values, reach, mode="edge")
    )
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(around, 2 * reach + 1), axis=-1))
