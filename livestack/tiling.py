"""A transform cut into tiles, each with an affine map of its own, as the stacking kernel wants it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from livestack.kernels.tiles import TILE_COLUMNS, TILE_ROWS
from livestack.warp import Warp


def corners(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Column and row (tiles, 2) of each tile's first pixel, row by row."""
    rows, columns = np.arange(0, shape[0], TILE_ROWS), np.arange(0, shape[1], TILE_COLUMNS)
    return np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(np.float64)


def tile_maps(warp: Warp, shape: tuple[int, int], tiles: slice = slice(None)) -> NDArray[np.float64]:
    """Maps (tiles, 2, 4) from a place in a tile of the reference (height, width) to one in the sub.

    The last column says how far the tile's rows are bent in their middle. Exact for a matrix.
    """
    first = corners(shape)[tiles]
    half = np.array([TILE_COLUMNS / 2, TILE_ROWS / 2])
    middle = first + half
    centre = warp.backwards(middle)
    right, left = (warp.backwards(middle + side * half * [1, 0]) for side in (1, -1))
    below, above = (warp.backwards(middle + side * half * [0, 1]) for side in (1, -1))
    along, down = (right - left) / TILE_COLUMNS, (below - above) / TILE_ROWS
    ends = 0.5 * (right + left)
    origin = ends - along * half[0] - down * half[1]
    return np.ascontiguousarray(np.stack((along, down, origin, centre - ends), axis=-1))


def turn_of(matrix: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the quarter turn or mirroring (2, 2), sub from reference, that is nearest to the transform."""
    backwards = np.linalg.inv(matrix)[:2, :2]
    turn = np.zeros((2, 2), np.int64)
    if abs(backwards[0, 0]) + abs(backwards[1, 1]) >= abs(backwards[0, 1]) + abs(backwards[1, 0]):
        turn[0, 0], turn[1, 1] = np.where(backwards[[0, 1], [0, 1]] < 0, -1, 1)
    else:
        turn[0, 1], turn[1, 0] = np.where(backwards[[0, 1], [1, 0]] < 0, -1, 1)
    return turn
