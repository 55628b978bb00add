"""What an INDI server has: its devices, what they are, and what they can be set to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from acquire.clock import Clock, RealClock
from acquire.devices import Range
from acquire.errors import DeviceError
from acquire.indi.camera import IndiCamera
from acquire.indi.device import IndiDevice
from acquire.indi.link import WorkerLink
from acquire.indi.mount import IndiMount
from acquire.indi.observatory import definitions, interface_of
from acquire.indi.wheel import IndiWheel

ROLES = {
    1 << 0: "mount",
    1 << 1: "camera",
    1 << 2: "guider",
    1 << 3: "focuser",
    1 << 4: "filter wheel",
    1 << 5: "dome",
    1 << 6: "GPS",
    1 << 7: "weather",
    1 << 8: "adaptive optics",
    1 << 9: "dust cap",
    1 << 10: "flat panel",
    1 << 12: "rotator",
}
_CONNECT_S = 15.0
_MOST_FILTERS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """One device: what it is, whether it was connected, and what is known of it."""

    name: str
    roles: tuple[str, ...]
    connected: bool
    facts: tuple[tuple[str, str], ...]
    problem: str | None = None


async def survey(host: str, port: int, *, connect: bool, clock: Clock | None = None) -> list[DeviceFacts]:
    """Look at every device. Raises :class:`acquire.errors.ServerUnreachableError`.

    With ``connect``, cameras, wheels and mounts that are not connected are connected for as long as it takes
    to look at them: a driver does not say earlier what its device can do.
    """
    clock = clock or RealClock()
    async with WorkerLink(host, port, clock) as link:
        await definitions(link.mirror, set(), clock)
        names = link.mirror.devices()
        return list(await asyncio.gather(*(_look(link, name, clock, connect=connect) for name in names)))


async def _look(link: WorkerLink, name: str, clock: Clock, *, connect: bool) -> DeviceFacts:
    device = IndiDevice(link, name)
    bits = interface_of(link.mirror, name)
    roles = tuple(word for bit, word in ROLES.items() if bits & bit)
    ours = connect and any(role in {"camera", "filter wheel", "mount"} for role in roles)
    before, problem = _is_connected(device), None
    facts: list[tuple[str, str]] = []
    try:
        async with _connected(device, clock, wanted=ours):
            for role in roles:
                facts += _FACTS[role](link, name, clock) if role in _FACTS else ()
    except DeviceError as error:
        problem = str(error)
    return DeviceFacts(name=name, roles=roles, connected=before, facts=tuple(facts), problem=problem)


@asynccontextmanager
async def _connected(device: IndiDevice, clock: Clock, *, wanted: bool) -> AsyncIterator[None]:
    if not wanted or _is_connected(device):
        yield
        return
    await device.set("CONNECTION", {"CONNECT": True}, timeout_s=_CONNECT_S)
    try:
        await definitions(device.mirror, {device.name}, clock)
        yield
    finally:
        # Leaving before the answer might leave before the order is out, and the device connected.
        with suppress(DeviceError):
            await device.set("CONNECTION", {"DISCONNECT": True}, timeout_s=_CONNECT_S)


def _is_connected(device: IndiDevice) -> bool:
    connection = device.get("CONNECTION")
    return connection is not None and connection.on() == "CONNECT"


def _of_camera(link: WorkerLink, name: str, clock: Clock) -> Iterator[tuple[str, str]]:
    camera = IndiCamera(link, name, clock)
    if camera.get(camera.ROLE) is None:
        return
    limits = camera.limits
    if limits.width_px and limits.height_px:
        yield "pixels", f"{limits.width_px:g} × {limits.height_px:g}"
    yield "exposure", f"{_range(limits.exposure_s)} s"
    for word, allowed in (("gain", limits.gain), ("offset", limits.offset), ("binning", limits.binning)):
        yield word, _range(allowed)
    yield "temperature", f"{_range(limits.temperature_c)} °C" if limits.temperature_c else "no cooler"


def _of_wheel(link: WorkerLink, name: str, _clock: Clock) -> Iterator[tuple[str, str]]:
    wheel = IndiWheel(link, name)
    if wheel.get(wheel.ROLE) is not None:
        yield "filters", ", ".join(wheel.filters[:_MOST_FILTERS]) or "none"


def _of_mount(link: WorkerLink, name: str, clock: Clock) -> Iterator[tuple[str, str]]:
    mount = IndiMount(link, name, clock)
    if mount.get(mount.ROLE) is None:
        return
    site = mount.site
    where = f"{site.latitude_deg:.2f}°, {site.longitude_deg:.2f}° east" if site else "not set in the driver"
    yield "place", where
    yield "parked", "yes" if mount.parked else "no"


_FACTS = {"camera": _of_camera, "filter wheel": _of_wheel, "mount": _of_mount}


def _range(allowed: Range | None) -> str:
    if allowed is None:
        return "cannot be set"
    return str(allowed) if allowed != Range() else "any: the driver gives no limits"
