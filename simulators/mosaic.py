"""The colours of a sensor's pixels: which passband each of the 2 × 2 sees behind the filter in the wheel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulators.optics import CLEAR, PASSBANDS, Passband

Quad = tuple[tuple[Passband, Passband], tuple[Passband, Passband]]

_THROUGH = {
    "R": {"Ha": 0.9, "SII": 0.85, "OIII": 0.04, "R": 0.9, "G": 0.05, "B": 0.02},
    "G": {"Ha": 0.06, "SII": 0.05, "OIII": 0.8, "R": 0.05, "G": 0.9, "B": 0.12},
    "B": {"Ha": 0.02, "SII": 0.02, "OIII": 0.55, "R": 0.02, "G": 0.1, "B": 0.9},
}
"""What share of a filter's light the dyes on the pixels let through: typical curves of colour sensors."""


def passbands(filter_name: str, bayer: str | None) -> Quad | Passband:
    """A mono sensor's passband, or those of rows 0 and 1 of a mosaic such as ``"RGGB"``."""
    if bayer is None:
        return PASSBANDS.get(filter_name, CLEAR)
    a, b, c, d = (_pixel(colour, filter_name) for colour in bayer)
    return (a, b), (c, d)


def _pixel(colour: str, filter_name: str) -> Passband:
    through = _THROUGH[colour].get(filter_name)
    if through is None:  # clear glass, or none
        return PASSBANDS[colour]
    band = PASSBANDS[filter_name]
    return replace(
        band,
        share=band.share * through,
        sky_share=band.sky_share * through,
        panel_e_s=band.panel_e_s * through,
    )


def tiled(values: NDArray[np.float64], rows: slice, width: int) -> NDArray[np.float32]:
    """One value, or ``(2, 2)`` of them, on the pixels of some rows, ``(rows, width)``."""
    quad = np.broadcast_to(np.asarray(values, np.float32), (2, 2))
    lines = np.tile(quad, (1, -(-width // 2)))[:, :width]
    return np.asarray(lines[np.arange(rows.start, rows.stop) % 2])
