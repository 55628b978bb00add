"""One pass from raw integers to the stack: calibrate, resample, normalise, accumulate, tile by tile.

Nothing of the size of the frame is written on the way: a tile's pixels stay in the processor's cache until
they are in the stack. Any tile may be done by any thread, and every pixel belongs to one tile.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from library.kernels.compiling import kernel
from livestack.kernels.demosaic import demosaic
from livestack.kernels.frames import fill_holes, load
from livestack.kernels.keys import LARGEST_CODE
from livestack.kernels.resampling import along_columns, along_rows, directly, lowest
from livestack.kernels.tiles import TILE_COLUMNS, TILE_ROWS, footprint, mask_holes, region_of

_RINGING = np.float32(25.0)
"""Peaks above the sky by fewer undershoots than this ring by less than one."""

Plane = NDArray[np.float32]
Keys = NDArray[np.int16]


class Stack(NamedTuple):
    """The stack's planes: ``seen`` (how many subs) and ``weights`` (H, W), all others (channels, H, W)."""

    seen: NDArray[np.uint16]
    weights: Plane
    mean: Plane
    m2: Plane
    largest: Keys
    second: Keys
    smallest: Keys


class Course(NamedTuple):
    """How a frame gets into the stack.

    ``maps`` (tiles, 2, 4) lead from a place in the tile to one in the frame (:func:`region_of`), ``turn``
    (2, 2) is the quarter turn that is nearest to them, ``table`` the interpolation's. ``colours`` (2, 2) says
    which channel each pixel of a CFA's cell has, -1 for mono. ``levels`` (tiles, channels, 3) are added after
    ``scale``, as a plane over the tile. ``undershoot`` is how far below its neighbours an interpolated value
    may be.
    """

    maps: NDArray[np.float64]
    turn: NDArray[np.int64]
    table: Plane
    colours: NDArray[np.int64]
    scale: np.float32
    levels: Plane
    undershoot: np.float32


class Weight(NamedTuple):
    """A frame's weight, its class, and the coding of its values: ``zero`` (channels) and codes a √ADU."""

    weight: np.float32
    number: int
    zero: Plane
    per_root: np.float32


@kernel(fast=True)
def accumulate_row(  # type: ignore[no-untyped-def]
    values, first, last, weight, stack, channel, y, left
):
    """Take columns ``first`` up to ``last`` of a tile's row into one channel of the stack (West 1979).

    The row begins at column ``left`` of row ``y``. The caller adds to ``stack.weights`` and ``stack.seen``
    once all channels are done.
    """
    right = left + len(values)
    weights = stack.weights[y, left:right]
    mean, m2 = stack.mean[channel, y, left:right], stack.m2[channel, y, left:right]
    largest, second = stack.largest[channel, y, left:right], stack.second[channel, y, left:right]
    smallest = stack.smallest[channel, y, left:right]
    zero, per_root, number = weight.zero[channel], weight.per_root, weight.number
    inverse = np.float32(1) / (per_root * per_root)
    own, limit = weight.weight, np.float32(LARGEST_CODE)
    half = np.float32(0.5)
    for u in range(first, last):
        away = values[u] - zero
        code = np.int32(min(np.sqrt(abs(away)) * per_root + half, limit))
        code = -code if away < 0 else code
        key = np.int16(code * 8 + number)
        value = np.float32(code * abs(code)) * inverse
        old = weights[u]
        step = value - mean[u]
        change = step * (own / (old + own))
        mean[u] += change
        m2[u] += old * step * change
        top = largest[u]
        second[u] = max(second[u], min(top, key))
        largest[u] = max(top, key)
        smallest[u] = min(smallest[u], key)


@kernel(fast=True)
def stack_tiles(first, last, frame, course, weight, stack, sampled, samples):  # type: ignore[no-untyped-def]
    """Put some tiles of one raw frame into the stack; different tiles may be done at once.

    ``sampled`` gives for each tile the row of ``samples`` (n, channels, TILE_ROWS, TILE_COLUMNS) that
    receives its registered pixels, not-a-number where uncovered; -1 for none.
    """
    height, width = stack.seen.shape
    channels = stack.mean.shape[0]
    across = (width + TILE_COLUMNS - 1) // TILE_COLUMNS
    cfa = course.colours[0, 0] >= 0
    reach = course.table.shape[1] // 2 + (3 if cfa else 1)
    for tile in range(first, last):
        top, left = tile // across * TILE_ROWS, tile % across * TILE_COLUMNS
        rows, columns = min(TILE_ROWS, height - top), min(TILE_COLUMNS, width - left)
        region = region_of(course.maps[tile], course.turn, rows, columns, reach, frame.raw.shape)
        if not region.reached:
            continue
        piece = np.empty((3 if cfa else 1, region.rows, region.columns), np.float32)
        holes, brightest = load(frame, region.x0, region.y0, course.turn, piece[0])
        there = np.ones((rows, columns), np.bool_)
        if not region.inside:
            footprint(course.maps[tile], frame.raw.shape, there)
        if holes:
            present = np.empty((region.rows, region.columns), np.float32)
            fill_holes(piece[0], present)
            mask_holes(present, region, there)
        if cfa:
            demosaic(piece[0].copy(), course.colours, region.x0, region.y0, course.turn, piece)
        values = np.empty((rows, columns), np.float32)
        for channel in range(channels):
            ringing = brightest - weight.zero[channel] > _RINGING * course.undershoot
            _resampled(piece[channel], region, course, ringing, values)
            _level(values, course.scale, course.levels[tile, channel])
            if sampled[tile] >= 0:
                for v in range(rows):
                    for u in range(columns):
                        seen = values[v, u] if there[v, u] else np.float32(np.nan)
                        samples[sampled[tile], channel, v, u] = seen
            for v in range(rows):
                begin = 0
                while begin < columns:
                    while begin < columns and not there[v, begin]:
                        begin += 1
                    end = begin
                    while end < columns and there[v, end]:
                        end += 1
                    accumulate_row(values[v], begin, end, weight, stack, channel, top + v, left)
                    begin = end
        for v in range(rows):
            for u in range(columns):
                stack.seen[top + v, left + u] += there[v, u]
                stack.weights[top + v, left + u] += weight.weight * np.float32(there[v, u])


@kernel(fast=True)
def _resampled(piece, region, course, ringing, values):  # type: ignore[no-untyped-def]
    """Fill a tile's ``values`` from a calibrated ``piece``; where there is ``ringing``, hold its dips up."""
    low = np.empty(values.shape, np.float32)
    if region.steep:
        directly(piece, course.table, region, values, low)
    else:
        beta = region.b / region.e
        alpha, gamma = region.a - beta * region.d, region.tx - beta * region.ty
        between = np.empty((piece.shape[0], values.shape[1]), np.float32)
        along_rows(piece, course.table, alpha, beta, gamma, region.bow_x, between)
        along_columns(between, course.table, region.d, region.e, region.ty, region.bow_y, values)
        if ringing:
            lowest(piece, alpha, beta, gamma, region, low)
    if ringing:
        for v in range(values.shape[0]):
            for u in range(values.shape[1]):
                values[v, u] = max(values[v, u], low[v, u] - course.undershoot)


@kernel(fast=True)
def _level(values, scale, plane) -> None:  # type: ignore[no-untyped-def]
    """Bring a tile to the stack's scale and sky, in place."""
    for v in range(values.shape[0]):
        level = plane[0] + plane[2] * np.float32(v)
        for u in range(values.shape[1]):
            values[v, u] = scale * values[v, u] + (level + plane[1] * np.float32(u))
