from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.coordinates import icrs_to_jnow, jnow_to_icrs, separation_deg, tangent_plane
from simulators.night import Night, Pose
from simulators.optics import flat_field
from simulators.sky import render_stars, to_pixels


@given(
    x=st.floats(100.0, 200.0),
    y=st.floats(100.0, 150.0),
    flux_e=st.floats(10.0, 1e7),
    fwhm_px=st.floats(2.2, 4.0),
)
def test_a_rendered_star_keeps_its_flux_and_its_place(
    x: float, y: float, flux_e: float, fwhm_px: float
) -> None:
    image = render_stars(np.array([x]), np.array([y]), np.array([flux_e]), fwhm_px, 300, 250)
    assert image.sum() == pytest.approx(flux_e, rel=1e-9)
    # A window that is symmetric about the star would need subpixel edges: fit within half a pixel's weight.
    rows, cols = np.mgrid[:250, :300]
    core = np.hypot(cols - round(x), rows - round(y)) < 5
    weight = image[core] ** 2
    assert (cols[core] * weight).sum() / weight.sum() == pytest.approx(x, abs=0.02)
    assert (rows[core] * weight).sum() / weight.sum() == pytest.approx(y, abs=0.02)


def test_a_rendered_star_has_the_width_it_was_given() -> None:
    image = render_stars(np.array([50.0]), np.array([50.0]), np.array([1e5]), 3.0, 101, 101)
    profile = image[50, 50:] / image[50, 50]
    half = np.interp(-0.5, -profile, np.arange(len(profile)))
    # The pixel's own width adds to the Moffat's: it blurs a little.
    assert 3.0 <= 2 * half <= 3.25


def test_a_star_over_the_edge_loses_only_what_falls_outside() -> None:
    image = render_stars(np.array([-0.5]), np.array([50.0]), np.array([1000.0]), 3.0, 100, 100)
    assert image.sum() == pytest.approx(500.0, rel=0.005)


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
        fwhm = [night.fwhm_px(10.0 * i) for i in range(3000)]
        assert 2.25 < min(fwhm) < 2.6
        assert 3.2 < max(fwhm) < 3.55


def test_filters_share_the_vignetting_and_not_their_dust() -> None:
    luminance, red = (flat_field(300, 200, 0.22, name, 1) for name in ("L", "R"))
    assert luminance.max() <= 1.0
    corners = luminance[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.median(corners) == pytest.approx(0.78, abs=0.03)
    assert not np.array_equal(luminance, red)
