"""Exact restacks by their definitions and laws: what is kept, where it lands, what is never averaged in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from library.methods import efficiency
from livestack.errors import LiveStackError
from livestack.kernels.keys import class_weight
from livestack.restack import exact
from livestack.restack_methods import METHODS, stacking_method
from livestack.warp import Bend
from tests.livestack.dithered import mosaic, shot
from tests.livestack.restacking import Kept, combined, cube, kept, live, restacked
from tests.livestack.sky import draw_stars, motion

SHAPE = (90, 300)  # two rows of two tiles, most of them not whole
LEVEL, SIGMA = 1000.0, 32.0
REJECTING = ("sigma", "winsorized", "percentile", "linear-fit")


def noisy(n: int, seed: int, *, stars: bool = False) -> list[Kept]:
    """Subs that move and turn about, of unequal weights, with cosmic rays."""
    rng = np.random.default_rng(seed)
    subs = []
    for i in range(n):
        x, y, turn = rng.uniform(-1, 1, 3)
        matrix = motion(9 * x, 9 * y, turn + 180 * (i % 2), SHAPE)
        frame = rng.normal(LEVEL, SIGMA, SHAPE)
        if stars:
            there = rng.uniform(0, 300, (30, 2))
            draw_stars(frame, there, rng.uniform(2e3, 1e5, 30), 2.6)
        frame[rng.integers(0, SHAPE[0], 80), rng.integers(0, SHAPE[1], 80)] += rng.uniform(300, 4000, 80)
        frame[:, : rng.integers(0, 20)] = np.nan
        subs.append(kept(shot(frame, matrix, weight=float(rng.uniform(0.2, 1)), noise_adu=SIGMA)))
    return subs


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 2, 3, 5, 17])
def test_a_method_is_what_its_formula_says(method: str, n: int) -> None:
    subs = noisy(n, n, stars=True)
    done = restacked(subs, method, LEVEL)
    values = cube(subs, LEVEL).astype(np.float64)
    known = np.isfinite(values)
    assert (done.coverage == known.sum(axis=0)).all()
    noise = float(np.sqrt(np.mean(done.noises_adu**2)))
    weights = np.array([one.placed.weight for one in subs])
    rows, columns = np.nonzero(known.any(axis=0))
    chosen = np.random.default_rng(0).permutation(len(rows))[:600]
    for y, x in zip(rows[chosen], columns[chosen], strict=True):
        here = known[:, y, x]
        least = np.hypot(noise, 0.15 * max(np.median(values[here, y, x]) - LEVEL, 0))
        wanted = combined(values[here, y, x], weights[here], method, float(least))
        assert done.pixels[y, x] == pytest.approx(wanted, abs=1e-3), (y, x, values[:, y, x])


@given(st.permutations(range(6)), st.sampled_from(sorted(METHODS)))
@settings(max_examples=5, deadline=None)
def test_the_order_of_subs_does_not_matter(order: list[int], method: str) -> None:
    subs = noisy(6, 1)
    one, other = restacked(subs, method, LEVEL), restacked([subs[i] for i in order], method, LEVEL)
    assert np.abs(one.pixels - other.pixels).max() < 1e-3 * SIGMA / np.sqrt(6)
    assert (one.coverage == other.coverage).all()
    assert one.rejected_high == other.rejected_high


@pytest.mark.parametrize("method", ["mean", "winsorized"])
@pytest.mark.parametrize("memory_bytes", [100_000, 400_000, 1_000_000])
def test_a_smaller_memory_gives_the_same_picture(method: str, memory_bytes: int) -> None:
    """Down to less than one tile at a time."""
    subs = noisy(5, 2)
    whole, blocks = restacked(subs, method, LEVEL), restacked(subs, method, LEVEL, memory_bytes=memory_bytes)
    assert (whole.pixels == blocks.pixels).all()
    assert (whole.coverage == blocks.coverage).all()
    assert (whole.rejected_low, whole.rejected_high) == (blocks.rejected_low, blocks.rejected_high)


@pytest.mark.parametrize("bayer", [None, "RGGB", "GBRG"])
@pytest.mark.parametrize("angle", [0.0, 0.5, 33.0, 90.0, 180.3])
def test_subs_land_where_the_live_stack_puts_them(bayer: str | None, angle: float) -> None:
    rng = np.random.default_rng(3)
    layers = np.full((1 if bayer is None else 3, *SHAPE), LEVEL)
    for layer in layers:
        draw_stars(layer, rng.uniform(0, 300, (40, 2)), rng.uniform(2e3, 5e4, 40), 2.6)
    raw = (layers[0] if bayer is None else mosaic(layers, bayer)) + rng.normal(0, 5, SHAPE)
    cubic = np.zeros((10, 2))
    cubic[[6, 8], 0] = cubic[[7, 9], 1] = 0.5
    one = shot(
        raw,
        motion(5.3, -2.8, angle, SHAPE),
        bend=Bend(np.array([150.0, 45.0]), 150.0, cubic),
        bayer=bayer,
        scale=1.3,
        level=(-300.0,) if bayer is None else (-300.0, -290.0, -310.0),
        noise_adu=5.0,
    )
    done, grown = restacked([kept(one)], "mean", LEVEL), live([kept(one)], LEVEL).picture()
    assert done.pixels.shape == grown.pixels.shape
    assert (done.coverage == grown.coverage).all()
    step = np.sqrt(np.abs(grown.pixels - LEVEL) + 1)  # of the live stack's coding goes with the root
    assert (np.abs(done.pixels - grown.pixels)[done.coverage > 0] / step[done.coverage > 0]).max() < 0.1


def test_without_outliers_the_mean_is_that_of_the_live_stack() -> None:
    rng = np.random.default_rng(4)
    subs = [
        kept(shot(rng.normal(LEVEL, SIGMA, SHAPE), weight=class_weight(-(i % 3)), noise_adu=SIGMA))
        for i in range(8)
    ]
    tiles = live(subs, LEVEL).state()["mean"]
    assert len(tiles) == 2, "two tiles above each other"
    grown = tiles[:, 0].reshape(-1, tiles.shape[-1])[: SHAPE[0], : SHAPE[1]] + LEVEL
    off = restacked(subs, "mean", LEVEL).pixels - grown
    assert off.std() < 0.005 * SIGMA  # what is lost in sixteen bits
    assert abs(off.mean()) < 1e-3 * SIGMA


@pytest.mark.parametrize("n", [5, 16, 49])
@pytest.mark.parametrize("method", ["mean", "median", "sigma", "winsorized"])
def test_noise_falls_as_the_root_of_n(method: str, n: int) -> None:
    rng = np.random.default_rng(n)
    subs = [kept(shot(rng.normal(LEVEL, SIGMA, SHAPE), noise_adu=SIGMA)) for _ in range(n)]
    done = restacked(subs, method, LEVEL)
    expected = SIGMA / np.sqrt(n * efficiency(stacking_method(method), n))
    assert done.pixels.std() == pytest.approx(expected, rel=0.03)
    assert done.pixels.mean() == pytest.approx(LEVEL, abs=0.03 * SIGMA)
    assert done.noises_adu == pytest.approx(np.full((n, 1), SIGMA), rel=0.05)


def test_weights_make_the_mean_of_unequal_subs_the_best_one() -> None:
    rng = np.random.default_rng(6)
    weights = np.array([1, 0.7, 0.5, 0.25, 0.1, 1, 0.3, 0.001])
    sigmas = 10 / np.sqrt(weights)
    subs = [
        kept(shot(rng.normal(LEVEL, sigma, SHAPE), weight=float(weight), noise_adu=float(sigma)))
        for sigma, weight in zip(sigmas, weights, strict=True)
    ]
    assert restacked(subs, "mean", LEVEL).pixels.std() == pytest.approx(
        (1 / sigmas**2).sum() ** -0.5, rel=0.02
    )


HITS = {  # error of the hit pixels over that of the mean that knows the hits, at most
    "sigma": {3: 1.8, 5: 1.35, 10: 1.15, 30: 1.05},
    "winsorized": {3: 2.4, 5: 1.45, 10: 1.15, 30: 1.05},
    "percentile": {3: 1.2, 5: 1.15, 10: 1.1, 30: 1.05},
    "median": {3: 1.7, 5: 1.5, 10: 1.4, 30: 1.4},
    "linear-fit": {30: 2.0},
}


@pytest.mark.parametrize(("method", "n"), [(method, n) for method, told in HITS.items() for n in told])
def test_what_flies_through_is_gone(method: str, n: int) -> None:
    rng = np.random.default_rng(n)
    subs, hits = [], np.zeros((n, *SHAPE), bool)
    for hit in hits:
        frame = rng.normal(LEVEL, SIGMA, SHAPE)
        hit[rng.integers(0, SHAPE[0], 60), rng.integers(0, SHAPE[1], 60)] = True
        hit[rng.integers(0, SHAPE[0])] |= rng.random() < 0.4
        frame[hit] += rng.uniform(500, 5000, int(hit.sum()))
        subs.append(kept(shot(frame, noise_adu=SIGMA)))
    values = np.array([one.raw for one in subs])
    ideal = np.ma.MaskedArray(values, hits).mean(axis=0)
    judged = hits.any(axis=0) & (2 * hits.sum(axis=0) < n)
    done = restacked(subs, method, LEVEL)

    def error(picture: NDArray[np.floating]) -> float:
        return float(np.sqrt(np.mean((picture[judged] - LEVEL) ** 2)))

    assert error(values.mean(axis=0)) > 4 * error(ideal.filled(np.nan))
    assert error(done.pixels) < HITS[method][n] * error(ideal.filled(np.nan))
    if method != "median":
        share = float(hits[:, judged].sum() / values.size)
        assert done.rejected_high == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("method", ["sigma", "winsorized"])
@pytest.mark.parametrize("n", [5, 30])
def test_stars_keep_their_flux_when_the_seeing_changes(method: str, n: int) -> None:
    rng = np.random.default_rng(n)
    subs, clean = [], []
    for _ in range(n):
        frame = np.full(SHAPE, LEVEL)
        draw_stars(
            frame, np.array([[60.2, 60.7], [200.4, 45.1]]), np.array([2e4, 3e5]), rng.uniform(2.5, 3.0)
        )
        frame += rng.normal(0, 1, SHAPE) * np.sqrt(SIGMA**2 + frame - LEVEL)
        clean.append(frame)
        subs.append(kept(shot(frame, noise_adu=SIGMA)))
    done, mean = restacked(subs, method, LEVEL).pixels, np.mean(clean, axis=0)
    for x, y in ((60, 61), (200, 45)):
        around = slice(y - 5, y + 6), slice(x - 5, x + 6)
        assert (done[around] - LEVEL).sum() == pytest.approx((mean[around] - LEVEL).sum(), rel=0.005)


@pytest.mark.parametrize("method", METHODS)
def test_a_pixel_without_data_is_never_averaged_in(method: str) -> None:
    rng = np.random.default_rng(8)
    frames = [rng.normal(LEVEL, SIGMA, SHAPE) for _ in range(4)]
    for frame in frames[1:]:
        frame[:, :70] = np.nan
    for frame in frames:
        frame[:10] = np.inf
    subs = [kept(shot(frame, noise_adu=SIGMA)) for frame in frames]
    subs[3].placed.warp.matrix[0, 2] = 150.0
    done = restacked(subs, method, LEVEL)
    assert (done.pixels[:10] == 0).all()
    assert (done.coverage[:10] == 0).all()
    assert (done.coverage[10:, :70] == 1).all()
    assert (done.coverage[10:, 70:150] == 3).all()
    np.testing.assert_array_equal(done.pixels[10:, :70], subs[0].raw[10:, :70])
    assert done.pixels[10:, 70:150].mean() == pytest.approx(LEVEL, abs=4)


def test_methods_are_read_as_users_write_them() -> None:
    assert str(stacking_method("Sigma:low=4,rounds=3")).startswith("sigma_clip:low=4,high=3,rounds=3")
    assert stacking_method("linear_fit") == stacking_method("linear-fit")
    assert stacking_method("winsorized").limits[:2] == (3.0, 3.0)
    with pytest.raises(LiveStackError, match="no method 'best'; choose of mean, median, sigma"):
        stacking_method("best")
    with pytest.raises(LiveStackError, match="no parameter 'kappa=3'"):
        stacking_method("sigma:kappa=3")


def test_progress_is_told_and_can_end_the_work() -> None:
    subs = noisy(3, 9)
    shares: list[float] = []
    restacked(subs, "mean", LEVEL, memory_bytes=300_000, progress=shares.append)
    assert shares == sorted(shares)
    assert len(shares) > 3
    assert shares[-1] == 1.0

    def stop(_share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restacked(subs, "mean", LEVEL, progress=stop)
    with pytest.raises(ValueError, match="no sub"):
        exact([], SHAPE, 1, [LEVEL], stacking_method("mean"))
