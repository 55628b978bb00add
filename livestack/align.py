"""Where a sub lies on the reference: from star lists to a transform that has been verified.

The first meeting goes by triangles (astroalign; Beroiz, Cabral & Sanchez 2020), blind to shift and rotation;
where the lists differ in depth and field, as those of two telescopes do, by many more (livestack.asterisms).
Afterwards a sub starts from where the last one lay: the brightest stars vote on the shift since then. Either
way the guess is refined on all stars by nearest neighbours, and believed only if that many matches cannot be
chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import astroalign
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import bdtrc

from livestack.asterisms import MIRRORED, guesses
from livestack.geometry import Matrix, Points, apply, fit_affine, fit_similarity, scale, size
from livestack.warp import Bend, Warp, terms
from measure.stars import Stars

MIN_STARS = 6

_Fit = Callable[[Points, Points, NDArray[np.float64]], Matrix]

_MIN_MATCHES = 5
_CHANCE = 1e-8
_STEADY_SCALE = 1.1
"""By no more than this factor may a fit leave its guess: what drifts off was none."""
_SEARCH_RADII_PX = (4.0, 2.5, 1.5, 1.5, 1.5)
_SCALES = (0.25, 4.0)
# An unrelated field costs astroalign about 0.1 s with 30 stars, 1 s with 60, and ever more beyond.
_TRIANGLE_STARS = 30
_VOTING_STARS = 80
_MAX_DRIFT_PX = 60.0
_CENTROID_FLOOR_PX = 0.02
_AFFINE_MIN_MATCHES = 20
_AFFINE_GAIN = 0.95
_BEND_TERMS = ((6, 12), (10, 60))
"""Terms of a bend, and the least matches for them."""
_BEND_GAIN = 0.75
_REWEIGHTED = 4
_BEND_RIDGE = 1e-6
_BEND_ROUNDS = ((3.0, 12.0), (3.0, 6.0), (3.0, 3.0), (2.0, 3.0), (1.5, 3.0), (1.5, 3.0))
"""Radii in pixels to match within, and how far a bend may swing up beyond its stars (:func:`_bend`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """``matrix`` is 3×3, sub → reference; ``pairs`` (N, 2) index the matched stars of sub and reference.

    ``bend`` comes on top where the stars ask for it: distortion moves with the field, not with the stars.
    """

    matrix: Matrix
    rms_px: float
    pairs: NDArray[np.intp]
    bend: Bend | None = None

    @property
    def warp(self) -> Warp:
        """Matrix and bend."""
        return Warp(self.matrix, self.bend)

    @property
    def n_matches(self) -> int:
        """How many stars the fit rests on."""
        return len(self.pairs)


@dataclass(frozen=True, slots=True)
class Lost:
    """No transform could be believed; ``reason`` is a word to group by, ``detail`` says it in a sentence."""

    reason: str
    detail: str


def find_transform(stars: Stars, reference: Stars, start: Matrix | None = None) -> Transform | Lost:
    """Find what takes ``stars`` onto ``reference``; ``start`` is the transform of the sub before, if any."""
    if len(stars) < MIN_STARS:
        return Lost("too few stars", f"{len(stars)} stars found, {MIN_STARS} are needed")
    if start is not None:
        found = _refine(stars, reference, _vote(stars, reference, start))
        if found is not None:
            return found
    for guess in _guesses(stars, reference):
        found = _refine(stars, reference, guess)
        if found is not None:
            return found
    return Lost("no match", f"none of its {len(stars)} stars fall on the reference's {len(reference)}")


def _guesses(stars: Stars, reference: Stars) -> Iterator[Matrix]:
    with suppress(astroalign.MaxIterError, ValueError, np.linalg.LinAlgError):
        found, _ = astroalign.find_transform(stars.xy, reference.xy, max_control_points=_TRIANGLE_STARS)
        yield np.asarray(found.params, dtype=np.float64)
    for mirrored in (False, True):
        yield from guesses(stars.xy, reference.xy, mirrored=mirrored)


def _vote(stars: Stars, reference: Stars, start: Matrix) -> Matrix:
    """Shift ``start`` by what most pairs of bright stars agree on, within the drift one sub may make."""
    coarse = max(1.0, size(start))
    drift = _MAX_DRIFT_PX * coarse
    moved, target = apply(start, stars.xy), reference.xy
    moved, target = (
        these[_within(these, those, drift)][:_VOTING_STARS]
        for these, those in ((moved, target), (target, moved))
    )
    difference = (target[:, None, :] - moved[None, :, :]).reshape(-1, 2)
    near = difference[np.abs(difference).max(axis=1) < drift]
    if not len(near):
        return start
    radius = coarse * _SEARCH_RADII_PX[0] / 2
    tree = cKDTree(near)
    votes = tree.query_ball_point(near, radius, return_length=True)
    centre = near[int(np.argmax(votes))]
    shift = near[tree.query_ball_point(centre, radius)].mean(axis=0)
    voted = start.copy()
    voted[:2, 2] += shift
    return voted


def _refine(stars: Stars, reference: Stars, guess: Matrix) -> Transform | None:
    """Match all stars by nearest neighbours from ``guess`` on and fit again, closer every round.

    Radii grow with the pixels of a sub that are larger than the reference's. A sub seen in a mirror is
    mirrored back first.
    """
    pixel = round(size(guess), 2)  # or the fit would depend on where the guess came from
    if not np.isfinite(guess).all() or not _SCALES[0] < pixel < _SCALES[1]:
        return None
    hand = MIRRORED if scale(guess) < 0 else np.eye(3)
    source, target = apply(hand, stars.xy), reference.xy
    tree, coarse = cKDTree(target), max(1.0, pixel)
    variance_s, variance_t = pixel**2 * _variance(stars), _variance(reference)
    matrix, pairs = guess @ hand, np.empty((0, 2), dtype=np.intp)
    for radius in _SEARCH_RADII_PX:
        pairs = _match(tree, apply(matrix, source), coarse * radius)
        if len(pairs) < _MIN_MATCHES:
            return None
        i, j = pairs.T
        fitted = _fit_robustly(source[i], target[j], variance_s[i] + variance_t[j])
        if fitted is None:
            return None
        matrix = fitted
    if not 1 / _STEADY_SCALE < size(matrix) / pixel < _STEADY_SCALE:
        return None
    warp = Warp(matrix)
    for radius, swing in _BEND_ROUNDS:  # from the middle outwards
        i, j = pairs.T
        bend = _bend(apply(matrix, source[i]), target[j], variance_s[i] + variance_t[j], swing)
        if bend is None:
            warp = Warp(matrix)
            break
        warp = Warp(matrix, bend)
        pairs = _match(tree, warp.forwards(source), coarse * radius)
    moved = warp.forwards(source)
    residual = np.hypot(*(moved[pairs[:, 0]] - target[pairs[:, 1]]).T)
    if not _believable(moved, target, residual, coarse * _SEARCH_RADII_PX[-1]):
        return None
    return Transform(matrix @ hand, float(np.sqrt(np.mean(residual**2))), pairs, warp.bend)


def _bend(moved: Points, target: Points, variance: NDArray[np.float64], swing: float) -> Bend | None:
    """What is left of the stars' distances after the matrix as a smooth field, if that explains clearly more.

    Moved third-order (Seidel) distortion, and the projection of a sky that moved, differ by a field of the
    second degree from what they were: few stars are enough for it. The third is taken where many ask for it.
    Judged by the median residual, corrected for the terms that any field of noise would feed; and not
    believed where it swings up to more than ``swing`` times what it is at the stars, in the corners.
    """
    found: Bend | None = None
    low, high = moved.min(axis=0), moved.max(axis=0)
    centre, reach = (low + high) / 2, float((high - low).max()) / 2
    corners = np.array([[low[0], low[1]], [high[0], low[1]], [low[0], high[1]], [high[0], high[1]]])
    design, left = terms((moved - centre) / reach), target - moved
    limit = _BEND_GAIN * float(np.median((left**2).sum(axis=1) / variance))
    for n_terms, least in _BEND_TERMS:
        if len(moved) < least:
            break
        coefficients = np.zeros((design.shape[1], 2))
        coefficients[:n_terms], typical = _smooth(design[:, :n_terms], left, variance)
        bend = Bend(centre, reach, coefficients)
        largest = float(np.hypot(*(design @ coefficients).T).max())
        steady = float(np.hypot(*bend.at(corners).T).max()) < swing * largest
        cost = typical / (1 - n_terms / len(moved))
        if steady and cost < limit:
            found, limit = bend, _BEND_GAIN * cost
    return found


def _smooth(
    design: NDArray[np.float64], left: Points, variance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Coefficients (terms, 2) by damped least squares (Cauchy weights), and the median squared residual."""
    weight = 1.0 / variance
    coefficients, typical = np.zeros((design.shape[1], 2)), np.inf
    for _ in range(_REWEIGHTED):
        normal = (design * weight[:, None]).T @ design
        damped = normal + _BEND_RIDGE * np.trace(normal) / len(normal) * np.eye(len(normal))
        coefficients = np.linalg.solve(damped, (design * weight[:, None]).T @ left)
        normalised = ((left - design @ coefficients) ** 2).sum(axis=1) / variance
        typical = max(float(np.median(normalised)), 1e-12)
        weight = 1.0 / variance / (1.0 + normalised / (6.0 * typical))
    return coefficients, typical


def _variance(stars: Stars) -> NDArray[np.float64]:
    """Variance of each centroid, per axis, in px²: (σ_PSF / SNR)² and a floor for what pixels do to it."""
    blur = np.where(stars.saturated, 5.0, 1.0)
    error: NDArray[np.float64] = blur * stars.fwhm_px / 2.355 / np.maximum(stars.snr, 1.0)
    return error**2 + (_CENTROID_FLOOR_PX * blur) ** 2


def _match(tree: cKDTree, moved: Points, radius: float) -> NDArray[np.intp]:
    """Return (N, 2) index pairs of mutual nearest neighbours within ``radius``."""
    distance, j = tree.query(moved, distance_upper_bound=radius)
    i = np.flatnonzero(np.isfinite(distance))
    order = i[np.argsort(distance[i], kind="stable")]
    _, first = np.unique(j[order], return_index=True)
    chosen = np.sort(order[first])
    return np.column_stack((chosen, j[chosen])).astype(np.intp)


def _fit_robustly(source: Points, target: Points, variance: NDArray[np.float64]) -> Matrix | None:
    """Similarity by reweighted least squares (Cauchy weights), or affine where that explains clearly more."""
    similarity, cost = _reweighted(fit_similarity, source, target, variance)
    if not np.isfinite(similarity).all():
        return None
    if len(source) < _AFFINE_MIN_MATCHES:
        return similarity
    affine, affine_cost = _reweighted(fit_affine, source, target, variance)
    return affine if np.isfinite(affine).all() and affine_cost < _AFFINE_GAIN * cost else similarity


def _reweighted(
    fit: _Fit, source: Points, target: Points, variance: NDArray[np.float64]
) -> tuple[Matrix, float]:
    """Return the fit and the median of its residuals in units of their expected errors."""
    weight = 1.0 / variance
    normalised = np.empty(0)
    matrix = np.eye(3)
    for _ in range(_REWEIGHTED):
        try:
            matrix = fit(source, target, weight)
        except np.linalg.LinAlgError:
            return np.full((3, 3), np.nan), float("inf")
        square = ((apply(matrix, source) - target) ** 2).sum(axis=1)
        normalised = square / variance
        typical = max(float(np.median(normalised)), 1e-12)
        weight = 1.0 / variance / (1.0 + normalised / (6.0 * typical))
    return matrix, float(np.sqrt(np.median(normalised)))


def _within(these: Points, those: Points, margin: float) -> NDArray[np.bool_]:
    """Which of these places (N, 2) are not further than ``margin`` from the field of those."""
    low, high = those.min(axis=0) - margin, those.max(axis=0) + margin
    return np.asarray(((these >= low) & (these <= high)).all(axis=1))


def _believable(moved: Points, target: Points, residual: NDArray[np.float64], radius: float) -> bool:
    """Whether so many matches, among the stars inside the reference, are beyond chance (binomial tail).

    Chance ones fill the circle that they are looked for in: a quarter of them lies within half its radius.
    """
    if np.median(residual) > radius / 2:
        return False
    shared = int(_within(moved, target, radius).sum())
    area = float(np.prod(np.ptp(target, axis=0) + 2 * radius))
    chance = min(1.0, len(target) * np.pi * radius**2 / area)
    # Two matches are used up by the four unknowns.
    trials, hits = shared - 2, len(residual) - 2
    return hits > 0 and trials >= hits and float(bdtrc(hits - 1, trials, chance)) < _CHANCE
