"""The observatory made ready for a step: cooled, pointed, the filter in place. Nothing is done twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from acquire import events
from acquire.clock import Clock, backoff
from acquire.devices import CoolerStatus, Observatory
from acquire.errors import DeviceError, DeviceLostError, HopelessError, OutOfTimeError
from acquire.plan import ExposureStep, Plan
from library.frames import FrameKind

_T = TypeVar("_T")
_OFF_DEG = 0.5
"""A mount this far off its target was moved by somebody else, or has stopped."""


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
        ends_s = self._clock.monotonic() + settings.cooling_timeout_s
        self._emit(
            events.CoolingStarted(
                sensor_temp_c=None, target_temp_c=target_c, timeout_s=settings.cooling_timeout_s
            )
        )

        def on_progress(status: CoolerStatus) -> None:
            self._emit(
                events.CoolingProgress(
                    sensor_temp_c=status.sensor_temp_c,
                    target_temp_c=target_c,
                    power_percent=status.power_percent,
                    left_s=max(0.0, ends_s - self._clock.monotonic()),
                )
            )

        status = await self._insist(
            "cooling",
            lambda: self._devices.camera.cool_to(
                target_c,
                tolerance_c=settings.temperature_tolerance_c,
                timeout_s=settings.cooling_timeout_s,
                on_progress=on_progress,
            ),
        )
        self._cooled_to_c = target_c
        self._emit(events.CoolingDone(sensor_temp_c=status.sensor_temp_c, target_temp_c=target_c))

    async def point(self) -> None:
        """Slew to the target. Raises :class:`HopelessError` if the mount will not."""
        target, mount = self._plan.target, self._devices.mount
        if self.pointed or target is None or mount is None:
            return
        self._emit(events.SlewStarted(target=target.name, ra_deg=target.ra_deg, dec_deg=target.dec_deg))
        await self._insist("slewing", lambda: mount.slew(target.ra_deg, target.dec_deg))
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
        """Whether the mount has yet to point for this step, or points elsewhere by now.

        Raises :class:`HopelessError` if somebody has parked it: there may be a reason, such as rain.
        """
        if step.kind is not FrameKind.LIGHT:
            return False
        mount = self._devices.mount
        if self.pointed and self._plan.target and mount and mount.parked:
            raise HopelessError(f"{mount.name} was parked by somebody else; start again to go on")
        if self.pointed and self._off_target() is not None:
            self.pointed = False
        return not self.pointed

    def check_pointing(self, step: ExposureStep) -> None:
        """Raise :class:`DeviceError` if a light was exposed while the mount pointed elsewhere."""
        if step.kind is FrameKind.LIGHT and (off := self._off_target()):
            self.pointed = False
            raise DeviceError(off)

    def _off_target(self) -> str | None:
        target, mount = self._plan.target, self._devices.mount
        off_deg = mount.off_target_deg(target.ra_deg, target.dec_deg) if mount and target else None
        if mount is None or target is None or off_deg is None or off_deg <= _OFF_DEG:
            return None
        return (
            f"{mount.name} points {off_deg:.1f}° off {target.name}: something else has moved it, "
            "or it does not track"
        )

    async def _insist(self, what: str, action: Callable[[], Awaitable[_T]]) -> _T:
        """Try as often as the plan allows; a timeout is the plan's own limit and not tried again."""
        waits, attempts = backoff(1.0, 30.0), 1 + self._plan.options.retries
        for attempt in range(1, 1 + attempts):
            try:
                return await action()
            except DeviceLostError:
                raise
            except OutOfTimeError as error:
                raise HopelessError(str(error)) from error
            except DeviceError as error:
                failure = error
            if attempt < attempts:
                wait_s = next(waits)
                self._emit(
                    events.Retrying(
                        what=what,
                        reason=str(failure),
                        attempt=attempt,
                        attempts=attempts,
                        retry_in_s=wait_s,
                    )
                )
                await self._clock.sleep(wait_s)
        raise HopelessError(str(failure))
