"""Drops of a frame's pixels fall on a finer grid: variable-pixel linear reconstruction.

Fruchter & Hook 2002 (PASP 114, 144): each pixel is shrunk about its middle to a drop, carried over by the
geometry, and its value is shared out by the area that the drop has in common with each pixel of the output.
The areas are exact, for any rotation: a drop is a parallelogram, and what its edges leave to their right in
each pixel is summed along the rows, as in filling polygons with exact coverage.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from livestack.kernels.lattices import STEP, directions, lay
from measure.kernels.frames import load
from numerics.compiling import kernel

MARGIN = 2
"""Pixels around those whose drops reach a tile, so that each of these knows its neighbours' verdict."""

_UPRIGHT = np.eye(2, dtype=np.int64)
_LEAST_SHARE = 1e-6
_HARD, _SOFT = 2, 1

Plane = NDArray[np.float32]


class Sums(NamedTuple):
    """What grows, each (channels, H, W): Σ w·value, Σ w, and how many subs were seen."""

    values: Plane
    weights: Plane
    coverage: NDArray[np.uint16]


class Fall(NamedTuple):
    """How a frame falls on the grid.

    ``lattice`` (J, I, 2 + channels) holds, for the corner of every ``STEP``th pixel, its place (u, v) on the
    output and what is added there to a value after ``scale``. ``regions`` (tiles, 4) are first and last
    column, first and last row of the frame's pixels that a tile of ``side`` may need. ``colours`` (2, 2) is
    the channel of a CFA cell's pixels, -1 for mono. ``room`` is
    somewhat more than the widest drop in pixels of the output.
    """

    lattice: NDArray[np.float64]
    regions: NDArray[np.int64]
    side: int
    colours: NDArray[np.int64]
    scale: np.float32
    weight: np.float32
    pixfrac: float
    room: int


class Blot(NamedTuple):
    """What the frame's values are tested against.

    ``picture`` (channels, h, w) on the reference's pixels, at the level of the sums, NaN for unknown, or
    empty for no test; ``scatter`` its values' scatter from sub to sub, or empty. ``finer`` is how many pixels
    of the output go to one of the picture's, ``noise2`` the variance of the frame's values at the stack's
    scale, ``share`` the scatter of a signal as a share of it, where there is no ``scatter``. A value that is
    beyond ``hard`` (slopes, sigmas) is out, and beyond ``soft`` beside such a one.
    """

    picture: Plane
    scatter: Plane
    finer: float
    noise2: np.float32
    share: np.float32
    sky: Plane
    hard: tuple[np.float32, np.float32]
    soft: tuple[np.float32, np.float32]


