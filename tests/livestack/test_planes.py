"""The stack's planes by what goes in and comes out: places, widths, fluxes, footprints, outliers, order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from livestack.geometry import Matrix
from livestack.kernels.keys import Coding
from livestack.masters import Masters
from livestack.normalise import Mesh, background_mesh, level_surface
from livestack.placing import Interpolation, Placed
from livestack.planes import Integrated, Light, Planes
from livestack.survey import Patches, survey_frame
from livestack.warp import Bend, Warp
from measure.stars import typical_fwhm_px
from tests.livestack.sky import draw_stars, motion
from tests.support.sep_stars import detect

SHAPE = (200, 640)
LEVEL, SIGMA = 500.0, 10.0
POSITIONS = (
    np.stack(np.meshgrid(np.arange(30, 615, 45), np.arange(30, 175, 30)), -1).reshape(-1, 2).astype(float)
    + 0.3
)
PATTERNS = ("RGGB", "BGGR", "GBRG", "GRBG")
Frame = NDArray[np.float32]


def star_frame(fwhm_px: float = 2.6, flux: float = 20_000.0) -> Frame:
    pixels = np.random.default_rng(0).normal(LEVEL, 1.0, SHAPE)
    draw_stars(pixels, POSITIONS, np.full(len(POSITIONS), flux), fwhm_px)
    return pixels.astype(np.float32)


def light(
    raw: Frame,
    warp: Warp | None = None,
    *,
    noise_adu: float = SIGMA,
    bayer: str | None = None,
    weight: float = 1.0,
    shape: tuple[int, int] | None = None,
) -> Light:
    warp = warp or Warp(np.eye(3))
    nothing = level_surface(None, _mesh(raw, bayer), warp, 1.0, shape or raw.shape)
    placed = Placed(
        bayer_pattern=bayer,
        warp=warp,
        scale=1.0,
        surface=nothing,
        weight=weight,
        noise_adu=noise_adu,
        patches=Patches(),
    )
    return Light(raw, Masters(), placed)


def _mesh(raw: Frame, bayer: str | None) -> Mesh:
    seen = survey_frame(raw, Masters(), bayer_pattern=bayer, search=False)
    return background_mesh(seen.small, seen.binning)


def planes(shape: tuple[int, int] = SHAPE, zero: tuple[float, ...] = (LEVEL,)) -> Planes:
    return Planes(shape, len(zero), Coding.over(zero, 65_535))


def registered(
    raw: Frame,
    matrix: Matrix,
    bend: Bend | None = None,
    bayer: str | None = None,
    zero: tuple[float, ...] = (LEVEL,),
) -> Integrated:
    stack = planes(zero=zero)
    stack.add(light(raw, Warp(matrix, bend), noise_adu=1.0, bayer=bayer))
    return stack.picture()


# Where things land


@given(
    dx=st.floats(-6, 6),
    dy=st.floats(-6, 6),
    angle=st.sampled_from([0.0, 0.4, -3.0, 14.0, 90.0, 180.2, 271.0]),
)
@settings(max_examples=12, deadline=None)
def test_stars_land_where_the_matrix_says_with_their_flux_and_width(
    dx: float, dy: float, angle: float
) -> None:
    source = star_frame(2.4)
    matrix = motion(dx, dy, angle, SHAPE)
    done = registered(source, matrix)
    seen = np.where(done.coverage > 0, done.pixels, np.float32(LEVEL))
    before, after = detect(source), detect(seen)
    there = before.xy @ matrix[:2, :2].T + matrix[:2, 2]
    inside = ((there > 20) & (there < np.array(SHAPE[::-1]) - 20)).all(axis=1)
    order = [int(np.argmin(np.hypot(*(after.xy - p).T))) for p in there[inside]]
    assert inside.sum() >= 8
    assert np.abs(after.xy[order] - there[inside]).max() < 0.02
    assert np.median(after.flux[order] / before.flux[inside]) == pytest.approx(1.0, abs=0.005)
    assert typical_fwhm_px(after) < 1.03 * typical_fwhm_px(before)


@pytest.mark.parametrize("interpolation", ["lanczos-4", "lanczos-3", "bicubic"])
def test_stars_stay_what_they_are_by_each_interpolation(interpolation: Interpolation) -> None:
    source = star_frame(3.0)
    stack = planes()
    shot = light(source, Warp(motion(2.4, -1.3, 0.2, SHAPE)), noise_adu=1.0)
    stack.add(replace(shot, placed=replace(shot.placed, interpolation=interpolation)))
    before, after = detect(source), detect(np.maximum(stack.picture().pixels, np.float32(LEVEL - 5)))
    assert typical_fwhm_px(after) < 1.03 * typical_fwhm_px(before)
    assert np.sort(after.flux)[-50:].mean() == pytest.approx(np.sort(before.flux)[-50:].mean(), rel=0.01)


def test_the_sharper_an_interpolation_the_more_noise_it_keeps() -> None:
    noise = {}
    for interpolation in ("lanczos-4", "lanczos-3", "bicubic"):
        stack = planes()
        shot = light(subs(1, 5)[0], Warp(motion(0.5, 0.5, 0.0, SHAPE)))
        stack.add(replace(shot, placed=replace(shot.placed, interpolation=interpolation)))
        noise[interpolation] = float(stack.picture().pixels[20:-20, 20:-20].std())
    assert noise["lanczos-4"] > 1.01 * noise["lanczos-3"] > 1.02 * noise["bicubic"]


def test_a_bent_field_is_straightened() -> None:
    source = star_frame()
    cubic = np.zeros((10, 2))
    cubic[[6, 8], 0] = cubic[[7, 9], 1] = (
        0.8  # px of radial distortion at the edge: curved as 80 px are on a frame ten times wider
    )
    bend = Bend(np.array([320.0, 100.0]), 320.0, cubic)
    warp = Warp(motion(2.0, 1.0, 0.3, SHAPE), bend)
    done = registered(source, warp.matrix, bend)
    before = detect(source)
    after = detect(np.where(done.coverage > 0, done.pixels, np.float32(LEVEL)))
    there = warp.forwards(before.xy)
    inside = ((there > 20) & (there < np.array(SHAPE[::-1]) - 20)).all(axis=1)
    away = [np.hypot(*(after.xy - p).T).min() for p in there[inside]]
    assert np.hypot(*(there - (before.xy @ warp.matrix[:2, :2].T + warp.matrix[:2, 2])).T).max() > 0.5
    assert max(away) < 0.05
    assert warp.backwards(there) == pytest.approx(before.xy, abs=1e-3)


@given(
    dx=st.floats(-300, 300),
    dy=st.floats(-100, 100),
    angle=st.one_of(st.floats(-10, 10), st.floats(0, 360)),
    stretch=st.floats(0.9, 1.1),
    bent=st.lists(st.floats(-3, 3), min_size=14, max_size=14),
)
@settings(max_examples=12, deadline=None)
def test_whatever_the_warp_what_is_covered_is_what_it_takes_there(
    dx: float, dy: float, angle: float, stretch: float, bent: list[float]
) -> None:
    """However the lens bends: no pixel is made of what lies beyond the frame, and none is left out."""
    matrix = motion(dx, dy, angle, SHAPE)
    matrix[:2, :2] *= stretch
    terms = np.zeros((10, 2))
    terms[3:] = np.reshape(bent, (7, 2))
    warp = Warp(matrix, Bend(np.array([320.0, 100.0]), 320.0, terms))
    stack = planes()
    flat = np.full(SHAPE, LEVEL, np.float32)
    stack.add(light(flat, warp, shape=SHAPE))
    done = stack.picture()
    y, x = (each.ravel() for each in np.mgrid[: SHAPE[0] : 3, : SHAPE[1] : 3])
    there = warp.backwards(np.column_stack((x, y)).astype(float))
    inside = np.min([there[:, 0], there[:, 1], 639 - there[:, 0], 199 - there[:, 1]], axis=0)
    assert (done.coverage[y, x][inside > 1.0] == 1).all()
    assert not done.coverage[y, x][inside < -1.0].any()
    assert np.abs(done.pixels[done.coverage > 0] - LEVEL).max() < 0.01 * SIGMA


def test_only_what_the_sub_has_seen_is_covered() -> None:
    done = registered(star_frame(), motion(20.0, -10.0, 0.0, SHAPE))
    expected = np.zeros(SHAPE, dtype=bool)
    expected[:190, 20:] = True
    assert ((done.coverage > 0) == expected).all()
    assert (done.pixels[~expected] == 0).all()


def test_holes_are_not_covered_and_do_not_spread_into_what_is() -> None:
    source = star_frame()
    whole = registered(source, motion(0.5, 0.5, 0.0, SHAPE))
    source[90:110, 100:104] = np.nan
    done = registered(source, motion(0.5, 0.5, 0.0, SHAPE))
    assert not done.coverage[91:110, 101:104].any()
    assert np.isfinite(done.pixels).all()
    assert 80 < ((whole.coverage > 0) & (done.coverage == 0)).sum() < 200


@pytest.mark.parametrize("angle", [0.0, 1.0, 30.0])
def test_nothing_dips_below_the_sky_beside_a_saturated_star(angle: float) -> None:
    source = star_frame()
    source[95:106, 115:126] = 60_000
    done = registered(source, motion(0.5, 0.5, angle, SHAPE))
    assert done.pixels[done.coverage > 0].min() > source.min() - 4


def test_staying_where_it_is_changes_nothing_but_for_the_coding() -> None:
    source = star_frame()
    done = registered(source, np.eye(3))
    photons = np.sqrt(np.maximum(source - LEVEL, 0) + 1)
    assert np.abs((done.pixels - source) / photons).max() < 0.2
    assert (done.coverage == 1).all()


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("angle", [0.0, 180.0])
def test_a_plain_colour_survives_the_mosaic(pattern: str, angle: float) -> None:
    colour = (400.0, 520.0, 610.0)
    mosaic = np.empty(SHAPE, dtype=np.float32)
    for site, letter in enumerate(pattern):
        mosaic[site // 2 :: 2, site % 2 :: 2] = colour["RGB".index(letter)]
    done = registered(mosaic, motion(3.2, 1.7, angle, SHAPE), bayer=pattern, zero=colour)
    inner = done.pixels[20:-20, 20:-20]
    assert inner == pytest.approx(np.broadcast_to(colour, inner.shape), abs=0.3)


# What belongs to the picture


def subs(n: int, seed: int, shape: tuple[int, int] = SHAPE) -> list[Frame]:
    rng = np.random.default_rng(seed)
    return [rng.normal(LEVEL, SIGMA, shape).astype(np.float32) for _ in range(n)]


def stacked(frames: list[Frame], weights: Sequence[float] | None = None) -> Planes:
    stack = planes(frames[0].shape)
    for frame, weight in zip(frames, weights or [1.0] * len(frames), strict=True):
        stack.add(light(frame, weight=weight))
    return stack


@given(st.permutations(range(7)), st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_the_order_of_arrival_does_not_matter(order: list[int], seed: int) -> None:
    frames = subs(7, seed, (64, 80))
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.1, 1, 7).tolist()
    for frame in frames:
        frame[rng.integers(0, 64, 40), rng.integers(0, 80, 40)] += 900
        frame[:, : rng.integers(0, 20)] = np.nan
    one = stacked(frames, weights).picture()
    other = stacked([frames[i] for i in order], [weights[i] for i in order]).picture()
    assert np.abs(one.pixels - other.pixels).max() < 1e-3 * SIGMA
    assert (one.coverage == other.coverage).all()


@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
def test_noise_falls_as_the_root_of_n_and_the_level_stays(n: int) -> None:
    done = stacked(subs(n, n)).picture()
    assert done.pixels.std() * np.sqrt(n) / SIGMA == pytest.approx(1.0, abs=0.03)
    assert done.pixels.mean() == pytest.approx(LEVEL, abs=0.1 * SIGMA / np.sqrt(n))
    assert done.rejected_fraction < 0.002


def test_weights_give_what_the_weighted_mean_of_unequal_subs_can() -> None:
    rng = np.random.default_rng(1)
    sigmas = np.array([8.0, 10.0, 14.0, 25.0, 11.0, 9.0, 18.0, 30.0, 10.0, 12.0])
    frames = [rng.normal(LEVEL, sigma, SHAPE).astype(np.float32) for sigma in sigmas]
    weights = ((8.0 / sigmas) ** 2).tolist()
    ideal = 1 / np.sqrt((1 / sigmas**2).sum())
    assert stacked(frames, weights).picture().pixels.std() < 1.03 * ideal


@pytest.mark.parametrize("n", [3, 5, 10, 30])
@pytest.mark.parametrize("unequal", [False, True])
def test_what_flies_through_is_not_in_the_picture(n: int, unequal: bool) -> None:
    """The error of the hit pixels stays near that of a mean that knows the hits."""
    rng = np.random.default_rng(n)
    frames = subs(n, n)
    weights = rng.uniform(0.4, 1, n) if unequal else np.ones(n)
    hits = np.zeros((n, *SHAPE), dtype=bool)
    for frame, hit, weight in zip(frames, hits, weights, strict=True):
        frame[:] = LEVEL + (frame - LEVEL) / np.sqrt(weight)
        hit[rng.integers(0, SHAPE[0], 200), rng.integers(0, SHAPE[1], 200)] = True
        hit[rng.integers(0, SHAPE[0])] |= rng.random() < 0.4
        frame[hit] += rng.uniform(200, 3000, int(hit.sum()))
    done = stacked(frames, weights.tolist()).picture().pixels
    values = np.array(frames)
    judged = hits.any(axis=0) & (hits.sum(axis=0) <= max(1, min(2, n - 2)))
    kept = weights[:, None, None] * ~hits
    with np.errstate(invalid="ignore"):
        ideal = (kept * values).sum(axis=0) / kept.sum(axis=0)

    def error(picture: NDArray[np.floating]) -> float:
        return float(np.sqrt(np.mean((picture[judged] - LEVEL) ** 2)))

    assert error(values.mean(axis=0)) > 4 * error(ideal)
    assert error(done) < (1.1 if n >= 30 else 1.3) * error(ideal)


def test_of_two_subs_the_one_without_the_track_is_believed() -> None:
    """A muon's track, wider than a pixel and as bright as a star, in one of two subs."""
    frames = subs(2, 4)
    for k in range(12):
        frames[0][60 + k, 100 + k : 103 + k] += (1500, 5000, 2000)
    frames[1][:, 300:302] += 1500  # what is in one alone is not in the picture, whichever it is
    done = stacked(frames).picture().pixels
    around = done[55:80, 95:120]
    assert np.abs(around - LEVEL).max() < 6 * SIGMA
    assert done[:, 300:302].mean() == pytest.approx(LEVEL, abs=SIGMA)


