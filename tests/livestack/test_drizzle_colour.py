"""Drizzle straight from a Bayer mosaic: each colour's own flux and width, and no false colours."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from livestack.drizzle import Reference, drizzle
from livestack.drizzled import filled
from livestack.warp import Warp
from tests.livestack.dithered import (
    NOISE,
    SHAPE,
    SKY,
    Field,
    Pixels,
    Shot,
    dithers,
    fluxes,
    interpolated,
    mosaic,
    shot,
    spoiled,
    stars,
    widths,
)

LEVELS = (0.0, 0.0, 0.0)


def osc_shots(field: Field, *, n: int = 60, pattern: str = "RGGB", noise_adu: float = NOISE) -> list[Shot]:
    rng = np.random.default_rng(1)
    return [
        shot(
            mosaic(field.seen(Warp(m)), pattern) + SKY + rng.normal(0, noise_adu, SHAPE),
            m,
            level=LEVELS,
            bayer=pattern,
        )
        for m in dithers(n, rotation_deg=1.0)
    ]


def false_colour(picture: Pixels, scale: int, field: Field) -> float:
    """Median over white stars of the largest difference of red or blue from green, as a share of the peak."""
    found = []
    for place in field.positions:
        column, row = ((place + 0.5) * scale - 0.5).round().astype(int)
        cut = (
            picture[row - 4 * scale : row + 4 * scale + 1, column - 4 * scale : column + 4 * scale + 1] - SKY
        )
        away = np.abs(cut[..., [0, 2]] - cut[..., 1:2])
        found.append(away.max() / cut[..., 1].max())
    return float(np.median(found))


@pytest.mark.parametrize("pattern", ["RGGB", "GBRG"])
@pytest.mark.parametrize("scale", [1, 2])
def test_each_colour_has_its_own_flux_and_level(pattern: str, scale: int) -> None:
    field = stars(3, fwhm_px=2.2)
    done = drizzle(osc_shots(field, pattern=pattern, n=80), SHAPE, scale=scale, pixfrac=1)
    for channel in range(3):
        measured, true = fluxes(done.pixels[..., channel], scale, field), field.fluxes[:, channel]
        assert np.mean(measured / true) == pytest.approx(1.0, abs=5e-3)
        assert measured == pytest.approx(true, rel=0.02)
    inside = done.weights[10 * scale : -10 * scale, 10 * scale : -10 * scale]
    np.testing.assert_allclose(inside.mean(axis=(0, 1)), [20, 40, 20], rtol=0.03)


def test_stars_are_narrower_and_without_the_fringes_of_a_demosaiced_stack() -> None:
    field = stars(3, fwhm_px=2.0)
    white = Field(field.positions, np.repeat(field.fluxes[:, :1], 3, axis=1), field.fwhm_px)
    shots = osc_shots(white)
    plain = interpolated(shots, 3, "bilinear")
    for scale, pixfrac in ((1, 1.0), (2, 0.7)):
        done = drizzle(shots, SHAPE, scale=scale, pixfrac=pixfrac, reference=Reference(plain))
        whole = filled(done)
        assert false_colour(whole, scale, white) < 0.5 * false_colour(plain, 1, white)
        for channel in range(3):
            assert widths(whole[..., channel], scale, white) < 0.96 * widths(plain[..., channel], 1, white)


@pytest.mark.parametrize("fwhm_px", [1.4, 2.5])
def test_outliers_vanish_and_stars_keep_their_light(fwhm_px: float) -> None:
    rng = np.random.default_rng(4)
    field = stars(3, fwhm_px=fwhm_px, flux=60_000)
    clean = osc_shots(field, n=40)
    reference = Reference(interpolated(clean, 3))
    dirty = [spoiled(each, rng)[0] for each in clean]
    plain, kept = (drizzle(clean, SHAPE, pixfrac=1, reference=each) for each in (None, reference))
    for channel in range(3):
        before, after = (fluxes(each.pixels[..., channel], 2, field) for each in (plain, kept))
        assert after == pytest.approx(before, rel=2e-3)
    none, better = (drizzle(dirty, SHAPE, pixfrac=1, reference=each) for each in (None, reference))
    struck = np.abs(none.pixels - plain.pixels) > 5
    rows, columns = np.indices(SHAPE).repeat(2, axis=1).repeat(2, axis=2)
    for x, y in field.positions:
        struck[(np.abs(columns - x) < 6) & (np.abs(rows - y) < 6)] = False
    assert _rms(none.pixels[struck] - SKY) > 10 * _rms(plain.pixels[struck] - SKY)
    assert _rms(better.pixels[struck] - SKY) < 1.15 * _rms(plain.pixels[struck] - SKY)


def test_colours_that_no_drop_has_reached_are_told_channel_by_channel() -> None:
    few = [shot(np.full(SHAPE, SKY), level=LEVELS, bayer="RGGB")]
    done = drizzle(few, SHAPE, scale=1, pixfrac=1)
    assert done.holes == pytest.approx((0.75, 0.5, 0.75), abs=0.03)
    np.testing.assert_array_equal(done.coverage[:2, :2, 0], [[1, 0], [0, 0]])
    whole = filled(done)
    np.testing.assert_allclose(whole[4:-4, 4:-4], SKY, rtol=1e-5)
    many = osc_shots(stars(3), n=40)
    assert drizzle(many, SHAPE, scale=1, pixfrac=1).holes == (0.0, 0.0, 0.0)


def _rms(values: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.nanmean(np.square(values))))