@kernel(fast=True)
def drizzle_tiles(first, last, frame, fall, blot, sums):  # type: ignore[no-untyped-def]
    """Let a frame's drops fall on some tiles of the output; different tiles may be done at once.

    Returns how many pixels counted and how many were left out; those at tiles' edges are told twice.
    """
    height, width = sums.values.shape[1:]
    channels = sums.values.shape[0]
    across = (width + fall.side - 1) // fall.side
    share = np.zeros((fall.room, fall.room), np.float32)
    half, kept, gone = 0.5 * fall.pixfrac, 0, 0
    for tile in range(first, last):
        left, right, top, bottom = fall.regions[tile]
        if right < left or bottom < top:
            continue
        v0, u0 = tile // across * fall.side, tile % across * fall.side
        v1, u1 = min(v0 + fall.side, height), min(u0 + fall.side, width)
        piece = np.empty((bottom - top + 1, right - left + 1), np.float32)
        load(frame, left, top, _UPRIGHT, 1, piece)
        places = np.empty((2, *piece.shape), np.float32)
        lay(piece, left, top, fall, u0, v0, places)
        verdict = np.zeros(piece.shape, np.uint8)
        if blot.picture.size:
            _judge(piece, places, left, top, fall, blot, u0, v0, verdict)
        touched = np.zeros((channels, v1 - v0, u1 - u0), np.bool_)
        rows, columns = piece.shape
        for q in range(rows):
            y, end = top + q, 0
            while end < columns:  # within one cell of the lattice all drops are alike
                begin, end = end, min(columns, ((left + end) // STEP + 1) * STEP - left)
                ux, vx, uy, vy = directions(fall.lattice, left + begin, y)
                whole = np.float32(fall.weight * abs(ux * vy - uy * vx))
                ux, vx, uy, vy = half * ux, half * vx, half * uy, half * vy
                wide, tall = abs(ux) + abs(uy), abs(vx) + abs(vy)
                part_of = -0.25 / (ux * vy - uy * vx)
                for p in range(begin, end):
                    value = piece[q, p]
                    u, v = places[0, q, p], places[1, q, p]
                    i0, i1 = int(np.floor(u - wide)), int(np.floor(u + wide))
                    j0, j1 = int(np.floor(v - tall)), int(np.floor(v + tall))
                    if i1 < 0 or j1 < 0 or i0 >= u1 - u0 or j0 >= v1 - v0 or value - value != 0:
                        continue
                    if verdict[q, p] and _out(verdict, q, p):
                        gone += 1
                        continue
                    kept += 1
                    channel = max(fall.colours[y & 1, (left + p) & 1], 0)
                    if i0 == i1 and j0 == j1:
                        sums.values[channel, v0 + j0, u0 + i0] += whole * value
                        sums.weights[channel, v0 + j0, u0 + i0] += whole
                        touched[channel, j0, i0] = True
                        continue
                    share[: j1 - j0 + 2, : i1 - i0 + 3] = 0
                    du, dv = u - i0, v - j0
                    _edge(du - ux - uy, dv - vx - vy, du + ux - uy, dv + vx - vy, part_of, share)
                    _edge(du + ux - uy, dv + vx - vy, du + ux + uy, dv + vx + vy, part_of, share)
                    _edge(du + ux + uy, dv + vx + vy, du - ux + uy, dv - vx + vy, part_of, share)
                    _edge(du - ux + uy, dv - vx + vy, du - ux - uy, dv - vx - vy, part_of, share)
                    for j in range(max(0, -j0), min(j1, v1 - v0 - 1) - j0 + 1):
                        part = np.float32(0)
                        for i in range(min(i1, u1 - u0 - 1) - i0 + 1):
                            part += share[j, i]
                            if i0 + i >= 0 and part > _LEAST_SHARE:
                                sums.values[channel, v0 + j0 + j, u0 + i0 + i] += whole * part * value
                                sums.weights[channel, v0 + j0 + j, u0 + i0 + i] += whole * part
                                touched[channel, j0 + j, i0 + i] = True
        for channel in range(channels):
            for j in range(v1 - v0):
                for i in range(u1 - u0):
                    sums.coverage[channel, v0 + j, u0 + i] += touched[channel, j, i]
    return kept, gone


@kernel(fast=True)
def _judge(piece, places, left, top, fall, blot, u0, v0, verdict) -> None:  # type: ignore[no-untyped-def]
    """Tell in ``verdict`` which values are far from the picture, by how much it slopes and scatters there."""
    rows, columns = blot.picture.shape[1:]
    per = 1 / blot.finer
    for q in range(piece.shape[0]):
        y = top + q
        for p in range(piece.shape[1]):
            channel = max(fall.colours[y & 1, (left + p) & 1], 0)
            u, v = per * (u0 + places[0, q, p]) - 0.5, per * (v0 + places[1, q, p]) - 0.5
            if not (-1 <= u <= columns and -1 <= v <= rows):
                continue
            u, v = min(max(u, 0.0), columns - 1.0), min(max(v, 0.0), rows - 1.0)
            picture = blot.picture[channel]
            i, j = min(int(u), columns - 2), min(int(v), rows - 2)
            s, t = np.float32(u - i), np.float32(v - j)
            expected = (1 - t) * ((1 - s) * picture[j, i] + s * picture[j, i + 1])
            expected += t * ((1 - s) * picture[j + 1, i] + s * picture[j + 1, i + 1])
            away = abs(piece[q, p] - expected)
            if away * away <= blot.soft[1] * blot.soft[1] * blot.noise2:
                continue
            i, j = int(u + 0.5), int(v + 0.5)
            here, slope = picture[j, i], np.float32(0)
            for b in range(max(j - 1, 0), min(j + 2, rows)):
                for a in range(max(i - 1, 0), min(i + 2, columns)):
                    slope = max(slope, abs(picture[b, a] - here))
            if blot.scatter.size:
                scatter = blot.scatter[channel, j, i]
                noise = np.sqrt(max(blot.noise2, scatter * scatter))
            else:
                signal = blot.share * (expected - blot.sky[channel])
                noise = np.sqrt(blot.noise2 + signal * signal)
            if away > blot.hard[0] * slope + blot.hard[1] * noise:
                verdict[q, p] = _HARD
            elif away > blot.soft[0] * slope + blot.soft[1] * noise:
                verdict[q, p] = _SOFT


@kernel()
def _out(verdict, q, p):  # type: ignore[no-untyped-def]
    """Whether a doubtful pixel is left out: by itself, or as the neighbour of one that is."""
    for j in range(max(q - 1, 0), min(q + 2, verdict.shape[0])):
        for i in range(max(p - 1, 0), min(p + 2, verdict.shape[1])):
            if verdict[j, i] == _HARD:
                return True
    return False


@kernel(fast=True)
def _edge(u0, v0, u1, v1, turn, share) -> None:  # type: ignore[no-untyped-def]
    """Add a polygon's edge: in the end the sums along ``share``'s rows are how much of it a pixel holds."""
    if v0 == v1:
        return
    if v0 > v1:
        u0, v0, u1, v1, turn = u1, v1, u0, v0, -turn
    slope = (u1 - u0) / (v1 - v0)
    here, v = u0, v0
    for j in range(max(int(np.floor(v0)), 0), int(np.ceil(v1))):
        below = min(v1, j + 1.0)
        there = here + slope * (below - v)
        tall = turn * (below - v)
        low, high = min(here, there), max(here, there)
        i = max(int(np.floor(low)), 0)
        before = 0.0
        while high > i + 1:  # from here on, the edge is passed by a growing part of the row's height
            start = max(low, float(i))
            covered = (i + 1 - start) * (0.5 * (start + i + 1) - low) / (high - low)
            share[j, i] += np.float32(tall * (covered - before))
            before = covered
            i += 1
        start = max(low, float(i))
        covered = i + 1 - high
        if high > low:
            covered += (high - start) * (0.5 * (start + high) - low) / (high - low)
        share[j, i] += np.float32(tall * (covered - before))
        share[j, i + 1] += np.float32(tall * (1 - covered))
        here, v = there, below
