"""What our drivers share: connecting, defining properties when connected, and taking orders safely."""

from __future__ import annotations

import asyncio
import contextlib
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from indipydriver import (
    Device,
    IPyDriver,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
)

from simulators.clock import SimClock
from simulators.faults.elements import disturbed
from simulators.faults.injector import NO_FAULTS, Injector

Handler = Callable[[Any], Awaitable[None]]

MAIN, IMAGE, INFO, OPTIONS, SITE = (
    "Main Control",
    "Image Settings",
    "Image Info",
    "Options",
    "Site Management",
)


SETTINGS = frozenset(
    {"CCD_GAIN", "CCD_OFFSET", "CCD_BINNING", "CCD_FRAME", "CCD_FRAME_TYPE", "FITS_HEADER", "ACTIVE_DEVICES"}
)
"""Properties that a driver's process keeps and its hardware does not: a restart brings the defaults back."""


class RefusedError(Exception):
    """An order that the device does not take; its text goes to the client with the state Alert."""


@dataclass(frozen=True, slots=True)
class Number:
    """One member of a number vector."""

    name: str
    label: str
    format: str
    low: float
    high: float
    step: float
    value: float


def number_text(value: float) -> str:
    """A number as it goes over the wire: short, and exact to a part in 10¹²."""
    return f"{value:.12g}"


def numbers(
    name: str, label: str, group: str, members: Sequence[Number], perm: str = "rw", state: str = "Idle"
) -> Any:
    """A number vector."""
    return NumberVector(
        name,
        label,
        group,
        perm,
        state,
        [
            NumberMember(
                m.name,
                m.label,
                m.format,
                number_text(m.low),
                number_text(m.high),
                number_text(m.step),
                number_text(m.value),
            )
            for m in members
        ],
    )


def switches(
    name: str,
    label: str,
    group: str,
    members: dict[str, str],
    on: str | None,
    perm: str = "rw",
    rule: str = "OneOfMany",
    state: str = "Idle",
) -> Any:
    """A switch vector; ``members`` are labels by name, ``on`` is the one that is on."""
    made = [SwitchMember(n, text, "On" if n == on else "Off") for n, text in members.items()]
    return SwitchVector(name, label, group, perm, rule, state, made)


def texts(name: str, label: str, group: str, members: dict[str, tuple[str, str]], perm: str = "rw") -> Any:
    """A text vector; ``members`` are (label, value) by name."""
    made = [TextMember(n, text, value) for n, (text, value) in members.items()]
    return TextVector(name, label, group, perm, "Idle", made)


def turn_on(vector: Any, which: str | None) -> None:
    """Turn one switch on and the others off."""
    for member in vector:
        vector[member] = "On" if member == which else "Off"


