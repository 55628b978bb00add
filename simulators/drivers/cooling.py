"""The cooler as its driver shows it: CCD_TEMPERATURE, its ramp, CCD_COOLER and its power."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulators.clock import SimClock
from simulators.cooler import Cooler
from simulators.drivers.base import (
    accept_numbers,
    accept_switch,
    number_text,
    requested_numbers,
    requested_switch,
    turn_on,
)
from simulators.drivers.camera_properties import CameraProperties


class CoolingControl:
    """Orders to a cooler, and what it tells.

    As with INDI's drivers CCD_TEMPERATURE is Busy on the way and Ok within RAMP_THRESHOLD of the goal. A
    goal that the cooler cannot reach stays Busy for ever, at full power; one outside the property's range
    is refused with Alert.
    """

    def __init__(self, cooler: Callable[[], Cooler], properties: CameraProperties, clock: SimClock) -> None:
        self._of_camera, self._has, self._clock = cooler, properties, clock
        self.handlers = {
            "CCD_TEMPERATURE": self._cool,
            "CCD_COOLER": self._switch,
            "CCD_TEMP_RAMP": self._set_ramp,
        }

    @property
    def _cooler(self) -> Cooler:
        """The camera's of the moment, let run until now: a fault may have put itself before it."""
        cooler = self._of_camera()
        cooler.advance(self._clock.elapsed_s())
        return cooler

    async def tell(self) -> None:
        """Say what the sensor's thermometer shows, if that is news."""
        has, cooler = self._has, self._cooler
        shown_c, goal_c = round(cooler.temperature_c, 1) + 0.0, cooler.set_point_c
        state = "Idle"
        if goal_c is not None:
            near_c = has.temperature_ramp.getfloatvalue("RAMP_THRESHOLD")
            state = "Ok" if abs(shown_c - goal_c) <= near_c + 1e-9 else "Busy"
        text = number_text(shown_c)
        if (text, state) != (has.temperature["CCD_TEMPERATURE_VALUE"], has.temperature.state):
            has.temperature["CCD_TEMPERATURE_VALUE"] = text
            await has.temperature.send_setVector(state=state)
        if has.cooler_power is None:
            return
        power = number_text(round(cooler.power * 100))
        if power != has.cooler_power["CCD_COOLER_VALUE"]:
            has.cooler_power["CCD_COOLER_VALUE"] = power
            await has.cooler_power.send_setVector(state="Ok" if goal_c is not None else "Idle")

    async def _cool(self, event: Any) -> None:
        self._cooler.set(requested_numbers(event)["CCD_TEMPERATURE_VALUE"])
        await self.tell()  # at once: at high speeds it is colder by the next breath
        turn_on(self._has.cooler, "COOLER_ON")
        await self._has.cooler.send_setVector(state="Ok")

    async def _switch(self, event: Any) -> None:
        cooler = self._cooler
        if requested_switch(event) == "COOLER_OFF":
            cooler.set(None)
        elif cooler.set_point_c is None:
            cooler.set(cooler.temperature_c)
        await accept_switch(event)
        await self.tell()

    async def _set_ramp(self, event: Any) -> None:
        await accept_numbers(event)
        self._cooler.follow_ramp(self._has.temperature_ramp.getfloatvalue("RAMP_SLOPE"))
