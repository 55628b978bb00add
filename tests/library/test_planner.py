"""How many frames: the formula against simulated stacks, and its laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from library.frames import FrameKind
from library.planner import (
    FEWEST,
    FlatLight,
    Sensor,
    Subs,
    frames_needed,
    master_share,
    needs,
    stack_sigma,
)

SENSOR = Sensor(read_noise_adu=6.5, e_per_adu=1.946, dark_adu_s=0.17)
variances = st.floats(1e-3, 1e4)


@pytest.mark.parametrize(("n_subs", "n_darks", "positions"), [(20, 8, 1), (20, 8, 20), (12, 30, 4)])
def test_a_stack_is_as_noisy_as_predicted(n_subs: int, n_darks: int, positions: int) -> None:
    """Subs of sky over one frame of dark noise, calibrated with one master, shifted back and stacked."""
    rng, side = np.random.default_rng(3), 300
    exposure_s, sky_adu = 60.0, 40.0
    dark_e, sky_e = (adu * SENSOR.e_per_adu for adu in (SENSOR.dark_adu_s * exposure_s, sky_adu))

    def frame(light_e: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        electrons = rng.poisson(dark_e + light_e, (side, side))
        return np.asarray(electrons / SENSOR.e_per_adu + rng.normal(0, SENSOR.read_noise_adu, (side, side)))

    master = np.mean([frame(0.0) for _ in range(n_darks)], axis=0)
    stack = np.mean(
        [np.roll(frame(sky_e) - master, 7 * (n % positions), axis=1) for n in range(n_subs)], axis=0
    )
    predicted = stack_sigma(
        n_subs,
        n_darks,
        SENSOR.dark_variance(exposure_s),
        SENSOR.lit_variance(exposure_s, sky_adu),
        positions,
    )
    assert stack.std() == pytest.approx(predicted, rel=0.012)  # of 90,000 pixels σ is known to 0.24 %


def test_a_flat_adds_what_is_predicted() -> None:
    """The background divided by a noisy flat and by a noiseless one."""
    rng, side, n_flats, n_subs, epsilon = np.random.default_rng(4), 300, 12, 50, 0.05
    level_adu, sky_adu = 20_000.0, 1500.0
    sigma = math.sqrt(SENSOR.lit_variance(1.0, level_adu))
    flat = np.mean([rng.normal(level_adu, sigma, (side, side)) for _ in range(n_flats)], axis=0) / level_adu
    added = np.var(sky_adu / flat)
    own = SENSOR.lit_variance(60.0, sky_adu)
    wanted = frames_needed(n_subs, (sky_adu / level_adu) ** 2 * sigma**2, own, epsilon=epsilon)
    assert added == pytest.approx(epsilon * own / n_subs * wanted / n_flats, rel=0.05)


@given(st.integers(1, 500), variances, variances, st.floats(1e-3, 1.0), st.integers(1, 50))
def test_the_number_is_the_smallest_that_keeps_the_share(
    n_subs: int, dark: float, light: float, epsilon: float, positions: int
) -> None:
    n = frames_needed(n_subs, dark, light, epsilon=epsilon, positions=positions)
    assert master_share(n_subs, n, dark, light, positions) <= epsilon * (1 + 1e-9)
    if n > FEWEST:
        assert master_share(n_subs, n - 1, dark, light, positions) > epsilon * (1 - 1e-9)


@given(st.integers(1, 200), st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_a_brighter_sky_never_asks_for_more_darks(n_subs: int, one: float, other: float) -> None:
    def darks(sky_adu_s: float) -> tuple[int, int]:
        line = Subs(filter="L", exposure_s=60, count=n_subs, sky_adu_s=sky_adu_s)
        [need] = needs([line], SENSOR, None)
        return need.dithered, need.undithered

    dim, bright = sorted((one, other))
    assert darks(dim) >= darks(bright)
    assert all(b <= d for d, b in zip(darks(dim), darks(bright), strict=True))


def test_each_master_is_asked_for_once_and_by_whoever_wants_most() -> None:
    few = Subs(filter="L", exposure_s=60, count=5, sky_adu_s=2)
    many = Subs(filter="R", exposure_s=60, count=90, sky_adu_s=2)
    other = Subs(filter="R", exposure_s=300, count=3, sky_adu_s=2)
    flat = FlatLight(exposure_s=2, level_adu=20_000)
    made = needs([few, many, other], SENSOR, flat)
    keys = [(need.kind, need.exposure_s, need.filter) for need in made]
    assert len(set(keys)) == len(keys)
    assert {key for key in keys if key[0] is FrameKind.FLAT} == {
        (FrameKind.FLAT, 2, "L"),
        (FrameKind.FLAT, 2, "R"),
    }
    [dark] = [need for need in made if (need.kind, need.exposure_s) == (FrameKind.DARK, 60)]
    alone = needs([many], SENSOR, None)[0]
    assert (dark.dithered, dark.undithered) == (alone.dithered, alone.undithered)
    assert dark.frames(None) == dark.dithered
    assert dark.frames(1) == dark.undithered
    assert dark.dithered <= dark.frames(3) <= dark.undithered
