"""One pass from raw integers to the stack: calibrate, resample, normalise, accumulate, tile by tile.

Nothing of the size of the frame is written on the way: a tile's pixels stay in the processor's cache until
they are in the stack. Any tile may be done by any thread, and every pixel belongs to one tile.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from livestack.kernels.keys import Codes, coded, decoded, key_of
from livestack.kernels.registering import registered
from livestack.kernels.tiles import TILE_COLUMNS, TILE_ROWS
from numerics.compiling import kernel

Plane = NDArray[np.float32]
Keys = NDArray[np.int16]


class Stack(NamedTuple):
    """The stack's planes, tile by tile, so that a tile is one piece of memory.

    ``seen`` (how many subs) and ``weights`` are (tiles, TILE_ROWS, TILE_COLUMNS), ``mean``, ``m2`` and the
    keys (tiles, channels, TILE_ROWS, TILE_COLUMNS). Nearly every tile lies wholly within each sub. So long as
    it does, ``whole_seen`` and ``whole_weights`` (tiles) speak for all its pixels, and ``seen`` and
    ``weights`` count where it is ``torn`` (tiles) alone: their memory is not even touched elsewhere.
    """

    seen: NDArray[np.uint16]
    weights: Plane
    mean: Plane
    m2: Plane
    largest: Keys
    second: Keys
    smallest: Keys
    whole_seen: NDArray[np.uint16]
    whole_weights: Plane
    torn: NDArray[np.bool_]


class Weight(NamedTuple):
    """A frame's weight, its class as keys hold it, and its values' coding around ``zero`` (channels)."""

    weight: np.float32
    number: np.int32
    zero: Plane
    codes: Codes


@kernel(fast=True)
def _accumulate(  # type: ignore[no-untyped-def]
    values, v, begin, end, old, weight, zero, mean, m2, largest, second, smallest
):
    """Take columns ``begin`` up to ``end`` of a tile's row ``v`` into one channel of the stack (West 1979).

    ``old`` (columns) are the weights of what has come before; the caller adds to them once all channels are
    done.
    """
    row = np.uintp(v)
    codes, own, number = weight.codes, weight.weight, weight.number
    for k in range(end - begin):
        u = np.uintp(begin + k)
        code = coded(values[row, u] - zero, codes)
        key = key_of(code, number, codes)
        value = decoded(code, codes)
        before = old[u]
        step = value - mean[row, u]
        change = step * (own / (before + own))
        mean[row, u] += change
        m2[row, u] += before * step * change
        top = largest[row, u]
        second[row, u] = max(second[row, u], min(top, key))
        largest[row, u] = max(top, key)
        smallest[row, u] = min(smallest[row, u], key)


@kernel(fast=True)
def stack_tiles(  # type: ignore[no-untyped-def]
    first, last, start, size, frame, course, weight, stack, sampled, samples
):
    """Put tiles ``start + first`` up to ``start + last`` of one raw frame into a stack of ``size``.

    Different tiles may be done at once. ``sampled`` gives for each tile the row of ``samples`` (n, channels,
    TILE_ROWS, TILE_COLUMNS) that receives its registered pixels, not-a-number where uncovered; -1 for none.
    """
    height, width = size
    channels = stack.mean.shape[1]
    across = (width + TILE_COLUMNS - 1) // TILE_COLUMNS
    before = np.empty(TILE_COLUMNS, np.float32)
    for tile in range(start + first, start + last):
        top, left = tile // across * TILE_ROWS, tile % across * TILE_COLUMNS
        rows, columns = min(TILE_ROWS, height - top), min(TILE_COLUMNS, width - left)
        values = np.empty((channels, rows, columns), np.float32)
        there = np.empty((rows, columns), np.bool_)
        if not registered(frame, course, tile, values, there):
            continue
        if sampled[tile] >= 0:
            for channel in range(channels):
                for v in range(rows):
                    for u in range(columns):
                        seen = values[channel, v, u] if there[v, u] else np.float32(np.nan)
                        samples[sampled[tile], channel, v, u] = seen
        torn = stack.torn[tile] or not _everywhere(there)
        if torn and not stack.torn[tile]:
            stack.torn[tile] = True
            stack.seen[tile] = stack.whole_seen[tile]
            stack.weights[tile] = stack.whole_weights[tile]
        before[:] = stack.whole_weights[tile]
        for channel in range(channels):
            mean, m2 = stack.mean[tile, channel], stack.m2[tile, channel]
            largest, second = stack.largest[tile, channel], stack.second[tile, channel]
            smallest, zero = stack.smallest[tile, channel], weight.zero[channel]
            for v in range(rows):
                old = stack.weights[tile, v] if torn else before
                begin, end = 0, columns
                while begin < columns:
                    if torn:
                        begin, end = _run(there[v], begin)
                    _accumulate(
                        *(values[channel], v, begin, end, old, weight, zero),
                        *(mean, m2, largest, second, smallest),
                    )
                    begin = end
        if not torn:
            stack.whole_seen[tile] += 1
            stack.whole_weights[tile] += weight.weight
            continue
        for v in range(rows):
            for u in range(columns):
                stack.seen[tile, v, u] += there[v, u]
                stack.weights[tile, v, u] += weight.weight if there[v, u] else np.float32(0)


@kernel()
def _run(there, begin):  # type: ignore[no-untyped-def]
    """First of the places from ``begin`` on that are there, and the first after it that is not."""
    while begin < len(there) and not there[begin]:
        begin += 1
    end = begin
    while end < len(there) and there[end]:
        end += 1
    return begin, end


@kernel()
def _everywhere(there):  # type: ignore[no-untyped-def]
    for v in range(there.shape[0]):
        for u in range(there.shape[1]):
            if not there[v, u]:
                return False
    return True


@kernel()
def spread(first, last, stack, coverage):  # type: ignore[no-untyped-def]
    """Fill some rows of ``coverage`` (H, W): how many subs each pixel has seen."""
    for y in range(first, last):
        _spread_row(stack.seen, stack.whole_seen, stack.torn, y, coverage[y])


@kernel()
def weights_at(stack, y, row):  # type: ignore[no-untyped-def]
    """Fill ``row`` (W) with the weights of the picture's row ``y``."""
    _spread_row(stack.weights, stack.whole_weights, stack.torn, y, row)


@kernel()
def _spread_row(plane, whole, torn, y, row):  # type: ignore[no-untyped-def]
    width = len(row)
    across = (width + TILE_COLUMNS - 1) // TILE_COLUMNS
    for column in range(across):
        tile = y // TILE_ROWS * across + column
        left = column * TILE_COLUMNS
        for u in range(min(TILE_COLUMNS, width - left)):
            row[left + u] = plane[tile, y % TILE_ROWS, u] if torn[tile] else whole[tile]


@kernel()
def values_at(plane, channel, y, row):  # type: ignore[no-untyped-def]
    """Fill ``row`` (W) with the picture's row ``y`` of one channel of a plane that lies in tiles."""
    width = len(row)
    across = (width + TILE_COLUMNS - 1) // TILE_COLUMNS
    for column in range(across):
        tile, left = y // TILE_ROWS * across + column, column * TILE_COLUMNS
        for u in range(min(TILE_COLUMNS, width - left)):
            row[left + u] = plane[tile, channel, y % TILE_ROWS, u]
