"""What one measures of a camera on its calibration frames: the same code for real and simulated ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[Any]
Floats = NDArray[np.float64]

PERCENTILES = (90.0, 98.0, 99.0, 99.5, 99.9, 99.97)
"""Of the dark current: from the ordinary pixels' upper edge to the hot ones."""


def clipped_std(values: Floats, kappa: float = 4.0) -> float:
    """Standard deviation of what lies within κσ of the mean, to convergence.

    What a Gaussian loses by the cut is 0.1 % of its width at κ = 4.
    """
    kept = values.ravel()
    while True:
        mean, sigma = kept.mean(), kept.std()
        inside = kept[np.abs(kept - mean) <= kappa * sigma]
        if len(inside) == len(kept):
            return float(sigma)
        kept = inside


def read_noise_adu(bias_a: Frame, bias_b: Frame, step_adu: int = 1) -> float:
    """σ of one reading from a pair of biases, less that of rounding to ``step_adu`` (Janesick 2001)."""
    variance = clipped_std(bias_a.astype(np.float64) - bias_b) ** 2 / 2
    return float(np.sqrt(max(variance - step_adu**2 / 12, 0.0)))


def gain_e_per_adu(
    flat_a: Frame, flat_b: Frame, bias_adu: float | Floats, noise_adu: float, step_adu: int = 1
) -> float:
    """e⁻/ADU by mean and variance: the signal over half of the variance of the difference of two flats.

    The middle half of the frame, cell by cell of 32 × 32 so that vignetting and a lamp that drifts do not
    count; the cells' median.
    """
    h, w = flat_a.shape
    middle = np.s_[h // 4 : h // 4 + h // 2 // 32 * 32, w // 4 : w // 4 + w // 2 // 32 * 32]
    a, b = ((flat.astype(np.float64) - bias_adu)[middle] for flat in (flat_a, flat_b))
    cells = [x.reshape(x.shape[0] // 32, 32, -1, 32) for x in (a, b)]
    level = (cells[0].mean(axis=(1, 3)) + cells[1].mean(axis=(1, 3))) / 2
    variance = (cells[0] - cells[1]).var(axis=(1, 3)) / 2 * 1024 / 1023
    return float(np.mean(level) / (np.median(variance) * 1.0006 - noise_adu**2 - step_adu**2 / 12))


def prnu(flat_a: Frame, flat_b: Frame, bias_adu: float | Floats) -> float:
    """Relative σ of the pixels' response: what two flats, less their 5 × 5 means, have in common."""
    import cv2

    parts = []
    for flat in (flat_a, flat_b):
        light = (flat - bias_adu).astype(np.float32)
        parts.append((light / cv2.blur(light, (5, 5)) - 1)[8:-8, 8:-8])
    inside = (np.abs(parts[0]) < 0.1) & (np.abs(parts[1]) < 0.1)
    common = np.mean(parts[0][inside].astype(np.float64) * parts[1][inside])
    # Taking a 25-pixel mean away leaves 24/25 of white noise's variance.
    return float(np.sqrt(max(common, 0.0) * 25 / 24))


def median_adu(values: Floats) -> float:
    """The median of numbers that were rounded to whole ones: each stands for anything within a half of it."""
    return float(np.median(values + np.random.default_rng(0).uniform(-0.5, 0.5, values.shape)))


def dark_median_e_s(dark: Frame, master_bias: float | Floats, exposure_s: float, e_per_adu: float) -> float:
    """Median dark current."""
    return median_adu(dark - np.asarray(master_bias)) * e_per_adu / exposure_s


def dark_tail_e_s(dark: Frame, master_bias: Floats, exposure_s: float, e_per_adu: float) -> Floats:
    """Dark current at :data:`PERCENTILES` of the pixels."""
    return np.asarray(np.percentile(dark - master_bias, PERCENTILES) * e_per_adu / exposure_s)
