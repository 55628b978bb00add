"""Our drivers as programs that any ``indiserver`` can run: INDI on standard input and output.

Environment: ``FIRSTLIGHT_SEED`` (1), ``FIRSTLIGHT_SPEED`` (1), ``FIRSTLIGHT_TRUTH`` (a file; none),
``FIRSTLIGHT_CAMERA`` (a profile's name), ``FIRSTLIGHT_REPLAY`` (a folder of FITS files),
``FIRSTLIGHT_ALTAZ`` (1 for an alt-azimuth mount).
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from simulators.clock import SimClock
from simulators.drivers.base import SimDriver

_CHUNK = 65_536


class StdioLink:
    """Carries a driver's XML over blocking standard streams, in the place of the library's own.

    The stock ``indiserver`` gives a driver one socket as both streams. The library sets its input
    non-blocking, which makes the output so too, and BLOBs come up short; and it writes a BLOB in pieces of
    1000 bytes. Here a thread reads, another writes, and both block.
    """

    def __init__(self, driver: SimDriver) -> None:
        self._driver = driver
        self._writing = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._received: asyncio.Queue[bytes] = asyncio.Queue()

    def shutdown(self) -> None:
        """Called by the driver as it ends; wakes the reader's side."""
        self._received.put_nowait(b"")

    async def run_tx(self, element: ET.Element) -> None:
        """Send one element whole, in turn."""
        async with self._writing:
            await asyncio.to_thread(_write, element)

    async def run_rx(self) -> None:
        """Hand every element that comes in to the driver, until standard input ends."""
        threading.Thread(target=self._read, name="stdin", daemon=True).start()
        parser = _parser()
        depth = 0
        root: ET.Element | None = None
        while data := await self._received.get():
            try:
                parser.feed(data)
                for what, element in cast(Iterator[tuple[str, ET.Element]], parser.read_events()):
                    if root is None:
                        root = element
                    depth += 1 if what == "start" else -1
                    if what == "end" and depth == 1:
                        root.remove(element)
                        await self._driver._readdata(element)  # as the library's server does
            except ET.ParseError as error:
                sys.stderr.write(f"{self._driver.device_name}: unreadable XML dropped: {error}\n")
                parser, depth, root = _parser(), 0, None
        self._driver.shutdown()

    def _read(self) -> None:
        data = b"-"
        while data:
            try:
                data = os.read(0, _CHUNK)
            except OSError:
                data = b""
            try:
                self._loop.call_soon_threadsafe(self._received.put_nowait, data)
            except RuntimeError:  # the loop has ended
                return


def _parser() -> ET.XMLPullParser[Any]:
    """A parser for a stream of elements without a root: it is given one."""
    parser: ET.XMLPullParser[Any] = ET.XMLPullParser(events=("start", "end"))
    parser.feed(b"<root>")
    return parser


def _write(element: ET.Element) -> None:
    sys.stdout.buffer.write(ET.tostring(element) + b"\n")
    sys.stdout.buffer.flush()


async def _drive(make: Callable[[SimClock], SimDriver]) -> None:
    driver = make(SimClock(float(os.environ.get("FIRSTLIGHT_SPEED", "1"))))
    driver._commsobj = StdioLink(driver)  # where the library's own server puts its link
    await driver.asyncrun()


def _run(make: Callable[[SimClock], SimDriver]) -> int:
    try:
        asyncio.run(_drive(make))
    except ValueError as error:
        sys.stderr.write(f"bad FIRSTLIGHT_SEED or FIRSTLIGHT_SPEED: {error}\n")
        return 2
    except (KeyboardInterrupt, BrokenPipeError):
        return 0
    return 0


def ccd() -> int:
    """``indi_firstlight_ccd``."""
    from simulators.drivers.camera import CameraDriver
    from simulators.drivers.replay import ReplayDriver
    from simulators.equipment import EquipmentError, equipment

    truth = Path(os.environ["FIRSTLIGHT_TRUTH"]) if "FIRSTLIGHT_TRUTH" in os.environ else None
    seed = os.environ.get("FIRSTLIGHT_SEED", "1")
    replay = os.environ.get("FIRSTLIGHT_REPLAY")
    try:
        what = equipment(camera=os.environ.get("FIRSTLIGHT_CAMERA"), replay=Path(replay) if replay else None)
    except EquipmentError as error:
        sys.stderr.write(f"indi_firstlight_ccd: {error}\n")
        return 2
    if what.recording:
        return _run(lambda clock: ReplayDriver(clock, int(seed), truth, what.recording))
    return _run(lambda clock: CameraDriver(clock, int(seed), truth, what.camera))


def wheel() -> int:
    """``indi_firstlight_wheel``."""
    from simulators.drivers.wheel import WheelDriver

    return _run(WheelDriver)


def telescope() -> int:
    """``indi_firstlight_telescope``."""
    from simulators.drivers.mount import MountDriver

    altaz = os.environ.get("FIRSTLIGHT_ALTAZ", "0") == "1"
    return _run(lambda clock: MountDriver(clock, altaz=altaz))


def focus() -> int:
    """``indi_firstlight_focus``."""
    from simulators.drivers.focuser import FocuserDriver

    return _run(FocuserDriver)


def panel() -> int:
    """``indi_firstlight_panel``."""
    from simulators.drivers.panel import PanelDriver

    return _run(PanelDriver)
