"""Angles as people write them, and the equinox that mounts want."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

_SEXAGESIMAL = re.compile(
    r"""\s* (?P<sign>[-+−]?) \s* (?P<whole>\d+(?:\.\d+)?)
        (?: \s* (?P<unit>[hd°:\s])
            (?: \s* (?P<minutes>\d+(?:\.\d+)?)
                (?: \s* [m'′:\s] (?: \s* (?P<seconds>\d+(?:\.\d+)?) \s* [s"″]? )? )? )? )? \s*""",
    re.VERBOSE,
)
_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)
_TT_MINUS_UTC = timedelta(seconds=69.184)  # fixed since 2017; a second more would move no star by 1e-6 arcsec


def parse_ra_deg(value: object) -> float:
    """Right ascension in degrees: a number is degrees, ``"02h20m"`` and ``"02:20:00"`` are hours.

    Raises ``ValueError`` for anything else or anything outside of a turn.
    """
    degrees = _parse(value, unit_deg=15.0)
    if not 0 <= degrees < 360:
        raise ValueError(f"{value!r} is outside of 0 to 24 hours (0 to 360 degrees)")
    return degrees


def parse_dec_deg(value: object) -> float:
    """Declination in degrees: a number, ``"+57d08m"`` or ``"57:08:00"``. Raises ``ValueError`` otherwise."""
    degrees = _parse(value, unit_deg=1.0)
    if not -90 <= degrees <= 90:
        raise ValueError(f"{value!r} is outside of -90 to +90 degrees")
    return degrees


def _parse(value: object, unit_deg: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    match = _SEXAGESIMAL.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is no angle")
    parts = [float(match[name] or 0) for name in ("whole", "minutes", "seconds")]
    if parts[1] >= 60 or parts[2] >= 60:
        raise ValueError(f"{value!r} has more than 59 minutes or seconds")
    if match["unit"] == "h" and unit_deg == 1.0:
        raise ValueError(f"{value!r} is in hours; a declination is in degrees")
    bare = match["minutes"] is None and match["unit"] != "h"  # "35.2" and "35.2d" are degrees for both
    scale = 1.0 if bare or match["unit"] in {"d", "°"} else unit_deg
    degrees = scale * (parts[0] + parts[1] / 60 + parts[2] / 3600)
    return -degrees if match["sign"] in {"-", "−"} else degrees


def icrs_to_jnow(ra_deg: float, dec_deg: float, when: datetime) -> tuple[float, float]:
    """Apparent place of the date (true equator and equinox) in degrees, as EQUATORIAL_EOD_COORD wants it.

    Precession, nutation and annual aberration: what libnova takes out again on the driver's side.
    """
    import erfa

    ra, dec, origins = erfa.atci13(*_radians(ra_deg, dec_deg), 0.0, 0.0, 0.0, 0.0, *julian_tt(when))
    return math.degrees(ra - origins) % 360.0, math.degrees(dec)


def jnow_to_icrs(ra_deg: float, dec_deg: float, when: datetime) -> tuple[float, float]:
    """Inverse of :func:`icrs_to_jnow`."""
    import erfa

    tt = julian_tt(when)
    ra, dec = _radians(ra_deg, dec_deg)
    ra, dec, _ = erfa.atic13(ra + erfa.eo06a(*tt), dec, *tt)
    return math.degrees(ra) % 360.0, math.degrees(dec)


def separation_deg(ra1_deg: float, dec1_deg: float, ra2_deg: float, dec2_deg: float) -> float:
    """Angle between two directions in degrees (haversine: exact for small angles too)."""
    ra1, dec1 = _radians(ra1_deg, dec1_deg)
    ra2, dec2 = _radians(ra2_deg, dec2_deg)
    h = math.sin((dec2 - dec1) / 2) ** 2 + math.cos(dec1) * math.cos(dec2) * math.sin((ra2 - ra1) / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(h))))


def _radians(ra_deg: float, dec_deg: float) -> tuple[float, float]:
    return math.radians(ra_deg), math.radians(dec_deg)


def julian_tt(when: datetime, *, utc: bool = False) -> tuple[float, float]:
    """Julian date in two parts, in terrestrial time or, if that is wanted, in UTC."""
    return 2451545.0, (when + (timedelta() if utc else _TT_MINUS_UTC) - _J2000) / timedelta(days=1)
