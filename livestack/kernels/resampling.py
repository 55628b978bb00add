"""Interpolation kernels as tables, and the two passes that apply them to one tile.

A rotation is taken in two passes (Catmull & Smith 1980): along the rows, then along the columns. Either way
neighbouring pixels have nearly the same phase, and whole rows are worked on at once. The picture is cut
into tiles, each with its own affine map, so that any smooth distortion costs nothing more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from library.kernels.compiling import kernel
from livestack.kernels.tiles import at

PHASES = 1024
"""Positions are taken to 1/1024 px."""

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
        row, target = source[j], out[j]
        for left in range(0, width, length):
            right = min(left + length, width)
            middle = (left + right - 1) // 2
            x = _on(line, middle, j)
            whole = int(np.floor(x))
            start = left + whole - middle - (taps // 2 - 1)
            _convolve(row[start:], table[int((x - whole) * PHASES + 0.5)], target[left:right])


@kernel(inline=True)
def _on(line, u, j):  # type: ignore[no-untyped-def]
    return line.origin + line.step * j + u * (line.slope + line.twist * j + u * (line.square + u * line.cube))


@kernel()
def _steady_columns(line, rows, width):  # type: ignore[no-untyped-def]
    """Over how many columns the phase stays the same, wherever in the piece."""
    bent = 2 * abs(line.square) * width + 3 * abs(line.cube) * width * width
    upper, lower = abs(line.slope - 1.0), abs(line.slope + line.twist * rows - 1.0)
    return _steady(max(upper, lower) + bent, width)


# Loops run over slices from 0: an index that might be negative would keep the compiler from vectorising.


@kernel(fast=True)
def _convolve(row: Plane, w: Plane, target: Plane) -> None:
    """Sums of products of ``w`` with the pixels of ``row`` from each place on."""
    if len(w) == 8:
        r1, r2, r3, r4, r5, r6, r7 = row[1:], row[2:], row[3:], row[4:], row[5:], row[6:], row[7:]
        w0, w1, w2, w3, w4, w5, w6, w7 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
        for u in range(len(target)):
            early = w0 * row[u] + w1 * r1[u] + w2 * r2[u] + w3 * r3[u]
            target[u] = early + (w4 * r4[u] + w5 * r5[u] + w6 * r6[u] + w7 * r7[u])
        return
    for u in range(len(target)):
        target[u] = 0
    for k in range(len(w)):
        weight, moved = w[k], row[k:]
        for u in range(len(target)):
            target[u] += weight * moved[u]


@kernel(fast=True)
def along_columns(source, table, region, out) -> None:  # type: ignore[no-untyped-def]
    """Resample each column of ``source`` at the rows where a region's tile has its own, into ``out``."""
    height, width = out.shape
    taps = table.shape[1]
    length = _steady(max(abs(region.e - 1.0), abs(region.e + region.de * width - 1.0)), height)
    weights = np.empty((taps, width), np.float32)
    first = np.empty(width, np.int64)
    for top in range(0, height, length):
        bottom = min(top + length, height)
        middle = (top + bottom - 1) // 2
        for u in range(width):
            y = at(u, middle, region.d, region.e, region.ty, region.d2, region.d3, region.de)
            whole = int(np.floor(y))
            first[u] = whole - middle - (taps // 2 - 1)
            phase = int((y - whole) * PHASES + 0.5)
            for k in range(taps):
                weights[k, u] = table[phase, k]
        for v in range(top, bottom):
            target = out[v]
            left = 0
            while left < width:
                right = _end_of_run(first, left)
                _blend(source, first[left] + v, weights, left, right, target)
                left = right


@kernel()
def _end_of_run(values: NDArray[np.int64], start: int) -> int:
    """The place after the last of equal values."""
    end = start + 1
    while end < len(values) and values[end] == values[start]:
        end += 1
    return end


@kernel(fast=True)
def _blend(source: Plane, top: int, weights: Plane, left: int, right: int, target: Plane) -> None:
    """Sums of products down the columns ``left`` up to ``right``, from row ``top`` on."""
    out = target[left:right]
    if len(weights) == 8:
        r0, w0 = source[top, left:right], weights[0, left:right]
        r1, w1 = source[top + 1, left:right], weights[1, left:right]
        r2, w2 = source[top + 2, left:right], weights[2, left:right]
        r3, w3 = source[top + 3, left:right], weights[3, left:right]
        r4, w4 = source[top + 4, left:right], weights[4, left:right]
        r5, w5 = source[top + 5, left:right], weights[5, left:right]
        r6, w6 = source[top + 6, left:right], weights[6, left:right]
        r7, w7 = source[top + 7, left:right], weights[7, left:right]
        for u in range(len(out)):
            upper = w0[u] * r0[u] + w1[u] * r1[u] + w2[u] * r2[u] + w3[u] * r3[u]
            out[u] = upper + (w4[u] * r4[u] + w5[u] * r5[u] + w6[u] * r6[u] + w7[u] * r7[u])
        return
    for u in range(len(out)):
        out[u] = 0
    for k in range(len(weights)):
        row, weight = source[top + k, left:right], weights[k, left:right]
        for u in range(len(out)):
            out[u] += weight[u] * row[u]


@kernel(fast=True)
def lowest(source, line, region, low) -> None:  # type: ignore[no-untyped-def]
    """Least of the 4×4 samples of ``source`` around each place of ``low``, as the two passes see them."""
    rows = source.shape[0]
    height, width = low.shape
    lows = np.empty((rows, width), np.float32)
    length = _steady_columns(line, rows, width)
    for j in range(rows):
        row = source[j]
        for left in range(0, width, length):
            right = min(left + length, width)
            middle = (left + right - 1) // 2
            r = row[left + int(np.floor(_on(line, middle, j))) - middle - 1 :]
            _least_of_four(r, r[1:], r[2:], r[3:], lows[j, left:right])
    first = np.empty(width, np.int64)
    for v in range(height):
        for u in range(width):
            y = at(u, v, region.d, region.e, region.ty, region.d2, region.d3, region.de)
            first[u] = int(np.floor(y)) - 1
        left = 0
        while left < width:
            right, j = _end_of_run(first, left), first[left]
            r0, r1 = lows[j, left:right], lows[j + 1, left:right]
            r2, r3 = lows[j + 2, left:right], lows[j + 3, left:right]
            _least_of_four(r0, r1, r2, r3, low[v, left:right])
            left = right


@kernel(fast=True)
def _least_of_four(a: Plane, b: Plane, c: Plane, d: Plane, target: Plane) -> None:
    for u in range(len(target)):
        target[u] = min(min(a[u], b[u]), min(c[u], d[u]))


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
