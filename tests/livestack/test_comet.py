"""A true comet over true stars: motion, profile, trails, live and in four passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from livestack.comet import blotted
from livestack.comet_motion import Mark, Motion, Sightings, find_motion, middle_of, motion_by
from livestack.comet_stack import CometPictures, CometSub, stack_comet
from livestack.engine import LiveStack, Settings, Sub
from livestack.errors import CometError
from livestack.events import SubAccepted, SubRejected
from livestack.geometry import Matrix, apply
from livestack.warp import Warp
from tests.livestack.sky import Sky, draw_stars, motion, sub
from tests.livestack.truth import photometry

Frame = NDArray[np.float64]

SHAPE = (360, 480)
SKY = Sky(shape=SHAPE, n_stars=120, seed=11, flux_range=(300.0, 60_000.0))
DUSK = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)
N_SUBS = 30
NOISE = 12.0
LEVEL = 400.0
START, SPEED = np.array([170.0, 220.0]), np.array([140.0, -90.0])
"""Pixels, and pixels an hour."""
HEAD_FLUX, HEAD_FWHM = 30_000.0, 5.0
COMA_PEAK, COMA_PX = 120.0, 14.0


def when(i: int) -> datetime:
    """Start of an exposure of 30 s."""
    return DUSK + timedelta(seconds=60 * i)


def comet_at(moment: datetime, slower: float = 1.0) -> NDArray[np.float64]:
    return np.asarray(START + SPEED / slower * (moment - DUSK).total_seconds() / 3600)


def draw_comet(frame: Frame, place: NDArray[np.float64]) -> None:
    """A condensed head in a coma that falls off with the distance."""
    draw_stars(frame, place[None], np.array([HEAD_FLUX]), HEAD_FWHM)
    y, x = np.indices(frame.shape)
    frame += COMA_PEAK / (1 + ((x - place[0]) ** 2 + (y - place[1]) ** 2) / COMA_PX**2) ** 2


def light(i: int, where: Matrix, rng: np.random.Generator, slower: float = 1.0) -> Sub:
    frame = SKY.expose(where, rng, fwhm_px=rng.uniform(2.4, 3.0), sky_adu=LEVEL, noise_adu=NOISE)
    middle = comet_at(when(i) + timedelta(seconds=15), slower)
    draw_comet(frame, apply(np.asarray(np.linalg.inv(where), np.float64), middle[None])[0])
    one = sub(frame, str(i))
    return replace(one, meta=replace(one.meta, date_obs=when(i)))


@dataclass(frozen=True)
class Night:
    subs: list[Sub]
    stack: LiveStack
    placed: list[CometSub]
    seen: list[Sightings]


def again(one: Sub) -> Callable[[], Sub]:
    return lambda: one


@cache
def night(slower: float = 1.0) -> Night:
    rng = np.random.default_rng(12)
    stack, subs, placed, seen = LiveStack(), [], [], []
    for i in range(N_SUBS):
        one = light(i, motion(0.3 * i, -0.2 * i, 180.0 if i > 20 else 0.0), rng, slower)
        outcome = stack.process(one)
        assert isinstance(outcome.event, SubAccepted), outcome.event
        assert outcome.placed is not None
        assert outcome.stars is not None
        assert outcome.extended is not None
        middle = middle_of(one.meta)
        assert middle is not None
        subs.append(one)
        placed.append(CometSub(open=again(one), placed=outcome.placed, when=middle))
        seen.append(Sightings.of(middle, outcome.stars, outcome.extended, outcome.placed.warp))
    return Night(subs, stack, placed, seen)


def off_px(found: Motion) -> float:
    """How far a motion is off over the sequence, the head's constant offset included."""
    times = [one.when for one in night().placed]
    return max(float(np.hypot(*(found.at(t) - comet_at(t)))) for t in times)


def test_the_comet_is_found_by_itself() -> None:
    assert off_px(find_motion(night().seen)) < 0.05


def test_marks_by_hand_are_improved() -> None:
    times = [night().placed[i].when for i in (2, 27)]
    marks = [Mark(t, comet_at(t) + np.array([2.0, -1.5])) for t in times]
    assert off_px(motion_by(marks)) > 2
    assert off_px(motion_by(marks, night().seen)) < 0.05


