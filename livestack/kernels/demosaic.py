"""A tile of a Bayer mosaic in colour, each missing colour corrected by how the colour at hand curves.

After Malvar, He & Cutler 2004 (ICASSP, "High-quality linear interpolation for demosaicing of Bayer-patterned
color images"). It is linear: noise makes no mazes, and what a star's flux becomes does not depend on what is
beside it. Their gains suit pictures whose colours are in balance. Before any white balance red and blue are
about half as strong as green, and what they take from green is twice too large: faint stars stand out most,
and sharp ones are narrower in red and blue than in green. Half the gains make stars equally wide in all
three. Without any gain the interpolation is bilinear: less noise, wider stars, and coloured edges.
"""

from __future__ import annotations

import numpy as np

from numerics.compiling import kernel

MALVAR, FINE, BILINEAR = np.float32(1), np.float32(0.5), np.float32(0)
"""Gains, in units of Malvar's."""

REACH = 2
"""Pixels around a place that its colours are made of."""


@kernel(fast=True)
def demosaic(mosaic, colours, x0, y0, turn, gain, planes) -> None:  # type: ignore[no-untyped-def]
    """Into ``planes`` (3, rows, columns); the two outermost rows and columns repeat their neighbours.

    ``colours`` (2, 2) is the channel (0, 1, 2) of the frame's (even/odd row, even/odd column), and ``turn``
    how the tile lies in the frame.
    """
    rows, columns = mosaic.shape
    inner = columns - 2 * REACH
    half, quarter, eighth = np.float32(0.5), np.float32(0.25), gain * np.float32(0.125)
    for q in range(REACH, rows - REACH):
        x, y = x0 + turn[0, 1] * q, y0 + turn[1, 1] * q
        first, second = colours[y & 1, x & 1], colours[(y + turn[1, 0]) & 1, (x + turn[0, 0]) & 1]
        beside, green = (second, 0) if first == 1 else (first, 1)
        up2, up, here, down, down2 = (
            mosaic[q - 2, REACH : columns - REACH],
            mosaic[q - 1],
            mosaic[q],
            mosaic[q + 1],
            mosaic[q + 2, REACH : columns - REACH],
        )
        across, middle, upright = planes[beside, q], planes[1, q], planes[2 - beside, q]
        for p in range(inner):
            own = here[p + 2]
            near_x, near_y = here[p + 1] + here[p + 3], up[p + 2] + down[p + 2]
            far_x, far_y = here[p] + here[p + 4], up2[p] + down2[p]
            corners = up[p + 1] + up[p + 3] + down[p + 1] + down[p + 3]
            far = far_x + far_y
            # Where green was seen: red and blue, one from its row, one from its column.
            curved = 5 * own - corners
            row = half * near_x + eighth * (curved - far_x + half * far_y)
            column = half * near_y + eighth * (curved - far_y + half * far_x)
            # Where red or blue was seen: green, and the other.
            cross = quarter * (near_x + near_y) + eighth * (4 * own - far)
            other = quarter * corners + eighth * (6 * own - np.float32(1.5) * far)
            is_green = (p & 1) == green  # REACH is even
            across[p + 2] = row if is_green else own
            middle[p + 2] = own if is_green else cross
            upright[p + 2] = column if is_green else other
    for channel in range(3):
        plane = planes[channel]
        for q in range(REACH, rows - REACH):
            for p in range(REACH):
                plane[q, p], plane[q, columns - 1 - p] = plane[q, REACH], plane[q, columns - REACH - 1]
        for q in range(REACH):
            for p in range(columns):
                plane[q, p], plane[rows - 1 - q, p] = plane[REACH, p], plane[rows - REACH - 1, p]
