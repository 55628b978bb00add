"""Mapped defects vanish, stars do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from livestack.calibrate import calibrate
from livestack.cosmetic import Repairs, plan_repairs
from livestack.errors import MismatchError
from livestack.masters import Masters, prepare
from livestack.survey import counts, survey_frame
from tests.livestack.sky import READ_NOISE_ADU, draw_stars

SHAPE = (400, 400)
PITCH = 19
FLUX = 20_000.0


def mend_mapped(pixels: NDArray[np.float32], repairs: Repairs) -> None:
    """Put in what the survey of a frame says of its mapped pixels, and of no others."""
    masters = Masters(defects=repairs)
    patches = survey_frame(counts(pixels), masters, bayer_pattern=None, search=False).patches
    pixels.reshape(-1)[patches.places] = patches.values


def star_field(fwhm_px: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A frame without noise and the (N, 2) positions of its stars, each at its own place in its pixel."""
    rng = np.random.default_rng(7)
    grid = np.stack(np.meshgrid(*[np.arange(10, 390, PITCH)] * 2), axis=-1).reshape(-1, 2)
    positions = grid + rng.uniform(-0.5, 0.5, grid.shape)
    frame = np.full(SHAPE, 400.0)
    draw_stars(frame, positions, np.full(len(positions), FLUX), fwhm_px)
    return frame, positions


