"""Interpolation kernels as tables, and the two passes that apply them to one tile.

A rotation is taken in two passes (Catmull & Smith 1980): along the rows, then along the columns. Either way
neighbouring pixels have nearly the same phase, and whole rows are worked on at once. The picture is cut
into tiles, each with its own affine map, so that any smooth distortion costs nothing more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from livestack.kernels.tiles import at
from numerics.compiling import kernel

PHASES = 1024
"""Positions are taken to 1/1024 px."""

_WORTH_IT = 24
"""Columns of one phase that are worked on at once; fewer take their weights from a table."""

Plane = NDArray[np.float32]


def lanczos(a: int) -> Plane:
    """Table (PHASES + 1, 2a) of the weights of 2a samples around a position, each row adding up to one."""
    phase = np.arange(PHASES + 1)[:, None] / PHASES
    distance = phase - np.arange(1 - a, a + 1)[None, :]
    return _normalised(np.sinc(distance) * np.sinc(distance / a))


def bicubic(b: float = -0.75) -> Plane:
    """Cubic convolution (Keys 1981) as a table like :func:`lanczos`, 4 wide; sharper than Keys' -0.5."""
    phase = np.arange(PHASES + 1)[:, None] / PHASES
    x = np.abs(phase - np.arange(-1, 3)[None, :])
    near = (b + 2) * x**3 - (b + 3) * x**2 + 1
    far = b * x**3 - 5 * b * x**2 + 8 * b * x - 4 * b
    return _normalised(np.where(x <= 1, near, np.where(x < 2, far, 0.0)))


def _normalised(weights: NDArray[np.float64]) -> Plane:
    return np.ascontiguousarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


class Line(NamedTuple):
    """Where the columns u of a row j lie along it.

    That is at origin + step·j + u·(slope + twist·j + u·(square + u·cube)).
    """

    origin: float
    step: float
    slope: float
    twist: float
    square: float
    cube: float


@kernel()
def line_of(region) -> Line:  # type: ignore[no-untyped-def]
    """The first pass: each row of the piece at a tile's columns, wherever the second will want it."""
    beta = region.b / region.e
    twist = (region.ab - beta * region.de) / region.e
    return Line(
        region.tx - beta * region.ty,
        beta,
        region.a - beta * region.d - twist * region.ty,
        twist,
        region.a2 - beta * region.d2 - twist * region.d,
        region.a3 - beta * region.d3,
    )


