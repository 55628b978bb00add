"""How a comet moves over the stars of the reference: from marks, or found among what the subs show.

What is no star is where nothing was before and is elsewhere afterwards. Pairs of such sightings, one early
and one late, propose a straight way each; the comet's is the one that the other subs confirm. A comet
goes its way alone: where sources all over the field go the same way, the sky drifts over warm pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from library.frames import FrameMeta
from livestack.asterisms import spread_order
from livestack.errors import CometError
from livestack.geometry import Points
from livestack.stationary import match
from livestack.warp import Warp
from measure.stars import Stars

_SEARCHED_SUBS = 40
_SAME_PLACE_PX = 2.0
_STAR_SHARE = 0.4
"""Of the searched subs: what is at one place in so many is a star."""
_TRIED = 60
_TOGETHER, _CROWD, _COMPANIES = 4, 10.0, 3
"""More sources than that, and so many times more than are usual, move alike: they are no comet."""
_PAIRS = 8
_LEAST_MOTION_PX = 6.0
_LEAST_SUBS = 4
_CONFIRMED_SHARE = 0.6
_NEAR_PX = 3.0
_ROUNDS = 6
_CLIP_SIGMA = 3.0
_CURVED_SUBS = 12
_CURVED_GAIN = 0.8
_MARK_PX = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Places on the reference: ``coefficients`` (2 or 3, 2) go with 1, t, t² of the hours since ``epoch``."""

    epoch: datetime
    coefficients: NDArray[np.float64]

    def at(self, when: datetime) -> Points:
        """Where the comet is (2)."""
        hours = _hours(when, self.epoch)
        return np.asarray(hours ** np.arange(len(self.coefficients)) @ self.coefficients)

    def since_epoch(self, when: datetime) -> Points:
        """How far it has moved (2) since the moment at which comet and stars are shown together."""
        return np.asarray(self.at(when) - self.coefficients[0])


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """Somebody saw the comet at ``place`` (2) of the reference, in the middle of an exposure."""

    when: datetime
    place: Points


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """What one sub shows: ``places`` (N, 2) on the reference, brightest first."""

    when: datetime
    places: Points

    @classmethod
    def of(cls, when: datetime, stars: Stars, extended: Stars, warp: Warp) -> Sightings:
        """Stars and extended sources of a sub, which ``warp`` takes onto the reference."""
        brightest = np.argsort(-np.concatenate((stars.flux, extended.flux)), kind="stable")
        return cls(when, warp.forwards(np.concatenate((stars.xy, extended.xy))[brightest]))


def middle_of(meta: FrameMeta) -> datetime | None:
    """The middle of an exposure; None if its header gives no time."""
    return None if meta.date_obs is None else meta.date_obs + timedelta(seconds=(meta.exposure_s or 0.0) / 2)


def motion_by(marks: Sequence[Mark], seen: Sequence[Sightings] = ()) -> Motion:
    """The straight way through two marks, or the parabola that is nearest to three or more.

    Marks made by hand are improved by the sources that were ``seen`` near the way, if most subs show one.
    Raises :class:`CometError` when the marks say nothing of the motion.
    """
    times = sorted({mark.when for mark in marks})
    if len(times) < 2:
        raise CometError("mark the comet in two subs or more, taken at different times")
    epoch = times[0]
    hours = np.array([_hours(mark.when, epoch) for mark in marks])
    terms = 3 if len(times) > 2 else 2
    found = _fit(hours, np.array([mark.place for mark in marks]), terms)
    drawn = Motion(epoch, found)
    better = _followed(drawn, seen, _MARK_PX)
    return better if better is not None else drawn


def find_motion(seen: Sequence[Sightings]) -> Motion:
    """The way of the brightest source that moves; raises :class:`CometError` when none is found."""
    seen = sorted(seen, key=lambda one: one.when)
    which = np.linspace(0, len(seen) - 1, min(len(seen), _SEARCHED_SUBS)).astype(int)
    chosen = [seen[i] for i in which]
    if len(chosen) < _LEAST_SUBS or chosen[0].when == chosen[-1].when:
        raise CometError(f"a comet is found in {_LEAST_SUBS} subs or more; mark it in two of them instead")
    movers = _movers(chosen)
    best, confirmed = _proposed(chosen, movers)
    motion = None if best is None else _followed(best, seen, _NEAR_PX)
    if motion is None or confirmed < max(_LEAST_SUBS, _CONFIRMED_SHARE * len(chosen)):
        raise CometError(
            "no source moves steadily over the stars: mark the comet's middle in two subs or more instead"
        )
    return motion


def _movers(seen: Sequence[Sightings]) -> list[Points]:
    """Of each sub, the places where few others show anything."""
    number = np.repeat(np.arange(len(seen)), [len(one.places) for one in seen])
    places = np.concatenate([one.places for one in seen])
    near = cKDTree(places).query_ball_point(places, _SAME_PLACE_PX)
    others = np.array([len(set(number[each].tolist())) for each in near])
    moving = others <= max(_STAR_SHARE * len(seen), 1.0)
    return [places[moving & (number == i)] for i in range(len(seen))]


