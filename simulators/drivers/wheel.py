"""The filter wheel's driver."""

from __future__ import annotations

import asyncio
from typing import Any

from simulators.clock import SimClock
from simulators.drivers import WHEEL
from simulators.drivers.base import (
    Number,
    RefusedError,
    SimDriver,
    accept_texts,
    number_text,
    numbers,
    requested_numbers,
    texts,
)
from simulators.optics import PASSBANDS

_SECONDS_PER_SLOT = 0.8
_GROUP = "Filter Wheel"
FILTER_INTERFACE = 16


class WheelDriver(SimDriver):
    """Seven filters in a ring; turning takes a time that grows with the slots passed."""

    def __init__(self, clock: SimClock) -> None:
        names = tuple(PASSBANDS)
        self.slot = numbers(
            "FILTER_SLOT",
            "Filter Slot",
            _GROUP,
            [Number("FILTER_SLOT_VALUE", "Filter", "%3.0f", 1, len(names), 1, 1)],
            state="Ok",
        )
        labels = {f"FILTER_SLOT_NAME_{i}": (f"Filter#{i}", name) for i, name in enumerate(names, 1)}
        self.names = texts("FILTER_NAME", "Filter", _GROUP, labels)
        super().__init__(WHEEL, "indi_firstlight_wheel", FILTER_INTERFACE, clock, [self.slot, self.names])
        self._turning = asyncio.Lock()
        self.handlers |= {"FILTER_SLOT": self._turn, "FILTER_NAME": accept_texts}

    async def _turn(self, event: Any) -> None:
        target = round(requested_numbers(event)["FILTER_SLOT_VALUE"])
        async with self._turning:  # an order that comes while it turns waits
            now, count = round(self.slot.getfloatvalue("FILTER_SLOT_VALUE")), len(self.names)
            if wrong := self.faults.due("wheel_wrong_slot"):
                target = (target - 1 + round(wrong.number("off_by"))) % count + 1
            steps = min((target - now) % count, (now - target) % count)
            await self.slot.send_setVector(state="Busy")
            if jam := self.faults.due("wheel_jams"):
                if jam.text("state") == "Alert":
                    raise RefusedError("the wheel is stuck")
                return
            await self.clock.sleep(_SECONDS_PER_SLOT * steps)
            self.slot["FILTER_SLOT_VALUE"] = number_text(target)
            await self.slot.send_setVector(state="Ok")
