"""Devices that need no hardware, with faults where a test wants them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from acquire.altitude import Site
from acquire.clock import Clock
from acquire.devices import CameraLimits, CoolerStatus, ExposureRequest, Observatory, Range, RawFrame
from library.frames import Stamp

Fault = BaseException | None


@dataclass
class Faults:
    """What goes wrong next, in order; ``None`` is a call that goes well, and so is the end of the list."""

    queue: deque[Fault] = field(default_factory=deque)

    def strike(self) -> None:
        fault = self.queue.popleft() if self.queue else None
        if fault is not None:
            raise fault


class FakeCamera:
    name = "fake camera"
    has_cooler = True
    exposing_s: float | None = None

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.faults, self.cooler_faults = Faults(), Faults()
        self.requests: list[ExposureRequest] = []
        self.coolings: list[float] = []
        self.aborts = 0
        self.warmings: list[float] = []
        self.limits = CameraLimits(
            exposure_s=Range(0.001, 3600.0),
            gain=Range(0.0, 300.0),
            offset=Range(0.0, 100.0),
            binning=Range(1.0, 4.0),
            temperature_c=Range(-40.0, 30.0),
        )

    async def cool_to(
        self,
        temp_c: float,
        *,
        tolerance_c: float,
        timeout_s: float,
        on_progress: Callable[[CoolerStatus], None],
    ) -> CoolerStatus:
        self.coolings.append(temp_c)
        self.cooler_faults.strike()
        on_progress(CoolerStatus(sensor_temp_c=5.0, power_percent=80.0))
        await self._clock.sleep(60)
        return CoolerStatus(sensor_temp_c=temp_c)

    async def warm_up(self, c_per_min: float, on_progress: Callable[[CoolerStatus, float], None]) -> None:
        self.warmings.append(c_per_min)
        on_progress(CoolerStatus(sensor_temp_c=0.0), 20.0)
        await self._clock.sleep(300)

    async def expose(self, request: ExposureRequest, on_progress: Callable[[float], None]) -> RawFrame:
        self.requests.append(request)
        on_progress(request.exposure_s)
        await self._clock.sleep(request.exposure_s)
        self.faults.strike()
        return RawFrame(
            fits=b"frame %d" % len(self.requests),
            gain=120.0,
            offset=30.0,
            sensor_temp_c=-10.1,
            read_mode="low",
        )

    async def abort(self) -> None:
        self.aborts += 1


class FakeWheel:
    name = "fake wheel"
    filters = ("L", "R", "G", "B")

    def __init__(self) -> None:
        self.faults = Faults()
        self.selected: list[str] = []

    async def select(self, filter_name: str) -> None:
        self.faults.strike()
        self.selected.append(filter_name)


class FakeMount:
    name = "fake mount"
    site: Site | None = None
    can_park = True

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.faults = Faults()
        self.slews: list[tuple[float, float]] = []
        self.log: list[str] = []
        self.parked = False
        self.off_deg = 0.0

    def off_target_deg(self, ra_deg: float, dec_deg: float) -> float | None:
        return self.off_deg

    async def park(self) -> bool:
        self.faults.strike()
        self.log.append("park")
        self.parked = self.can_park
        return self.can_park

    async def stop_tracking(self) -> None:
        self.log.append("stop tracking")

    async def slew(self, ra_deg: float, dec_deg: float) -> None:
        self.slews.append((ra_deg, dec_deg))
        await self._clock.sleep(20)
        self.faults.strike()
        self.parked = False
        self.off_deg = 0.0


@dataclass
class Stored:
    frame_id: str
    path: Path


class FakeStore:
    """Keeps frames by their ids, as the library does."""

    def __init__(self, clock: Clock, seconds: float = 0.0) -> None:
        self._clock = clock
        self._seconds = seconds
        self.faults = Faults()
        self.frames: dict[str, tuple[bytes, Stamp]] = {}

    async def __call__(self, fits: bytes, stamp: Stamp) -> Stored:
        await self._clock.sleep(self._seconds)
        self.faults.strike()
        assert stamp.frame_id not in self.frames, "the same frame twice"
        self.frames[stamp.frame_id] = (fits, stamp)
        return Stored(stamp.frame_id, Path("/frames") / stamp.frame_id)

    @property
    def steps(self) -> list[str]:
        return [stamp.step_id for _, stamp in self.frames.values()]


class FakeObservatory:
    """All of it, and how often it had to be restored."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.camera, self.wheel, self.mount = FakeCamera(clock), FakeWheel(), FakeMount(clock)
        self.restored = 0

    async def _restore(self) -> None:
        await self._clock.sleep(30)
        self.restored += 1

    @property
    def devices(self) -> Observatory:
        return Observatory(camera=self.camera, wheel=self.wheel, mount=self.mount, restore=self._restore)
