"""Peaks of a small picture, how far they stand out, and the sky right around them."""

from __future__ import annotations

import numpy as np

from numerics.compiling import kernel


@kernel(fast=True)
def peaks(flat, threshold, xs, ys, heights):  # type: ignore[no-untyped-def]
    """List the local maxima of ``flat`` (H, W), smoothed by 1-2-1 both ways, that reach ``threshold``.

    Fills ``xs``, ``ys`` and ``heights`` and returns how many there are, at most as many as these hold.
    """
    height, width = flat.shape
    n = 0
    rows = np.zeros((3, width), np.float32)  # three smoothed rows, in turn
    quarter, half = np.float32(0.25), np.float32(0.5)
    for y in range(1, height):
        if y < height - 1:
            up, here, down = flat[y - 1], flat[y], flat[y + 1]
            target = rows[y % 3]
            for x in range(1, width - 1):
                left = quarter * (up[x - 1] + down[x - 1]) + half * here[x - 1]
                middle = quarter * (up[x] + down[x]) + half * here[x]
                right = quarter * (up[x + 1] + down[x + 1]) + half * here[x + 1]
                target[x] = quarter * (left + right) + half * middle
        else:
            for x in range(width):
                rows[y % 3, x] = 0
        if y < 3:
            continue
        above, line, below = rows[(y - 2) % 3], rows[(y - 1) % 3], rows[y % 3]
        for x in range(2, width - 2):
            value = line[x]
            if value < threshold:
                continue
            if (
                value > line[x - 1]
                and value >= line[x + 1]
                and value > above[x]
                and value >= below[x]
                and value > above[x - 1]
                and value > above[x + 1]
                and value >= below[x - 1]
                and value >= below[x + 1]
            ):
                if n == len(xs):
                    return n
                xs[n], ys[n], heights[n] = x, y - 1, value
                n += 1
    return n


@kernel(fast=True)
def _smooth(flat, y, x):  # type: ignore[no-untyped-def]
    """One pixel of ``flat``, smoothed by 1-2-1 both ways; not-a-number at the picture's rim and beyond."""
    if y < 1 or x < 1 or y >= flat.shape[0] - 1 or x >= flat.shape[1] - 1:
        return np.float32(np.nan)
    corners = flat[y - 1, x - 1] + flat[y - 1, x + 1] + flat[y + 1, x - 1] + flat[y + 1, x + 1]
    sides = flat[y - 1, x] + flat[y + 1, x] + flat[y, x - 1] + flat[y, x + 1]
    return np.float32(0.0625) * corners + np.float32(0.125) * sides + np.float32(0.25) * flat[y, x]


@kernel(fast=True)
def prominences(first, last, flat, xs, ys, heights, rings, enough, prominence):  # type: ignore[no-untyped-def]
    """Measure how far some of N peaks stand out in every direction.

    ``rings`` (R, 2K, 2) holds offsets (x, y) whose entries k and k + K lie opposite each other. In each
    direction a peak must stand out over the lower one of the two opposite pixels: a star does, while a
    trail, a spike, an edge or the slope of a halo has a direction along which it stays as bright. The
    smallest of the directions counts; one that is not above ``enough`` ends the look. Fills ``prominence``
    (R, N).
    """
    half = rings.shape[1] // 2
    for n in range(first, last):
        for r in range(rings.shape[0]):
            least = np.float32(np.inf)
            for k in range(half):
                one = _smooth(flat, ys[n] + rings[r, k, 1], xs[n] + rings[r, k, 0])
                other = _smooth(flat, ys[n] + rings[r, k + half, 1], xs[n] + rings[r, k + half, 0])
                low = one if other - other != 0 or one < other else other
                if low - low == 0:
                    least = min(least, heights[n] - low)
                    if least <= enough:
                        break
            prominence[r, n] = least if least < np.float32(np.inf) else np.float32(0)


@kernel(fast=True)
def surroundings(first, last, flat, xs, ys, ring, level):  # type: ignore[no-untyped-def]
    """Fill ``level`` (N) with the sky around some of N places: the median of a ``ring`` (K, 2), smoothed."""
    values = np.empty(len(ring), np.float32)
    for n in range(first, last):
        known = 0
        for k in range(len(ring)):
            value = _smooth(flat, ys[n] + ring[k, 1], xs[n] + ring[k, 0])
            if value - value == 0:
                at = known
                while at > 0 and values[at - 1] > value:
                    values[at] = values[at - 1]
                    at -= 1
                values[at] = value
                known += 1
        if known == 0:
            level[n] = np.float32(0)
            continue
        level[n] = np.float32(0.5) * (values[(known - 1) // 2] + values[known // 2])
