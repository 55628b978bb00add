"""Devices as the runner sees them: small Protocols, no INDI in sight.

All methods are coroutines, may be cancelled, and raise :class:`acquire.errors.DeviceError` (or its
subclass ``DeviceLostError`` when the connection went away).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from acquire.altitude import Site
from library.frames import FrameKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureRequest:
    """One exposure to be made; ``None`` leaves the camera's present setting alone."""

    kind: FrameKind
    exposure_s: float
    gain: float | None = None
    offset: float | None = None
    binning: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFrame:
    """The bytes that the camera sent, untouched, and what the camera's settings were.

    ``fits`` may be a raw file of the camera's own: its content tells.
    """

    fits: bytes
    gain: float | None
    offset: float | None
    sensor_temp_c: float | None
    read_mode: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolerStatus:
    """The cooler now; ``power_percent`` is ``None`` where the driver does not say."""

    sensor_temp_c: float
    power_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """What a device takes, ends included; without an end there is no limit."""

    low: float = -math.inf
    high: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"from {self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraLimits:
    """What a camera can be set to; ``None`` where it cannot be set at all, or the driver does not say."""

    exposure_s: Range = Range()
    gain: Range | None = None
    offset: Range | None = None
    binning: Range | None = None
    temperature_c: Range | None = None
    width_px: float | None = None
    height_px: float | None = None


class Camera(Protocol):
    """A camera that answers one request at a time."""

    @property
    def name(self) -> str:
        """The device's name as the server has it."""

    @property
    def has_cooler(self) -> bool:
        """Whether the sensor's temperature can be set."""

    @property
    def limits(self) -> CameraLimits:
        """What it can be set to."""

    @property
    def exposing_s(self) -> float | None:
        """Seconds left of an exposure that runs now, whoever began it; ``None``: the camera is free."""

    async def cool_to(
        self,
        temp_c: float,
        *,
        tolerance_c: float,
        timeout_s: float,
        on_progress: Callable[[CoolerStatus], None],
    ) -> CoolerStatus:
        """Set the sensor's temperature and return once it is within tolerance and holds."""

    async def warm_up(self, c_per_min: float, on_progress: Callable[[CoolerStatus, float], None]) -> None:
        """Let the sensor warm up no faster than that, then switch the cooler off, also if cancelled.

        ``on_progress`` is told how it is and the temperature it is on its way to.
        """

    async def expose(self, request: ExposureRequest, on_progress: Callable[[float], None]) -> RawFrame:
        """Make one exposure; ``on_progress`` is told the seconds left."""

    async def abort(self) -> None:
        """Stop the exposure in progress, if any."""


class FilterWheel(Protocol):
    """A filter wheel addressed by its filters' names."""

    @property
    def name(self) -> str:
        """The device's name as the server has it."""

    @property
    def filters(self) -> tuple[str, ...]:
        """Names by slot, first slot first."""

    async def select(self, filter_name: str) -> None:
        """Turn to the filter and return once it is in place."""


class Mount(Protocol):
    """A mount that slews and tracks."""

    @property
    def name(self) -> str:
        """The device's name as the server has it."""

    @property
    def site(self) -> Site | None:
        """Where it stands; ``None`` if it has not been told."""

    @property
    def parked(self) -> bool:
        """Whether it says that it is parked."""

    def off_target_deg(self, ra_deg: float, dec_deg: float) -> float | None:
        """How far from these ICRS coordinates it says it points; ``None``: it does not say."""

    async def park(self) -> bool:
        """Park and return once it is parked; ``False`` at once for a mount that cannot."""

    async def stop_tracking(self) -> None:
        """Stop where it is."""

    async def slew(self, ra_deg: float, dec_deg: float) -> None:
        """Slew to ICRS coordinates, start tracking, and return once settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observatory:
    """What a plan is shot with."""

    camera: Camera
    wheel: FilterWheel | None = None
    mount: Mount | None = None
    restore: Callable[[], Awaitable[None]] | None = None
    """Returns once every device that went away is back, however long; ``None``: lost is lost."""
