"""Where a bright edge rings: a value beyond all its neighbours, with something much brighter in reach."""

from __future__ import annotations

import numpy as np

from livestack.kernels.tiles import at
from numerics.compiling import kernel

EDGE = np.float32(50.0)
"""In noises: what is brighter by less rings by little more than one, 3 % of it, two pixels away."""

_SHARE = np.float32(0.02)
"""Stars of FWHM 2 px and more that are not saturated ring by less than this share of their peaks."""

_DIP = np.float32(3.0)
"""In noises: no star's faint ringing makes a place darker than that below its neighbours."""

_NEAR_TOP = np.float32(0.97)
_MOST_NEAR_TOP = 2
"""Pixels that are as bright as the brightest: more make a plateau, as a saturated star has."""

_CELL = 16


@kernel(fast=True)
def hold(piece, region, taps, noise, bright, values) -> None:  # type: ignore[no-untyped-def]
    """Hold a tile's ``values`` between their 2×2 neighbours in ``piece`` where an edge rings.

    An edge is a pixel that is much brighter than a place's neighbours, among the ``taps`` × ``taps`` of which
    its value is made, while that value is off the neighbours by more than ``noise``. A star's own peak is one
    of the neighbours, and is left alone; so is what little other stars ring, but for dark dips. Only places
    near pixels of more than ``bright`` are looked at.
    """
    height, width = values.shape
    lean = int(np.ceil(_CELL * abs(region.d) + 1))
    near = _near(piece, taps // 2 + lean, bright)
    for v in range(height):
        for left in range(0, width, _CELL):
            right = min(left + _CELL, width)
            if not (_marked(near, region, left, v) or _marked(near, region, right - 1, v)):
                continue
            for u in range(left, right):
                x = at(u, v, region.a, region.b, region.tx, region.a2, region.a3, region.ab)
                y = at(u, v, region.d, region.e, region.ty, region.d2, region.d3, region.de)
                i, j = np.uintp(x), np.uintp(y)
                i1, j1, value = i + np.uintp(1), j + np.uintp(1), values[v, u]
                low = min(min(piece[j, i], piece[j, i1]), min(piece[j1, i], piece[j1, i1]))
                high = max(max(piece[j, i], piece[j, i1]), max(piece[j1, i], piece[j1, i1]))
                held = min(max(value, low), high)
                off = abs(value - held)
                if off > noise:
                    edge, flat = _edge(piece, taps, i, j, held)
                    if edge > EDGE * noise and (flat or off > _SHARE * edge):
                        values[v, u] = held
                    elif edge > EDGE * noise and value < held:
                        values[v, u] = max(value, held - _DIP * noise)


@kernel(fast=True)
def _near(piece, reach, bright):  # type: ignore[no-untyped-def]
    """Rows, and cells of columns, near pixels that are brighter."""
    rows, columns = piece.shape
    cells = (columns + _CELL - 1) // _CELL
    near = np.zeros((rows, cells), np.bool_)
    for q in range(rows):
        for cell in range(cells):
            most = piece[q, cell * _CELL]
            for p in range(np.uintp(cell * _CELL), np.uintp(min((cell + 1) * _CELL, columns))):
                most = max(most, piece[np.uintp(q), p])
            if most > bright:
                for j in range(max(q - reach, 0), min(q + reach + 1, rows)):
                    for i in range(max(cell - 1, 0), min(cell + 2, cells)):
                        near[j, i] = True
    return near


@kernel(fast=True, inline=True)
def _marked(near, region, u, v):  # type: ignore[no-untyped-def]
    x = at(u, v, region.a, region.b, region.tx, region.a2, region.a3, region.ab)
    y = at(u, v, region.d, region.e, region.ty, region.d2, region.d3, region.de)
    return near[int(y), int(x) // _CELL]


@kernel(fast=True)
def _edge(piece, taps, i, j, ground):  # type: ignore[no-untyped-def]
    """How far above ``ground`` the brightest is of the pixels that a kernel takes for a place right of and
    below (``i``, ``j``), and whether it is one of a plateau, as where a star is saturated.
    """
    left, top = i - np.uintp(taps // 2 - 1), j - np.uintp(taps // 2 - 1)
    most = piece[top, left]
    for m in range(taps):
        for k in range(taps):
            most = max(most, piece[top + np.uintp(m), left + np.uintp(k)])
    limit, count = ground + _NEAR_TOP * (most - ground), 0
    for m in range(taps):
        for k in range(taps):
            count += piece[top + np.uintp(m), left + np.uintp(k)] > limit
    return most - ground, count > _MOST_NEAR_TOP
