"""The same stars in two lists of different depth, field, scale and hand: where a first meeting needs more.

Triangles of neighbours are compared by their sides' ratios. Each pair of like triangles proposes a
similarity; where the stars are the same, many propose the same one (a generalised Hough transform, Ballard
1981). A telescope that sees a ninth of another's field, or nine times it, has other brightest stars: so many
of the one list are tried with so many of the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from livestack.geometry import Matrix, Points, apply, fit_similarity

MIRRORED = np.diag([-1.0, 1.0, 1.0])

_COUNTS = ((60, 60), (50, 200), (200, 50), (200, 200), (60, 600), (600, 60), (200, 600), (600, 200))
_ALIKE = ((60, 60),)
_NEIGHBOURS = 6
_LIKE = 0.01
"""How far the ratios of the sides may differ."""
_SLIMMEST = 0.15
_FLATTEST = 0.1
"""The least height of a triangle over its longest side: sources on a line make flat ones."""
_SAME_SCALE, _SAME_ANGLE, _SAME_PLACE = 0.02, 0.02, 0.02
"""What proposals may differ by: a share, radians, a share of the target's extent."""
_LEAST_VOTES = 4
_PARTS = 8
"""The field is divided into so many parts each way."""
_BEST = 4


def guesses(
    source: Points, target: Points, *, mirrored: bool = False, alike: bool = False
) -> Iterator[Matrix]:
    """Similarities (3×3) that many triangles of places (N, 2), brightest first, agree on; the best first.

    Lists that are ``alike`` in depth and field need few tries.
    """
    hand = MIRRORED if mirrored else np.eye(3)
    tried: set[tuple[int, int]] = set()
    for n_source, n_target in _ALIKE if alike else _COUNTS:
        sizes = min(n_source, len(source)), min(n_target, len(target))
        if min(sizes) > _NEIGHBOURS and sizes not in tried:
            tried.add(sizes)
            for found in _voted(apply(hand, source[: sizes[0]]), target[: sizes[1]]):
                yield found @ hand


def spread_order(places: Points, box: tuple[Points, Points] | None = None) -> NDArray[np.intp]:
    """An order of places (N, 2), brightest first, in which each part of the field in turn gives its next.

    So neither one bright thing that breaks into many sources, nor one corner, holds all the first ones.
    """
    if not len(places):
        return np.empty(0, np.intp)
    low, high = (places.min(axis=0), places.max(axis=0)) if box is None else box
    cell = np.clip((_PARTS * (places - low) / np.maximum(high - low, 1.0)).astype(np.intp), 0, _PARTS - 1)
    part = cell[:, 0] * _PARTS + cell[:, 1]
    grouped = np.argsort(part, kind="stable")
    rank = np.empty(len(places), np.intp)
    rank[grouped] = np.arange(len(places)) - np.searchsorted(part[grouped], part[grouped])
    return np.argsort(rank, kind="stable")


def _voted(source: Points, target: Points) -> Iterator[Matrix]:
    corners_s, shape_s = _triangles(source)
    corners_t, shape_t = _triangles(target)
    near = cKDTree(shape_t).query_ball_point(shape_s, _LIKE)
    i = np.repeat(np.arange(len(near)), [len(each) for each in near])
    if not len(i):
        return
    j = np.concatenate([np.asarray(each, np.intp) for each in near if each])
    s, t = source[corners_s[i]], target[corners_t[j]]
    (from_, to), (from_t, to_t) = ((_complex(each[:, 1]), _complex(each[:, 2])) for each in (s, t))
    turn = (to_t - from_t) / (to - from_)
    middle = _complex(np.median(source, axis=0))
    place = (from_t + turn * (middle - from_)) / (_SAME_PLACE * float(np.ptp(target, axis=0).max()))
    angle = np.exp(1j * np.angle(turn)) / _SAME_ANGLE
    size = np.log(np.abs(turn)) / _SAME_SCALE
    proposals = np.column_stack((size, angle.real, angle.imag, place.real, place.imag))
    tree = cKDTree(proposals)
    votes = np.asarray(tree.query_ball_point(proposals, 1.0, return_length=True))
    free = np.ones(len(votes), dtype=bool)
    for _ in range(_BEST):
        winner = int(np.argmax(np.where(free, votes, 0)))
        if not free[winner] or votes[winner] < _LEAST_VOTES:
            return
        agreed = np.asarray(tree.query_ball_point(proposals[winner], 1.0))
        free[np.asarray(tree.query_ball_point(proposals[winner], 3.0))] = False
        yield fit_similarity(s[agreed].reshape(-1, 2), t[agreed].reshape(-1, 2), np.ones(3 * len(agreed)))


def _triangles(points: Points) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Corners (N, 3), each opposite to the longest, middle and shortest side, and the sides' ratios with the
    hand (N, 3): mirror images lie far apart.
    """
    _, near = cKDTree(points).query(points, _NEIGHBOURS + 1)
    pairs = np.array(list(combinations(range(1, _NEIGHBOURS + 1), 2)))
    corners = np.concatenate([near[:, [0, a, b]] for a, b in pairs])
    corners = np.unique(np.sort(corners, axis=1), axis=0)
    place = points[corners]
    opposite = np.linalg.norm(np.roll(place, -1, axis=1) - np.roll(place, 1, axis=1), axis=2)
    order = np.argsort(-opposite, axis=1)
    corners, sides = np.take_along_axis(corners, order, 1), np.take_along_axis(opposite, order, 1)
    first, second, third = (_complex(points[corner]) for corner in corners.T)
    double_area = ((second - first).conj() * (third - first)).imag
    hand = np.sign(double_area)
    shape = np.column_stack((sides[:, 1:] / np.maximum(sides[:, :1], 1e-9), hand))
    good = (shape[:, 1] > _SLIMMEST) & (np.abs(double_area) > _FLATTEST * sides[:, 0] ** 2)
    return corners[good].astype(np.intp), shape[good]


def _complex(points: Points) -> NDArray[np.complex128]:
    return np.asarray(points[..., 0] + 1j * points[..., 1])
