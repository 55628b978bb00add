"""Devices as the runner sees them: small Protocols, no INDI in sight.

All methods are coroutines, may be cancelled, and raise :class:`acquire.errors.DeviceError` (or its
subclass ``DeviceLostError`` when the connection went away).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

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


class Camera(Protocol):
    """A camera that answers one request at a time."""

    @property
    def name(self) -> str:
        """The device's name as the server has it."""

    @property
    def has_cooler(self) -> bool:
        """Whether the sensor's temperature can be set."""

    async def cool_to(
        self,
        temp_c: float,
        *,
        tolerance_c: float,
        timeout_s: float,
        on_progress: Callable[[CoolerStatus], None],
    ) -> CoolerStatus:
        """Set the sensor's temperature and return once it is within tolerance and holds."""

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
