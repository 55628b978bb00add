"""Stars onto pixels: projection, and stamps of a Moffat star that keep their flux."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.night import Pose

Floats = NDArray[np.float64]

MOFFAT_BETA = 3.0
_GAUSS_2 = 0.5 / np.sqrt(3.0)
"""Two-point Gauss–Legendre abscissa on a pixel: integrates a cubic exactly."""

_STAMP_RADII_PX = (7, 12, 22, 44, 90)
_FLUX_LIMITS_E = (4e3, 4e4, 4e5, 4e6)


def to_pixels(
    xi: Floats, eta: Floats, pose: Pose, scale_arcsec_px: float, width: int, height: int
) -> tuple[Floats, Floats]:
    """Pixels (centre of the first at 0, 0) of tangent-plane arcseconds; see :class:`Pose`."""
    u, v = -xi / scale_arcsec_px, -eta / scale_arcsec_px
    cos, sin = np.cos(np.radians(pose.rotation_deg)), np.sin(np.radians(pose.rotation_deg))
    x = (width - 1) / 2 + pose.dx_px + u * cos - v * sin
    y = (height - 1) / 2 + pose.dy_px + u * sin + v * cos
    return x, y


def render_stars(
    x: Floats, y: Floats, flux_e: Floats, fwhm_px: float, width: int, height: int
) -> NDArray[np.float64]:
    """Electrons per pixel, ``(height, width)``, of stars at subpixel places.

    Each stamp sums to its star's flux exactly; what falls off the sensor is lost. Brighter stars get wider
    stamps, so that the cut of the wings stays below the sky's noise.
    """
    image = np.zeros(width * height)
    size_class = np.searchsorted(_FLUX_LIMITS_E, flux_e)
    alpha2 = (fwhm_px / 2.0) ** 2 / (2.0 ** (1.0 / MOFFAT_BETA) - 1.0)
    for index, radius in enumerate(_STAMP_RADII_PX):
        which = size_class == index
        which &= (x > -radius) & (x < width + radius) & (y > -radius) & (y < height + radius)
        if not which.any():
            continue
        col, row = np.rint(x[which]).astype(np.int64), np.rint(y[which]).astype(np.int64)
        stamps = _moffat_stamps(x[which] - col, y[which] - row, radius, alpha2)
        stamps *= (flux_e[which] / stamps.sum(axis=(1, 2)))[:, None, None]
        offsets = np.arange(-radius, radius + 1)
        cols, rows = col[:, None] + offsets, row[:, None] + offsets
        inside = ((rows >= 0) & (rows < height))[:, :, None] & ((cols >= 0) & (cols < width))[:, None, :]
        places = rows[:, :, None] * width + cols[:, None, :]
        image += np.bincount(places[inside], weights=stamps[inside], minlength=width * height)
    return image.reshape(height, width)


def _moffat_stamps(dx: Floats, dy: Floats, radius: int, alpha2: float) -> Floats:
    """``(n, 2r+1, 2r+1)`` unnormalised Moffat profiles (β = 3), each pixel the mean of four points."""
    offsets = np.arange(-radius, radius + 1)
    stamps = np.zeros((len(dx), 2 * radius + 1, 2 * radius + 1))
    for sub_y in (-_GAUSS_2, _GAUSS_2):
        y2 = (offsets + sub_y - dy[:, None]) ** 2 / alpha2 + 1.0
        for sub_x in (-_GAUSS_2, _GAUSS_2):
            x2 = (offsets + sub_x - dx[:, None]) ** 2 / alpha2
            q = y2[:, :, None] + x2[:, None, :]
            stamps += 1.0 / (q * q * q)
    return stamps


def background(level_e: float, width: int, height: int) -> NDArray[np.float64]:
    """The sky's own light, 4 % brighter at the left bottom than at the right top."""
    y, x = np.ogrid[:height, :width]
    return np.asarray(level_e * (1.0 + 0.02 * (y / height - x / width)))


def satellite_trail(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float64]:
    """One straight trail across the whole field, electrons per pixel."""
    angle = rng.uniform(0.0, np.pi)
    x0, y0 = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height
    y, x = np.ogrid[:height, :width]
    distance = (x - x0) * np.sin(angle) - (y - y0) * np.cos(angle)
    return np.asarray(rng.uniform(300.0, 2000.0) * np.exp(-0.5 * (distance / 1.3) ** 2))
