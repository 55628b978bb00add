"""Where things stand over a site: horizontal coordinates, refraction, airmass; the sun and the moon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import erfa
import numpy as np
from numpy.typing import NDArray

from simulators.coordinates import sidereal_time_deg, terrestrial_time

Floats = NDArray[np.float64]

_AU_KM = 149_597_870.7
_LIGHT_AU_PER_DAY = 173.1446


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place on Earth, geodetic degrees (east positive), and its air; by default where the mount stands."""

    latitude_deg: float = 47.7
    longitude_deg: float = 11.2
    height_m: float = 700.0
    temperature_c: float = 8.0

    @property
    def pressure_hpa(self) -> float:
        """The standard atmosphere's pressure at this height."""
        return float(1013.25 * np.exp(-self.height_m / 8430.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moon:
    """The moon, seen from a site."""

    altitude_deg: float
    azimuth_deg: float
    phase_deg: float
    """Angle sun–moon–Earth: 0 is full, 180 new."""

    @property
    def lit(self) -> float:
        """The lit share of its disc."""
        return float((1.0 + np.cos(np.radians(self.phase_deg))) / 2.0)


def horizontal(
    ra_deg: Floats | float, dec_deg: Floats | float, utc: datetime, site: Site
) -> tuple[Floats, Floats]:
    """(altitude, azimuth from north through east) of ICRS directions, degrees, as without air.

    Precession, nutation and aberration by the IAU's routines, once for all directions; polar motion and
    UT1 − UTC are left out (15″).
    """
    tt = terrestrial_time(utc)
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    towards = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    _, barycentric = erfa.epv00(*tt)
    velocity = np.asarray(barycentric["v"]) / _LIGHT_AU_PER_DAY
    shape = (3,) + (1,) * (towards.ndim - 1)
    x, y, z = np.tensordot(erfa.pnm06a(*tt), towards + velocity.reshape(shape), axes=1)
    hour_angle = np.radians(sidereal_time_deg(site.longitude_deg, utc)) - np.arctan2(y, x)
    azimuth, altitude = erfa.hd2ae(hour_angle, np.arctan2(z, np.hypot(x, y)), np.radians(site.latitude_deg))
    return np.asarray(np.degrees(altitude)), np.asarray(np.degrees(azimuth))


def refraction_deg(altitude_deg: Floats | float, site: Site) -> Floats:
    """How much higher a thing of that true altitude seems (Sæmundsson 1986); to 0.1′ above 5°."""
    h = np.maximum(np.asarray(altitude_deg, dtype=np.float64), -1.0)
    arcmin = 1.02 / np.tan(np.radians(h + 10.3 / (h + 5.11)))
    return np.asarray(arcmin / 60.0 * site.pressure_hpa / 1010.0 * 283.0 / (273.0 + site.temperature_c))


def airmass(altitude_deg: Floats | float, site: Site | None = None) -> Floats:
    """Air along a line of sight, in zeniths, by apparent altitude (Pickering 2002); 39 at the horizon.

    With a ``site``, the altitude is the true one, and its refraction is added.
    """
    h = np.asarray(altitude_deg, dtype=np.float64)
    if site is not None:
        h = h + refraction_deg(h, site)
    h = np.maximum(h, 0.0)
    return np.asarray(1.0 / np.sin(np.radians(h + 244.0 / (165.0 + 47.0 * h**1.1))))


def refraction_shift_arcsec(
    ra_deg: Floats, dec_deg: Floats, ra0_deg: float, dec0_deg: float, utc: datetime, site: Site
) -> tuple[Floats, Floats]:
    """How refraction moves directions against a field's centre: arcseconds (east, north).

    The mount points where the centre seems to be, so only the difference shows. Towards the zenith is north
    through east by the parallactic angle (Meeus 1998, ch. 14).
    """
    lift0, q0 = _lift(np.array([ra0_deg]), np.array([dec0_deg]), utc, site)
    lift, q = _lift(ra_deg, dec_deg, utc, site)
    return lift * np.sin(q) - lift0 * np.sin(q0), lift * np.cos(q) - lift0 * np.cos(q0)


def _lift(ra_deg: Floats, dec_deg: Floats, utc: datetime, site: Site) -> tuple[Floats, Floats]:
    altitude, azimuth = horizontal(ra_deg, dec_deg, utc, site)
    # The pole's direction at the star, from the zenith's: the same triangle as Meeus's, without hour angle.
    lat, az, alt = np.radians(site.latitude_deg), np.radians(azimuth), np.radians(altitude)
    q = np.arctan2(
        -np.sin(az) * np.cos(lat), np.cos(alt) * np.sin(lat) - np.sin(alt) * np.cos(lat) * np.cos(az)
    )
    # Towards the zenith is the parallactic angle, from north through east.
    return 3600.0 * refraction_deg(altitude, site), q


def sun(utc: datetime, site: Site) -> tuple[float, float]:
    """(altitude, azimuth) of the sun, degrees, without air; good to an arcminute."""
    towards = -_earth_from_sun(utc)
    ra, dec = erfa.c2s(towards)
    altitude, azimuth = horizontal(np.degrees(ra), np.degrees(dec), utc, site)
    return float(altitude), float(azimuth)


def moon(utc: datetime, site: Site) -> Moon:
    """The moon with its parallax, to a few arcminutes (Meeus's series in ERFA's moon98)."""
    geocentric = np.asarray(erfa.moon98(*terrestrial_time(utc))["p"]) * _AU_KM
    to_sun = -_earth_from_sun(utc) * _AU_KM
    phase = erfa.sepp(-geocentric, to_sun - geocentric)
    ra, dec = erfa.c2s(geocentric)
    altitude, azimuth = horizontal(np.degrees(ra), np.degrees(dec), utc, site)
    sine = 6378.14 / float(np.linalg.norm(geocentric))
    parallax = np.degrees(
        np.arctan2(sine * np.cos(np.radians(altitude)), 1.0 - sine * np.sin(np.radians(altitude)))
    )
    return Moon(
        altitude_deg=float(altitude - parallax),
        azimuth_deg=float(azimuth),
        phase_deg=float(np.degrees(phase)),
    )


def _earth_from_sun(utc: datetime) -> Floats:
    heliocentric, _ = erfa.epv00(*terrestrial_time(utc))
    return np.asarray(heliocentric["p"], dtype=np.float64)
