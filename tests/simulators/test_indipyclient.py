"""A client of another house on our wire: PyPI's ``indipyclient`` lists, sets and receives everything."""

from __future__ import annotations

import asyncio
import contextlib
import io
from typing import Any

from astropy.io import fits
from indipyclient import IPyClient

from tests.simulators.conftest import Simulated
from tests.simulators.wire import CAMERA, FOCUSER, MOUNT, PANEL, WHEEL

PATIENCE_S = 20.0

# A value other than the present one, for what a client may set and what has no consequences.
SETTINGS: list[tuple[str, str, dict[str, str]]] = [
    (CAMERA, "CCD_GAIN", {"GAIN": "120"}),
    (CAMERA, "CCD_OFFSET", {"OFFSET": "40"}),
    (CAMERA, "CCD_FRAME", {"X": "8", "Y": "8", "WIDTH": "64", "HEIGHT": "32"}),
    (CAMERA, "CCD_FRAME_TYPE", {"FRAME_DARK": "On"}),
    (CAMERA, "FITS_HEADER", {"FITS_OBJECT": "M 1"}),
    (WHEEL, "FILTER_SLOT", {"FILTER_SLOT_VALUE": "3"}),
    (WHEEL, "FILTER_NAME", {"FILTER_SLOT_NAME_1": "Lum"}),
    (MOUNT, "MOUNT_ERRORS", {"PERIODIC_ARCSEC": "5"}),
    (MOUNT, "GUIDE_RATE", {"GUIDE_RATE_WE": "0.8"}),
    (MOUNT, "EQUATORIAL_EOD_COORD", {"RA": "3", "DEC": "40"}),
    (FOCUSER, "ABS_FOCUS_POSITION", {"FOCUS_ABSOLUTE_POSITION": "24000"}),
    (PANEL, "CAP_PARK", {"PARK": "On"}),
    (PANEL, "FLAT_LIGHT_INTENSITY", {"FLAT_LIGHT_INTENSITY_VALUE": "200"}),
]


class Client(IPyClient):  # type: ignore[misc]  # the library has no types
    """Wakes whoever waits at each event."""

    def __init__(self, port: int) -> None:
        super().__init__(indihost="127.0.0.1", indiport=port)
        self.enableBLOBdefault = "Also"  # else it forbids each BLOB as it hears of it
        self.news = asyncio.Event()
        self.images: list[bytes] = []

    async def rxevent(self, event: Any) -> None:
        if event.eventtype == "SetBLOB":
            self.images += [bytes(value) for value in event.values() if value]
        self.news.set()

    async def until(self, wanted: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not wanted():
                self.news.clear()
                with contextlib.suppress(TimeoutError):  # some news comes before it is in the client's books
                    await asyncio.wait_for(self.news.wait(), 0.2)

    async def set(self, device: str, name: str, members: dict[str, str]) -> None:
        await self.send_newVector(device, name, members=members)
        await self.until(
            lambda: self[device][name].state in ("Ok", "Idle") and _agrees(self[device][name], members)
        )


def _agrees(vector: Any, members: dict[str, str]) -> bool:
    if vector.vectortype != "NumberVector":
        return all(vector[name] == value for name, value in members.items())
    return all(abs(vector.getfloatvalue(name) - float(value)) < 1e-6 for name, value in members.items())


async def test_it_lists_sets_and_receives_everything(observatory: Simulated) -> None:
    client = Client(observatory.port)
    running = asyncio.create_task(client.asyncrun())
    try:
        await client.until(lambda: client.connected)
        await client.send_getProperties()  # by itself it asks only while it has heard of no device at all
        await client.until(lambda: {CAMERA, WHEEL, MOUNT, FOCUSER, PANEL} <= set(client))
        for device in (CAMERA, WHEEL, MOUNT, FOCUSER, PANEL):
            await client.set(device, "CONNECTION", {"CONNECT": "On"})
        for (device, name), element in observatory.wire.definitions.items():
            await client.until(lambda d=device, n=name: n in client[d])
            vector = client[device][name]
            assert vector.vectortype == element.tag.removeprefix("def"), name
            assert set(vector) == {member.get("name") for member in element}, name
        for device, name, members in SETTINGS:
            await client.set(device, name, members)
        await client.send_newVector(CAMERA, "CCD_EXPOSURE", members={"CCD_EXPOSURE_VALUE": "1"})
        await client.until(lambda: client.images)
        with fits.open(io.BytesIO(client.images[0])) as hdus:
            assert hdus[0].data.shape == (32, 64)
            assert hdus[0].header["OBJECT"] == "M 1"
    finally:
        client.shutdown()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
