"""A transform cut into tiles, each with an affine map of its own, as the stacking kernel wants it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from livestack.kernels.tiles import TILE_COLUMNS, TILE_ROWS
from livestack.warp import Warp

_NODES = (0, 1 / 3, 2 / 3, 1)
_CUBIC = np.linalg.inv(np.vander(_NODES, increasing=True))
"""From a cubic's values at the nodes to its factors of 1, s, s², s³."""


def corners(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Column and row (tiles, 2) of each tile's first pixel, row by row."""
    rows, columns = np.arange(0, shape[0], TILE_ROWS), np.arange(0, shape[1], TILE_COLUMNS)
    return np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(np.float64)


def tile_maps(warp: Warp, shape: tuple[int, int], tiles: slice = slice(None)) -> NDArray[np.float64]:
    """Maps (tiles, 2, 6) from a place (u, v) in a tile of the reference (height, width) to one in the sub.

    The last axis goes with u, v, 1, u², u³, u·v: of a bend, which is of the third degree, the middle row is
    told exactly, and how the columns lean. Exact for a matrix.
    """
    first = corners(shape)[tiles]
    return _straight(warp, first) if warp.bend is None else _bent(warp, first, shape)


def _straight(warp: Warp, first: NDArray[np.float64]) -> NDArray[np.float64]:
    origin, right, below = warp.backwards(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    maps = np.zeros((len(first), 2, 6))
    maps[:, :, 0], maps[:, :, 1], maps[:, :, 2] = right - origin, below - origin, warp.backwards(first)
    return maps


def _bent(warp: Warp, first: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    size = np.minimum(np.array([shape[1], shape[0]]) - first, [TILE_COLUMNS, TILE_ROWS])
    row = np.stack([warp.backwards(first + size * [s, 0.5]) for s in _NODES])
    origin, along, square, cube = np.tensordot(_CUBIC, row, axes=1)
    above, below = ([warp.backwards(first + size * [s, t]) for s in (0, 1)] for t in (0, 1))
    left, right = np.subtract(below, above)
    lean = right - left
    wide, tall = size.T[:, :, None]
    maps = (
        (along - lean / 2) / wide,
        left / tall,
        origin - left / 2,
        square / wide**2,
        cube / wide**3,
        lean / (wide * tall),
    )
    return np.ascontiguousarray(np.stack(maps, axis=-1))


def turn_of(matrix: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the quarter turn or mirroring (2, 2), sub from reference, that is nearest to the transform."""
    backwards = np.linalg.inv(matrix)[:2, :2]
    turn = np.zeros((2, 2), np.int64)
    if abs(backwards[0, 0]) + abs(backwards[1, 1]) >= abs(backwards[0, 1]) + abs(backwards[1, 0]):
        turn[0, 0], turn[1, 1] = np.where(backwards[[0, 1], [0, 1]] < 0, -1, 1)
    else:
        turn[0, 1], turn[1, 0] = np.where(backwards[[0, 1], [1, 0]] < 0, -1, 1)
    return turn
