"""A tile of a Bayer mosaic in colour by ratio corrected demosaicing: along edges rather than across them.

After Luis Sanz Rodríguez, RCD 2.3 (github.com/LuisSR/RCD-Demosaicing), which RawTherapee, darktable and Siril
use, too. Green is its neighbours' along the smoother direction, corrected by how the low-pass of all colours
changes on the way; red and blue follow from their differences to green. Nothing is clipped here, and where a
level is within the noise the ratio is held down, since calibrated frames go below zero.
"""

from __future__ import annotations

import numpy as np

from numerics.compiling import kernel

REACH = 10
"""Pixels around a place that its colours are made of."""

_TINY = np.float32(1e-6)
_LEVEL_SIGMA = np.float32(0.5)
_HALF, _QUARTER = np.float32(0.5), np.float32(0.25)


@kernel(fast=True)
def ratio_corrected(mosaic, cell, noise, planes) -> None:  # type: ignore[no-untyped-def]
    """Into ``planes`` (3, rows, columns), right at places that are ``REACH`` or more from the rim.

    ``cell`` (2, 2) is the channel of the tile's (even/odd row, even/odd column), ``noise`` that of a pixel:
    a ratio of levels below half of that is held down.
    """
    shape = mosaic.shape
    for channel in range(3):
        planes[channel] = mosaic
    one, other = np.empty(shape, np.float32), np.empty(shape, np.float32)
    rough, smooth = np.empty(shape, np.float32), np.empty(shape, np.float32)
    _which_way(mosaic, 1, 0, 0, 1, one, other, rough)
    _settled(rough, smooth)
    _green(mosaic, cell, smooth, 8 * _LEVEL_SIGMA * noise + _TINY, one, planes[1])
    slanted = np.empty(shape, np.float32)
    _which_way(mosaic, 1, 1, 1, -1, one, other, rough)
    _settled(rough, slanted)
    _opposite(cell, slanted, planes)
    _beside_green(cell, smooth, planes)


@kernel(fast=True)
def _which_way(mosaic, down, across, down2, across2, one, other, share) -> None:  # type: ignore[no-untyped-def]
    """Fill ``share``: of the roughness along two directions, that along the first."""
    _rough(mosaic, down, across, one)
    _rough(mosaic, down2, across2, other)
    rows, columns = mosaic.shape
    for q in range(4, rows - 4):
        for p in range(4, columns - 4):
            first = one[q - down, p - across] + one[q, p] + one[q + down, p + across]
            second = other[q - down2, p - across2] + other[q, p] + other[q + down2, p + across2]
            share[q, p] = (first + _TINY) / (first + second + 2 * _TINY)


@kernel(fast=True)
def _rough(mosaic, down, across, squares) -> None:  # type: ignore[no-untyped-def]
    """Squares of what a high-pass along one direction leaves."""
    rows, columns = mosaic.shape
    for q in range(3, rows - 3):
        here = mosaic[q]
        above, below = mosaic[q - down], mosaic[q + down]
        above2, below2 = mosaic[q - 2 * down], mosaic[q + 2 * down]
        above3, below3 = mosaic[q - 3 * down], mosaic[q + 3 * down]
        for p in range(3, columns - 3):
            near = above[p - across] + below[p + across]
            far = above3[p - 3 * across] + below3[p + 3 * across]
            left = 6 * here[p] - near - 3 * (above2[p - 2 * across] + below2[p + 2 * across]) + far
            squares[q, p] = left * left


@kernel(fast=True)
def _settled(rough, smooth) -> None:  # type: ignore[no-untyped-def]
    """Each place's own share, or its diagonal neighbours' mean where that is more decided."""
    rows, columns = rough.shape
    for q in range(5, rows - 5):
        up, down = rough[q - 1], rough[q + 1]
        for p in range(5, columns - 5):
            around = _QUARTER * (up[p - 1] + up[p + 1] + down[p - 1] + down[p + 1])
            own = rough[q, p]
            smooth[q, p] = around if abs(_HALF - own) < abs(_HALF - around) else own


