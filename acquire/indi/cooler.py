"""The cooler of an INDI camera: down to a temperature, and up again."""

from __future__ import annotations

import math
from collections.abc import Callable

from acquire.clock import Clock
from acquire.devices import CoolerStatus
from acquire.errors import DeviceError, DeviceLostError, OutOfTimeError
from acquire.indi.device import IndiDevice
from acquire.indi.mirror import Mirror, NotInTimeError

TEMPERATURE = ("CCD_TEMPERATURE", "CCD_TEMPERATURE_VALUE")
SWITCH = "CCD_COOLER"
_HOLDS_S = 2.0
_WARM_C = 20.0
"""No sensor is warmed beyond this: with it there is nothing to condense on."""
_SAMPLE_S = 2.0
_IDLE_PERCENT, _IDLE_C, _IDLE_SAMPLES = 1.0, 0.1, 2
"""At no more than this power, and a sensor that rises by less, for so many samples: as warm as the air."""
_STANDS_STILL_S, _STANDS_STILL_C = 60.0, 0.3
"""A sensor that has risen no more than this in so long, and in twice its pace's time, stands still."""
_BEHIND_C = 5.0
"""A sensor that lags this far behind its rising set point is as warm as the air."""


class Cooler:
    """Cools and warms at a pace, the driver's own where it has one."""

    def __init__(self, camera: IndiDevice, mirror: Mirror, clock: Clock) -> None:
        self._camera, self._mirror, self._clock = camera, mirror, clock

    @property
    def status(self) -> CoolerStatus | None:
        """How it is now; ``None`` while the driver has no reading."""
        sensor_temp_c = self._camera.number(*TEMPERATURE)
        if sensor_temp_c is None:
            return None
        power_percent = self._camera.number("CCD_COOLER_POWER", "CCD_COOLER_VALUE")
        return CoolerStatus(sensor_temp_c=sensor_temp_c, power_percent=power_percent)

    async def cool_to(
        self,
        temp_c: float,
        *,
        tolerance_c: float,
        timeout_s: float,
        ramp_c_per_min: float | None,
        on_progress: Callable[[CoolerStatus], None],
    ) -> CoolerStatus:
        """Set the temperature and return once it is within tolerance and has stayed there.

        Raises :class:`OutOfTimeError` if it takes longer.
        """
        prop, element = TEMPERATURE
        deadline = self._clock.monotonic() + timeout_s
        self._camera.check_range(self._camera.need(prop), {element: temp_c})
        await self._camera.press(SWITCH, "COOLER_ON")
        if ramp_c_per_min is not None:
            await self._keep_pace(temp_c, ramp_c_per_min)
        told = since = self._mirror.serial
        self._camera.send(prop, {element: temp_c})

        def look(wanted: bool) -> CoolerStatus | None:
            nonlocal told
            found = self._camera.need(prop)
            if found.serial > since:  # a driver that is at its set point already may have nothing to add
                self._camera.refuse_alert(found, f"cooling to {temp_c:g} °C")
            status = self.status
            if status is None:
                return None
            if found.serial > told:
                told = found.serial
                on_progress(status)
            return status if (abs(status.sensor_temp_c - temp_c) <= tolerance_c) is wanted else None

        what = f"reaching {temp_c:g} ± {tolerance_c:g} °C"
        while True:
            try:
                reached = await self._camera.wait_for(
                    lambda: look(True), what, max(0.0, deadline - self._clock.monotonic())
                )
            except NotInTimeError:
                raise OutOfTimeError(
                    f"{self._camera.name}: {what} has not happened within {timeout_s:g} s{self._as_it_is()}; "
                    "choose a warmer temperature_c, or a longer cooling_timeout_s"
                ) from None
            try:
                await self._camera.wait_for(lambda: look(False), "drifting off", _HOLDS_S)
            except NotInTimeError:
                return self.status or reached

    async def warm_up(self, c_per_min: float, on_progress: Callable[[CoolerStatus, float], None]) -> None:
        """Warm the sensor at this pace until the cooler has nothing to do, then switch it off."""
        try:
            await self._warm(c_per_min, on_progress)
        finally:
            await self._camera.press(SWITCH, "COOLER_OFF")

    async def _warm(self, c_per_min: float, on_progress: Callable[[CoolerStatus, float], None]) -> None:
        prop, element = TEMPERATURE
        began, cooler = self.status, self._camera.get(SWITCH)
        if began is None or (cooler is not None and cooler.on() == "COOLER_OFF"):
            return
        limits = self._camera.need(prop).limits(element)
        goal_c = min(_WARM_C, limits[1]) if limits else _WARM_C
        if began.sensor_temp_c >= goal_c:
            return
        ramps = await self._set_ramp(c_per_min)
        set_point_c = goal_c if ramps else began.sensor_temp_c
        if ramps:
            self._camera.send(prop, {element: goal_c})
        patience_s = _STANDS_STILL_S + 120.0 * _STANDS_STILL_C / c_per_min
        idle = 0
        best_c, best_s = began.sensor_temp_c, self._clock.monotonic()
        while True:
            if set_point_c < goal_c:
                set_point_c = min(goal_c, set_point_c + 1.0)
                self._camera.send(prop, {element: set_point_c})
            before_c = self._camera.number(*TEMPERATURE)
            await self._step(_SAMPLE_S if ramps else 60.0 / c_per_min, goal_c)
            status = self.status
            if status is None:
                return
            on_progress(status, goal_c)
            now_c, now_s = status.sensor_temp_c, self._clock.monotonic()
            if now_c > best_c + _STANDS_STILL_C:
                best_c, best_s = now_c, now_s
            off = status.power_percent is not None and status.power_percent <= _IDLE_PERCENT
            still = before_c is not None and abs(now_c - before_c) < _IDLE_C
            idle = idle + 1 if ramps and off and still else 0
            behind = not ramps and now_c < set_point_c - _BEHIND_C
            warm = now_c >= goal_c - 1.0 or idle >= _IDLE_SAMPLES or behind
            if warm or now_s - best_s >= patience_s:
                return

    async def _step(self, seconds: float, goal_c: float) -> None:
        """Wait for the pace's next step, or for the end."""

        def over() -> bool:
            status = self.status
            return status is None or status.sensor_temp_c >= goal_c - 1.0

        since = self._mirror.serial
        try:
            await self._camera.wait_for(
                lambda: self._camera.need(TEMPERATURE[0]).serial > since and over(), "warming", seconds
            )
        except DeviceLostError:
            raise
        except DeviceError:
            return

    async def _set_ramp(self, c_per_min: float) -> bool:
        """Tell the driver the pace; says whether it keeps one."""
        if self._camera.get("CCD_TEMP_RAMP") is None:
            return False
        await self._camera.set("CCD_TEMP_RAMP", {"RAMP_SLOPE": c_per_min})
        return True

    async def _keep_pace(self, temp_c: float, c_per_min: float) -> None:
        """Let the driver keep to the ramp; for one that has none, go in steps of a degree."""
        at_c = self._camera.number(*TEMPERATURE)
        if at_c is None or await self._set_ramp(c_per_min):
            return
        prop, element = TEMPERATURE
        step_c = math.copysign(1.0, temp_c - at_c)
        for n in range(1, math.ceil(abs(temp_c - at_c))):
            self._camera.send(prop, {element: at_c + n * step_c})
            await self._clock.sleep(60.0 / c_per_min)

    def _as_it_is(self) -> str:
        status = self.status
        if status is None:
            return " (the driver has no reading)"
        power = "" if status.power_percent is None else f", the cooler at {status.power_percent:.0f} %"
        return f" (the sensor is at {status.sensor_temp_c:.1f} °C{power})"
