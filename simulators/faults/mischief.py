"""The faults that happen without anybody's order: to a driver, the server, the line or the clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from simulators.clock import SimClock
from simulators.drivers import CAMERA, MOUNT
from simulators.drivers.base import SimDriver
from simulators.faults.injector import Injector
from simulators.faults.physics import FaultyCooler
from simulators.faults.plan import Fault

log = logging.getLogger(__name__)


class Server(Protocol):
    """What a server suffers."""

    async def leave(self) -> None:
        """Hang up on everybody and listen no more."""

    async def come_back(self) -> None:
        """Listen on the same port again."""

    async def say(self, data: bytes) -> None:
        """Send bytes to every client, whatever they are."""


class _Pressed(dict[str, str]):
    """An order as a handler takes it."""

    def __init__(self, vector: Any, **values: str) -> None:
        super().__init__(values)
        self.vector, self.vectorname = vector, vector.name


class Mischief:
    """Gives the drivers their injector, and does what it says is due."""

    def __init__(
        self, faults: Injector, drivers: Iterable[SimDriver], server: Server, clock: SimClock
    ) -> None:
        self._drivers = {driver.device_name: driver for driver in drivers}
        self._server, self._clock = server, clock
        for driver in self._drivers.values():
            driver.faults = faults
        camera: Any = self._drivers.get(CAMERA)
        if camera is not None:
            camera.cooler = FaultyCooler(camera.cooler, faults)
        faults.act = self.act
        self._acts: dict[str, Callable[[Fault], Awaitable[None]]] = {
            "device_disconnect": lambda fault: self._drivers[fault.text("device")].lose_device(),
            "driver_crash": self._crash,
            "property_redefined": self._redefine,
            "message_flood": self._flood,
            "temperature_unreadable": self._tell_temperature,
            "mount_stops_tracking": self._stop_tracking,
            "server_gone": self._go,
            "garbage_xml": lambda fault: server.say(fault.text("garbage").encode()),
            "clock_jumps": self._jump,
        }

    async def act(self, fault: Fault) -> None:
        """Do it; faults that only run (see :meth:`Injector.running`) need nothing done."""
        if act := self._acts.get(fault.name):
            await act(fault)

    async def _crash(self, fault: Fault) -> None:
        driver = self._drivers[fault.text("device")]
        await driver.crash()
        await asyncio.sleep(fault.number("back_after_real_s"))
        await driver.restart()

    async def _go(self, fault: Fault) -> None:
        """A server takes its drivers along, and has them back when it is."""
        await self._server.leave()
        for driver in self._drivers.values():
            await driver.crash()
        await asyncio.sleep(fault.number("back_after_real_s"))
        for driver in self._drivers.values():
            await driver.restart()
        await self._server.come_back()

    async def _redefine(self, fault: Fault) -> None:
        device = self._drivers[fault.text("device")].devices()[0]
        vector = device.get(fault.text("property"))
        if vector is None or not vector.enable:
            log.warning("property_redefined: %s is not defined now", fault.text("property"))
            return
        await vector.send_delProperty()
        vector.enable = True
        await vector.send_defVector()

    async def _flood(self, fault: Fault) -> None:
        device = self._drivers[fault.text("device")].devices()[0]
        for number in range(round(fault.number("messages"))):
            await device.send_device_message(f"flood {number}")

    async def _tell_temperature(self, _fault: Fault) -> None:
        await self._drivers[CAMERA].devices()[0]["CCD_TEMPERATURE"].send_setVector(allvalues=True)

    async def _stop_tracking(self, fault: Fault) -> None:
        mount = self._drivers[MOUNT]
        if not fault.parameters["silent"] and mount.connected:
            vector = mount.devices()[0]["TELESCOPE_TRACK_STATE"]
            await mount.handlers["TELESCOPE_TRACK_STATE"](_Pressed(vector, TRACK_OFF="On"))

    async def _jump(self, fault: Fault) -> None:
        self._clock.jump(fault.number("jump_s"))
