from __future__ import annotations

import numpy as np
import pytest

from simulators.catalogue import (
    FAINT_LIMIT_MAG,
    GAIA_LIMIT_MAG,
    Stars,
    galactic_latitude_deg,
    stars_in_cone,
)
from simulators.coordinates import separation_deg


def cone(ra: float, dec: float, radius: float = 0.6, seed: int = 1, limit: float = FAINT_LIMIT_MAG) -> Stars:
    return stars_in_cone(ra, dec, radius, seed=seed, epoch_year=2026.0, limit_mag=limit)


def test_vega_is_where_it_is() -> None:
    stars = cone(279.2347, 38.7837, 0.1, limit=2.0)
    assert len(stars) == 1
    assert separation_deg(stars.ra_deg[0], stars.dec_deg[0], 279.2347, 38.7837) * 3600 < 10


@pytest.mark.parametrize(("ra", "dec"), [(0.01, 0.0), (359.99, -30.0), (120.0, 89.9), (40.0, -89.95)])
def test_a_cone_is_whole_across_the_zero_meridian_and_the_poles(ra: float, dec: float) -> None:
    """Stars fill the circle evenly: the inner half of its area holds half of them."""
    stars = cone(ra, dec, 1.5)
    far = np.array([separation_deg(r, d, ra, dec) for r, d in zip(stars.ra_deg, stars.dec_deg, strict=True)])
    assert far.max() <= 1.5
    inner = np.mean(far < 1.5 / np.sqrt(2))
    assert inner == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(len(stars)) + 0.03)
    east = np.mean(np.sin(np.radians(stars.ra_deg - ra)) > 0)
    assert east == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(len(stars)) + 0.03)


def test_a_faint_star_is_the_same_from_every_pointing() -> None:
    a, b = cone(150.0, 20.0, 0.8), cone(150.7, 20.3, 0.8)
    places = {(r, d) for r, d in zip(a.ra_deg, a.dec_deg, strict=True)}
    near_b = [separation_deg(r, d, 150.7, 20.3) <= 0.8 for r, d in places]
    shared = places & set(zip(b.ra_deg, b.dec_deg, strict=True))
    assert len(shared) == sum(near_b) > 100


def test_another_seed_is_another_faint_sky_with_the_same_bright_stars() -> None:
    a, b = cone(150.0, 20.0, 2.0, seed=1), cone(150.0, 20.0, 2.0, seed=2)
    bright_a, bright_b = a.g_mag < GAIA_LIMIT_MAG, b.g_mag < GAIA_LIMIT_MAG
    assert np.array_equal(a.ra_deg[bright_a], b.ra_deg[bright_b])
    assert np.array_equal(a.colour[bright_a], b.colour[bright_b])
    assert not set(a.ra_deg[~bright_a]) & set(b.ra_deg[~bright_b])


def test_counts_grow_with_magnitude_as_the_galaxy_has_them() -> None:
    """0.3–0.36 dex a magnitude, and several times more stars in the plane than at the pole."""
    plane, pole = cone(300.0, 30.0, 2.0), cone(192.9, 27.1, 2.0)
    assert abs(galactic_latitude_deg(300.0, 30.0)) < 3
    assert abs(galactic_latitude_deg(192.9, 27.1)) > 89
    assert 4 < len(plane) / len(pole) < 20
    for stars in (plane, pole):
        slope = np.log10(np.sum(stars.g_mag < 17) / np.sum(stars.g_mag < 13)) / 4
        assert 0.29 < slope < 0.37
        # No step where Gaia's stars end and the seeded ones begin.
        below = 1 + np.count_nonzero(stars.g_mag < 10)
        above = np.count_nonzero((stars.g_mag >= 10) & (stars.g_mag < 11))
        assert 0.4 < above / below < 3.0
