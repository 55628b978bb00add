"""Pixels that a defect map names are drawn anew from their good neighbours of the same colour.

A surface of second order is fitted to the twelve nearest good pixels, which carries a star's curvature where
a mean or median would cut its peak. The fit is linear in the pixels, and its weights depend on the map alone:
they are found once, and a sub then costs twelve products for each mapped pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.mosaics import cell_px

_NEIGHBOURS = 12
_LEAST_NEIGHBOURS = 4
_REACH = 3
_RIDGE = np.array([0, 1e-3, 1e-3, 2e-2, 2e-2, 2e-2])
"""Damps, per coefficient, slopes and curvatures that one-sided neighbours (edges, clusters) leave open."""
_CHUNK = 1 << 16
_ABSENT = -1


@dataclass(frozen=True, slots=True, eq=False)
class Repairs:
    """How to mend one sensor's mapped pixels: made by :func:`plan_repairs`.

    ``places`` (N,), sorted, are indices into the flattened frame of ``shape``; the new value is the sum of
    ``weights`` (N, 12) times the pixels at ``sources`` (N, 12). ``lost`` are mapped pixels with too few good
    neighbours, left without data.
    """

    shape: tuple[int, int]
    places: NDArray[np.int32]
    sources: NDArray[np.int32]
    weights: NDArray[np.float32]
    lost: NDArray[np.int32]


def plan_repairs(defects: NDArray[np.integer[Any] | np.bool_], bayer_pattern: str | None) -> Repairs:
    """Plan the mending of all pixels (H, W) that are not 0 in the map."""
    bad = np.asarray(defects != 0)
    rows, columns = np.nonzero(bad)
    side = cell_px(bayer_pattern)
    phase = (rows % side) * side + columns % side
    planned = []
    for site in range(side * side):
        offsets = _offsets(bayer_pattern, site)
        here = np.flatnonzero(phase == site)
        planned += [
            _fitted(bad, rows[part], columns[part], offsets)
            for part in np.split(here, range(_CHUNK, len(here), _CHUNK))
        ]
    places, sources, weights = (np.concatenate(parts) for parts in zip(*planned, strict=True))
    fine = sources[:, _LEAST_NEIGHBOURS - 1] != _ABSENT
    sources = np.where(sources == _ABSENT, sources[:, :1], sources)  # of weight 0
    order = np.argsort(places[fine], kind="stable")
    return Repairs(
        bad.shape, places[fine][order], sources[fine][order], weights[fine][order], np.sort(places[~fine])
    )


def _offsets(bayer_pattern: str | None, site: int) -> NDArray[np.int64]:
    """(M, 2) steps in rows and columns to pixels of the same colour, the nearest first."""
    side = cell_px(bayer_pattern)
    reach = _REACH * side
    steps = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    steps = steps[(steps != 0).any(axis=1)]
    if bayer_pattern and len(bayer_pattern) == side * side:
        row, column = divmod(site, side)
        colours = np.array(list(bayer_pattern)).reshape(side, side)
        like = colours[(row + steps[:, 0]) % side, (column + steps[:, 1]) % side] == colours[row, column]
        steps = steps[like]
    return np.asarray(steps[np.argsort(np.hypot(*steps.T), kind="stable")])


def _fitted(
    bad: NDArray[np.bool_], rows: NDArray[np.intp], columns: NDArray[np.intp], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Places, their nearest good sources (``_ABSENT`` where there are fewer), and the fit's weights."""
    height, width = bad.shape
    y, x = rows[:, None] + offsets[:, 0], columns[:, None] + offsets[:, 1]
    good = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    good &= ~bad[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    nearest = np.argsort(~good, axis=1, kind="stable")[:, :_NEIGHBOURS]
    known = np.take_along_axis(good, nearest, axis=1)
    dy, dx = np.moveaxis(offsets[nearest] / np.hypot(*offsets[0]), -1, 0)
    basis = np.stack([np.ones_like(dx), dx, dy, dx * dx, dx * dy, dy * dy], axis=-1)
    trust = known / (dx * dx + dy * dy) ** 1.5
    weighted = basis * trust[..., None]
    normal = np.swapaxes(weighted, 1, 2) @ basis + np.diag(_RIDGE)
    normal[:, 0, 0] += ~known.any(axis=1)
    constant = np.zeros((len(rows), 6, 1))
    constant[:, 0] = 1
    weights = (weighted @ np.linalg.solve(normal, constant))[..., 0]
    sources = np.where(
        known, (rows[:, None] + offsets[nearest, 0]) * width + columns[:, None] + offsets[nearest, 1], _ABSENT
    )
    # The ridge leaves the constant term free, so the weights sum to 1 but for rounding.
    total = weights.sum(axis=1, keepdims=True)
    weights /= np.where(total == 0, 1, total)
    return (
        (rows * width + columns).astype(np.int32),
        sources.astype(np.int32),
        weights.astype(np.float32),
    )
