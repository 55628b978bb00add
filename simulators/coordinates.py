"""Directions: the mount's JNow and the sky's ICRS, the tangent plane."""

from __future__ import annotations

from datetime import datetime

import erfa
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TT_MINUS_UTC_S = 69.184
"""TAI − UTC has been 37 s since 2017; a second more would turn no direction by a milliarcsecond."""


def _julian(utc: datetime) -> tuple[float, float]:
    day = utc.hour / 24 + utc.minute / 1440 + (utc.second + utc.microsecond / 1e6) / 86400
    jd0, mjd = erfa.cal2jd(utc.year, utc.month, utc.day)
    return float(jd0 + mjd), day


def terrestrial_time(utc: datetime) -> tuple[float, float]:
    """Terrestrial Time as a two-part Julian date."""
    jd, day = _julian(utc)
    return jd, day + _TT_MINUS_UTC_S / 86400


def icrs_to_jnow(ra_deg: float, dec_deg: float, utc: datetime) -> tuple[float, float]:
    """Apparent place (precession, nutation, aberration; equinox of date), degrees, as INDI's "EOD"."""
    ri, di, eo = erfa.atci13(
        np.radians(ra_deg), np.radians(dec_deg), 0.0, 0.0, 0.0, 0.0, *terrestrial_time(utc)
    )
    return float(np.degrees(erfa.anp(ri - eo))), float(np.degrees(di))


def jnow_to_icrs(ra_deg: float, dec_deg: float, utc: datetime) -> tuple[float, float]:
    """Inverse of :func:`icrs_to_jnow`, degrees."""
    tt = terrestrial_time(utc)
    rc, dc, _ = erfa.atic13(np.radians(ra_deg) + erfa.eo06a(*tt), np.radians(dec_deg), *tt)
    return float(np.degrees(erfa.anp(rc))), float(np.degrees(dc))


def sidereal_time_deg(longitude_deg: float, utc: datetime) -> float:
    """Apparent sidereal time at an east longitude, degrees (UT1 taken as UTC: within 0.9 s)."""
    return float((np.degrees(erfa.gst06a(*_julian(utc), *terrestrial_time(utc))) + longitude_deg) % 360.0)


def separation_deg(ra1_deg: float, dec1_deg: float, ra2_deg: float, dec2_deg: float) -> float:
    """Angle between two directions, degrees."""
    return float(np.degrees(erfa.seps(*np.radians([ra1_deg, dec1_deg, ra2_deg, dec2_deg]))))


def tangent_plane(ra_deg: Floats, dec_deg: Floats, ra0_deg: float, dec0_deg: float) -> tuple[Floats, Floats]:
    """Gnomonic projection: (ξ, η) in arcseconds, east and north of the tangent point.

    Only for directions less than 90° away (Calabretta & Greisen 2002, eq. 12–13, 54–55).
    """
    ra, dec = np.radians(ra_deg) - np.radians(ra0_deg), np.radians(dec_deg)
    dec0 = np.radians(dec0_deg)
    cos_c = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(ra)
    xi = np.cos(dec) * np.sin(ra) / cos_c
    eta = (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(ra)) / cos_c
    return np.degrees(xi) * 3600.0, np.degrees(eta) * 3600.0
