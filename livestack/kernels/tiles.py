"""Where a tile of the stack lies in a frame, and which of its places the frame has seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from library.kernels.compiling import kernel
from livestack.kernels.resampling import bent

TILE_ROWS, TILE_COLUMNS = 64, 256

_STEEPEST = 0.17  # two passes lose resolution beyond about 10°
_MOST_STRETCH = 0.05
_EDGE = 1e-3


class Region(NamedTuple):
    """The piece of a frame that a tile needs, turned so that its rows run nearly along the stack's.

    A place (u, v) of the tile is at p = a·u + b·v + tx, q = d·u + e·v + ty of the piece, bent by the bows;
    the piece's (p, q) is (x0, y0) + turn · (p, q) of the frame.
    """

    a: float
    b: float
    tx: float
    bow_x: float
    d: float
    e: float
    ty: float
    bow_y: float
    steep: bool
    rows: int
    columns: int
    x0: int
    y0: int
    reached: bool
    inside: bool


@kernel()
def region_of(way, turn, rows, columns, reach, shape):  # type: ignore[no-untyped-def]
    """The region for a tile of ``rows`` by ``columns``, with a kernel's ``reach`` around it.

    ``way`` (2, 4) leads from a place in the tile to one in the frame (h, w) of ``shape``; its last column is
    how far a whole tile's row is bent (:func:`bent`). ``turn`` (2, 2) is a signed permutation.
    """
    a = turn[0, 0] * way[0, 0] + turn[1, 0] * way[1, 0]
    b = turn[0, 0] * way[0, 1] + turn[1, 0] * way[1, 1]
    d = turn[0, 1] * way[0, 0] + turn[1, 1] * way[1, 0]
    e = turn[0, 1] * way[0, 1] + turn[1, 1] * way[1, 1]
    tx = turn[0, 0] * way[0, 2] + turn[1, 0] * way[1, 2]
    ty = turn[0, 1] * way[0, 2] + turn[1, 1] * way[1, 2]
    bow_x = turn[0, 0] * way[0, 3] + turn[1, 0] * way[1, 3]
    bow_y = turn[0, 1] * way[0, 3] + turn[1, 1] * way[1, 3]
    share = columns / TILE_COLUMNS  # of a whole tile's parabola, a part is a flatter one on a slope
    a += 4 * bow_x * (1 - share) / TILE_COLUMNS
    d += 4 * bow_y * (1 - share) / TILE_COLUMNS
    bow_x, bow_y = bow_x * share * share, bow_y * share * share
    margin = reach + int(np.ceil(max(abs(bow_x), abs(bow_y))))
    steep = max(abs(b), abs(d)) > _STEEPEST or max(abs(a - 1), abs(e - 1)) > _MOST_STRETCH
    q0 = int(np.floor(ty + min(0.0, d * (columns - 1)) + min(0.0, e * (rows - 1)))) - margin
    q1 = int(np.floor(ty + max(0.0, d * (columns - 1)) + max(0.0, e * (rows - 1)))) + margin + 1
    if steep:
        low = tx + min(0.0, a * (columns - 1)) + min(0.0, b * (rows - 1))
        high = tx + max(0.0, a * (columns - 1)) + max(0.0, b * (rows - 1))
    else:  # the first pass runs over all rows of the piece
        alpha, beta = a - b * d / e, b / e
        gamma = tx - beta * ty
        low = gamma + min(0.0, alpha * (columns - 1)) + min(beta * q0, beta * q1)
        high = gamma + max(0.0, alpha * (columns - 1)) + max(beta * q0, beta * q1)
    p0, p1 = int(np.floor(low)) - margin, int(np.floor(high)) + margin + 1
    x0, y0 = turn[0, 0] * p0 + turn[0, 1] * q0, turn[1, 0] * p0 + turn[1, 1] * q0
    x1, y1 = turn[0, 0] * p1 + turn[0, 1] * q1, turn[1, 0] * p1 + turn[1, 1] * q1
    left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    reached = right >= 0 and bottom >= 0 and left < shape[1] and top < shape[0]
    inside = min(left, top) + margin >= 0 and right - margin < shape[1] and bottom - margin < shape[0]
    return Region(
        a, b, tx - p0, bow_x, d, e, ty - q0, bow_y, steep, q1 - q0 + 1, p1 - p0 + 1, x0, y0, reached, inside
    )


@kernel()
def footprint(way, shape, there) -> None:  # type: ignore[no-untyped-def]
    """Tell which places of a tile lie within the frame."""
    for v in range(there.shape[0]):
        for u in range(there.shape[1]):
            x = way[0, 0] * u + way[0, 1] * v + way[0, 2] + bent(way[0, 3], u, TILE_COLUMNS)
            y = way[1, 0] * u + way[1, 1] * v + way[1, 2] + bent(way[1, 3], u, TILE_COLUMNS)
            there[v, u] = -_EDGE <= x <= shape[1] - 1 + _EDGE and -_EDGE <= y <= shape[0] - 1 + _EDGE


@kernel()
def mask_holes(present, region, there) -> None:  # type: ignore[no-untyped-def]
    """Take places out whose 4×4 nearest pixels are not all present: they would be made of the filling."""
    for v in range(there.shape[0]):
        for u in range(there.shape[1]):
            if not there[v, u]:
                continue
            x = region.a * u + region.b * v + region.tx + bent(region.bow_x, u, there.shape[1])
            y = region.d * u + region.e * v + region.ty + bent(region.bow_y, u, there.shape[1])
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
