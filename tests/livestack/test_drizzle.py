"""Drizzle by its laws: flux, level, weight, edges, noise, order; outliers go, and nothing of the stars."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from livestack.drizzle import Reference, drizzle
from livestack.drizzled import filled, noise_correlation
from livestack.geometry import Matrix
from livestack.warp import Bend, Warp
from tests.livestack.dithered import (
    NOISE,
    SHAPE,
    SKY,
    Field,
    Shot,
    centroids,
    dithers,
    fluxes,
    interpolated,
    resolved,
    shot,
    spoiled,
    stars,
    widths,
)
from tests.livestack.sky import motion


def star_shots(matrices: list[Matrix], *, noise_adu: float = 0.0, seed: int = 1) -> list[Shot]:
    rng = np.random.default_rng(seed)
    return [shot(stars().seen(Warp(m))[0] + SKY + rng.normal(0, noise_adu, SHAPE), m) for m in matrices]


def flipped_night(n: int = 40) -> list[Matrix]:
    """Half of it on the other side of the meridian, turned a little to and fro."""
    flip = motion(rotation_deg=180.0, shape=SHAPE)
    return [m if i % 2 else m @ flip for i, m in enumerate(dithers(n, rotation_deg=4.0, reach_px=3.0))]


@pytest.mark.parametrize(
    ("scale", "pixfrac"),
    [*product((1.0, 2.0, 3.0), (0.5, 0.7, 1.0)), (1.5, 1.0), (2.5, 1.0)],  # see docs: why not (1.5, 0.5)
)
def test_stars_keep_their_flux(scale: float, pixfrac: float) -> None:
    done = drizzle(star_shots(flipped_night()), SHAPE, scale=scale, pixfrac=pixfrac)
    assert fluxes(done.pixels, scale, stars()) == pytest.approx(stars().fluxes[:, 0], rel=5e-3)


@settings(max_examples=25, deadline=None)
@given(
    turn=st.floats(-180, 180),
    x=st.floats(-3, 3),
    y=st.floats(-3, 3),
    scale=st.floats(1, 3),
    pixfrac=st.floats(0.05, 1),
    coarser=st.floats(0.6, 1.6),
)
def test_every_count_and_every_pixel_of_a_sub_arrives(
    turn: float, x: float, y: float, scale: float, pixfrac: float, coarser: float
) -> None:
    """Of another telescope's sub, too, whose pixels are finer or coarser than the reference's."""
    small, canvas = (40, 50), (140, 140)
    raw = np.random.default_rng(5).uniform(0, 1000, small).astype(np.float32)
    matrix = motion(x + 45, y + 50, turn, small)
    matrix[:2] = coarser * matrix[:2] + [[0, 0, 70 * (1 - coarser)], [0, 0, 70 * (1 - coarser)]]
    done = drizzle([shot(raw, matrix, weight=0.5)], canvas, scale=scale, pixfrac=pixfrac)
    weight = 0.5 * (scale * coarser) ** 2
    assert done.weights.sum(dtype=np.float64) == pytest.approx(weight * raw.size, rel=1e-4)
    arrived = np.nansum(np.float64(done.pixels) * done.weights)
    assert arrived == pytest.approx(weight * raw.sum(dtype=np.float64), rel=1e-4)


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.0])
def test_level_and_weight_are_the_reference_s_at_any_scale(scale: float) -> None:
    shots = [shot(np.full(SHAPE, SKY), m, weight=0.25) for m in dithers(60, rotation_deg=2.0)]
    done = drizzle(shots, SHAPE, scale=scale, pixfrac=0.8)
    inside = (slice(int(10 * scale), int(-10 * scale)),) * 2
    np.testing.assert_allclose(done.pixels[inside], SKY, rtol=1e-5)
    assert done.weights[inside].mean() == pytest.approx(60 * 0.25, rel=2e-3)
    assert done.coverage.max() == 60


def test_a_sub_is_brought_to_the_reference_s_scale_and_level_by_its_weight() -> None:
    shots = [
        shot(np.full(SHAPE, 500.0), weight=1.0),
        shot(np.full(SHAPE, 300.0), scale=2.0, level=(-70.0,), weight=0.5),
    ]
    done = drizzle(shots, SHAPE, scale=2, pixfrac=1)
    np.testing.assert_allclose(done.pixels, (500 + 0.5 * 530) / 1.5, rtol=1e-5)


def test_edges_are_exact() -> None:
    done = drizzle(
        [shot(np.full((20, 30), SKY), motion(10.25, 5, shape=(20, 30)))], SHAPE, scale=2, pixfrac=1
    )
    row = done.weights[30]
    np.testing.assert_allclose(row[18:24], [0, 0, 0.5, 1, 1, 1], atol=1e-5)
    np.testing.assert_allclose(row[78:83], [1, 1, 0.5, 0, 0], atol=1e-5)
    assert (done.coverage[:10] == 0).all()
    assert (done.coverage[10:50, 20:81] == 1).all()
    np.testing.assert_array_equal(np.isnan(done.pixels), done.coverage == 0)
    np.testing.assert_array_equal(done.weights > 0, done.coverage > 0)
    np.testing.assert_allclose(done.pixels[done.coverage > 0], SKY, rtol=1e-5)


@pytest.mark.parametrize(("scale", "pixfrac"), [(1.0, 0.5), (1.0, 1.0), (2.0, 0.7), (2.0, 1.0), (3.0, 0.5)])
def test_pixels_look_smoother_than_they_are_by_fruchter_and_hook_s_law(scale: float, pixfrac: float) -> None:
    rng, n = np.random.default_rng(7), 150
    shots = [shot(SKY + rng.normal(0, NOISE, SHAPE), m) for m in dithers(n, seed=9)]
    done = drizzle(shots, SHAPE, scale=scale, pixfrac=pixfrac)
    edge = int(8 * scale)
    measured = done.pixels[edge:-edge, edge:-edge].std()
    white = NOISE * scale / np.sqrt(n)
    assert white / measured == pytest.approx(noise_correlation(scale, pixfrac), rel=0.05)


def test_the_order_of_arrival_does_not_matter() -> None:
    shots = star_shots(dithers(60, rotation_deg=1.0), noise_adu=NOISE)
    one, other = (drizzle(each, SHAPE, scale=2) for each in (shots, shots[::-1]))
    noise = NOISE / np.sqrt(60)
    np.testing.assert_allclose(one.pixels, other.pixels, atol=1e-3 * noise, rtol=1e-6)
    np.testing.assert_array_equal(one.coverage, other.coverage)


def test_tiles_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    shots = [spoiled(each, rng)[0] for each in star_shots(flipped_night(8), noise_adu=NOISE)]
    reference = Reference(np.full(SHAPE, SKY, np.float32))
    large = drizzle(shots, SHAPE, scale=2.5, reference=reference)
    monkeypatch.setattr("livestack.drizzle._SIDE", 37)
    small = drizzle(shots, SHAPE, scale=2.5, reference=reference)
    np.testing.assert_allclose(small.weights, large.weights, atol=1e-3)
    np.testing.assert_allclose(small.pixels, large.pixels, rtol=1e-3, atol=0.1)


def test_holes_are_told_and_enough_dithers_leave_none() -> None:
    alone = drizzle([shot(np.full(SHAPE, SKY))], SHAPE, scale=3, pixfrac=1 / 3)
    assert alone.holes[0] == pytest.approx(8 / 9, abs=0.02)
    whole = filled(alone)
    np.testing.assert_allclose(whole[6:-6, 6:-6], SKY, rtol=1e-5)
    assert (alone.coverage[6:-6, 6:-6] == 0).mean() == pytest.approx(8 / 9, abs=0.02)
    assert drizzle([shot(np.full(SHAPE, SKY))], SHAPE, scale=3, pixfrac=1).holes == (0.0,)
    many = [shot(np.full(SHAPE, SKY), m) for m in dithers(40)]
    assert drizzle(many, SHAPE, scale=3, pixfrac=0.5).holes[0] == pytest.approx(0.0, abs=1e-4)


def test_filling_goes_no_farther_than_the_footprint() -> None:
    done = drizzle(
        [shot(np.full((40, 40), SKY), motion(30, 30, shape=(40, 40)))], SHAPE, scale=2, pixfrac=0.5
    )
    whole = filled(done)
    assert np.isfinite(whole[64:136, 64:136]).all()
    assert np.isnan(whole[:58]).all()
    assert np.isnan(whole[:, :58]).all()


def test_a_point_is_a_drop_without_a_size() -> None:
    raw = np.random.default_rng(2).uniform(0, 100, SHAPE)
    done = drizzle([shot(raw)], SHAPE, scale=3, kernel="point")
    np.testing.assert_allclose(done.pixels[1::3, 1::3], raw, atol=1e-3)
    assert (done.coverage > 0).sum() == raw.size


def test_pixels_without_a_value_give_nothing() -> None:
    raw = np.full(SHAPE, SKY)
    raw[30, 40] = np.nan
    done = drizzle([shot(raw)], SHAPE, scale=2, pixfrac=1)
    assert np.argwhere(done.coverage == 0).tolist() == [[60, 80], [60, 81], [61, 80], [61, 81]]
    assert done.weights[60, 80] == 0


def test_distorted_optics_are_followed() -> None:
    field = stars()
    bend = Bend(np.array([[64.0, 48.0]]), 64.0, np.zeros((10, 2)))
    bend.coefficients[6:] = [[0.25, 0.0], [0.0, 0.25], [0.25, 0.0], [0.0, 0.25]]
    shots = []
    for matrix in dithers(30):
        warp = Warp(matrix, bend)
        shots.append(shot(field.seen(warp)[0] + SKY, matrix, bend=bend))
    done = drizzle(shots, SHAPE, scale=2, pixfrac=0.7)
    np.testing.assert_allclose(centroids(done.pixels, 2, field), field.positions, atol=0.02)


@pytest.mark.parametrize("known_scatter", [False, True])
def test_trails_and_cosmic_rays_go_and_stars_stay(known_scatter: bool) -> None:
    rng = np.random.default_rng(3)
    matrices = dithers(30, rotation_deg=3.0)
    clean = star_shots(matrices, noise_adu=NOISE)
    reference = drizzle(clean, SHAPE, scale=1, pixfrac=1).pixels
    scatter = np.full(SHAPE, NOISE, np.float32) + 0.05 * np.maximum(reference - SKY, 0)
    truth = Reference(reference, scatter if known_scatter else None)
    hits = [spoiled(each, rng) for each in clean]
    masked = [shot(np.where(hit, np.nan, s.raw), m) for (s, hit), m in zip(hits, matrices, strict=True)]
    ideal, none = (drizzle(each, SHAPE) for each in (masked, [s for s, _ in hits]))
    kept, better = (drizzle(each, SHAPE, reference=truth) for each in (clean, [s for s, _ in hits]))
    plain = drizzle(clean, SHAPE)

    field = stars()
    assert fluxes(kept.pixels, 2, field) == pytest.approx(fluxes(plain.pixels, 2, field), rel=1e-3)
    assert kept.rejected_fraction < 1e-3
    struck = np.abs(none.pixels - plain.pixels) > 3
    rows, columns = np.indices(struck.shape)
    for x, y in field.positions:
        struck[(np.abs(columns / 2 - x) < 5) & (np.abs(rows / 2 - y) < 5)] = False
    before, after, best = (_rms((each.pixels - SKY)[struck]) for each in (none, better, ideal))
    assert before > 10 * best
    assert after < 1.1 * best


@pytest.mark.parametrize("fwhm_px", [1.2, 1.6])
def test_undersampled_doubles_come_apart_and_flux_is_truer_than_in_the_lanczos_stack(fwhm_px: float) -> None:
    middles = stars(fwhm_px=fwhm_px)
    angles = np.linspace(0, np.pi, len(middles.positions), endpoint=False)
    away = 0.9 * np.column_stack((np.cos(angles), np.sin(angles)))
    places = np.concatenate((middles.positions - away, middles.positions + away))
    pairs = Field(places, np.full((len(places), 1), 20_000.0), fwhm_px)
    matrices = dithers(40, rotation_deg=3.0)
    for field, apart in ((middles, False), (pairs, True)):
        shots = [shot(field.seen(Warp(m))[0] + SKY, m) for m in matrices]
        fine, stack = drizzle(shots, SHAPE, scale=2, pixfrac=0.7).pixels, interpolated(shots, 1)
        if apart:
            assert resolved(fine, 2, middles) == 1.0
            assert resolved(stack, 1, middles) < 0.5
        else:
            assert widths(fine, 2, field) < 1.05 * widths(stack, 1, field)
            worst = [
                np.abs(fluxes(p, s, field) / field.fluxes[:, 0] - 1).max() for p, s in ((fine, 2), (stack, 1))
            ]
            assert worst[0] < 0.5 * worst[1]


@pytest.mark.parametrize(
    ("scale", "pixfrac", "words"),
    [(0.5, 1.0, "scales by 1 to 3"), (3.5, 1.0, "not by 3.5"), (2.0, 0.0, "pixfrac")],
)
def test_what_cannot_be_is_told(scale: float, pixfrac: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        drizzle([shot(np.zeros(SHAPE))], SHAPE, scale=scale, pixfrac=pixfrac)


def test_nothing_and_what_does_not_fit_together_are_told() -> None:
    mono, colour = shot(np.zeros(SHAPE)), shot(np.zeros(SHAPE), level=(0, 0, 0), bayer="RGGB")
    with pytest.raises(ValueError, match="no sub"):
        drizzle([], SHAPE)
    with pytest.raises(ValueError, match="do not go into one"):
        drizzle([mono, colour], SHAPE)
    with pytest.raises(ValueError, match="3 channels"):
        drizzle([colour], SHAPE, reference=Reference(np.zeros(SHAPE, np.float32)))


def _rms(values: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
