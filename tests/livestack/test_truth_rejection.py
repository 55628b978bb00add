"""What flew through, against a mean that knows every hit; and pixels that the sensor itself spoils."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from livestack.engine import LiveStack
from livestack.warp import Warp
from tests.livestack.truth import Observatory, Pose, resampled, taken, warp_of

SKY_E = 1015.0
SIGMA = 32.0
"""Of that sky and the sensor's 3 electrons."""
MARGIN = 12


def flown_through(rng: np.random.Generator, shape: tuple[int, int], *, trail: bool) -> NDArray[np.float64]:
    """200 cosmic rays, and perhaps a satellite right across."""
    height, width = shape
    hit = np.zeros(shape)
    hit[rng.integers(0, height, 200), rng.integers(0, width, 200)] += rng.uniform(500, 20_000, 200)
    if trail:
        y, x = np.indices(shape)
        angle = rng.uniform(0, np.pi)
        off = (x - rng.uniform(0.2, 0.8) * width) * np.sin(angle)
        off -= (y - rng.uniform(0.2, 0.8) * height) * np.cos(angle)
        hit += rng.uniform(300, 2000) * np.exp(-0.5 * (off / 1.3) ** 2) * (np.abs(off) < 6)
    return hit


def moved(frame: NDArray[np.float64], warp: Warp, *, between_pixels: bool) -> NDArray[np.float64]:
    """A frame on the reference, by no code of ours."""
    if between_pixels:
        return resampled(frame, warp, (frame.shape[0], frame.shape[1]))
    right, down = np.rint(warp.matrix[:2, 2]).astype(int)
    return np.roll(frame, (down, right), axis=(0, 1))


def errors(n: int, *, side: int, between_pixels: bool) -> tuple[float, float, float]:
    """Root-mean-square error of all hit pixels: of our picture, the ideal, and the plain mean.

    Two subs of five have a trail. A pixel is hit where what flew through is more than half a σ of it, ringing
    of the interpolation included. The ideal is the mean of the registered subs without these values.
    """
    night = Observatory(n_stars=100, shape=(side, side), flux_range_e=(2e4, 2e5), sky_e=SKY_E)
    rng = np.random.default_rng(n)
    stack = LiveStack()
    kept, count, total = np.zeros(night.shape), np.zeros(night.shape), np.zeros(night.shape)
    for i in range(n):
        dx, dy = rng.uniform(-8, 8, 2) if between_pixels else rng.integers(-8, 9, 2)
        pose = Pose(dx, dy, 0.02 * i if between_pixels else 0.0) if i else Pose()
        light = night.expose(rng, pose).astype(np.float64)
        flown = flown_through(rng, night.shape, trail=i % 5 in {1, 3})
        warp = warp_of(taken(stack, light + flown, name=str(i)))
        clean = moved(light, warp, between_pixels=between_pixels)
        hit = moved(flown, warp, between_pixels=between_pixels)
        total += clean + hit
        free = np.abs(hit) <= SIGMA / 2
        kept += np.where(free, clean, 0)
        count += free
    judged = (count < n) & (count > 0) & (night.light() < SIGMA / 2)
    judged[:MARGIN] = judged[-MARGIN:] = judged[:, :MARGIN] = judged[:, -MARGIN:] = False
    assert judged.sum() > 1000

    def error(picture: NDArray[np.floating]) -> float:
        return float(np.sqrt(np.mean((picture[judged] - SKY_E - night.light()[judged]) ** 2)))

    return error(stack.snapshot("L").pixels), error(kept / np.maximum(count, 1)), error(total / n)


@pytest.mark.parametrize(
    ("n", "limit"), [(5, 1.3), (10, 1.3), (30, 1.1), pytest.param(100, 1.1, marks=pytest.mark.slow)]
)
def test_hit_pixels_are_as_good_as_if_the_hits_were_known(n: int, limit: float) -> None:
    ours, ideal, plain = errors(n, side=600, between_pixels=False)
    assert plain > 8 * ideal
    assert ours < limit * ideal


@pytest.mark.slow
@pytest.mark.parametrize(("n", "limit"), [(5, 1.3), (10, 1.3), (30, 1.1)])
def test_hit_pixels_between_pixels(n: int, limit: float) -> None:
    """The same where every sub is drifted by fractions and turned, so that hits are spread by the kernel."""
    ours, ideal, plain = errors(n, side=360, between_pixels=True)
    assert plain > 5 * ideal
    assert ours < limit * ideal


@pytest.mark.parametrize("n", [4, 7])
def test_hot_pixels_that_walk_over_the_sky_vanish(n: int) -> None:
    """Without a dark, on a drifting mount: what stays on the sensor draws lines through any plain mean."""
    night = Observatory(n_stars=100, flux_range_e=(2e4, 2e5))
    rng = np.random.default_rng(1)
    rows, columns = np.meshgrid(np.arange(2, 450, 24), np.arange(2, 690, 24), indexing="ij")
    hot = rows + rng.integers(0, 20, rows.shape), columns + rng.integers(0, 20, rows.shape)
    glow = rng.uniform(300, 30_000, rows.shape)
    with_them, without = LiveStack(), LiveStack()
    for i in range(n):
        frame = night.expose(rng, Pose(1.7 * i, 0.9 * i, 0.01 * i)).astype(np.float64)
        taken(without, frame, name=str(i))
        frame[hot] += glow
        taken(with_them, frame, name=str(i))
    one, other = with_them.snapshot("L"), without.snapshot("L")
    left = (one.pixels - other.pixels)[(night.light() < 10) & (other.coverage == n)]
    assert np.abs(left).max() < 6 * other.noise_adu
    assert left.std() < 0.1 * other.noise_adu