def test_three_marks_make_a_parabola() -> None:
    truth = np.array([[10.0, 20], [30, -4], [5, 2]])
    marks = []
    for hours in (0.0, 0.5, 1.5):
        place = hours ** np.arange(3) @ truth
        marks.append(Mark(DUSK + timedelta(hours=hours), np.asarray(place)))
    found = motion_by(marks)
    assert found.coefficients == pytest.approx(truth)
    assert found.since_epoch(DUSK + timedelta(hours=1)) == pytest.approx([35.0, -2.0])


def test_marks_that_say_nothing_are_told() -> None:
    with pytest.raises(CometError, match="two subs or more"):
        motion_by([Mark(DUSK, START), Mark(DUSK, START + 1)])


def test_a_sky_of_stars_alone_has_no_comet() -> None:
    rng = np.random.default_rng(13)
    stars = rng.uniform(0, 400, (200, 2))
    seen = [
        Sightings(
            when(i), np.concatenate((stars + rng.normal(0, 0.2, stars.shape), rng.uniform(0, 400, (30, 2))))
        )
        for i in range(20)
    ]
    with pytest.raises(CometError, match="mark the comet"):
        find_motion(seen)


@pytest.mark.parametrize("artefact", ["trails", "warm pixels", "a halo"])
def test_what_is_brighter_than_the_comet_does_not_hide_it(artefact: str) -> None:
    """Trails in many subs, warm pixels that the sky drifts over, a halo that breaks into many sources."""
    rng = np.random.default_rng(14)
    stars, warm = rng.uniform(0, 900, (200, 2)), rng.uniform(0, 900, (120, 2))
    seen = []
    for i in range(20):
        drift = np.array([1.5, -0.9]) * i
        comet = np.array([200.0, 300.0]) + np.array([2.2, 1.4]) * i
        along = rng.uniform(0, 900, 150)
        false = {
            "trails": np.column_stack((along, 50 * i + 0.3 * along)),
            "warm pixels": warm + drift,
            "a halo": np.array([600.0, 500.0]) + rng.normal(0, 40, (80, 2)),
        }[artefact]
        places = np.concatenate((false, stars, comet[None]))
        seen.append(Sightings(when(i), places + rng.normal(0, 0.15, places.shape)))
    found = find_motion(seen)
    assert found.at(when(0)) == pytest.approx([200.0, 300.0], abs=0.5)
    assert found.at(when(19)) == pytest.approx([241.8, 326.6], abs=0.5)


def test_warm_pixels_alone_are_no_comet() -> None:
    rng = np.random.default_rng(15)
    stars, warm = rng.uniform(0, 900, (200, 2)), rng.uniform(0, 900, (120, 2))
    drift = np.array([1.5, -0.9])
    seen = [Sightings(when(i), np.concatenate((warm + i * drift, stars))) for i in range(20)]
    with pytest.raises(CometError, match="mark the comet"):
        find_motion(seen)


def test_a_picture_laid_back_is_the_sub() -> None:
    where = motion(7.3, -4.1, 33.0)
    stars = SKY.positions, SKY.fluxes
    picture, truth = np.zeros(SHAPE), np.zeros(SHAPE)
    draw_stars(picture, *stars, 3.0)
    draw_stars(truth, apply(np.asarray(np.linalg.inv(where), np.float64), stars[0]), stars[1], 3.0)
    back = blotted(picture.astype(np.float32), Warp(where), SHAPE)
    inner = slice(130, 230), slice(190, 290)
    assert back[inner] == pytest.approx(truth[inner], abs=0.01 * truth.max())


@cache
def pictures() -> CometPictures:
    return stack_comet(
        night().placed, night().stack.basis.foundings[0], find_motion(night().seen), lambda *_: None
    )


def profile(image: NDArray[np.floating], centre: NDArray[np.float64], reach: int = 60) -> Frame:
    row, column = (round(float(each)) for each in centre[::-1])
    return np.asarray(image[row - reach : row + reach + 1, column - reach : column + reach + 1], np.float64)


def truth_around(centre: NDArray[np.float64], fwhm: float = HEAD_FWHM) -> Frame:
    frame = np.full(SHAPE, LEVEL)
    draw_comet(frame, centre)
    return profile(frame, centre)


def epoch_place() -> NDArray[np.float64]:
    return comet_at(find_motion(night().seen).epoch)


