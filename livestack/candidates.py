"""Transforms that are worth a try: near a place where the last sub lay, or of any shift, turn and scale."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from scipy.ndimage import uniform_filter

from livestack.asterisms import guesses, spread_order
from livestack.geometry import Matrix, Points, apply, size
from livestack.match_evidence import within

# An unrelated field costs astroalign about 0.1 s with 30 stars, 1 s with 60, and ever more beyond.
_TRIANGLE_STARS = 30
_VOTING_STARS = 300
_VOTED = 3
_MAX_DRIFT_PX = 60.0
_AGREED_PX = 3.0


def blind_guesses(source: Points, target: Points) -> Iterator[Matrix]:
    """By our own triangles, straight and mirrored, then by astroalign's; places (N, 2), brightest first."""
    for hand in (False, True):
        yield from guesses(source, target, mirrored=hand)
    import astroalign  # rarely needed, and slow to import

    with suppress(astroalign.MaxIterError, ValueError, np.linalg.LinAlgError):
        found, _ = astroalign.find_transform(source, target, max_control_points=_TRIANGLE_STARS)
        yield np.asarray(found.params, dtype=np.float64)


def shifted(places: Points, others: Points, start: Matrix) -> Iterator[Matrix]:
    """``start`` shifted by what most pairs of sources agree on, within the drift one sub may make.

    The most votes come first, then the next ones.
    """
    coarse = max(1.0, size(start))
    drift = _MAX_DRIFT_PX * coarse
    places = apply(start, places)
    low = np.maximum(places.min(axis=0), others.min(axis=0)) - drift
    high = np.minimum(places.max(axis=0), others.max(axis=0)) + drift
    moved, target = (
        inside[spread_order(inside, (low, high))[:_VOTING_STARS]]
        for inside in (these[within(these, low, high)] for these in (places, others))
    )
    i, j = np.nonzero(np.abs(np.subtract.outer(moved[:, 0], target[:, 0])) < drift)
    difference = target[j] - moved[i]
    near = difference[np.abs(difference[:, 1]) < drift]
    if not len(near):
        yield start
        return
    bins = int(2 * _MAX_DRIFT_PX)
    ballots, *_ = np.histogram2d(near[:, 0], near[:, 1], bins=bins, range=((-drift, drift), (-drift, drift)))
    votes = uniform_filter(ballots, 4, mode="constant")
    radius = coarse * _AGREED_PX
    for _ in range(_VOTED):
        peak = np.array(np.unravel_index(int(np.argmax(votes)), votes.shape))
        centre = peak * coarse - drift
        agreed = np.hypot(*(near - centre).T) < radius
        if not agreed.any():
            return
        voted = start.copy()
        voted[:2, 2] += near[agreed].mean(axis=0)
        yield voted
        x, y = (slice(max(0, at - 4), at + 5) for at in peak)
        votes[x, y] = 0