class SimDriver(IPyDriver):  # type: ignore[misc]  # the library has no types
    """One device that defines its properties once connected, as INDI's own drivers do.

    A subclass gives its vectors and fills ``handlers``: a coroutine for each property a client may set.
    A handler that raises :class:`RefusedError` turns the property to Alert with that text.
    """

    faults: Injector = NO_FAULTS
    """Asked wherever something may go wrong; whoever runs the driver sets it."""

    def __init__(
        self, device_name: str, executable: str, interface: int, clock: SimClock, vectors: Sequence[Any]
    ) -> None:
        self.connection = switches(
            "CONNECTION",
            "Connection",
            MAIN,
            {"CONNECT": "Connect", "DISCONNECT": "Disconnect"},
            "DISCONNECT",
        )
        info = texts(
            "DRIVER_INFO",
            "Driver Info",
            "General Info",
            {
                "DRIVER_NAME": ("Name", device_name),
                "DRIVER_EXEC": ("Exec", executable),
                "DRIVER_VERSION": ("Version", "1.0"),
                "DRIVER_INTERFACE": ("Interface", str(interface)),
            },
            perm="ro",
        )
        super().__init__(Device(device_name, [self.connection, info, *vectors]))
        self.device_name = device_name
        self.clock = clock
        self.handlers: dict[str, Handler] = {"CONNECTION": self._connect}
        self._when_connected = list(vectors)
        for vector in self._when_connected:
            vector.enable = False
        self._defaults = [(v, dict(v)) for v in vectors if v.name in SETTINGS]

    @property
    def connected(self) -> bool:
        """Whether a client has connected the device."""
        return bool(self.connection["CONNECT"] == "On")

    async def on_connect(self) -> None:
        """What a device does first."""

    async def on_disconnect(self) -> None:
        """What a device stops doing."""

    async def pause(self, real_s: float) -> None:
        """Wait in real time, or until the driver is shut down."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.shutdownrequested.wait(), real_s)

    async def _connect(self, event: Any) -> None:
        wanted = event.get("CONNECT") == "On"
        if wanted != self.connected:
            turn_on(self.connection, "CONNECT" if wanted else "DISCONNECT")
            if wanted:
                await self.connection.send_setVector(state="Ok")
                for vector in self._when_connected:
                    vector.enable = True
                    await vector.send_defVector()
                await self.on_connect()
                return
            await self._leave()
        await self.connection.send_setVector(state="Ok" if self.connected else "Idle")

    async def _leave(self) -> None:
        await self.on_disconnect()
        for vector in self._when_connected:
            await vector.send_delProperty()

    async def lose_device(self) -> None:
        """Its cable is pulled: the driver lives on without it, and can be connected again."""
        if self.connected:
            turn_on(self.connection, "DISCONNECT")
            await self._leave()
            await self.connection.send_setVector(state="Alert", message="the device does not answer any more")

    async def crash(self) -> None:
        """End as a driver's process does, without a word to its device; :meth:`restart` begins anew."""
        await self.on_disconnect()
        turn_on(self.connection, "DISCONNECT")
        self.connection.state = "Idle"
        for vector in self._when_connected:
            vector.enable = False
        for device in self.devices():
            await device.send_delProperty()

    async def restart(self) -> None:
        """Begin anew after :meth:`crash`: settings are what they were at first, the hardware is as it is."""
        for device in self.devices():
            device.enable = True
        for vector, members in self._defaults:
            for member, value in members.items():
                vector[member] = value
            vector.state = "Idle"
        for device in self.devices():
            for vector in device.properties():
                if vector not in self._when_connected:
                    await vector.send_defVector()

    async def send(self, xmldata: ET.Element) -> None:
        """Let an element out; called by the library, and the one way out."""
        for element, delay_s in disturbed(self.faults, xmldata):
            if delay_s:
                self.add_background(self._send_later(element, delay_s))
            else:
                await super().send(element)

    async def _send_later(self, element: ET.Element, delay_real_s: float) -> None:
        await self.pause(delay_real_s)
        await super().send(element)

    async def _readdata(self, root: ET.Element) -> None:
        """Drop what would end the library: a definition of our own device, an order of the wrong kind."""
        if root.get("device") == self.device_name and root.tag != "getProperties":
            vector = self[self.device_name].get(root.get("name"))
            if vector is None or root.tag != f"new{type(vector).__name__}":
                return
        await super()._readdata(root)

    async def rxevent(self, event: Any) -> None:
        """Take a client's order; called by the library."""
        handler = self.handlers.get(event.vectorname)
        if handler is None:
            return
        try:
            await handler(event)
        except RefusedError as refusal:
            await event.vector.send_setVector(state="Alert", message=str(refusal))
        except (TypeError, ValueError):
            # A number that is none: the library checks the members' names only.
            await event.vector.send_setVector(state="Alert", message="that value cannot be read")


def requested_numbers(event: Any) -> dict[str, float]:
    """All members of the vector: those the client sent, checked against their limits, else the old."""
    vector, result = event.vector, {}
    for name in vector:
        value = event.getfloatvalue(name) if name in event else vector.getfloatvalue(name)
        member = vector.data[name]
        low, high = float(member.min), float(member.max)
        if not low <= value <= high:
            raise RefusedError(f"{vector.name} {name} must be {low:g} to {high:g}, not {value:g}")
        result[name] = value
    return result


def requested_switch(event: Any) -> str:
    """The name of the switch that the client turned on."""
    for name, value in event.items():
        if value == "On":
            return str(name)
    raise RefusedError(f"{event.vectorname}: no switch was turned on")


async def accept_numbers(event: Any) -> None:
    """A plain setting: keep the numbers and say Ok."""
    for name, value in requested_numbers(event).items():
        event.vector[name] = number_text(value)
    await event.vector.send_setVector(state="Ok")


async def accept_switch(event: Any) -> None:
    """A plain choice: keep it and say Ok."""
    turn_on(event.vector, requested_switch(event))
    await event.vector.send_setVector(state="Ok")


async def accept_texts(event: Any) -> None:
    """A plain text: keep it and say Ok."""
    for name, value in event.items():
        event.vector[name] = value.strip()
    await event.vector.send_setVector(state="Ok")
