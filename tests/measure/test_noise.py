from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from measure.background import measure_background
from measure.noise import background_noise
from tests.livestack.sky import Sky, motion


@given(seed=st.integers(0, 1000), sigma=st.floats(0.01, 1e4), level=st.floats(-1e4, 1e4))
@settings(max_examples=20, deadline=None)
def test_white_noise_is_measured_whatever_its_level(seed: int, sigma: float, level: float) -> None:
    frame = np.random.default_rng(seed).normal(level, sigma, (300, 300)).astype(np.float32)
    assert background_noise(frame) == pytest.approx(sigma, rel=0.04)


def test_stars_and_slopes_of_the_sky_do_not_count() -> None:
    sky = Sky(n_stars=300)
    frame = sky.expose(motion(), np.random.default_rng(1), noise_adu=12.0)
    frame += np.linspace(0, 500, frame.shape[1])
    assert background_noise(frame.astype(np.float32)) == pytest.approx(12.0, rel=0.06)


def test_only_valid_pixels_count() -> None:
    rng = np.random.default_rng(2)
    frame = rng.normal(0, 5, (200, 300)).astype(np.float32)
    frame[:, 150:] *= 10
    frame[:20] = np.nan
    valid = np.zeros(frame.shape, dtype=bool)
    valid[:, :150] = True
    assert background_noise(frame, valid) == pytest.approx(5.0, rel=0.05)


def test_of_hardly_any_pixels_nothing_is_claimed() -> None:
    assert np.isnan(background_noise(np.full((50, 50), np.nan, dtype=np.float32)))


def test_background_follows_the_sky_and_not_the_stars() -> None:
    sky = Sky(n_stars=80)
    slope = np.linspace(0, 30, 480)
    frame = sky.expose(motion(), np.random.default_rng(3), sky_adu=400.0, noise_adu=5.0) + slope
    background = measure_background(frame.astype(np.float32))
    assert np.abs(background.level_adu - (400 + slope)).mean() < 2
    assert background.rms_adu == pytest.approx(5.0, rel=0.15)
