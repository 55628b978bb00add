"""Sky onto pixels: the projection, and what crosses it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.heavens.passers import Trail
from simulators.night import Pose

Floats = NDArray[np.float64]


def to_pixels(
    xi: Floats, eta: Floats, pose: Pose, scale_arcsec_px: float, width: int, height: int
) -> tuple[Floats, Floats]:
    """Pixels (centre of the first at 0, 0) of tangent-plane arcseconds; see :class:`Pose`."""
    u, v = -xi / scale_arcsec_px, -eta / scale_arcsec_px
    cos, sin = np.cos(np.radians(pose.rotation_deg)), np.sin(np.radians(pose.rotation_deg))
    x = (width - 1) / 2 + pose.dx_px + u * cos - v * sin
    y = (height - 1) / 2 + pose.dy_px + u * sin + v * cos
    return x, y


def satellite_trail(rng: np.random.Generator, width: int, height: int) -> Trail:
    """One straight trail across the whole field, 300 to 2000 electrons per pixel at its brightest."""
    angle_deg = float(np.degrees(rng.uniform(0.0, np.pi)))
    x0, y0 = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height
    sigma_px = 1.3
    e_per_px = rng.uniform(300.0, 2000.0) * sigma_px * np.sqrt(2.0 * np.pi)
    return Trail(x_px=x0, y_px=y0, angle_deg=angle_deg, e_per_px=float(e_per_px), fwhm_px=2.355 * sigma_px)