def test_dead_pixels_that_wander_are_not_in_the_picture() -> None:
    frames = subs(6, 0)
    for i, frame in enumerate(frames):
        frame[:, 10 + i] = 0
    assert stacked(frames).picture().pixels[:, 10:16].mean() == pytest.approx(LEVEL, abs=5)


def test_a_star_keeps_its_flux_when_the_seeing_changes() -> None:
    y, x = np.mgrid[-30:34, -40:40]
    frames = subs(12, 1, (64, 80))
    for i, frame in enumerate(frames):
        sigma = 1.0 + 0.04 * i
        frame[:] += 5e4 / (2 * np.pi * sigma**2) * np.exp(-0.5 * (x**2 + y**2) / sigma**2)
    around = stacked(frames).picture().pixels[20:41, 30:51] - LEVEL
    assert around.sum() == pytest.approx(5e4, rel=0.01)


def test_a_pixel_without_data_has_no_weight() -> None:
    frames = subs(4, 2)
    for frame in frames[1:]:
        frame[:, :40] = np.nan
    for frame in frames:
        frame[:10] = np.nan
    done = stacked(frames).picture()
    assert done.pixels[10:, :40] == pytest.approx(frames[0][10:, :40], abs=0.05 * SIGMA)
    assert (done.pixels[:10] == 0).all()
    assert (done.coverage[:10] == 0).all()
    assert (done.coverage[10:, :40] == 1).all()
    assert (done.coverage[10:, 40:] == 4).all()


def test_looking_changes_nothing_and_a_kept_state_goes_on() -> None:
    stack = stacked(subs(5, 3))
    first = stack.picture()
    assert (stack.picture().pixels == first.pixels).all()
    first.pixels[:] = 0
    other = planes()
    other.restore({name: np.copy(value) for name, value in stack.state().items()})
    more = light(subs(1, 9)[0])
    stack.add(more)
    other.add(more)
    assert (other.picture().pixels == stack.picture().pixels).all()
    assert stack.picture().pixels.mean() > 400
