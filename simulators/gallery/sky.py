"""The sky's own: showpieces, the filters' views of them, and what stands before them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from simulators.camera import Camera
from simulators.gallery.page import Picture, in_row, linear, middle, night
from simulators.gallery.shots import FIELDS, SEED, SMALL, balanced, take
from simulators.heavens.airglow import Glow
from simulators.heavens.atmosphere import Atmosphere, Conditions
from simulators.heavens.passers import Trail, draw_trail
from simulators.optics import Telescope

FILTERS = ("L", "R", "G", "B", "Ha", "OIII", "SII")
EVENING = datetime(2026, 1, 15, 21, 0, tzinfo=UTC)


def pictures() -> Iterator[Picture]:
    """Showpieces in colour and by filter, then the air."""
    for name in FIELDS:
        camera = Camera(SEED, profile=SMALL)
        red, green, blue = (take(camera, field=name, filter_name=f, exposure_s=300.0) for f in "RGB")
        yield Picture(name, "R, G and B of 300 s each.", night(balanced(red, green, blue)))
    camera = Camera(SEED, profile=SMALL)
    for name in ("M42", "M27"):
        parts = [
            middle(take(camera, field=name, filter_name=f, exposure_s=300.0), 154, 200) for f in FILTERS[1:]
        ]
        yield Picture(
            f"{name} by filter",
            "R, G, B, Hα, OIII, SII; each in its own stretch.",
            in_row(*(night(part, 0.2) for part in parts)),
        )
    yield from _moonlight()
    yield _twilight()
    yield _clouds()
    yield _trails()


def _moonlight() -> Iterator[Picture]:
    for title, conditions, started in (
        ("A dark night", Conditions(moon=False, glow=Glow(town_strength=0.0)), EVENING),
        (
            "A town's dome (ten times a real one's)",
            Conditions(moon=False, glow=Glow(town_strength=8.0)),
            EVENING,
        ),
        ("Moonlight", Conditions(glow=Glow(town_strength=0.0)), datetime(2026, 1, 30, 21, 0, tzinfo=UTC)),
    ):
        camera = Camera(SEED, Telescope(focal_mm=25.0), SMALL, conditions)
        frame = take(camera, field="M44", exposure_s=1.0, started=started).astype(np.float32)
        level = float(np.median(frame))
        yield Picture(
            title,
            f"A 25 mm lens, 1 s in L; sky {level:.0f} ADU, ±{100 * _slope(frame):.1f} % from side to side.",
            linear(frame, 0.85 * level, 1.15 * level),
        )


def _slope(frame: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    columns = np.median(frame, axis=0)
    return float(abs(columns[-100:].mean() - columns[:100].mean()) / columns.mean() / 2)


def _twilight() -> Picture:
    camera = Camera(SEED, profile=SMALL, conditions=Conditions(moon=False))
    air = Atmosphere(SEED, Conditions())
    started = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
    frames = []
    for goal_deg in (-2.0, -4.0, -6.0, -8.0, -10.0):
        while air.overhead(*FIELDS["M31"], started).sun_altitude_deg > goal_deg:
            started += timedelta(minutes=1)
        frames.append(middle(take(camera, field="M31", exposure_s=0.2, started=started), 180, 240))
    return Picture(
        "Twilight",
        "0.2 s in L with the sun 2° to 10° below the horizon, in one stretch.",
        in_row(
            *(linear(np.log(frame.astype(np.float32)), np.log(450.0), np.log(65_535.0)) for frame in frames)
        ),
    )


def _clouds() -> Picture:
    """The whole sky, as a fisheye sees it."""
    parts = []
    y, x = np.mgrid[-1:1:200j, -1:1:200j]
    altitude, azimuth = 90.0 * (1.0 - np.hypot(x, y)), np.degrees(np.arctan2(-x, -y)) % 360.0
    for minutes in (0, 20, 40):
        clouds = Atmosphere(SEED, Conditions(cloud_cover=0.5)).clouds
        through = clouds.transmission(altitude, azimuth, 60.0 * minutes)
        parts.append(linear(np.where(altitude > 0, 1.0 - through, 0.0), 0.0, 1.0))
    return Picture("Clouds", "The whole sky (cover 0.5) at 0, 20 and 40 minutes; they drift.", in_row(*parts))


def _trails() -> Picture:
    camera = Camera(SEED, profile=SMALL, conditions=Conditions(moon=False))
    frame = take(camera, field="M44", exposure_s=60.0).astype(np.float32)
    draw_trail(frame, Trail(x_px=300.0, y_px=250.0, angle_deg=25.0, e_per_px=2500.0, fwhm_px=3.0))
    beacon = Trail(x_px=600.0, y_px=300.0, angle_deg=100.0, e_per_px=8000.0, fwhm_px=7.0, blink_px=60.0)
    draw_trail(frame, beacon)
    return Picture("Passers-by", "A satellite, and an aircraft's beacon.", night(frame))
