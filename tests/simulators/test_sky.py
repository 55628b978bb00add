from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.coordinates import icrs_to_jnow, jnow_to_icrs, separation_deg, tangent_plane
from simulators.night import Night, Pose
from simulators.optics import Telescope
from simulators.sky import to_pixels


@given(ra=st.floats(0, 360), dec=st.floats(-85, 85), xi=st.floats(-2e3, 2e3), eta=st.floats(-2e3, 2e3))
def test_the_tangent_plane_keeps_angles_from_its_centre(ra: float, dec: float, xi: float, eta: float) -> None:
    step = 1e-3
    east, north = tangent_plane(
        np.array([ra + step / np.cos(np.radians(dec)), ra]), np.array([dec, dec + step]), ra, dec
    )
    assert east == pytest.approx([3600 * step, 0.0], abs=1e-3)
    assert north == pytest.approx([0.0, 3600 * step], abs=1e-3)
    pose = Pose(0.0, 0.0, 0.0)
    x, y = to_pixels(np.array([xi]), np.array([eta]), pose, 2.0, 101, 51)
    assert (x[0], y[0]) == pytest.approx((50 - xi / 2, 25 - eta / 2))


def test_a_pose_shifts_and_turns_about_the_centre() -> None:
    xi, eta = np.array([0.0, -200.0]), np.array([0.0, 0.0])
    x, y = to_pixels(xi, eta, Pose(3.0, -4.0, 90.0), 2.0, 101, 51)
    assert x == pytest.approx([53.0, 53.0])
    assert y == pytest.approx([21.0, 121.0])


@given(ra=st.floats(0, 359.9), dec=st.floats(-89, 89), year=st.integers(2020, 2050))
def test_jnow_and_icrs_are_each_others_inverse(ra: float, dec: float, year: int) -> None:
    utc = datetime(year, 5, 17, 3, 4, 5, tzinfo=UTC)
    there = icrs_to_jnow(ra, dec, utc)
    assert separation_deg(*jnow_to_icrs(*there, utc), ra, dec) * 3600 < 0.001


def test_precession_moves_a_star_by_what_the_almanac_says() -> None:
    """At the vernal equinox, 25 years of general precession in RA and Dec: m = 46.1″, n = 20.04″ a year."""
    ra, dec = icrs_to_jnow(0.0, 0.0, datetime(2025, 1, 1, tzinfo=UTC))
    # Nutation and aberration, together under 40″, come on top.
    assert ra * 3600 == pytest.approx(25 * 46.12, abs=40)
    assert dec * 3600 == pytest.approx(25 * 20.04, abs=40)


def test_a_night_drifts_slowly_turns_slowly_and_breathes() -> None:
    for seed in range(5):
        night = Night(seed)
        assert night.pose(0.0) == Pose(0.0, 0.0, 0.0)
        poses = [night.pose(60.0 * minute) for minute in range(480)]
        dx, dy = np.array([p.dx_px for p in poses]), np.array([p.dy_px for p in poses])
        steps = np.hypot(np.diff(dx), np.diff(dy))
        assert steps.max() < 1.6
        assert 0.2 < np.median(steps) < 1.0
        assert 8 < max(np.ptp(dx), np.ptp(dy)) < 30
        assert 0.3 < np.ptp([p.rotation_deg for p in poses]) < 1.0
        fwhm = [Telescope().fwhm_px(3.76, night.seeing(10.0 * i)) for i in range(3000)]
        assert 2.25 < min(fwhm) < 2.6
        assert 3.2 < max(fwhm) < 3.55
