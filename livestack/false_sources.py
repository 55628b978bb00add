"""Sources that lie as few stars do: in crowded rows and columns of the sensor, on straight lines, in clumps.

Edges, bad columns, rows and bloomed stars fill the first, trails and spikes the second, halos and nebulae the
last. Many such sources follow no sky, and one crowd of them fits another at many places; so none of them
helps to find a transform.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtrc

from livestack.geometry import Points

Mask = NDArray[np.bool_]

_LEAST = 5
"""Sources that make a row or a line; two more or less are anywhere."""
_HALF_WIDTH_PX = 1.0
_CROWD_CHANCE = 1e-6
_PARTS = 24
"""The longer side is divided into so many parts to look for clumps."""
_LEAST_CLUMP = 8
_LINE_PX = 2.0
_LINE_SHARE = 0.1
_TRIALS = 150
_LOOKED_AT = 300
_LINES = 6


@dataclass(frozen=True, slots=True, eq=False)
class Crowds:
    """Which sources of one frame lie in crowded rows, columns or ``lines``, and which in ``clumps``."""

    lines: Mask
    clumps: Mask

    @property
    def all(self) -> Mask:
        """Which lie in any."""
        return self.lines | self.clumps


def crowded_sources(places: Points) -> Crowds:
    """The crowds among places (N, 2), brightest first."""
    lines = _in_rows(places)
    lines[~lines] = on_lines(places[~lines])
    clumps = np.zeros(len(places), dtype=bool)
    clumps[~lines] = _in_clumps(places[~lines])
    return Crowds(lines, clumps)


def _in_rows(places: Points) -> Mask:
    """Sources in a row or column that holds far more than its share."""
    marked = np.zeros(len(places), dtype=bool)
    if len(places) < _LEAST:
        return marked
    for along in places.T:
        order = np.argsort(along)
        ordered = along[order]
        first = np.searchsorted(ordered, ordered - _HALF_WIDTH_PX)
        others = np.searchsorted(ordered, ordered + _HALF_WIDTH_PX, side="right") - first - 1
        expected = len(places) * 2 * _HALF_WIDTH_PX / max(float(ordered[-1] - ordered[0]), 1.0)
        likely = np.flatnonzero(others >= max(_LEAST - 1, expected))
        marked[order[likely[pdtrc(others[likely] - 1, expected) < _CROWD_CHANCE]]] = True
    return marked


def _in_clumps(places: Points) -> Mask:
    """Sources in a part of the field that holds far more than its share."""
    if len(places) < _LEAST_CLUMP:
        return np.zeros(len(places), dtype=bool)
    low, extent = places.min(axis=0), np.maximum(np.ptp(places, axis=0), 1.0)
    parts = np.maximum(np.round(_PARTS * extent / extent.max()), 1).astype(np.intp)
    cell = np.minimum((parts * (places - low) / extent).astype(np.intp), parts - 1)
    number = cell[:, 0] * parts[1] + cell[:, 1]
    count = np.bincount(number)[number]
    expected = len(places) / float(parts.prod())
    return np.asarray((count >= _LEAST_CLUMP) & (pdtrc(count - 2, expected) < _CROWD_CHANCE))


def on_lines(places: Points) -> Mask:
    """Sources (N, 2) on straight lines that hold a good share of them."""
    on = np.zeros(len(places), dtype=bool)
    for _ in range(_LINES):
        rest = places[~on]
        few = rest[:: -(-len(rest) // _LOOKED_AT)] if len(rest) else rest
        n = len(few)
        if n <= _LEAST:
            break
        first, second = _pairs(n)
        along = few[second] - few[first]
        length = np.hypot(*along.T)
        apart = length > 4 * _LINE_PX
        if not apart.any():
            break
        normal = np.column_stack((-along[:, 1], along[:, 0]))[apart] / length[apart, None]
        level = (normal * few[first[apart]]).sum(axis=1)
        count = (np.abs(normal @ few.T - level[:, None]) < _LINE_PX).sum(axis=1)
        best = int(np.argmax(count))
        width, height = np.maximum(np.ptp(few, axis=0), 1.0)
        expected = 2 * _LINE_PX * n * float(np.hypot(width, height)) / float(width * height)
        if count[best] < max(_LEAST, _LINE_SHARE * n, 3 + 4 * min(expected, n / 8)):
            break
        on[np.flatnonzero(~on)[np.abs(rest @ normal[best] - level[best]) < _LINE_PX]] = True
    return on


def _pairs(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All pairs of a few places, or some of many: always the same ones."""
    if n < 20:
        first, second = np.triu_indices(n, 1)
        return first, second
    k = np.arange(_TRIALS)
    first = (k * 7919) % n
    return first, (first + 1 + (k * 104729) % (n - 1)) % n
