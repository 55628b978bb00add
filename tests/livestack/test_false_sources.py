"""Star lists full of what is no star: a transform that is returned is right, and nearly all are found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from livestack.align import Lost, Transform, find_transform
from livestack.geometry import Matrix
from tests.livestack.sky import motion
from tests.livestack.star_lists import (
    SHAPE,
    Field,
    Floats,
    Shape,
    anywhere,
    columns,
    edges,
    error_px,
    halo,
    stay,
    strengths,
    trail,
)

Scatter = Callable[[np.random.Generator, int, Shape], Floats]

KINDS: dict[str, Scatter] = {
    "edges": edges,
    "trail": trail,
    "columns": columns,
    "halo": halo,
    "anywhere": anywhere,
}


def drift(rng: np.random.Generator, turn_deg: float) -> Matrix:
    return motion(rng.uniform(-25, 25), rng.uniform(-25, 25), turn_deg, SHAPE)


def moved(rng: np.random.Generator, how: str) -> tuple[Matrix, Matrix | None]:
    """The truth, and where the search starts."""
    if how == "drift":
        truth = drift(rng, rng.normal(0, 0.05))
        start = truth.copy()
        start[:2, 2] += rng.normal(0, 4, 2)
        return truth, start
    if how == "flip":
        return drift(rng, 180 + rng.normal(0, 0.3)), motion(shape=SHAPE)
    truth = motion(rotation_deg=rng.uniform(-180, 180), shape=SHAPE)
    hand = np.diag([rng.choice([-1.0, 1.0]), 1.0])
    middle = np.array(SHAPE[::-1]) / 2
    truth[:2, :2] = rng.uniform(0.7, 1.4) * truth[:2, :2] @ hand
    truth[:2, 2] = middle - truth[:2, :2] @ middle + rng.uniform(-0.15, 0.15, 2) * SHAPE[::-1]
    return truth, None


def tally(
    kind: str | None, n_false: int, how: str, n_stars: int, seeds: range, cloud: float = 0.0
) -> list[bool]:
    """Whether each field is found; whatever is returned must be right."""
    found = []
    for seed in seeds:
        rng = np.random.default_rng((seed, 2))
        truth, start = moved(rng, how)
        sub, reference, both = Field(truth=truth, seed=seed, n_stars=n_stars, cloud=cloud).seen()
        if kind is not None:
            for frame in (sub, reference):
                places = KINDS[kind](rng, n_false, SHAPE)
                frame.add(places, strengths(rng, len(places)))
        result = find_transform(sub.listed(rng), reference.listed(rng), start)
        if isinstance(result, Transform):
            assert error_px(result, truth) < 1.0, (kind, n_false, how, seed, result.n_matches, both)
        if both >= 12:
            found.append(isinstance(result, Transform))
    assert found
    return found


CASES = [
    *(
        (kind, n, how)
        for kind in ("edges", "trail", "columns")
        for n in (20, 200)
        for how in ("drift", "any")
    ),
    *(("halo", n, how) for n in (20, 200) for how in ("drift", "flip")),
    *(("anywhere", n, "drift") for n in (20, 200)),
    *((None, 0, how) for how in ("drift", "any", "flip")),
]


def test_no_wrong_transform_is_believed_and_the_right_one_is_found() -> None:
    found = [each for case in CASES for each in tally(*case, n_stars=60, seeds=range(7))]
    assert np.mean(found) >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("n_stars", [30, 150, 800])
def test_the_same_of_more_fields(n_stars: int) -> None:
    found = [each for case in CASES for each in tally(*case, n_stars=n_stars, seeds=range(100, 130))]
    assert np.mean(found) >= 0.99


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("n_false", [12, 60, 200])
def test_false_sources_alone_are_no_sky(kind: str, n_false: int) -> None:
    for seed in range(3):
        rng = np.random.default_rng((seed, 3))
        sub, reference, _ = Field(truth=motion(900.0, 0.0, 0.0, SHAPE), seed=seed, n_stars=6).seen()
        for frame in (sub, reference):
            places = KINDS[kind](rng, n_false, SHAPE)
            frame.add(places, strengths(rng, len(places)))
        near = find_transform(sub.listed(rng), reference.listed(rng), motion(3.0, 2.0, 0.0, SHAPE))
        assert isinstance(near, Lost), (seed, near.n_matches)


@pytest.mark.parametrize("cloud", [1.0, 2.5])
def test_a_cloud_over_one_side_does_no_harm(cloud: float) -> None:
    assert all(tally("trail", 100, "drift", 100, range(5), cloud=cloud))


def test_saturated_stars_tell_the_place_and_not_the_flux() -> None:
    for seed in range(5):
        rng = np.random.default_rng((seed, 4))
        truth, start = moved(rng, "drift")
        sub, reference, _ = Field(truth=truth, seed=seed, n_stars=40).seen()
        found = find_transform(sub.listed(rng, saturated_above=4e3), reference.listed(rng), start)
        assert isinstance(found, Transform), found
        assert error_px(found, truth) < 1.0


def test_matches_whose_fluxes_disagree_are_not_believed() -> None:
    rng = np.random.default_rng(5)
    sub, reference, _ = Field(truth=motion(4.0, -3.0, 0.0, SHAPE), seed=5, n_stars=40).seen()
    sub.fluxes = strengths(rng, len(sub.fluxes))
    found = find_transform(sub.listed(rng), reference.listed(rng), motion(shape=SHAPE))
    assert isinstance(found, Lost)
    assert "fluxes" in found.detail


def test_matches_in_one_corner_do_not_place_the_whole_field() -> None:
    rng = np.random.default_rng(6)
    sub, _, _ = Field(truth=motion(shape=SHAPE), seed=6, n_stars=30).seen()
    reference, _, _ = Field(truth=motion(shape=SHAPE), seed=7, n_stars=30).seen()
    corner = rng.uniform(10, 260, (12, 2))
    for frame in (sub, reference):
        frame.add(corner + rng.normal(0, 0.4, corner.shape), np.linspace(3e4, 9e4, 12))
    found = find_transform(sub.listed(rng), reference.listed(rng), motion(shape=SHAPE))
    assert isinstance(found, Lost)
    assert "too small a part" in found.detail


@pytest.mark.parametrize("share", [0.25, 0.4])
@pytest.mark.parametrize("n_stars", [60, 400])
def test_what_is_left_of_a_field_that_drifted_away(share: float, n_stars: int) -> None:
    truth = motion((1 - share) * SHAPE[1], 15.0, 1.5, SHAPE)
    for seed in range(4):
        rng = np.random.default_rng((seed, 7))
        sub, reference, _ = Field(truth=truth, seed=seed, n_stars=n_stars).seen()
        found = find_transform(sub.listed(rng), reference.listed(rng))
        assert isinstance(found, Transform), (seed, found)
        assert error_px(found, truth) < 1.0


@pytest.mark.parametrize("turn_deg", [0.0, 77.0, -121.5])
def test_six_stars_are_enough(turn_deg: float) -> None:
    rng = np.random.default_rng(8)
    places = np.array([[200.0, 150], [1350, 240], [760, 610], [330, 1010], [1290, 890], [900, 120]])
    flux = np.array([9e4, 5e4, 4e4, 2e4, 1.2e4, 8e3])
    truth = motion(12.0, -7.0, turn_deg, SHAPE)
    field = Field(truth=truth, seed=8, n_stars=0)
    sub, reference, _ = field.seen()
    back = np.asarray(np.linalg.inv(truth), np.float64)
    sub.add(places @ back[:2, :2].T + back[:2, 2] + rng.normal(0, 0.05, places.shape), flux)
    reference.add(places + rng.normal(0, 0.05, places.shape), flux)
    found = find_transform(sub.listed(rng), reference.listed(rng))
    assert isinstance(found, Transform), found
    assert error_px(found, truth) < 0.5


MOTIONS = {
    "dithered": motion(5.0, -3.0, 0.0, SHAPE),
    "far": motion(170.0, 40.0, 0.1, SHAPE),
    "slow": motion(0.9, 0.7, 0.0, SHAPE),
    "turning": motion(0.0, 0.0, 0.5, SHAPE),
    "flipped": motion(11.0, 6.0, 180.0, SHAPE),
}


@pytest.mark.parametrize("scatter_px", [0.03, 0.2])
@pytest.mark.parametrize("n_warm", [30, 300, 1500])
@pytest.mark.parametrize("how", sorted(MOTIONS))
def test_warm_pixels_do_not_hold_the_sky(how: str, n_warm: int, scatter_px: float) -> None:
    truth = MOTIONS[how]
    for seed in range(3):
        rng = np.random.default_rng((seed, 9))
        sub, reference, both = Field(truth=truth, seed=seed, n_stars=40).seen()
        stay(rng, anywhere(rng, n_warm, SHAPE), sub, reference, scatter_px=scatter_px)
        ours, theirs = sub.listed(rng), reference.listed(rng)
        for start in (None, motion(shape=SHAPE)):
            found = find_transform(ours, theirs, start)
            assert isinstance(found, Transform), (seed, found)
            assert error_px(found, truth) < 1.0, (seed, found.n_matches, both)
            assert found.n_matches < both + 0.1 * n_warm


@pytest.mark.parametrize("n_warm", [0, 30, 600])
@pytest.mark.parametrize("n_stars", [12, 60, 700])
def test_a_sky_that_did_not_move_stays(n_stars: int, n_warm: int) -> None:
    for seed in range(3):
        rng = np.random.default_rng((seed, 10))
        sub, reference, both = Field(
            truth=motion(shape=SHAPE), seed=seed, n_stars=n_stars, missed=0.05
        ).seen()
        stay(rng, anywhere(rng, n_warm, SHAPE), sub, reference)
        found = find_transform(sub.listed(rng), reference.listed(rng), motion(shape=SHAPE))
        assert isinstance(found, Transform), (seed, found)
        assert error_px(found, motion(shape=SHAPE)) < 0.5
        assert found.n_matches > 0.85 * min(both, 800)


def test_a_sub_under_a_cloud_is_not_stacked_on_its_warm_pixels() -> None:
    rng = np.random.default_rng(11)
    sub, reference, _ = Field(truth=motion(5.0, -3.0, 0.0, SHAPE), seed=11, n_stars=40).seen()
    sub.places, sub.fluxes, sub.widths = sub.places[:0], sub.fluxes[:0], sub.widths[:0]
    stay(rng, anywhere(rng, 300, SHAPE), sub, reference)
    found = find_transform(sub.listed(rng), reference.listed(rng), motion(4.0, -2.0, 0.0, SHAPE))
    assert isinstance(found, Lost)
    assert "warm pixels" in found.detail


@pytest.mark.parametrize("turn_deg", [0.0, 180.0])
@pytest.mark.parametrize("n", [20, 200])
def test_columns_and_edges_of_the_sensor_do_not_hold_the_sky(n: int, turn_deg: float) -> None:
    for seed in range(4):
        for kind in (columns, edges):
            rng = np.random.default_rng((seed, 12))
            truth = motion(6.0, -8.0, turn_deg, SHAPE)
            sub, reference, _ = Field(truth=truth, seed=seed, n_stars=50).seen()
            stay(rng, kind(rng, n, SHAPE), sub, reference)
            found = find_transform(sub.listed(rng), reference.listed(rng), motion(shape=SHAPE))
            assert isinstance(found, Transform), (seed, n, found)
            assert error_px(found, truth) < 1.0
