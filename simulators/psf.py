"""A star on the sensor: seeing, the pupil's shadow out of focus, and the pixel's own width.

Seeing and optics make a Moffat profile of β = 3 (Moffat 1969); a defocus spreads it evenly over the image of
the pupil, a ring whose hole is the central obstruction. Both are round, and so is their convolution: one
table of it against the radius serves every subpixel place.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Stamps = NDArray[np.float32]

MOFFAT_BETA = 3.0
BLUR_STEP_PX = 0.125
"""Tables are made for multiples of it; in quadrature with a star's width half of it is nothing."""

_GAUSS_2 = 0.5 / np.sqrt(3.0)
"""Two-point Gauss–Legendre abscissa on a pixel: integrates a cubic exactly."""

_TABLE_STEPS_PER_FWHM = 40


def moffat_alpha_px(fwhm_px: float) -> float:
    """The Moffat profile's scale: (1 + r²/α²)^−β is one half at r = FWHM/2."""
    return float(fwhm_px / 2.0 / np.sqrt(2.0 ** (1.0 / MOFFAT_BETA) - 1.0))


def profile(radius_px: Floats, fwhm_px: float, blur_px: float, obstruction: float) -> Floats:
    """Brightness at radii, of total flux 1 over the plane: a Moffat over a ring of outer radius ``blur_px``.

    The mean of a Moffat of β = 3 around a circle of radius ρ is closed: with a = 1 + (r² + ρ²)/α² and
    b = 2rρ/α², that of (a − b·cos φ)^−3 is (a² + b²/2)/(a² − b²)^(5/2) (twice the derivative in a of
    ∫dφ/(a − b·cos φ) = 2π/√(a² − b²)). Over ρ it is integrated with Gauss's nodes.
    """
    alpha = moffat_alpha_px(fwhm_px)
    peak = (MOFFAT_BETA - 1.0) / (np.pi * alpha**2)
    if blur_px < BLUR_STEP_PX / 2:
        return np.asarray(peak * (1.0 + (radius_px / alpha) ** 2) ** -MOFFAT_BETA)
    inner = obstruction * blur_px
    # Several nodes to a seeing disc, or the ring would show them as ripples.
    nodes, weights = np.polynomial.legendre.leggauss(16 + int(6.0 * (blur_px - inner) / alpha))
    rho = inner + (nodes + 1.0) / 2.0 * (blur_px - inner)
    weights = weights * rho
    r2, rho2 = (radius_px[:, None] / alpha) ** 2, (rho / alpha) ** 2
    a, b2 = 1.0 + r2 + rho2, 4.0 * r2 * rho2
    ring = (a**2 + b2 / 2.0) * (a**2 - b2) ** -2.5
    return np.asarray(peak * (ring @ weights) / weights.sum())


@lru_cache(maxsize=512)
def _table(fwhm_px: float, blur_px: float, obstruction: float, reach_px: int) -> Stamps:
    """:func:`profile` at steps of FWHM/40 from the centre to ``reach_px``."""
    step = fwhm_px / _TABLE_STEPS_PER_FWHM
    radii = np.arange(0.0, reach_px + 3 * step, step)
    return profile(radii, fwhm_px, blur_px, obstruction).astype(np.float32)


def stamps(dx: Floats, dy: Floats, radius: int, fwhm_px: float, blur_px: float, obstruction: float) -> Stamps:
    """``(n, 2·radius+1, 2·radius+1)`` images of stars whose centres lie (dx, dy) from the middle pixel's.

    Each sums to 1: what a stamp cuts off its star's wings is given back to the rest. Every pixel is the
    mean of four points (Gauss–Legendre).
    """
    offsets = np.arange(-radius, radius + 1, dtype=np.float32)
    images = np.zeros((len(dx), len(offsets), len(offsets)), np.float32)
    table = _table(fwhm_px, blur_px, obstruction, int(1.5 * radius) + 2)
    slope = np.diff(table, append=table[-1:])
    per_px = np.float32(_TABLE_STEPS_PER_FWHM / fwhm_px)
    for sub_y in (-_GAUSS_2, _GAUSS_2):
        y2 = ((offsets + np.float32(sub_y) - dy.astype(np.float32)[:, None]) * per_px) ** 2
        for sub_x in (-_GAUSS_2, _GAUSS_2):
            x2 = ((offsets + np.float32(sub_x) - dx.astype(np.float32)[:, None]) * per_px) ** 2
            place = np.sqrt(y2[:, :, None] + x2[:, None, :])
            index = place.astype(np.int32)
            place -= index
            place *= slope[index]
            place += table[index]
            images += place
    images /= images.sum(axis=(1, 2), dtype=np.float64)[:, None, None].astype(np.float32)
    return images
