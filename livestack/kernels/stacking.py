"""One pass from raw integers to the stack: calibrate, resample, normalise, accumulate, tile by tile.

Nothing of the size of the frame is written on the way: a tile's pixels stay in the processor's cache until
they are in the stack. Any tile may be done by any thread, and every pixel belongs to one tile.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from library.kernels.compiling import kernel
from livestack.kernels.keys import LARGEST_CODE
from livestack.kernels.registering import registered
from livestack.kernels.tiles import TILE_COLUMNS, TILE_ROWS

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
def stack_tiles(first, last, start, frame, course, weight, stack, sampled, samples):  # type: ignore[no-untyped-def]
    """Put tiles ``start + first`` up to ``start + last`` of one raw frame into the stack.

    Different tiles may be done at once. ``sampled`` gives for each tile the row of ``samples`` (n, channels,
    TILE_ROWS, TILE_COLUMNS) that receives its registered pixels, not-a-number where uncovered; -1 for none.
    """
    height, width = stack.seen.shape
    channels = stack.mean.shape[0]
    across = (width + TILE_COLUMNS - 1) // TILE_COLUMNS
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
        for channel in range(channels):
            for v in range(rows):
                begin = 0
                while begin < columns:
                    while begin < columns and not there[v, begin]:
                        begin += 1
                    end = begin
                    while end < columns and there[v, end]:
                        end += 1
                    accumulate_row(values[channel, v], begin, end, weight, stack, channel, top + v, left)
                    begin = end
        for v in range(rows):
            for u in range(columns):
                stack.seen[top + v, left + u] += there[v, u]
                stack.weights[top + v, left + u] += weight.weight * np.float32(there[v, u])
