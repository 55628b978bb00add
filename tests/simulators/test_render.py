from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulators.psf import profile
from simulators.render import BAND_ROWS, PointSources, StarShape, in_bands, render

Image = NDArray[np.float32]


def one_star(
    x: float, y: float, flux_e: float, fwhm_px: float, size: tuple[int, int], blur_px: float = 0.0
) -> Image:
    stars = PointSources(*(np.array([value]) for value in (x, y, flux_e, blur_px)))
    return render(*size, stars, StarShape(fwhm_px=fwhm_px, obstruction=0.34))


@settings(max_examples=40)
@given(
    x=st.floats(100.0, 200.0),
    y=st.floats(100.0, 150.0),
    flux_e=st.floats(10.0, 1e7),
    fwhm_px=st.floats(2.2, 3.2),
    blur_px=st.floats(0.0, 20.0),
)
def test_a_star_keeps_its_flux_and_its_place(
    x: float, y: float, flux_e: float, fwhm_px: float, blur_px: float
) -> None:
    image = one_star(x, y, flux_e, fwhm_px, (300, 250), blur_px).astype(np.float64)
    # The widest stamps are cut by the frame's edge: less than a thousandth of the light.
    assert image.sum() == pytest.approx(flux_e, rel=1e-5 if flux_e < 4e5 and blur_px < 5 else 2e-3)
    rows, cols = np.mgrid[:250, :300]
    core = np.hypot(cols - round(x), rows - round(y)) < 5 + 2 * blur_px
    weight = image[core] ** 2
    assert (cols[core] * weight).sum() / weight.sum() == pytest.approx(x, abs=0.02)
    assert (rows[core] * weight).sum() / weight.sum() == pytest.approx(y, abs=0.02)


def test_a_star_has_the_width_it_was_given() -> None:
    image = one_star(50.0, 50.0, 1e5, 3.0, (101, 101))
    across = image[50, 50:] / image[50, 50]
    half = np.interp(-0.5, -across, np.arange(len(across)))
    # The pixel's own width adds to the Moffat's: it blurs a little.
    assert 3.0 <= 2 * half <= 3.25


def test_a_star_over_the_edge_loses_only_what_falls_outside() -> None:
    image = one_star(-0.5, 50.0, 1000.0, 3.0, (100, 100))
    assert image.sum() == pytest.approx(500.0, rel=0.005)


def test_bands_join_without_a_seam() -> None:
    """A star on the border of two bands looks like one in the middle of a band."""
    across = one_star(50.0, BAND_ROWS - 0.5, 1e6, 3.0, (101, BAND_ROWS * 2), 6.0)
    within = one_star(50.0, BAND_ROWS / 2 - 0.5, 1e6, 3.0, (101, BAND_ROWS * 2), 6.0)
    cut = slice(BAND_ROWS // 2, BAND_ROWS // 2 + BAND_ROWS)
    assert across[cut] == pytest.approx(within[:BAND_ROWS], rel=1e-5, abs=1e-3)


@pytest.mark.parametrize("blur_px", [0.0, 0.5, 3.0, 25.0])
def test_the_profile_holds_all_the_light(blur_px: float) -> None:
    """∫ 2πr·p(r) dr to 2000 px; a Moffat of β = 3 has (1 + r²/α²)^−2 of its light beyond r."""
    r = np.concatenate([np.arange(0.0, 100.0, 0.01), np.geomspace(100.0, 2000.0, 20_000)])
    light = np.trapezoid(2 * np.pi * r * profile(r, 3.0, blur_px, 0.34), r)
    assert light == pytest.approx(1.0, abs=1e-5)


def test_out_of_focus_a_star_is_the_pupils_image() -> None:
    """A sharp annulus far out of focus: flat between its edges, dark in its hole and outside."""
    r = np.array([0.0, 5.0, 20.0, 25.0, 35.0, 60.0])
    ring = profile(r, 1.0, 40.0, 0.34) * np.pi * 40.0**2 * (1 - 0.34**2)
    assert ring[[0, 1, 5]] == pytest.approx(0.0, abs=0.005)
    assert ring[[2, 3, 4]] == pytest.approx(1.0, abs=0.01)


def test_on_a_mosaic_each_pixel_sees_the_light_of_its_colour() -> None:
    flux_e = np.array([[[4e5, 3e5], [2e5, 1e5]]])
    x, y, blur = (np.array([value]) for value in (30.3, 40.8, 4.0))
    shape = StarShape(fwhm_px=3.0, obstruction=0.34)
    mosaic = render(64, 80, PointSources(x, y, flux_e, blur), shape)
    mono = one_star(30.3, 40.8, 4e5, 3.0, (64, 80), 4.0)
    bright = mono > 10
    for row in (0, 1):
        for col in (0, 1):
            where = np.s_[row::2, col::2]
            share = mosaic[where][bright[where]] / mono[where][bright[where]]
            assert share == pytest.approx(flux_e[0, row, col] / 4e5, rel=1e-4)


def test_an_error_in_a_band_comes_out() -> None:
    def work(rows: slice) -> None:
        if rows.start:
            raise ValueError(f"row {rows.start}")

    with pytest.raises(ValueError, match=f"row {BAND_ROWS}"):
        in_bands(BAND_ROWS + 1, work)
