"""Beside saturated stars nothing rings, and what is not saturated, and noise, are left as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from livestack.placing import Interpolation
from livestack.planes import Integrated
from measure.stars import typical_fwhm_px
from tests.livestack.dithered import shot
from tests.livestack.restacking import kept, live
from tests.livestack.sky import draw_stars, motion
from tests.support.sep_stars import detect

SHAPE = (128, 300)
LEVEL, SIGMA, FULL = 400.0, 2.0, 4095.0


def bleeding(sky: float = LEVEL) -> NDArray[np.float64]:
    """A star far beyond saturation on its halo, whose charge runs down its columns; without noise."""
    frame = np.full(SHAPE, sky)
    draw_stars(frame, np.array([[150.0, 60.0]]), np.array([400_000.0]), 3.0)
    draw_stars(frame, np.array([[150.0, 60.0]]), np.array([60_000.0]), 14.0)
    frame[60:85, 148:152] = 1e6
    return np.asarray(np.minimum(frame, FULL), np.float64)


def registered(
    frame: NDArray[np.float64],
    dx: float,
    dy: float,
    angle: float,
    interpolation: Interpolation | None = None,
    scale: float = 1.0,
    level: float = 0.0,
) -> Integrated:
    one = shot(frame, motion(dx, dy, angle, SHAPE), noise_adu=SIGMA, scale=scale, level=(level,))
    one = replace(one, placed=replace(one.placed, interpolation=interpolation))
    return live([kept(one)], LEVEL).picture()


@pytest.mark.parametrize("interpolation", ["lanczos-4", "lanczos-3", "bicubic"])
@pytest.mark.parametrize("angle", [0.0, 0.7, 90.3, 30.0])
@pytest.mark.parametrize("dx", [0.3, 0.5])
def test_beside_a_bleeding_star_all_lies_between_what_is_around(
    dx: float, angle: float, interpolation: Interpolation
) -> None:
    """Each place is within the least and the most of the frame 2 px around it, but for 1 noise.

    At corners of what is saturated half a percent of it may be left (without care, Lanczos leaves a tenth).
    """
    frame = bleeding()
    done = registered(frame, dx, 0.4, angle, interpolation)
    back = np.linalg.inv(motion(dx, 0.4, angle, SHAPE))
    y, x = np.mgrid[8 : SHAPE[0] - 8, 8 : SHAPE[1] - 8]
    places = np.stack((x, y), -1) @ back[:2, :2].T + back[:2, 2]
    inside = (places > 4).all(-1) & (places < np.array(SHAPE[::-1]) - 5).all(-1)
    inside &= done.coverage[8:-8, 8:-8] == 1
    column, row = np.floor(places[inside]).astype(int).T
    around = np.array([frame[row + j, column + i] for j in range(-1, 3) for i in range(-1, 3)])
    found = done.pixels[8:-8, 8:-8][inside]
    dark = (around.min(axis=0) < FULL / 2) & (
        found < FULL - 500
    )  # what is within a saturated star is nobody's picture
    slack = 1.2 * SIGMA + 0.05 * np.sqrt(np.abs(found - LEVEL))
    off = np.maximum(around.min(axis=0) - found, found - around.max(axis=0))[dark] - slack[dark]
    assert off.max() < 0.005 * (FULL - LEVEL)
    assert np.count_nonzero(off > 0) < 12
    assert inside.sum() > 5000


def test_it_is_so_at_any_scale() -> None:
    """A short first sub makes long ones' skies lie far from the stack's."""
    plain = registered(bleeding(), 0.4, 0.4, 0.0).pixels
    for scale, level in ((0.02, LEVEL * 0.98), (15.0, -14 * LEVEL)):
        done = registered(bleeding(), 0.4, 0.4, 0.0, scale=scale, level=level).pixels
        unscaled = (done - level) / scale
        assert np.abs(unscaled - plain)[5:-5, 5:-5].max() < 60  # the code's steps at 4,000 ADU
        ring = unscaled[64:84, 140:147]
        assert ring.max() < plain[64:84, 140:147].max() + 15


@pytest.mark.parametrize("fwhm_px", [2.0, 2.5, 4.0])
@pytest.mark.parametrize("peak", [300.0, 3000.0, 60_000.0])
def test_stars_that_are_not_saturated_keep_their_flux_and_width(fwhm_px: float, peak: float) -> None:
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(np.arange(20, 290, 26), np.arange(20, 115, 26)), -1).reshape(-1, 2)
    places = np.asarray(grid + rng.uniform(-0.5, 0.5, grid.shape), np.float64)
    flux = peak * 1.13 * fwhm_px**2
    frame = np.full(SHAPE, LEVEL)
    draw_stars(frame, places, np.full(len(places), flux), fwhm_px)
    around = np.arange(-12, 13)
    found = []
    for n in range(8):
        dx, dy = rng.uniform(-0.5, 0.5, 2)
        done = registered(frame + rng.normal(0, SIGMA, SHAPE), dx, dy, 0.1).pixels - LEVEL
        here = places @ motion(0, 0, 0.1, SHAPE)[:2, :2].T + motion(dx, dy, 0.1, SHAPE)[:2, 2]
        x, y = np.rint(here).astype(int).T
        ok = (x > 14) & (x < SHAPE[1] - 14) & (y > 14) & (y < SHAPE[0] - 14)
        stamps = done[y[ok, None, None] + around[:, None], x[ok, None, None] + around]
        found += stamps.sum(axis=(1, 2)).tolist()
        if n == 0 and peak > 1000:
            seen = detect((done + LEVEL).astype(np.float32))
            assert typical_fwhm_px(seen) == pytest.approx(fwhm_px, rel=0.06)
    noise = SIGMA * len(around) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(flux, rel=0.005 if fwhm_px == 2.0 else 0.002, abs=4 * noise)


def test_noise_around_bright_stars_keeps_its_mean_and_its_width() -> None:
    """Stars everywhere, so that all is near one: noise on their wings is neither cut nor shifted."""
    rng = np.random.default_rng(2)
    frame = np.full(SHAPE, LEVEL)
    grid = np.stack(np.meshgrid(np.arange(10, 295, 14), np.arange(10, 125, 14)), -1).reshape(-1, 2)
    places = np.asarray(grid + 0.2, np.float64)
    draw_stars(frame, places, np.full(len(places), 20_000.0), 2.6)
    clean = registered(frame, 0.5, 0.5, 0.0).pixels
    noises = rng.normal(0, SIGMA, (12, *SHAPE))
    rest = [registered(frame + noise, 0.5, 0.5, 0.0).pixels - clean for noise in noises]
    plain = [registered(LEVEL + noise, 0.5, 0.5, 0.0).pixels - LEVEL for noise in noises]
    quiet = (clean < LEVEL + 30)[10:-10, 10:-10]
    noisy, as_ever = (np.array(each)[:, 10:-10, 10:-10][:, quiet] for each in (rest, plain))
    assert noisy.mean() == pytest.approx(0, abs=0.03 * SIGMA)
    assert noisy.std() == pytest.approx(as_ever.std(), rel=0.02)
