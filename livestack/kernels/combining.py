"""Many registered subs into one picture, a block of tiles at a time; every value of a pixel is looked at."""

from __future__ import annotations

import math

import numpy as np

from library.kernels.columns import AVERAGE, LANES, MEDIAN, kept_of, sort_lanes
from livestack.kernels.registering import registered
from livestack.kernels.tiles import TILE_COLUMNS, TILE_ROWS, region_of
from numerics.compiling import kernel


@kernel()
def reach_of(course, start, size, shape):  # type: ignore[no-untyped-def]
    """First and last row, first and last column of a frame of ``shape`` that some tiles need.

    ``course`` is that into tiles ``start`` and on of a picture of ``size``. The last are one beyond, and no
    more than the first where nothing of the frame is needed.
    """
    across = (size[1] + TILE_COLUMNS - 1) // TILE_COLUMNS
    reach = course.table.shape[1] // 2 + (course.demosaicing.reach + 1 if course.colours[0, 0] >= 0 else 1)
    top, bottom, left, right = shape[0], 0, shape[1], 0
    for k in range(course.maps.shape[0]):
        row, column = (start + k) // across * TILE_ROWS, (start + k) % across * TILE_COLUMNS
        rows, columns = min(TILE_ROWS, size[0] - row), min(TILE_COLUMNS, size[1] - column)
        region = region_of(course.maps[k], course.turn, rows, columns, reach, shape)
        if not region.reached:
            continue
        p, q = region.columns - 1, region.rows - 1
        x = region.x0 + course.turn[0, 0] * p + course.turn[0, 1] * q
        y = region.y0 + course.turn[1, 0] * p + course.turn[1, 1] * q
        top, bottom = (
            min(top, max(min(y, region.y0), 0)),
            max(bottom, min(max(y, region.y0), shape[0] - 1) + 1),
        )
        left, right = (
            min(left, max(min(x, region.x0), 0)),
            max(right, min(max(x, region.x0), shape[1] - 1) + 1),
        )
    return top, bottom, left, right


@kernel(fast=True)
def gather(frame, course, start, size, skip, layer) -> None:  # type: ignore[no-untyped-def]
    """Register tiles ``start`` and on of a picture of ``size`` into ``layer``.

    That (tiles, channels, rows, TILE_COLUMNS) takes the rows of each tile after the first ``skip``;
    it holds not-a-number where the frame has seen nothing.
    """
    across = (size[1] + TILE_COLUMNS - 1) // TILE_COLUMNS
    tiles, channels, most = layer.shape[0], layer.shape[1], layer.shape[2]
    for k in range(tiles):
        row, column = (start + k) // across * TILE_ROWS, (start + k) % across * TILE_COLUMNS
        rows, columns = min(TILE_ROWS, size[0] - row), min(TILE_COLUMNS, size[1] - column)
        values = np.empty((channels, rows, columns), np.float32)
        there = np.empty((rows, columns), np.bool_)
        if not registered(frame, course, k, values, there):
            there[:] = False
        for channel in range(channels):
            for v in range(min(rows - skip, most)):
                for u in range(columns):
                    seen = values[channel, v + skip, u] if there[v + skip, u] else np.float32(np.nan)
                    layer[k, channel, v, u] = seen


@kernel()
def combine_tiles(  # type: ignore[no-untyped-def]
    first, last, cube, start, skip, weights, network, rule, limits, noise, scatter, zero, picture, coverage
):
    """Combine tiles ``start + first`` up to ``start + last`` into ``picture`` (H, W, channels).

    ``cube`` (tiles, channels, subs, rows, TILE_COLUMNS) holds what :func:`gather` has made of all subs.
    ``weights`` (subs) count in the mean of what the rule keeps. Sigma is at least the root of the sum of the
    squares of ``noise`` (channels) and of ``scatter`` times what the median is above ``zero`` (channels).
    ``coverage`` (H, W) is how many subs have seen a pixel; where none has, the picture is left as it is.
    Returns how many values were cut below and above.
    """
    height, width, channels = picture.shape
    across = (width + TILE_COLUMNS - 1) // TILE_COLUMNS
    subs = cube.shape[2]
    values = np.empty((subs, LANES), np.float32)
    lanes = np.empty((subs, LANES), np.float32)
    known = np.empty(LANES, np.int64)
    lowest, highest = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    totals, parts = np.empty(LANES, np.float64), np.empty(LANES, np.float64)
    samples, work = np.empty(subs, np.float64), np.empty(subs, np.float64)
    below = above = 0
    for k in range(first, last):
        top, left = (start + k) // across * TILE_ROWS + skip, (start + k) % across * TILE_COLUMNS
        rows = min(cube.shape[3], min(TILE_ROWS - skip, height - top))
        columns = min(TILE_COLUMNS, width - left)
        for channel in range(channels):
            level, quiet = np.float64(zero[channel]), noise[channel]
            for v in range(rows):
                for begin in range(0, columns, LANES):
                    wide = min(LANES, columns - begin)
                    known[:] = 0
                    values[:] = np.nan
                    for i in range(subs):
                        row = cube[k, channel, i, v, begin : begin + wide]
                        for j in range(wide):
                            values[i, j] = row[j]
                            known[j] += math.isfinite(row[j])
                    lowest[:], highest[:] = -np.inf, np.inf
                    if rule != AVERAGE:
                        for i in range(subs):
                            for j in range(LANES):
                                value = values[i, j]
                                lanes[i, j] = value if math.isfinite(value) else np.inf
                        sort_lanes(lanes, network)
                        for j in range(wide):
                            n = known[j]
                            if n == 0:
                                continue
                            middle = 0.5 * (np.float64(lanes[(n - 1) // 2, j]) + np.float64(lanes[n // 2, j]))
                            totals[j] = middle
                            if rule == MEDIAN:
                                continue
                            for i in range(n):
                                samples[i] = lanes[i, j] - middle
                            least = math.hypot(quiet, scatter * max(middle - level, 0.0))
                            low, high = kept_of(samples, n, rule, limits, least, middle, work)
                            lowest[j], highest[j] = lanes[low, j], lanes[high - 1, j]
                            below += low
                            above += n - high
                    if rule != MEDIAN:
                        totals[:] = 0
                        parts[:] = 0
                        for i in range(subs):
                            for j in range(LANES):
                                value = values[i, j]
                                weight = weights[i] if lowest[j] <= value <= highest[j] else 0.0
                                totals[j] += weight * (value - level) if weight > 0 else 0.0
                                parts[j] += weight
                        for j in range(LANES):
                            totals[j] = level + totals[j] / parts[j]
                    for j in range(wide):
                        if known[j]:
                            picture[top + v, left + begin + j, channel] = totals[j]
                            coverage[top + v, left + begin + j] = known[j]
    return below, above
