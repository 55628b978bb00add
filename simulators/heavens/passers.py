"""What crosses a field: satellites while the sun reaches them, aircraft with their lights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EARTH_KM = 6378.0
SATELLITES_PER_H_DEG = 0.6
"""Sunlit ones brighter than magnitude 8 that cross a field, per hour and degree of its diagonal."""

AIRCRAFT_PER_H_DEG = 0.04


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """A straight trail through a point of the sensor, across all of it."""

    x_px: float
    y_px: float
    angle_deg: float
    e_per_px: float
    """Electrons left along each pixel of its length."""

    fwhm_px: float
    blink_px: float = 0.0
    """Length between two flashes; 0 burns steadily."""


def sunlit_share(sun_altitude_deg: float) -> float:
    """The share of satellites overhead that the sun still reaches.

    Earth's shadow is R·(sec δ − 1) high at the zenith when the sun is δ below the horizon; satellites'
    heights are spread evenly over 400 to 1400 km, where most fly.
    """
    if sun_altitude_deg >= 0.0:
        return 1.0
    shadow_km = EARTH_KM * (1.0 / np.cos(np.radians(min(-sun_altitude_deg, 80.0))) - 1.0)
    return float(np.clip((1400.0 - shadow_km) / 1000.0, 0.0, 1.0))


def passers(
    rng: np.random.Generator,
    *,
    exposure_s: float,
    width: int,
    height: int,
    scale_arcsec_px: float,
    fwhm_px: float,
    electrons_per_s_at_mag0: float,
    sun_altitude_deg: float,
    rate: float = 1.0,
) -> list[Trail]:
    """The trails of one exposure. A passer's light is spread over its way: slower is brighter."""
    diagonal_deg = float(np.hypot(width, height)) * scale_arcsec_px / 3600.0
    hours = exposure_s / 3600.0 * rate * diagonal_deg
    trails = []
    for _ in range(int(rng.poisson(SATELLITES_PER_H_DEG * sunlit_share(sun_altitude_deg) * hours))):
        # 7.6 km/s at 400 to 1400 km: a degree a second for the low, a third of it for the high.
        deg_per_s = rng.uniform(0.3, 1.0)
        light = electrons_per_s_at_mag0 * 10.0 ** (-0.4 * rng.uniform(3.5, 8.0))
        per_px = light * scale_arcsec_px / (3600.0 * deg_per_s)
        trails.append(_across(rng, width, height, per_px, fwhm_px, 0.0))
    for _ in range(int(rng.poisson(AIRCRAFT_PER_H_DEG * hours))):
        deg_per_s = rng.uniform(0.6, 1.5)
        light = electrons_per_s_at_mag0 * 10.0 ** (-0.4 * rng.uniform(0.0, 2.0))
        per_px = light * scale_arcsec_px / (3600.0 * deg_per_s)
        middle = _across(rng, width, height, per_px, 2.5 * fwhm_px, deg_per_s * 3600.0 / scale_arcsec_px)
        # Wing lights, 30 m apart at 12 km, on both sides of the flashing beacon.
        apart_px = np.degrees(15.0 / 12_000.0) * 3600.0 / scale_arcsec_px
        aside = np.radians(middle.angle_deg + 90.0)
        trails.append(middle)
        trails += [
            Trail(
                x_px=middle.x_px + side * apart_px * float(np.cos(aside)),
                y_px=middle.y_px + side * apart_px * float(np.sin(aside)),
                angle_deg=middle.angle_deg,
                e_per_px=per_px / 6.0,
                fwhm_px=2.5 * fwhm_px,
            )
            for side in (-1.0, 1.0)
        ]
    return trails


def _across(
    rng: np.random.Generator, width: int, height: int, e_per_px: float, fwhm_px: float, blink_px: float
) -> Trail:
    return Trail(
        x_px=rng.uniform(0.1, 0.9) * width,
        y_px=rng.uniform(0.1, 0.9) * height,
        angle_deg=rng.uniform(0.0, 180.0),
        e_per_px=e_per_px,
        fwhm_px=fwhm_px,
        blink_px=blink_px,
    )


def draw_trail(light: NDArray[np.floating], trail: Trail) -> None:
    """Add a trail to electrons per pixel, in place: a Gaussian across, cut off at 4 σ."""
    cos, sin = np.cos(np.radians(trail.angle_deg)), np.sin(np.radians(trail.angle_deg))
    # Walk along the axis that the trail is closer to; each step takes the pixels across it.
    steep = abs(sin) > abs(cos)
    plane = light.T if steep else light
    x0, y0 = (trail.y_px, trail.x_px) if steep else (trail.x_px, trail.y_px)
    along, slope = (sin, cos / sin) if steep else (cos, sin / cos)
    sigma = trail.fwhm_px / 2.355
    x = np.arange(plane.shape[1])
    reach = int(np.ceil(4.0 * sigma / abs(along)))
    middle = y0 + (x - x0) * slope
    rows = np.rint(middle).astype(np.int64) + np.arange(-reach, reach + 1)[:, None]
    distance = (rows - middle) * along
    value = trail.e_per_px / (sigma * np.sqrt(2.0 * np.pi)) * np.exp(-0.5 * (distance / sigma) ** 2)
    if trail.blink_px > 0.0:
        value = value * (((x - x0) / abs(along)) % trail.blink_px < 0.08 * trail.blink_px)
    inside = (rows >= 0) & (rows < plane.shape[0])
    columns = np.broadcast_to(x, rows.shape)
    # Each pixel of the plane is met once.
    plane[rows[inside], columns[inside]] += value[inside].astype(plane.dtype)
