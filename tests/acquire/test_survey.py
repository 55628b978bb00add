"""What an INDI server's devices say of themselves, and that they are left as they were."""

from __future__ import annotations

from acquire.indi.survey import DeviceFacts, survey
from tests.acquire.rigs import CAMERA, MOUNT, WHEEL, FastClock, Rig, numbers, rig_on_the_wire, texts

SPEED = 10.0


async def look(rig: Rig, *, connect: bool) -> dict[str, DeviceFacts]:
    rig.announce()
    found = await survey("127.0.0.1", rig.server.port, connect=connect, clock=FastClock(SPEED))
    return {each.name: each for each in found}


async def test_devices_are_connected_looked_at_and_disconnected_again() -> None:
    async with rig_on_the_wire() as rig:
        rig.define(numbers("def", MOUNT, "GEOGRAPHIC_COORD", LAT=47.7, LONG=11.2, ELEV=700))
        rig.before["Focuser", "DRIVER_INFO"] = texts("def", "Focuser", "DRIVER_INFO", DRIVER_INTERFACE="8")
        asked: list[tuple[str, str]] = []
        connect = rig.on["CONNECTION"]

        def hear(device: str, values: dict[str, str]) -> None:
            word = next(name for name, value in values.items() if value == "On")
            asked.append((device, word))
            if word == "CONNECT":
                connect(device, values)
            else:
                rig.echo("Switch", device, "CONNECTION", values)

        rig.on["CONNECTION"] = hear
        found = await look(rig, connect=True)
    assert found[CAMERA].roles == ("camera",)
    assert dict(found[CAMERA].facts) == {
        "pixels": "64 × 48",
        "exposure": "from 0 to 3600 s",
        "gain": "from 0 to 100",
        "offset": "cannot be set",
        "binning": "from 1 to 4",
        "temperature": "from -40 to 30 °C",
    }
    assert dict(found[WHEEL].facts) == {"filters": "L, R, Ha"}
    assert dict(found[MOUNT].facts) == {"place": "47.70°, 11.20° east", "parked": "no"}
    assert (found["Focuser"].roles, found["Focuser"].facts) == (("focuser",), ())
    assert not any(each.connected or each.problem for each in found.values())
    devices = {CAMERA, WHEEL, MOUNT}
    assert {device for device, word in asked if word == "DISCONNECT"} == devices
    assert {device for device, word in asked if word == "CONNECT"} == devices


async def test_without_being_asked_to_nothing_is_connected() -> None:
    async with rig_on_the_wire() as rig:
        asked: list[str] = []
        rig.on["CONNECTION"] = lambda device, _values: asked.append(device)
        found = await look(rig, connect=False)
    assert asked == []
    assert found[CAMERA].facts == ()


async def test_a_device_that_will_not_connect_is_a_problem_of_its_own() -> None:
    async with rig_on_the_wire() as rig:
        connect = rig.on["CONNECTION"]
        rig.on["CONNECTION"] = lambda device, values: connect(device, values) if device != CAMERA else None
        found = await look(rig, connect=True)
    assert "setting CONNECTION has not happened" in (found[CAMERA].problem or "")
    assert found[WHEEL].facts