def _proposed(seen: Sequence[Sightings], movers: Sequence[Points]) -> tuple[Motion | None, int]:
    """The straight way that most subs confirm, and how many do."""
    epoch = seen[0].when
    hours = np.array([_hours(one.when, epoch) for one in seen])
    trees = [cKDTree(places) if len(places) else None for places in movers]
    best: Motion | None = None
    most = 0
    for early in range(min(_PAIRS, len(seen) // 3 + 1)):
        late = len(seen) - 1 - early
        lapse = hours[late] - hours[early]
        alone = _alone(movers[early], movers[late])
        first, last = (places[spread_order(places)[:_TRIED]] for places in alone)
        if lapse <= 0 or not len(first) or not len(last):
            continue
        speed = ((last[None] - first[:, None]) / lapse).reshape(-1, 2)
        start = np.repeat(first, len(last), axis=0) - hours[early] * speed
        fast = np.hypot(*speed.T) * hours[-1] > _LEAST_MOTION_PX
        speed, start = speed[fast], start[fast]
        if not len(speed):
            continue
        votes = np.zeros(len(speed), np.int64)
        for hour, tree in zip(hours, trees, strict=True):
            if tree is not None:
                distance, _ = tree.query(start + hour * speed, distance_upper_bound=_SAME_PLACE_PX)
                votes += np.isfinite(distance)
        winner = int(np.argmax(votes))
        if votes[winner] > most:
            most, best = int(votes[winner]), Motion(epoch, np.stack((start[winner], speed[winner])))
    return best, most


def _alone(first: Points, last: Points) -> tuple[Points, Points]:
    """The same sources of two subs without those that many others all over the field go along with."""
    for _ in range(_COMPANIES):
        if min(len(first), len(last)) <= _TOGETHER:
            break
        ways = (last[None] - first[:, None]).reshape(-1, 2)
        cell = np.floor(ways / (2 * _SAME_PLACE_PX)).astype(np.int64)
        _, which, counts = np.unique(cell, axis=0, return_inverse=True, return_counts=True)
        usual = len(ways) / max(float(np.prod(np.ptp(cell, axis=0) + 1)), 1.0)
        most = int(np.argmax(counts))
        if counts[most] <= max(_TOGETHER, _CROWD * usual):
            break
        way = ways[which.ravel() == most].mean(axis=0)
        i, j = match(cKDTree(last), first + way, 2 * _SAME_PLACE_PX).T
        if not len(i) or np.any(np.std(first[i], axis=0) < np.std(first, axis=0) / 2):
            break
        first, last = np.delete(first, i, axis=0), np.delete(last, j, axis=0)
    return first, last


def _followed(motion: Motion, seen: Sequence[Sightings], radius: float) -> Motion | None:
    """The way through the sources near a way; None if fewer than half the subs show one."""
    shown = [one for one in seen if len(one.places)]
    if len(shown) < _LEAST_SUBS:
        return None
    hours = np.array([_hours(one.when, motion.epoch) for one in shown])
    found = motion.coefficients
    keep = np.zeros(len(shown), dtype=bool)
    for step in range(_ROUNDS):
        way = _along(found, hours)
        nearest = np.array(
            [one.places[np.hypot(*(one.places - at).T).argmin()] for one, at in zip(shown, way, strict=True)]
        )
        off = np.hypot(*(nearest - way).T)
        near = off < max(radius / (step + 1), _SAME_PLACE_PX)
        typical = 1.4826 * float(np.median(off[near])) if near.any() else 0.0
        keep = near & (off <= max(_CLIP_SIGMA * typical, 0.2))
        if keep.sum() < max(_LEAST_SUBS - 1, len(shown) / 2):
            return None
        found = _fit(hours[keep], nearest[keep], len(motion.coefficients))
        if len(found) == 2 and keep.sum() >= _CURVED_SUBS:
            curved = _fit(hours[keep], nearest[keep], 3)
            if _scatter(curved, hours[keep], nearest[keep]) < _CURVED_GAIN * _scatter(
                found, hours[keep], nearest[keep]
            ):
                found = curved
    return Motion(motion.epoch, found)


def _fit(hours: NDArray[np.float64], places: Points, terms: int) -> NDArray[np.float64]:
    unit = float(np.abs(hours).max()) or 1.0
    powers = np.arange(terms)
    found, *_ = np.linalg.lstsq((hours[:, None] / unit) ** powers, places, rcond=None)
    return np.asarray(found / unit ** powers[:, None])


def _along(coefficients: NDArray[np.float64], hours: NDArray[np.float64]) -> Points:
    return np.asarray(hours[:, None] ** np.arange(len(coefficients)) @ coefficients)


def _scatter(coefficients: NDArray[np.float64], hours: NDArray[np.float64], places: Points) -> float:
    """Mean squared distance, each term of the way paid for."""
    free = max(len(hours) - len(coefficients), 1)
    return float(((places - _along(coefficients, hours)) ** 2).sum() / free)


def _hours(when: datetime, epoch: datetime) -> float:
    return (when - epoch).total_seconds() / 3600
