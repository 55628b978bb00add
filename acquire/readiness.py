"""The observatory made ready for a step: cooled, pointed, the filter in place. Nothing is done twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from acquire import events
from acquire.clock import Clock, backoff
from acquire.devices import CoolerStatus, Observatory
from acquire.errors import DeviceError, DeviceLostError, HopelessError, PlanError
from acquire.plan import ExposureStep, Plan
from library.frames import FrameKind

_T = TypeVar("_T")


def require_equipment(plan: Plan, devices: Observatory) -> None:
    """Raise :class:`PlanError` if the plan asks for what the observatory has not."""
    if plan.needs_wheel and devices.wheel is None:
        raise PlanError("the plan names filters and there is no filter wheel")
    if devices.wheel is not None:
        for name in dict.fromkeys(line.filter for line in plan.lights if line.filter):
            if name not in devices.wheel.filters:
                there = ", ".join(devices.wheel.filters)
                raise PlanError(f'there is no filter "{name}" in {devices.wheel.name}; it has {there}')
    if plan.target is not None and devices.mount is None:
        raise PlanError("the plan has a target and there is no mount")
    if plan.temperatures_c and not devices.camera.has_cooler:
        raise PlanError(
            f"{devices.camera.name} has no cooler: leave temperature_c out of the plan's [camera]"
        )


class Readiness:
    """Knows what has been made ready since the devices were last (re)connected."""

    def __init__(
        self, plan: Plan, devices: Observatory, emit: Callable[[events.AcquireEvent], None], clock: Clock
    ) -> None:
        self._plan = plan
        self._devices = devices
        self._emit = emit
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Take nothing for granted: at the start, and after a device went away."""
        self.forget_temperature()
        self.pointed = self._plan.target is None
        self._filter: str | None = None

    def forget_temperature(self) -> None:
        """Look again whether the sensor is where it was brought to."""
        self._cooled_to_c: float | None = None

    def needs_cooling(self, step: ExposureStep) -> bool:
        """Whether the sensor has yet to be brought to the step's temperature."""
        return step.temperature_c is not None and step.temperature_c != self._cooled_to_c

    async def cool(self, step: ExposureStep) -> None:
        """Bring the sensor to the step's temperature. Raises :class:`HopelessError` if it stays away."""
        settings, target_c = self._plan.camera, step.temperature_c
        if target_c is None or not self.needs_cooling(step):
            return

        def on_progress(status: CoolerStatus) -> None:
            self._emit(
                events.CoolingProgress(
                    sensor_temp_c=status.sensor_temp_c,
                    target_temp_c=target_c,
                    power_percent=status.power_percent,
                )
            )

        status = await self._insist(
            lambda: self._devices.camera.cool_to(
                target_c,
                tolerance_c=settings.temperature_tolerance_c,
                timeout_s=settings.cooling_timeout_s,
                on_progress=on_progress,
            )
        )
        self._cooled_to_c = target_c
        self._emit(events.CoolingDone(sensor_temp_c=status.sensor_temp_c, target_temp_c=target_c))

    async def point(self) -> None:
        """Slew to the target. Raises :class:`HopelessError` if the mount will not."""
        target, mount = self._plan.target, self._devices.mount
        if self.pointed or target is None or mount is None:
            return
        self._emit(events.SlewStarted(target=target.name, ra_deg=target.ra_deg, dec_deg=target.dec_deg))
        await self._insist(lambda: mount.slew(target.ra_deg, target.dec_deg))
        self.pointed = True
        self._emit(events.SlewDone(target=target.name, ra_deg=target.ra_deg, dec_deg=target.dec_deg))

    async def select(self, step: ExposureStep) -> None:
        """Turn the wheel to the step's filter, if it has one; a jam is the step's failure."""
        wheel = self._devices.wheel
        if step.filter is None or wheel is None or step.filter == self._filter:
            return
        self._filter = None  # on its way it stands at none
        await wheel.select(step.filter)
        self._filter = step.filter
        self._emit(events.FilterSelected(filter=step.filter))

    def needs_slew(self, step: ExposureStep) -> bool:
        """Whether the mount has yet to point for this step."""
        return step.kind is FrameKind.LIGHT and not self.pointed

    async def _insist(self, action: Callable[[], Awaitable[_T]]) -> _T:
        waits = backoff(1.0, 30.0)
        for attempt in range(1, 2 + self._plan.options.retries):
            try:
                return await action()
            except DeviceLostError:
                raise
            except DeviceError as error:
                failure = error
            if attempt <= self._plan.options.retries:
                await self._clock.sleep(next(waits))
        raise HopelessError(str(failure))
