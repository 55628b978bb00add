"""The fine demosaic: what it must not change, what it does better, and that a turned tile is no other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from livestack.geometry import Matrix
from livestack.kernels.demosaic import BILINEAR, FINE, REACH, demosaic
from livestack.survey import colours
from livestack.warp import Warp
from tests.livestack.dithered import SHAPE, SKY, Field, dithers, fluxes, mosaic, stars, widths

PATTERNS = ("RGGB", "BGGR", "GBRG", "GRBG")
UPRIGHT = np.eye(2, dtype=np.int64)
INSIDE = (slice(None), slice(REACH, -REACH), slice(REACH, -REACH))
Layers = NDArray[np.float32]


def fine(
    raw: NDArray[np.floating],
    pattern: str = "RGGB",
    x0: int = 0,
    y0: int = 0,
    turn: NDArray[np.int64] = UPRIGHT,
) -> Layers:
    planes = np.full((3, *raw.shape), np.nan, np.float32)
    demosaic(raw.astype(np.float32), colours(pattern), x0, y0, turn, FINE, planes)
    return planes


def fast(raw: NDArray[np.floating]) -> Layers:
    planes = np.empty((3, *raw.shape), np.float32)
    demosaic(raw.astype(np.float32), colours("RGGB"), 0, 0, UPRIGHT, BILINEAR, planes)
    return planes


def registered(frames: list[Layers], matrices: list[Matrix]) -> Layers:
    """The mean (3, H, W) of frames brought onto the reference by bilinear interpolation."""
    rows, columns = np.indices(SHAPE)
    places = np.column_stack((columns.ravel(), rows.ravel())).astype(np.float64)
    total = np.zeros((3, *SHAPE), np.float32)
    for layers, matrix in zip(frames, matrices, strict=True):
        x, y = Warp(matrix).backwards(places).T
        for channel, layer in enumerate(layers):
            total[channel] += map_coordinates(layer, (y, x), order=1, mode="nearest").reshape(SHAPE)
    return np.asarray(total / len(frames))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_coloured_sky_that_slopes_stays_as_it_is(pattern: str) -> None:
    rows, columns = np.indices((20, 31))
    slope = 3.0 * columns - 2.0 * rows
    layers = np.stack([500 + slope, 800 + slope, 300 + slope])
    np.testing.assert_allclose(fine(mosaic(layers, pattern), pattern)[INSIDE], layers[INSIDE], rtol=1e-5)


def test_what_the_sensor_saw_is_kept_and_edges_repeat() -> None:
    raw = np.random.default_rng(0).uniform(0, 1000, (12, 17)).astype(np.float32)
    done = fine(raw)
    assert np.isfinite(done).all()
    np.testing.assert_array_equal(done[0, 2:-2:2, 2:-2:2], raw[2:-2:2, 2:-2:2])
    np.testing.assert_array_equal(done[2, 3:-2:2, 3:-2:2], raw[3:-2:2, 3:-2:2])
    np.testing.assert_array_equal(done[1, 2:-2:2, 3:-2:2], raw[2:-2:2, 3:-2:2])
    np.testing.assert_array_equal(done[:, :2], done[:, 2:3].repeat(2, axis=1))
    np.testing.assert_array_equal(done[:, :, -1], done[:, :, -3])


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    "turn", [[[1, 0], [0, 1]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]], [[0, 1], [-1, 0]], [[-1, 0], [0, 1]]]
)
def test_a_turned_tile_shows_the_same_as_the_frame_turned_afterwards(
    pattern: str, turn: list[list[int]]
) -> None:
    raw = np.random.default_rng(1).uniform(0, 1000, (40, 50)).astype(np.float32)
    whole = fine(raw, pattern)
    way = np.array(turn, np.int64)
    q, p = np.indices((12, 15))
    x0, y0 = 25, 19
    x, y = x0 + way[0, 0] * p + way[0, 1] * q, y0 + way[1, 0] * p + way[1, 1] * q
    tile = fine(raw[y, x], pattern, x0, y0, way)
    np.testing.assert_allclose(tile[INSIDE], whole[:, y, x][INSIDE], rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("balance", [(0.5, 1.0, 0.6), (0.7, 1.0, 0.8), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize("fwhm_px", [2.0, 3.0])
def test_stars_are_narrower_and_their_edges_have_less_colour(
    balance: tuple[float, float, float], fwhm_px: float
) -> None:
    """For sensors as red and as blue as they are, and for a white light."""
    grey = stars(1, fwhm_px=fwhm_px)
    field = Field(grey.positions, grey.fluxes * np.array(balance), fwhm_px)
    matrices = dithers(30, rotation_deg=1.0)
    raws = [mosaic(field.seen(Warp(m)) + SKY) for m in matrices]
    better, plain = (registered([each(raw) for raw in raws], matrices) for each in (fine, fast))
    for channel in (0, 2):
        assert widths(better[channel], 1, field) < 0.93 * widths(plain[channel], 1, field)
    assert widths(better[1], 1, field) < 0.98 * widths(plain[1], 1, field)
    tint = np.array(balance)[:, None, None]
    colours_of = [np.abs((each - SKY) / tint - (each[1] - SKY)).max() for each in (better, plain)]
    assert colours_of[0] < 0.62 * colours_of[1]


def test_flux_is_right_and_does_not_depend_on_a_neighbour() -> None:
    field = stars(3, fwhm_px=2.6)
    matrices = dithers(60)
    shots = [fine(mosaic(field.seen(Warp(m)) + SKY)) for m in matrices]
    done = registered(shots, matrices)
    for channel in range(3):
        ratio = fluxes(done[channel], 1, field) / field.fluxes[:, channel]
        assert np.mean(ratio) == pytest.approx(1.0, abs=5e-3)
    lone, other = (np.random.default_rng(seed).uniform(0, 1000, (30, 40)) for seed in (2, 3))
    np.testing.assert_allclose(fine(lone + other), fine(lone) + fine(other), atol=1e-2)


def test_noise_grows_no_more_than_the_filters_say() -> None:
    noise = np.random.default_rng(4).normal(0, 10, (400, 400))
    red, green, blue = fine(noise)[INSIDE].std(axis=(1, 2)) / 10
    # Sums of the squares of the filters' taps.
    cross, side, corner = 84 / 256, 159.5 / 256, 109 / 256
    assert green == pytest.approx(np.sqrt((1 + cross) / 2), rel=0.01)
    assert (red, blue) == pytest.approx((np.sqrt((1 + 2 * side + corner) / 4),) * 2, rel=0.01)
