"""What differs from pixel to pixel for ever: made when asked for, from a seed, and never stored whole."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from simulators.sensor_profile import SensorProfile

Floats = NDArray[np.float32]

DARK, SENSITIVITY, BIAS = 0, 1, 2
"""The dense maps: of each, a pixel has one of 256 equally likely ranks."""


def _quantiles() -> NDArray[np.float64]:
    normal = NormalDist()
    table = np.array([normal.inv_cdf((rank + 0.5) / 256) for rank in range(256)])
    return np.asarray(table / table.std())


RANK_TO_SIGMA = _quantiles()
"""A standard normal's 256 quantiles, of unit variance, ±2.9 at the ends; what lies farther out is the
business of :class:`~simulators.sensor_profile.Leakers`."""


@dataclass(frozen=True, slots=True)
class Spots:
    """Single pixels: sorted places in the flattened sensor, and a value for each; places may recur."""

    places: NDArray[np.int64]
    values: Floats

    def add_to(self, rows: Floats, top: int, left: int, sensor_width: int) -> None:
        """Add the values that fall on ``rows``, a window of the sensor whose corner is at (left, top)."""
        n, width = rows.shape
        begin, end = np.searchsorted(self.places, (top * sensor_width, (top + n) * sensor_width))
        y, x = np.divmod(self.places[begin:end], sensor_width)
        inside = (x >= left) & (x < left + width)
        np.add.at(rows, (y[inside] - top, x[inside] - left), self.values[begin:end][inside])


class PixelMaps:
    """One sensor's pixels. Rows come in any order and in any thread, always the same.

    A dense map is one long stream of random bytes that is entered at the row wanted, so that 61 megapixels
    of three maps cost no memory and a byte's making each (a sixteenth of a nanosecond) when they are read.
    """

    def __init__(self, profile: SensorProfile, seed: int) -> None:
        self._profile = profile
        self._seed = seed

    def lookup(self, which: int, table: Floats, top: int, bottom: int, columns: slice) -> Floats:
        """``table[rank]`` of the pixels in rows ``top`` to ``bottom``, ``(bottom − top, columns)``."""
        words = -(-self._profile.width // 8)
        source = np.random.PCG64([self._seed, 4, which]).advance(top * words)
        ranks = source.random_raw((bottom - top) * words).view(np.uint8).reshape(bottom - top, words * 8)
        return np.asarray(cv2.LUT(np.ascontiguousarray(ranks[:, columns]), table), dtype=np.float32)

    @cached_property
    def columns_adu(self) -> Floats:
        """The bias of each column, ``(width,)``: amplifiers that differ, and the ramp at a line's start."""
        p = self._profile
        noise = np.random.default_rng([self._seed, 5]).normal(0.0, p.column_adu, p.width)
        return (noise + p.ramp_adu * np.exp(-np.arange(p.width) / p.ramp_px)).astype(np.float32)

    @cached_property
    def leakers(self) -> tuple[Spots, ...]:
        """Warm and hot pixels' excess, e⁻/s at the reference temperature, one for each population."""
        rngs = (np.random.default_rng([self._seed, 6, n]) for n in range(len(self._profile.leakers)))
        return tuple(
            self._spots(rng, population.share, population.median_e_s, population.sigma)
            for rng, population in zip(rngs, self._profile.leakers, strict=True)
        )

    @cached_property
    def flickering(self) -> Spots:
        """By how many electrons the salt-and-pepper pixels jump."""
        p = self._profile
        return self._spots(np.random.default_rng([self._seed, 7]), p.flicker_share, p.flicker_e, 0.5)

    def _spots(self, rng: np.random.Generator, share: float, median: float, sigma: float) -> Spots:
        """Pixels drawn one by one with a probability: the gaps between them are geometric."""
        pixels = self._profile.width * self._profile.height
        if share <= 0:
            return Spots(np.empty(0, np.int64), np.empty(0, np.float32))
        places = np.cumsum(rng.geometric(share, int(pixels * share * 1.2) + 100)) - 1
        places = places[places < pixels]
        values = median * np.exp(sigma * rng.standard_normal(len(places), dtype=np.float32))
        return Spots(places, values.astype(np.float32))
