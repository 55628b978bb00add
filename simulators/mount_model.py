"""The mount's geometry and its errors: where it looks, and how the camera is turned, at any time.

Frames are those of hour angle and declination: x to the meridian's equator, y to the west, z to the pole.
Times are Unix seconds of the simulated UTC, so that processes with clocks of their own agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from simulators.coordinates import sidereal_time_deg

Floats = NDArray[np.float64]

SIDEREAL_ARCSEC_S = 15.041067
"""The Earth's turn against the stars, arcseconds a second (IERS Conventions 2010, sect. 1.2)."""

_PER_DEG = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MountErrors:
    """What is wrong with a mount; all zero is a perfect one."""

    periodic_arcsec: float = 0.0
    """Half of the worm's peak to peak, in the right ascension axis's angle."""

    worm_period_s: float = 479.0
    polar_azimuth_arcmin: float = 0.0
    """How far east of the pole the polar axis points, as an azimuth."""

    polar_altitude_arcmin: float = 0.0
    """How far above the pole it points."""

    backlash_arcsec: float = 0.0
    """What the declination axis loses when its direction reverses."""

    settle_arcsec: float = 0.0
    """How far from its goal it stands as it reports a slew's end; gone with ``settle_s``."""

    settle_s: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Where the mount looked when its motion last changed, and how it has gone on since then."""

    at_s: float
    hour_angle_deg: float
    dec_deg: float
    tracking: bool
    altaz: bool = False
    flipped: bool = False
    """Whether it looks from the other side of its pier, which turns the field by 180°."""

    slewed_s: float = -1e12
    """When the last slew ended."""


@dataclass(frozen=True, slots=True)
class Look:
    """A true direction, and the position angle (north through east) of the camera's upper edge."""

    hour_angle_deg: float
    dec_deg: float
    camera_angle_deg: float


@dataclass(frozen=True, slots=True)
class Mounting:
    """All that decides where a telescope looks."""

    aim: Aim
    errors: MountErrors
    latitude_deg: float
    longitude_deg: float

    def jnow_deg(self, utc: datetime) -> tuple[float, float, float]:
        """Right ascension and declination of date, and the camera's position angle."""
        seen = look(self.aim, self.errors, self.latitude_deg, utc.timestamp())
        sidereal = sidereal_time_deg(self.longitude_deg, utc)
        return (sidereal - seen.hour_angle_deg) % 360.0, seen.dec_deg, seen.camera_angle_deg


def look(aim: Aim, errors: MountErrors, latitude_deg: float, time_s: float) -> Look:
    """Where the mount really looks at a time after ``aim.at_s``.

    A slew ends on its goal (the pointing model takes constant errors out); from there on the axis turns
    at the sidereal rate about its own pole, and the worm goes on from the phase it has.
    """
    turned_deg = SIDEREAL_ARCSEC_S * (time_s - aim.at_s) / _PER_DEG if aim.tracking else 0.0
    if aim.altaz:  # both axes follow the star; the camera's top stays towards the zenith
        hour_angle, dec = aim.hour_angle_deg + turned_deg, aim.dec_deg
        angle = parallactic_angle_deg(hour_angle, dec, latitude_deg)
    else:
        axis = polar_axis(errors, latitude_deg)
        own_hour_angle, own_dec = _angles(axis.T @ _direction(aim.hour_angle_deg, aim.dec_deg))
        if aim.tracking:
            turned_deg += (worm_arcsec(errors, time_s) - worm_arcsec(errors, aim.at_s)) / _PER_DEG
        there = axis @ _direction(own_hour_angle + turned_deg, own_dec)
        hour_angle, dec = _angles(there)
        angle = _position_angle_deg(axis @ _north(own_hour_angle + turned_deg, own_dec), hour_angle, dec)
        angle += 180.0 if aim.flipped else 0.0
    since_s = max(time_s - aim.slewed_s, 0.0)
    dec += errors.settle_arcsec / _PER_DEG * float(np.exp(-since_s / errors.settle_s))
    return Look(hour_angle, min(dec, 90.0), angle)


