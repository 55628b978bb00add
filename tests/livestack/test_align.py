from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livestack.align import Lost, Transform, find_transform
from livestack.geometry import Matrix, apply, fit_affine, fit_similarity, rotation_deg, scale
from measure.stars import Stars
from tests.livestack.sky import Sky, motion
from tests.support.sep_stars import detect

SHAPE = (360, 480)
CORNERS = np.array([[0.0, 0.0], [479, 0], [0, 359], [479, 359]])


def stars_of(sky: Sky, to_reference: Matrix, seed: int, fwhm_px: float = 2.6) -> Stars:
    frame = sky.expose(to_reference, np.random.default_rng(seed), fwhm_px=fwhm_px)
    return detect(frame.astype(np.float32))


def inverse(matrix: Matrix) -> Matrix:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def corner_error_px(found: Transform | Lost, truth: Matrix) -> float:
    assert isinstance(found, Transform), found
    return float(np.hypot(*(apply(found.matrix, CORNERS) - apply(truth, CORNERS)).T).max())


@pytest.mark.parametrize("angle", [0.0, 0.3, 40.0, 90.0, -121.5, 180.0])
@pytest.mark.parametrize("tracked", [False, True])
def test_shift_and_rotation_are_found(angle: float, tracked: bool) -> None:
    sky = Sky()
    truth = motion(17.3, -9.8, angle)
    reference = stars_of(sky, motion(), 1)
    start = motion(14.0, -12.0, angle) if tracked else None
    found = find_transform(stars_of(sky, truth, 2), reference, start)
    assert corner_error_px(found, truth) < 0.08


@pytest.mark.parametrize("n_stars", [15, 40, 1500])
def test_few_stars_and_many(n_stars: int) -> None:
    sky = Sky(n_stars=n_stars, seed=4, flux_range=(2000.0, 60_000.0))
    truth = motion(-6.2, 4.4, 0.5)
    found = find_transform(stars_of(sky, truth, 2), stars_of(sky, motion(), 1))
    assert corner_error_px(found, truth) < 0.2


def test_two_fifths_of_drift() -> None:
    sky = Sky(n_stars=200)
    truth = motion(190.0, 20.0, 0.4)
    found = find_transform(stars_of(sky, truth, 2), stars_of(sky, motion(), 1))
    assert corner_error_px(found, truth) < 0.15


def test_bright_stars_register_to_a_twentieth_of_a_pixel() -> None:
    sky = Sky(flux_range=(20_000.0, 60_000.0))
    truth = motion(3.37, -2.81, 0.2)
    sub, reference = stars_of(sky, truth, 2), stars_of(sky, motion(), 1)
    found = find_transform(sub, reference)
    assert isinstance(found, Transform)
    assert found.rms_px < 0.05


def test_a_start_that_is_wrong_does_no_harm() -> None:
    sky = Sky()
    truth = motion(2.0, 3.0, 180.0)
    found = find_transform(stars_of(sky, truth, 2), stars_of(sky, motion(), 1), motion(0.0, 0.0, 0.0))
    assert corner_error_px(found, truth) < 0.08


@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("n_stars", [20, 120, 600])
@pytest.mark.parametrize("tracked", [False, True])
def test_another_field_is_not_taken_for_this_one(seed: int, n_stars: int, tracked: bool) -> None:
    here, there = Sky(seed=1, n_stars=n_stars), Sky(seed=seed, n_stars=n_stars)
    start = motion() if tracked else None
    found = find_transform(stars_of(there, motion(), 3), stars_of(here, motion(), 1), start)
    assert isinstance(found, Lost)
    assert found.reason == "no match"


def test_too_few_stars_are_said_to_be_so() -> None:
    reference = stars_of(Sky(), motion(), 1)
    found = find_transform(reference.take(slice(0, 4)), reference)
    assert found == Lost("too few stars", "4 stars found, 6 are needed")


def test_an_affine_field_is_fitted_as_such() -> None:
    rng = np.random.default_rng(0)
    reference = stars_of(Sky(n_stars=200), motion(), 1)
    truth = motion(4.0, 2.0)
    truth[0, 0] *= 1.002
    truth[0, 1] += 0.0015
    positions = apply(inverse(truth), reference.xy) + rng.normal(0, 0.02, (len(reference), 2))
    sub = Stars(
        positions[:, 0],
        positions[:, 1],
        reference.flux,
        reference.snr,
        reference.fwhm_px,
        reference.a,
        reference.b,
        reference.theta,
        reference.peak,
        reference.saturated,
    )
    assert corner_error_px(find_transform(sub, reference), truth) < 0.1


@given(dx=st.floats(-500, 500), dy=st.floats(-500, 500), angle=st.floats(-179, 179), seed=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_fits_recover_what_made_the_points(dx: float, dy: float, angle: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, weight = rng.uniform(0, 1000, (12, 2)), rng.uniform(0.1, 1, 12)
    truth = motion(dx, dy, angle)
    for fit in (fit_similarity, fit_affine):
        assert fit(points, apply(truth, points), weight) == pytest.approx(truth, abs=1e-6)
    assert rotation_deg(truth) == pytest.approx(angle, abs=1e-6)
    assert scale(truth) == pytest.approx(1.0)
    assert apply(inverse(truth), apply(truth, points)) == pytest.approx(points, abs=1e-6)


def radial(points: np.ndarray, share: float) -> np.ndarray:
    """Places as optics with radial distortion show them; ``share`` of the radius at the frame's corner."""
    centre = np.array([3000.0, 2000.0])
    away = points - centre
    r2 = (away**2).sum(axis=1, keepdims=True) / (3000.0**2 + 2000.0**2)
    return np.asarray(centre + away * (1 + share * r2))


def listed(xy: np.ndarray, seed: int) -> Stars:
    """Stars at places (N, 2), their centroids known to 0.03 px."""
    rng = np.random.default_rng(seed)
    x, y = (xy + rng.normal(0, 0.03, xy.shape)).T
    n, flux = len(x), np.sort(rng.uniform(2e4, 4e5, len(x)))[::-1]
    round_, never = np.full(n, 1.3), np.zeros(n, dtype=bool)
    return Stars(x, y, flux, flux / 500, np.full(n, 3.0), round_, round_, np.zeros(n), flux / 10, never)


@pytest.mark.parametrize("angle", [0.2, 180.0, 33.0])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.004])
def test_distorted_optics_register_to_a_twentieth_of_a_pixel(angle: float, share: float) -> None:
    """26 megapixels, moved by 900 px and turned: what the optics bend is elsewhere on the stars."""
    rng = np.random.default_rng(7)
    sky = rng.uniform((-1500, -1500), (7500, 5500), (2200, 2))
    truth = motion(700.0, -560.0, angle, (4000, 6000))

    def seen(there: np.ndarray) -> np.ndarray:
        on = ((there > 10) & (there < [5990, 3990])).all(axis=1)
        return np.flatnonzero(on)[:800]

    on_reference, on_sub = radial(sky, share), radial(apply(inverse(truth), sky), share)
    reference, sub = seen(on_reference), seen(on_sub)
    found = find_transform(listed(on_sub[sub], 1), listed(on_reference[reference], 2), truth)
    assert isinstance(found, Transform)
    both = np.intersect1d(reference, sub)
    off = np.hypot(*(found.warp.forwards(on_sub[both]) - on_reference[both]).T)
    assert np.sqrt(np.mean(off**2)) < 0.05
    assert (found.bend is None) == (share == 0.0)
