"""One pass from raw integers to the stack: calibrate, resample, normalise, accumulate, tile by tile.

Nothing of the size of the frame is written on the way: a tile's pixels stay in the processor's cache until
they are in the stack. Any tile may be done by any thread, and every pixel belongs to one tile.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestack.kernels.demosaic import demosaic
from livestack.kernels.keys import LARGEST_CODE
from livestack.kernels.resampling import FAST, along_columns, along_rows, bent, directly, lowest

TILE_ROWS, TILE_COLUMNS = 64, 256

_STEEPEST = 0.17  # two passes lose resolution beyond about 10°
_MOST_STRETCH = 0.05
_EDGE = 1e-3
_RINGING = np.float32(10.0)

Plane = NDArray[np.float32]
Keys = NDArray[np.int16]


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def load(  # type: ignore[no-untyped-def]
    raw, pedestal, inverse_flat, patches, patch_values, x0, y0, turn, scratch
):
    """Fill ``scratch`` with calibrated pixels, whose (p, q) is (x0, y0) + turn · (p, q) of the frame.

    ``turn`` is a signed permutation, so that a frame that lies upside down is read so. Beyond the frame's
    edges the nearest pixel stands. Returns whether a pixel is without a value, and the largest.
    """
    height, width = raw.shape
    rows, columns = scratch.shape
    x1 = x0 + turn[0, 0] * (columns - 1) + turn[0, 1] * (rows - 1)
    y1 = y0 + turn[1, 0] * (columns - 1) + turn[1, 1] * (rows - 1)
    left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    has_pedestal, has_flat = pedestal.shape == raw.shape, inverse_flat.shape == raw.shape
    inside = left >= 0 and top >= 0 and right < width and bottom < height
    if inside and turn[0, 0] == 1 and turn[1, 1] == 1:
        for q in range(rows):
            target, y = scratch[q], y0 + q
            source = raw[y, x0 : x0 + columns]
            for p in range(columns):
                target[p] = source[p]
            if has_pedestal:
                level = pedestal[y, x0 : x0 + columns]
                for p in range(columns):
                    target[p] -= level[p]
            if has_flat:
                factor = inverse_flat[y, x0 : x0 + columns]
                for p in range(columns):
                    target[p] *= factor[p]
    else:
        for q in range(rows):
            for p in range(columns):
                x = min(max(x0 + turn[0, 0] * p + turn[0, 1] * q, 0), width - 1)
                y = min(max(y0 + turn[1, 0] * p + turn[1, 1] * q, 0), height - 1)
                value = np.float32(raw[y, x])
                if has_pedestal:
                    value -= pedestal[y, x]
                if has_flat:
                    value *= inverse_flat[y, x]
                scratch[q, p] = value
    _patch(patches, patch_values, width, x0, y0, turn, left, right, top, bottom, scratch)
    largest, total = np.float32(-np.inf), np.float32(0)
    for q in range(rows):
        for p in range(columns):
            value = scratch[q, p]
            largest = max(largest, value)
            total += value * np.float32(0)  # NaN if any is not a number, or infinite
    return total != np.float32(0), largest


@njit(nogil=True, cache=True, error_model="numpy")
def _patch(  # type: ignore[no-untyped-def]
    patches, patch_values, width, x0, y0, turn, left, right, top, bottom, scratch
):
    """Put in what defective pixels are replaced by; ``patches`` are their flat places, sorted."""
    for y in range(max(top, 0), bottom + 1):
        first = np.searchsorted(patches, y * width + max(left, 0))
        for i in range(first, len(patches)):
            x = patches[i] - y * width
            if x > right or x >= width:
                break
            dx, dy = x - x0, y - y0
            p, q = turn[0, 0] * dx + turn[1, 0] * dy, turn[0, 1] * dx + turn[1, 1] * dy
            scratch[q, p] = patch_values[i]


@njit(nogil=True, cache=True, error_model="numpy")
def fill_holes(scratch: Plane, present: Plane) -> None:
    """Tell which pixels have a value (1 or 0 in ``present``), and give the others the mean of these."""
    total, count = 0.0, 0
    for q in range(scratch.shape[0]):
        for p in range(scratch.shape[1]):
            value = scratch[q, p]
            there = value - value == 0
            present[q, p] = there
            if there:
                total += value
                count += 1
    mean = np.float32(total / max(count, 1))
    for q in range(scratch.shape[0]):
        for p in range(scratch.shape[1]):
            if present[q, p] == 0:
                scratch[q, p] = mean


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def accumulate_row(  # type: ignore[no-untyped-def]
    values, first, last, weight, number, zero, per_root, weights, mean, m2, largest, second, smallest
):
    """Take columns ``first`` up to ``last`` of one row into one channel's planes (West 1979).

    ``weights`` is the sum before this sub; the caller adds to it once all channels are done.
    """
    inverse = np.float32(1) / (per_root * per_root)
    limit = np.float32(LARGEST_CODE)
    half = np.float32(0.5)
    for u in range(first, last):
        away = values[u] - zero
        code = np.int32(min(np.sqrt(abs(away)) * per_root + half, limit))
        code = -code if away < 0 else code
        key = np.int16(code * 8 + number)
        value = np.float32(code * abs(code)) * inverse
        old = weights[u]
        step = value - mean[u]
        change = step * (weight / (old + weight))
        mean[u] += change
        m2[u] += old * step * change
        top = largest[u]
        second[u] = max(second[u], min(top, key))
        largest[u] = max(top, key)
        smallest[u] = min(smallest[u], key)


@njit(nogil=True, cache=True, error_model="numpy")
def footprint(inverse, shape, there) -> None:  # type: ignore[no-untyped-def]
    """Tell which places of a tile lie within the frame."""
    for v in range(there.shape[0]):
        for u in range(there.shape[1]):
            x = inverse[0, 0] * u + inverse[0, 1] * v + inverse[0, 2] + bent(inverse[0, 3], u, TILE_COLUMNS)
            y = inverse[1, 0] * u + inverse[1, 1] * v + inverse[1, 2] + bent(inverse[1, 3], u, TILE_COLUMNS)
            there[v, u] = -_EDGE <= x <= shape[1] - 1 + _EDGE and -_EDGE <= y <= shape[0] - 1 + _EDGE


@njit(nogil=True, cache=True, error_model="numpy")
def mask_holes(present, inverse, there) -> None:  # type: ignore[no-untyped-def]
    """Take places out whose 4×4 nearest pixels are not all present: they would be made of the filling."""
    for v in range(there.shape[0]):
        for u in range(there.shape[1]):
            if not there[v, u]:
                continue
            x = inverse[0, 0] * u + inverse[0, 1] * v + inverse[0, 2] + bent(inverse[0, 3], u, there.shape[1])
            y = inverse[1, 0] * u + inverse[1, 1] * v + inverse[1, 2] + bent(inverse[1, 3], u, there.shape[1])
            first_x, last_x = _nearest(x)
            first_y, last_y = _nearest(y)
            for j in range(first_y, last_y + 1):
                for i in range(first_x, last_x + 1):
                    if present[j, i] == 0:
                        there[v, u] = False


@njit(nogil=True, cache=True, error_model="numpy")
def _nearest(position):  # type: ignore[no-untyped-def]
    """First and last of the four pixels around a position; one, if it is at a pixel's middle."""
    whole = int(np.floor(position + _EDGE))
    return (whole, whole) if position - whole < _EDGE else (whole - 1, whole + 2)


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def stack_tiles(  # type: ignore[no-untyped-def]
    first_tile,
    last_tile,
    raw,
    pedestal,
    inverse_flat,
    patches,
    patch_values,
    colours,
    maps,
    turn,
    table,
    scale,
    offsets,
    undershoot,
    weight,
    number,
    zero,
    per_root,
    count,
    weights,
    mean,
    m2,
    largest,
    second,
    smallest,
    sampled,
    samples,
):
    """Put some tiles of one raw frame into the stack; different tiles may be done at once.

    Shapes: ``raw`` (h, w); ``pedestal`` and ``inverse_flat`` the same, or anything else for none. ``colours``
    (2, 2) says which channel each pixel of a CFA's cell has, -1 for mono. ``maps`` (tiles, 2, 4): from a
    place in the tile to a place in the frame, and how far the tile's rows are bent (:func:`bent`).
    ``offsets`` (tiles, channels, 3) are added after ``scale``, as a plane over the tile. The stack's planes
    are (channels, H, W), ``count`` and ``weights`` (H, W); ``zero`` (channels). ``sampled`` gives for each
    tile the row of ``samples`` (n, channels, TILE_ROWS, TILE_COLUMNS) that receives its registered pixels,
    not-a-number where uncovered; -1 for none.
    """
    height, width = count.shape
    channels = mean.shape[0]
    across = (width + TILE_COLUMNS - 1) // TILE_COLUMNS
    taps = table.shape[1]
    reach = taps // 2 + 1
    cfa = colours[0, 0] >= 0
    per_root32 = np.float32(per_root)
    weight32, scale32 = np.float32(weight), np.float32(scale)
    for tile in range(first_tile, last_tile):
        top, left = tile // across * TILE_ROWS, tile % across * TILE_COLUMNS
        rows, columns = min(TILE_ROWS, height - top), min(TILE_COLUMNS, width - left)
        # In the frame's own orientation (x, y) = turn · (p, q), where rows run nearly along the stack's rows.
        a = turn[0, 0] * maps[tile, 0, 0] + turn[1, 0] * maps[tile, 1, 0]
        b = turn[0, 0] * maps[tile, 0, 1] + turn[1, 0] * maps[tile, 1, 1]
        d = turn[0, 1] * maps[tile, 0, 0] + turn[1, 1] * maps[tile, 1, 0]
        e = turn[0, 1] * maps[tile, 0, 1] + turn[1, 1] * maps[tile, 1, 1]
        tx = turn[0, 0] * maps[tile, 0, 2] + turn[1, 0] * maps[tile, 1, 2]
        ty = turn[0, 1] * maps[tile, 0, 2] + turn[1, 1] * maps[tile, 1, 2]
        # The bow is told for a whole tile's width.
        bow_x = turn[0, 0] * maps[tile, 0, 3] + turn[1, 0] * maps[tile, 1, 3]
        bow_y = turn[0, 1] * maps[tile, 0, 3] + turn[1, 1] * maps[tile, 1, 3]
        if columns < TILE_COLUMNS:
            share = columns / TILE_COLUMNS
            a += 4 * bow_x * (1 - share) / TILE_COLUMNS
            d += 4 * bow_y * (1 - share) / TILE_COLUMNS
            bow_x, bow_y = bow_x * share * share, bow_y * share * share
        margin = reach + 2 if cfa else reach
        margin += int(np.ceil(max(abs(bow_x), abs(bow_y))))
        steep = (
            abs(b) > _STEEPEST
            or abs(d) > _STEEPEST
            or abs(a - 1) > _MOST_STRETCH
            or abs(e - 1) > _MOST_STRETCH
        )
        alpha, beta = a - b * d / e, b / e
        gamma = tx - beta * ty
        low_q = ty + min(0.0, d * (columns - 1)) + min(0.0, e * (rows - 1))
        high_q = ty + max(0.0, d * (columns - 1)) + max(0.0, e * (rows - 1))
        q0, q1 = int(np.floor(low_q)) - margin, int(np.floor(high_q)) + margin + 1
        if steep:
            low_p = tx + min(0.0, a * (columns - 1)) + min(0.0, b * (rows - 1))
            high_p = tx + max(0.0, a * (columns - 1)) + max(0.0, b * (rows - 1))
        else:
            low_p = gamma + min(0.0, alpha * (columns - 1)) + min(beta * q0, beta * q1)
            high_p = gamma + max(0.0, alpha * (columns - 1)) + max(beta * q0, beta * q1)
        p0, p1 = int(np.floor(low_p)) - margin, int(np.floor(high_p)) + margin + 1
        x0, y0 = turn[0, 0] * p0 + turn[0, 1] * q0, turn[1, 0] * p0 + turn[1, 1] * q0
        # Tiles that the frame does not reach are left alone.
        x1, y1 = turn[0, 0] * p1 + turn[0, 1] * q1, turn[1, 0] * p1 + turn[1, 1] * q1
        if max(x0, x1) < 0 or max(y0, y1) < 0 or min(x0, x1) >= raw.shape[1] or min(y0, y1) >= raw.shape[0]:
            continue
        scratch = np.empty((1, q1 - q0 + 1, p1 - p0 + 1), np.float32)
        holes, brightest = load(raw, pedestal, inverse_flat, patches, patch_values, x0, y0, turn, scratch[0])
        present = np.empty((0, 0), np.float32)
        if holes:
            present = np.empty(scratch.shape[1:], np.float32)
            fill_holes(scratch[0], present)
        if cfa:
            planes = np.empty((3, scratch.shape[1], scratch.shape[2]), np.float32)
            demosaic(scratch[0], colours, x0, y0, turn, planes)
            scratch = planes
        inverse = np.array([[a, b, tx - p0, bow_x], [d, e, ty - q0, bow_y]])
        value = np.empty((rows, columns), np.float32)
        between = np.empty((scratch.shape[1], columns), np.float32)
        low = np.empty((rows, columns), np.float32)
        there = np.empty((rows, columns), np.bool_)
        inside = (
            min(x0, x1) + margin >= 0
            and min(y0, y1) + margin >= 0
            and max(x0, x1) - margin < raw.shape[1]
            and max(y0, y1) - margin < raw.shape[0]
        )
        whole = inside and not holes
        if not whole:
            footprint(maps[tile], raw.shape, there)
            if holes:
                mask_holes(present, inverse, there)
        for channel in range(channels):
            ringing = brightest - zero[channel] > _RINGING * undershoot
            if steep:
                directly(scratch[channel], table, inverse, value, low)
            else:
                start = gamma + beta * q0 - p0
                along_rows(scratch[channel], table, alpha, beta, start, bow_x, between)
                along_columns(between, table, d, e, ty - q0, bow_y, value)
                if ringing:
                    lowest(scratch[channel], alpha, beta, start, bow_x, d, e, ty - q0, bow_y, low)
            if ringing:
                for v in range(rows):
                    for u in range(columns):
                        value[v, u] = max(value[v, u], low[v, u] - undershoot)
            base = np.float32(offsets[tile, channel, 0])
            slope_u, slope_v = np.float32(offsets[tile, channel, 1]), np.float32(offsets[tile, channel, 2])
            for v in range(rows):
                level = base + slope_v * np.float32(v)
                for u in range(columns):
                    value[v, u] = scale32 * value[v, u] + (level + slope_u * np.float32(u))
            if sampled[tile] >= 0:
                for v in range(rows):
                    for u in range(columns):
                        samples[sampled[tile], channel, v, u] = (
                            value[v, u] if whole or there[v, u] else np.float32(np.nan)
                        )
            y = top
            for v in range(rows):
                y = top + v
                if whole:
                    accumulate_row(
                        value[v],
                        0,
                        columns,
                        weight32,
                        number,
                        zero[channel],
                        per_root32,
                        weights[y, left : left + columns],
                        mean[channel, y, left : left + columns],
                        m2[channel, y, left : left + columns],
                        largest[channel, y, left : left + columns],
                        second[channel, y, left : left + columns],
                        smallest[channel, y, left : left + columns],
                    )
                else:
                    u = 0
                    while u < columns:
                        if not there[v, u]:
                            u += 1
                            continue
                        end = u + 1
                        while end < columns and there[v, end]:
                            end += 1
                        accumulate_row(
                            value[v],
                            u,
                            end,
                            weight32,
                            number,
                            zero[channel],
                            per_root32,
                            weights[y, left : left + columns],
                            mean[channel, y, left : left + columns],
                            m2[channel, y, left : left + columns],
                            largest[channel, y, left : left + columns],
                            second[channel, y, left : left + columns],
                            smallest[channel, y, left : left + columns],
                        )
                        u = end
        for v in range(rows):
            for u in range(columns):
                if whole or there[v, u]:
                    count[top + v, left + u] += np.uint16(1)
                    weights[top + v, left + u] += weight32
