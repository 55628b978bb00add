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
from simulators.heavens.tycho2 import index_file, tycho2_in_cone

TYCHO_LIMIT_MAG = 15.5
"""No star of Tycho-2 is fainter."""

NEEDS_TYCHO = pytest.mark.skipif(index_file() is None, reason="needs Debian's astrometry-data-tycho2-07")


def cone(ra: float, dec: float, radius: float = 0.6, seed: int = 1, limit: float = FAINT_LIMIT_MAG) -> Stars:
    return stars_in_cone(ra, dec, radius, seed=seed, limit_mag=limit)


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
    faint_a, faint_b = a.g_mag > TYCHO_LIMIT_MAG, b.g_mag > TYCHO_LIMIT_MAG
    assert len(a.ra_deg[faint_a]) > 1000
    assert not set(a.ra_deg[faint_a]) & set(b.ra_deg[faint_b])


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


# log10 of the stars per square degree brighter than V = 12, 14, 16: means such as Allen's
# Astrophysical Quantities has, rounded, at latitude 0°, 20°, 90°. G is within 0.2 mag of V for most stars.
ALLEN = {0.5: (2.14, 2.95, 3.68), 20.0: (1.70, 2.44, 3.10), 89.0: (1.41, 2.06, 2.58)}


@pytest.mark.parametrize(("latitude", "log_counts"), ALLEN.items())
def test_counts_per_square_degree_follow_galactic_latitude(
    latitude: float, log_counts: tuple[float, ...]
) -> None:
    """Within 0.2 dex of the counts of the whole sky's mean at that latitude, over six fields around it."""
    pole_ra, pole_dec = np.radians([192.85948, 27.12825])
    counts = np.zeros(3)
    fields = np.radians(np.arange(0.0, 360.0, 60.0))
    for angle in fields:
        b = np.radians(latitude)
        dec = np.arcsin(np.sin(b) * np.sin(pole_dec) + np.cos(b) * np.cos(pole_dec) * np.cos(angle))
        x = np.sin(b) * np.cos(pole_dec) - np.cos(b) * np.sin(pole_dec) * np.cos(angle)
        ra = pole_ra + np.arctan2(np.cos(b) * np.sin(angle), x)
        assert abs(galactic_latitude_deg(np.degrees(ra), np.degrees(dec))) == pytest.approx(latitude, abs=0.1)
        stars = cone(np.degrees(ra) % 360.0, np.degrees(dec), 1.0)
        counts += [np.count_nonzero(stars.g_mag < limit) for limit in (12.0, 14.0, 16.0)]
    area_deg2 = len(fields) * 2.0 * np.pi * (1.0 - np.cos(np.radians(1.0))) * np.degrees(1.0) ** 2
    assert np.log10(counts / area_deg2) == pytest.approx(log_counts, abs=0.2)


@NEEDS_TYCHO
@pytest.mark.parametrize(("ra", "dec"), [(130.1, 19.67), (0.0, 0.0), (47.0, 89.5), (200.0, -60.0)])
def test_the_tree_finds_every_star_that_a_search_of_the_whole_file_finds(ra: float, dec: float) -> None:
    path = index_file()
    assert path is not None
    number, ra_deg, dec_deg, mag = tycho2_in_cone(path, 0.0, 0.0, 180.0)
    assert np.array_equal(number, np.arange(1_871_011))
    unit = np.array([np.cos(np.radians(dec)) * f(np.radians(ra)) for f in (np.cos, np.sin)])
    z = np.sin(np.radians(dec_deg))
    x, y = (np.sqrt(1 - z**2) * f(np.radians(ra_deg)) for f in (np.cos, np.sin))
    near = (x * unit[0] + y * unit[1] + z * np.sin(np.radians(dec))) > np.cos(np.radians(2.0))
    found = tycho2_in_cone(path, ra, dec, 2.0)
    assert set(found[0]) == set(np.flatnonzero(near))
    assert np.array_equal(found[3], mag[found[0]])


@NEEDS_TYCHO
def test_no_star_is_there_twice_where_two_catalogues_meet() -> None:
    """Within 10″ of each of Tycho-2's stars there is one bright star, seldom a pair."""
    path = index_file()
    assert path is not None
    _, ra, dec, _ = tycho2_in_cone(path, 130.1, 19.67, 1.0)
    sky = cone(130.1, 19.67, 1.2)
    sky = sky.take(sky.g_mag < 13.0)
    x = (ra[:, None] - sky.ra_deg) * np.cos(np.radians(19.67))
    close = np.hypot(x, dec[:, None] - sky.dec_deg) < 10 / 3600
    assert len(ra) > 100
    assert np.all(close.sum(axis=1) >= 1)
    assert np.mean(close.sum(axis=1) == 1) > 0.97


def test_colours_are_gaias_own() -> None:
    """Praesepe's four red giants of G ≈ 6 among its white stars."""
    stars = cone(130.1, 19.67, 0.7, limit=7.0)
    assert np.count_nonzero(stars.colour > 1.0) == 4
    assert np.count_nonzero(stars.colour < 0.5) == len(stars) - 4
