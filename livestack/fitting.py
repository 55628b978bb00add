"""Fits to matched stars: a similarity or an affine map by reweighted least squares, and a bend on top."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from livestack.geometry import Matrix, Points, apply, fit_affine, fit_similarity
from livestack.warp import Bend, terms

_Fit = Callable[[Points, Points, NDArray[np.float64]], Matrix]

_AFFINE_MIN_MATCHES = 20
_AFFINE_GAIN = 0.95
_BEND_TERMS = ((6, 12), (10, 60))
"""Terms of a bend, and the least matches for them."""
_BEND_GAIN = 0.75
_ENOUGH = 400
"""So many matches tell whether there is a bend."""
_BEND_CHANCE = 1e-6
_MATRIX_TERMS = 3
_CAPPED = 9.0
REWEIGHTED = 4
_BEND_RIDGE = 1e-6


def fit_robustly(
    source: Points, target: Points, variance: NDArray[np.float64], rounds: int = REWEIGHTED
) -> Matrix | None:
    """Similarity by reweighted least squares (Cauchy weights), or affine where that explains clearly more."""
    similarity, cost = _reweighted(fit_similarity, source, target, variance, rounds)
    if not np.isfinite(similarity).all():
        return None
    if len(source) < _AFFINE_MIN_MATCHES:
        return similarity
    affine, affine_cost = _reweighted(fit_affine, source, target, variance, rounds)
    return affine if np.isfinite(affine).all() and affine_cost < _AFFINE_GAIN * cost else similarity


def _reweighted(
    fit: _Fit, source: Points, target: Points, variance: NDArray[np.float64], rounds: int
) -> tuple[Matrix, float]:
    """Return the fit and the median of its residuals in units of their expected errors."""
    weight = 1.0 / variance
    normalised = np.empty(0)
    matrix = np.eye(3)
    for _ in range(rounds):
        try:
            matrix = fit(source, target, weight)
        except np.linalg.LinAlgError:
            return np.full((3, 3), np.nan), float("inf")
        square = ((apply(matrix, source) - target) ** 2).sum(axis=1)
        normalised = square / variance
        typical = max(float(np.median(normalised)), 1e-12)
        weight = 1.0 / variance / (1.0 + normalised / (6.0 * typical))
    return matrix, float(np.sqrt(np.median(normalised)))


def fit_bend(moved: Points, target: Points, variance: NDArray[np.float64], swing: float) -> Bend | None:
    """What :func:`_bend` says of all matches, if it says so of some of them already."""
    few = slice(None, None, -(-len(moved) // _ENOUGH))
    if len(moved) > _ENOUGH and _bend(moved[few], target[few], variance[few], swing) is None:
        return None
    return _bend(moved, target, variance, swing)


def _bend(moved: Points, target: Points, variance: NDArray[np.float64], swing: float) -> Bend | None:
    """What is left of the stars' distances after the matrix as a smooth field, if that explains clearly more.

    Moved third-order (Seidel) distortion, and the projection of a sky that moved, differ by a field of the
    second degree from what they were: few stars are enough for it. The third is taken where many ask for it.
    Judged by the median residual, corrected for the terms that any field of noise would feed, and by an
    F-test; and not believed where it swings up to more than ``swing`` times what it is at the stars, in the
    corners.
    """
    found: Bend | None = None
    before, terms_before = _squares(target - moved, variance), _MATRIX_TERMS
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
        after = _squares(left - design @ coefficients, variance)
        better = _is_better(before, after, terms_before, n_terms, len(moved))
        if steady and better and cost < limit:
            found, limit = bend, _BEND_GAIN * cost
            before, terms_before = after, n_terms
    return found


def _squares(left: Points, variance: NDArray[np.float64]) -> float:
    """Sum of the squared residuals in units of their errors, none counted for more than a few usual ones."""
    square = (left**2).sum(axis=1) / variance
    return float(np.minimum(square, _CAPPED * np.median(square)).sum())


def _is_better(before: float, after: float, terms_before: int, n_terms: int, n: int) -> bool:
    """Whether noise would hardly ever feed the additional terms so well (F-test; two coordinates a star)."""
    added, free = 2 * (n_terms - terms_before), 2 * (n - n_terms)
    if free <= 0 or after <= 0:
        return free > 0 and before > 0
    return float(fdtrc(added, free, max(before - after, 0.0) / added / (after / free))) < _BEND_CHANCE


def _smooth(
    design: NDArray[np.float64], left: Points, variance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Coefficients (terms, 2) by damped least squares (Cauchy weights), and the median squared residual."""
    weight = 1.0 / variance
    coefficients, typical = np.zeros((design.shape[1], 2)), np.inf
    for _ in range(REWEIGHTED):
        weighted = (design * weight[:, None]).T
        normal = weighted @ design
        damped = normal + _BEND_RIDGE * np.trace(normal) / len(normal) * np.eye(len(normal))
        coefficients = np.linalg.solve(damped, weighted @ left)
        normalised = ((left - design @ coefficients) ** 2).sum(axis=1) / variance
        typical = max(float(np.median(normalised)), 1e-12)
        weight = 1.0 / variance / (1.0 + normalised / (6.0 * typical))
    return coefficients, typical
