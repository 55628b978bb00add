"""Places of a picture that hold no data, though they hold a number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LEAST_RUN = 16
_MOST_SHARE = 0.7


def without_data(picture: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which pixels of (H, W) have no data: not a number, or a border of one constant value.

    A registered frame has such borders, and so has a sensor's masked edge that a program has filled. They are
    looked for only where a side of the frame ends in a run of equal values. A frame that is constant nearly
    everywhere has a clipped sky, and is taken as it is.
    """
    blank = ~np.isfinite(picture)
    sides = (picture[0], picture[-1], picture[:, 0], picture[:, -1])
    levels = {value for side in sides for value in _repeated(side)}
    for value in levels:
        same = picture == value
        inner = same.copy()  # equal to its neighbours, too: noise may reach one value by chance
        inner[1:] &= same[:-1]
        inner[:-1] &= same[1:]
        inner[:, 1:] &= same[:, :-1]
        inner[:, :-1] &= same[:, 1:]
        if not inner.any() or inner.mean() > _MOST_SHARE:
            continue
        grown = inner.copy()
        grown[1:] |= inner[:-1]
        grown[:-1] |= inner[1:]
        grown[:, 1:] |= inner[:, :-1]
        grown[:, :-1] |= inner[:, 1:]
        blank |= grown & same
    return blank


def _repeated(side: NDArray[np.float32]) -> list[float]:
    """Values that a side of a frame repeats from pixel to pixel, long enough to be no chance."""
    if len(side) <= _LEAST_RUN:
        return []
    edges = np.flatnonzero(np.concatenate(([True], side[1:] != side[:-1], [True])))
    long = np.flatnonzero(np.diff(edges) >= _LEAST_RUN)
    return [float(side[edges[at]]) for at in long if np.isfinite(side[edges[at]])]
