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
    """The stack's planes: ``seen`` (how many subs) and ``weights`` (H, W), all others (channels, H, W).

    Nearly every tile lies wholly within each sub. So long as it does, ``whole_seen`` and ``whole_weights``
    (tiles) speak for all its pixels, and the planes count where it is ``torn`` (tiles) alone: their memory
    is not even touched elsewhere.
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
    """A frame's weight, its class, and the coding of its values: ``zero`` (channels) and codes a √ADU."""

    weight: np.float32
    number: int
    zero: Plane
    per_root: np.float32


@kernel(fast=True)
def accumulate_row(  # type: ignore[no-untyped-def]
    values, weights, weight, stack, channel, y, left
):
    """Take values into one channel of the stack (West 1979), from column ``left`` of row ``y`` on.

    ``weights`` are what has come before; the caller adds to them once all channels are done.
    """
    right = left + len(values)
    mean, m2 = stack.mean[channel, y, left:right], stack.m2[channel, y, left:right]
    largest, second = stack.largest[channel, y, left:right], stack.second[channel, y, left:right]
    smallest = stack.smallest[channel, y, left:right]
    zero, per_root, number = weight.zero[channel], weight.per_root, weight.number
    inverse = np.float32(1) / (per_root * per_root)
    own, limit = weight.weight, np.float32(LARGEST_CODE)
    half = np.float32(0.5)
    for u in range(len(values)):
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
        if stack.torn[tile] or not _everywhere(there):
            _into_torn(values, there, weight, stack, tile, top, left)
            continue
        before = np.empty(columns, np.float32)
        for u in range(columns):
            before[u] = stack.whole_weights[tile]
        for channel in range(channels):
            for v in range(rows):
                accumulate_row(values[channel, v], before, weight, stack, channel, top + v, left)
        stack.whole_seen[tile] += 1
        stack.whole_weights[tile] += weight.weight


@kernel()
def _everywhere(there):  # type: ignore[no-untyped-def]
    for v in range(there.shape[0]):
        for u in range(there.shape[1]):
            if not there[v, u]:
                return False
    return True


@kernel(fast=True)
def _into_torn(values, there, weight, stack, tile, top, left):  # type: ignore[no-untyped-def]
    """Take a tile into the stack pixel by pixel, where the frame is ``there``."""
    channels, rows, columns = values.shape
    if not stack.torn[tile]:
        stack.torn[tile] = True
        for y in range(top, top + rows):
            for x in range(left, left + columns):
                stack.seen[y, x] = stack.whole_seen[tile]
                stack.weights[y, x] = stack.whole_weights[tile]
    for v in range(rows):
        weights, seen = stack.weights[top + v, left : left + columns], stack.seen[top + v]
        end = 0
        while end < columns:
            begin = end
            while begin < columns and not there[v, begin]:
                begin += 1
            end = begin
            while end < columns and there[v, end]:
                end += 1
            for channel in range(channels):
                accumulate_row(
                    *(values[channel, v, begin:end], weights[begin:end], weight, stack),
                    *(channel, top + v, left + begin),
                )
            for u in range(begin, end):
                weights[u] += weight.weight
                seen[left + u] += 1


@kernel()
def spread(first, last, stack, coverage):  # type: ignore[no-untyped-def]
    """Fill some rows of ``coverage`` (H, W): how many subs each pixel has seen."""
    for y in range(first, last):
        _spread_row(stack.seen[y], stack.whole_seen, stack.torn, y, coverage[y])


@kernel()
def weights_at(stack, y, row):  # type: ignore[no-untyped-def]
    """Fill ``row`` (W) with the weights of the stack's row ``y``."""
    _spread_row(stack.weights[y], stack.whole_weights, stack.torn, y, row)


@kernel()
def _spread_row(plane, whole, torn, y, row):  # type: ignore[no-untyped-def]
    width = len(row)
    across = (width + TILE_COLUMNS - 1) // TILE_COLUMNS
    for column in range(across):
        tile = y // TILE_ROWS * across + column
        left, right = column * TILE_COLUMNS, min((column + 1) * TILE_COLUMNS, width)
        for x in range(left, right):
            row[x] = plane[x] if torn[tile] else whole[tile]
