"""The flat response: vignetting and dust, per filter and rotator angle, row by row."""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from simulators.optics import Telescope

Floats = NDArray[np.float32]
Spot = tuple[float, float, float, float]
"""x, y, radius (pixels) and depth of a shadow."""

_DUST_FOR_UM = 3.76
"""Radii below are pixels of this size: a shadow is as large as the light's cone at its grain."""


class FlatField:
    """How much of the light reaches each pixel of a sensor, 1 at best.

    A parabola towards the corners about the tube's axis; sharp small shadows of dust on the sensor's window,
    the same for all filters; large faint ones of dust on the filter. These turn with the camera. What is
    the tube's own (its axis, and dust on its last lens) stays behind: from the sensor it is seen to turn by
    ``rotator_deg`` from x towards y.
    """

    def __init__(
        self,
        telescope: Telescope,
        width: int,
        height: int,
        pixel_um: float,
        filter_name: str,
        rotator_deg: float,
        seed: int,
    ) -> None:
        self._width = width
        self._depth = telescope.vignetting * telescope.filter_vignetting.get(filter_name, 1.0)
        half = float(np.hypot(width, height)) / 2
        cos, sin = np.cos(np.radians(rotator_deg)), np.sin(np.radians(rotator_deg))
        self._x = (width - 1) / 2 + telescope.vignetting_decentre * half * cos
        self._y = (height - 1) / 2 + telescope.vignetting_decentre * half * sin
        self._half2 = half**2
        size = _DUST_FOR_UM / pixel_um
        # A sensor ten times as large catches about three times the dust: it is kept by more careful people.
        more = max(np.sqrt(width * height / size**2 / (1536 * 1024)), 1.0)
        window = np.random.default_rng([seed, 1])
        glass = np.random.default_rng([seed, 2, crc32(filter_name.encode())])
        self._spots = _dust(window, round(6 * more), (9.0, 16.0), (0.05, 0.12), width, height, size)
        self._spots += _dust(glass, round(4 * more), (28.0, 55.0), (0.02, 0.05), width, height, size)
        tube = np.random.default_rng([seed, 3])
        for u, v, radius, depth in _dust(tube, 3, (90.0, 140.0), (0.008, 0.015), 2.0, 2.0, size):
            du, dv = (u - 1.0) * half * 0.6, (v - 1.0) * half * 0.6
            x, y = (width - 1) / 2 + du * cos - dv * sin, (height - 1) / 2 + du * sin + dv * cos
            self._spots.append((x, y, radius, depth))

    def rows(self, rows: slice) -> Floats:
        """The response of some rows, ``(rows, width)``."""
        y = np.arange(rows.start, rows.stop, dtype=np.float64)[:, None] - self._y
        x = np.arange(self._width, dtype=np.float64) - self._x
        share = self._depth / self._half2
        field: Floats = (1.0 - share * y * y).astype(np.float32) - (share * x * x).astype(np.float32)
        for spot in self._spots:
            _shade(field, rows.start, spot)
        return field


def _dust(
    rng: np.random.Generator,
    count: int,
    radii: tuple[float, float],
    depths: tuple[float, float],
    width: float,
    height: float,
    size: float,
) -> list[Spot]:
    return [
        (
            float(rng.uniform(0, width)),
            float(rng.uniform(0, height)),
            float(rng.uniform(*radii)) * size,
            float(rng.uniform(*depths)),
        )
        for _ in range(count)
    ]


def _shade(field: Floats, top: int, spot: Spot) -> None:
    """Darken a soft-edged ring: the shadow of a grain in the light of an unobstructed-centre mote."""
    x0, y0, radius, depth = spot
    height, width = field.shape
    y0, reach = y0 - top, radius * 1.6
    rows = slice(max(int(y0 - reach), 0), max(min(int(y0 + reach) + 1, height), 0))
    cols = slice(max(int(x0 - reach), 0), max(min(int(x0 + reach) + 1, width), 0))
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return
    y, x = np.ogrid[rows, cols]
    r = np.hypot(x - x0, y - y0) / radius
    disc = 1.0 / (1.0 + np.exp((r - 1.0) * 14.0))
    hole = 0.6 / (1.0 + np.exp((r - 0.4) * 14.0))
    field[rows, cols] *= (1.0 - depth * (disc - hole)).astype(np.float32)