def test_the_comet_keeps_its_flux_and_profile() -> None:
    centre = epoch_place()
    image = pictures().comet.pixels
    truth = np.full(SHAPE, LEVEL)
    draw_comet(truth, centre)
    for radius in (4.0, 8.0, 15.0):
        found = photometry(image, centre[None], radius)[0]
        assert found == pytest.approx(photometry(truth, centre[None], radius)[0], rel=0.01), radius
    row, column = (round(float(each)) for each in centre[::-1])
    peak = image[row, column] - LEVEL
    assert peak == pytest.approx(truth[row, column] - LEVEL, rel=0.02)


def residual(
    image: NDArray[np.floating], coverage: NDArray[np.uint16], centre: NDArray[np.float64]
) -> tuple[float, float]:
    """Standard deviation of what is left beside the comet, and the noise of the mean."""
    truth = np.full(SHAPE, LEVEL)
    draw_comet(truth, centre)
    rest = (image - truth)[40:-40, 60:-60]
    well = (coverage >= 0.8 * coverage.max())[40:-40, 60:-60]
    return float(rest[well].std()), NOISE / np.sqrt(N_SUBS)


def test_star_trails_are_within_the_noise() -> None:
    spread, noise = residual(pictures().comet.pixels, pictures().comet.coverage, epoch_place())
    assert spread < 1.15 * noise


def test_the_stars_alone_are_without_the_comet() -> None:
    truth = SKY.expose(motion(), np.random.default_rng(0), fwhm_px=2.7, sky_adu=LEVEL, noise_adu=0.0)
    rest = pictures().stars.pixels - truth
    path = np.array([comet_at(one.when) for one in night().placed])
    values = np.array([rest[round(y), round(x)] for x, y in path])
    faint = np.array([truth[round(y), round(x)] < LEVEL + 30 for x, y in path])
    assert abs(np.median(values[faint])) < 1.5
    bright = (SKY.fluxes > 2e4) & ((SKY.positions > 30) & (SKY.positions < (450, 330))).all(axis=1)
    flux = photometry(pictures().stars.pixels, SKY.positions[bright], 6.0)
    assert np.median(flux / SKY.fluxes[bright]) == pytest.approx(1.0, abs=0.01)


def test_both_are_together_at_the_epoch() -> None:
    truth = SKY.expose(motion(), np.random.default_rng(0), fwhm_px=2.7, sky_adu=LEVEL, noise_adu=0.0)
    draw_comet(truth, epoch_place())
    rest = profile(pictures().together - truth, epoch_place(), 40)
    assert abs(np.median(rest)) < 2.0
    assert np.abs(rest).max() < 0.1 * (truth.max() - LEVEL)


def test_a_live_stack_follows_the_comet() -> None:
    found = find_motion(night().seen)
    stack = LiveStack(Settings(comet=found))
    for one in night().subs:
        event = stack.add(one)
        assert isinstance(event, SubAccepted), event
    image = stack.snapshot("L")
    spread, noise = residual(image.pixels, image.coverage, epoch_place())
    assert spread < 1.6 * noise
    timeless = replace(night().subs[3], meta=replace(night().subs[3].meta, date_obs=None))
    event = stack.add(timeless)
    assert isinstance(event, SubRejected)
    assert event.reason == "no time"


@pytest.mark.slow
@pytest.mark.parametrize("slower", [2.7, 5.4])
def test_slow_comets_keep_their_light_to_a_hundredth_or_so(slower: float) -> None:
    """30 and 15 px in all."""
    slow = night(slower)
    found = find_motion(slow.seen)
    assert (
        max(float(np.hypot(*(found.at(t) - comet_at(t, slower)))) for t in (o.when for o in slow.placed))
        < 0.1
    )
    made = stack_comet(slow.placed, slow.stack.basis.foundings[0], found)
    centre, truth = comet_at(found.epoch, slower), np.full(SHAPE, LEVEL)
    draw_comet(truth, centre)
    for radius in (4.0, 15.0):
        flux = photometry(made.comet.pixels, centre[None], radius)[0]
        assert flux == pytest.approx(photometry(truth, centre[None], radius)[0], rel=0.015), radius
    spread, noise = residual(made.comet.pixels, made.comet.coverage, centre)
    assert spread < 1.15 * noise


def test_a_comet_that_hardly_moves_is_to_be_marked() -> None:
    stars = np.random.default_rng(14).uniform(0, 400, (100, 2))
    seen = [Sightings(when(i), np.concatenate((stars, START[None] + 0.1 * i))) for i in range(20)]
    with pytest.raises(CometError, match="mark"):
        find_motion(seen)