def photometry(
    frame: NDArray[np.floating], positions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fluxes and (N, 2) centroids in windows of 15 pixels, the background being 400."""
    windows = [
        frame[y - 7 : y + 8, x - 7 : x + 8].astype(np.float64) - 400
        for x, y in np.rint(positions).astype(int)
    ]
    steps = np.arange(-7, 8)
    flux = np.array([w.sum() for w in windows])
    x = np.array([(w.sum(axis=0) * steps).sum() for w in windows]) / flux
    y = np.array([(w.sum(axis=1) * steps).sum() for w in windows]) / flux
    return flux, np.column_stack((x, y)) + np.rint(positions)


@pytest.mark.parametrize("bayer", [None, "RGGB"])
@pytest.mark.parametrize("fwhm_px", [1.5, 2.0, 3.0, 4.0, 6.0])
def test_stars_keep_flux_and_place_where_defects_lie_among_them(fwhm_px: float, bayer: str | None) -> None:
    """Every window of 15×15 holds about two mapped pixels; the noise of its flux is 15 read noises."""
    truth, positions = star_field(fwhm_px)
    rng = np.random.default_rng(1)
    clean = (truth + rng.normal(0, READ_NOISE_ADU, SHAPE)).astype(np.float32)
    bad = rng.random(SHAPE) < 0.01
    mended = clean.copy()
    mended[bad] = 60_000
    mend_mapped(mended, plan_repairs(bad, bayer))
    assert (mended[~bad] == clean[~bad]).all()
    before, after = photometry(clean, positions), photometry(mended, positions)
    noise = 15 * READ_NOISE_ADU
    assert np.median(np.abs(after[0] - before[0])) < 0.25 * noise
    assert abs(np.mean(after[0] / before[0]) - 1) < (0.01 if fwhm_px < 2 else 0.004)
    assert np.median(np.abs(after[1] - before[1])) < 0.02


@pytest.mark.parametrize(
    ("fwhm_px", "lost", "lost_bayer"),
    [(1.5, 0.21, 0.34), (2, 0.08, 0.19), (3, 0.02, 0.06), (6, 0.002, 0.005)],
)
def test_a_mapped_peak_comes_back_better_than_by_a_median(
    fwhm_px: float, lost: float, lost_bayer: float
) -> None:
    """The worst place for a defect is a star's own peak; what is lost there is a share of the star's flux."""
    truth, positions = star_field(fwhm_px)
    x, y = np.rint(positions).astype(int).T
    bad = np.zeros(SHAPE, np.uint8)
    bad[y, x] = 4
    for bayer, most in ((None, lost), ("GBRG", lost_bayer)):
        mended = truth.astype(np.float32)
        mended[y, x] = np.nan
        mend_mapped(mended, plan_repairs(bad, bayer))
        short = truth[y, x] - mended[y, x]
        assert short.mean() < most * FLUX
        step = 2 if bayer else 1
        ring = [(i, j) for i in (-step, 0, step) for j in (-step, 0, step) if (i, j) != (0, 0)]
        median = np.median([truth[y + i, x + j] for i, j in ring], axis=0)
        assert short.mean() < (truth[y, x] - median).mean()


@pytest.mark.parametrize("bayer", [None, "RGGB", "GRBG"])
def test_clusters_columns_and_corners_vanish(bayer: str | None) -> None:
    """A sloping sky is restored to rounding: each colour its own, whatever the shape of the gap."""
    y, x = np.mgrid[:80, :90].astype(np.float32)
    sky = 300 + 0.7 * x - 0.4 * y
    if bayer:
        sky += np.tile([[0, 500], [500, 1500]] if bayer == "RGGB" else [[500, 0], [1500, 500]], (40, 45))
    bad = np.zeros(sky.shape, np.uint8)
    bad[10:13, 10:13] = bad[:, 40] = bad[:, 60:62] = bad[50] = bad[0, 0] = bad[79, 89] = bad[-3:, 20] = 1
    mended = sky.astype(np.float32)
    mended[bad > 0] = 60_000
    mend_mapped(mended, plan_repairs(bad, bayer))
    assert mended == pytest.approx(sky, abs=2)


def test_the_middle_of_a_large_gap_has_no_data() -> None:
    bad = np.zeros((60, 60), bool)
    bad[20:40, 20:40] = True
    mended = np.full(bad.shape, 500, np.float32)
    mend_mapped(mended, plan_repairs(bad, None))
    assert np.isnan(mended[24:36, 24:36]).all()
    assert (np.abs(mended[~np.isnan(mended)] - 500) < 0.1).all()
    assert np.isfinite(mended[20, 20:40]).all()


def test_neighbours_without_data_are_left_out() -> None:
    bad = np.zeros((40, 40), bool)
    bad[10, 10] = bad[30, 30] = True
    mended = np.full(bad.shape, 500, np.float32)
    mended[10, 11] = np.nan
    mended[27:34, 27:34] = np.nan
    mend_mapped(mended, plan_repairs(bad, None))
    assert mended[10, 10] == 500
    assert np.isnan(mended[30, 30])
    assert np.isnan(mended[10, 11])


@given(bad=arrays(np.bool_, (16, 18)), bayer=st.sampled_from([None, "RGGB", "BGGR"]))
@settings(max_examples=60, deadline=None)
def test_any_map_keeps_a_plain_sky_plain_and_good_pixels_as_they_are(
    bad: NDArray[np.bool_], bayer: str | None
) -> None:
    sky = np.full(bad.shape, 700, np.float32)
    spoilt = np.where(bad, np.float32(np.inf), sky)
    mend_mapped(spoilt, plan_repairs(bad, bayer))
    assert (spoilt[~bad] == 700).all()
    known = spoilt[np.isfinite(spoilt)]
    assert known == pytest.approx(700, rel=1e-4)
    assert np.isfinite(spoilt[bad]).sum() + np.isnan(spoilt[bad]).sum() == bad.sum()


@pytest.mark.parametrize("fwhm_px", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("bayer", [None, "RGGB"])
def test_with_a_map_the_search_never_touches_an_undersampled_star(fwhm_px: float, bayer: str | None) -> None:
    truth, positions = star_field(fwhm_px)
    rng = np.random.default_rng(2)
    frame = (truth + rng.normal(0, READ_NOISE_ADU, SHAPE)).astype(np.float32)
    spots = rng.integers(3, 396, (100, 2))
    spots = spots[np.abs(spots[:, None, ::-1] - positions).max(axis=2).min(axis=1) > 5]
    frame[tuple(spots.T)] += 20_000
    mapped = prepare(defects=np.zeros(frame.shape, np.uint8), bayer_pattern=bayer)
    mended = calibrate(frame, mapped, saturation_adu=1e9, bayer_pattern=bayer).pixels
    x, y = np.rint(positions).astype(int).T
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            assert (mended[y + i, x + j] == frame[y + i, x + j]).all()
    assert (mended[tuple(spots.T)] < 600).mean() > 0.9


def test_the_map_is_applied_after_the_dark_and_its_saturated_pixels_are_none() -> None:
    bad = np.zeros((64, 80), np.uint8)
    bad[20, 30] = bad[21, 30] = 1
    raw = np.full(bad.shape, 1000, np.uint16)
    raw[bad > 0] = 65_535
    dark = np.full(bad.shape, 100, np.float32)
    dark[bad > 0] = 60_000
    done = calibrate(raw, prepare(dark=dark, defects=bad), saturation_adu=60_000)
    assert done.pixels == pytest.approx(900)
    assert not done.saturated.any()


def test_a_map_of_another_size_is_named() -> None:
    masters = prepare(defects=np.zeros((64, 80), np.uint8))
    with pytest.raises(MismatchError, match="defect map is 80×64, the frame is 81×64"):
        calibrate(np.zeros((64, 81), np.uint16), masters, saturation_adu=60_000)
