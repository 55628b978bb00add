"""A tile of the stack as one raw frame sees it: calibrated, resampled, at the stack's scale and level."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from livestack.kernels.demosaic import FINE, REACH, demosaic
from livestack.kernels.ratio_corrected import ratio_corrected
from livestack.kernels.resampling import along_columns, along_rows, directly, line_of, lowest
from livestack.kernels.ringing import EDGE, hold
from livestack.kernels.tiles import footprint, mask_holes, region_of
from measure.kernels.frames import fill_holes, load, plane_of, shape_of
from numerics.compiling import kernel

THREE_PLANES = -2
"""In place of a CFA's channels: the frame holds three planes, one below the other."""

_RINGING = np.float32(25.0)
"""Of a stretched kernel, peaks above the sky by fewer undershoots than this ring by less than one."""

Plane = NDArray[np.float32]


class Demosaicing(NamedTuple):
    """How a mosaic becomes colour: by ratios, or linearly with ``gain``, of pixels up to ``reach`` away."""

    ratios: bool = False
    gain: np.float32 = FINE
    reach: int = REACH
    noise: np.float32 = np.float32(0)


class Course(NamedTuple):
    """How a frame gets into the stack.

    ``maps`` (tiles, 2, 6) lead from a place in the tile to one in the frame (:func:`region_of`), ``turn``
    (2, 2) is the quarter turn that is nearest to them, ``table`` the interpolation's. ``colours`` (2, 2) says
    which channel each pixel of a CFA's cell has, -1 for mono, -2 for three planes. ``levels`` (tiles,
    channels, 3) are added after ``scale``, as a plane over the tile. ``noise`` is that of a pixel of the
    frame; where the table is ``stretched``, ``undershoot`` is how far below its neighbours an interpolated
    value may be. ``zero`` (channels) is about the sky's level. ``demosaicing`` is for a mosaic.
    """

    maps: NDArray[np.float64]
    turn: NDArray[np.int64]
    table: Plane
    colours: NDArray[np.int64]
    scale: np.float32
    levels: Plane
    noise: np.float32
    stretched: bool
    undershoot: np.float32
    zero: Plane
    demosaicing: Demosaicing = Demosaicing()


@kernel(fast=True)
def registered(frame, course, tile, values, there):  # type: ignore[no-untyped-def]
    """Fill ``values`` (channels, rows, columns) of a tile, and tell which places the frame has seen.

    Returns whether the frame reaches the tile at all; if not, neither array is touched.
    """
    channels, rows, columns = values.shape
    cfa, planes = course.colours[0, 0] >= 0, course.colours[0, 0] == THREE_PLANES
    size = shape_of(frame)
    if planes:
        size = (size[0] // 3, size[1])
    reach = course.table.shape[1] // 2 + (course.demosaicing.reach + 2 if cfa else 1)
    region = region_of(course.maps[tile], course.turn, rows, columns, reach, size)
    if not region.reached:
        return False
    piece = np.empty((3 if cfa or planes else 1, region.rows, region.columns), np.float32)
    mosaic = np.empty((region.rows, region.columns), np.float32) if cfa else piece[0]
    first, period = plane_of(frame, 0) if planes else frame, course.colours.shape[0] if cfa else 1
    holes, brightest = load(first, region.x0, region.y0, course.turn, period, mosaic)
    for v in range(rows):
        for u in range(columns):
            there[v, u] = True
    if not region.inside:
        footprint(course.maps[tile], size, there)
    if holes:
        _mask(mosaic, region, there)
    if planes:
        for number in range(1, 3):
            plane = plane_of(frame, number)
            holes, peak = load(plane, region.x0, region.y0, course.turn, period, piece[number])
            brightest = max(brightest, peak)
            if holes:
                _mask(piece[number], region, there)
    if cfa:
        _coloured(mosaic, course, region.x0, region.y0, piece)
    for channel in range(channels):
        sky = (course.zero[channel] - course.levels[tile, channel, 0]) / course.scale
        bright = sky + (_RINGING * course.undershoot if course.stretched else EDGE * course.noise)
        _resampled(piece[channel], region, course, brightest > bright, bright, values[channel])
        _level(values[channel], course.scale, course.levels[tile, channel])
    return True


@kernel()
def _mask(pixels, region, there) -> None:  # type: ignore[no-untyped-def]
    """Fill what has no value, and take places out that would be made of the filling."""
    present = np.empty(pixels.shape, np.float32)
    fill_holes(pixels, present)
    mask_holes(present, region, there)


@kernel(fast=True)
def _coloured(mosaic, course, x0, y0, planes):  # type: ignore[no-untyped-def]
    """Demosaic a tile whose (p, q) is (x0, y0) + turn · (p, q) of the frame."""
    turn, colours, way = course.turn, course.colours, course.demosaicing
    if not way.ratios:
        demosaic(mosaic, colours, x0, y0, turn, way.gain, planes)
        return
    cell = np.empty((2, 2), np.int64)
    for q in range(2):
        for p in range(2):
            x, y = x0 + turn[0, 0] * p + turn[0, 1] * q, y0 + turn[1, 0] * p + turn[1, 1] * q
            cell[q, p] = colours[y & 1, x & 1]
    ratio_corrected(mosaic, cell, way.noise, planes)


@kernel(fast=True)
def _resampled(piece, region, course, ringing, bright, values):  # type: ignore[no-untyped-def]
    """Fill a tile's ``values`` from a calibrated ``piece``, and take out what ``ringing`` there may be."""
    low = np.empty(values.shape, np.float32)
    if region.steep:
        directly(piece, course.table, region, values, low)
    else:
        line = line_of(region)
        between = np.empty((piece.shape[0], values.shape[1]), np.float32)
        along_rows(piece, course.table, line, between)
        along_columns(between, course.table, region, values)
        if ringing and course.stretched:
            lowest(piece, line, region, low)
    if ringing and course.stretched:
        for v in range(values.shape[0]):
            for u in range(values.shape[1]):
                values[v, u] = max(values[v, u], low[v, u] - course.undershoot)
    elif ringing:
        hold(piece, region, course.table.shape[1], course.noise, bright, values)


@kernel(fast=True)
def _level(values, scale, plane) -> None:  # type: ignore[no-untyped-def]
    """Bring a tile to the stack's scale and sky, in place."""
    for v in range(values.shape[0]):
        level = plane[0] + plane[2] * np.float32(v)
        for u in range(values.shape[1]):
            values[v, u] = scale * values[v, u] + (level + plane[1] * np.float32(u))
