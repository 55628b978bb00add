"""Frames without a dark, full of warm pixels: the stars are followed, not the sensor."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from livestack.engine import LiveStack
from livestack.events import SubAccepted, SubRejected
from tests.livestack.sky import draw_stars, sub

SHAPE = (480, 640)
FWHM_PX = 2.6


def warm(share: float, cluster: int, strength: str, seed: int) -> NDArray[np.float64]:
    """ADU that warm pixels, single ones or squares, add in every sub: random strengths, or all the same."""
    rng = np.random.default_rng((seed, 1))
    height, width = SHAPE
    n = int(share * height * width / cluster**2)
    rows, columns = rng.integers(0, height - cluster, n), rng.integers(0, width - cluster, n)
    level = rng.exponential(800.0, n) if strength == "random" else np.full(n, 800.0)
    frame = np.zeros(SHAPE)
    for row in range(cluster):
        for column in range(cluster):
            frame[rows + row, columns + column] += level * rng.uniform(0.6, 1.0, n)
    return frame


def night(
    defects: NDArray[np.float64],
    step: tuple[float, float],
    *,
    bayer: str | None,
    seed: int,
    n_stars: int = 40,
) -> list[SubAccepted | SubRejected]:
    """What becomes of three subs that drift by ``step`` from one to the next."""
    rng = np.random.default_rng((seed, 2))
    places = rng.uniform((0, 0), SHAPE[::-1], (n_stars, 2))
    fluxes = 1.5e3 * 100 ** (rng.uniform(0, 1, n_stars) ** 2)
    stack = LiveStack()
    events = []
    for i in range(3):
        light = np.full(SHAPE, 500.0)
        draw_stars(light, places + i * np.array(step), fluxes, FWHM_PX)
        frame = rng.poisson(light + defects) + rng.normal(200.0, 8.0, SHAPE)
        events.append(stack.add(sub(frame, str(i), bayer=bayer)))
    return events


@pytest.mark.parametrize("strength", ["random", "equal"])
@pytest.mark.parametrize(
    ("share", "cluster", "bayer"),
    [(0.01, 1, "RGGB"), (0.01, 2, "RGGB"), (0.005, 1, None), (0.005, 2, None), (0.01, 3, None)],
)
def test_the_sky_is_followed_over_warm_pixels(
    share: float, cluster: int, bayer: str | None, strength: str
) -> None:
    events = night(warm(share, cluster, strength, 1), (5.0, -3.0), bayer=bayer, seed=1)
    for i, event in enumerate(events):
        assert isinstance(event, SubAccepted), event
        assert event.shift_px == pytest.approx(i * np.hypot(5.0, 3.0), abs=0.1)


@pytest.mark.parametrize("step", [(0.0, 0.0), (0.8, 0.5), (90.0, 4.0)])
def test_whatever_its_drift(step: tuple[float, float]) -> None:
    events = night(warm(0.01, 2, "random", 3), step, bayer="RGGB", seed=3)
    for i, event in enumerate(events):
        assert isinstance(event, SubAccepted), event
        assert event.shift_px == pytest.approx(i * np.hypot(*step), abs=0.15)


@pytest.mark.parametrize("n_stars", [5, 8])
def test_with_few_stars_a_sub_is_followed_or_refused(n_stars: int) -> None:
    first, *others = night(warm(0.01, 2, "random", 4), (9.0, 6.0), bayer="RGGB", seed=4, n_stars=n_stars)
    assert isinstance(first, SubAccepted)
    for i, event in enumerate(others, start=1):
        if isinstance(event, SubAccepted):
            assert event.shift_px == pytest.approx(i * np.hypot(9.0, 6.0), abs=0.3)
        else:
            assert "warm pixels" in event.detail
