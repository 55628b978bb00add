"""Where a tile of the stack lies in a frame, and which of its places the frame has seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numerics.compiling import kernel

TILE_ROWS, TILE_COLUMNS = 64, 512

_STEEPEST = 0.17  # two passes lose resolution beyond about 10°
_MOST_STRETCH = 0.05
_EDGE = 1e-3
_PARABOLA, _CUBE = 0.25, 0.385  # the most of s(1 - s), and of s(1 - s²)


class Region(NamedTuple):
    """The piece of a frame that a tile needs, turned so that its rows run nearly along the stack's.

    A place (u, v) of the tile is at p = tx + a·u + b·v + a2·u² + a3·u³ + ab·u·v of the piece, and at q =
    ty + d·u + e·v + d2·u² + d3·u³ + de·u·v; the piece's (p, q) is (x0, y0) + turn · (p, q) of the frame.
    """

    a: float
    b: float
    tx: float
    a2: float
    a3: float
    ab: float
    d: float
    e: float
    ty: float
    d2: float
    d3: float
    de: float
    steep: bool
    rows: int
    columns: int
    x0: int
    y0: int
    reached: bool
    inside: bool


@kernel(inline=True)
def at(u, v, straight, down, origin, square, cube, both):  # type: ignore[no-untyped-def]
    """One coordinate of where a tile's place (u, v) lies."""
    return origin + down * v + u * (straight + both * v + u * (square + u * cube))


@kernel()
def region_of(way, turn, rows, columns, reach, shape):  # type: ignore[no-untyped-def]
    """The region for a tile of ``rows`` by ``columns``, with a kernel's ``reach`` around it.

    ``way`` (2, 6) leads from a place (u, v) in the tile to one in the frame (h, w) of ``shape``: the factors
    of u, v, 1, u², u³ and u·v. ``turn`` (2, 2) is a signed permutation.
    """
    a = turn[0, 0] * way[0, 0] + turn[1, 0] * way[1, 0]
    b = turn[0, 0] * way[0, 1] + turn[1, 0] * way[1, 1]
    tx = turn[0, 0] * way[0, 2] + turn[1, 0] * way[1, 2]
    a2 = turn[0, 0] * way[0, 3] + turn[1, 0] * way[1, 3]
    a3 = turn[0, 0] * way[0, 4] + turn[1, 0] * way[1, 4]
    ab = turn[0, 0] * way[0, 5] + turn[1, 0] * way[1, 5]
    d = turn[0, 1] * way[0, 0] + turn[1, 1] * way[1, 0]
    e = turn[0, 1] * way[0, 1] + turn[1, 1] * way[1, 1]
    ty = turn[0, 1] * way[0, 2] + turn[1, 1] * way[1, 2]
    d2 = turn[0, 1] * way[0, 3] + turn[1, 1] * way[1, 3]
    d3 = turn[0, 1] * way[0, 4] + turn[1, 1] * way[1, 4]
    de = turn[0, 1] * way[0, 5] + turn[1, 1] * way[1, 5]
    wide, tall = columns - 1.0, rows - 1.0
    across, climb = wide * (a + wide * (a2 + wide * a3)), wide * (d + wide * (d2 + wide * d3))
    steep = max(abs(b), abs(climb) / max(wide, 1.0)) > _STEEPEST
    steep = steep or max(abs(across - wide) / max(wide, 1.0), abs(e - 1)) > _MOST_STRETCH
    beta = 0.0 if steep else b / e
    twist = 0.0 if steep else (ab - beta * de) / e
    # How far the rows are from the straight line between their ends, at most.
    square, cube = abs(a2) + abs(d2) + abs(twist * d), abs(a3) + abs(d3)
    margin = reach + int(np.ceil(wide * wide * (_PARABOLA * square + _CUBE * wide * cube)))
    below = e * tall, e * tall + climb + de * wide * tall
    q0 = int(np.floor(ty + min(min(0.0, climb), min(below[0], below[1])))) - margin
    q1 = int(np.floor(ty + max(max(0.0, climb), max(below[0], below[1])))) + margin + 1
    if steep:
        lower = b * tall, b * tall + across + ab * wide * tall
        low = tx + min(min(0.0, across), min(lower[0], lower[1]))
        high = tx + max(max(0.0, across), max(lower[0], lower[1]))
    else:  # the first pass runs over all rows of the piece, see line_of
        gamma, alpha = tx - beta * ty, across - beta * climb - twist * d * wide * wide
        upper = beta * q0, beta * q0 + alpha + twist * wide * (q0 - ty)
        lower = beta * q1, beta * q1 + alpha + twist * wide * (q1 - ty)
        low = gamma + min(min(upper[0], upper[1]), min(lower[0], lower[1]))
        high = gamma + max(max(upper[0], upper[1]), max(lower[0], lower[1]))
    p0, p1 = int(np.floor(low)) - margin, int(np.floor(high)) + margin + 1
    x0, y0 = turn[0, 0] * p0 + turn[0, 1] * q0, turn[1, 0] * p0 + turn[1, 1] * q0
    x1, y1 = turn[0, 0] * p1 + turn[0, 1] * q1, turn[1, 0] * p1 + turn[1, 1] * q1
    left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    reached = right >= 0 and bottom >= 0 and left < shape[1] and top < shape[0]
    inside = min(left, top) + margin >= 0 and right - margin < shape[1] and bottom - margin < shape[0]
    return Region(
        *(a, b, tx - p0, a2, a3, ab, d, e, ty - q0, d2, d3, de),
        *(steep, q1 - q0 + 1, p1 - p0 + 1, x0, y0, reached, inside),
    )


@kernel()
def footprint(way, shape, there) -> None:  # type: ignore[no-untyped-def]
    """Tell which places of a tile lie within the frame."""
    for v in range(there.shape[0]):
        for u in range(there.shape[1]):
            x = at(u, v, way[0, 0], way[0, 1], way[0, 2], way[0, 3], way[0, 4], way[0, 5])
            y = at(u, v, way[1, 0], way[1, 1], way[1, 2], way[1, 3], way[1, 4], way[1, 5])
            there[v, u] = -_EDGE <= x <= shape[1] - 1 + _EDGE and -_EDGE <= y <= shape[0] - 1 + _EDGE


@kernel()
def mask_holes(present, region, there) -> None:  # type: ignore[no-untyped-def]
    """Take places out whose 4×4 nearest pixels are not all present: they would be made of the filling."""
    for v in range(there.shape[0]):
        for u in range(there.shape[1]):
            if not there[v, u]:
                continue
            x = at(u, v, region.a, region.b, region.tx, region.a2, region.a3, region.ab)
            y = at(u, v, region.d, region.e, region.ty, region.d2, region.d3, region.de)
            first_x, last_x = _nearest(x)
            first_y, last_y = _nearest(y)
            for j in range(first_y, last_y + 1):
                for i in range(first_x, last_x + 1):
                    if present[j, i] == 0:
                        there[v, u] = False


@kernel()
def _nearest(position):  # type: ignore[no-untyped-def]
    """First and last of the four pixels around a position; one, if it is at a pixel's middle."""
    whole = int(np.floor(position + _EDGE))
    return (whole, whole) if position - whole < _EDGE else (whole - 1, whole + 2)
