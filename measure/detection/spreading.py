"""A choice of sources that is spread over the frame, so that no corner, trail or galaxy holds all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MOST_CELLS = 8
_LEAST_CELL_PX = 48


def cells(x: NDArray[np.float64], y: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.intp]:
    """Number of the cell that each of N places in a frame (H, W) lies in; there are up to 8 × 8 cells."""
    rows, columns = (min(max(side // _LEAST_CELL_PX, 1), _MOST_CELLS) for side in shape)
    row = np.clip((y * rows / shape[0]).astype(np.intp), 0, rows - 1)
    column = np.clip((x * columns / shape[1]).astype(np.intp), 0, columns - 1)
    return row * columns + column


def rank_in_cell(cell: NDArray[np.intp], value: NDArray[np.floating]) -> NDArray[np.intp]:
    """Rank of each of N sources among those of its cell, 0 for the largest value."""
    order = np.lexsort((-value, cell))
    ordered = cell[order]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    count = np.diff(np.append(first, len(cell)))
    rank = np.empty(len(cell), np.intp)
    rank[order] = np.arange(len(cell)) - np.repeat(first, count)
    return rank


def spread(cell: NDArray[np.intp], value: NDArray[np.floating], most: int) -> NDArray[np.intp]:
    """Choose at most ``most`` of N sources: the largest values of each cell, as many from each as it has.

    Returns their indices, largest value first.
    """
    if len(cell) > most:
        chosen = np.lexsort((-value, rank_in_cell(cell, value)))[:most]
    else:
        chosen = np.arange(len(cell))
    return chosen[np.argsort(-value[chosen], kind="stable")]
