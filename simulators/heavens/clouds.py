"""Clouds that come and go: a turbulent layer that drifts over the site, denser and thinner with the hours."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulators.heavens.textures import Plane, fractal

Floats = NDArray[np.float64]

_TILE = 512
_TILE_KM = 200.0
_LAYER_KM = 6.0
_MEAN_WIND_KM_S = 0.015
_COVER_PERIODS_S = (4200.0, 11_000.0)
_DEPTH_MAG = 1.6
"""Extinction of a cloud one standard deviation thick, at the zenith."""


class Clouds:
    """One seeded night's clouds; ``cover`` is the mean share of the sky that they take, 0 to 1.

    Depth is what a frozen fractal field has above a threshold; the threshold swings in two slow waves, and
    the whole field drifts with the wind (Taylor's frozen turbulence).
    """

    def __init__(self, seed: int, cover: float) -> None:
        if not 0.0 <= cover <= 1.0:
            raise ValueError(f"the clouds' cover must be from 0 to 1, not {cover}")
        self.cover = cover
        self._seed = seed
        rng = np.random.default_rng([seed, 21])
        self._phases = rng.uniform(0.0, 2.0 * np.pi, 2)
        direction = rng.uniform(0.0, 2.0 * np.pi)
        speed = _MEAN_WIND_KM_S * rng.uniform(0.6, 1.6)
        self._wind_km_s = speed * np.array([np.sin(direction), np.cos(direction)])

    @cached_property
    def _field(self) -> Plane:
        return fractal(np.random.default_rng([self._seed, 22]), _TILE, 3.0, 4.0)

    def extinction_mag(self, altitude_deg: Floats, azimuth_deg: Floats, elapsed_s: float) -> Floats:
        """Magnitudes that the clouds take from light of those directions, at one moment."""
        altitude = np.radians(np.maximum(altitude_deg, 3.0))
        azimuth, far_km = np.radians(azimuth_deg), _LAYER_KM / np.tan(altitude)
        east = far_km * np.sin(azimuth) - self._wind_km_s[0] * elapsed_s
        north = far_km * np.cos(azimuth) - self._wind_km_s[1] * elapsed_s
        thick = self._sample(east, north) - self._threshold(elapsed_s)
        return np.asarray(_DEPTH_MAG * np.maximum(thick, 0.0) / np.sin(altitude))

    def transmission(
        self, altitude_deg: Floats, azimuth_deg: Floats, elapsed_s: float, exposure_s: float = 0.0
    ) -> Floats:
        """The share of light that comes through, the mean over an exposure that starts at ``elapsed_s``."""
        moments = elapsed_s + exposure_s * (np.arange(6) + 0.5) / 6.0 if exposure_s > 0 else [elapsed_s]
        through = [10.0 ** (-0.4 * self.extinction_mag(altitude_deg, azimuth_deg, t)) for t in moments]
        return np.asarray(np.mean(through, axis=0))

    def _threshold(self, elapsed_s: float) -> float:
        """Standard deviations that the field must exceed; swings about what gives the mean cover."""
        swing = sum(
            np.sin(2.0 * np.pi * elapsed_s / period + phase)
            for period, phase in zip(_COVER_PERIODS_S, self._phases, strict=True)
        )
        share = np.clip(self.cover * (1.0 + 0.6 * float(swing)), 0.0, 1.0)
        return float(np.quantile(self._field, 1.0 - share)) if share > 0 else np.inf

    def _sample(self, east_km: Floats, north_km: Floats) -> Floats:
        """The field at places, bilinear; it repeats itself every 200 km."""
        x, y = (np.asarray(v) / _TILE_KM * _TILE for v in (east_km, north_km))
        col, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        fx, fy = x - col, y - row
        field = self._field
        value = np.zeros(np.shape(x))
        for d_row, weight_y in ((0, 1.0 - fy), (1, fy)):
            for d_col, weight_x in ((0, 1.0 - fx), (1, fx)):
                value += weight_y * weight_x * field[(row + d_row) % _TILE, (col + d_col) % _TILE]
        return value
