from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livestack.resample import resample
from measure.stars import detect, typical_fwhm_px
from tests.livestack.sky import draw_stars, motion

SHAPE = (200, 240)
POSITIONS = (
    np.stack(np.meshgrid(np.arange(30, 215, 30), np.arange(30, 175, 30)), -1).reshape(-1, 2).astype(float)
    + 0.3
)


def frame(fwhm_px: float = 2.6, flux: float = 20_000.0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    pixels = np.random.default_rng(0).normal(100.0, 1.0, SHAPE)
    draw_stars(pixels, POSITIONS, np.full(len(POSITIONS), flux), fwhm_px)
    return pixels.astype(np.float32)


@given(dx=st.floats(-6, 6), dy=st.floats(-6, 6))
@settings(max_examples=12, deadline=None)
@pytest.mark.parametrize(("channels", "fwhm_px"), [(1, 2.4), (3, 3.2)])
def test_stars_land_where_the_matrix_says_with_their_flux_and_width(
    channels: int, fwhm_px: float, dx: float, dy: float
) -> None:
    source = frame(fwhm_px)
    pixels = source if channels == 1 else np.dstack([source] * 3)
    done = resample(pixels, motion(dx, dy, 0.0, SHAPE), SHAPE, noise_adu=1.0).pixels
    before, after = detect(source), detect(done if channels == 1 else np.ascontiguousarray(done[..., 1]))
    order = [int(np.argmin(np.hypot(*(after.xy - p).T))) for p in before.xy + np.array([dx, dy])]
    # OpenCV's grid of 1/32 px puts a pure shift at most 1/64 px off along each axis; bicubic adds as much.
    assert np.abs(np.median(after.xy[order] - before.xy, axis=0) - (dx, dy)).max() < (
        0.02 if channels == 1 else 0.04
    )
    assert np.median(after.flux[order] / before.flux) == pytest.approx(1.0, abs=0.005)
    assert typical_fwhm_px(after) < 1.03 * typical_fwhm_px(before)


def test_only_what_the_sub_has_seen_is_covered() -> None:
    done = resample(frame(), motion(20.0, -10.0, 0.0, SHAPE), SHAPE, noise_adu=1.0)
    expected = np.zeros(SHAPE, dtype=bool)
    expected[:190, 20:] = True
    assert (done.covered == expected).all()


def test_holes_are_not_covered_and_do_not_spread_into_what_is() -> None:
    source = frame()
    whole = resample(source, motion(0.5, 0.5, 0.0, SHAPE), SHAPE, noise_adu=1.0)
    source[90:110, 100:104] = np.nan
    done = resample(source, motion(0.5, 0.5, 0.0, SHAPE), SHAPE, noise_adu=1.0)
    assert not done.covered[91:110, 101:104].any()
    assert np.isfinite(done.pixels).all()
    assert 80 < (whole.covered & ~done.covered).sum() < 200


def test_nothing_dips_below_the_sky_beside_a_saturated_star() -> None:
    source = frame()
    source[95:106, 115:126] = 60_000
    done = resample(source, motion(0.5, 0.5, 0.0, SHAPE), SHAPE, noise_adu=1.0)
    assert done.pixels[80:120, 100:140].min() > source.min() - 4


def test_staying_where_it_is_changes_nothing() -> None:
    source = frame()
    done = resample(source, np.eye(3), SHAPE, noise_adu=1.0)
    assert (done.pixels == source).all()
    assert done.covered.all()
