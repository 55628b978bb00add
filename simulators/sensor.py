"""A sensor: electrons to ADU, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.noise import count, normal_rows
from simulators.pixel_maps import BIAS, DARK, RANK_TO_SIGMA, SENSITIVITY, Floats, PixelMaps, Spots
from simulators.sensor_profile import Readout, SensorProfile

__all__ = ["ADU", "FrameReader", "Readout", "Sensor", "SensorProfile"]

ADU = NDArray[np.uint16]
Light = NDArray[np.float32] | NDArray[np.float64]

_CHUNK_PIXELS = 1 << 18
"""What fits a processor's cache with half a dozen temporaries."""

_TILE_PIXELS = 1 << 20
_FLICKER = np.array([-1.0, 0.0, 0.0, 1.0], dtype=np.float32)
"""A jump between the two samples of a reading shows as either sign, half of the time not at all."""


class Sensor:
    """One particular sensor: a profile and its seeded pixel-to-pixel differences."""

    def __init__(self, profile: SensorProfile, seed: int) -> None:
        self.profile = profile
        self.maps = PixelMaps(profile, seed)

    def dark_current_e_s(self, temperature_c: float) -> Floats:
        """Each pixel's dark current at a temperature, ``(height, width)``, without the glow."""
        p = self.profile
        rate = self.maps.lookup(DARK, _dark_table(p, 1.0, temperature_c), 0, p.height, slice(p.width))
        self.hot_e(1.0, temperature_c).add_to(rate, 0, 0, p.width)
        return rate

    def hot_e(self, exposure_s: float, temperature_c: float) -> Spots:
        """Electrons that the warm and hot pixels gather on top of the ordinary dark current."""
        p, parts = self.profile, []
        for spots, population in zip(self.maps.leakers, p.leakers, strict=True):
            doublings = (temperature_c - p.dark_reference_c) / population.doubling_c
            parts.append((spots.places, spots.values * np.float32(exposure_s * 2.0**doublings)))
        return _merged(parts)

    def cosmic_rays(self, rng: np.random.Generator, exposure_s: float) -> tuple[Spots, int]:
        """Electrons left by particles during an exposure, and how many particles there were."""
        p = self.profile
        particles = int(rng.poisson(p.cosmic_rays_per_s * exposure_s))
        parts = []
        for _ in range(particles):
            angle, length = rng.uniform(0, 2 * np.pi), rng.gamma(2.0, 2.0) + 1.0
            steps = np.arange(0.0, length, 0.5)
            x = np.rint(rng.uniform(0, p.width) + steps * np.cos(angle)).astype(np.int64)
            y = np.rint(rng.uniform(0, p.height) + steps * np.sin(angle)).astype(np.int64)
            inside = (x >= 0) & (x < p.width) & (y >= 0) & (y < p.height)
            places = (y * p.width + x)[inside]
            parts.append((places, np.full(len(places), rng.uniform(300.0, 2500.0), np.float32)))
        return _merged(parts), particles

    def read(
        self,
        rng: np.random.Generator,
        light_e: Light | None,
        exposure_s: float,
        temperature_c: float,
        readout: Readout,
        hits: Spots | None = None,
        threads: int = 2,
    ) -> ADU:
        """One frame, ``(height // bin_y, width // bin_x)``; ``light_e`` is what is expected on the whole
        sensor over the exposure, or ``None`` for darkness."""
        seed = rng.integers(0, 2**32, 4).tolist()
        reader = FrameReader(self, seed, exposure_s, temperature_c, readout, hits)
        frame = np.empty(reader.shape, dtype=np.uint16)
        step = max(_TILE_PIXELS // readout.width // readout.bin_y, 1)
        columns = slice(readout.x, readout.x + readout.width)

        def tile(first: int) -> None:
            last = min(first + step, reader.shape[0])
            top, bottom = (readout.y + n * readout.bin_y for n in (first, last))
            light = None if light_e is None else light_e[top:bottom, columns]
            frame[first:last] = reader.rows(first, last, light)

        firsts = range(0, reader.shape[0], step)
        if len(firsts) == 1 or threads == 1:
            for first in firsts:
                tile(first)
        else:
            with ThreadPoolExecutor(threads, "sensor") as pool:
                list(pool.map(tile, firsts))
        return frame


class FrameReader:
    """One frame on its way from electrons to ADU; its rows may be asked for in any order and thread.

    ``shape`` is the frame's. The noise is that of the seed; the same rows come out however they are tiled.
    """

    def __init__(
        self,
        sensor: Sensor,
        seed: Sequence[int],
        exposure_s: float,
        temperature_c: float,
        readout: Readout,
        hits: Spots | None = None,
    ) -> None:
        p = self._profile = sensor.profile
        self._maps, self._seed, self._readout, self._exposure_s = sensor.maps, seed, readout, exposure_s
        self.shape = (readout.height // readout.bin_y, readout.width // readout.bin_x)
        self._dark = _dark_table(p, exposure_s, temperature_c)
        self._hot = sensor.hot_e(exposure_s, temperature_c)
        self._hits = hits
        self._response = (1.0 + p.prnu * RANK_TO_SIGMA).astype(np.float32)
        self._bias = (p.pixel_adu * RANK_TO_SIGMA).astype(np.float32)
        self._level = p.level_adu(readout.offset) + (p.exposed_adu if exposure_s > 0 else 0.0)
        rng = np.random.default_rng([*seed, 1])
        self._banding_e = rng.normal(0.0, p.row_noise_e, readout.height).astype(np.float32)
        flickering = sensor.maps.flickering
        turns = _FLICKER[rng.integers(0, 4, len(flickering.places), dtype=np.uint8)]
        self._flicker = Spots(flickering.places, flickering.values * turns)
        self._columns = slice(readout.x, readout.x + readout.width)

    def rows(self, first: int, last: int, light_e: Light | None) -> ADU:
        """Rows ``first`` to ``last`` of the frame, ``(last − first, shape[1])``.

        ``light_e`` are the electrons expected from light on the same part of the sensor, unbinned,
        ``((last − first)·bin_y, window width)``, before PRNU; ``None`` is darkness.
        """
        bin_y = self._readout.bin_y
        step = max(_CHUNK_PIXELS // self._readout.width // bin_y, 1)
        parts = []
        for begin in range(first, last, step):
            end = min(begin + step, last)
            lit = None if light_e is None else light_e[(begin - first) * bin_y : (end - first) * bin_y]
            parts.append(self._chunk(begin * bin_y, end * bin_y, lit))
        return np.concatenate(parts)

    def _chunk(self, first: int, last: int, light_e: Light | None) -> ADU:
        """The same for unbinned rows of the window that fit the cache."""
        p, r = self._profile, self._readout
        expected = self._expected(first, last, light_e)
        bins = (r.bin_y, r.bin_x)
        on_chip = p.binning == "charge"
        if on_chip:
            expected = _blocks(expected, bins).sum(axis=(1, 3))
            first, last = first // r.bin_y, last // r.bin_y
        z = normal_rows([*self._seed, 0], first, last, expected.shape[1])
        well_e = p.full_well_e(r.mode) * (r.bin_x * r.bin_y if on_chip else 1)
        signal = count(expected, z, p.read_noise_e(r.gain, r.mode), well_e)
        if not on_chip:
            self._flicker.add_to(signal, r.y + first, r.x, p.width)
        signal += self._banding_e[first:last, None]
        signal *= np.float32(1.0 / p.e_per_adu(r.gain, r.mode))
        self._add_bias(signal, first, last, on_chip)
        np.rint(signal, out=signal)
        np.clip(signal, 0, 2**p.adc_bits - 1, out=signal)
        adu = signal.astype(np.uint16) << np.uint16(p.shift)
        return adu if on_chip or bins == (1, 1) else _binned(adu, bins, p)

    def _expected(self, first: int, last: int, light_e: Light | None) -> Floats:
        """Electrons that each pixel gathers on average."""
        p, r = self._profile, self._readout
        top, bottom = r.y + first, r.y + last
        expected = self._maps.lookup(DARK, self._dark, top, bottom, self._columns)
        if light_e is not None:
            response = self._maps.lookup(SENSITIVITY, self._response, top, bottom, self._columns)
            response *= light_e
            expected += response
        if p.glow is not None and (electrons := p.glow.electrons(self._exposure_s)) > 0:
            y = np.arange(top, bottom, dtype=np.float32) / p.height
            x = np.arange(r.x, r.x + r.width, dtype=np.float32) / p.width
            for x0, y0, reach_x, reach_y, weight in p.glow.sources:
                column = electrons * weight * np.exp(-np.abs(y - y0) / reach_y)
                expected += column.astype(np.float32)[:, None] * np.exp(-np.abs(x - x0) / reach_x)
        self._hot.add_to(expected, top, r.x, p.width)
        if self._hits is not None:
            self._hits.add_to(expected, top, r.x, p.width)
        return expected

    def _add_bias(self, signal: Floats, first: int, last: int, on_chip: bool) -> None:
        r = self._readout
        columns = self._maps.columns_adu[self._columns]
        if on_chip:
            columns = columns[:: r.bin_x][: signal.shape[1]]
        signal += (columns + np.float32(self._level))[None, :]
        if not on_chip or (r.bin_x, r.bin_y) == (1, 1):
            signal += self._maps.lookup(BIAS, self._bias, r.y + first, r.y + last, self._columns)


def _dark_table(p: SensorProfile, exposure_s: float, temperature_c: float) -> Floats:
    """Electrons of dark current over an exposure for each rank of pixel: log-normal."""
    doublings = (temperature_c - p.dark_reference_c) / p.dark_doubling_c
    median_e = p.dark_e_s * exposure_s * 2.0**doublings
    return np.asarray(median_e * np.exp(p.dark_sigma * RANK_TO_SIGMA), dtype=np.float32)


def _merged(parts: list[tuple[NDArray[np.int64], Floats]]) -> Spots:
    if not parts:
        return Spots(np.empty(0, np.int64), np.empty(0, np.float32))
    places, values = (np.concatenate([part[n] for part in parts]) for n in (0, 1))
    order = np.argsort(places, kind="stable")
    return Spots(places[order], values[order].astype(np.float32))


def _blocks(image: NDArray[Any], bins: tuple[int, int]) -> NDArray[Any]:
    """``(rows, bin_y, columns, bin_x)``; what makes no whole block is left out."""
    rows, cols = image.shape[0] // bins[0], image.shape[1] // bins[1]
    return image[: rows * bins[0], : cols * bins[1]].reshape(rows, bins[0], cols, bins[1])


def _binned(adu: ADU, bins: tuple[int, int], p: SensorProfile) -> ADU:
    total = _blocks(adu, bins).sum(axis=(1, 3), dtype=np.uint32)
    if p.binning == "average":
        total //= bins[0] * bins[1]
    return np.asarray(np.minimum(total, 2**p.delivered_bits - 1), dtype=np.uint16)
