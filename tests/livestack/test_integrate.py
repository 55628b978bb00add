from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from livestack.integrate import Accumulator
from livestack.resample import Registered

SHAPE = (60, 80)
SIGMA = 10.0
LEVEL = 500.0


def subs(n: int, seed: int, shape: tuple[int, ...] = SHAPE) -> list[Registered]:
    rng = np.random.default_rng(seed)
    return [
        Registered(rng.normal(LEVEL, SIGMA, shape).astype(np.float32), np.ones(shape[:2], dtype=bool))
        for _ in range(n)
    ]


def stacked(frames: list[Registered]) -> Accumulator:
    accumulator = Accumulator(frames[0].pixels.shape)
    for frame in frames:
        accumulator.add(frame, SIGMA)
    return accumulator


@given(st.permutations(range(7)), st.integers(0, 50), st.sampled_from([SHAPE, (*SHAPE, 3)]))
@settings(max_examples=25, deadline=None)
def test_the_order_of_arrival_does_not_matter(order: list[int], seed: int, shape: tuple[int, ...]) -> None:
    frames = subs(7, seed, shape)
    rng = np.random.default_rng(seed)
    for frame in frames:
        frame.pixels[rng.integers(0, 60, 40), rng.integers(0, 80, 40)] += 900
        frame.covered[:, : rng.integers(0, 20)] = False
    one = stacked(frames).snapshot()
    other = stacked([frames[i] for i in order]).snapshot()
    assert np.abs(one.pixels - other.pixels).max() < 1e-3 * SIGMA
    assert (one.coverage == other.coverage).all()


@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
def test_noise_falls_as_the_root_of_n_and_the_level_stays(n: int) -> None:
    done = stacked(subs(n, n)).snapshot()
    assert done.pixels.std() * np.sqrt(n) / SIGMA == pytest.approx(1.0, abs=0.04)
    assert done.pixels.mean() == pytest.approx(LEVEL, abs=0.5 * SIGMA / np.sqrt(n))
    assert done.rejected_fraction < 0.002


@pytest.mark.parametrize("n", [3, 5, 10, 30])
def test_what_flies_through_is_not_in_the_picture(n: int) -> None:
    """The error of the hit pixels stays near that of a mean that knows the hits."""
    rng = np.random.default_rng(n)
    frames = subs(n, n)
    hits = np.zeros((n, *SHAPE), dtype=bool)
    for frame, hit in zip(frames, hits, strict=True):
        hit[rng.integers(0, 60, 30), rng.integers(0, 80, 30)] = True
        hit[rng.integers(0, 60)] |= rng.random() < 0.4
        frame.pixels[hit] += rng.uniform(200, 3000, int(hit.sum()))
    done = stacked(frames).snapshot().pixels
    values = np.array([frame.pixels for frame in frames])
    judged = hits.any(axis=0) & (hits.sum(axis=0) <= max(1, min(2, n - 2)))
    ideal = np.ma.array(values, mask=hits).mean(axis=0).filled(np.nan)

    def error(picture: NDArray[np.float32]) -> float:
        return float(np.sqrt(np.mean((picture[judged] - LEVEL) ** 2)))

    assert error(values.mean(axis=0)) > 5 * error(ideal)
    assert error(done) < (1.1 if n >= 30 else 1.3) * error(ideal)


def test_dead_pixels_that_wander_are_not_in_the_picture() -> None:
    frames = subs(6, 0)
    for i, frame in enumerate(frames):
        frame.pixels[:, 10 + i] = 0
    assert stacked(frames).snapshot().pixels[:, 10:16].mean() == pytest.approx(LEVEL, abs=5)


def test_a_star_keeps_its_flux_when_the_seeing_changes() -> None:
    y, x = np.mgrid[-30:30, -40:40]
    frames = subs(12, 1)
    for i, frame in enumerate(frames):
        sigma = 1.0 + 0.04 * i
        frame.pixels[:] += 5e4 / (2 * np.pi * sigma**2) * np.exp(-0.5 * (x**2 + y**2) / sigma**2)
    light = stacked(frames).snapshot().pixels[20:41, 30:51] - LEVEL
    assert light.sum() == pytest.approx(5e4, rel=0.01)


def test_a_pixel_without_data_has_no_weight() -> None:
    frames = subs(4, 2)
    for frame in frames[1:]:
        frame.covered[:, :40] = False
        frame.pixels[:, :40] = -1e9
    for frame in frames:
        frame.covered[:10] = False
        frame.pixels[:10] = 7e9
    done = stacked(frames).snapshot()
    assert done.pixels[10:, :40] == pytest.approx(frames[0].pixels[10:, :40], rel=1e-6)
    assert (done.pixels[:10] == 0).all()
    assert (done.coverage[:10] == 0).all()
    assert (done.coverage[10:, :40] == 1).all()
    assert (done.coverage[10:, 40:] == 4).all()


def test_looking_changes_nothing() -> None:
    accumulator = stacked(subs(5, 3))
    first = accumulator.snapshot()
    assert (accumulator.snapshot().pixels == first.pixels).all()
    first.pixels[:] = 0
    assert accumulator.snapshot().pixels.mean() > 400
