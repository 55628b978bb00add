from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from measure.detection.picture import detect
from measure.stars import Stars, typical_fwhm_px
from tests.livestack.sky import draw_stars

SHAPE = (300, 400)
NOISE = 10.0


def field(
    seed: int, *, n: int = 60, flux: float = 20_000.0, fwhm_px: float = 3.0
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """A frame of equally bright stars that keep their distance, and where they are."""
    rng = np.random.default_rng(seed)
    cells = np.stack(np.meshgrid(np.arange(30, 380, 35), np.arange(30, 280, 35)), axis=-1).reshape(-1, 2)
    positions = rng.permutation(cells)[:n] + rng.uniform(-5, 5, (min(n, len(cells)), 2))
    frame = 500.0 + rng.normal(0, NOISE, SHAPE)
    draw_stars(frame, positions, np.full(len(positions), flux), fwhm_px)
    return frame.astype(np.float32), positions


def errors_px(stars: Stars, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    distance, _ = cKDTree(stars.xy).query(positions)
    return np.asarray(distance)


@given(seed=st.integers(0, 1000), fwhm_px=st.floats(2.0, 6.0))
@settings(max_examples=10, deadline=None)
def test_bright_stars_are_found_where_they_are_and_as_wide_as_they_are(seed: int, fwhm_px: float) -> None:
    frame, positions = field(seed, flux=50_000.0, fwhm_px=fwhm_px)
    stars = detect(frame).stars
    assert np.sqrt(np.mean(errors_px(stars, positions) ** 2)) < 0.05
    assert typical_fwhm_px(stars) == pytest.approx(fwhm_px, rel=0.03)


def test_the_centre_of_the_first_pixel_is_the_origin() -> None:
    frame = np.random.default_rng(0).normal(100, 1, SHAPE)
    draw_stars(frame, np.array([[40.0, 25.0]]), np.array([5000.0]), 3.0)
    stars = detect(frame.astype(np.float32)).stars
    assert (stars.x[0], stars.y[0]) == pytest.approx((40.0, 25.0), abs=0.02)


def test_flux_is_that_of_the_star_and_brightest_come_first() -> None:
    frame = np.random.default_rng(0).normal(100, 2, SHAPE)
    draw_stars(
        frame, np.array([[60.0, 60.0], [200.0, 100.0], [300.0, 200.0]]), np.array([2e4, 8e4, 4e4]), 3.0
    )
    stars = detect(frame.astype(np.float32)).stars
    # 1.5 FWHM holds all but 2⁻⁹ of a Gaussian.
    assert stars.flux == pytest.approx([8e4, 4e4, 2e4], rel=0.02)


def test_width_does_not_depend_on_the_signal_to_noise_ratio() -> None:
    widths = [typical_fwhm_px(detect(field(3, flux=flux)[0]).stars) for flux in (4000.0, 400_000.0)]
    assert widths[0] == pytest.approx(widths[1], rel=0.03)


def test_hot_pixels_and_trails_are_no_stars() -> None:
    frame, positions = field(5, n=40)
    rng = np.random.default_rng(1)
    frame[rng.integers(0, 300, 300), rng.integers(0, 400, 300)] += 8000
    frame[150:152, 50:350] += 300
    stars = detect(frame).stars
    assert (errors_px(stars, positions) < 0.5).mean() > 0.85
    assert len(stars) < len(positions) + 8


def test_pixels_without_data_take_no_part() -> None:
    frame, positions = field(7)
    frame[:, :150] = np.nan
    stars = detect(frame).stars
    assert stars.x.min() > 148
    seen = positions[positions[:, 0] > 160]
    assert np.median(errors_px(stars, seen)) < 0.05


def test_a_star_with_a_saturated_core_is_marked() -> None:
    frame, positions = field(9, n=20)
    light = frame.astype(np.float64)
    draw_stars(light, positions[:1], np.array([3e6]), 3.0)
    stars = detect(np.minimum(light, 60_000).astype(np.float32), saturation_adu=60_000).stars
    nearest = int(np.argmin(np.hypot(*(stars.xy - positions[0]).T)))
    assert np.flatnonzero(stars.saturated).tolist() == [nearest]


@pytest.mark.parametrize("frame", [np.zeros(SHAPE), np.full(SHAPE, np.nan)], ids=["constant", "no data"])
def test_frames_without_anything_have_no_stars(frame: NDArray[np.float64]) -> None:
    stars = detect(frame.astype(np.float32)).stars
    assert len(stars) == 0
    assert np.isnan(typical_fwhm_px(stars))


def test_plain_noise_has_hardly_any_stars() -> None:
    frame = np.random.default_rng(0).normal(100, 10, SHAPE).astype(np.float32)
    assert len(detect(frame).stars) <= 2
