"""A flat panel that is a dust cap too, as libindi's ``DustCapInterface`` and ``LightBoxInterface``."""

from __future__ import annotations

import asyncio
from typing import Any

from simulators.clock import SimClock
from simulators.drivers import PANEL
from simulators.drivers.base import (
    MAIN,
    Number,
    SimDriver,
    accept_numbers,
    accept_switch,
    numbers,
    requested_switch,
    switches,
    turn_on,
)

DUSTCAP_INTERFACE, LIGHTBOX_INTERFACE = 512, 1024
CAP_S = 5.0


class PanelDriver(SimDriver):
    """Parked, it covers the telescope: the camera sees its light, or darkness; unparked, the sky."""

    def __init__(self, clock: SimClock) -> None:
        self.cap = switches(
            "CAP_PARK", "Dust Cover", MAIN, {"PARK": "Park", "UNPARK": "Unpark"}, "UNPARK", state="Ok"
        )
        self.light = switches(
            "FLAT_LIGHT_CONTROL",
            "Flat Light",
            MAIN,
            {"FLAT_LIGHT_ON": "On", "FLAT_LIGHT_OFF": "Off"},
            "FLAT_LIGHT_OFF",
        )
        self.intensity = numbers(
            "FLAT_LIGHT_INTENSITY",
            "Brightness",
            MAIN,
            [Number("FLAT_LIGHT_INTENSITY_VALUE", "Value", "%.f", 0, 255, 10, 128)],
        )
        interface = DUSTCAP_INTERFACE | LIGHTBOX_INTERFACE
        vectors = [self.cap, self.light, self.intensity]
        super().__init__(PANEL, "indi_firstlight_panel", interface, clock, vectors)
        self._turning = asyncio.Lock()
        self.handlers |= {
            "CAP_PARK": self._turn,
            "FLAT_LIGHT_CONTROL": accept_switch,
            "FLAT_LIGHT_INTENSITY": accept_numbers,
        }

    async def _turn(self, event: Any) -> None:
        """The cap swings for some seconds; what is before the telescope changes at the end."""
        wanted = requested_switch(event)
        async with self._turning:  # an order that comes while it swings waits
            if self.cap[wanted] != "On":
                await self.cap.send_setVector(state="Busy")
                await self.clock.sleep(CAP_S)
                turn_on(self.cap, wanted)
            await self.cap.send_setVector(state="Ok")