@kernel(fast=True)
def _green(mosaic, cell, share, floor, low, green) -> None:  # type: ignore[no-untyped-def]
    """Green where red or blue was seen."""
    rows, columns = mosaic.shape
    for q in range(1, rows - 1):
        up, here, down = mosaic[q - 1], mosaic[q], mosaic[q + 1]
        for p in range(1, columns - 1):
            corners = up[p - 1] + up[p + 1] + down[p - 1] + down[p + 1]
            low[q, p] = here[p] + _HALF * (up[p] + down[p] + here[p - 1] + here[p + 1]) + _QUARTER * corners
    for q in range(5, rows - 5):
        first = 5 + ((cell[q & 1, 1] == 1) & 1)
        for p in range(first, columns - 5, 2):
            own = mosaic[q, p]
            n, s, w, e = mosaic[q - 1, p], mosaic[q + 1, p], mosaic[q, p - 1], mosaic[q, p + 1]
            n2, s2, w2, e2 = mosaic[q - 2, p], mosaic[q + 2, p], mosaic[q, p - 2], mosaic[q, p + 2]
            tall, wide = abs(n - s) + _TINY, abs(w - e) + _TINY
            to_n = tall + abs(own - n2) + abs(n - mosaic[q - 3, p]) + abs(n2 - mosaic[q - 4, p])
            to_s = tall + abs(own - s2) + abs(s - mosaic[q + 3, p]) + abs(s2 - mosaic[q + 4, p])
            to_w = wide + abs(own - w2) + abs(w - mosaic[q, p - 3]) + abs(w2 - mosaic[q, p - 4])
            to_e = wide + abs(own - e2) + abs(e - mosaic[q, p + 3]) + abs(e2 - mosaic[q, p + 4])
            middle = low[q, p]
            n += n * (middle - low[q - 2, p]) / max(middle + low[q - 2, p], floor)
            s += s * (middle - low[q + 2, p]) / max(middle + low[q + 2, p], floor)
            w += w * (middle - low[q, p - 2]) / max(middle + low[q, p - 2], floor)
            e += e * (middle - low[q, p + 2]) / max(middle + low[q, p + 2], floor)
            upright, level = (to_s * n + to_n * s) / (to_n + to_s), (to_e * w + to_w * e) / (to_w + to_e)
            green[q, p] = upright + share[q, p] * (level - upright)


@kernel(fast=True)
def _opposite(cell, share, planes) -> None:  # type: ignore[no-untyped-def]
    """Red where blue was seen, and blue where red was."""
    green = planes[1]
    rows, columns = green.shape
    for q in range(7, rows - 7):
        first = 7 + ((cell[q & 1, 1] == 1) & 1)
        plane = planes[2 - cell[q & 1, first & 1]]
        for p in range(first, columns - 7, 2):
            nw, se = plane[q - 1, p - 1], plane[q + 1, p + 1]
            ne, sw = plane[q - 1, p + 1], plane[q + 1, p - 1]
            falling, rising, own = abs(nw - se) + _TINY, abs(ne - sw) + _TINY, green[q, p]
            to_nw = falling + abs(nw - plane[q - 3, p - 3]) + abs(own - green[q - 2, p - 2])
            to_se = falling + abs(se - plane[q + 3, p + 3]) + abs(own - green[q + 2, p + 2])
            to_ne = rising + abs(ne - plane[q - 3, p + 3]) + abs(own - green[q - 2, p + 2])
            to_sw = rising + abs(sw - plane[q + 3, p - 3]) + abs(own - green[q + 2, p - 2])
            nw, se = nw - green[q - 1, p - 1], se - green[q + 1, p + 1]
            ne, sw = ne - green[q - 1, p + 1], sw - green[q + 1, p - 1]
            one = (to_nw * se + to_se * nw) / (to_nw + to_se)
            other = (to_ne * sw + to_sw * ne) / (to_ne + to_sw)
            plane[q, p] = own + one + share[q, p] * (other - one)


@kernel(fast=True)
def _beside_green(cell, share, planes) -> None:  # type: ignore[no-untyped-def]
    """Red and blue where green was seen."""
    green = planes[1]
    rows, columns = green.shape
    for q in range(10, rows - 10):
        first = 10 + ((cell[q & 1, 0] != 1) & 1)
        for p in range(first, columns - 10, 2):
            own, turn = green[q, p], share[q, p]
            above, below = abs(own - green[q - 2, p]) + _TINY, abs(own - green[q + 2, p]) + _TINY
            left, right = abs(own - green[q, p - 2]) + _TINY, abs(own - green[q, p + 2]) + _TINY
            for channel in range(0, 3, 2):
                plane = planes[channel]
                n, s, w, e = plane[q - 1, p], plane[q + 1, p], plane[q, p - 1], plane[q, p + 1]
                tall, wide = abs(n - s), abs(w - e)
                to_n, to_s = above + tall + abs(n - plane[q - 3, p]), below + tall + abs(s - plane[q + 3, p])
                to_w, to_e = left + wide + abs(w - plane[q, p - 3]), right + wide + abs(e - plane[q, p + 3])
                n, s = n - green[q - 1, p], s - green[q + 1, p]
                w, e = w - green[q, p - 1], e - green[q, p + 1]
                upright, level = (to_s * n + to_n * s) / (to_n + to_s), (to_e * w + to_w * e) / (to_w + to_e)
                plane[q, p] = own + upright + turn * (level - upright)
