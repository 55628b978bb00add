"""What the noise of one sub is made of: the sky's light, dark current, read-out.

One pixel that has seen S electrons of sky and D of dark current, read with noise R, has the variance
S + D + R². Sky and dark grow with the exposure; R² comes once a sub.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from library.planner import Sensor

_GAIN, _READ, _SKY = "gain (e⁻/ADU)", "read noise (e⁻)", "sky above bias and dark (ADU)"
_LEAST = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """What is known of the camera at this gain, binning and temperature; None: not known."""

    e_per_adu: float | None = None
    read_noise_e: float | None = None
    dark_e_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What is measured of one filter's subs and stack; None or NaN: not known.

    ``sub_noise_adu`` and ``stack_noise_adu`` are of one registered sub and of the stack, so that resampling
    has smoothed both alike; ``raw_noise_adu`` is of one calibrated sub before it was resampled.
    ``background_adu`` is the sky's light in one sub: bias and dark are off. ``cadence_s`` is from the begin
    of one sub to that of the next, ``saturated_share`` that of the stars. ``ideal_gain`` is the SNR over that
    of one sub that the best weights give subs of these noises; None: they are alike.
    """

    subs: int
    exposure_s: float | None
    sub_noise_adu: float | None = None
    stack_noise_adu: float | None = None
    raw_noise_adu: float | None = None
    background_adu: float | None = None
    cadence_s: float | None = None
    saturated_share: float | None = None
    ideal_gain: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Variances of one pixel of a sub in ADU²; ``derived`` names what was worked out, not given."""

    sensor: Sensor
    sky_adu: float
    exposure_s: float
    derived: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """Of all together."""
        return self.sensor.lit_variance(self.exposure_s, self.sky_adu)

    @property
    def read(self) -> float:
        """Of the read-out: it does not grow with the exposure."""
        return self.sensor.dark_variance(0.0)

    @property
    def dark(self) -> float:
        """Of the dark current."""
        return self.sensor.dark_variance(self.exposure_s) - self.read

    @property
    def sky(self) -> float:
        """Of the sky's light."""
        return self.total - self.sensor.dark_variance(self.exposure_s)

    def extra_noise(self, exposure_s: float) -> float:
        """How much read-out adds to the noise of a sub so long, as a fraction; infinite without any light."""
        growing = (self.sky + self.dark) * exposure_s / self.exposure_s
        return math.sqrt(1 + self.read / growing) - 1 if growing > 0 else math.inf

    def enough_s(self, extra_noise: float) -> float:
        """The exposure at which read-out adds that fraction: C·R²/(sky + dark), C = 1/((1 + x)² − 1)."""
        rate = (self.sky + self.dark) / self.exposure_s
        return self.read / rate / ((1 + extra_noise) ** 2 - 1) if rate > 0 else math.inf


def budget(night: Night, camera: Camera) -> Budget | tuple[str, ...]:
    """The noise of a sub by its origins, or what is missing to tell.

    One of gain, read noise and sky may be unknown: the measured noise of a calibrated sub tells it, by
    σ² = (R² + D·t)/g² + B/g with g in e⁻/ADU, R and D·t in e⁻, B in ADU. A dark current that is not known
    is left out.
    """
    gain, read_e, sky = known(camera.e_per_adu), known(camera.read_noise_e), known(night.background_adu)
    exposure_s, noise = known(night.exposure_s), known(night.raw_noise_adu)
    of_three = {_GAIN: gain or None, _READ: read_e, _SKY: sky}
    unknown = [name for name, value in of_three.items() if value is None]
    if not exposure_s:
        return (*unknown, "exposure (s)")
    if len(unknown) > 1:
        return tuple(unknown)
    if unknown and not noise:
        return (f"{unknown[0]} or the noise of an unregistered sub (ADU)",)
    dark_e = (known(camera.dark_e_s) or 0.0) * exposure_s
    if not gain:
        gain = _gain(read_e or 0.0, sky or 0.0, dark_e, noise or 0.0)
    electrons = (noise or 0.0) ** 2 * gain**2 - dark_e
    if read_e is None:
        read_e = _root(electrons - (sky or 0.0) * gain)
    if sky is None:
        sky = (electrons - read_e**2) / gain
    if gain <= 0 or read_e < 0 or sky < 0:
        return (
            f"{unknown[0]}: the subs' noise is less than the other figures explain; one of them is wrong",
        )
    return Budget(
        sensor=Sensor(read_noise_adu=read_e / gain, e_per_adu=gain, dark_adu_s=dark_e / exposure_s / gain),
        sky_adu=sky,
        exposure_s=exposure_s,
        derived=tuple(f"{name} from the noise of a sub" for name in unknown),
    )


def known(value: float | None) -> float | None:
    """The value if it is a number. Below a billionth of an ADU, electron or second it is 0."""
    return None if value is None or not math.isfinite(value) else value * (value > _LEAST)


def _gain(read_e: float, sky_adu: float, dark_e: float, noise_adu: float) -> float:
    """The g that solves σ²·g² − B·g − (R² + D·t) = 0: its one root above 0, or 0."""
    variance = noise_adu**2
    return (sky_adu + math.sqrt(sky_adu**2 + 4 * variance * (read_e**2 + dark_e))) / (2 * variance)


def _root(square: float) -> float:
    return math.sqrt(square) if square >= 0 else -1.0
