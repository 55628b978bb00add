"""What stays in place on the sensor while the sky moves, and so is no star: warm pixels and their clusters.

They are told from stars in the two lists that are compared, and in nothing else, so that a sub's transform
hangs neither on other subs nor on their order. A sub that did not move shows nothing of the kind: there the
stars stay in place, too, and nothing else supports another transform.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from livestack.geometry import Points
from livestack.warp import Warp
from measure.stars import Stars

Mask = NDArray[np.bool_]
Pairs = NDArray[np.intp]

FAINT_STAY_PX, BRIGHT_STAY_PX = 1.0, 0.3
"""Within these a place counts as the same: faint sources scatter by so much, slow skies move so little."""

_LEAST_PAIRS = 3
_CHANCE_SIGMA = 4.0
_SLOW_PX = 2.0
_MOVED_PX = 0.4
"""By so much a transform must move a place for a source that stays there to be no star."""
_FOLLOWING = 0.25
"""Sources that make this share of a transform's way follow it: they are stars that barely moved."""
_STAR_PX = 0.5
_WIDER = 1.25
_BRIGHT_SNR = 10.0
_ROUND = 0.7
_LEAST_WIDE = 3
_EXACT_PX = 0.05
_NARROW_PX = 2.2


def match(tree: cKDTree, moved: Points, radius: float) -> Pairs:
    """Return (N, 2) index pairs of mutual nearest neighbours within ``radius``."""
    distance, j = tree.query(moved, distance_upper_bound=radius)
    i = np.flatnonzero(np.isfinite(distance))
    order = i[np.argsort(distance[i], kind="stable")]
    _, first = np.unique(j[order], return_index=True)
    chosen = np.sort(order[first])
    return np.column_stack((chosen, j[chosen])).astype(np.intp)


def staying(tree: cKDTree, places: Points, radius: float) -> Pairs:
    """Pairs (N, 2) of sources at the same place of the sensor; none where chance alone explains as many."""
    pairs = match(tree, places, radius)
    expected = (
        len(places) * len(tree.data) * np.pi * radius**2 / float(np.prod(np.ptp(tree.data, axis=0) + 1))
    )
    enough = _LEAST_PAIRS + expected + _CHANCE_SIGMA * np.sqrt(expected)
    return pairs if len(pairs) >= enough else pairs[:0]


def drifts_slowly(places: Points, tree: cKDTree) -> bool:
    """Whether these sources have others near them that lie on one side, rather than all around."""
    i, j = match(tree, places, _SLOW_PX).T
    off = np.median(tree.data[j] - places[i], axis=0) if len(i) else np.zeros(2)
    return bool(np.hypot(*off) > _MOVED_PX)


def still_in_place(warp: Warp, places: Points, tree: cKDTree, pairs: Pairs) -> Mask:
    """Which of those pairs do not follow a transform that the other sources support."""
    here, there = places[pairs[:, 0]], np.asarray(tree.data)[pairs[:, 1]]
    moved = warp.forwards(here)
    way = ((moved - here) ** 2).sum(axis=1)
    still = way > _MOVED_PX**2
    if still.any():
        share = ((there - here) * (moved - here)).sum(axis=1)[still] / way[still]
        still &= float(np.median(share)) < _FOLLOWING
        distance, j = tree.query(moved, distance_upper_bound=_STAR_PX)
        still &= ~np.isfinite(distance) | (j == pairs[:, 1])  # or a star that came where another was
    return np.asarray(still)


def wide_ones(stars: Stars, staying_: NDArray[np.intp]) -> Mask:
    """Bright round sources that are clearly wider than those that stay in place."""
    usual = float(np.median(stars.fwhm_px[staying_]))
    bright = (stars.snr > _BRIGHT_SNR) & (stars.b > _ROUND * stars.a)
    return np.asarray(bright & (stars.fwhm_px > _WIDER * usual))


def only_warm_pixels_stay(sub: Stars, reference: Stars, pairs: Pairs) -> bool:
    """Whether narrow sources stay exactly in place while most of the reference's wide ones, stars, do not.

    The sub may show no stars at all, under a cloud.
    """
    if not len(pairs):
        return False
    off = np.median(sub.xy[pairs[:, 0]] - reference.xy[pairs[:, 1]], axis=0)
    if np.hypot(*off) > _EXACT_PX or np.median(reference.fwhm_px[pairs[:, 1]]) > _NARROW_PX:
        return False
    gone, stay = (_wide_gone(*each) for each in ((reference, pairs[:, 1]), (sub, pairs[:, 0])))
    return gone[0] >= _LEAST_WIDE and gone[0] > gone[1] and stay[0] >= stay[1]


def _wide_gone(stars: Stars, stay: NDArray[np.intp]) -> tuple[int, int]:
    """How many wide ones do not stay in place, and how many do."""
    wide = wide_ones(stars, stay)
    staying_ = int(wide[stay].sum())
    return int(wide.sum()) - staying_, staying_
