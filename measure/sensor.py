"""What a sensor is, measured on its own calibration frames: read noise, gain, dark current.

The methods are the standard ones: two frames of a kind differ by their noise alone, so that the fixed pattern
drops out (J. R. Janesick, Scientific Charge-Coupled Devices, SPIE 2001, ch. 2: photon transfer; EMVA
Standard 1288, Release 4.0, for the dark current as the slope of the dark level over the exposure time).
Uncertainties are one σ and statistical: a drifting pedestal or lamp is in them only as far as repeated
frames show it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]

MAD_TO_SIGMA = 1.482602
_MEDIAN_TO_MEAN = 1.2533
"""√(π/2): how much wider the median of Gaussian values scatters than their mean."""

_CLIP_SIGMA = 4.0
_CELL_PX = 32
_MEDIAN_OF_CHI2 = 1.0 - 2.0 / (3.0 * (_CELL_PX**2 - 1))
"""Median of a cell's sample variance over the true one (chi-square by Wilson and Hilferty)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A value and its uncertainty (1 σ)."""

    value: float
    uncertainty: float

    def __str__(self) -> str:
        digits = max(0, 1 - math.floor(math.log10(self.uncertainty))) if self.uncertainty > 0 else 3
        return f"{self.value:.{digits}f} ± {self.uncertainty:.{digits}f}"


def step_adu(frame: Pixels) -> int:
    """The converter's step in the frame: 16 where 12 bits were shifted into 16, usually 1."""
    if frame.dtype.kind not in "ui":
        return 1
    bits = int(np.bitwise_or.reduce(frame, axis=None))
    return bits & -bits or 1


def read_noise_adu(biases: Sequence[Pixels]) -> Measured:
    """σ of one reading in ADU, from two biases or more (H, W).

    It is the standard deviation of their differences, clipped at 4 σ to convergence, over √2; the variance
    of rounding to the converter's step is taken off.
    """
    if len(biases) < 2:
        raise ValueError("read noise needs two biases")
    rounding = step_adu(biases[0]) ** 2 / 12
    variances = [
        _clipped_variance(np.subtract(a, b, dtype=np.float32)) / 2 - rounding for a, b in pairwise(biases)
    ]
    noise = math.sqrt(max(float(np.mean(variances)), 0.0))
    # Pairs that share a frame are not independent; their scatter is still the better guide to real stability.
    scatter = float(np.std(np.sqrt(np.maximum(variances, 0.0)), ddof=1)) if len(variances) > 1 else 0.0
    return Measured(noise, max(scatter, noise / math.sqrt(2.0 * biases[0].size)) / math.sqrt(len(variances)))


def read_noise_mad_adu(bias_a: Pixels, bias_b: Pixels) -> float:
    """Read noise as often quoted: 1.4826 · MAD of the difference of two biases, /√2.

    On integer frames it moves in steps of 1.05 ADU times the converter's, so that a camera whose noise is
    6.55 ADU shows 6.29: quote :func:`read_noise_adu` where that matters.
    """
    difference = np.subtract(bias_a, bias_b, dtype=np.float32)
    return float(np.median(np.abs(difference - np.median(difference)))) * MAD_TO_SIGMA / math.sqrt(2.0)


def gain_e_per_adu(flats: Sequence[Pixels], bias: Pixels | float, noise_adu: float) -> Measured:
    """e⁻/ADU by photon transfer, from two flats or more of one exposure and filter (H, W).

    In cells of 32 × 32 pixels over the frame's middle half: the mean signal over half the variance of the
    difference, less the read noise and the rounding; the median over cells and pairs. So neither vignetting,
    nor a lamp that drifts, nor single pixels count. A mosaic may stay as it is: both are means over a cell.
    """
    if len(flats) < 2:
        raise ValueError("gain needs two flats")
    height, width = flats[0].shape
    middle = _middle(height), _middle(width)
    if not all(side.stop - side.start for side in middle):
        raise ValueError(
            f"gain needs flats of {2 * _CELL_PX} pixels or more each way, not {width} × {height}"
        )
    level = np.asarray(bias, np.float64)
    signals = [_cells(flat[middle] - (level[middle] if level.ndim else level)) for flat in flats]
    floor = noise_adu**2 + step_adu(flats[0]) ** 2 / 12
    ratios = []
    for a, b in pairwise(signals):
        variance = (a - b).var(axis=1, ddof=1) / 2 / _MEDIAN_OF_CHI2
        ratios.append((a.mean(axis=1) + b.mean(axis=1)) / 2 / (variance - floor))
    values = np.concatenate(ratios)
    gain = float(np.median(values))
    if not (math.isfinite(gain) and gain > 0):
        raise ValueError("the flats hold no light above the bias")
    return Measured(gain, _MEDIAN_TO_MEAN * _robust_sigma(values) / math.sqrt(len(values)))


def level_adu(frame: Pixels, bias: Pixels | float = 0.0) -> float:
    """The median above a bias; whole numbers are spread over their unit first, or it would move in steps."""
    values = np.subtract(frame, bias, dtype=np.float32)
    step = step_adu(frame)
    if frame.dtype.kind in "ui":
        values += np.random.default_rng(0).uniform(-step / 2, step / 2, values.shape).astype(np.float32)
    return float(np.median(values))


def dark_rate_adu_s(exposures_s: Sequence[float], levels_adu: Sequence[float]) -> Measured:
    """Dark current in ADU/s: the slope of the darks' median levels above the bias over their exposures.

    From three exposures on a line of its own (EMVA 1288), since an exposed frame may sit some tenths of an
    ADU off a bias; its uncertainty is that of the fit. From fewer, the line through the bias, and levels are
    taken to be good to half an ADU. Times e⁻/ADU it is the usual e⁻/s.
    """
    t, level = np.asarray(exposures_s, np.float64), np.asarray(levels_adu, np.float64)
    if not (len(t) and (t > 0).any()):
        raise ValueError("dark current needs a dark")
    if len(np.unique(t)) < 3:
        return Measured(float((t * level).sum() / (t * t).sum()), 0.5 / math.sqrt(float((t * t).sum())))
    away = t - t.mean()
    slope = float((away * level).sum() / (away**2).sum())
    rest = level - level.mean() - slope * away
    sigma = math.sqrt(float((rest**2).sum()) / (len(t) - 2))
    return Measured(slope, sigma / math.sqrt(float((away**2).sum())))


def _clipped_variance(values: NDArray[np.float32]) -> float:
    kept = values.ravel()
    while True:
        mean, sigma = float(kept.mean(dtype=np.float64)), float(kept.std(dtype=np.float64))
        inside = kept[np.abs(kept - mean) <= _CLIP_SIGMA * sigma]
        if len(inside) in {0, len(kept)}:
            return sigma**2 * 1.0022  # what a Gaussian loses beyond 4 σ
        kept = inside


def _middle(size: int) -> slice:
    first = size // 4
    return slice(first, first + size // 2 // _CELL_PX * _CELL_PX)


def _cells(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """(cells, pixels)."""
    rows, columns = image.shape[0] // _CELL_PX, image.shape[1] // _CELL_PX
    return image.reshape(rows, _CELL_PX, columns, _CELL_PX).swapaxes(1, 2).reshape(rows * columns, -1)


def _robust_sigma(values: NDArray[np.float64]) -> float:
    return float(np.median(np.abs(values - np.median(values)))) * MAD_TO_SIGMA
