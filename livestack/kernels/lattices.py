"""Where a frame's pixels lie on another grid: known at every few pixels' corners, and bilinear in between.

Neighbouring pixels share their corners, and all that is not known to the loops - bends, levels - is done once
for some hundred pixels.
"""

from __future__ import annotations

import numpy as np

from numerics.compiling import kernel

STEP = 16
"""Pixels between two nodes."""


@kernel()
def directions(lattice, x, y):  # type: ignore[no-untyped-def]
    """How the rows and the columns of the pixels in the lattice's cell around (x, y) run on the output."""
    i, j = x // STEP, y // STEP
    one, right, below, far = lattice[j, i], lattice[j, i + 1], lattice[j + 1, i], lattice[j + 1, i + 1]
    ux, vx = right[0] - one[0] + far[0] - below[0], right[1] - one[1] + far[1] - below[1]
    uy, vy = below[0] - one[0] + far[0] - right[0], below[1] - one[1] + far[1] - right[1]
    return ux / (2 * STEP), vx / (2 * STEP), uy / (2 * STEP), vy / (2 * STEP)


@kernel(fast=True)
def lay(piece, left, top, fall, u0, v0, places) -> None:  # type: ignore[no-untyped-def]
    """Tell where a piece's pixels lie, from the outer corner of output pixel (u0, v0), and level them."""
    for q in range(piece.shape[0]):
        y, end = top + q, 0
        while end < piece.shape[1]:
            begin, cell = end, (left + end) // STEP
            end = min(piece.shape[1], (cell + 1) * STEP - left)
            here, us, vs = piece[q, begin:end], places[0, q, begin:end], places[1, q, begin:end]
            first = left + begin
            even, odd = max(fall.colours[y & 1, first & 1], 0), max(fall.colours[y & 1, (first + 1) & 1], 0)
            u, u_step = _line(fall.lattice, first, y, 0)
            v, v_step = _line(fall.lattice, first, y, 1)
            one, one_step = _line(fall.lattice, first, y, 2 + even)
            two, two_step = _line(fall.lattice, first, y, 2 + odd)
            u, v = np.float32(u + 0.5 - u0), np.float32(v + 0.5 - v0)
            one, two = np.float32(one), np.float32(two)
            for p in range(len(here)):
                along = np.float32(p)
                us[p], vs[p] = u + u_step * along, v + v_step * along
                level = two + two_step * along if p & 1 else one + one_step * along
                here[p] = fall.scale * here[p] + level


@kernel()
def _line(lattice, x, y, k):  # type: ignore[no-untyped-def]
    """The lattice's k-th plane at a pixel, and its step from there to the next in the row."""
    i, j = x // STEP, y // STEP
    s, t = (x - i * STEP + 0.5) / STEP, (y - j * STEP + 0.5) / STEP
    near = (1 - t) * lattice[j, i, k] + t * lattice[j + 1, i, k]
    step = (1 - t) * lattice[j, i + 1, k] + t * lattice[j + 1, i + 1, k] - near
    return near + s * step, np.float32(step / STEP)
