"""An INDI server's devices as an observatory: chosen, connected, told about each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass

from acquire.clock import Clock, RealClock, backoff
from acquire.devices import Observatory
from acquire.errors import DeviceError, DeviceMissingError
from acquire.indi.camera import IndiCamera
from acquire.indi.device import IndiDevice
from acquire.indi.link import WorkerLink
from acquire.indi.mirror import Mirror, NotInTimeError
from acquire.indi.mount import IndiMount
from acquire.indi.wheel import IndiWheel
from acquire.plan import Plan

_DEFINED_S = 5.0
_CONNECT_S = 60.0
_QUIET_S = 0.3
_MOST_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Role:
    """A kind of device: its bit in DRIVER_INFO and the property that shows that it is up."""

    what: str
    key: str
    interface: int
    property: str


_CAMERA = _Role(what="camera", key="camera", interface=1 << 1, property="CCD_EXPOSURE")
_WHEEL = _Role(what="filter wheel", key="filter_wheel", interface=1 << 4, property="FILTER_SLOT")
_MOUNT = _Role(what="mount", key="mount", interface=1 << 0, property="EQUATORIAL_EOD_COORD")


@asynccontextmanager
async def connect(
    host: str,
    port: int,
    plan: Plan,
    clock: Clock | None = None,
    *,
    on_refused: Callable[[str], None] | None = None,
    claim: Callable[[tuple[str, ...]], None] | None = None,
) -> AsyncIterator[Observatory]:
    """Connect to what the plan needs; on leaving, the devices stay as they are.

    ``claim`` is called with the devices' names before anything is asked of them, and may raise.
    ``on_refused`` gets a line for each thing the server says that is not taken in.

    Raises :class:`ServerUnreachableError`, :class:`DeviceMissingError`, or :class:`DeviceError` if a device
    will not connect.
    """
    clock = clock or RealClock()
    async with WorkerLink(host, port, clock, on_refused) as link:
        names = await _choose(link.mirror, plan, clock)
        if claim is not None:
            claim(tuple(names.values()))
        settings = plan.camera
        camera = IndiCamera(link, names[_CAMERA], clock, settings.readout_timeout_s, settings.ramp_c_per_min)
        options = plan.options
        wheel = IndiWheel(link, names[_WHEEL], options.filter_timeout_s) if _WHEEL in names else None
        mount = (
            IndiMount(link, names[_MOUNT], clock, options.settle_s, options.slew_timeout_s)
            if _MOUNT in names
            else None
        )

        known: set[tuple[str, str]] = set()

        async def bring_up() -> None:
            """Connect the devices, and do what a server or driver forgets when it restarts.

            What a device had before it went away is waited for: drivers define their properties in no haste.
            """
            await asyncio.gather(*(_connect_device(link, name, role) for role, name in names.items()))
            await definitions(link.mirror, set(names.values()), clock, known)
            known.update(_defined(link.mirror, names.values()))
            link.enable_blobs(camera.name)
            await _introduce(camera, wheel, mount)

        async def restore() -> None:
            for wait_s in backoff(0.5, 15.0):
                await link.wait_connected()
                try:
                    await bring_up()
                except DeviceError:
                    await clock.sleep(wait_s)
                else:
                    return

        await bring_up()
        yield Observatory(camera=camera, wheel=wheel, mount=mount, restore=restore)


async def _choose(mirror: Mirror, plan: Plan, clock: Clock) -> dict[_Role, str]:
    """Pick a device for every role that the plan needs or names."""
    named = {
        _CAMERA: plan.equipment.camera,
        _WHEEL: plan.equipment.filter_wheel,
        _MOUNT: plan.equipment.mount,
    }
    needed = {_CAMERA: True, _WHEEL: plan.needs_wheel, _MOUNT: plan.target is not None}
    if plan.sets:  # a wheel's opaque position makes darkness, where there is one
        await definitions(mirror, set(), clock)
        wheels = [name for name in mirror.devices() if interface_of(mirror, name) & _WHEEL.interface]
        needed[_WHEEL] = needed[_WHEEL] or len(wheels) == 1
    roles = [role for role in named if needed[role] or named[role]]
    await definitions(mirror, {name for name in named.values() if name}, clock)
    chosen: dict[_Role, str] = {}
    for role in roles:
        chosen[role] = _pick(mirror, role, named[role], chosen.values())
    return chosen


async def definitions(
    mirror: Mirror, expected: set[str], clock: Clock, known: Set[tuple[str, str]] = frozenset()
) -> None:
    """Wait until every device and property is defined; the protocol has no word for that but silence."""
    deadline = clock.monotonic() + _DEFINED_S
    before: set[tuple[str, str]] = set()
    while clock.monotonic() < deadline:
        now = _defined(mirror, mirror.devices())
        if now and now == before and expected <= set(mirror.devices()) and known <= now:
            return
        before = now
        await clock.sleep(_QUIET_S)


def _defined(mirror: Mirror, devices: Iterable[str]) -> set[tuple[str, str]]:
    """Device and name of every property that these devices have now."""
    return {(prop.device, prop.name) for device in devices for prop in mirror.properties(device)}


def _pick(mirror: Mirror, role: _Role, name: str | None, taken: Iterable[str]) -> str:
    there = ", ".join(f'"{device}"' for device in mirror.devices()) or "none"
    if name is not None:
        if name not in mirror.devices():
            raise DeviceMissingError(
                f'there is no {role.what} "{name}" on the server; it has {there}. '
                f"Correct {role.key} in [equipment]"
            )
        return name
    offers = [device for device in mirror.devices() if interface_of(mirror, device) & role.interface]
    # A camera with a wheel of its own gives way to a wheel that is nothing else.
    apart = [device for device in offers if device not in taken]
    if len(apart) == 1 or (not apart and len(offers) == 1):
        return (apart or offers)[0]
    if not offers:
        raise DeviceMissingError(f"there is no {role.what} on the server; it has {there}")
    several = ", ".join(f'"{device}"' for device in offers)
    raise DeviceMissingError(
        f"there is more than one {role.what} on the server: {several}. Name one as {role.key} in [equipment]"
    )


def interface_of(mirror: Mirror, device: str) -> int:
    """What the driver says it is, as INDI's bits; one that says nothing is known by its properties."""
    info = mirror.get(device, "DRIVER_INFO")
    text = info.text("DRIVER_INTERFACE").strip() if info else ""
    if text.isdecimal() and len(text) <= _MOST_DIGITS:
        return int(text)
    return sum(role.interface for role in (_CAMERA, _WHEEL, _MOUNT) if mirror.get(device, role.property))


