"""A tile of a Bayer mosaic in colour."""

from __future__ import annotations

import numpy as np

from library.kernels.compiling import kernel


@kernel(fast=True)
def demosaic(mosaic, colours, x0, y0, turn, planes) -> None:  # type: ignore[no-untyped-def]
    """Bilinear, into ``planes`` (3, rows, columns); the outermost row and column repeat their neighbours.

    ``colours`` (2, 2) is the channel (0, 1, 2) of the frame's (even/odd row, even/odd column), and ``turn``
    how the tile lies in the frame.
    """
    rows, columns = mosaic.shape
    for q in range(1, rows - 1):
        up, here, down = mosaic[q - 1], mosaic[q], mosaic[q + 1]
        for p in range(1, columns - 1):
            x, y = x0 + turn[0, 0] * p + turn[0, 1] * q, y0 + turn[1, 0] * p + turn[1, 1] * q
            own = colours[y & 1, x & 1]
            level = here[p]
            across = np.float32(0.5) * (here[p - 1] + here[p + 1])
            upright = np.float32(0.5) * (up[p] + down[p])
            if own == 1:
                beside = colours[(y + turn[1, 0]) & 1, (x + turn[0, 0]) & 1]
                planes[1, q, p] = level
                planes[beside, q, p] = across
                planes[2 - beside, q, p] = upright
            else:
                planes[own, q, p] = level
                planes[1, q, p] = np.float32(0.5) * (across + upright)
                planes[2 - own, q, p] = np.float32(0.25) * (up[p - 1] + up[p + 1] + down[p - 1] + down[p + 1])
    for channel in range(3):
        plane = planes[channel]
        for q in range(1, rows - 1):
            plane[q, 0], plane[q, columns - 1] = plane[q, 1], plane[q, columns - 2]
        for p in range(columns):
            plane[0, p], plane[rows - 1, p] = plane[1, p], plane[rows - 2, p]
