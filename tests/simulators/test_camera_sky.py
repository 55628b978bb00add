"""The sky as the camera shows it: extinction, twilight and showpieces measured back from frames."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from simulators.camera import Camera, Shot, Truth
from simulators.heavens.airglow import extinction_mag
from simulators.heavens.atmosphere import Conditions
from simulators.sensor import Readout, SensorProfile

SMALL = replace(SensorProfile(), width=300, height=200, cosmic_rays_per_s=0.0)
OFFSET = 30.0


def shoot(
    camera: Camera,
    ra: float,
    dec: float,
    utc: datetime,
    filter_name: str,
    exposure_s: float,
    angle: float = 0.0,
) -> tuple[NDArray[np.float64], Truth]:
    frame, truth = camera.expose(
        Shot(
            number=1,
            kind="LIGHT",
            exposure_s=exposure_s,
            started=utc,
            started_elapsed_s=0.0,
            temperature_c=-20.0,
            readout=Readout(
                gain=0.0, offset=OFFSET, x=0, y=0, width=camera.profile.width, height=camera.profile.height
            ),
            filter_name=filter_name,
            ra_deg=ra,
            dec_deg=dec,
            camera_angle_deg=angle,
        )
    )
    return frame.astype(np.float64), truth


@pytest.mark.parametrize("filter_name", ["B", "R"])
def test_extinction_is_measured_back_from_a_star_that_sets(filter_name: str) -> None:
    """Aperture photometry of one of Praesepe's stars: Bouguer's line within 5 %."""
    camera = Camera(1, profile=SMALL, conditions=Conditions(moon=False, twilight=False))
    y, x = np.indices((200, 300))
    r = np.hypot(x - 149.5, y - 99.5)
    masses, magnitudes = [], []
    for half_hours in range(0, 16, 2):
        utc = datetime(2026, 2, 14, 21, 0, tzinfo=UTC) + timedelta(minutes=30 * half_hours)
        frame, truth = shoot(camera, 130.1124, 19.5448, utc, filter_name, 5.0)
        assert truth.overhead is not None
        sky = np.median(frame[(r > 20) & (r < 35)])
        masses.append(truth.overhead.airmass)
        magnitudes.append(-2.5 * np.log10((frame[r < 10] - sky).sum()))
        if truth.overhead.airmass > 4:
            break
    assert max(masses) > 2.0
    assert np.polyfit(masses, magnitudes, 1)[0] == pytest.approx(extinction_mag(filter_name), rel=0.05)


def test_dusk_fades_on_frames_as_the_sun_sinks() -> None:
    """Sky flats towards the zenith: within the 5° to 10° of depression, 1.2 to 1.5 mag a degree."""
    camera = Camera(1, profile=SMALL, conditions=Conditions(moon=False))
    suns, magnitudes = [], []
    for minutes in range(0, 30, 5):
        utc = datetime(2026, 2, 14, 17, 10, tzinfo=UTC) + timedelta(minutes=minutes)
        frame, truth = shoot(camera, 41.0, 47.0, utc, "L", 0.5)
        assert truth.overhead is not None
        assert truth.overhead.altitude_deg > 75
        suns.append(truth.overhead.sun_altitude_deg)
        dark, _ = shoot(Camera(1, profile=SMALL), 41.0, 47.0, utc, "L", 0.0)
        magnitudes.append(-2.5 * np.log10(np.median(frame) - np.median(dark)))
    used = (np.array(suns) < -4.5) & (np.array(suns) > -9.5)
    assert used.sum() >= 4
    slope = np.polyfit(np.array(suns)[used], np.array(magnitudes)[used], 1)[0]
    assert -1.45 < slope < -1.05


def test_a_mosaic_shows_a_nebula_in_its_colours() -> None:
    """M 57's ring: the green pixels have its [O III], the red ones its Hα, and the blue ones the least."""
    camera = Camera(1, profile=replace(SMALL, bayer="RGGB"))
    frame, _ = shoot(camera, 283.4, 33.033, datetime(2026, 6, 1, tzinfo=UTC), "L", 60.0)
    around = np.median(frame[:60].reshape(30, 2, 150, 2), axis=(0, 2))
    ring = frame[80:120, 130:170].reshape(20, 2, 20, 2).mean(axis=(0, 2)) - around
    red, green, blue = ring[0, 0], ring[0, 1], ring[1, 1]
    assert green == pytest.approx(ring[1, 0], rel=0.1)
    assert green > blue > 0
    assert red > 0.3 * green
