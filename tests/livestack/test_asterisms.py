"""Star lists of different telescopes meet: other scale, field, depth, rotation and hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from livestack.align import Lost, Transform, find_transform
from livestack.geometry import Matrix, apply, scale
from measure.stars import Stars

Floats = NDArray[np.float64]

WIDE = (2000, 3000)


def listed(xy: Floats, flux: Floats, seed: int) -> Stars:
    """The 1000 brightest at places (N, 2), their centroids known to 0.03 px."""
    brightest = np.argsort(-flux)[:1000]
    x, y = (xy[brightest] + np.random.default_rng(seed).normal(0, 0.03, (len(brightest), 2))).T
    n, flux = len(x), flux[brightest]
    round_ = np.full(n, 1.3)
    never = np.zeros(n, dtype=bool)
    return Stars(x, y, flux, flux / 500, np.full(n, 3.0), round_, round_, np.zeros(n), flux / 10, never)


def placed(size: float, turn_deg: float, shape: tuple[int, int], *, mirrored: bool) -> Matrix:
    """Sub → reference: the sub's middle lies a little off the reference's."""
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    matrix = np.eye(3)
    matrix[:2, :2] = size * np.array([[c, -s], [s, c]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    middle = np.array(WIDE[::-1]) * (0.58, 0.53)
    matrix[:2, 2] = middle - matrix[:2, :2] @ (np.array(shape[::-1]) / 2)
    return matrix


def seen(sky: Floats, flux: Floats, shape: tuple[int, int], faintest: float) -> tuple[Floats, Floats]:
    inside = ((sky > 0) & (sky < np.array(shape[::-1]))).all(axis=1) & (flux > faintest)
    return sky[inside], flux[inside]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn_deg", [3.0, -121.5])
@pytest.mark.parametrize("per_megapixel", [30, 200])
@pytest.mark.parametrize(
    "size", [0.3, 1.0, 3.0, *(pytest.param(size, marks=pytest.mark.slow) for size in (0.5, 0.75, 1.5))]
)
def test_two_telescopes_meet(size: float, per_megapixel: int, turn_deg: float, mirrored: bool) -> None:
    """The finer one sees deeper into a ninth of the field, the coarser one more of it."""
    rng = np.random.default_rng(1)
    reach = 1.2 * max(WIDE) * max(size, 1.0)
    n = int(per_megapixel * (2 * reach) ** 2 / 1e6)
    sky = rng.uniform(-reach, reach, (n, 2)) + np.array(WIDE[::-1]) / 2
    flux = 2e3 * (1 + rng.pareto(1.0, n))
    truth = placed(size, turn_deg, WIDE, mirrored=mirrored)
    reference = listed(*seen(sky, flux, WIDE, 3e3), seed=1)
    back = apply(np.asarray(np.linalg.inv(truth), np.float64), sky)
    sub = listed(*seen(back, flux * rng.lognormal(0, 0.05, n), WIDE, 3e3 * size), seed=2)
    found = find_transform(sub, reference)
    assert isinstance(found, Transform), found
    assert scale(found.matrix) == pytest.approx(-size if mirrored else size, rel=1e-3)
    corners = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]]) * np.array(WIDE[::-1])
    shared = np.clip(apply(truth, corners), 0, np.array(WIDE[::-1]))
    off = apply(found.matrix, apply(np.asarray(np.linalg.inv(truth), np.float64), shared)) - shared
    assert np.hypot(*off.T).max() < 0.1 * max(size, 1.0)
    again = find_transform(sub, reference, found.matrix)
    assert isinstance(again, Transform)
    assert again.n_matches == pytest.approx(found.n_matches, abs=2)


@pytest.mark.parametrize("n_stars", [40, 300, 1000])
def test_other_skies_do_not(n_stars: int) -> None:
    rng = np.random.default_rng(2)
    here, there = (listed(rng.uniform(0, 3000, (n, 2)), rng.pareto(1.0, n), seed=n) for n in (n_stars, 1000))
    assert isinstance(find_transform(here, there), Lost)
    assert isinstance(find_transform(there, here), Lost)
