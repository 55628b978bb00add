"""What a sensor is: its numbers, and the formulas that need nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Knots = tuple[tuple[float, float], ...]
"""``(gain setting, value)`` in rising order; two neighbouring settings make a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMode:
    """One way to read a sensor; CCDs and most CMOS cameras have a single one.

    ``e_per_adu`` is per step of the converter, before any left shift, and is interpolated in its logarithm
    (gain settings are decibels); ``read_noise_e`` is interpolated as it is.
    """

    name: str = "Standard"
    e_per_adu: Knots
    read_noise_e: Knots
    full_well_e: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Leakers:
    """Pixels whose dark current lies above the others': a share, log-normal around a median excess."""

    share: float
    median_e_s: float
    sigma: float
    doubling_c: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Glow:
    """Light of the readout electronics: bright at places on the edge, falling off exponentially.

    ``sources`` are ``(x, y, reach_x, reach_y, weight)`` as shares of the width and height. At a source of
    weight 1 an exposure of 300 s leaves ``e_at_300_s``; another leaves (t/300 s)^``exponent`` of that.
    """

    e_at_300_s: float
    exponent: float
    sources: tuple[tuple[float, float, float, float, float], ...]

    def electrons(self, exposure_s: float) -> float:
        """What an exposure leaves at a source of weight 1."""
        return float(self.e_at_300_s * (exposure_s / 300.0) ** self.exponent) if exposure_s > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooling:
    """What a camera's cooler can do: degrees below ambient at full power, and how inert the sensor is."""

    reach_c: float = 40.0
    time_constant_s: float = 250.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The range of a gain or an offset, and what the driver starts with."""

    largest: float
    default: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorProfile:
    """A camera's sensor. The defaults are the demo camera's; :mod:`simulators.profiles` has real ones."""

    name: str = "demo"
    width: int = 1536
    height: int = 1024
    pixel_um: float = 3.76
    bayer: str | None = None
    """Colours of the top left 2 × 2 pixels by rows, or ``None`` for a mono sensor."""

    modes: tuple[ReadMode, ...] = (
        ReadMode(
            e_per_adu=((0, 0.9 * 10**0.5), (300, 0.09)),
            read_noise_e=((0, 3.6), (99, 3.6), (100, 2.4), (300, 2.4)),
            full_well_e=50_000.0,
        ),
    )
    gain: Setting | None = Setting(largest=300, default=100)
    offset: Setting | None = Setting(largest=200, default=30)
    adc_bits: int = 16
    delivered_bits: int = 16
    """Wider than ``adc_bits``: the driver shifts left, as ZWO's and QHY's do, and the low bits are zero."""

    pedestal_adu: float = 0.0
    """The level without any offset setting, like all biases' figures in steps of the converter."""

    adu_per_offset_step: float = 16.0
    exposed_adu: float = 0.0
    """How far an exposed frame's level lies above a bias's, whatever the exposure."""

    column_adu: float = 0.6
    pixel_adu: float = 0.2
    ramp_adu: float = 0.0
    ramp_px: float = 100.0
    row_noise_e: float = 0.05
    """Banding: one draw for each row of each frame."""

    prnu: float = 0.004
    dark_e_s: float = 0.02
    """Median of the ordinary pixels at ``dark_reference_c``."""

    dark_sigma: float = 0.25
    dark_reference_c: float = -10.0
    dark_doubling_c: float = 6.0
    leakers: tuple[Leakers, ...] = (Leakers(share=0.001, median_e_s=1.5, sigma=1.1, doubling_c=6.0),)
    glow: Glow | None = None
    flicker_share: float = 0.0
    """Salt and pepper: pixels that read ``flicker_e`` (median) too high or too low, or right, by turns."""

    flicker_e: float = 0.0
    binning: Literal["sum", "average", "charge"] = "sum"
    """Of pixels that were read (CMOS), or of charge before it is read (CCD): one read noise for all."""

    cosmic_rays_per_s: float = 0.05
    shortest_s: float = 0.001
    cooling: Cooling | None = Cooling()
    """``None``: no cooler, and no thermometer but the ambient air's."""

    @property
    def adc_max(self) -> int:
        """The largest value in a frame."""
        return ((1 << self.adc_bits) - 1) << self.shift

    @property
    def shift(self) -> int:
        """Bits by which the driver shifts the converter's value to the left."""
        return self.delivered_bits - self.adc_bits

    def e_per_adu(self, gain: float, mode: int = 0) -> float:
        """Electrons to one step of the converter; in the frame one unit is 2^-``shift`` of that."""
        x, y = np.array(self.modes[mode].e_per_adu).T
        return float(np.exp(np.interp(gain, x, np.log(y))))

    def read_noise_e(self, gain: float, mode: int = 0) -> float:
        """Read noise, electrons: dual-gain sensors step down where their high-gain mode sets in."""
        x, y = np.array(self.modes[mode].read_noise_e).T
        return float(np.interp(gain, x, y))

    def full_well_e(self, mode: int = 0) -> float:
        """Electrons that a pixel holds; at high gain the converter ends before the well."""
        return self.modes[mode].full_well_e

    def level_adu(self, offset: float) -> float:
        """Where darkness lies, in steps of the converter."""
        return self.pedestal_adu + self.adu_per_offset_step * offset


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
    mode: int = 0
