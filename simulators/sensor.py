"""A CMOS sensor: electrons to ADU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

ELECTRONS = NDArray[np.float64]
ADU = NDArray[np.uint16]


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorProfile:
    """A sensor's numbers. Gain settings are tenths of a decibel, as in most CMOS cameras."""

    width: int = 1536
    height: int = 1024
    pixel_um: float = 3.76
    full_well_e: float = 50_000.0
    e_per_adu_at_100: float = 0.9
    high_gain_from: float = 100.0
    read_noise_low_gain_e: float = 3.6
    read_noise_high_gain_e: float = 2.4
    adu_per_offset_step: float = 16.0
    dark_e_s: float = 0.02
    dark_reference_c: float = -10.0
    dark_doubling_c: float = 6.0
    hot_share: float = 0.001
    cosmic_rays_per_s: float = 0.05
    adc_max: int = 65_535

    def e_per_adu(self, gain: float) -> float:
        """Electrons that make one ADU at a gain setting."""
        return self.e_per_adu_at_100 * 10 ** ((100.0 - gain) / 200.0)

    def read_noise_e(self, gain: float) -> float:
        """Read noise, electrons: a dual-gain sensor steps down where its high-gain mode sets in."""
        return self.read_noise_high_gain_e if gain >= self.high_gain_from else self.read_noise_low_gain_e


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """How a frame is read: settings, and the window in unbinned pixels."""

    gain: float
    offset: float
    x: int
    y: int
    width: int
    height: int
    bin_x: int = 1
    bin_y: int = 1


class Sensor:
    """One particular sensor: a profile and its seeded pixel-to-pixel differences."""

    def __init__(self, profile: SensorProfile, seed: int) -> None:
        self.profile = profile
        self._seed = seed

    @cached_property
    def dark_rate_e_s(self) -> NDArray[np.float32]:
        """Each pixel's dark current at the reference temperature: log-normal, with a hot population."""
        p = self.profile
        rng = np.random.default_rng([self._seed, 4])
        shape = (p.height, p.width)
        rate = p.dark_e_s * np.exp(rng.normal(0.0, 0.25, shape))
        hot = rng.random(shape) < p.hot_share
        rate[hot] += np.exp(rng.normal(0.4, 1.1, int(hot.sum())))
        return rate.astype(np.float32)

    @cached_property
    def bias_pattern_adu(self) -> NDArray[np.float32]:
        """Fixed differences of the columns' amplifiers, ``(width,)``."""
        return np.random.default_rng([self._seed, 5]).normal(0.0, 0.6, self.profile.width).astype(np.float32)

    def dark_current_e_s(self, temperature_c: float) -> NDArray[np.float32]:
        """Each pixel's dark current at a temperature."""
        p = self.profile
        doublings = (temperature_c - p.dark_reference_c) / p.dark_doubling_c
        return np.asarray(self.dark_rate_e_s * np.float32(2.0**doublings))

    def cosmic_rays(self, rng: np.random.Generator, exposure_s: float) -> tuple[ELECTRONS, int]:
        """Electrons left by particles during an exposure, and how many particles there were."""
        p = self.profile
        image = np.zeros((p.height, p.width))
        count = int(rng.poisson(p.cosmic_rays_per_s * exposure_s))
        for _ in range(count):
            angle, length = rng.uniform(0, 2 * np.pi), rng.gamma(2.0, 2.0) + 1.0
            steps = np.arange(0.0, length, 0.5)
            x = np.rint(rng.uniform(0, p.width) + steps * np.cos(angle)).astype(int)
            y = np.rint(rng.uniform(0, p.height) + steps * np.sin(angle)).astype(int)
            inside = (x >= 0) & (x < p.width) & (y >= 0) & (y < p.height)
            np.add.at(image, (y[inside], x[inside]), rng.uniform(300.0, 2500.0))
        return image, count

    def read(
        self,
        rng: np.random.Generator,
        light_e: ELECTRONS | None,
        exposure_s: float,
        temperature_c: float,
        readout: Readout,
        extra_e: ELECTRONS | None = None,
    ) -> ADU:
        """One frame, ``(height // bin_y, width // bin_x)``.

        ``light_e`` is the expected light over the exposure on the whole sensor; photons and dark current
        are counted (Poisson), ``extra_e`` is added as it is, the well clips, and the amplifier adds its
        noise. Binning adds up pixels after they were read, as CMOS cameras do, and clips at 16 bits.
        """
        p = self.profile
        window = np.s_[readout.y : readout.y + readout.height, readout.x : readout.x + readout.width]
        expected = self.dark_current_e_s(temperature_c)[window].astype(np.float64) * exposure_s
        if light_e is not None:
            expected += light_e[window]
        electrons = rng.poisson(expected).astype(np.float32)
        if extra_e is not None:
            electrons += extra_e[window].astype(np.float32)
        np.minimum(electrons, p.full_well_e, out=electrons)
        electrons += p.read_noise_e(readout.gain) * rng.standard_normal(electrons.shape, dtype=np.float32)
        adu = electrons / np.float32(p.e_per_adu(readout.gain))
        adu += np.float32(p.adu_per_offset_step * readout.offset)
        adu += self.bias_pattern_adu[readout.x : readout.x + readout.width]
        adu = np.clip(np.rint(adu), 0, p.adc_max)
        return _binned(adu, readout.bin_x, readout.bin_y, p.adc_max)


def _binned(adu: NDArray[np.float32], bin_x: int, bin_y: int, limit: int) -> ADU:
    rows, cols = adu.shape[0] // bin_y, adu.shape[1] // bin_x
    blocks = adu[: rows * bin_y, : cols * bin_x].reshape(rows, bin_y, cols, bin_x)
    return np.asarray(np.minimum(blocks.sum(axis=(1, 3)), limit), dtype=np.uint16)
