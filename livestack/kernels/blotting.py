"""A picture laid back onto the pixels of a sub that went into it."""

from __future__ import annotations

import numpy as np

from livestack.kernels.registering import registered
from livestack.kernels.tiles import TILE_COLUMNS, TILE_ROWS
from numerics.compiling import kernel


@kernel(fast=True)
def blot_tiles(first, last, frame, course, out) -> None:  # type: ignore[no-untyped-def]
    """Fill tiles of ``out`` (H, W) with ``frame`` where it reaches them; the rest stays as it is."""
    height, width = out.shape
    across = (width + TILE_COLUMNS - 1) // TILE_COLUMNS
    for tile in range(first, last):
        top, left = tile // across * TILE_ROWS, tile % across * TILE_COLUMNS
        rows, columns = min(TILE_ROWS, height - top), min(TILE_COLUMNS, width - left)
        values = np.empty((1, rows, columns), np.float32)
        there = np.empty((rows, columns), np.bool_)
        if not registered(frame, course, tile, values, there):
            continue
        for v in range(rows):
            for u in range(columns):
                if there[v, u]:
                    out[top + v, left + u] = values[0, v, u]