async def _connect_device(link: WorkerLink, name: str, role: _Role) -> None:
    device = IndiDevice(link, name)
    remedy = f"is the {role.what} powered and plugged in?"

    def ready() -> bool:
        connection = device.get("CONNECTION")
        if connection and connection.on() == "DISCONNECT":
            raise DeviceError(f"{name} is not connected any more; {remedy}")
        return device.get(role.property) is not None

    try:
        await device.wait_for(lambda: device.get("CONNECTION"), "being defined", _DEFINED_S)
        await device.set("CONNECTION", {"CONNECT": True}, timeout_s=_CONNECT_S)
        await device.wait_for(ready, "being ready", _CONNECT_S)
    except NotInTimeError as error:
        raise DeviceError(f"{error}; {remedy}") from error


async def _introduce(camera: IndiCamera, wheel: IndiWheel | None, mount: IndiMount | None) -> None:
    """Tell the camera its mount and wheel, so that its headers hold their coordinates and filter."""
    active = camera.get("ACTIVE_DEVICES")
    others: dict[str, IndiDevice | None] = {"ACTIVE_TELESCOPE": mount, "ACTIVE_FILTER": wheel}
    values: dict[str, float | str | bool] = {
        element: device.name
        for element, device in others.items()
        if device and active and element in active.elements
    }
    if values:
        await camera.set("ACTIVE_DEVICES", values)