def worm_arcsec(errors: MountErrors, time_s: float) -> float:
    """Periodic error of the right ascension axis: one sine a turn of the worm."""
    return errors.periodic_arcsec * float(
        np.sin(2 * np.pi * (time_s % errors.worm_period_s) / errors.worm_period_s)
    )


def polar_axis(errors: MountErrors, latitude_deg: float) -> Floats:
    """The rotation ``(3, 3)`` from the own frame to the true one: a tilt, then a turn about the zenith."""
    tilt, turn = np.radians(errors.polar_altitude_arcmin / 60), np.radians(errors.polar_azimuth_arcmin / 60)
    phi = np.radians(latitude_deg)
    tilted = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])
    # Rodrigues' formula about the zenith; in this frame the pole goes to −y, the east.
    k = np.array([[0, -np.sin(phi), 0], [np.sin(phi), 0, -np.cos(phi)], [0, np.cos(phi), 0]])
    return np.asarray((np.eye(3) + np.sin(turn) * k + (1 - np.cos(turn)) * (k @ k)) @ tilted)


def altitude_azimuth_deg(hour_angle_deg: float, dec_deg: float, latitude_deg: float) -> tuple[float, float]:
    """Altitude, and azimuth from north through east, without refraction."""
    x, y, z = _direction(hour_angle_deg, dec_deg)
    phi = np.radians(latitude_deg)
    up, north = x * np.cos(phi) + z * np.sin(phi), z * np.cos(phi) - x * np.sin(phi)
    return float(np.degrees(np.arcsin(np.clip(up, -1, 1)))), float(np.degrees(np.arctan2(-y, north)) % 360)


def parallactic_angle_deg(hour_angle_deg: float, dec_deg: float, latitude_deg: float) -> float:
    """Position angle of the zenith (Meeus, Astronomical Algorithms, eq. 14.1)."""
    h, dec, phi = np.radians([hour_angle_deg, dec_deg, latitude_deg])
    return float(np.degrees(np.arctan2(np.sin(h), np.tan(phi) * np.cos(dec) - np.sin(dec) * np.cos(h))))


def pier_axes_deg(hour_angle_deg: float, dec_deg: float, flipped: bool) -> tuple[float, float]:
    """The angles of a German mount's two axes: a flip turns both by half a turn."""
    return (hour_angle_deg - 180.0, 180.0 - dec_deg) if flipped else (hour_angle_deg, dec_deg)


def with_backlash(play_arcsec: float, move_arcsec: float, backlash_arcsec: float) -> tuple[float, float]:
    """The gear's play after a motor's move, and what of the move the axis makes.

    The play is 0 where the teeth touch going south, ``backlash_arcsec`` where they do going north.
    """
    wanted = play_arcsec + move_arcsec
    play = min(max(wanted, 0.0), backlash_arcsec)
    return play, wanted - play


def _direction(hour_angle_deg: float, dec_deg: float) -> Floats:
    h, dec = np.radians(hour_angle_deg), np.radians(dec_deg)
    return np.array([np.cos(dec) * np.cos(h), np.cos(dec) * np.sin(h), np.sin(dec)])


def _angles(v: Floats) -> tuple[float, float]:
    return float(np.degrees(np.arctan2(v[1], v[0]))), float(
        np.degrees(np.arctan2(v[2], np.hypot(v[0], v[1])))
    )


def _north(hour_angle_deg: float, dec_deg: float) -> Floats:
    return _direction(hour_angle_deg, dec_deg + 90.0)


def _position_angle_deg(towards: Floats, hour_angle_deg: float, dec_deg: float) -> float:
    h = np.radians(hour_angle_deg)
    east = np.array([np.sin(h), -np.cos(h), 0.0])
    return float(np.degrees(np.arctan2(towards @ east, towards @ _north(hour_angle_deg, dec_deg))))
