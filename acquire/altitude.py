"""How high a target and the sun stand over a place, now and later."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from acquire.coordinates import icrs_to_jnow, julian_tt

_STEP = timedelta(minutes=2)
_AHEAD = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place on Earth in degrees; longitudes are counted to the east."""

    latitude_deg: float
    longitude_deg: float


def altitude_deg(ra_deg: float, dec_deg: float, site: Site, when: datetime) -> float:
    """Give the altitude of ICRS coordinates over the horizon, without refraction."""
    ra, dec = icrs_to_jnow(ra_deg, dec_deg, when)
    return _altitude(ra, dec, site, when)


def sun_altitude_deg(site: Site, when: datetime) -> float:
    """Give the altitude of the sun's centre over the horizon, without refraction."""
    import erfa

    earth, _ = erfa.epv00(*julian_tt(when))
    x, y, z = (-float(each) for each in earth["p"])
    ra, dec = math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))
    return altitude_deg(ra, dec, site, when)


def next_time(holds: Callable[[datetime], bool], since: datetime) -> datetime | None:
    """Give the first time at which something holds, to two minutes; ``None``: not within a day."""
    steps = int(_AHEAD / _STEP)
    return next((when for n in range(steps) if holds(when := since + n * _STEP)), None)


def _altitude(ra_deg: float, dec_deg: float, site: Site, when: datetime) -> float:
    import erfa

    tt = julian_tt(when)
    sidereal = math.degrees(float(erfa.gst06a(*julian_tt(when, utc=True), *tt)))
    hour_angle = math.radians(sidereal + site.longitude_deg - ra_deg)
    latitude, dec = math.radians(site.latitude_deg), math.radians(dec_deg)
    sine = math.sin(latitude) * math.sin(dec) + math.cos(latitude) * math.cos(dec) * math.cos(hour_angle)
    return math.degrees(math.asin(min(1.0, max(-1.0, sine))))
