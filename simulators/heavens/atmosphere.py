"""The sky over a site at a moment: what the air takes, and how bright the background is, over a sensor."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import cv2
import numpy as np
from numpy.typing import NDArray

from simulators.heavens import airglow
from simulators.heavens.airglow import Glow
from simulators.heavens.clouds import Clouds
from simulators.heavens.ephemeris import Site, airmass, horizontal, moon, sun
from simulators.heavens.showpieces import ToPixels
from simulators.optics import CLEAR, PASSBANDS

Floats = NDArray[np.float64]

_NODES = 17
_CLOUD_SCATTER = 1.8
"""What a thick cloud gives of the light about it: it hides the stars and shows the town."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """A night as it is asked for."""

    site: Site = field(default_factory=Site)
    glow: Glow = field(default_factory=Glow)
    moon: bool = True
    twilight: bool = True
    cloud_cover: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """Where a field, the sun and the moon stand, for the truth's sidecar."""

    altitude_deg: float
    azimuth_deg: float
    airmass: float
    sun_altitude_deg: float
    moon_altitude_deg: float
    moon_lit: float


class Atmosphere:
    """The air over a site for one seeded night."""

    def __init__(self, seed: int, conditions: Conditions) -> None:
        self.conditions = conditions
        self.clouds = Clouds(seed, conditions.cloud_cover)

    def overhead(self, ra_deg: float, dec_deg: float, utc: datetime) -> Overhead:
        """Where things stand."""
        site = self.conditions.site
        altitude, azimuth = horizontal(ra_deg, dec_deg, utc, site)
        there = moon(utc, site)
        return Overhead(
            altitude_deg=float(altitude),
            azimuth_deg=float(azimuth),
            airmass=float(airmass(altitude, site)),
            sun_altitude_deg=sun(utc, site)[0],
            moon_altitude_deg=there.altitude_deg,
            moon_lit=there.lit,
        )

    def transmission(
        self,
        ra_deg: Floats,
        dec_deg: Floats,
        filter_name: str,
        utc: datetime,
        elapsed_s: float = 0.0,
        exposure_s: float = 0.0,
    ) -> Floats:
        """The share of starlight that arrives from each direction: Bouguer's law, and the clouds.

        Below the horizon there is none.
        """
        altitude, azimuth = horizontal(ra_deg, dec_deg, utc, self.conditions.site)
        through = 10.0 ** (
            -0.4 * airglow.extinction_mag(filter_name) * airmass(altitude, self.conditions.site)
        )
        if self.clouds.cover > 0.0:
            through = through * self.clouds.transmission(altitude, azimuth, elapsed_s, exposure_s)
        return np.where(altitude > -0.6, through, 0.0)

    def brightness(
        self,
        ra_deg: Floats,
        dec_deg: Floats,
        filter_name: str,
        utc: datetime,
        elapsed_s: float = 0.0,
        exposure_s: float = 0.0,
    ) -> Floats:
        """Background per square arcsecond, as a share of what a star of magnitude 0 gives in L."""
        wanted, site = self.conditions, self.conditions.site
        altitude, azimuth = horizontal(ra_deg, dec_deg, utc, site)
        band = PASSBANDS.get(filter_name, CLEAR)
        light = band.sky_share * airglow.night_glow(altitude, azimuth, wanted.glow)
        if wanted.moon:
            light = light + band.share * airglow.moonlight(altitude, azimuth, moon(utc, site), filter_name)
        if wanted.twilight:
            light = light + band.share * airglow.twilight(altitude, azimuth, *sun(utc, site), filter_name)
        if self.clouds.cover > 0.0:
            through = self.clouds.transmission(altitude, azimuth, elapsed_s, exposure_s)
            light = light * (through + _CLOUD_SCATTER * (1.0 - through))
        return np.asarray(light)


def over_sensor(values: NDArray[np.float64], width: int, height: int) -> NDArray[np.float32]:
    """A smooth quantity known at the sensor's nodes (:func:`sensor_nodes`), on all its pixels."""
    # Nodes lie at the centres of as many equal tiles, which is where a resize takes its samples to be.
    return np.asarray(cv2.resize(values.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC))


def sensor_nodes(
    ra_deg: float, dec_deg: float, to_pixels: ToPixels, width: int, height: int
) -> tuple[Floats, Floats]:
    """Right ascension and declination ``(17, 17)`` of the sensor's tiles, by the geometry's linear part."""
    step = 60.0
    xi, eta = np.array([0.0, step, 0.0]), np.array([0.0, 0.0, step])
    x, y = to_pixels(xi, eta)
    matrix = np.array([[x[1] - x[0], x[2] - x[0]], [y[1] - y[0], y[2] - y[0]]]) / step
    centres = (np.arange(_NODES) + 0.5) / _NODES
    px, py = np.meshgrid(centres * width - 0.5 - x[0], centres * height - 0.5 - y[0])
    east, north = np.radians(np.tensordot(np.linalg.inv(matrix), np.stack([px, py]), axes=1) / 3600.0)
    dec0 = np.radians(dec_deg)
    # The gnomonic projection's inverse (Calabretta & Greisen 2002, eq. 14–15, 55).
    below = np.cos(dec0) - north * np.sin(dec0)
    ra = np.radians(ra_deg) + np.arctan2(east, below)
    dec = np.arctan2(np.sin(dec0) + north * np.cos(dec0), np.hypot(east, below))
    return np.degrees(ra) % 360.0, np.degrees(dec)
