"""Whether matched stars prove a transform, or chance and false sources explain them as well.

False sources crowd: along edges, columns and trails, in halos and glows. So chance is reckoned with the
density of sources around each place, the fluxes of matched stars must agree, what half of the stars say must
come true for the other half, and the matches must fix the transform over all of the field that both frames
show. A transform that fails is refused with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import bdtrc

from livestack.geometry import Points, apply, fit_similarity

Mask = NDArray[np.bool_]
Pairs = NDArray[np.intp]

LEAST_MATCHES = 5

_CHANCE = 1e-9
_HELD_OUT_CHANCE = 1e-3
_UNKNOWNS = 2
"""Matches that the four numbers of a similarity use up."""
_AROUND = 12.0
"""The sources around a place are counted within so many times the matching radius."""
_SPARSEST = (0.3, 0.6, 1.0)
"""Shares of the sources, those with the emptiest surroundings first, that are tested on their own."""
_LEAST_FLUXES = 6
_SAME_FLUX = 0.35
"""Natural logarithm: a scatter of the flux ratios that is no cause for doubt."""
_FLUX_GAIN = 0.7
_TILTED = 15
"""So many matches tell the gradient of a cloud."""
_SHUFFLES = 8
_LOOSEST_PX = 0.7


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """A transform's matches, all in pixels of the reference.

    ``moved`` (N, 2) are the sub's sources where the transform takes them, ``target`` (M, 2) those of the
    reference, ``tree`` holds these, ``pairs`` index both. ``log_flux`` and ``log_flux_target`` are logarithms
    of their fluxes, NaN for saturated stars.
    """

    moved: Points
    target: Points
    tree: cKDTree
    pairs: Pairs
    radius: float
    log_flux: NDArray[np.float64]
    log_flux_target: NDArray[np.float64]


def doubt(matched: Matched) -> str | None:
    """Why a transform is not to be believed; None for one that is."""
    moved, target, radius = matched.moved, matched.target, matched.radius
    i, j = matched.pairs.T
    n = len(i)
    if n < LEAST_MATCHES:
        return f"{n} matches are too few"
    residual = np.hypot(*(moved[i] - target[j]).T)
    if np.median(residual) > radius / 2:
        return f"{n} matches lie as far off as chance ones do"
    low, high = _shared(moved, target, radius)
    takes_part = within(moved, low, high)
    hit, chance = np.zeros(len(moved), dtype=bool), np.zeros(len(moved))
    hit[i] = True
    chance[takes_part] = _local_chance(moved[takes_part], hit[takes_part], matched.tree, (low, high), radius)
    if not _beyond_chance(hit[takes_part], chance[takes_part]):
        return f"{n} matches among {int(takes_part.sum())} sources can be chance"
    if not _pinned(moved[i], residual, np.array([low, high])):
        return f"{n} matches lie in too small a part of the field"
    if not _fluxes_agree(matched):
        return f"the fluxes of {n} matches do not agree"
    if not _foretold(matched, takes_part & ~hit, chance):
        return f"one half of {n} matches does not foretell the other"
    return None


def within(places: Points, low: Points, high: Points) -> Mask:
    """Which places (N, 2) lie in a box."""
    return np.asarray(((places >= low) & (places <= high)).all(axis=1))


def _shared(moved: Points, target: Points, margin: float) -> tuple[Points, Points]:
    """Corners of the box that both fields share."""
    low = np.maximum(moved.min(axis=0), target.min(axis=0)) - margin
    high = np.minimum(moved.max(axis=0), target.max(axis=0)) + margin
    return low, high


def _local_chance(
    moved: Points, hit: Mask, tree: cKDTree, box: tuple[Points, Points], radius: float
) -> NDArray[np.float64]:
    """How likely each source has another near it by chance, as those farther around it tell."""
    inside = int(within(tree.data, *box).sum())
    everywhere = min(1.0, inside * np.pi * radius**2 / float(np.prod(box[1] - box[0])))
    others = tree.query_ball_point(moved, _AROUND * radius, return_length=True) - hit
    return np.asarray(np.minimum(others / _AROUND**2 + everywhere, 1.0))


def _beyond_chance(hit: Mask, chance: NDArray[np.float64]) -> bool:
    order = np.argsort(chance, kind="stable")
    for share in _SPARSEST:
        chosen = order[: int(np.ceil(share * len(order)))]
        trials, hits = len(chosen) - _UNKNOWNS, int(hit[chosen].sum()) - _UNKNOWNS
        if hits > 0 and _tail(hits, trials, float(chance[chosen].mean())) < _CHANCE / len(_SPARSEST):
            return True
    return False


def _tail(hits: int, trials: int, chance: float) -> float:
    """How likely at least so many hits are."""
    return float(bdtrc(hits - 1, trials, min(chance, 1.0))) if hits > 0 else 1.0


def _pinned(places: Points, residual: NDArray[np.float64], box: Points) -> bool:
    """Whether a similarity through these places is certain in all corners of the field."""
    centre = places.mean(axis=0)
    spread = float(((places - centre) ** 2).sum())
    (left, top), (right, bottom) = box
    corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]])
    farthest = float(((corners - centre) ** 2).sum(axis=1).max())
    scatter = max(float(np.median(residual)) / 1.1774, 0.05)
    return bool(spread > 0) and scatter * np.sqrt(1 / len(places) + farthest / spread) < _LOOSEST_PX


def _fluxes_agree(matched: Matched) -> bool:
    """Whether flux ratios scatter less than those of random pairs; a cloud's gradient is allowed for."""
    i, j = matched.pairs.T
    own, others = matched.log_flux[i], matched.log_flux_target[j]
    known = np.isfinite(own) & np.isfinite(others)
    own, others, places = own[known], others[known], matched.target[j[known]]
    n = len(own)
    if n < _LEAST_FLUXES:
        return True
    ratio = own - others
    scatter = _mad(ratio)
    if scatter <= _SAME_FLUX:
        return True
    if n >= _TILTED:
        scatter = _mad(ratio - _plane(places, ratio))
    random = [_mad(own - np.roll(others, 1 + k * (n - 1) // _SHUFFLES)) for k in range(_SHUFFLES)]
    return scatter <= max(_SAME_FLUX, _FLUX_GAIN * float(np.median(random)))


def _mad(values: NDArray[np.float64]) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _plane(places: Points, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values of a plane through most of them."""
    scaled = (places - places.mean(axis=0)) / max(float(np.ptp(places, axis=0).max()), 1.0)
    design = np.column_stack((np.ones(len(values)), scaled))
    weight = np.ones(len(values))
    fitted = values
    for _ in range(3):
        root = np.sqrt(weight)
        found, *_ = np.linalg.lstsq(design * root[:, None], values * root, rcond=None)
        fitted = design @ found
        off = np.abs(values - fitted)
        weight = 1 / (1 + (off / max(2 * float(np.median(off)), 1e-6)) ** 2)
    return np.asarray(fitted)


def _foretold(matched: Matched, unpaired: Mask, chance: NDArray[np.float64]) -> bool:
    """Whether a fit to half of the matches finds counterparts for the sources of the other half."""
    i, j = matched.pairs.T
    alone = np.flatnonzero(unpaired)
    for half in (0, 1):
        fit, other = slice(half, None, 2), slice(1 - half, None, 2)
        matrix = fit_similarity(matched.moved[i[fit]], matched.target[j[fit]], np.ones(len(i[fit])))
        held_out = np.concatenate((i[other], alone[other]))
        places = apply(matrix, matched.moved[held_out])
        distance, _ = matched.tree.query(places, distance_upper_bound=matched.radius)
        hits = int(np.isfinite(distance).sum())
        if _tail(hits, len(held_out), float(chance[held_out].mean())) < _HELD_OUT_CHANCE:
            return True
    return False