@kernel(fast=True)
def along_rows(source, table, line, out) -> None:  # type: ignore[no-untyped-def]
    """Resample each row of ``source`` at the places of a :class:`Line`, for every column of ``out``.

    All positions, with the table's reach, must lie inside.
    """
    width, taps = out.shape[1], table.shape[1]
    length = _steady_columns(line, source.shape[0], width)
    for j in range(source.shape[0]):
        for left in range(0, width, length):
            right = min(left + length, width)
            middle = (left + right - 1) // 2
            x = _on(line, middle, j)
            whole = int(np.floor(x))
            start = left + whole - middle - (taps // 2 - 1)
            phase = int((x - whole) * PHASES + 0.5)
            _convolve(source, j, start, 0, 1, table[phase], out, j, left, right)


@kernel(inline=True)
def _on(line, u, j):  # type: ignore[no-untyped-def]
    return line.origin + line.step * j + u * (line.slope + line.twist * j + u * (line.square + u * line.cube))


@kernel()
def _steady_columns(line, rows, width):  # type: ignore[no-untyped-def]
    """Over how many columns the phase stays the same, wherever in the piece."""
    bent = 2 * abs(line.square) * width + 3 * abs(line.cube) * width * width
    upper, lower = abs(line.slope - 1.0), abs(line.slope + line.twist * rows - 1.0)
    return _steady(max(upper, lower) + bent, width)


# Indices are unsigned where the compiler is to vectorise: one that might be negative makes every access a
# gather. Slices would do as well, but each is counted, by all threads in one place.


@kernel(fast=True)
def _convolve(source, j, i, down, across, w, target, v, left, right) -> None:  # type: ignore[no-untyped-def]
    """Fill row ``v`` of ``target`` from column ``left`` up to ``right`` with sums of products of ``w``.

    The first factors are the pixels of ``source`` from (``j``, ``i``) on, the next ones lie ``down`` and
    ``across`` from these, and so on.
    """
    n, row, begin = right - left, np.uintp(v), np.uintp(left)
    if len(w) == 8:
        w0, w1, w2, w3, w4, w5, w6, w7 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
        j0, j1, j2, j3 = np.uintp(j), np.uintp(j + down), np.uintp(j + 2 * down), np.uintp(j + 3 * down)
        i0, i1, i2, i3 = np.uintp(i), np.uintp(i + across), np.uintp(i + 2 * across), np.uintp(i + 3 * across)
        j4, j5 = np.uintp(j + 4 * down), np.uintp(j + 5 * down)
        j6, j7 = np.uintp(j + 6 * down), np.uintp(j + 7 * down)
        i4, i5 = np.uintp(i + 4 * across), np.uintp(i + 5 * across)
        i6, i7 = np.uintp(i + 6 * across), np.uintp(i + 7 * across)
        for k in range(n):
            u = np.uintp(k)
            early = w0 * source[j0, i0 + u] + w1 * source[j1, i1 + u]
            early += w2 * source[j2, i2 + u] + w3 * source[j3, i3 + u]
            late = w4 * source[j4, i4 + u] + w5 * source[j5, i5 + u]
            late += w6 * source[j6, i6 + u] + w7 * source[j7, i7 + u]
            target[row, begin + u] = early + late
        return
    for k in range(n):
        target[row, begin + np.uintp(k)] = 0
    for m in range(len(w)):
        weight, y, x = w[m], np.uintp(j + m * down), np.uintp(i + m * across)
        for k in range(n):
            u = np.uintp(k)
            target[row, begin + u] += weight * source[y, x + u]


@kernel(fast=True)
def along_columns(source, table, region, out) -> None:  # type: ignore[no-untyped-def]
    """Resample each column of ``source`` at the rows where a region's tile has its own, into ``out``."""
    height, width = out.shape
    before = table.shape[1] // 2 - 1
    tall = _steady_rows(region, height, width)
    slope = max(abs(region.d), abs(region.d + region.de * height))
    wide = _steady(slope + 2 * abs(region.d2) * width + 3 * abs(region.d3) * width * width, width)
    for top in range(0, height, tall):
        bottom = min(top + tall, height)
        if wide < _WORTH_IT:
            _columns_apart(source, table, region, top, bottom, out)
            continue
        row = (top + bottom - 1) // 2
        for left in range(0, width, wide):
            right = min(left + wide, width)
            column = (left + right - 1) // 2
            y = at(column, row, region.d, region.e, region.ty, region.d2, region.d3, region.de)
            whole = int(np.floor(y))
            w = table[int((y - whole) * PHASES + 0.5)]
            for v in range(top, bottom):
                _convolve(source, whole - row - before + v, left, 1, 0, w, out, v, left, right)


@kernel()
def _steady_rows(region, height, width):  # type: ignore[no-untyped-def]
    """Over how many rows the phase stays the same, in any column."""
    return _steady(max(abs(region.e - 1.0), abs(region.e + region.de * width - 1.0)), height)


@kernel(fast=True)
def _columns_apart(source, table, region, top, bottom, out) -> None:  # type: ignore[no-untyped-def]
    """Resample rows ``top`` up to ``bottom`` where each column has its own phase."""
    width, taps = out.shape[1], table.shape[1]
    weights = np.empty((taps, width), np.float32)
    first = np.empty(width, np.int64)
    middle = (top + bottom - 1) // 2
    for u in range(width):
        y = at(u, middle, region.d, region.e, region.ty, region.d2, region.d3, region.de)
        whole = int(np.floor(y))
        first[u] = whole - middle - (taps // 2 - 1)
        phase = int((y - whole) * PHASES + 0.5)
        for k in range(taps):
            weights[k, u] = table[phase, k]
    for v in range(top, bottom):
        left = 0
        while left < width:
            right = _end_of_run(first, left)
            _blend(source, first[left] + v, weights, left, right, out, v)
            left = right


@kernel()
def _end_of_run(values: NDArray[np.int64], start: int) -> int:
    """The place after the last of equal values."""
    end = start + 1
    while end < len(values) and values[end] == values[start]:
        end += 1
    return end


@kernel(fast=True)
def _blend(source, top, weights, left, right, target, v) -> None:  # type: ignore[no-untyped-def]
    """Sums of products down the columns ``left`` up to ``right``, from row ``top`` on, into row ``v``."""
    row, n, begin = np.uintp(v), right - left, np.uintp(left)
    if len(weights) == 8:
        r0, r1, r2, r3 = np.uintp(top), np.uintp(top + 1), np.uintp(top + 2), np.uintp(top + 3)
        r4, r5, r6, r7 = np.uintp(top + 4), np.uintp(top + 5), np.uintp(top + 6), np.uintp(top + 7)
        for i in range(n):
            u = begin + np.uintp(i)
            upper = weights[0, u] * source[r0, u] + weights[1, u] * source[r1, u]
            upper += weights[2, u] * source[r2, u] + weights[3, u] * source[r3, u]
            lower = weights[4, u] * source[r4, u] + weights[5, u] * source[r5, u]
            lower += weights[6, u] * source[r6, u] + weights[7, u] * source[r7, u]
            target[row, u] = upper + lower
        return
    for i in range(n):
        target[row, begin + np.uintp(i)] = 0
    for k in range(len(weights)):
        j, m = np.uintp(top + k), np.uintp(k)
        for i in range(n):
            u = begin + np.uintp(i)
            target[row, u] += weights[m, u] * source[j, u]


@kernel(fast=True)
def lowest(source, line, region, low) -> None:  # type: ignore[no-untyped-def]
    """Least of the 4×4 samples of ``source`` around each place of ``low``, as the two passes see them."""
    rows = source.shape[0]
    height, width = low.shape
    lows = np.empty((rows, width), np.float32)
    length = _steady_columns(line, rows, width)
    for j in range(rows):
        for left in range(0, width, length):
            right = min(left + length, width)
            middle = (left + right - 1) // 2
            start = left + int(np.floor(_on(line, middle, j))) - middle - 1
            _least_of_four(source, j, start, 0, 1, lows, j, left, right)
    first = np.empty(width, np.int64)
    tall = _steady_rows(region, height, width)
    for top in range(0, height, tall):
        bottom = min(top + tall, height)
        middle = (top + bottom - 1) // 2
        for u in range(width):
            y = at(u, middle, region.d, region.e, region.ty, region.d2, region.d3, region.de)
            first[u] = int(np.floor(y)) - middle - 1
        for v in range(top, bottom):
            left = 0
            while left < width:
                right = _end_of_run(first, left)
                _least_of_four(lows, first[left] + v, left, 1, 0, low, v, left, right)
                left = right


@kernel(fast=True)
def _least_of_four(source, j, i, down, across, target, v, left, right) -> None:  # type: ignore[no-untyped-def]
    """Like :func:`_convolve`, the least of four pixels."""
    row, begin = np.uintp(v), np.uintp(left)
    j0, j1, j2, j3 = np.uintp(j), np.uintp(j + down), np.uintp(j + 2 * down), np.uintp(j + 3 * down)
    i0, i1, i2, i3 = np.uintp(i), np.uintp(i + across), np.uintp(i + 2 * across), np.uintp(i + 3 * across)
    for k in range(right - left):
        u = np.uintp(k)
        one = min(source[j0, i0 + u], source[j1, i1 + u])
        other = min(source[j2, i2 + u], source[j3, i3 + u])
        target[row, begin + u] = min(one, other)


@kernel(fast=True)
def directly(source, table, region, out, low) -> None:  # type: ignore[no-untyped-def]
    """Resample ``source`` at a region's places without the two passes: for steep angles.

    ``low`` receives the least of the nearest 4×4 samples.
    """
    height, width = out.shape
    taps = table.shape[1]
    before = taps // 2 - 1
    for v in range(height):
        for u in range(width):
            x = at(u, v, region.a, region.b, region.tx, region.a2, region.a3, region.ab)
            y = at(u, v, region.d, region.e, region.ty, region.d2, region.d3, region.de)
            i, j = int(np.floor(x)), int(np.floor(y))
            across, down = table[int((x - i) * PHASES + 0.5)], table[int((y - j) * PHASES + 0.5)]
            total, least = np.float32(0), np.float32(np.inf)
            for m in range(taps):
                row = source[j + m - before]
                part = np.float32(0)
                for k in range(taps):
                    part += across[k] * row[i + k - before]
                total += down[m] * part
            for m in range(-1, 3):
                row = source[j + m]
                least = min(least, min(min(row[i - 1], row[i]), min(row[i + 1], row[i + 2])))
            out[v, u], low[v, u] = total, least


@kernel(inline=True)
def _steady(drift: float, length: int) -> int:
    """Over how many pixels a phase that drifts by so much a pixel stays the same within 1/32 px."""
    drift = abs(drift)
    return length if drift * length < 1.0 / 32 else max(4, int(1.0 / (32 * drift)))
