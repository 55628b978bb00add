"""The mount's properties, as libindi's ``INDI::Telescope`` and ``GuiderInterface`` define them."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

from simulators.drivers.base import MAIN, OPTIONS, SITE, Number, numbers, switches, texts
from simulators.mount_model import MountErrors
from simulators.optics import Telescope

MOTION, GUIDE, SIMULATION = "Motion Control", "Guide", "Simulation"

_ERROR_LIMITS = {
    "periodic_arcsec": ("Periodic error (arcsec, half of peak to peak)", 0, 300),
    "worm_period_s": ("Worm period (s)", 10, 10_000),
    "polar_azimuth_arcmin": ("Polar axis east of the pole (arcmin)", -600, 600),
    "polar_altitude_arcmin": ("Polar axis above the pole (arcmin)", -600, 600),
    "backlash_arcsec": ("Declination backlash (arcsec)", 0, 600),
    "settle_arcsec": ("Off the goal at a slew's end (arcsec)", 0, 600),
    "settle_s": ("Settling's time constant (s)", 0.1, 60),
}


class MountProperties:
    """One attribute per property; ``all`` in the order in which they are defined."""

    def __init__(
        self, telescope: Telescope, ra_hours: float, utc: datetime, errors: MountErrors, *, altaz: bool
    ) -> None:
        self.on_set = switches(
            "ON_COORD_SET", "On Set", MAIN, {"TRACK": "Track", "SLEW": "Slew", "SYNC": "Sync"}, "TRACK"
        )
        self.place = numbers("EQUATORIAL_EOD_COORD", "Eq. Coordinates", MAIN, _coordinates(ra_hours, 90.0))
        self.target = numbers("TARGET_EOD_COORD", "Slew Target", MOTION, _coordinates(0.0, 0.0), perm="ro")
        self.abort = switches(
            "TELESCOPE_ABORT_MOTION", "Abort Motion", MAIN, {"ABORT": "Abort"}, None, rule="AtMostOne"
        )
        self.track_state = switches(
            "TELESCOPE_TRACK_STATE", "Tracking", MAIN, {"TRACK_ON": "On", "TRACK_OFF": "Off"}, "TRACK_OFF"
        )
        self.park = switches(
            "TELESCOPE_PARK", "Parking", MAIN, {"PARK": "Park(ed)", "UNPARK": "UnPark(ed)"}, "UNPARK"
        )
        self.pier_side = switches(
            "TELESCOPE_PIER_SIDE",
            "Pier Side",
            MAIN,
            {"PIER_WEST": "West (pointing east)", "PIER_EAST": "East (pointing west)"},
            "PIER_WEST",
            perm="ro",
            rule="AtMostOne",
        )
        self.info = numbers("TELESCOPE_INFO", "Scope Properties", OPTIONS, _optics(telescope), state="Ok")
        self.site = numbers(
            "GEOGRAPHIC_COORD",
            "Scope Location",
            SITE,
            [
                Number("LAT", "Lat (dd:mm:ss.s)", "%012.8m", -90, 90, 0, 47.7),
                Number("LONG", "Lon (dd:mm:ss.s)", "%012.8m", 0, 360, 0, 11.2),
                Number("ELEV", "Elevation (m)", "%g", -200, 10000, 0, 700),
            ],
            state="Ok",
        )
        self.utc = texts(
            "TIME_UTC",
            "UTC",
            SITE,
            {
                "UTC": ("UTC Time", utc.replace(tzinfo=None).isoformat(timespec="seconds")),
                "OFFSET": ("UTC Offset", "0"),
            },
        )
        self.guide_ns = _pulse(
            "TELESCOPE_TIMED_GUIDE_NS", "Guide N/S", TIMED_GUIDE_N="North", TIMED_GUIDE_S="South"
        )
        self.guide_we = _pulse(
            "TELESCOPE_TIMED_GUIDE_WE", "Guide E/W", TIMED_GUIDE_W="West", TIMED_GUIDE_E="East"
        )
        self.guide_rate = numbers(
            "GUIDE_RATE",
            "Guiding Rate",
            GUIDE,
            [
                Number("GUIDE_RATE_WE", "W/E Rate", "%.1f", 0.1, 1, 0.1, 0.5),
                Number("GUIDE_RATE_NS", "N/S Rate", "%.1f", 0.1, 1, 0.1, 0.5),
            ],
        )
        self.limits = numbers(
            "MOUNT_LIMITS",
            "Tracking Limits",
            MOTION,
            [
                Number("MIN_ALTITUDE", "Lowest altitude (deg)", "%g", -90, 80, 0, -90),
                Number("PAST_MERIDIAN", "Past the meridian (deg)", "%g", 0, 180, 0, 180),
            ],
        )
        self.errors = numbers(
            "MOUNT_ERRORS",
            "Errors",
            SIMULATION,
            [
                Number(f.name.upper(), *_labelled(f.name), 0, getattr(errors, f.name))
                for f in fields(MountErrors)
            ],
        )
        # For the simulated camera's ears only: where the telescope really looks, which no real mount knows.
        self.aim = numbers(
            "MOUNT_AIM",
            "True aim",
            SIMULATION,
            [
                Number(name, name, "%.6f", -1e12, 1e12, 0, 0)
                for name in ("AT_S", "HOUR_ANGLE_DEG", "DEC_DEG", "TRACKING", "ALTAZ", "FLIPPED", "SLEWED_S")
            ],
            perm="ro",
        )
        if altaz:  # such a mount has no pier to change sides of
            del self.pier_side

    def all(self) -> list[Any]:
        """Every vector."""
        return list(vars(self).values())


def _labelled(name: str) -> tuple[str, str, float, float]:
    label, low, high = _ERROR_LIMITS[name]
    return label, "%g", low, high


def _pulse(name: str, label: str, **members: str) -> Any:
    return numbers(
        name,
        label,
        GUIDE,
        [Number(n, f"{text} (ms)", "%.f", 0, 60_000, 100, 0) for n, text in members.items()],
    )


def _coordinates(ra_hours: float, dec_deg: float) -> list[Number]:
    return [
        Number("RA", "RA (hh:mm:ss)", "%010.6m", 0, 24, 0, ra_hours),
        Number("DEC", "DEC (dd:mm:ss)", "%010.6m", -90, 90, 0, dec_deg),
    ]


def _optics(telescope: Telescope) -> list[Number]:
    return [
        Number("TELESCOPE_APERTURE", "Aperture (mm)", "%g", 10, 5000, 0, telescope.aperture_mm),
        Number("TELESCOPE_FOCAL_LENGTH", "Focal Length (mm)", "%g", 10, 10000, 0, telescope.focal_mm),
        Number("GUIDER_APERTURE", "Guider Aperture (mm)", "%g", 10, 5000, 0, 30),
        Number("GUIDER_FOCAL_LENGTH", "Guider Focal Length (mm)", "%g", 10, 10000, 0, 120),
    ]
